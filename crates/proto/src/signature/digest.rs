//! Digests of message content (RFC 9530): `Content-Digest` and
//! `Want-Content-Digest`.
//!
//! A signature covers the header field; only [`ExpectedDigest`] ties the field
//! to the bytes. `sha-256` and `sha-512` are known; other algorithms are
//! ignored, but a field without a known one is refused where a signature
//! depends on it. The bytes are those of the content as sent: after content
//! coding, before transfer coding.
//!
//! `Repr-Digest` is not checked here: it needs the whole representation.

use std::fmt;

use aws_lc_rs::digest::{self, Context, SHA256, SHA512};

use crate::cause::Cause;
use crate::fields::FieldLines;
use crate::rejection::Rejection;
use crate::structured::{BareItem, Dictionary};

/// The field's name in lower case.
pub const CONTENT_DIGEST: &str = "content-digest";

/// The value of `Want-Content-Digest` that asks for what is checked here.
pub const WANT_CONTENT_DIGEST: &str = "sha-256=10, sha-512=3";

/// The largest field that is read, in bytes: room for many algorithms.
const MAX_FIELD_BYTES: usize = 1024;

/// The most algorithms one field names.
const MAX_ALGORITHMS: usize = 8;

/// A digest algorithm that holds against forgers (RFC 9530 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// `sha-256`
    Sha256,
    /// `sha-512`
    Sha512,
}

impl DigestAlgorithm {
    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
        }
    }

    const fn backend(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &SHA256,
            Self::Sha512 => &SHA512,
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha512]
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }
}

/// What `Content-Digest` says the content hashes to. It is not checked until the content is.
#[derive(Clone, PartialEq, Eq)]
pub struct ExpectedDigest {
    /// INVARIANT: not empty, and each as long as its algorithm's output.
    values: Vec<(DigestAlgorithm, Vec<u8>)>,
}

/// The content was what its digest says. Only [`ExpectedDigest::check`] and
/// [`DigestCheck::finish`] make one.
///
/// ```compile_fail
/// fn forge() -> keybound_proto::signature::ContentIntact {
///     keybound_proto::signature::ContentIntact(())
/// }
/// ```
#[derive(Debug)]
pub struct ContentIntact(());

impl ExpectedDigest {
    /// Reads `Content-Digest`, if it is there.
    ///
    /// # Errors
    /// `digest.malformed`, and `digest.algorithm` where no known algorithm is named.
    pub fn read(fields: &dyn FieldLines) -> Result<Option<Self>, Rejection> {
        let lines = fields.lines(CONTENT_DIGEST);
        if lines.is_empty() {
            return Ok(None);
        }
        Self::of(&lines).map(Some)
    }

    /// Reads a value in the form of `Content-Digest`.
    ///
    /// # Errors
    /// As [`ExpectedDigest::read`].
    pub(crate) fn parse(value: &[u8]) -> Result<Self, Rejection> {
        Self::of(&[value])
    }

    fn of(lines: &[&[u8]]) -> Result<Self, Rejection> {
        let size = lines.iter().map(|line| line.len()).sum::<usize>();
        if size > MAX_FIELD_BYTES {
            return Err(Rejection::new(Cause::DigestMalformed).got(format!("{size} bytes")));
        }
        let dictionary = Dictionary::parse(lines, MAX_ALGORITHMS)
            .map_err(|error| Rejection::new(Cause::DigestMalformed).got(error.to_string()))?;
        if dictionary.is_repeated() {
            return Err(Rejection::new(Cause::DigestMalformed).got("an algorithm twice"));
        }
        let mut values = Vec::new();
        for (name, member) in dictionary.iter() {
            let Some(BareItem::Bytes(bytes)) = member.as_item().map(|item| &item.value) else {
                return Err(Rejection::new(Cause::DigestMalformed).got(name));
            };
            let Some(algorithm) = DigestAlgorithm::from_name(name) else {
                continue;
            };
            if bytes.len() != algorithm.backend().output_len() {
                return Err(Rejection::new(Cause::DigestMalformed).got(name));
            }
            values.push((algorithm, bytes.clone()));
        }
        if values.is_empty() {
            return Err(Rejection::new(Cause::DigestAlgorithm).expected("sha-256 sha-512"));
        }
        Ok(Self { values })
    }

    /// Checks content that is there in one piece.
    ///
    /// # Errors
    /// `digest.mismatch`
    pub fn check(&self, content: &[u8]) -> Result<ContentIntact, Rejection> {
        let mut check = self.begin();
        check.update(content);
        check.finish()
    }

    /// Begins to check content that comes in pieces. None of it may be acted on before
    /// [`DigestCheck::finish`].
    #[must_use]
    pub fn begin(&self) -> DigestCheck {
        let states = self.values.iter().map(|(algorithm, value)| {
            (Context::new(algorithm.backend()), *algorithm, value.clone())
        });
        DigestCheck {
            states: states.collect(),
        }
    }
}

impl fmt::Debug for ExpectedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.values.iter().map(|(algorithm, _)| algorithm.name());
        f.debug_list().entries(names).finish()
    }
}

/// A check of content that comes in pieces.
#[derive(Clone)]
pub struct DigestCheck {
    states: Vec<(Context, DigestAlgorithm, Vec<u8>)>,
}

impl DigestCheck {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        for (context, ..) in &mut self.states {
            context.update(piece);
        }
    }

    /// Says whether all of it was what every known digest says.
    ///
    /// # Errors
    /// `digest.mismatch`
    pub fn finish(self) -> Result<ContentIntact, Rejection> {
        for (context, algorithm, expected) in self.states {
            if context.finish().as_ref() != expected {
                return Err(Rejection::new(Cause::DigestMismatch).got(algorithm.name()));
            }
        }
        Ok(ContentIntact(()))
    }
}

impl fmt::Debug for DigestCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestCheck").finish_non_exhaustive()
    }
}

/// The value of `Content-Digest` for this content.
///
/// ```
/// use keybound_proto::signature::{DigestAlgorithm, content_digest};
///
/// assert_eq!(
///     content_digest(DigestAlgorithm::Sha256, b""),
///     "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
/// );
/// ```
#[must_use]
pub fn content_digest(algorithm: DigestAlgorithm, content: &[u8]) -> String {
    let value = digest::digest(algorithm.backend(), content);
    let value = BareItem::Bytes(value.as_ref().to_vec());
    format!("{}={value}", algorithm.name())
}

/// The algorithm a `Want-Content-Digest` field prefers (RFC 9530 section 4), if it wants a
/// known one: of equal preferences `sha-256`. A malformed field wants nothing.
#[must_use]
pub fn wanted_digest(fields: &dyn FieldLines) -> Option<DigestAlgorithm> {
    let lines = fields.lines("want-content-digest");
    let wanted = Dictionary::parse(&lines, MAX_ALGORITHMS).ok()?;
    let preference = |algorithm: DigestAlgorithm| {
        let item = wanted.get(algorithm.name())?.as_item()?;
        item.value
            .as_integer()
            .filter(|value| (1..=10).contains(value))
    };
    let sha256 = preference(DigestAlgorithm::Sha256);
    let sha512 = preference(DigestAlgorithm::Sha512);
    match (sha256, sha512) {
        (None, None) => None,
        (Some(first), Some(second)) if second > first => Some(DigestAlgorithm::Sha512),
        (None, Some(_)) => Some(DigestAlgorithm::Sha512),
        (Some(_), _) => Some(DigestAlgorithm::Sha256),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9530 appendix D prints this content and these digests in many examples.
    const CONTENT: &[u8] = b"{\"hello\": \"world\"}\n";

    fn read(value: &str) -> Result<Option<ExpectedDigest>, Cause> {
        let fields: &[(&str, &[u8])] = &[(CONTENT_DIGEST, value.as_bytes())];
        ExpectedDigest::read(&fields).map_err(|rejection| rejection.cause())
    }

    #[test]
    fn what_is_not_one_digest_for_each_algorithm_is_refused() {
        let good = content_digest(DigestAlgorithm::Sha256, CONTENT);
        for malformed in [
            "sha-256",
            "sha-256=abc",
            "sha-256=:YQ==:",
            "sha-256=\"x\"",
            "sha-256=(:YQ==:)",
            &format!("{good}, {good}"),
            &format!("{good}, sha-512=:YQ==:"),
            &format!("{good}, md5=x"),
            &good.replace("=:", ":"),
            &format!("{good},"),
        ] {
            assert_eq!(read(malformed), Err(Cause::DigestMalformed), "{malformed}");
        }
        let long = format!("md5=:{}:", "A".repeat(1024));
        assert_eq!(read(&long), Err(Cause::DigestMalformed));
        assert_eq!(
            read("md5=:YQ==:, crc32c=:YQ==:"),
            Err(Cause::DigestAlgorithm)
        );
        assert_eq!(read(""), Err(Cause::DigestAlgorithm));
    }

    #[test]
    fn every_known_digest_must_be_that_of_the_content() {
        let sha256 = content_digest(DigestAlgorithm::Sha256, CONTENT);
        let sha512 = content_digest(DigestAlgorithm::Sha512, CONTENT);
        let other = content_digest(DigestAlgorithm::Sha512, b"other");
        for (value, intact) in [
            (sha256.clone(), true),
            (sha512.clone(), true),
            (format!("{sha256}, {sha512}, md5=:YQ==:"), true),
            (format!("{sha256}, {other}"), false),
            (other, false),
        ] {
            let expected = read(&value).unwrap().unwrap();
            assert_eq!(expected.check(CONTENT).is_ok(), intact, "{value}");
            assert!(expected.check(b"").is_err());
            let mut pieces = expected.begin();
            for piece in CONTENT.chunks(7) {
                pieces.update(piece);
            }
            assert_eq!(pieces.finish().is_ok(), intact, "{value}");
        }
        let absent = ExpectedDigest::read(&()).map_err(|rejection| rejection.cause());
        assert_eq!(absent, Ok(None));
    }

    #[test]
    fn what_is_wanted_is_the_greatest_preference_among_the_known() {
        let wanted = |value: &str| {
            let fields: &[(&str, &[u8])] = &[("want-content-digest", value.as_bytes())];
            wanted_digest(&fields)
        };
        assert_eq!(wanted("md5=10"), None);
        assert_eq!(wanted("sha-256=0"), None);
        assert_eq!(wanted("sha-256=11"), None);
        assert_eq!(wanted("sha-256=x, ("), None);
        assert_eq!(
            wanted("sha-512=3, sha-256=10"),
            Some(DigestAlgorithm::Sha256)
        );
        assert_eq!(
            wanted("sha-512=3, sha-256=2"),
            Some(DigestAlgorithm::Sha512)
        );
        assert_eq!(wanted("sha-512=3"), Some(DigestAlgorithm::Sha512));
        assert_eq!(wanted(WANT_CONTENT_DIGEST), Some(DigestAlgorithm::Sha256));
    }
}
