//! Calling as a workload: an identity token and, for each request, a proof by its key
//! (draft-ietf-wimse-wpt).
//!
//! A [`WorkloadCredential`] is made of a token and the key it names, which are held
//! against each other at once, so that a mix-up shows here and not at the server. Where
//! they come from (a file, the SPIFFE Workload API) and when to get the next is the
//! caller's knowledge; [`WorkloadCredential::expires_at`] says until when. A JWT-SVID has
//! no key and cannot be used here.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use keybound_proto::jose::{Jws, PublicKey, Signer};
use keybound_proto::json::Object;
use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;
use keybound_proto::uri::HttpUrl;
use keybound_proto::workload::{
    IDENTITY_TOKEN_HEADER, PROOF_TOKEN_HEADER, WorkloadIdentityToken, WorkloadProofRequest,
    proof_signing_input,
};
use zeroize::Zeroizing;

use crate::error::HolderError;
use crate::proof::random_id;

/// Seconds a proof is good for: long enough for a slow network, short enough to be worthless soon.
const LIFETIME: u64 = 60;

/// The longest identity token that is read, in bytes.
const MAX_BYTES: usize = 8192;

/// Why token and key are no credential. It holds nothing of either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkloadCredentialError {
    /// The text has not the form of an identity token with `exp` and `cnf.jwk`.
    #[error("the text is no workload identity token")]
    Malformed,
    /// The key is not the one the token names, or signs with another algorithm.
    #[error("the key is not the one the identity token names")]
    OtherKey,
}

/// A workload's identity token with the key it names.
#[derive(Clone)]
pub struct WorkloadCredential {
    token: Arc<Zeroizing<String>>,
    hash: TokenHash,
    key: Arc<dyn Signer>,
    algorithm_name: String,
    expires_at: UnixTime,
}

impl WorkloadCredential {
    /// Holds token and key against each other. The token's own signature is the server's to check.
    ///
    /// # Errors
    /// [`WorkloadCredentialError`]
    pub fn new(token: String, key: Arc<dyn Signer>) -> Result<Self, WorkloadCredentialError> {
        let malformed = WorkloadCredentialError::Malformed;
        WorkloadIdentityToken::parse(token.as_bytes(), MAX_BYTES).map_err(|_| malformed)?;
        let jws = Jws::parse(token.as_bytes(), MAX_BYTES).map_err(|_| malformed)?;
        let claims = jws.claims().map_err(|_| malformed)?;
        let expires_at = claims.unsigned("exp").ok().flatten().ok_or(malformed)?;
        let jwk = confirmed(&claims).ok_or(malformed)?;
        let algorithm_name = jwk.string("alg").ok().flatten().ok_or(malformed)?;
        let named = PublicKey::from_jwk_object(jwk).map_err(|_| malformed)?;
        let same_algorithm = algorithm_name == key.algorithm().name()
            || (algorithm_name == "Ed25519" && key.algorithm().name() == "EdDSA");
        if named != *key.public_key() || !same_algorithm {
            return Err(WorkloadCredentialError::OtherKey);
        }
        Ok(Self {
            hash: TokenHash::of(token.as_bytes()),
            algorithm_name: algorithm_name.to_owned(),
            expires_at: UnixTime::from_secs(expires_at),
            token: Arc::new(Zeroizing::new(token)),
            key,
        })
    }

    /// `exp` of the identity token.
    #[must_use]
    pub const fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// The two header fields of one request to `url`, at the server's time as far as it is known.
    /// `transaction_token` is the value of the `Txn-Token` field sent along, if one is.
    ///
    /// # Errors
    /// [`HolderError::Backend`] without random numbers, [`HolderError::Signing`] when the key
    /// cannot sign.
    pub fn headers(
        &self,
        url: &HttpUrl,
        now: UnixTime,
        transaction_token: Option<&str>,
    ) -> Result<HeaderMap, HolderError> {
        let jti = random_id()?;
        let transaction_token =
            transaction_token.map(|token| TokenHash::of(token.trim().as_bytes()));
        let audience = if url.path().is_empty() {
            format!("{}/", url.origin_as_given())
        } else {
            url.without_query().to_owned()
        };
        let request = WorkloadProofRequest {
            audience: &audience,
            jti: &jti,
            made_at: now,
            lifetime: LIFETIME,
            identity_token: &self.hash,
            access_token: None,
            transaction_token: transaction_token.as_ref(),
        };
        let proof = proof_signing_input(&request, &self.algorithm_name)
            .sign(self.key.as_ref())
            .map_err(|source| HolderError::Signing { source })?;
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (IDENTITY_TOKEN_HEADER, self.token.as_str()),
            (PROOF_TOKEN_HEADER, proof.as_str()),
        ] {
            // Both consist of base64url and dots.
            let mut value = HeaderValue::from_str(value).map_err(|_| HolderError::Backend)?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        Ok(headers)
    }
}

impl fmt::Debug for WorkloadCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkloadCredential")
            .field("hash", &self.hash)
            .field("jkt", &self.key.public_key().thumbprint())
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

fn confirmed<'o>(claims: &'o Object<'_>) -> Option<&'o Object<'o>> {
    claims.object("cnf").ok()??.object("jwk").ok()?
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use keybound_custody::SoftwareKey;
    use keybound_proto::base64url;
    use keybound_proto::fields::FieldLines;
    use keybound_proto::jose::{Algorithm, AlgorithmSet, Signer};
    use keybound_proto::time::UnixTime;
    use keybound_proto::token::TokenHash;
    use keybound_proto::uri::{HttpUrl, Htu};
    use keybound_proto::workload::{
        ProofContext, TrustDomain, WorkloadIdentityToken, WorkloadProfile, WorkloadProof,
        WorkloadProofRules, WorkloadTokenRules,
    };

    use super::{WorkloadCredential, WorkloadCredentialError};

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn key(algorithm: Algorithm) -> Arc<SoftwareKey> {
        Arc::new(SoftwareKey::generate(algorithm).unwrap())
    }

    fn token(issuer: &SoftwareKey, workload: &SoftwareKey, alg: &str) -> String {
        let jwk = workload.public_key().to_jwk();
        let jwk = jwk.replacen('{', &format!(r#"{{"alg":"{alg}","#), 1);
        let claims =
            format!(r#"{{"sub":"wimse://example.com/a","exp":1800000600,"cnf":{{"jwk":{jwk}}}}}"#);
        let header = format!(
            r#"{{"typ":"wit+jwt","alg":"{}"}}"#,
            issuer.algorithm().name()
        );
        let input = format!(
            "{}.{}",
            base64url::encode(header.as_bytes()),
            base64url::encode(claims.as_bytes())
        );
        let signature = issuer.sign(input.as_bytes()).unwrap();
        format!("{input}.{}", base64url::encode(&signature))
    }

    #[test]
    fn a_token_and_another_key_are_no_credential() {
        let (issuer, own, other) = (
            key(Algorithm::Es256),
            key(Algorithm::Es256),
            key(Algorithm::Es256),
        );
        let made = |text: String, key: &Arc<SoftwareKey>| {
            WorkloadCredential::new(text, Arc::clone(key) as Arc<dyn Signer>).map(|_| ())
        };
        let good = token(&issuer, &own, "ES256");
        assert_eq!(
            made(good.clone(), &other),
            Err(WorkloadCredentialError::OtherKey)
        );
        assert_eq!(
            made(token(&issuer, &own, "ES384"), &own),
            Err(WorkloadCredentialError::OtherKey)
        );
        for text in ["", "a.b.c", "x"] {
            assert_eq!(
                made(text.to_owned(), &own),
                Err(WorkloadCredentialError::Malformed)
            );
        }
        assert_eq!(made(good, &own), Ok(()));
    }

    struct Txn(&'static str);

    impl FieldLines for Txn {
        fn lines<'s>(&'s self, name: &str) -> Vec<&'s [u8]> {
            match name {
                "txn-token" => vec![self.0.as_bytes()],
                _ => Vec::new(),
            }
        }
    }

    #[test]
    fn what_is_sent_is_taken_once_each_under_the_key_s_own_name() {
        for (algorithm, alg) in [
            (Algorithm::Es256, "ES256"),
            (Algorithm::EdDsa, "EdDSA"),
            (Algorithm::EdDsa, "Ed25519"),
        ] {
            let (issuer, own) = (key(Algorithm::Es256), key(algorithm));
            let text = token(&issuer, &own, alg);
            let credential = WorkloadCredential::new(text.clone(), own).unwrap();
            let url = HttpUrl::parse("https://api.example.com/approvals?x=1").unwrap();
            let first = credential.headers(&url, NOW, Some("t.x.n")).unwrap();
            let second = credential.headers(&url, NOW, Some("t.x.n")).unwrap();
            assert_ne!(first, second, "a fresh proof for each request");
            assert!(!format!("{credential:?}{first:?}").contains(&text));
            let target = Htu::parse("https://api.example.com/approvals").unwrap();
            let rules = WorkloadProofRules {
                target: &target,
                audiences: &[],
                algorithms: AlgorithmSet::PROOF_DEFAULT,
                max_bytes: 8192,
                max_lifetime: 60,
                ahead: 0,
                other_tokens: &[],
            };
            let domain = TrustDomain::parse("wimse://example.com").unwrap();
            let domain = WorkloadTokenRules::new(domain, WorkloadProfile::Wimse);
            let sent = first["workload-identity-token"].as_bytes();
            let token = WorkloadIdentityToken::parse(sent, 8192).unwrap();
            let token = token.verify(&domain, issuer.public_key(), NOW).unwrap();
            let proof = first["workload-proof-token"].as_bytes();
            let proof = WorkloadProof::read(proof, &rules, NOW).unwrap();
            let context = ProofContext {
                identity_token: TokenHash::of(sent),
                access_token: None,
                fields: &Txn("t.x.n"),
            };
            let key = token.workload_key().unwrap();
            assert!(proof.verify(key, &context).is_ok(), "{alg}");
            assert_eq!(proof.made_at(), NOW);
        }
    }
}
