//! `cnf`: what a token is bound to (RFC 7800 section 3.1).
//!
//! RFC 7800 lets a reader ignore members it does not know, "unless the
//! application requires them". A verifier of sender constraints does: if `cnf`
//! names a registered method this release cannot check, the token is refused,
//! never treated as unbound. Members nobody registered are ignored.
//!
//! One member of `cnf` is our own: [`RENEWAL`] stands beside `x5t#S256` and says
//! which other certificates may stand in for the named one.

use crate::base64url;
use crate::cause::Cause;
use crate::certificate::CertificateThumbprint;
use crate::jose::{Jkt, PublicKey};
use crate::json;
use crate::rejection::Rejection;
use crate::signature::{SignatureAlgorithm, runtime_key};

use super::renewal::{RENEWAL, Renewal};

/// What a token's `cnf` says. Everything it names has to be proven.
#[derive(Clone, Debug, Default)]
pub struct Confirmation {
    key: Option<KeyBinding>,
    certificate: Option<CertificateBinding>,
}

/// A key a token is bound to.
#[derive(Clone, Debug)]
pub enum KeyBinding {
    /// By thumbprint (`cnf.jkt`, RFC 9449 section 6.1); the proof brings the key.
    Thumbprint(Jkt),
    /// The key itself (`cnf.jwk`, RFC 7800 section 3.2; `cnf.htsk`, draft-richer-oauth-httpsig-03).
    Key(PublicKey),
}

/// A certificate a token is bound to (RFC 8705 section 3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateBinding {
    thumbprint: CertificateThumbprint,
    renewal: Option<Renewal>,
}

/// Registered methods and drafts in use that this release does not check.
const UNSUPPORTED: [&str; 4] = ["jku", "jwe", "kid", "osc"];

impl Confirmation {
    /// Bound to this very key.
    #[must_use]
    pub const fn to_key(key: PublicKey) -> Self {
        Self {
            key: Some(KeyBinding::Key(key)),
            certificate: None,
        }
    }

    /// Bound to this very certificate.
    #[must_use]
    pub const fn to_certificate(thumbprint: CertificateThumbprint) -> Self {
        Self {
            key: None,
            certificate: Some(CertificateBinding {
                thumbprint,
                renewal: None,
            }),
        }
    }

    /// Reads `cnf` out of a claims set or an introspection answer.
    pub(crate) fn read(claims: &json::Object<'_>) -> Result<Self, Rejection> {
        if claims.get("cnf").is_none() {
            return Ok(Self::default());
        }
        let cnf = claims
            .object("cnf")
            .ok()
            .flatten()
            .ok_or(Cause::TokenCnfInvalid)?;
        if let Some(method) = UNSUPPORTED.iter().find(|method| cnf.get(method).is_some()) {
            return Err(Rejection::new(Cause::TokenCnfUnsupported).got(*method));
        }
        let confirmation = Self {
            key: read_key(cnf)?,
            certificate: read_certificate(cnf)?,
        };
        if confirmation.is_unbound() {
            return Err(Cause::TokenCnfInvalid.into());
        }
        Ok(confirmation)
    }

    /// Whether the token is bound to nothing: a bearer token.
    #[must_use]
    pub const fn is_unbound(&self) -> bool {
        self.key.is_none() && self.certificate.is_none()
    }

    /// The key, if bound to one.
    #[must_use]
    pub const fn key(&self) -> Option<&KeyBinding> {
        self.key.as_ref()
    }

    /// The certificate, if bound to one.
    #[must_use]
    pub const fn certificate(&self) -> Option<&CertificateBinding> {
        self.certificate.as_ref()
    }

    /// The thumbprint of the key, if bound to one.
    #[must_use]
    pub fn jkt(&self) -> Option<Jkt> {
        match self.key.as_ref()? {
            KeyBinding::Thumbprint(jkt) => Some(*jkt),
            KeyBinding::Key(key) => Some(key.thumbprint()),
        }
    }
}

impl KeyBinding {
    /// The thumbprint in `cnf.jkt`; `None` if the binding is another member's.
    #[must_use]
    pub const fn thumbprint(&self) -> Option<Jkt> {
        match self {
            Self::Thumbprint(jkt) => Some(*jkt),
            Self::Key(_) => None,
        }
    }
}

impl CertificateBinding {
    /// `x5t#S256`.
    #[must_use]
    pub const fn thumbprint(&self) -> CertificateThumbprint {
        self.thumbprint
    }

    /// What may stand in for that certificate, if anything.
    #[must_use]
    pub const fn renewal(&self) -> Option<&Renewal> {
        self.renewal.as_ref()
    }
}

/// RFC 7800 section 3.1: `cnf` names one key, so two members that do are refused.
fn read_key(cnf: &json::Object<'_>) -> Result<Option<KeyBinding>, Rejection> {
    let has = |name: &str| cnf.get(name).is_some();
    match (has("jkt"), has("jwk"), has("htsk")) {
        (false, false, false) => Ok(None),
        (true, false, false) => text(cnf, "jkt")?
            .parse()
            .map(|jkt| Some(KeyBinding::Thumbprint(jkt)))
            .map_err(|_| Cause::TokenCnfInvalid.into()),
        (false, false, true) => read_runtime_key(cnf).map(Some),
        (false, true, false) => {
            let jwk = cnf.object("jwk").ok().flatten();
            jwk.and_then(|jwk| PublicKey::from_jwk_object(jwk).ok())
                .map(|key| Some(KeyBinding::Key(key)))
                .ok_or_else(|| Cause::TokenCnfInvalid.into())
        }
        _ => Err(Cause::TokenCnfInvalid.into()),
    }
}

/// `cnf.htsk` (draft-richer-oauth-httpsig-03 section 5.2): the algorithm's name in RFC 9421, and
/// the key as the token request brought it.
fn read_runtime_key(cnf: &json::Object<'_>) -> Result<KeyBinding, Rejection> {
    let htsk = cnf.object("htsk").ok().flatten();
    let htsk = htsk.ok_or(Cause::TokenCnfInvalid)?;
    let algorithm = SignatureAlgorithm::from_name(text(htsk, "alg")?);
    let point = base64url::decode(text(htsk, "pub")?.as_bytes());
    let key = match (algorithm, point) {
        (Some(algorithm), Ok(point)) => runtime_key(algorithm, &point).ok(),
        _ => None,
    };
    key.map(KeyBinding::Key)
        .ok_or_else(|| Cause::TokenCnfInvalid.into())
}

fn read_certificate(cnf: &json::Object<'_>) -> Result<Option<CertificateBinding>, Rejection> {
    if cnf.get("x5t#S256").is_none() {
        // A rule about a certificate that is not named would bind to nothing.
        return match cnf.get(RENEWAL) {
            Some(_) => Err(Cause::TokenCnfInvalid.into()),
            None => Ok(None),
        };
    }
    let thumbprint = text(cnf, "x5t#S256")?
        .parse()
        .map_err(|_| Cause::TokenCnfInvalid)?;
    let renewal = match cnf.get(RENEWAL) {
        None => None,
        Some(_) => Some(Renewal::read(cnf)?),
    };
    Ok(Some(CertificateBinding {
        thumbprint,
        renewal,
    }))
}

fn text<'a>(object: &'a json::Object<'_>, name: &str) -> Result<&'a str, Rejection> {
    let text = object.string(name).ok().flatten();
    text.ok_or_else(|| Cause::TokenCnfInvalid.into())
}

#[cfg(test)]
mod tests {
    use super::{Confirmation, RENEWAL, Renewal};
    use crate::cause::Cause;
    use crate::json::Object;

    const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    const X5T: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
    const JWK: &str =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn read(claims: &str) -> Result<Confirmation, Cause> {
        let object = Object::parse(claims.as_bytes()).unwrap();
        Confirmation::read(&object).map_err(|rejection| rejection.cause())
    }

    fn refused(claims: &str) -> Cause {
        match read(claims) {
            Err(cause) => cause,
            Ok(taken) => panic!("{claims} was taken as {taken:?}"),
        }
    }

    #[test]
    fn malformed_or_unknown_confirmations_are_never_unbound() {
        for cnf in [
            "null",
            "[]",
            "\"x\"",
            "{}",
            r#"{"other":1}"#,
            r#"{"jkt":1}"#,
            r#"{"jkt":""}"#,
            r#"{"jwk":{}}"#,
            r#"{"jwk":"x"}"#,
            r#"{"jwk":{"kty":"oct","k":"AAAA"}}"#,
            r#"{"x5t#S256":1}"#,
            r#"{"x5t#S256":""}"#,
        ] {
            assert_eq!(
                refused(&format!(r#"{{"cnf":{cnf}}}"#)),
                Cause::TokenCnfInvalid,
                "{cnf}"
            );
        }
        let padded = format!(r#"{{"cnf":{{"jkt":"{JKT}="}}}}"#);
        assert_eq!(refused(&padded), Cause::TokenCnfInvalid);
    }

    #[test]
    fn a_runtime_key_is_read_whole_or_not_at_all() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let of = |alg: &str, key: &str| {
            format!(r#"{{"cnf":{{"htsk":{{"alg":"{alg}","pub":"{key}"}}}}}}"#)
        };
        for claims in [
            r#"{"cnf":{"htsk":"x"}}"#.to_owned(),
            r#"{"cnf":{"htsk":{"alg":"ed25519"}}}"#.to_owned(),
            of("ed25519", "AAAA"),
            of("EdDSA", x),
            of("hmac-sha256", x),
            of("ecdsa-p256-sha256", x),
            of("ed25519", x).replace("\"htsk\"", &format!(r#""jkt":"{JKT}","htsk""#)),
        ] {
            assert_eq!(refused(&claims), Cause::TokenCnfInvalid, "{claims}");
        }
        let taken = read(&of("ed25519", x)).unwrap();
        let same = read(&format!(r#"{{"cnf":{{"jwk":{JWK}}}}}"#)).unwrap();
        assert_eq!(taken.jkt(), same.jkt());
    }

    #[test]
    fn two_keys_are_refused() {
        let both = format!(r#"{{"cnf":{{"jkt":"{JKT}","jwk":{JWK}}}}}"#);
        assert_eq!(refused(&both), Cause::TokenCnfInvalid);
    }

    #[test]
    fn a_renewal_rule_needs_its_certificate_and_its_key() {
        for cnf in [
            format!(r#""{RENEWAL}":{{"spki":"{JKT}"}}"#),
            format!(r#""jkt":"{JKT}","{RENEWAL}":{{"spki":"{JKT}"}}"#),
            format!(r#""x5t#S256":"{X5T}","{RENEWAL}":{{}}"#),
            format!(r#""x5t#S256":"{X5T}","{RENEWAL}":null"#),
            format!(r#""x5t#S256":"{X5T}","{RENEWAL}":{{"spki":"x"}}"#),
        ] {
            let claims = format!(r#"{{"cnf":{{{cnf}}}}}"#);
            assert_eq!(refused(&claims), Cause::TokenCnfInvalid, "{cnf}");
        }
    }

    #[test]
    fn sc_118_every_registered_method_counts() {
        for method in super::UNSUPPORTED {
            let both = format!(r#"{{"cnf":{{"jkt":"{JKT}","{method}":"x"}}}}"#);
            assert_eq!(refused(&both), Cause::TokenCnfUnsupported, "{method}");
        }
        let extra = format!(r#"{{"cnf":{{"jkt":"{JKT}","https://example.com/x":"y"}}}}"#);
        let taken = read(&extra).unwrap();
        assert_eq!(taken.jkt(), Some(JKT.parse().unwrap()));
        assert!(taken.certificate().is_none() && !taken.is_unbound());
        assert!(read("{}").unwrap().is_unbound());
    }

    #[test]
    fn a_key_and_a_certificate_are_both_read() {
        let claims = format!(
            r#"{{"cnf":{{"jkt":"{JKT}","x5t#S256":"{X5T}","{RENEWAL}":{{"spki":"{JKT}"}}}}}}"#
        );
        let taken = read(&claims).unwrap();
        let certificate = taken.certificate().unwrap();
        assert_eq!(taken.jkt(), Some(JKT.parse().unwrap()));
        assert_eq!(certificate.thumbprint(), X5T.parse().unwrap());
        let rule = Renewal::PublicKey(JKT.parse().unwrap());
        assert_eq!(certificate.renewal(), Some(&rule));
        let key = read(&format!(r#"{{"cnf":{{"jwk":{JWK}}}}}"#)).unwrap();
        let thumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        assert_eq!(key.jkt(), Some(thumbprint.parse().unwrap()));
        assert!(key.key().unwrap().thumbprint().is_none());
    }
}
