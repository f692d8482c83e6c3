//! Claims of workload credentials: a claim of the wrong type is never taken for absent.

use crate::cause::Cause;
use crate::jose::{Algorithm, JwsError};
use crate::json;
use crate::rejection::Rejection;
use crate::time::UnixTime;
use crate::token::MAX_TIME;

/// The causes by which one kind of JWT is refused for its form.
pub(super) struct FormCauses {
    pub(super) malformed: Cause,
    pub(super) critical: Cause,
    pub(super) algorithm: Cause,
    pub(super) size: Cause,
    pub(super) typ: Cause,
    pub(super) claim: Cause,
}

impl FormCauses {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other fault of the form has the one cause for malformed tokens"
    )]
    pub(super) fn of(&self, error: JwsError) -> Rejection {
        let cause = match error {
            JwsError::Critical | JwsError::UnencodedPayload => self.critical,
            JwsError::Algorithm(_) => self.algorithm,
            JwsError::TooLarge => self.size,
            _ => self.malformed,
        };
        Rejection::new(cause).got(error.to_string())
    }

    /// RFC 8725 section 3.11: `typ` with or without `application/`, in any case.
    pub(super) fn check_type(&self, typ: Option<&str>, expected: &str) -> Result<(), Rejection> {
        let typ = typ.unwrap_or("no typ");
        let bare = match typ.split_once('/') {
            Some((kind, rest)) if kind.eq_ignore_ascii_case("application") => rest,
            _ => typ,
        };
        if bare.eq_ignore_ascii_case(expected) {
            return Ok(());
        }
        Err(Rejection::new(self.typ).expected(expected).got(typ))
    }

    pub(super) fn missing(&self, name: &str) -> Rejection {
        Rejection::new(self.claim).expected(format!("a valid {name}"))
    }

    pub(super) fn text<'c>(
        &self,
        claims: &'c json::Object<'_>,
        name: &str,
    ) -> Result<Option<&'c str>, Rejection> {
        match claims.string(name) {
            Ok(Some("")) | Err(_) => Err(self.missing(name)),
            Ok(text) => Ok(text),
        }
    }

    pub(super) fn time(
        &self,
        claims: &json::Object<'_>,
        name: &str,
    ) -> Result<Option<UnixTime>, Rejection> {
        match claims.unsigned(name) {
            Ok(Some(seconds)) if seconds <= MAX_TIME => Ok(Some(UnixTime::from_secs(seconds))),
            Ok(None) => Ok(None),
            _ => Err(self.missing(name)),
        }
    }
}

/// The registered name an `alg` text is, so that names can be compared as texts: `EdDSA` and
/// `Ed25519` are one algorithm with two names.
pub(super) fn algorithm_name(text: &str) -> Option<(Algorithm, &'static str)> {
    let algorithm = Algorithm::from_name(text)?;
    let name = if text == ED25519 {
        ED25519
    } else {
        algorithm.name()
    };
    Some((algorithm, name))
}

/// The fully specified name of EdDSA over Ed25519 (RFC 9864).
const ED25519: &str = "Ed25519";
