//! Printed messages and keys, read back.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keybound_proto::jose::PublicKey;
use keybound_proto::signature::{
    HttpSignature, Select, SharedKey, SignatureAlgorithm, SignatureAlgorithms, SignatureRules,
    SignedRequest,
};
use keybound_proto::time::UnixTime;
use keybound_proto::uri::Origin;
use serde_json::{Value, json};

pub(crate) type Fields = Vec<(String, Vec<u8>)>;

pub(crate) fn load(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../vectors/rfc")
        .join(name);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The public half of a printed JWK.
pub(crate) fn public(jwk: &Value) -> PublicKey {
    let members: &[&str] = match text(&jwk["kty"]) {
        "EC" => &["kty", "crv", "x", "y"],
        "OKP" => &["kty", "crv", "x"],
        _ => &["kty", "n", "e"],
    };
    let mut public = json!({});
    for member in members {
        public[*member] = jwk[*member].clone();
    }
    PublicKey::from_jwk(public.to_string().as_bytes()).unwrap()
}

/// A printed HTTP message: its first line, fields and body.
pub(crate) struct Printed {
    pub(crate) first: String,
    pub(crate) fields: Fields,
    pub(crate) body: String,
}

impl Printed {
    pub(crate) fn parse(message: &str) -> Self {
        let (head, body) = message.split_once("\n\n").unwrap_or((message, ""));
        let (first, fields) = head.split_once('\n').unwrap();
        Self {
            first: first.to_owned(),
            fields: field_lines(fields),
            body: body.to_owned(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> String {
        let (_, value) = self.fields.iter().find(|(known, _)| known == name).unwrap();
        String::from_utf8(value.clone()).unwrap()
    }

    pub(crate) fn add(&mut self, name: &str, value: &str) {
        self.fields
            .push((name.to_owned(), value.as_bytes().to_vec()));
    }

    /// Reads the message as a request to `https` at its `Host`.
    pub(crate) fn read(
        &self,
        rules: &SignatureRules<'_>,
        now: u64,
    ) -> Result<HttpSignature, &'static str> {
        let origin = Origin::parse(&format!("https://{}", self.header("host"))).unwrap();
        let lines = views(&self.fields);
        let mut parts = self.first.split(' ');
        let request = SignedRequest {
            method: parts.next().unwrap(),
            origin: &origin,
            request_target: parts.next().unwrap(),
            fields: &lines.as_slice(),
            trailers: None,
        };
        HttpSignature::read(rules, request, UnixTime::from_secs(now))
            .map_err(|rejection| rejection.cause().id())
    }
}

pub(crate) fn field_lines(text: &str) -> Fields {
    text.lines()
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_lowercase(), value.trim().as_bytes().to_vec())
        })
        .collect()
}

pub(crate) fn views(fields: &Fields) -> Vec<(&str, &[u8])> {
    fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_slice()))
        .collect()
}

/// When the messages of the RFC were signed.
pub(crate) const CREATED: u64 = 1_618_884_473;

/// A policy without demands of its own: what the RFC prints, as it is.
pub(crate) fn anything<'a>() -> SignatureRules<'a> {
    SignatureRules {
        select: Select::Only,
        cover: &[],
        require: &["created"],
        algorithms: SignatureAlgorithms::ALL,
        ..SignatureRules::default()
    }
}

pub(crate) fn algorithm(vector: &Value) -> SignatureAlgorithm {
    SignatureAlgorithm::from_name(text(&vector["alg"])).unwrap()
}

/// Verifies, after having seen it refused with every other key and algorithm.
pub(crate) fn verify(signature: impl Fn() -> HttpSignature, vector: &Value, keys: &Value) {
    let algorithm = algorithm(vector);
    let secret = STANDARD
        .decode(text(&keys["test-shared-secret"]["k_base64"]))
        .unwrap();
    let shared = SharedKey::new(&secret).unwrap();
    let is_mac = algorithm == SignatureAlgorithm::HmacSha256;
    assert_eq!(signature().verify_shared(&shared).is_ok(), is_mac);
    for (name, jwk) in keys.as_object().unwrap() {
        if name == "test-shared-secret" {
            continue;
        }
        let key = public(jwk);
        for other in SignatureAlgorithm::ALL {
            let right = name == text(&vector["keyid"]) && other == algorithm && !is_mac;
            let verified = signature().verify_as(&key, other);
            assert_eq!(verified.is_ok(), right, "{name} with {other}");
        }
    }
}
