//! What a request carries: `Authorization`, `DPoP`, and both together.

use std::sync::Arc;

use keybound_proto::{
    Cause,
    binding::BindingMethods,
    dpop::{NonceKey, NoncePolicy, NonceRole},
    json::quote,
    token::TokenHash,
    verify::{
        HeaderField, Message, NotRevoked, Presented, Profile, ProofPresented, Received, Recorded,
        ReplayHashKey, Requirements, Verified, begin_proof,
    },
};

use super::{METHOD, NOW, PUBLIC_KEY, TARGET, sign, text_or_signed, tokens};

/// A proof at an authorization server (RFC 9449 section 5).
pub(crate) fn proof(input: &[u8]) -> bool {
    judge_proof(&text_or_signed(input), false).is_ok()
}

/// The value of the `nonce` claim in an otherwise good proof. No input is a nonce of a key nobody
/// knows.
pub(crate) fn nonce(input: &[u8]) -> bool {
    let header = format!(
        r#"{{"typ":"dpop+jwt","alg":"EdDSA","jwk":{}}}"#,
        PUBLIC_KEY.to_jwk()
    );
    let claims = format!(
        r#"{{"jti":"a","htm":"{METHOD}","htu":"{}","iat":{NOW},"nonce":{}}}"#,
        TARGET.as_str(),
        quote(&String::from_utf8_lossy(input))
    );
    let text = sign(header.as_bytes(), claims.as_bytes());
    let refused = judge_proof(text.as_bytes(), true).expect_err("a forged nonce");
    assert!(matches!(
        refused,
        Cause::DpopNonceStale | Cause::DpopNonceAbsent | Cause::DpopMalformed | Cause::DpopSize
    ));
    false
}

fn judge_proof(text: &[u8], required: bool) -> Result<(), Cause> {
    let key = nonce_key(NonceRole::AuthorizationServer);
    let presented = ProofPresented {
        method: METHOD,
        target: &TARGET,
        proof: HeaderField::One(text),
    };
    let policy = NoncePolicy {
        key: &key,
        required,
    };
    let proof = begin_proof(&Profile::default(), &presented, &policy, NOW)
        .map_err(|rejection| rejection.cause())?;
    let query = proof.replay_query(&replay_key());
    assert!(
        query.expires_at() > NOW,
        "the record ends before the proof does"
    );
    Ok(())
}

/// First line: the `Authorization` value; each further line: one `DPoP` value.
pub(crate) fn authorization(input: &[u8]) -> bool {
    let mut lines = input.split(|byte| *byte == b'\n');
    let authorization = HeaderField::of(lines.next().into_iter());
    verify(authorization, HeaderField::of(lines)).is_some()
}

/// Four lines: header and payload of the token, header and payload of the proof; both are signed,
/// and `"ath":"@"` becomes the hash of the token.
pub(crate) fn request(input: &[u8]) -> bool {
    let mut lines = input.splitn(4, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let token = sign(line(), line());
    let (header, claims) = (line(), line());
    let claims = match std::str::from_utf8(claims) {
        Ok(claims) => {
            let ath = TokenHash::of(token.as_bytes()).to_ath();
            let ath = format!(r#""ath":"{ath}""#);
            claims.replacen(r#""ath":"@""#, &ath, 1).into_bytes()
        }
        Err(_) => claims.to_vec(),
    };
    let proof = sign(header, &claims);
    let authorization = format!("DPoP {token}");
    let verified = verify(
        HeaderField::One(authorization.as_bytes()),
        HeaderField::One(proof.as_bytes()),
    );
    if let Some(verified) = &verified {
        assert_eq!(verified.token().hash(), TokenHash::of(token.as_bytes()));
    }
    verified.is_some()
}

/// The whole order of checks of a resource server.
fn verify(authorization: HeaderField<'_>, proof: HeaderField<'_>) -> Option<Verified> {
    let profile = Profile::default();
    let presented = Presented {
        method: METHOD,
        target: &TARGET,
        authorization,
        proof,
        message: Message::default(),
    };
    let key = nonce_key(NonceRole::ResourceServer);
    let policy = NoncePolicy {
        key: &key,
        required: false,
    };
    let scopes = ["approvals:write".to_owned()];
    let requirements = Requirements {
        audience: "https://api.example.com/",
        issuers: None,
        scopes: &scopes,
        nonce_clients: &[],
        methods: BindingMethods::ALL,
        cover_content: true,
    };
    let received = Received::read(&profile, presented).ok()?;
    let unkeyed = received.begin(&profile, None, &policy, NOW).ok()?;
    let HeaderField::One(value) = authorization else {
        panic!("a request without exactly one token went on");
    };
    let text = value
        .rsplit(|byte| *byte == b' ')
        .find(|part| !part.is_empty())?;
    let token = Arc::new(tokens::verified_token(text.trim_ascii(), false)?);
    let unjudged = unkeyed
        .with_token(Arc::clone(&token), &requirements, NOW)
        .ok()?;
    let not_revoked = NotRevoked::assertion(&unjudged.revocation_query());
    let unredeemed = unjudged.judge(&not_revoked, &replay_key()).ok()?;
    let recorded = unredeemed.replay_query().map(Recorded::assertion);
    let verified = unredeemed.redeem(recorded, None).ok()?;
    assert_eq!(
        verified.jkt(),
        Some(PUBLIC_KEY.thumbprint()),
        "only one key signs here"
    );
    assert!(token.has_scope("approvals:write"));
    assert!(
        token
            .audience()
            .iter()
            .any(|name| name == "https://api.example.com/")
    );
    Some(verified)
}

fn nonce_key(role: NonceRole) -> NonceKey {
    NonceKey::new(&[9; 32], role, 0, 300)
}

fn replay_key() -> ReplayHashKey {
    ReplayHashKey::new(&[8; 32])
}
