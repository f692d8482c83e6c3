//! The sections about people who authorize clients.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The authorization endpoint: clients that act for people, with codes and PKCE.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuthorizationSection {
    /// How long an authorization code is good for: `1s` to `60s`.
    pub code_ttl: String,
    /// How long a pushed request is good for: `1s` to `599s`.
    pub request_ttl: String,
    /// Whether every client has to push its requests (RFC 9126).
    pub require_pushed: bool,
    /// Allows every request at once, in the name of this identity, and asks nobody. For tests
    /// and development. Without it a person decides who logged in with `keybound login`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsafe_approve_as: Option<String>,
}

impl Default for AuthorizationSection {
    fn default() -> Self {
        Self {
            code_ttl: "60s".to_owned(),
            request_ttl: "90s".to_owned(),
            require_pushed: false,
            unsafe_approve_as: None,
        }
    }
}
