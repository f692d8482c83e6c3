//! What the standards print about HTTP message signatures: RFC 9421 appendix B, byte for byte;
//! draft-richer-oauth-httpsig; Web Bot Auth; WIMSE.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keybound_proto::dpop::ProofWindow;
use keybound_proto::jose::PublicKey;
use keybound_proto::signature::profile::{self, KeyIntroduction};
use keybound_proto::signature::{
    Cover, DigestAlgorithm, ExpectedDigest, HttpSignature, Select, SharedKey, SignatureAlgorithm,
    SignatureAlgorithms, SignatureRules, SignedMessage, SignedRequest, SignedResponse,
    content_digest,
};
use keybound_proto::time::UnixTime;
use keybound_proto::uri::Origin;
use serde_json::{Value, json};

type Fields = Vec<(String, Vec<u8>)>;

fn load(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../vectors/rfc")
        .join(name);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The public half of a printed JWK.
fn public(jwk: &Value) -> PublicKey {
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
struct Printed {
    first: String,
    fields: Fields,
    body: String,
}

impl Printed {
    fn parse(message: &str) -> Self {
        let (head, body) = message.split_once("\n\n").unwrap_or((message, ""));
        let (first, fields) = head.split_once('\n').unwrap();
        Self {
            first: first.to_owned(),
            fields: field_lines(fields),
            body: body.to_owned(),
        }
    }

    fn header(&self, name: &str) -> String {
        let (_, value) = self.fields.iter().find(|(known, _)| known == name).unwrap();
        String::from_utf8(value.clone()).unwrap()
    }

    fn add(&mut self, name: &str, value: &str) {
        self.fields
            .push((name.to_owned(), value.as_bytes().to_vec()));
    }

    /// Reads the message as a request to `https` at its `Host`.
    fn read(&self, rules: &SignatureRules<'_>, now: u64) -> Result<HttpSignature, &'static str> {
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

fn field_lines(text: &str) -> Fields {
    text.lines()
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_lowercase(), value.trim().as_bytes().to_vec())
        })
        .collect()
}

fn views(fields: &Fields) -> Vec<(&str, &[u8])> {
    fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_slice()))
        .collect()
}

/// When the messages of the RFC were signed.
const CREATED: u64 = 1_618_884_473;

/// A policy without demands of its own: what the RFC prints, as it is.
fn anything<'a>() -> SignatureRules<'a> {
    SignatureRules {
        select: Select::Only,
        cover: &[],
        require: &["created"],
        algorithms: SignatureAlgorithms::ALL,
        ..SignatureRules::default()
    }
}

fn algorithm(vector: &Value) -> SignatureAlgorithm {
    SignatureAlgorithm::from_name(text(&vector["alg"])).unwrap()
}

/// Verifies, after having seen it refused with every other key and algorithm.
fn verify(signature: impl Fn() -> HttpSignature, vector: &Value, keys: &Value) {
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

#[test]
fn rfc_9421_b_2_signatures() {
    let file = load("rfc9421_httpsig.json");
    let recomputed = text(&file["test_response_content_digest_recomputed"]);
    let mut count = 0;
    for vector in file["vectors"].as_array().unwrap() {
        let Some(target) = vector["target"].as_str() else {
            continue;
        };
        let mut printed = Printed::parse(text(&file["test_request"]));
        let label = text(&vector["label"]);
        let signature = format!("{label}=:{}:", text(&vector["signature_b64"]));
        let input = format!("{label}={}", text(&vector["signature_input"]));
        if target == "response" {
            printed.fields = field_lines(&format!(
                "Date: Tue, 20 Apr 2021 02:07:56 GMT\nContent-Type: application/json\n\
                 Content-Digest: {recomputed}\nContent-Length: 23"
            ));
        }
        printed.add("signature-input", &input);
        printed.add("signature", &signature);
        let read = || {
            if target == "request" {
                return printed.read(&anything(), CREATED).unwrap();
            }
            let lines = views(&printed.fields);
            let response = SignedResponse {
                status: 200,
                fields: &lines.as_slice(),
                trailers: None,
                request: None,
            };
            HttpSignature::read(&anything(), response, UnixTime::from_secs(CREATED)).unwrap()
        };
        assert_eq!(
            read().signature_base(),
            text(&vector["signature_base"]),
            "{label}"
        );
        assert_eq!(read().keyid(), vector["keyid"].as_str());
        verify(read, vector, &file["keys"]);
        count += 1;
    }
    assert_eq!(count, 6);
}

#[test]
fn rfc_9421_digests_are_those_of_the_printed_content() {
    let file = load("rfc9421_httpsig.json");
    let printed = Printed::parse(text(&file["test_request"]));
    let lines = views(&printed.fields);
    let expected = ExpectedDigest::read(&lines.as_slice()).unwrap().unwrap();
    assert!(expected.check(b"{\"hello\": \"World\"}").is_err());
    assert!(expected.check(printed.body.as_bytes()).is_ok());
    assert_eq!(
        content_digest(
            DigestAlgorithm::Sha512,
            text(&file["test_response_body"]).as_bytes()
        ),
        text(&file["test_response_content_digest_recomputed"])
    );
}

#[test]
fn rfc_9421_b_3_terminated_tls() {
    let file = load("rfc9421_httpsig.json");
    let vector = &file["vectors"].as_array().unwrap()[6];
    assert_eq!(vector["label"], "ttrp");
    let printed = Printed::parse(text(&vector["http"]));
    let read = || printed.read(&anything(), CREATED).unwrap();
    assert_eq!(read().signature_base(), text(&vector["signature_base"]));
    assert!(read().covers("client-cert"));
    verify(read, vector, &file["keys"]);
}

#[test]
fn rfc_9421_b_4_transformed_messages() {
    let file = load("rfc9421_httpsig.json");
    let vector = &file["vectors"].as_array().unwrap()[7];
    let key = public(&file["keys"]["test-key-ed25519"]);
    let mut valid = 0;
    for message in vector["messages"].as_array().unwrap() {
        let printed = Printed::parse(text(&message["http"]));
        let signature = printed.read(&anything(), CREATED).unwrap();
        let expected = message["signature_must_verify"].as_bool().unwrap();
        let same = signature.signature_base() == text(&vector["signature_base"]);
        assert_eq!(same, expected, "{}", printed.first);
        assert_eq!(
            signature.verify(&key).is_ok(),
            expected,
            "{}",
            printed.first
        );
        valid += usize::from(expected);
    }
    assert_eq!(
        (valid, vector["messages"].as_array().unwrap().len()),
        (4, 6)
    );
}

#[test]
fn oauth_httpsig_messages() {
    let file = load("oauth_httpsig_draft.json");
    let ed25519 = public(&file["ed25519_client_key"]);
    let point = p256_point(text(&file["p256_key_pem"]));
    let p256 = PublicKey::from_ec_point(keybound_proto::jose::Curve::P256, &point).unwrap();
    let window = ProofWindow::default();
    let curves = SignatureAlgorithms::CURVES;
    for vector in file["vectors"].as_array().unwrap() {
        let name = text(&vector["file"]);
        let printed = Printed::parse(text(&vector["http"]));
        let (rules, created) = match name {
            "token-request-signed.http" => (
                profile::token_request(KeyIntroduction::Runtime, window, curves),
                CREATED,
            ),
            "token-request-prereg-signed.http" => (
                profile::token_request(KeyIntroduction::Preregistered, window, curves),
                CREATED,
            ),
            _ => (profile::presentation(window, curves), 1_776_650_875),
        };
        let key = if text(&vector["alg"]) == "ed25519" {
            &ed25519
        } else {
            &p256
        };
        let other = if key == &p256 { &ed25519 } else { &p256 };
        let read = |now| printed.read(&rules, now);
        assert_eq!(read(created + 61).err(), Some("httpsig.created.past"));
        assert_eq!(read(created - 11).err(), Some("httpsig.created.future"));
        let signature = || read(created).unwrap();
        assert_eq!(
            signature().signature_base(),
            text(&vector["signature_base"])
        );
        assert!(signature().verify(other).is_err(), "{name}");
        if name == "token-request-signed.http" {
            assert_eq!(signature().inline_key(), Some(&ed25519));
            let digest = signature().content_digest().cloned().unwrap();
            assert!(digest.check(b"").is_err());
            assert!(
                digest
                    .check(text(&file["token_request_body"]).as_bytes())
                    .is_ok()
            );
        }
        assert!(signature().verify(key).is_ok(), "{name}");
    }
}

/// The point at the end of a PKCS#8 document of a P-256 key (RFC 5915).
fn p256_point(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let document = STANDARD.decode(body).unwrap();
    document[document.len() - 65..].to_vec()
}

#[test]
fn web_bot_auth_messages() {
    let keys = &load("rfc9421_httpsig.json")["keys"];
    let file = load("web_bot_auth.json");
    for vector in file["vectors"].as_array().unwrap() {
        let fields = field_lines(text(&vector["headers"]));
        let lines = views(&fields);
        let is_directory = text(&vector["name"]).contains("Directory");
        let authority = if is_directory {
            "signature-agent.test"
        } else {
            "example.com"
        };
        let origin = Origin::parse(&format!("https://{authority}")).unwrap();
        let request = SignedRequest {
            method: "GET",
            origin: &origin,
            request_target: "/",
            fields: &lines.as_slice(),
            trailers: None,
        };
        let message = if is_directory {
            SignedMessage::Response(SignedResponse {
                status: 200,
                fields: &lines.as_slice(),
                trailers: None,
                request: Some(request),
            })
        } else {
            SignedMessage::Request(request)
        };
        let rules = SignatureRules {
            window: ProofWindow {
                past: 86_400,
                ahead: 0,
            },
            ..anything()
        };
        let created = 1_735_689_600;
        let read = |now| HttpSignature::read(&rules, message, UnixTime::from_secs(now));
        assert!(read(created - 1).is_err(), "made in the future");
        let signature = read(created).unwrap();
        assert_eq!(signature.signature_base(), text(&vector["signature_base"]));
        let key = if text(&vector["alg"]) == "ed25519" {
            public(&keys["test-key-ed25519"])
        } else {
            public(&keys["test-key-rsa-pss"])
        };
        assert_eq!(signature.keyid().unwrap(), key.thumbprint().to_string());
        assert!(signature.verify(&key).is_ok(), "{}", vector["name"]);
    }
}

#[test]
fn wimse_messages() {
    let file = load("wimse.json");
    let messages = &file["http_signature"];
    let window = ProofWindow {
        past: 600,
        ahead: 10,
    };
    let rules = profile::wimse_request(window, 300, SignatureAlgorithms::CURVES);
    let printed = Printed::parse(text(&messages["request"]));
    let created = 1_785_155_797;
    assert_eq!(
        printed.read(&rules, created + 300).err(),
        Some("httpsig.expired")
    );
    let signature = printed.read(&rules, created).unwrap();
    assert_eq!(
        signature.signature_base(),
        text(&messages["request_signature_base"])
    );
    assert_eq!(
        signature.text_parameter("wimse-aud"),
        Some("https://svcb.example.com/gimme-ice-cream")
    );
    assert!(signature.flag_parameter("wimse-sign-response"));
    assert!(!signature.flag_parameter("wimse-aud"));
    let nonce = signature.nonce().unwrap().to_owned();
    assert!(
        printed
            .read(&rules, created)
            .unwrap()
            .verify(&public(&messages["callee_jwk"]))
            .is_err()
    );
    assert!(signature.verify(&public(&messages["caller_jwk"])).is_ok());

    let answer = Printed::parse(text(&messages["response"]));
    let origin = Origin::parse("https://svcb.example.com").unwrap();
    let (asked, lines) = (views(&printed.fields), views(&answer.fields));
    let (asked, lines) = (asked.as_slice(), lines.as_slice());
    let response = |request_target| SignedResponse {
        status: 404,
        fields: &lines,
        trailers: None,
        request: Some(SignedRequest {
            method: "GET",
            origin: &origin,
            request_target,
            fields: &asked,
            trailers: None,
        }),
    };
    // The printed answer lives two seconds longer than its request.
    let rules = profile::wimse_response(window, 302, SignatureAlgorithms::CURVES);
    let read = |target| {
        HttpSignature::read(&rules, response(target), UnixTime::from_secs(created)).unwrap()
    };
    let key = public(&messages["callee_jwk"]);
    assert!(
        read("/other").verify(&key).is_err(),
        "an answer to another request"
    );
    let signature = read("/gimme-ice-cream?flavor=vanilla");
    assert_eq!(
        signature.signature_base(),
        text(&messages["response_signature_base"])
    );
    assert_eq!(
        signature.text_parameter("wimse-req-nonce"),
        Some(nonce.as_str())
    );
    let digest = signature.content_digest().cloned().unwrap();
    assert!(
        digest.check(answer.body.as_bytes()).is_err(),
        "printed without its line ends"
    );
    assert!(
        digest
            .check(text(&messages["response_body_exact"]).as_bytes())
            .is_ok()
    );
    assert!(signature.verify(&key).is_ok());
}

/// RFC 9421 sections 2.1.1 to 2.1.4: fields as the RFC prints them, and what they become.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn rfc_9421_section_2_fields() {
    let fields = field_lines(
        "Host: www.example.com\nDate: Tue, 20 Apr 2021 02:07:56 GMT\n\
         X-OWS-Header:   Leading and trailing whitespace.   \nX-Empty-Header:\n\
         Cache-Control: max-age=60\nCache-Control:    must-revalidate\n\
         Example-Dict:  a=1,    b=2;x=1;y=2,   c=(a   b   c), d\n\
         Example-Header: value, with, lots\nExample-Header: of, commas\n\
         Signature-Agent:   a=1,   b=2;x=1;y=2",
    );
    let lines = views(&fields);
    let origin = Origin::parse("https://www.example.com").unwrap();
    let value = |input: &str, target: &str, trailers: Option<&[(&str, &[u8])]>| {
        let covered = format!("sig=({input});created={CREATED}");
        let mut lines = lines.clone();
        lines.push(("signature-input", covered.as_bytes()));
        lines.push(("signature", b"sig=:AAAA:"));
        let trailers = trailers.as_ref();
        let request = SignedRequest {
            method: "POST",
            origin: &origin,
            request_target: target,
            fields: &lines.as_slice(),
            trailers: trailers.map(|trailers| trailers as _),
        };
        HttpSignature::read(&anything(), request, UnixTime::from_secs(CREATED))
            .map(|signature| {
                let (first, _) = signature.signature_base().split_once('\n').unwrap();
                first.to_owned()
            })
            .map_err(|rejection| rejection.cause().id())
    };
    for (input, target, expected) in [
        (
            "\"x-ows-header\"",
            "/",
            "\"x-ows-header\": Leading and trailing whitespace.",
        ),
        ("\"x-empty-header\"", "/", "\"x-empty-header\": "),
        (
            "\"cache-control\"",
            "/",
            "\"cache-control\": max-age=60, must-revalidate",
        ),
        (
            "\"example-dict\"",
            "/",
            "\"example-dict\": a=1,    b=2;x=1;y=2,   c=(a   b   c), d",
        ),
        (
            "\"signature-agent\";sf",
            "/",
            "\"signature-agent\";sf: a=1, b=2;x=1;y=2",
        ),
        (
            "\"example-dict\";key=\"a\"",
            "/",
            "\"example-dict\";key=\"a\": 1",
        ),
        (
            "\"example-dict\";key=\"b\"",
            "/",
            "\"example-dict\";key=\"b\": 2;x=1;y=2",
        ),
        (
            "\"example-dict\";key=\"c\"",
            "/",
            "\"example-dict\";key=\"c\": (a b c)",
        ),
        (
            "\"example-dict\";key=\"d\"",
            "/",
            "\"example-dict\";key=\"d\": ?1",
        ),
        (
            "\"example-header\";bs",
            "/",
            "\"example-header\";bs: :dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:",
        ),
        ("\"@method\"", "/", "\"@method\": POST"),
        (
            "\"@target-uri\"",
            "/path?param=value",
            "\"@target-uri\": https://www.example.com/path?param=value",
        ),
        ("\"@authority\"", "/", "\"@authority\": www.example.com"),
        ("\"@scheme\"", "/", "\"@scheme\": https"),
        (
            "\"@request-target\"",
            "/path?param=value",
            "\"@request-target\": /path?param=value",
        ),
        ("\"@path\"", "/path?param=value", "\"@path\": /path"),
        ("\"@path\"", "", "\"@path\": /"),
        (
            "\"@query\"",
            "/path?param=value&foo=bar&baz=bat%2Dman",
            "\"@query\": ?param=value&foo=bar&baz=bat%2Dman",
        ),
        (
            "\"@query\"",
            "/path?queryString",
            "\"@query\": ?queryString",
        ),
        ("\"@query\"", "/path", "\"@query\": ?"),
        (
            "\"@query-param\";name=\"baz\"",
            "/path?param=value&foo=bar&baz=batman&qux=",
            "\"@query-param\";name=\"baz\": batman",
        ),
    ] {
        assert_eq!(value(input, target, None).as_deref(), Ok(expected));
    }
    let trailers: &[(&str, &[u8])] = &[("expires", b"Wed, 9 Nov 2022 07:28:00 GMT")];
    assert_eq!(value("\"expires\";tr", "/", None), Err("httpsig.component"));
    assert_eq!(
        value("\"expires\"", "/", Some(trailers)),
        Err("httpsig.component")
    );
    assert_eq!(
        value("\"expires\";tr", "/", Some(trailers)).as_deref(),
        Ok("\"expires\";tr: Wed, 9 Nov 2022 07:28:00 GMT")
    );
    for refused in [
        "\"example-dict\";sf",
        "\"example-dict\";key=\"q\"",
        "\"x-ows-header\";key=\"a\"",
        "\"example-header\";bs;key=\"a\"",
        "\"signature-agent\";bs;sf",
        "\"date\";sf=?0",
        "\"date\";req",
        "\"date\";name=\"x\"",
        "\"@query-param\"",
        "\"@path\";name=\"x\"",
        "\"@path\";key=\"x\"",
        "\"@path\";tr",
        "\"@path\";bs",
        "date",
        "1",
        "\"\"",
        "\"@\"",
        "\"date\" \"date\"",
        "\"date\";bs \"date\";bs",
        "\"da te\"",
        "\"date:\"",
    ] {
        assert_eq!(
            value(refused, "/path?x=1", None),
            Err("httpsig.component"),
            "{refused}"
        );
    }
    // The order of component parameters does not make two components of one.
    let twice = "\"signature-agent\";sf;key=\"a\" \"signature-agent\";key=\"a\";sf";
    assert_eq!(value(twice, "/", None), Err("httpsig.component"));
}

/// RFC 9421 section 2.4: an answer's signature covers parts of its request, its signature too.
#[test]
fn rfc_9421_2_4_request_response_binding() {
    let origin = Origin::parse("https://origin.host.internal.example").unwrap();
    let asked: &[(&str, &[u8])] = &[("signature", b"sig1=:AAAA:"), ("date", b"today")];
    let fields: &[(&str, &[u8])] = &[
        (
            "signature-input",
            b"sig=(\"@status\" \"@path\";req \"signature\";req;key=\"sig1\");created=1618884473",
        ),
        ("signature", b"sig=:AAAA:"),
    ];
    let read = |request| {
        let response = SignedResponse {
            status: 503,
            fields: &fields,
            trailers: None,
            request,
        };
        let rules = SignatureRules {
            cover: const { &[Cover::always("@status")] },
            ..anything()
        };
        HttpSignature::read(&rules, response, UnixTime::from_secs(CREATED))
    };
    assert!(read(None).is_err(), "the request is not known");
    let signature = read(Some(SignedRequest {
        method: "POST",
        origin: &origin,
        request_target: "/foo?x",
        fields: &asked,
        trailers: None,
    }));
    assert!(signature.unwrap().signature_base().starts_with(
        "\"@status\": 503\n\"@path\";req: /foo\n\"signature\";req;key=\"sig1\": :AAAA:\n\"@signature-params\": "
    ));
}
