//! Everything that workloads and their trust domains send.

use std::sync::LazyLock;

use keybound_proto::{
    jose::AlgorithmSet,
    token::TokenHash,
    workload::{
        IdentityRule, ProofContext, SpiffeId, TrustBundle, TrustDomain, UnverifiedJwtSvid,
        WorkloadIdentifier, WorkloadIdentityToken, WorkloadKey, WorkloadProfile, WorkloadProof,
        WorkloadProofRules, WorkloadTokenRules,
        api::{self, BundleKind, Frames},
    },
};

use super::{NOW, PUBLIC_KEY, TARGET, sign, text_or_signed};

/// The identity token that proofs are made for.
static IDENTITY_TOKEN: LazyLock<String> = LazyLock::new(|| {
    let claims = r#"{"sub":"wimse://example.com/pay","exp":1800003600,"cnf":{"jwk":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","alg":"EdDSA"}}}"#;
    sign(br#"{"typ":"wit+jwt","alg":"EdDSA"}"#, claims.as_bytes())
});

fn rules() -> WorkloadTokenRules {
    let domain = TrustDomain::parse("wimse://example.com").expect("a trust domain");
    WorkloadTokenRules::new(domain, WorkloadProfile::Wimse)
}

fn key() -> WorkloadKey {
    let token = WorkloadIdentityToken::parse(IDENTITY_TOKEN.as_bytes(), 8192).expect("a good form");
    let token = token
        .verify(&rules(), &PUBLIC_KEY, NOW)
        .expect("a good token");
    token.workload_key().expect("a workload's key").clone()
}

/// An identifier of a workload, a SPIFFE ID or a rule (draft-ietf-wimse-identifier, SPIFFE ID).
pub(crate) fn workload_id(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    if let Ok(rule) = IdentityRule::parse(text) {
        assert_eq!(rule.to_string(), text);
    }
    let Ok(id) = WorkloadIdentifier::parse(text) else {
        assert!(SpiffeId::parse(text).is_err());
        return false;
    };
    assert_eq!(id.as_str(), text, "one spelling");
    assert_eq!(format!("{}{}", id.trust_domain(), id.path()), text);
    assert!(id.is_in(&id.trust_domain()));
    assert_eq!(SpiffeId::parse(text).is_ok(), text.starts_with("spiffe://"));
    let rule = IdentityRule::parse(&format!("{}/*", id.trust_domain())).expect("a rule");
    assert!(rule.takes(&id));
    true
}

/// A workload identity token (draft-ietf-wimse-workload-creds).
pub(crate) fn workload_token(input: &[u8]) -> bool {
    let text = text_or_signed(input);
    // The same bytes as another kind of token must never do harm.
    let _ = UnverifiedJwtSvid::parse(&text, 8192);
    let Ok(token) = WorkloadIdentityToken::parse(&text, 8192) else {
        return false;
    };
    let Ok(token) = token.verify(&rules(), &PUBLIC_KEY, NOW) else {
        return false;
    };
    assert!(token.expires_at() > NOW, "an expired token is valid");
    assert!(token.audience().is_empty() && token.scope().is_empty());
    let key = token.workload_key().expect("a workload's key");
    assert!(key.key().supports(key.algorithm()));
    token.subject().starts_with("wimse://example.com/")
}

/// A workload proof token (draft-ietf-wimse-wpt) for the identity token of these targets.
pub(crate) fn workload_proof(input: &[u8]) -> bool {
    let text = text_or_signed(input);
    let other_tokens = ["context-token".to_owned()];
    let rules = WorkloadProofRules {
        target: &TARGET,
        audiences: &[],
        algorithms: AlgorithmSet::ALL,
        max_bytes: 8192,
        max_lifetime: 300,
        ahead: 10,
        other_tokens: &other_tokens,
    };
    let Ok(proof) = WorkloadProof::read(&text, &rules, NOW) else {
        return false;
    };
    assert!(proof.expires_at() > NOW && proof.made_at() <= NOW.plus(10));
    let context = ProofContext {
        identity_token: TokenHash::of(IDENTITY_TOKEN.as_bytes()),
        access_token: None,
        fields: &(),
    };
    proof.verify(&key(), &context).is_ok()
}

/// A trust bundle or a map of them (SPIFFE Trust Domain and Bundle).
pub(crate) fn trust_bundle(input: &[u8]) -> bool {
    let map = TrustBundle::parse_map(input);
    let spiffe = TrustBundle::parse(input, WorkloadProfile::Spiffe);
    let wimse = TrustBundle::parse(input, WorkloadProfile::Wimse);
    if let (Ok(spiffe), Ok(wimse)) = (&spiffe, &wimse) {
        assert!(spiffe.may_follow(wimse), "one sequence");
        assert!(spiffe.identity_token_keys().len() <= wimse.identity_token_keys().len());
    }
    map.is_ok() || spiffe.is_ok()
}

/// Messages of the SPIFFE Workload API, with their frames and without.
pub(crate) fn workload_api(input: &[u8]) -> bool {
    let mut frames = Frames::default();
    if frames.push(input).is_ok() {
        while let Ok(Some(message)) = frames.next_message() {
            let _ = read(&message);
        }
    }
    read(input)
}

fn read(message: &[u8]) -> bool {
    let domain = TrustDomain::parse("spiffe://example.org").expect("a trust domain");
    let certificates = api::read_bundle(message, BundleKind::X509, &domain);
    if let Ok(bundle) = certificates
        && let Ok(certificates) = api::split_certificates(bundle)
    {
        assert_eq!(certificates.concat(), bundle);
    }
    let keys = api::read_bundle(message, BundleKind::Keys, &domain);
    let svids = api::read_x509_svids(message);
    let _ = (api::read_jwt_svids(message), api::read_wit_svids(message));
    certificates.is_ok() || keys.is_ok() || svids.is_ok()
}
