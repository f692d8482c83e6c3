//! Every vector of `vectors/signatures.json`, through the public steps of a verifier.

use std::collections::BTreeSet;
use std::path::PathBuf;

use keybound_proto::dpop::ProofWindow;
use keybound_proto::jose::PublicKey;
use keybound_proto::signature::agent::{AgentDirectory, AgentSignature};
use keybound_proto::signature::profile::{self, KeyIntroduction};
use keybound_proto::signature::{
    HttpSignature, SignatureAlgorithm, SignatureAlgorithms, SignatureRules, SignedRequest,
};
use keybound_proto::time::UnixTime;
use keybound_proto::uri::Origin;
use keybound_proto::{Cause, Rejection};
use serde_json::Value;

fn load(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../vectors")
        .join(name);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

struct Server {
    origin: Origin,
    window: ProofWindow,
    max_lifetime: u64,
    algorithms: SignatureAlgorithms,
    agent: PublicKey,
}

impl Server {
    fn new(server: &Value) -> Self {
        let algorithms: Vec<_> = server["algorithms"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| SignatureAlgorithm::from_name(name.as_str().unwrap()).unwrap())
            .collect();
        let keys = load("keys.json");
        let agent = keys["keys"]
            .as_array()
            .unwrap()
            .iter()
            .find(|key| key["name"] == "agent")
            .unwrap();
        let mut jwk = agent["jwk"].clone();
        jwk.as_object_mut().unwrap().remove("d");
        Self {
            origin: Origin::parse(server["origin"].as_str().unwrap()).unwrap(),
            window: ProofWindow {
                past: server["window"]["past"].as_u64().unwrap(),
                ahead: server["window"]["ahead"].as_u64().unwrap(),
            },
            max_lifetime: server["max_lifetime"].as_u64().unwrap(),
            algorithms: SignatureAlgorithms::of(&algorithms),
            agent: PublicKey::from_jwk(jwk.to_string().as_bytes()).unwrap(),
        }
    }

    fn rules(&self, name: &str) -> SignatureRules<'static> {
        match name {
            "presentation" => profile::presentation(self.window, self.algorithms),
            "token_request" => {
                profile::token_request(KeyIntroduction::Runtime, self.window, self.algorithms)
            }
            "wimse_request" => {
                profile::wimse_request(self.window, self.max_lifetime, self.algorithms)
            }
            other => panic!("no profile `{other}`"),
        }
    }

    fn check(
        &self,
        vector: &Value,
        request: &Value,
        seen: &mut BTreeSet<String>,
    ) -> Result<(), Rejection> {
        let now = UnixTime::from_secs(vector["now"].as_u64().unwrap());
        let headers = pairs(&request["headers"]);
        let signed = SignedRequest {
            method: request["method"].as_str().unwrap(),
            origin: &self.origin,
            request_target: request["target"].as_str().unwrap(),
            fields: &headers.as_slice(),
            trailers: None,
        };
        if let Some(directory) = vector.get("directory") {
            return agent(signed, directory, now);
        }
        let rules = self.rules(vector["profile"].as_str().unwrap());
        let signature = HttpSignature::read(&rules, signed, now)?;
        let key = signature.inline_key().unwrap_or(&self.agent).clone();
        let verified = signature.verify(&key)?;
        assert_eq!(verified.jkt(), Some(key.thumbprint()));
        let signature = verified.signature();
        if let Some(digest) = signature.content_digest() {
            digest.check(request["body"].as_str().unwrap().as_bytes())?;
        }
        let epoch = UnixTime::from_secs(vector["epoch"].as_u64().unwrap_or_default());
        if signature.created().is_none_or(|created| created <= epoch) {
            return Err(Cause::HttpsigEpoch.into());
        }
        if !seen.insert(signature.nonce().unwrap().to_owned()) {
            return Err(Cause::HttpsigReplayed.into());
        }
        Ok(())
    }
}

/// An agent without a token, with what its origin answers.
fn agent(signed: SignedRequest<'_>, directory: &Value, now: UnixTime) -> Result<(), Rejection> {
    let headers = pairs(&directory["headers"]);
    let origin = Origin::parse(directory["agent"].as_str().unwrap()).unwrap();
    let body = directory["body"].as_str().unwrap().as_bytes();
    let signature = AgentSignature::read(signed, now)?;
    let directory = AgentDirectory::read(&origin, (200, &headers.as_slice()), body, now)?;
    signature.verify(&directory).map(|_| ())
}

fn pairs(headers: &Value) -> Vec<(&str, &[u8])> {
    headers
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| {
            (
                pair[0].as_str().unwrap(),
                pair[1].as_str().unwrap().as_bytes(),
            )
        })
        .collect()
}

#[test]
fn every_signature_vector_is_answered_as_expected() {
    let file = load("signatures.json");
    let server = Server::new(&file["server"]);
    let mut wrong = Vec::new();
    let mut count = 0;
    for group in file["groups"].as_array().unwrap() {
        for vector in group["vectors"].as_array().unwrap() {
            let alone = std::slice::from_ref(vector);
            let steps = vector["steps"].as_array().map_or(alone, Vec::as_slice);
            let mut seen = BTreeSet::new();
            for step in steps {
                let result = server.check(vector, &step["request"], &mut seen);
                let got = result
                    .err()
                    .map_or("ok", |rejection| rejection.cause().id());
                let expected = step["expect"].as_str().unwrap();
                if got != expected {
                    wrong.push(format!("{}: expected {expected}, got {got}", vector["id"]));
                }
                count += 1;
            }
        }
    }
    assert!(count > 80, "only {count} vectors");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
