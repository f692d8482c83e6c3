//! Every vector of `vectors/workloads.json`, and the examples printed in the WIMSE drafts and in
//! SPIFFE, through the public steps a guard takes.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use keybound_proto::binding::{BindingMethod, BindingMethods};
use keybound_proto::certificate::PeerCertificate;
use keybound_proto::dpop::ProofWindow;
use keybound_proto::fields::FieldLines;
use keybound_proto::jose::{Algorithm, AlgorithmSet, PublicKey};
use keybound_proto::signature::{SignatureAlgorithms, SignedRequest, SignedResponse};
use keybound_proto::time::UnixTime;
use keybound_proto::token::{AccessToken, TokenHash};
use keybound_proto::uri::{Htu, Origin};
use keybound_proto::verify::{
    HeaderField, Message, NotRevoked, Presented, Profile, Recorded, ReplayHashKey, Requirements,
    WorkloadPolicy, WorkloadReceived,
};
use keybound_proto::workload::{
    IdentityRule, JwtSvidRules, ProofContext, TrustBundle, TrustDomain, UnverifiedJwtSvid,
    WorkloadHeaders, WorkloadIdentityToken, WorkloadProfile, WorkloadProof, WorkloadProofRules,
    WorkloadSignature, WorkloadSignatureRules, WorkloadTokenRules, X509Svid,
};
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

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(text).collect()
}

struct Fields(Vec<(String, String)>);

impl FieldLines for Fields {
    fn lines<'s>(&'s self, name: &str) -> Vec<&'s [u8]> {
        let named = self.0.iter().filter(|(field, _)| field == name);
        named.map(|(_, value)| value.as_bytes()).collect()
    }
}

impl Fields {
    fn of(value: &Value) -> Self {
        let pairs = value.as_array().unwrap().iter();
        Self(
            pairs
                .map(|pair| (text(&pair[0]).to_lowercase(), text(&pair[1])))
                .collect(),
        )
    }

    fn access_token(&self) -> Option<TokenHash> {
        let line = self.lines("authorization").first().copied()?;
        Some(TokenHash::of(line.strip_prefix(b"Bearer ")?))
    }
}

/// The server the vectors describe.
struct Server {
    domains: Vec<(WorkloadTokenRules, TrustBundle)>,
    identities: Vec<IdentityRule>,
    audiences: Vec<String>,
    other_tokens: Vec<String>,
    algorithms: AlgorithmSet,
    max_lifetime: u64,
    ahead: u64,
    used: HashSet<u128>,
}

impl Server {
    fn new(server: &Value) -> Self {
        let domain = |domain: &Value| {
            let rules = WorkloadTokenRules {
                issuers: texts(&domain["issuers"]),
                max_lifetime: domain["max_lifetime"].as_u64().unwrap(),
                ahead: domain["ahead"].as_u64().unwrap(),
                ..WorkloadTokenRules::new(
                    TrustDomain::parse(&text(&domain["name"])).unwrap(),
                    WorkloadProfile::Wimse,
                )
            };
            let bundle = domain["bundle"].to_string();
            let bundle = TrustBundle::parse(bundle.as_bytes(), rules.profile).unwrap();
            (rules, bundle)
        };
        let rule = |text: &String| IdentityRule::parse(text).unwrap();
        Self {
            domains: server["trust_domains"]
                .as_array()
                .unwrap()
                .iter()
                .map(domain)
                .collect(),
            identities: texts(&server["identities"]).iter().map(rule).collect(),
            audiences: texts(&server["audiences"]),
            other_tokens: texts(&server["other_tokens"]),
            algorithms: texts(&server["proof_algorithms"])
                .iter()
                .map(|name| Algorithm::from_name(name).unwrap())
                .collect(),
            max_lifetime: server["proof_max_lifetime"].as_u64().unwrap(),
            ahead: server["ahead"].as_u64().unwrap(),
            used: HashSet::new(),
        }
    }

    fn check(&mut self, vector: &Value) -> Result<AccessToken, Rejection> {
        let now = UnixTime::from_secs(vector["now"].as_u64().unwrap());
        let fields = Fields::of(&vector["headers"]);
        let target = Htu::parse(vector["url"].as_str().unwrap()).unwrap();
        let rules = WorkloadProofRules {
            target: &target,
            audiences: &self.audiences,
            algorithms: self.algorithms,
            max_bytes: 8192,
            max_lifetime: self.max_lifetime,
            ahead: self.ahead,
            other_tokens: &self.other_tokens,
        };
        let headers = WorkloadHeaders::read(&fields)?.ok_or(Cause::AuthorizationAbsent)?;
        if vector["method"].is_string() {
            return self.check_signed(vector, &headers, &fields);
        }
        if fields.access_token().is_none() {
            return self.check_states(vector, &fields, (&target, now));
        }
        // Beside an access token the proof has to name it; the two together are no credential
        // of a guard yet, so the steps are taken one by one.
        let unverified = WorkloadIdentityToken::parse(headers.identity_token(), 8192)?;
        let proof = WorkloadProof::read(headers.required_proof()?, &rules, now)?;
        let token = self.verify(&unverified, now)?;
        let context = ProofContext {
            identity_token: token.hash(),
            access_token: fields.access_token(),
            fields: &fields,
        };
        proof.verify(token.workload_key().unwrap(), &context)?;
        Ok(token)
    }

    /// The states a guard goes through. The replay log began at `epoch`.
    fn check_states(
        &mut self,
        vector: &Value,
        fields: &Fields,
        (target, now): (&Htu, UnixTime),
    ) -> Result<AccessToken, Rejection> {
        let profile = Profile {
            proof_algorithms: self.algorithms,
            window: ProofWindow {
                past: 60,
                ahead: self.ahead,
            },
            ..Profile::default()
        };
        let policy = WorkloadPolicy {
            audiences: self.audiences.clone(),
            other_tokens: self.other_tokens.clone(),
            max_lifetime: self.max_lifetime,
        };
        let presented = Presented {
            method: "GET",
            target,
            authorization: HeaderField::Absent,
            proof: HeaderField::Absent,
            message: Message {
                fields,
                ..Message::default()
            },
        };
        let received = WorkloadReceived::read(&profile, &policy, &presented, now)?;
        let received = received.ok_or(Cause::AuthorizationAbsent)?;
        let token = self.verify(&received.unverified(&profile)?, now)?;
        let requirements = Requirements {
            audience: "https://api.example.com/",
            issuers: None,
            scopes: &["approvals:read".to_owned()],
            nonce_clients: &[],
            methods: BindingMethods::of(&[BindingMethod::Wimse]),
            cover_content: false,
        };
        let unjudged =
            received.with_token(Arc::new(token), &self.identities, &requirements, now)?;
        let not_revoked = NotRevoked::assertion(&unjudged.revocation_query());
        let unredeemed = unjudged.judge(&not_revoked, &ReplayHashKey::new(&[5; 32]))?;
        let query = unredeemed.replay_query().expect("a proof can be replayed");
        assert!(query.expires_at() > now && query.issued_at() <= now.plus(self.ahead));
        let epoch = vector["epoch"].as_u64().unwrap_or_default();
        if query.issued_at() <= UnixTime::from_secs(epoch) {
            return Err(unredeemed.refusal_of(Cause::ReplayEpoch).into());
        }
        if !self.used.insert(query.key()) {
            return Err(unredeemed.refusal_of(Cause::DpopReplayed).into());
        }
        let verified = unredeemed.redeem(Some(Recorded::assertion(query)), None)?;
        assert_eq!(verified.possession().method(), BindingMethod::Wimse);
        Ok(verified.token().as_ref().clone())
    }

    /// A message with a signature in the proof's place. This server cannot sign its answers.
    fn check_signed(
        &self,
        vector: &Value,
        headers: &WorkloadHeaders<'_>,
        fields: &Fields,
    ) -> Result<AccessToken, Rejection> {
        let now = UnixTime::from_secs(vector["now"].as_u64().unwrap());
        let target = Htu::parse(vector["url"].as_str().unwrap()).unwrap();
        let origin = Origin::parse("https://api.example.com").unwrap();
        let rules = WorkloadSignatureRules {
            target: &target,
            audiences: &self.audiences,
            algorithms: SignatureAlgorithms::CURVES,
            window: ProofWindow::default(),
            max_lifetime: self.max_lifetime,
            has_content: false,
        };
        let request = SignedRequest {
            method: vector["method"].as_str().unwrap(),
            origin: &origin,
            request_target: target.path(),
            fields,
            trailers: None,
        };
        let unverified = WorkloadIdentityToken::parse(headers.identity_token(), 8192)?;
        let signature = match vector["status"].as_u64() {
            None => WorkloadSignature::read(&rules, request, now)?,
            Some(status) => {
                let response = SignedResponse {
                    status: u16::try_from(status).unwrap(),
                    fields,
                    trailers: None,
                    request: Some(request),
                };
                let nonce = vector["request_nonce"].as_str().unwrap();
                WorkloadSignature::read_response(&rules, response, nonce, now)?
            }
        };
        let token = self.verify(&unverified, now)?;
        let wants_signed_response = signature.wants_signed_response();
        signature.verify(token.workload_key().unwrap())?;
        if wants_signed_response {
            return Err(Cause::WorkloadResponseUnsigned.into());
        }
        Ok(token)
    }

    fn verify(
        &self,
        token: &WorkloadIdentityToken<'_>,
        now: UnixTime,
    ) -> Result<AccessToken, Rejection> {
        let domain = token.trust_domain();
        let known = self
            .domains
            .iter()
            .find(|(rules, _)| rules.trust_domain == domain);
        let (rules, bundle) = known.ok_or(Cause::WitTrustDomainUnknown)?;
        bundle.verify(token, rules, now).map(|(token, _)| token)
    }
}

fn id(result: &Result<impl Sized, Rejection>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(rejection) => rejection.cause().id(),
    }
}

#[test]
fn every_workload_vector_is_answered_as_expected() {
    let file = load("workloads.json");
    let mut wrong = Vec::new();
    let mut count = 0;
    for group in file["groups"].as_array().unwrap() {
        for vector in group["vectors"].as_array().unwrap() {
            let mut server = Server::new(&file["server"]);
            let one = [vector.clone()];
            let steps = vector["steps"].as_array().map_or(&one[..], Vec::as_slice);
            for step in steps {
                let result = server.check(step);
                let (got, expected) = (id(&result), step["expect"].as_str().unwrap());
                if got != expected {
                    wrong.push(format!("{}: expected {expected}, got {got}", vector["id"]));
                }
                count += 1;
            }
        }
    }
    assert!(count > 100, "only {count} vectors");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The identity token and the proof token of the drafts.
struct Printed {
    wit: String,
    wpt: String,
    rules: WorkloadTokenRules,
    issuer: PublicKey,
    target: Htu,
    fields: Fields,
    now: UnixTime,
}

fn public_part(jwk: &Value) -> PublicKey {
    let mut jwk = jwk.clone();
    jwk.as_object_mut().unwrap().remove("d");
    PublicKey::from_jwk(jwk.to_string().as_bytes()).unwrap()
}

impl Printed {
    fn new() -> Self {
        let file = load("rfc/wimse.json");
        let token = text(&file["wpt"]["access_token"]);
        Self {
            wit: text(&file["wit"]["jwt"]),
            wpt: text(&file["wpt"]["jwt"]),
            rules: WorkloadTokenRules::new(
                TrustDomain::parse("wimse://example.com").unwrap(),
                WorkloadProfile::Wimse,
            ),
            issuer: public_part(&file["wit"]["issuer_jwk"]),
            target: Htu::parse("https://workload.example.com/path").unwrap(),
            fields: Fields(vec![("authorization".into(), format!("Bearer {token}"))]),
            now: UnixTime::from_secs(1_745_509_900),
        }
    }

    fn check(&self) -> Result<AccessToken, Rejection> {
        let rules = WorkloadProofRules {
            target: &self.target,
            audiences: &[],
            algorithms: AlgorithmSet::PROOF_DEFAULT,
            max_bytes: 8192,
            max_lifetime: 300,
            ahead: 10,
            other_tokens: &[],
        };
        let wit = WorkloadIdentityToken::parse(self.wit.as_bytes(), 8192)?;
        let proof = WorkloadProof::read(self.wpt.as_bytes(), &rules, self.now)?;
        let token = wit.verify(&self.rules, &self.issuer, self.now)?;
        let context = ProofContext {
            identity_token: token.hash(),
            access_token: self.fields.access_token(),
            fields: &self.fields,
        };
        proof.verify(token.workload_key().unwrap(), &context)?;
        Ok(token)
    }
}

/// Changes one character in the middle of a segment.
fn altered(jwt: &str, segment: usize) -> String {
    let mut segments: Vec<String> = jwt.split('.').map(str::to_owned).collect();
    let at = segments[segment].len() / 2;
    let other = if &segments[segment][at..=at] == "A" {
        "B"
    } else {
        "A"
    };
    segments[segment].replace_range(at..=at, other);
    segments.join(".")
}

#[test]
fn the_printed_tokens_verify_and_no_altered_one_does() {
    let refused = |change: &dyn Fn(&mut Printed)| {
        let mut printed = Printed::new();
        change(&mut printed);
        id(&printed.check())
    };
    for segment in 0..3 {
        assert_ne!(refused(&|p| p.wit = altered(&p.wit, segment)), "ok");
        assert_ne!(refused(&|p| p.wpt = altered(&p.wpt, segment)), "ok");
    }
    assert_eq!(
        refused(&|p| p.wit = altered(&p.wit, 2)),
        "wimse.wit.signature"
    );
    assert_eq!(
        refused(&|p| p.wpt = altered(&p.wpt, 2)),
        "wimse.wpt.signature"
    );
    assert_eq!(
        refused(&|p| p.target = Htu::parse("https://workload.example.com/other").unwrap()),
        "wimse.wpt.audience"
    );
    assert_eq!(
        refused(&|p| p.rules.trust_domain = TrustDomain::parse("spiffe://example.com").unwrap()),
        "wimse.wit.trust_domain"
    );
    assert_eq!(
        refused(&|p| p.rules.algorithms = WorkloadProfile::Spiffe.algorithms()),
        "wimse.wit.cnf",
        "SPIFFE takes no EdDSA"
    );
    assert_eq!(refused(&|p| p.fields.0.clear()), "wimse.wpt.ath");
    assert_eq!(
        refused(&|p| p.now = UnixTime::from_secs(1_745_510_016)),
        "wimse.wpt.expired"
    );
    assert_eq!(
        refused(&|p| p.now = UnixTime::from_secs(1_745_509_000)),
        "wimse.wpt.lifetime"
    );
    assert_eq!(
        refused(
            &|p| p.issuer = public_part(&load("rfc/wimse.json")["http_signature"]["caller_jwk"])
        ),
        "wimse.wit.signature"
    );

    let token = Printed::new().check().unwrap();
    assert_eq!(token.subject(), "wimse://example.com/specific-workload");
    assert_eq!(token.issuer(), "wimse://example.com");
    assert_eq!(token.token_id(), Some("x-_1CTL2cca3CSE4cwb_l"));
    assert_eq!(
        token.confirmation().jkt(),
        Some(token.workload_key().unwrap().key().thumbprint())
    );
    assert!(token.audience().is_empty());
}

/// SPIFFE does not print the key that signed its example: everything but that is in order.
#[test]
fn the_printed_wit_svid_has_the_form_of_its_profile() {
    let file = load("rfc/spiffe_wit_svid.json");
    let jwt = text(&file["jwt"]);
    let token = WorkloadIdentityToken::parse(jwt.as_bytes(), 8192).unwrap();
    let rules = WorkloadTokenRules::new(
        TrustDomain::parse("spiffe://example.org").unwrap(),
        WorkloadProfile::Spiffe,
    );
    let key = file["payload"]["cnf"]["jwk"].to_string();
    let key = PublicKey::from_jwk(key.as_bytes()).unwrap();
    let now = UnixTime::from_secs(1_765_453_000);
    assert_eq!(token.subject().as_str(), "spiffe://example.com/my-workload");
    assert_eq!(
        id(&token.verify(&rules, &key, now)),
        "wimse.wit.trust_domain"
    );
    let rules = WorkloadTokenRules {
        trust_domain: token.trust_domain(),
        ..rules
    };
    assert_eq!(id(&token.verify(&rules, &key, now)), "wimse.wit.signature");
}

#[test]
fn every_jwt_svid_vector_is_answered_as_expected() {
    let file = load("jwt_svids.json");
    let receiver = &file["receiver"];
    let domain = TrustDomain::parse(receiver["trust_domain"].as_str().unwrap()).unwrap();
    let bundle = receiver["bundle"].to_string();
    let bundle = TrustBundle::parse(bundle.as_bytes(), WorkloadProfile::Spiffe).unwrap();
    let rules = JwtSvidRules {
        trust_domain: &domain,
        audience: receiver["audience"].as_str().unwrap(),
        max_lifetime: receiver["max_lifetime"].as_u64().unwrap(),
        ahead: receiver["ahead"].as_u64().unwrap(),
    };
    for vector in file["vectors"].as_array().unwrap() {
        let now = UnixTime::from_secs(vector["now"].as_u64().unwrap());
        let text = vector["jwt_svid"].as_str().unwrap();
        let result = UnverifiedJwtSvid::parse(text.as_bytes(), 8192)
            .and_then(|svid| svid.verify(&rules, &bundle, now));
        let expected = vector["expect"].as_str().unwrap();
        assert_eq!(id(&result), expected, "{}", vector["id"]);
    }
}

#[test]
fn every_x509_svid_vector_is_answered_as_expected() {
    let file = load("x509_svids.json");
    let mut wrong = Vec::new();
    for vector in file["vectors"].as_array().unwrap() {
        let now = UnixTime::from_secs(vector["now"].as_u64().unwrap());
        let der = |text: &String| STANDARD.decode(text).unwrap();
        let mut chain = texts(&vector["chain"]).iter().map(der).collect::<Vec<_>>();
        let leaf = chain.remove(0);
        let certificate = PeerCertificate::from_der(&leaf, chain).unwrap();
        let mut bundle = TrustBundle::default();
        for authority in texts(&vector["authorities"]) {
            bundle.add_authority(der(&authority));
        }
        let domain = TrustDomain::parse(vector["trust_domain"].as_str().unwrap()).unwrap();
        let result = X509Svid::verify(&certificate, &domain, &bundle, now);
        let expected = vector["expect"].as_str().unwrap();
        if id(&result) != expected {
            wrong.push(format!(
                "{}: {:?}",
                vector["id"],
                result.map(|svid| svid.id().clone())
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
