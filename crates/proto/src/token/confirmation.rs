//! `cnf`: which key a token is bound to (RFC 7800 section 3.1).
//!
//! RFC 7800 lets a reader ignore members it does not know, "unless the
//! application requires them". A verifier of sender constraints does: if `cnf`
//! names a registered method this release cannot check, the token is refused,
//! never treated as unbound. Members nobody registered are ignored.

use crate::cause::Cause;
use crate::jose::Jkt;
use crate::json;
use crate::rejection::Rejection;

/// What a token's `cnf` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// Bound to the key with this thumbprint (`cnf.jkt`, RFC 9449 section 6.1).
    Key(Jkt),
    /// No `cnf`: a bearer token.
    Unbound,
}

/// Registered methods and drafts in use that this release does not check.
const UNSUPPORTED: [&str; 7] = ["htsk", "jku", "jwe", "jwk", "kid", "osc", "x5t#S256"];

impl Confirmation {
    /// Reads `cnf` out of a claims set or an introspection answer.
    pub(crate) fn read(claims: &json::Object<'_>) -> Result<Self, Rejection> {
        if claims.get("cnf").is_none() {
            return Ok(Self::Unbound);
        }
        let cnf = claims
            .object("cnf")
            .ok()
            .flatten()
            .ok_or(Cause::TokenCnfInvalid)?;
        if let Some(method) = UNSUPPORTED.iter().find(|method| cnf.get(method).is_some()) {
            return Err(Rejection::new(Cause::TokenCnfUnsupported).got(*method));
        }
        cnf.string("jkt")
            .ok()
            .flatten()
            .and_then(|text| text.parse().ok())
            .map(Self::Key)
            .ok_or_else(|| Cause::TokenCnfInvalid.into())
    }

    /// The thumbprint, if bound by one.
    #[must_use]
    pub const fn jkt(self) -> Option<Jkt> {
        match self {
            Self::Key(jkt) => Some(jkt),
            Self::Unbound => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Confirmation;
    use crate::cause::Cause;
    use crate::json::Object;

    const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

    fn read(claims: &str) -> Result<Confirmation, Cause> {
        let object = Object::parse(claims.as_bytes()).unwrap();
        Confirmation::read(&object).map_err(|rejection| rejection.cause())
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
        ] {
            assert_eq!(
                read(&format!(r#"{{"cnf":{cnf}}}"#)),
                Err(Cause::TokenCnfInvalid),
                "{cnf}"
            );
        }
        let padded = format!(r#"{{"cnf":{{"jkt":"{JKT}="}}}}"#);
        assert_eq!(read(&padded), Err(Cause::TokenCnfInvalid));
    }

    #[test]
    fn sc_118_every_registered_method_counts() {
        for method in super::UNSUPPORTED {
            let both = format!(r#"{{"cnf":{{"jkt":"{JKT}","{method}":"x"}}}}"#);
            assert_eq!(read(&both), Err(Cause::TokenCnfUnsupported), "{method}");
        }
        let extra = format!(r#"{{"cnf":{{"jkt":"{JKT}","https://example.com/x":"y"}}}}"#);
        assert_eq!(read(&extra), Ok(Confirmation::Key(JKT.parse().unwrap())));
        assert_eq!(read("{}"), Ok(Confirmation::Unbound));
    }
}
