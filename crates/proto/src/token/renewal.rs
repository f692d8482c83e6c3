//! Which certificates may stand in for the one a token names, beyond RFC 8705: our own member of
//! `cnf`, [`RENEWAL`].
//!
//! RFC 8705 section 3 binds to one certificate, so every renewal costs a new token. An operator
//! may let a client's tokens outlive it, by one of two rules:
//!
//! | member | who may stand in |
//! |---|---|
//! | `spki` | every certificate of the same public key: the SHA-256 of its `SubjectPublicKeyInfo` |
//! | `spiffe_id`, `issued_from`, `issued_until` | an X.509-SVID of that SPIFFE ID, verified with its trust domain's bundle, whose validity begins between the two moments |
//!
//! A name in a certificate proves nothing by itself: anybody can write it into one of their own. So
//! the second rule asks for a verified [`X509Svid`], never for a certificate that has the name. Its
//! window begins with the certificate the token was issued for, and ends some time after that, so
//! that a workload which gets the name later cannot use its predecessor's tokens.
//!
//! A resource server that does not know the member enforces `x5t#S256` as RFC 8705 asks: what is
//! lost is renewal, never the binding (docs/spec/choices.md).

use crate::cause::Cause;
use crate::certificate::{PeerCertificate, SpkiThumbprint};
use crate::json;
use crate::json_text::ObjectText;
use crate::rejection::Rejection;
use crate::time::UnixTime;
use crate::workload::{SpiffeId, X509Svid};

/// The member of `cnf` that lets a renewed certificate stand in for the one in `x5t#S256`.
pub const RENEWAL: &str = "urn:keybound:cnf:renewal";

/// Which other certificates may stand in for the named one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Every certificate of the public key with this thumbprint.
    PublicKey(SpkiThumbprint),
    /// Those a trust domain issues to the same workload for a while.
    SpiffeId(SpiffeRenewal),
}

/// One workload's certificates of some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpiffeRenewal {
    id: SpiffeId,
    from: UnixTime,
    until: UnixTime,
}

impl SpiffeRenewal {
    /// Those of the workload that `certificate` names, issued not before it and until then; `None`
    /// unless it names exactly one.
    #[must_use]
    pub fn after(certificate: &PeerCertificate, until: UnixTime) -> Option<Self> {
        Some(Self {
            id: X509Svid::claimed_id(certificate).ok()?,
            from: certificate.not_before(),
            until,
        })
    }

    /// The workload.
    #[must_use]
    pub const fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// Whether it is worth asking the trust domain about this certificate. The answer proves
    /// nothing; [`Self::accepts`] does.
    #[must_use]
    pub fn may_accept(&self, certificate: &PeerCertificate) -> bool {
        let issued = certificate.not_before();
        let claimed = X509Svid::claimed_id(certificate);
        self.from <= issued && issued <= self.until && claimed.is_ok_and(|id| id == self.id)
    }

    /// Whether this X.509-SVID may stand in.
    #[must_use]
    pub fn accepts(&self, svid: &X509Svid) -> bool {
        svid.id() == &self.id && self.may_accept(svid.certificate())
    }
}

impl Renewal {
    /// Reads the member, which is there.
    pub(super) fn read(cnf: &json::Object<'_>) -> Result<Self, Rejection> {
        let rule = cnf.object(RENEWAL).ok().flatten();
        let rule = rule.ok_or(Cause::TokenCnfInvalid)?;
        let renewal = match (rule.get("spki").is_some(), rule.get("spiffe_id").is_some()) {
            (true, false) => {
                let spki = rule.string("spki").ok().flatten();
                spki.and_then(|spki| spki.parse().ok()).map(Self::PublicKey)
            }
            (false, true) => read_spiffe(rule).map(Self::SpiffeId),
            (true, true) | (false, false) => None,
        };
        renewal.ok_or_else(|| Cause::TokenCnfInvalid.into())
    }

    /// The member's value.
    pub(super) fn to_json(&self) -> String {
        match self {
            Self::PublicKey(spki) => ObjectText::new().string("spki", &spki.to_string()),
            Self::SpiffeId(rule) => ObjectText::new()
                .string("spiffe_id", rule.id.as_str())
                .unsigned("issued_from", rule.from.as_secs())
                .unsigned("issued_until", rule.until.as_secs()),
        }
        .finish()
    }
}

fn read_spiffe(rule: &json::Object<'_>) -> Option<SpiffeRenewal> {
    let time = |name| rule.unsigned(name).ok().flatten().map(UnixTime::from_secs);
    let (from, until) = (time("issued_from")?, time("issued_until")?);
    let id = SpiffeId::parse(rule.string("spiffe_id").ok().flatten()?).ok()?;
    (from <= until && until.as_secs() <= super::MAX_TIME).then_some(SpiffeRenewal {
        id,
        from,
        until,
    })
}

#[cfg(test)]
mod tests {
    use super::{RENEWAL, Renewal};
    use crate::cause::Cause;
    use crate::json::Object;

    const SPKI: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    const ID: &str = "spiffe://example.org/batch";

    fn read(rule: &str) -> Result<Renewal, Cause> {
        let cnf = format!(r#"{{"{RENEWAL}":{rule}}}"#);
        let cnf = Object::parse(cnf.as_bytes()).unwrap();
        Renewal::read(&cnf).map_err(|rejection| rejection.cause())
    }

    #[test]
    fn a_rule_that_is_not_whole_is_refused_and_never_taken_for_a_narrower_one() {
        for rule in [
            "{}".to_owned(),
            "[]".to_owned(),
            format!(r#"{{"spki":"{SPKI}","spiffe_id":"{ID}","issued_from":1,"issued_until":2}}"#),
            format!(r#"{{"spiffe_id":"{ID}"}}"#),
            format!(r#"{{"spiffe_id":"{ID}","issued_from":1}}"#),
            format!(r#"{{"spiffe_id":"{ID}","issued_until":1}}"#),
            format!(r#"{{"spiffe_id":"{ID}","issued_from":2,"issued_until":1}}"#),
            format!(r#"{{"spiffe_id":"{ID}","issued_from":"1","issued_until":2}}"#),
            format!(r#"{{"spiffe_id":"{ID}","issued_from":1,"issued_until":99999999999999}}"#),
            r#"{"spiffe_id":"spiffe://example.org","issued_from":1,"issued_until":2}"#.to_owned(),
            r#"{"spiffe_id":"https://example.org/a","issued_from":1,"issued_until":2}"#.to_owned(),
            r#"{"spiffe_id":1,"issued_from":1,"issued_until":2}"#.to_owned(),
        ] {
            assert_eq!(read(&rule).err(), Some(Cause::TokenCnfInvalid), "{rule}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for rule in [
            format!(r#"{{"spki":"{SPKI}"}}"#),
            format!(r#"{{"spiffe_id":"{ID}","issued_from":1,"issued_until":2}}"#),
        ] {
            assert_eq!(read(&rule).unwrap().to_json(), rule);
        }
    }
}
