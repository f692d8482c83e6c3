//! A server that takes one token with requests signed by one key, without one of its checks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keybound_proto::jose::{Algorithm, PublicKey, Signer};
use keybound_proto::time::{Clock, ManualClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Where a server is lax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lax {
    Nowhere,
    Absent,
    /// This component need not be covered.
    Covered(&'static str),
    /// The digest is not compared with the body.
    Digest,
    /// The method in the base may be any.
    Method,
    /// The path in the base may be any of two.
    Path,
    /// `created` may be missing, or long ago.
    Created,
    /// `created` may be in the future.
    Future,
    Expires,
    Nonce,
    Algorithm,
    Label,
    /// One good signature among several is enough.
    Any,
    /// The signature is not verified.
    Signature,
    /// `alg` decides, and the public key is a secret for HMAC.
    Hmac,
}

struct Rules {
    lax: Lax,
    token: String,
    origin: String,
    key: PublicKey,
    algorithm: Algorithm,
    clock: ManualClock,
    seen: Mutex<BTreeSet<String>>,
}

/// Listens until the test ends; the origin.
pub(super) async fn start(token: &str, key: &dyn Signer, clock: &ManualClock, lax: Lax) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let rules = Arc::new(Rules {
        lax,
        token: token.to_owned(),
        origin: origin.clone(),
        key: key.public_key().clone(),
        algorithm: key.algorithm(),
        clock: clock.clone(),
        seen: Mutex::default(),
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let rules = Arc::clone(&rules);
            // A client may leave at any time.
            tokio::spawn(async move { serve(stream, &rules).await.ok() });
        }
    });
    origin
}

async fn serve(mut stream: TcpStream, rules: &Rules) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let fields: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = fields
        .get("content-length")
        .and_then(|text| text.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    let request = Request {
        method,
        target,
        fields: &fields,
        body: &body,
    };
    let status = if rules.allow(&request).is_some() {
        "200 OK"
    } else {
        "401 Unauthorized"
    };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

struct Request<'a> {
    method: &'a str,
    target: &'a str,
    fields: &'a BTreeMap<String, String>,
    body: &'a [u8],
}

impl Rules {
    fn allow(&self, request: &Request<'_>) -> Option<()> {
        let field = |name: &str| request.fields.get(name).map(String::as_str);
        (field("authorization") == Some(&format!("Bearer {}", self.token))).then_some(())?;
        let Some(inputs) = field("signature-input") else {
            return (self.lax == Lax::Absent).then_some(());
        };
        let digest = digest::digest(&digest::SHA256, request.body);
        let digest = format!("sha-256=:{}:", STANDARD.encode(digest));
        let same = field("content-digest") == Some(&digest);
        (same || self.lax == Lax::Digest).then_some(())?;
        let inputs: Vec<&str> = inputs.split(", ").collect();
        let signatures: Vec<&str> = field("signature")?.split(", ").collect();
        if self.lax == Lax::Any {
            let mut both = inputs.iter().zip(&signatures);
            let good = |(input, text): (&&str, &&str)| self.verify(request, input, text);
            return both.find_map(good);
        }
        match (inputs.as_slice(), signatures.as_slice()) {
            ([input], [signature]) => self.verify(request, input, signature),
            _ => None,
        }
    }

    fn verify(&self, request: &Request<'_>, input: &str, signature: &str) -> Option<()> {
        let (label, parameters) = input.split_once('=')?;
        let (other, signature) = signature.split_once('=')?;
        (label == other || self.lax == Lax::Label).then_some(())?;
        let (covered, rest) = parameters.strip_prefix('(')?.split_once(')')?;
        let covered: Vec<&str> = covered
            .split(' ')
            .filter(|name| !name.is_empty())
            .map(|name| name.trim_matches('"'))
            .collect();
        for name in ["@method", "@target-uri", "authorization", "content-digest"] {
            let spared = self.lax == Lax::Covered(name);
            (covered.contains(&name) || spared).then_some(())?;
        }
        let values: BTreeMap<&str, &str> = rest
            .split(';')
            .filter_map(|parameter| parameter.split_once('='))
            .map(|(name, value)| (name, value.trim_matches('"')))
            .collect();
        let bytes = STANDARD.decode(signature.trim_matches(':')).ok()?;
        let methods: &[&str] = match self.lax {
            Lax::Method => &["POST", "PATCH"],
            _ => &["POST"],
        };
        let paths: &[&str] = match self.lax {
            Lax::Path => &["/things", "/other"],
            _ => &["/things"],
        };
        let bases = methods.iter().flat_map(|method| {
            let base = |path: &&str| self.base(request, &covered, parameters, (*method, *path));
            paths.iter().map(base).collect::<Vec<_>>()
        });
        bases
            .flatten()
            .find(|base| self.is_signed(base.as_bytes(), &bytes, values.get("alg").copied()))?;
        self.fresh(&values)
    }

    fn base(
        &self,
        request: &Request<'_>,
        covered: &[&str],
        parameters: &str,
        (method, path): (&str, &str),
    ) -> Option<String> {
        let (own, query) = request.target.split_once('?')?;
        (own == "/things" && request.method == "POST").then_some(())?;
        let mut base = String::new();
        for name in covered {
            let value = match *name {
                "@method" => method.to_owned(),
                "@path" => path.to_owned(),
                "@target-uri" => format!("{}{path}?{query}", self.origin),
                field => request.fields.get(field)?.clone(),
            };
            base.push_str(&format!("\"{name}\": {value}\n"));
        }
        Some(format!("{base}\"@signature-params\": {parameters}"))
    }

    fn is_signed(&self, base: &[u8], signature: &[u8], named: Option<&str>) -> bool {
        let own = match self.algorithm {
            Algorithm::EdDsa => "ed25519",
            _ => "ecdsa-p256-sha256",
        };
        if self.lax == Lax::Hmac && named == Some("hmac-sha256") {
            let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.to_jwk().as_bytes());
            return hmac::verify(&key, base, signature).is_ok();
        }
        if named.is_some_and(|named| named != own) && self.lax != Lax::Algorithm {
            return false;
        }
        self.lax == Lax::Signature || self.key.verify(self.algorithm, base, signature).is_ok()
    }

    fn fresh(&self, values: &BTreeMap<&str, &str>) -> Option<()> {
        let now = self.clock.now_millis() / 1000;
        let number = |name| values.get(name).and_then(|text| text.parse::<u64>().ok());
        match number("created") {
            Some(created) => {
                (created <= now + 5 || self.lax == Lax::Future).then_some(())?;
                (created + 60 >= now || self.lax == Lax::Created).then_some(())?;
            }
            None => (self.lax == Lax::Created).then_some(())?,
        }
        let spared = matches!(self.lax, Lax::Expires | Lax::Created);
        (number("expires")? >= now || spared).then_some(())?;
        let nonce = (*values.get("nonce")?).to_owned();
        let mut seen = self.seen.lock().expect("no test panicked here");
        (seen.insert(nonce) || self.lax == Lax::Nonce).then_some(())
    }
}
