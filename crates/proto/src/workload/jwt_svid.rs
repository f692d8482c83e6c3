//! JWT-SVIDs (SPIFFE JWT-SVID sections 2 to 4): a trust domain's word about a
//! workload, for one audience.
//!
//! A JWT-SVID is a bearer token: whoever holds it may present it. So it never becomes
//! an [`AccessToken`](crate::token::AccessToken) and satisfies no route that requires
//! binding. It serves to authenticate a client that proves a key beside it.
//!
//! The header rule is the document's, to the letter: `alg`, `kid` and `typ`, no other
//! member; `typ` absent, `JWT` or `JOSE`. This module keeps no replay records.

use std::fmt;

use super::bundle::TrustBundle;
use super::claims::FormCauses;
use super::{SpiffeId, TrustDomain};
use crate::cause::Cause;
use crate::jose::{Algorithm, AlgorithmSet, Jws};
use crate::json;
use crate::rejection::Rejection;
use crate::time::UnixTime;

/// Algorithms of JWT-SVIDs, as far as this crate has them: no EdDSA.
pub const JWT_SVID_ALGORITHMS: AlgorithmSet = AlgorithmSet::of(&[
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::Ps256,
    Algorithm::Rs256,
]);

const FORM: FormCauses = FormCauses {
    malformed: Cause::JwtSvidMalformed,
    critical: Cause::JwtSvidHeader,
    algorithm: Cause::JwtSvidHeader,
    size: Cause::JwtSvidMalformed,
    typ: Cause::JwtSvidHeader,
    claim: Cause::JwtSvidClaim,
};

/// What a receiver of JWT-SVIDs demands.
#[derive(Clone, Copy, Debug)]
pub struct JwtSvidRules<'a> {
    /// The trust domain whose bundle is asked.
    pub trust_domain: &'a TrustDomain,
    /// The receiver's own name: the only value of `aud`.
    pub audience: &'a str,
    /// The most seconds between now and `exp`.
    pub max_lifetime: u64,
    /// Seconds `iat` and `nbf` may be ahead of our clock.
    pub ahead: u64,
}

/// Text that has the form of a JWT-SVID. Nothing in it is trusted.
pub struct UnverifiedJwtSvid<'a> {
    jws: Jws<'a>,
    algorithm: Algorithm,
    kid: Option<String>,
    subject: SpiffeId,
}

/// A JWT-SVID whose signature and claims were verified: who somebody says it is, not that it
/// is that somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtSvid {
    subject: SpiffeId,
    expires_at: UnixTime,
    token_id: Option<String>,
}

impl<'a> UnverifiedJwtSvid<'a> {
    /// Checks the form: size, strict JSON, the header's members, and a SPIFFE ID as subject.
    ///
    /// # Errors
    /// A [`Rejection`] with a `spiffe.jwt.*` cause.
    pub fn parse(text: &'a [u8], max_bytes: usize) -> Result<Self, Rejection> {
        let jws = Jws::parse(text, max_bytes).map_err(|error| FORM.of(error))?;
        let header = jws.header().map_err(|error| FORM.of(error))?;
        let members = jws.header_object().map_err(|error| FORM.of(error))?;
        if let Some((other, _)) = members.iter().find(|(name, _)| !MEMBERS.contains(name)) {
            return Err(Rejection::new(Cause::JwtSvidHeader)
                .expected("alg, kid and typ only")
                .got(other));
        }
        if !matches!(header.typ(), None | Some("JWT" | "JOSE")) {
            return Err(Rejection::new(Cause::JwtSvidHeader).expected("typ JWT or JOSE, or none"));
        }
        let algorithm = header.alg().map_err(|error| FORM.of(error))?;
        if !JWT_SVID_ALGORITHMS.contains(algorithm) {
            return Err(Rejection::new(Cause::JwtSvidHeader)
                .expected(JWT_SVID_ALGORITHMS.to_string())
                .got(algorithm.name()));
        }
        let kid = header.kid().map(str::to_owned);
        let claims = jws.claims().map_err(|error| FORM.of(error))?;
        let subject = FORM.text(&claims, "sub")?;
        let subject = subject.ok_or_else(|| FORM.missing("sub"))?;
        let subject =
            SpiffeId::parse(subject).map_err(|error| FORM.missing("sub").got(error.to_string()))?;
        drop(header);
        drop(members);
        drop(claims);
        Ok(Self {
            jws,
            algorithm,
            kid,
            subject,
        })
    }

    /// Who the token claims to be about.
    #[must_use]
    pub const fn subject(&self) -> &SpiffeId {
        &self.subject
    }

    /// Checks trust domain, signature and claims.
    ///
    /// # Errors
    /// A [`Rejection`] with a `spiffe.*` cause.
    pub fn verify(
        &self,
        rules: &JwtSvidRules<'_>,
        bundle: &TrustBundle,
        now: UnixTime,
    ) -> Result<JwtSvid, Rejection> {
        if !self.subject.as_workload().is_in(rules.trust_domain) {
            return Err(Rejection::new(Cause::SpiffeTrustDomain)
                .expected(rules.trust_domain.as_str())
                .got(self.subject.as_workload().origin()));
        }
        let signed = bundle
            .jwt_keys()
            .iter()
            .filter(|key| key.is_for(self.kid.as_deref(), self.algorithm))
            .any(|key| self.jws.verify(self.algorithm, key.key()).is_ok());
        if !signed {
            return Err(Cause::JwtSvidSignature.into());
        }
        let claims = self.jws.claims().map_err(|error| FORM.of(error))?;
        check_audience(&claims, rules.audience)?;
        let expires_at = check_time(&claims, rules, now)?;
        Ok(JwtSvid {
            subject: self.subject.clone(),
            expires_at,
            token_id: FORM.text(&claims, "jti")?.map(str::to_owned),
        })
    }
}

impl fmt::Debug for UnverifiedJwtSvid<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedJwtSvid")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

impl JwtSvid {
    /// Who the trust domain says the workload is.
    #[must_use]
    pub const fn subject(&self) -> &SpiffeId {
        &self.subject
    }

    /// `exp`.
    #[must_use]
    pub const fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// `jti`, if it has one.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.token_id.as_deref()
    }
}

/// The only members a header may have (section 2).
const MEMBERS: [&str; 3] = ["alg", "kid", "typ"];

/// The audience alone: a token for several receivers can be passed on by each of them.
fn check_audience(claims: &json::Object<'_>, audience: &str) -> Result<(), Rejection> {
    match claims.strings("aud") {
        Ok(Some(values)) if values == [audience] => Ok(()),
        Ok(Some(values)) => Err(Rejection::new(Cause::JwtSvidAudience)
            .expected(audience)
            .got(values.join(" "))),
        Ok(None) | Err(_) => Err(FORM.missing("aud")),
    }
}

fn check_time(
    claims: &json::Object<'_>,
    rules: &JwtSvidRules<'_>,
    now: UnixTime,
) -> Result<UnixTime, Rejection> {
    let expires_at = FORM.time(claims, "exp")?;
    let expires_at = expires_at.ok_or_else(|| FORM.missing("exp"))?;
    let latest = Some(now.plus(rules.ahead));
    let early = FORM.time(claims, "iat")? > latest || FORM.time(claims, "nbf")? > latest;
    if now >= expires_at || early || expires_at > now.plus(rules.max_lifetime) {
        return Err(Rejection::new(Cause::JwtSvidTime)
            .expected(format!("valid now, for at most {} s", rules.max_lifetime)));
    }
    Ok(expires_at)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

    use super::{JwtSvid, JwtSvidRules, UnverifiedJwtSvid};
    use crate::base64url;
    use crate::cause::Cause;
    use crate::jose::{Algorithm, Curve, PublicKey};
    use crate::rejection::Rejection;
    use crate::time::UnixTime;
    use crate::workload::{TrustBundle, TrustDomain, WorkloadProfile};

    const NOW: u64 = 1_800_000_000;
    const CLAIMS: &str =
        r#"{"sub":"spiffe://example.org/pay","aud":["https://auth.example.com"],"exp":1800000300}"#;
    const HEADER: &str = r#"{"alg":"ES256","kid":"j1","typ":"JWT"}"#;

    struct Domain {
        key: EcdsaKeyPair,
        bundle: TrustBundle,
    }

    impl Domain {
        fn new(purpose: &str) -> Self {
            let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            let public = PublicKey::from_ec_point(Curve::P256, key.public_key().as_ref()).unwrap();
            let entry = public
                .to_jwk_with("j1", Algorithm::Es256)
                .replace("\"use\":\"sig\"", &format!("\"use\":\"{purpose}\""));
            let bundle = format!(r#"{{"keys":[{entry}]}}"#);
            Self {
                key,
                bundle: TrustBundle::parse(bundle.as_bytes(), WorkloadProfile::Spiffe).unwrap(),
            }
        }

        fn sign(&self, header: &str, claims: &str) -> String {
            let input = format!(
                "{}.{}",
                base64url::encode(header.as_bytes()),
                base64url::encode(claims.as_bytes())
            );
            let signature = self.key.sign(&SystemRandom::new(), input.as_bytes());
            format!("{input}.{}", base64url::encode(signature.unwrap().as_ref()))
        }

        fn check(&self, header: &str, claims: &str) -> Result<JwtSvid, Rejection> {
            let text = self.sign(header, claims);
            let domain = TrustDomain::parse("spiffe://example.org").unwrap();
            let rules = JwtSvidRules {
                trust_domain: &domain,
                audience: "https://auth.example.com",
                max_lifetime: 3600,
                ahead: 10,
            };
            UnverifiedJwtSvid::parse(text.as_bytes(), 8192)?.verify(
                &rules,
                &self.bundle,
                UnixTime::from_secs(NOW),
            )
        }
    }

    #[test]
    fn every_single_fault_has_its_own_cause() {
        let domain = Domain::new("jwt-svid");
        let refused =
            |header: &str, claims: &str| domain.check(header, claims).unwrap_err().cause();
        for header in [
            r#"{"alg":"ES256","kid":"j1","typ":"at+jwt"}"#,
            r#"{"alg":"ES256","kid":"j1","typ":"wit+jwt"}"#,
            r#"{"alg":"ES256","kid":"j1","jku":"https://evil.example"}"#,
            r#"{"alg":"ES256","kid":"j1","crit":["x"]}"#,
            r#"{"alg":"EdDSA","kid":"j1"}"#,
            r#"{"alg":"none","kid":"j1"}"#,
            r#"{"alg":"HS256","kid":"j1"}"#,
        ] {
            assert_eq!(refused(header, CLAIMS), Cause::JwtSvidHeader, "{header}");
        }
        for (from, to, cause) in [
            ("spiffe://example.org/pay", "pay", Cause::JwtSvidClaim),
            ("\"sub\"", "\"other\"", Cause::JwtSvidClaim),
            ("\"aud\"", "\"other\"", Cause::JwtSvidClaim),
            ("\"exp\"", "\"other\"", Cause::JwtSvidClaim),
            ("1800000300", "\"1800000300\"", Cause::JwtSvidClaim),
            (
                "spiffe://example.org",
                "spiffe://example.net",
                Cause::SpiffeTrustDomain,
            ),
            (
                "https://auth.example.com",
                "https://auth.example.com/",
                Cause::JwtSvidAudience,
            ),
            ("[\"https", "[\"other\",\"https", Cause::JwtSvidAudience),
            ("1800000300", "1800000000", Cause::JwtSvidTime),
            ("1800000300", "1800003601", Cause::JwtSvidTime),
            (
                "1800000300",
                "1800000300,\"nbf\":1800000011",
                Cause::JwtSvidTime,
            ),
            (
                "1800000300",
                "1800000300,\"iat\":1800000011",
                Cause::JwtSvidTime,
            ),
        ] {
            assert_eq!(
                refused(HEADER, &CLAIMS.replacen(from, to, 1)),
                cause,
                "{to}"
            );
        }
        let other = Domain::new("jwt-svid");
        let text = other.sign(HEADER, CLAIMS);
        let parsed = UnverifiedJwtSvid::parse(text.as_bytes(), 8192).unwrap();
        let name = TrustDomain::parse("spiffe://example.org").unwrap();
        let rules = JwtSvidRules {
            trust_domain: &name,
            audience: "https://auth.example.com",
            max_lifetime: 3600,
            ahead: 10,
        };
        let stranger = parsed.verify(&rules, &domain.bundle, UnixTime::from_secs(NOW));
        assert_eq!(stranger.unwrap_err().cause(), Cause::JwtSvidSignature);
        assert_eq!(
            refused(&HEADER.replace("j1", "j2"), CLAIMS),
            Cause::JwtSvidSignature
        );
        let malformed = UnverifiedJwtSvid::parse(b"x.y", 8192).unwrap_err().cause();
        assert_eq!(malformed, Cause::JwtSvidMalformed);
    }

    /// A key for identity tokens signs no JWT-SVIDs.
    #[test]
    fn a_key_of_another_use_does_not_count() {
        let domain = Domain::new("wit-svid");
        let refused = domain.check(HEADER, CLAIMS).unwrap_err();
        assert_eq!(refused.cause(), Cause::JwtSvidSignature);
    }

    #[test]
    fn a_good_one_says_who() {
        let domain = Domain::new("jwt-svid");
        for header in [
            HEADER,
            r#"{"alg":"ES256","kid":"j1"}"#,
            r#"{"alg":"ES256","kid":"j1","typ":"JOSE"}"#,
        ] {
            let svid = domain.check(header, CLAIMS).unwrap();
            assert_eq!(svid.subject().as_str(), "spiffe://example.org/pay");
            assert_eq!(svid.expires_at().as_secs(), NOW + 300);
        }
    }
}
