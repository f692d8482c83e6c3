//! The control plane and the management listener.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The control plane.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ControlSection {
    /// Public origin. By default `http://` and `listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Address to listen on; loopback only.
    pub listen: String,
    /// Issuer of the tokens that the admin API accepts. By default the `url` of
    /// the section `issuer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}

/// Health and metrics.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ManagementSection {
    /// Address to listen on; loopback only.
    pub listen: String,
}

impl Default for ControlSection {
    fn default() -> Self {
        Self {
            url: None,
            listen: "127.0.0.1:9402".to_owned(),
            issuer: None,
        }
    }
}

impl Default for ManagementSection {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9403".to_owned(),
        }
    }
}
