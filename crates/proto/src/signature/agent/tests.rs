use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use super::*;
use crate::signature::{
    Component, DigestAlgorithm, SignatureInput, SignatureParameters, content_digest,
};

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const AGENT: &str = "https://agent.example";

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn public(seed: u8) -> PublicKey {
    PublicKey::from_ed25519(pair(seed).public_key().as_ref()).unwrap()
}

fn origin(text: &str) -> Origin {
    Origin::parse(text).unwrap()
}

type Owned = Vec<(&'static str, String)>;

fn views(fields: &Owned) -> Vec<(&str, &[u8])> {
    fields
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect()
}

/// A request of an agent, and what of it to change before it is signed.
struct Draft {
    agent: String,
    covered: Vec<Component>,
    created: UnixTime,
    expires: Option<UnixTime>,
    keyid: String,
    tag: &'static str,
}

impl Draft {
    fn good() -> Self {
        Self {
            agent: format!("me=\"{AGENT}\""),
            covered: vec![
                Component::new("@authority").unwrap(),
                Component::member(SIGNATURE_AGENT, "me").unwrap(),
            ],
            created: NOW,
            expires: Some(NOW.plus(60)),
            keyid: public(1).thumbprint().to_string(),
            tag: AGENT_TAG,
        }
    }

    fn with(change: impl FnOnce(&mut Self)) -> Result<AgentSignature, Cause> {
        let mut draft = Self::good();
        change(&mut draft);
        draft.read(NOW)
    }

    fn read(self, now: UnixTime) -> Result<AgentSignature, Cause> {
        let api = origin("https://api.example.com");
        let mut fields: Owned = vec![(SIGNATURE_AGENT, self.agent)];
        let lines = views(&fields);
        let parameters = SignatureParameters {
            created: Some(self.created),
            expires: self.expires,
            keyid: Some(&self.keyid),
            tag: Some(self.tag),
            ..SignatureParameters::default()
        };
        let input =
            SignatureInput::new(request(&api, &lines.as_slice()), &self.covered, parameters)
                .unwrap();
        let signature = pair(1).sign(input.bytes());
        let signed = input.attach("sig1", signature.as_ref());
        fields.push(("signature-input", signed.signature_input));
        fields.push(("signature", signed.signature));
        let lines = views(&fields);
        AgentSignature::read(request(&api, &lines.as_slice()), now)
            .map_err(|rejection| rejection.cause())
    }
}

fn request<'a>(origin: &'a Origin, fields: &'a dyn FieldLines) -> SignedRequest<'a> {
    SignedRequest {
        method: "GET",
        origin,
        request_target: "/",
        fields,
        trailers: None,
    }
}

/// A directory of these keys, signed by those, as its origin would answer.
fn directory(at: &str, keys: &[u8], signers: &[u8]) -> (Owned, String) {
    let jwks: Vec<String> = keys.iter().map(|seed| public(*seed).to_jwk()).collect();
    let content = format!("{{\"keys\":[{{\"kty\":\"AKP\"}},{}]}}", jwks.join(","));
    let digest = content_digest(DigestAlgorithm::Sha256, content.as_bytes());
    let mut fields: Owned = vec![("content-digest", digest)];
    for seed in signers {
        let at = origin(at);
        let lines = views(&fields);
        let response = SignedResponse {
            status: 200,
            fields: &lines.as_slice(),
            trailers: None,
            request: Some(SignedRequest {
                method: "GET",
                origin: &at,
                request_target: DIRECTORY_PATH,
                fields: &(),
                trailers: None,
            }),
        };
        let covered = [
            Component::of_request("@authority").unwrap(),
            Component::new("content-digest").unwrap(),
        ];
        let keyid = public(*seed).thumbprint().to_string();
        let parameters = SignatureParameters {
            created: Some(NOW),
            expires: Some(NOW.plus(3600)),
            keyid: Some(&keyid),
            tag: Some(DIRECTORY_TAG),
            ..SignatureParameters::default()
        };
        let input = SignatureInput::new(response, &covered, parameters).unwrap();
        let signature = pair(*seed).sign(input.bytes());
        let signed = input.attach(&format!("k{seed}"), signature.as_ref());
        fields.push(("signature-input", signed.signature_input));
        fields.push(("signature", signed.signature));
    }
    (fields, content)
}

fn read(at: &str, parts: &(Owned, String), now: UnixTime) -> Result<AgentDirectory, Cause> {
    let lines = views(&parts.0);
    AgentDirectory::read(
        &origin(at),
        (200, &lines.as_slice()),
        parts.1.as_bytes(),
        now,
    )
    .map_err(|rejection| rejection.cause())
}

#[test]
fn what_does_not_fit_the_profile_is_refused() {
    let refused = |change: fn(&mut Draft)| Draft::with(change).err();
    assert_eq!(
        refused(|draft| draft.tag = "other"),
        Some(Cause::HttpsigAbsent)
    );
    assert_eq!(
        refused(|draft| draft.created = NOW.plus(1)),
        Some(Cause::HttpsigCreatedFuture),
        "made in the future fails closed"
    );
    assert_eq!(
        refused(|draft| draft.expires = None),
        Some(Cause::HttpsigParameter)
    );
    assert_eq!(
        refused(|draft| draft.expires = Some(NOW)),
        Some(Cause::HttpsigExpired)
    );
    assert_eq!(
        refused(|draft| draft.expires = Some(NOW.plus(86_401))),
        Some(Cause::HttpsigLifetime)
    );
    assert_eq!(
        refused(|draft| draft.keyid = "key-1".to_owned()),
        Some(Cause::HttpsigKey)
    );
    assert_eq!(
        refused(|draft| {
            draft.covered.remove(0);
        }),
        Some(Cause::HttpsigCoverage)
    );
    assert_eq!(
        refused(|draft| {
            draft.covered.remove(1);
        }),
        Some(Cause::HttpsigCoverage)
    );
    for agent in [
        "me=\"http://agent.example\"",
        "me=\"https://agent.example/path\"",
        "me=\"https://user@agent.example\"",
        "me=\"agent.example\"",
        "me=\"data:application/json,x\"",
        "me=agent",
        "me=(\"https://agent.example\")",
        "me=\"https://agent.example\";type=card",
    ] {
        let result = Draft::with(|draft| draft.agent = agent.to_owned());
        assert_eq!(result.err(), Some(Cause::HttpsigKey), "{agent}");
    }
}

#[test]
fn only_keys_that_signed_the_directory_count() {
    let cause = |parts: &(Owned, String)| read(AGENT, parts, NOW).err();
    assert_eq!(cause(&directory(AGENT, &[1], &[])), Some(Cause::HttpsigKey));
    assert_eq!(
        cause(&directory(AGENT, &[1], &[2])),
        Some(Cause::HttpsigKey)
    );
    let elsewhere = directory("https://mirror.example", &[1], &[1]);
    assert_eq!(
        cause(&elsewhere),
        Some(Cause::HttpsigKey),
        "signed for another origin"
    );
    let mut changed = directory(AGENT, &[1], &[1]);
    changed.1.push(' ');
    assert_eq!(cause(&changed), Some(Cause::HttpsigKey), "another content");
    let good = directory(AGENT, &[1, 2], &[1]);
    assert_eq!(
        read(AGENT, &good, NOW.plus(3600)).err(),
        Some(Cause::HttpsigKey),
        "expired"
    );
    for content in ["", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]}"] {
        let parts = (good.0.clone(), content.to_owned());
        assert_eq!(cause(&parts), Some(Cause::HttpsigKey), "{content}");
    }
    let directory = read(AGENT, &good, NOW).unwrap();
    assert!(
        directory.key(public(2).thumbprint()).is_none(),
        "published, but it did not sign"
    );
    assert_eq!(directory.key(public(1).thumbprint()), Some(&public(1)));
}

#[test]
fn keys_out_of_force_do_not_count() {
    let content = |extra: &str| {
        let key = public(1).to_jwk();
        format!("{{\"keys\":[{},{extra}}}]}}", key.trim_end_matches('}'))
    };
    for (extra, count) in [
        ("\"exp\":1800000000", 0),
        ("\"nbf\":1800000001", 0),
        ("\"exp\":\"never\"", 0),
        ("\"exp\":1800000001,\"nbf\":1800000000", 1),
    ] {
        let keys = published(content(extra).as_bytes(), NOW).unwrap();
        assert_eq!(keys.len(), count, "{extra}");
    }
}

#[test]
fn an_agent_is_verified_with_its_own_directory_only() {
    let signature = || Draft::with(|_| {}).unwrap();
    assert_eq!(signature().claimed_agent(), &origin(AGENT));
    let refused = |directory: &AgentDirectory| signature().verify(directory).unwrap_err().cause();
    let other_key = read(AGENT, &directory(AGENT, &[2], &[2]), NOW).unwrap();
    assert_eq!(refused(&other_key), Cause::HttpsigKeyUnknown);
    let mirror = "https://mirror.example";
    let mirrored = read(mirror, &directory(mirror, &[1], &[1]), NOW).unwrap();
    assert_eq!(refused(&mirrored), Cause::HttpsigKeyUnknown);
    let own = read(AGENT, &directory(AGENT, &[1], &[1]), NOW).unwrap();
    let both = read(AGENT, &directory(AGENT, &[1, 2], &[1, 2]), NOW).unwrap();
    let by_another = Draft::with(|draft| draft.keyid = public(2).thumbprint().to_string());
    let refused = by_another.unwrap().verify(&both).unwrap_err();
    assert_eq!(refused.cause(), Cause::HttpsigSignatureInvalid);
    let agent = signature().verify(&own).unwrap();
    assert_eq!(
        (agent.agent(), agent.jkt()),
        (&origin(AGENT), public(1).thumbprint())
    );
    assert_eq!(agent.taken_until(), Some(NOW.plus(60)));
}

#[test]
fn the_older_form_names_the_agent_as_one_string() {
    let older = |agent: &str| {
        Draft::with(|draft| {
            agent.clone_into(&mut draft.agent);
            draft.covered[1] = Component::new(SIGNATURE_AGENT).unwrap();
        })
        .map(|signature| signature.claimed_agent().clone())
    };
    assert_eq!(
        older("\"https://agent.example\", \"https://b.example\""),
        Err(Cause::HttpsigKey)
    );
    assert_eq!(
        older("me=\"https://agent.example\""),
        Err(Cause::HttpsigKey)
    );
    assert_eq!(older("\"https://agent.example\""), Ok(origin(AGENT)));
}
