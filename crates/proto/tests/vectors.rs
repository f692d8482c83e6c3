//! Every vector of `vectors/requests.json` and `vectors/assertions.json`, through the public
//! steps a guard takes.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use keybound_proto::binding::{BindingMethod, BindingMethods};
use keybound_proto::certificate::PeerCertificate;
use keybound_proto::dpop::{NonceKey, NoncePolicy, NonceRole, ProofWindow};
use keybound_proto::jose::{Algorithm, AlgorithmSet, PublicKey};
use keybound_proto::time::UnixTime;
use keybound_proto::token::assertion::{AssertionRules, ClientKey, UnverifiedAssertion};
use keybound_proto::token::{AccessToken, IssuerRules, PresentedToken};
use keybound_proto::uri::Htu;
use keybound_proto::verify::{
    HeaderField, Message, NotRevoked, Presented, Profile, Received, Recorded, ReplayHashKey,
    Requirements, Verified,
};
use keybound_proto::{Cause, Rejection, base64url};
use serde_json::Value;

fn load(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../vectors")
        .join(name);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn algorithms(value: &Value) -> AlgorithmSet {
    let named: Vec<_> = value
        .as_array()
        .unwrap()
        .iter()
        .map(|name| Algorithm::from_name(name.as_str().unwrap()).unwrap())
        .collect();
    AlgorithmSet::of(&named)
}

/// The server the vectors describe.
struct Server {
    profile: Profile,
    rules: IssuerRules,
    keys: HashMap<String, PublicKey>,
    nonces: NonceKey,
    resource: String,
    scopes: Vec<String>,
    replay: ReplayHashKey,
}

impl Server {
    fn new(server: &Value) -> Self {
        let window = ProofWindow {
            past: server["window"]["past"].as_u64().unwrap(),
            ahead: server["window"]["ahead"].as_u64().unwrap(),
        };
        let keys = server["jwks"]["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| {
                let parsed = PublicKey::from_jwk(key.to_string().as_bytes()).unwrap();
                (text(&key["kid"]), parsed)
            });
        let secret = base64url::decode_exact(text(&server["nonce"]["secret"]).as_bytes()).unwrap();
        Self {
            profile: Profile {
                proof_algorithms: algorithms(&server["proof_algorithms"]),
                window,
                max_token_bytes: 8192,
                max_proof_bytes: 8192,
                opaque_tokens: false,
            },
            rules: IssuerRules {
                ahead: window.ahead,
                ..IssuerRules::new(
                    text(&server["issuer"]),
                    algorithms(&server["token_algorithms"]),
                )
            },
            keys: keys.collect(),
            nonces: NonceKey::new(&secret, NonceRole::ResourceServer, 0, 300),
            resource: text(&server["resource"]),
            scopes: vec![text(&server["scopes"][0])],
            replay: ReplayHashKey::new(&[5; 32]),
        }
    }

    /// The token, if it verifies: what a cache of verified tokens would hold.
    fn verified_token(
        &self,
        received: &Received<'_>,
        now: UnixTime,
    ) -> Result<Arc<AccessToken>, Rejection> {
        let unverified = received.bare_token(&self.profile)?;
        self.verify(&unverified, now)
    }

    fn verify(
        &self,
        unverified: &PresentedToken<'_>,
        now: UnixTime,
    ) -> Result<Arc<AccessToken>, Rejection> {
        let PresentedToken::Jwt(unverified) = unverified else {
            return Err(Cause::TokenMalformed.into());
        };
        if unverified.query().issuer != self.rules.issuer {
            return Err(Cause::TokenIssuerUnknown.into());
        }
        let any = self.keys.values().next().unwrap();
        let key = match &unverified.query().kid {
            Some(kid) => self.keys.get(kid).ok_or(Cause::TokenKeyUnknown)?,
            None => any,
        };
        unverified.verify(&self.rules, key, now).map(Arc::new)
    }

    /// `known`: whether the verified token is already in a cache.
    fn check(&self, vector: &Value, known: bool) -> Result<Verified, Rejection> {
        let now = UnixTime::from_secs(vector["now"].as_u64().unwrap());
        let request = &vector["request"];
        let target = Htu::parse(request["url"].as_str().unwrap()).unwrap();
        let headers: Vec<(String, String)> = request["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (text(&pair[0]).to_lowercase(), text(&pair[1])))
            .collect();
        let field = |name: &str| {
            HeaderField::of(
                headers
                    .iter()
                    .filter(|(named, _)| named == name)
                    .map(|(_, value)| value.as_bytes()),
            )
        };
        let certificate = vector["certificate"].as_str().map(|text| {
            let der = base64url::decode(text.as_bytes()).unwrap();
            PeerCertificate::from_der(&der, Vec::new()).unwrap()
        });
        let presented = Presented {
            method: request["method"].as_str().unwrap(),
            target: &target,
            authorization: field("authorization"),
            proof: field("dpop"),
            message: Message {
                certificate: certificate.as_ref(),
                certificate_hash: vector["certificate_hash"]
                    .as_str()
                    .map(|text| text.parse().unwrap()),
                has_content: request["body"].is_string(),
                ..Message::default()
            },
        };
        let nonces = NoncePolicy {
            key: &self.nonces,
            required: vector["nonce_required"].as_bool().unwrap_or(false),
        };
        let received = Received::read(&self.profile, presented)?;
        let cached = known
            .then(|| self.verified_token(&received, now).ok())
            .flatten();
        let unkeyed = received.begin(&self.profile, cached.as_ref(), &nonces, now)?;
        let token = match (cached, unkeyed.unverified()) {
            (Some(token), None) => token,
            (_, Some(unverified)) => self.verify(unverified, now)?,
            (None, None) => panic!("neither known nor to be verified"),
        };
        let requirements = Requirements {
            audience: &self.resource,
            issuers: None,
            scopes: &self.scopes,
            nonce_clients: &[],
            methods: methods(vector),
            cover_content: vector["cover_content"].as_bool().unwrap_or(false),
        };
        let unjudged = unkeyed.with_token(token, &requirements, now)?;
        let not_revoked = NotRevoked::assertion(&unjudged.revocation_query());
        let unredeemed = unjudged.judge(&not_revoked, &self.replay)?;
        let recorded = unredeemed.replay_query().map(Recorded::assertion);
        let content = match unredeemed.expected_content() {
            Some(expected) => Some(expected.check(text(&request["body"]).as_bytes())?),
            None => None,
        };
        unredeemed.redeem(recorded, content)
    }
}

/// The methods the vector's route takes; every one, unless it says otherwise.
fn methods(vector: &Value) -> BindingMethods {
    let Some(names) = vector["binding_methods"].as_array() else {
        return BindingMethods::ALL;
    };
    let method = |name: &Value| BindingMethod::from_name(&text(name)).unwrap();
    BindingMethods::of(&names.iter().map(method).collect::<Vec<_>>())
}

fn id(result: &Result<impl Sized, Rejection>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(rejection) => rejection.cause().id(),
    }
}

#[test]
fn every_request_vector_is_answered_as_expected() {
    let file = load("requests.json");
    let server = Server::new(&file["server"]);
    let mut wrong = Vec::new();
    let mut count = 0;
    for group in file["groups"].as_array().unwrap() {
        for vector in group["vectors"].as_array().unwrap() {
            for known in [false, true] {
                let result = server.check(vector, known);
                let (got, expected) = (id(&result), vector["expect"].as_str().unwrap());
                if got != expected {
                    wrong.push(format!(
                        "{} (known: {known}): expected {expected}, got {got}",
                        vector["id"]
                    ));
                }
                count += 1;
            }
        }
    }
    assert!(count > 200, "only {count} vectors");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_assertion_vector_is_answered_as_expected() {
    let file = load("assertions.json");
    let keys: Vec<ClientKey> = file["client"]["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| ClientKey {
            kid: Some(text(&key["kid"])),
            key: PublicKey::from_jwk(key.to_string().as_bytes()).unwrap(),
        })
        .collect();
    let issuer = text(&file["server"]["issuer"]);
    let rules = AssertionRules {
        issuer: &issuer,
        algorithms: algorithms(&file["server"]["algorithms"]),
        max_lifetime: file["server"]["max_lifetime"].as_u64().unwrap(),
        ahead: file["server"]["ahead"].as_u64().unwrap(),
    };
    for vector in file["vectors"].as_array().unwrap() {
        let now = UnixTime::from_secs(vector["now"].as_u64().unwrap());
        let result = UnverifiedAssertion::parse(vector["assertion"].as_str().unwrap())
            .and_then(|unverified| unverified.verify(&keys, &rules, now));
        assert_eq!(
            id(&result),
            vector["expect"].as_str().unwrap(),
            "{}",
            vector["id"]
        );
    }
}

/// The proofs the RFC prints are accepted at the moment they were made.
#[test]
fn the_proofs_of_rfc_9449_verify() {
    let file = load("rfc/rfc9449_dpop.json");
    for proof in file["proofs"].as_array().unwrap() {
        let payload = &proof["payload"];
        let target = Htu::parse(payload["htu"].as_str().unwrap()).unwrap();
        let nonces = NonceKey::new(&[0; 32], NonceRole::AuthorizationServer, 0, 300);
        let presented = keybound_proto::verify::ProofPresented {
            method: payload["htm"].as_str().unwrap(),
            target: &target,
            proof: HeaderField::One(proof["jwt"].as_str().unwrap().as_bytes()),
        };
        let policy = NoncePolicy {
            key: &nonces,
            required: false,
        };
        let made = UnixTime::from_secs(payload["iat"].as_u64().unwrap());
        let check = |now| {
            keybound_proto::verify::begin_proof(&Profile::default(), &presented, &policy, now)
        };
        assert_eq!(id(&check(made.plus(61))), "dpop.iat.past");
        assert_eq!(id(&check(made.minus(11))), "dpop.iat.future");
        assert_eq!(
            check(made).unwrap().jkt().to_string(),
            proof["jkt"].as_str().unwrap()
        );
    }
}
