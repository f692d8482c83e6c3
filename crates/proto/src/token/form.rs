//! A token as it was presented, by its form: a JWT that can be verified here, or opaque text
//! that only its issuer can explain.
//!
//! Which form a token has is decided by its text alone, never by what fails later: a JWT whose
//! signature does not verify stays a JWT and is refused.

use std::fmt;

use super::{TokenHash, UnverifiedToken};
use crate::base64url;
use crate::cause::Cause;
use crate::json::Object;
use crate::rejection::Rejection;

/// A token in one of the two forms. Nothing in it is trusted.
#[derive(Debug)]
pub enum PresentedToken<'a> {
    /// A compact JWS with the header of a JWT.
    Jwt(UnverifiedToken<'a>),
    /// Any other text.
    Opaque(OpaqueToken<'a>),
}

/// Text that means nothing here.
#[derive(Clone, Copy)]
pub struct OpaqueToken<'a> {
    text: &'a str,
    hash: TokenHash,
}

impl<'a> PresentedToken<'a> {
    /// Tells the forms apart, and checks the one it is.
    ///
    /// # Errors
    /// A [`Rejection`] with a `token.*` cause; `token.malformed` for opaque text where
    /// `takes_opaque` is false.
    pub fn parse(text: &'a [u8], max_bytes: usize, takes_opaque: bool) -> Result<Self, Rejection> {
        Self::parse_with_hash(text, TokenHash::of(text), (max_bytes, takes_opaque))
    }

    pub(crate) fn parse_with_hash(
        text: &'a [u8],
        hash: TokenHash,
        (max_bytes, takes_opaque): (usize, bool),
    ) -> Result<Self, Rejection> {
        if !takes_opaque || text.len() > max_bytes || is_jwt(text) {
            return UnverifiedToken::parse_with_hash(text, hash, max_bytes).map(Self::Jwt);
        }
        // RFC 6750 section 2.1: token68, so that nothing in it means anything to anybody.
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
        match std::str::from_utf8(text) {
            Ok(opaque) if !text.is_empty() && text.iter().all(is_plain) => {
                Ok(Self::Opaque(OpaqueToken { text: opaque, hash }))
            }
            _ => Err(Cause::TokenMalformed.into()),
        }
    }
}

impl<'a> OpaqueToken<'a> {
    /// The text, which is a secret.
    #[must_use]
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// SHA-256 of the text.
    #[must_use]
    pub const fn hash(&self) -> TokenHash {
        self.hash
    }
}

impl fmt::Debug for OpaqueToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpaqueToken")
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

/// Whether the text is three segments of which the first is a JSON object with `alg`. Encrypted
/// tokens have five segments: only their issuer can read them.
fn is_jwt(text: &[u8]) -> bool {
    let mut segments = text.split(|byte| *byte == b'.');
    let header = segments.next().unwrap_or_default();
    if segments.count() != 2 {
        return false;
    }
    let Ok(header) = base64url::decode(header) else {
        return false;
    };
    Object::parse(&header).is_ok_and(|header| header.contains("alg"))
}

#[cfg(test)]
mod tests {
    use super::{PresentedToken, base64url};
    use crate::cause::Cause;

    fn form(text: &str, takes_opaque: bool) -> Result<&'static str, Cause> {
        match PresentedToken::parse(text.as_bytes(), 200, takes_opaque) {
            Ok(PresentedToken::Jwt(_)) => Ok("jwt"),
            Ok(PresentedToken::Opaque(opaque)) => {
                assert!(!format!("{opaque:?}").contains(text));
                Ok("opaque")
            }
            Err(rejection) => Err(rejection.cause()),
        }
    }

    fn jwt(header: &str, claims: &str) -> String {
        let encode = |json: &str| base64url::encode(json.as_bytes());
        format!("{}.{}.AAAA", encode(header), encode(claims))
    }

    #[test]
    fn a_bad_jwt_is_never_taken_for_an_opaque_token() {
        let claims = r#"{"iss":"https://a"}"#;
        for (text, cause) in [
            (
                jwt(r#"{"alg":"none"}"#, claims),
                Cause::TokenAlgUnacceptable,
            ),
            (
                jwt(r#"{"alg":"ES256","typ":"dpop+jwt"}"#, claims),
                Cause::TokenTyp,
            ),
            (jwt(r#"{"alg":"ES256"}"#, "[]"), Cause::TokenMalformed),
            (jwt(r#"{"alg":"ES256"}"#, "{}"), Cause::TokenClaimInvalid),
            (
                jwt(r#"{"alg":"ES256","crit":[]}"#, claims),
                Cause::TokenCritical,
            ),
        ] {
            assert_eq!(form(&text, true), Err(cause), "{text}");
            assert_eq!(form(&text, false), Err(cause), "{text}");
        }
    }

    #[test]
    fn opaque_text_is_taken_only_where_it_can_be_asked_about() {
        let jwe = "eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d";
        for text in [
            "2YotnFZFEjr1zCsicMWpAA",
            "a.b.c",
            "v4.public.AAAA",
            jwe,
            "x==",
        ] {
            assert_eq!(form(text, false), Err(Cause::TokenMalformed), "{text}");
            assert_eq!(form(text, true), Ok("opaque"), "{text}");
        }
        for text in ["", "a b", "a\"b", "a&token=b", "ü"] {
            assert_eq!(form(text, true), Err(Cause::TokenMalformed), "{text}");
        }
        assert_eq!(form(&"x".repeat(201), true), Err(Cause::TokenSize));
        let good = jwt(
            r#"{"alg":"ES256","typ":"at+jwt"}"#,
            r#"{"iss":"https://a"}"#,
        );
        assert_eq!(form(&good, true), Ok("jwt"));
    }
}
