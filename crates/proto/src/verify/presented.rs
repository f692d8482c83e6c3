//! What a request presents, as borrowed views, and the form of its headers.
//!
//! Nothing here is trusted or decoded. This module does not read query or body: a
//! token there is no token (RFC 9449 section 7, RFC 6750 section 2.3 is refused).

use std::fmt;

use crate::cause::Cause;
use crate::certificate::{CertificateThumbprint, PeerCertificate};
use crate::fields::FieldLines;
use crate::rejection::Rejection;
use crate::signature::SignedRequest;
use crate::signature::profile::HTTPSIG_SCHEME;
use crate::uri::{Htu, Origin};

/// One header field: how many field lines there were, and the value if one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum HeaderField<'a> {
    /// No such field line.
    Absent,
    /// Two or more field lines.
    Many,
    /// One field line with this value.
    One(&'a [u8]),
}

impl<'a> HeaderField<'a> {
    /// Counts the field lines.
    pub fn of(mut values: impl Iterator<Item = &'a [u8]>) -> Self {
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(value), None) => Self::One(value),
            (Some(_), Some(_)) => Self::Many,
        }
    }
}

impl fmt::Debug for HeaderField<'_> {
    /// Values of these fields are credentials and are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("Absent"),
            Self::Many => f.write_str("Many"),
            Self::One(value) => write!(f, "One({} bytes)", value.len()),
        }
    }
}

/// The parts of a request that verification looks at.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// The method, verbatim; the very one that will be acted on.
    pub method: &'a str,
    /// The request's URL, built from configured origin and request path.
    pub target: &'a Htu,
    /// The `Authorization` field.
    pub authorization: HeaderField<'a>,
    /// The `DPoP` field.
    pub proof: HeaderField<'a>,
    /// What other methods than DPoP look at.
    pub message: Message<'a>,
}

/// The rest of a request and of the connection it came on. The default has nothing of it, so
/// that only a DPoP proof can show possession.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// The client certificate of the TLS connection, its possession proven by the handshake.
    /// Never one that a header names, unless a trusted terminator wrote that header.
    pub certificate: Option<&'a PeerCertificate>,
    /// Where no more is known of the client certificate than its hash, by the word of a trusted
    /// terminator. Confirms a token bound to that very certificate, and nothing else; whether it is
    /// in force the terminator's handshake decided.
    pub certificate_hash: Option<CertificateThumbprint>,
    /// The configured public origin, of which `target` was built.
    pub origin: Option<&'a Origin>,
    /// Path and query as received.
    pub request_target: &'a str,
    /// Every header field.
    pub fields: &'a dyn FieldLines,
    /// Whether the request has content, or may have: a route that wants content covered refuses
    /// it then without a digest.
    pub has_content: bool,
}

impl Default for Message<'_> {
    fn default() -> Self {
        Self {
            certificate: None,
            certificate_hash: None,
            origin: None,
            request_target: "",
            fields: &(),
            has_content: false,
        }
    }
}

impl<'a> Message<'a> {
    /// The request as signatures see it; `None` without a configured origin.
    pub(super) fn signed_request(&self, method: &'a str) -> Option<SignedRequest<'a>> {
        Some(SignedRequest {
            method,
            origin: self.origin?,
            request_target: self.request_target,
            fields: self.fields,
            trailers: None,
        })
    }
}

impl fmt::Debug for Message<'_> {
    /// Header fields carry credentials and are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("certificate", &self.certificate)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// The authorization schemes that carry access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Bearer,
    Dpop,
    HttpSignature,
}

/// Splits `Authorization` into scheme and token (RFC 9110 section 11.4). Schemes compare without
/// regard to case; other schemes than ours carry no access token.
pub(crate) fn credentials<'a>(
    field: HeaderField<'a>,
    max_token_bytes: usize,
) -> Result<(Scheme, &'a [u8]), Rejection> {
    let value = match field {
        HeaderField::Absent => return Err(Cause::AuthorizationAbsent.into()),
        HeaderField::Many => return Err(Cause::AuthorizationMultiple.into()),
        HeaderField::One(value) => value,
    };
    let at = value
        .iter()
        .position(|byte| *byte == b' ')
        .unwrap_or(value.len());
    let (name, rest) = value
        .split_at_checked(at)
        .ok_or(Cause::AuthorizationMalformed)?;
    let scheme = if name.eq_ignore_ascii_case(b"DPoP") {
        Scheme::Dpop
    } else if name.eq_ignore_ascii_case(b"Bearer") {
        Scheme::Bearer
    } else if name.eq_ignore_ascii_case(HTTPSIG_SCHEME.as_bytes()) {
        Scheme::HttpSignature
    } else {
        return Err(Cause::AuthorizationAbsent.into());
    };
    let token = rest.trim_ascii();
    if token.len() > max_token_bytes {
        return Err(Rejection::new(Cause::TokenSize)
            .expected(format!("at most {max_token_bytes} bytes"))
            .got(format!("{} bytes", token.len())));
    }
    if !is_token68(token) {
        return Err(Cause::AuthorizationMalformed.into());
    }
    Ok((scheme, token))
}

/// The proof's text: exactly one field line, one proof in it, not too large
/// (RFC 9449 section 4.3 (1)).
pub(crate) fn proof_text(field: HeaderField<'_>, max_bytes: usize) -> Result<&[u8], Rejection> {
    let value = match field {
        HeaderField::Absent => return Err(Cause::DpopAbsent.into()),
        HeaderField::Many => return Err(Cause::DpopMultiple.into()),
        HeaderField::One(value) => value.trim_ascii(),
    };
    if value.len() > max_bytes {
        return Err(Rejection::new(Cause::DpopSize)
            .expected(format!("at most {max_bytes} bytes"))
            .got(format!("{} bytes", value.len())));
    }
    if value.contains(&b',') {
        return Err(Cause::DpopMultiple.into());
    }
    Ok(value)
}

/// `token68` of RFC 9110 section 11.2: one or more of its characters, then any number of `=`.
fn is_token68(text: &[u8]) -> bool {
    let end = text.iter().rposition(|byte| *byte != b'=');
    let Some(body) = end.and_then(|end| text.get(..=end)) else {
        return false;
    };
    body.iter()
        .all(|byte| TOKEN68.get(usize::from(*byte)) == Some(&true))
}

/// Which bytes `token68` is made of. A table, because every byte of every token is looked up.
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which checks it; a byte always fits"
)]
const TOKEN68: [bool; 256] = {
    let mut table = [false; 256];
    let mut rest: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
    while let [byte, after @ ..] = rest {
        table[*byte as usize] = true;
        rest = after;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::{HeaderField, Scheme, credentials, is_token68, proof_text};
    use crate::cause::Cause;

    fn read(value: &[u8]) -> Result<(Scheme, Vec<u8>), Cause> {
        credentials(HeaderField::One(value), 64)
            .map(|(scheme, token)| (scheme, token.to_vec()))
            .map_err(|rejection| rejection.cause())
    }

    #[test]
    fn what_is_not_one_scheme_and_one_token_is_refused() {
        for absent in [
            &b"Basic eDp5"[..],
            b"",
            b" DPoP x",
            b"DPoPx y",
            b"Negotiate",
        ] {
            assert_eq!(read(absent), Err(Cause::AuthorizationAbsent));
        }
        for malformed in [
            &b"DPoP"[..],
            b"DPoP ",
            b"DPoP a b",
            b"DPoP a,b",
            b"DPoP a\tb",
            b"DPoP =",
            b"DPoP a=b",
            b"Bearer token=\"x\"",
        ] {
            assert_eq!(
                read(malformed),
                Err(Cause::AuthorizationMalformed),
                "{malformed:?}"
            );
        }
        assert_eq!(
            read(&[b"DPoP ".as_slice(), &[b'a'; 65]].concat()),
            Err(Cause::TokenSize)
        );
        let many = credentials(HeaderField::Many, 64).unwrap_err();
        assert_eq!(many.cause(), Cause::AuthorizationMultiple);
    }

    #[test]
    fn token68_is_its_alphabet_and_nothing_else() {
        for byte in 0..=u8::MAX {
            let taken = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(is_token68(&[b'a', byte, b'a']), taken, "{byte}");
        }
    }

    #[test]
    fn sc_116_scheme_case_and_spaces_do_not_matter() {
        for good in [&b"DPoP a.b"[..], b"dPoP a.b", b"DPOP    a.b"] {
            assert_eq!(read(good), Ok((Scheme::Dpop, b"a.b".to_vec())));
        }
        assert_eq!(
            read(b"bearer a.b=="),
            Ok((Scheme::Bearer, b"a.b==".to_vec()))
        );
    }

    #[test]
    fn the_largest_token_and_proof_are_still_taken() {
        let token = [b"DPoP ".as_slice(), &[b'a'; 64]].concat();
        assert_eq!(read(&token), Ok((Scheme::Dpop, vec![b'a'; 64])));
        assert!(proof_text(HeaderField::One(&[b'a'; 64]), 64).is_ok());
        assert_eq!(format!("{:?}", HeaderField::One(b"secret")), "One(6 bytes)");
    }

    #[test]
    fn sc_003_joined_proofs_are_many() {
        let cause = |field| proof_text(field, 64).unwrap_err().cause();
        assert_eq!(
            cause(HeaderField::One(b"a.b.c, d.e.f")),
            Cause::DpopMultiple
        );
        assert_eq!(cause(HeaderField::Many), Cause::DpopMultiple);
        assert_eq!(cause(HeaderField::Absent), Cause::DpopAbsent);
        assert_eq!(cause(HeaderField::One(&[b'a'; 65])), Cause::DpopSize);
    }
}
