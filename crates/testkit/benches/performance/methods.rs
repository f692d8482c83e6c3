//! Requests with a token, for each method of binding.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use keybound_custody::SoftwareKey;
use keybound_guard::Fields;
use keybound_guard::workload::{BundleSource, TrustDomainConfig};
use keybound_proto::certificate::PeerCertificate;
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::signature::profile::PRESENTATION_TAG;
use keybound_proto::signature::{
    Component, SIGNATURE_KEY, SignatureInput, SignatureParameters, SignedRequest, signature_key,
};
use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;
use keybound_proto::uri::Origin;
use keybound_proto::workload::{
    TrustDomain, WorkloadProfile, WorkloadProofRequest, WorkloadTokenRules, proof_signing_input,
};
use keybound_testkit::{ProofDraft, sign_with};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bare::Bare;
use crate::checks::{ORIGIN, PATH, Request, Requests, World};
use crate::roles::{NOW, RESOURCE};

/// The workloads that the measured route takes.
pub(crate) const IDENTITIES: &str = "wimse://example.com/ns/prod/*";
const TRUST_DOMAIN: &str = "wimse://example.com";

/// How a token is bound.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Dpop,
    HttpSignature,
    Mtls,
    Wimse,
}

impl Method {
    pub(crate) const ALL: [Self; 4] = [Self::Dpop, Self::Mtls, Self::HttpSignature, Self::Wimse];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Dpop => "DPoP",
            Self::HttpSignature => "HTTP signature",
            Self::Mtls => "mTLS-bound",
            Self::Wimse => "WIMSE proof",
        }
    }

    /// What a check is measured against.
    pub(crate) const fn baseline(self, seen: bool) -> &'static str {
        match (self, seen) {
            (Self::Mtls, true) => "one SHA-256 of the token",
            (Self::Mtls, false) => "one bare verification, of the token",
            (Self::Dpop | Self::HttpSignature | Self::Wimse, true) => "one bare verification",
            (Self::Dpop | Self::HttpSignature | Self::Wimse, false) => {
                "bare verifications of token and proof"
            }
        }
    }

    /// What the issuer signs with, where `algorithm` is the one that is measured. A certificate
    /// needs no signature in the request, so there it is the token's; elsewhere it is the proof's.
    pub(crate) const fn issuer_algorithm(self, algorithm: Algorithm) -> Algorithm {
        match self {
            Self::Mtls => algorithm,
            Self::Dpop | Self::HttpSignature | Self::Wimse => Algorithm::Es256,
        }
    }
}

/// A trust domain, whose keys come from a file.
pub(crate) struct Mesh {
    key: SoftwareKey,
    pub(crate) domain: TrustDomainConfig,
    _folder: TempDir,
}

impl Mesh {
    pub(crate) fn new() -> Self {
        let key = SoftwareKey::generate(Algorithm::Es256).expect("a key");
        let folder = TempDir::new().expect("a temporary directory");
        let file = folder.path().join("bundle.json");
        let jwk = key.public_key().to_jwk_with("wi-1", Algorithm::Es256);
        std::fs::write(&file, format!("{{\"keys\":[{jwk}]}}")).expect("a writable directory");
        let name = TrustDomain::parse(TRUST_DOMAIN).expect("a trust domain");
        let rules = WorkloadTokenRules::new(name, WorkloadProfile::Wimse);
        Self {
            key,
            domain: TrustDomainConfig::new(rules, BundleSource::File(file)),
            _folder: folder,
        }
    }
}

/// So many requests with one token if it is to be `seen`, else each with its own.
pub(crate) fn requests(
    world: &World,
    (method, algorithm, seen): (Method, Algorithm, bool),
    count: usize,
) -> Requests {
    let holder = SoftwareKey::generate(algorithm).expect("a key");
    let certificate = certificate();
    let token = |number| match method {
        Method::Wimse => identity_token(&world.mesh.key, &holder, number),
        Method::Mtls => {
            let cnf = json!({"x5t#S256": certificate.thumbprint().to_string()});
            access_token(world, &cnf, number)
        }
        Method::Dpop | Method::HttpSignature => {
            let cnf = json!({"jkt": holder.public_key().thumbprint().to_string()});
            access_token(world, &cnf, number)
        }
    };
    let tokens: Vec<String> = if seen {
        vec![token(0); count]
    } else {
        (0..count).map(token).collect()
    };
    let mut bare = Vec::new();
    if !seen {
        let key = match method {
            Method::Wimse => &world.mesh.key,
            Method::Dpop | Method::HttpSignature | Method::Mtls => &world.issuer,
        };
        bare.push(Bare::jws(key, &tokens));
    }
    let requests = match method {
        Method::Dpop => dpop(&holder, &tokens, &mut bare),
        Method::HttpSignature => signed(&holder, &tokens, &mut bare),
        Method::Mtls => {
            if seen {
                bare.push(Bare::Hash(tokens.clone()));
            }
            tokens
                .iter()
                .map(|token| mtls(token, &certificate))
                .collect()
        }
        Method::Wimse => workload(&holder, &tokens, &mut bare),
    };
    Requests { requests, bare }
}

/// A token as our issuer makes them.
fn access_token(world: &World, cnf: &Value, number: usize) -> String {
    let name = world.issuer.algorithm().name();
    let header = json!({"typ": "at+jwt", "alg": name, "kid": "kb-1"});
    let claims = json!({
        "iss": world.issuer_url, "sub": "payments-batch", "client_id": "payments-batch",
        "aud": RESOURCE, "scope": "approvals:read approvals:write",
        "jti": format!("tok_{number:022}"), "iat": NOW, "nbf": NOW, "exp": NOW + 300, "cnf": cnf,
    });
    sign_with(&world.issuer, &header, &claims)
}

fn identity_token(authority: &SoftwareKey, holder: &SoftwareKey, number: usize) -> String {
    let jwk = holder.public_key().to_jwk_with("own", holder.algorithm());
    let jwk: Value = serde_json::from_str(&jwk).expect("a JWK");
    let header = json!({"typ": "wit+jwt", "alg": authority.algorithm().name(), "kid": "wi-1"});
    let claims = json!({
        "sub": format!("{TRUST_DOMAIN}/ns/prod/pay"), "jti": format!("wit_{number:022}"),
        "iat": NOW, "exp": NOW + 300, "cnf": {"jwk": jwk},
    });
    sign_with(authority, &header, &claims)
}

/// A certificate that is in force.
fn certificate() -> PeerCertificate {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    let certificate = params.self_signed(&key).expect("a certificate");
    PeerCertificate::from_der(certificate.der(), Vec::new()).expect("a certificate")
}

fn dpop(holder: &SoftwareKey, tokens: &[String], bare: &mut Vec<Bare>) -> Vec<Request> {
    let url = format!("{ORIGIN}{PATH}");
    let now = UnixTime::from_secs(NOW);
    let prove = |token: &String| {
        ProofDraft::new(holder, "GET", &url, now)
            .ath(token)
            .sign(holder)
    };
    let proofs: Vec<String> = tokens.iter().map(prove).collect();
    bare.push(Bare::jws(holder, &proofs));
    let pairs = tokens.iter().zip(proofs);
    pairs
        .map(|(token, proof)| Request {
            authorization: Some(format!("DPoP {token}")),
            proof: Some(proof),
            ..Request::default()
        })
        .collect()
}

fn mtls(token: &str, certificate: &PeerCertificate) -> Request {
    Request {
        authorization: Some(format!("Bearer {token}")),
        certificate: Some(certificate.clone()),
        ..Request::default()
    }
}

fn signed(holder: &SoftwareKey, tokens: &[String], bare: &mut Vec<Bare>) -> Vec<Request> {
    let mut parts = Vec::new();
    let requests = tokens
        .iter()
        .enumerate()
        .map(|(number, token)| {
            let (request, part) = signed_request(holder, token, number);
            parts.push(part);
            request
        })
        .collect();
    bare.push(Bare::verify(holder, parts));
    requests
}

/// The request, and its signature base with the signature.
fn signed_request(
    holder: &SoftwareKey,
    token: &str,
    number: usize,
) -> (Request, (Vec<u8>, Vec<u8>)) {
    let authorization = format!("HTTPSig {token}");
    let mut headers = HeaderMap::new();
    set(&mut headers, "authorization", &authorization);
    let sent_key = signature_key("sig", holder.public_key());
    set(&mut headers, SIGNATURE_KEY, &sent_key);
    let names = ["@method", "@target-uri", "authorization", SIGNATURE_KEY];
    let covered = names.map(|name| Component::new(name).expect("a component"));
    let nonce = format!(
        "{}-{number:08}",
        &TokenHash::of(sent_key.as_bytes()).to_ath()[..24]
    );
    let parameters = SignatureParameters {
        created: Some(UnixTime::from_secs(NOW)),
        nonce: Some(&nonce),
        tag: Some(PRESENTATION_TAG),
        ..SignatureParameters::default()
    };
    let origin = Origin::parse(ORIGIN).expect("an origin");
    let fields = Fields(&headers);
    let request = SignedRequest {
        method: "GET",
        origin: &origin,
        request_target: PATH,
        fields: &fields,
        trailers: None,
    };
    let input = SignatureInput::new(request, &covered, parameters).expect("all is there");
    let base = input.bytes().to_vec();
    let signature = holder.sign(&base).expect("a software key signs");
    let made = input.attach("sig", &signature);
    set(&mut headers, "signature-input", &made.signature_input);
    set(&mut headers, "signature", &made.signature);
    let request = Request {
        authorization: Some(authorization),
        headers,
        ..Request::default()
    };
    (request, (base, signature))
}

fn workload(holder: &SoftwareKey, tokens: &[String], bare: &mut Vec<Bare>) -> Vec<Request> {
    let salt = holder.public_key().thumbprint().to_string();
    let prove = |(number, token): (usize, &String)| {
        let request = WorkloadProofRequest {
            audience: &format!("{ORIGIN}{PATH}"),
            jti: &format!("{}-{number:08}", &salt[..24]),
            made_at: UnixTime::from_secs(NOW),
            lifetime: 60,
            identity_token: &TokenHash::of(token.as_bytes()),
            access_token: None,
            transaction_token: None,
        };
        let input = proof_signing_input(&request, holder.algorithm().name());
        let signature = holder.sign(input.bytes()).expect("a software key signs");
        input.attach(&signature)
    };
    let proofs: Vec<String> = tokens.iter().enumerate().map(prove).collect();
    bare.push(Bare::jws(holder, &proofs));
    let pairs = tokens.iter().zip(&proofs);
    pairs
        .map(|(token, proof)| {
            let mut headers = HeaderMap::new();
            set(&mut headers, "workload-identity-token", token);
            set(&mut headers, "workload-proof-token", proof);
            Request {
                headers,
                ..Request::default()
            }
        })
        .collect()
}

fn set(headers: &mut HeaderMap, name: &'static str, text: &str) {
    let value = HeaderValue::from_str(text).expect("a field value");
    headers.insert(HeaderName::from_static(name), value);
}
