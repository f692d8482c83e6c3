//! What a token is bound to (RFC 7800 section 3.1), read without verifying it:
//! the probe wants to know what to send, and believes the target alone.

use keybound_proto::base64url;
use serde_json::Value;

/// What a token is bound to, and so what a good request shows besides the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Binding {
    /// A proof key: the token is sent as `DPoP`, with a proof (RFC 9449).
    #[default]
    Dpop,
    /// The client certificate: the token is sent as `Bearer`, over mutual TLS (RFC 8705).
    Certificate,
    /// Both at once: as `DPoP`, with a proof, over mutual TLS.
    Both,
}

impl Binding {
    /// What `cnf` of the token says; a proof key where the token is opaque or says nothing.
    #[must_use]
    pub fn of_token(token: &str) -> Self {
        let confirmation = confirmation(token).unwrap_or_default();
        let names = |member: &str| confirmation.get(member).is_some();
        match (names("jkt"), names("x5t#S256")) {
            (false, true) => Self::Certificate,
            (true, true) => Self::Both,
            (true | false, false) => Self::Dpop,
        }
    }

    /// Whether a good request has a proof.
    pub(crate) const fn has_proof(self) -> bool {
        matches!(self, Self::Dpop | Self::Both)
    }

    /// Whether a good request shows the certificate.
    pub(crate) const fn has_certificate(self) -> bool {
        matches!(self, Self::Certificate | Self::Both)
    }

    /// The scheme of a good request.
    pub(crate) const fn scheme(self) -> &'static str {
        match self {
            Self::Dpop | Self::Both => "DPoP",
            Self::Certificate => "Bearer",
        }
    }
}

/// `cnf` of a JWT.
pub(super) fn confirmation(token: &str) -> Option<Value> {
    let claims = token.split('.').nth(1)?;
    let bytes = base64url::decode(claims.as_bytes()).ok()?;
    let claims: Value = serde_json::from_slice(&bytes).ok()?;
    claims.get("cnf").cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(cnf: &str) -> String {
        format!(
            "e30.{}.AA",
            base64url::encode(format!("{{\"cnf\":{cnf}}}").as_bytes())
        )
    }

    #[test]
    fn what_binds_is_read_from_the_confirmation() {
        assert_eq!(Binding::of_token("opaque"), Binding::Dpop);
        assert_eq!(Binding::of_token(&token("{\"jkt\":\"x\"}")), Binding::Dpop);
        assert_eq!(
            Binding::of_token(&token("{\"x5t#S256\":\"x\"}")),
            Binding::Certificate
        );
        assert_eq!(
            Binding::of_token(&token("{\"jkt\":\"x\",\"x5t#S256\":\"x\"}")),
            Binding::Both
        );
    }
}
