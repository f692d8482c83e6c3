//! `[gateway.issuer.introspection]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the gateway asks the issuer above about tokens (RFC 7662). Needed for
/// opaque tokens; without it the issuer's tokens are JWTs and verified with its
/// keys.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IntrospectionSection {
    /// Where to ask. By default the `introspection_endpoint` of the issuer's
    /// metadata, which must be at the issuer's own origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The gateway's client at the issuer.
    pub client_id: String,
    /// File with the client's secret, mode 0600, for `client_secret_basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<String>,
    /// The client's key, `file:` and a path, for `private_key_jwt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The `kid` under which the issuer knows the key. By default the key's
    /// thumbprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// Which tokens are asked about.
    #[serde(default)]
    pub mode: IntrospectionMode,
    /// In which form answers are taken; the other form is refused.
    #[serde(default)]
    pub answers: AnswerFormName,
    /// The `aud` that signed answers must have. By default the `client_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_audience: Option<String>,
    /// What the issuer's opaque tokens begin with. Needed where a route takes
    /// opaque tokens of more than one issuer: a token is shown to one issuer
    /// only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_prefix: Option<String>,
    /// How long an active answer is believed, `0s` to `10m`, and never longer
    /// than the token lives. A revocation at the issuer that no signal tells
    /// of takes this long to count here.
    #[serde(default = "cache_ttl")]
    pub cache_ttl: String,
    /// Most questions at the endpoint at once, `1` to `1000`. Eight times as
    /// many may wait; beyond that requests with unknown tokens are refused.
    #[serde(default = "max_at_once")]
    pub max_at_once: u16,
}

/// Which tokens of an issuer are asked about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum IntrospectionMode {
    /// Opaque tokens; JWTs are verified with the issuer's keys.
    #[default]
    Opaque,
    /// Every token.
    Always,
}

/// The form of answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AnswerFormName {
    /// JSON (RFC 7662).
    #[default]
    Json,
    /// A JWT signed by the issuer (RFC 9701).
    Signed,
}

fn cache_ttl() -> String {
    "30s".to_owned()
}

const fn max_at_once() -> u16 {
    32
}
