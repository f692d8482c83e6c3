//! The two header fields in which a workload presents itself.
//!
//! Each may be there once, with one token in it. This module parses no token.

use std::fmt;

use super::{IDENTITY_TOKEN_HEADER, PROOF_TOKEN_HEADER};
use crate::cause::Cause;
use crate::fields::FieldLines;
use crate::rejection::Rejection;

/// The texts of a request's identity token and, if there is one, proof token.
#[derive(Clone, Copy)]
pub struct WorkloadHeaders<'a> {
    identity_token: &'a [u8],
    proof: Option<&'a [u8]>,
}

impl<'a> WorkloadHeaders<'a> {
    /// Reads both fields; `None` if the request has neither.
    ///
    /// # Errors
    /// `wimse.wit.multiple`, `wimse.wpt.multiple`; `wimse.wit.absent` for a proof alone.
    pub fn read(fields: &'a dyn FieldLines) -> Result<Option<Self>, Rejection> {
        let identity_token = one(fields, IDENTITY_TOKEN_HEADER, Cause::WitMultiple)?;
        let proof = one(fields, PROOF_TOKEN_HEADER, Cause::WptMultiple)?;
        match (identity_token, proof) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Cause::WitAbsent.into()),
            (Some(identity_token), proof) => Ok(Some(Self {
                identity_token,
                proof,
            })),
        }
    }

    /// The identity token's text.
    #[must_use]
    pub const fn identity_token(&self) -> &'a [u8] {
        self.identity_token
    }

    /// The proof's text, if there is one: a signature over the request may stand for it.
    #[must_use]
    pub const fn proof(&self) -> Option<&'a [u8]> {
        self.proof
    }

    /// The proof's text, where nothing else can stand for it.
    ///
    /// # Errors
    /// `wimse.wpt.absent`
    pub fn required_proof(&self) -> Result<&'a [u8], Rejection> {
        self.proof.ok_or_else(|| Cause::WptAbsent.into())
    }
}

impl fmt::Debug for WorkloadHeaders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkloadHeaders")
            .field("identity_token_bytes", &self.identity_token.len())
            .field("has_proof", &self.proof.is_some())
            .finish()
    }
}

/// One field line with one value; what a proxy joined with a comma counts as several.
fn one<'a>(
    fields: &'a dyn FieldLines,
    name: &str,
    multiple: Cause,
) -> Result<Option<&'a [u8]>, Rejection> {
    match fields.lines(name).as_slice() {
        [] => Ok(None),
        [line] if !line.contains(&b',') => Ok(Some(line.trim_ascii())),
        _ => Err(multiple.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::WorkloadHeaders;
    use crate::cause::Cause;
    use crate::fields::FieldLines;

    const WIT: (&str, &[u8]) = ("workload-identity-token", b" a.b.c ");
    const WPT: (&str, &[u8]) = ("workload-proof-token", b"d.e.f");

    fn cause(fields: &[(&str, &[u8])]) -> Cause {
        let fields: &dyn FieldLines = &Lines(fields);
        WorkloadHeaders::read(fields).unwrap_err().cause()
    }

    struct Lines<'a>(&'a [(&'a str, &'a [u8])]);

    impl FieldLines for Lines<'_> {
        fn lines<'s>(&'s self, name: &str) -> Vec<&'s [u8]> {
            self.0.lines(name)
        }
    }

    #[test]
    fn each_field_is_taken_once_with_one_value() {
        assert_eq!(cause(&[WPT]), Cause::WitAbsent);
        assert_eq!(cause(&[WIT, WIT, WPT]), Cause::WitMultiple);
        assert_eq!(cause(&[WIT, WPT, WPT]), Cause::WptMultiple);
        let joined: (&str, &[u8]) = ("workload-identity-token", b"a.b.c, a.b.c");
        assert_eq!(cause(&[joined, WPT]), Cause::WitMultiple);
        let joined: (&str, &[u8]) = ("workload-proof-token", b"a.b.c,a.b.c");
        assert_eq!(cause(&[WIT, joined]), Cause::WptMultiple);
    }

    #[test]
    fn nobody_is_told_from_somebody() {
        assert!(WorkloadHeaders::read(&()).unwrap().is_none());
        let lines = Lines(&[WIT]);
        let alone = WorkloadHeaders::read(&lines).unwrap().unwrap();
        assert_eq!(alone.identity_token(), b"a.b.c");
        assert_eq!(
            alone.required_proof().unwrap_err().cause(),
            Cause::WptAbsent
        );
        let lines = Lines(&[WIT, WPT]);
        let both = WorkloadHeaders::read(&lines).unwrap().unwrap();
        assert_eq!(both.required_proof().unwrap(), b"d.e.f");
        assert!(!format!("{both:?}").contains("d.e.f"));
    }
}
