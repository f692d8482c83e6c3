//! Sections about workloads: trust domains, and what is taken of their proofs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A trust domain whose workloads are known to the gateway.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrustDomainSection {
    /// Its name, for example `example.org`; with a scheme (`spiffe://example.org`)
    /// where it is not that of the profile.
    pub name: String,
    /// Whose rules its credentials follow.
    #[serde(default)]
    pub profile: WorkloadProfileName,
    /// File with its bundle, read again every five minutes. One of `bundle_file`,
    /// `bundle_endpoint` and `workload_api` is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle_file: Option<String>,
    /// URL of its bundle endpoint, authenticated by the Web PKI (`https_web`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle_endpoint: Option<String>,
    /// Socket of the SPIFFE Workload API that has its bundle: `unix:` and a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_api: Option<String>,
    /// Values of `iss` taken in its identity tokens. Without any, `iss` says
    /// nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<String>,
    /// How long its identity tokens may be valid: `1m` to `30d`.
    #[serde(default = "day")]
    pub max_lifetime: String,
    /// How long its bundle serves when it cannot be had again: `1m` to `30d`.
    #[serde(default = "day")]
    pub max_bundle_age: String,
}

/// What is taken of workloads' proofs, on every route.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WorkloadSection {
    /// Values of `aud` agreed on beside the gateway's own URLs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// Lower-case names of header fields with further tokens, which `oth` of a
    /// proof must cover.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_tokens: Vec<String>,
    /// How long a proof may be valid: `1s` to `15m`.
    pub max_lifetime: String,
}

impl Default for WorkloadSection {
    fn default() -> Self {
        Self {
            audiences: Vec::new(),
            other_tokens: Vec::new(),
            max_lifetime: String::from("5m"),
        }
    }
}

/// Whose rules a trust domain's credentials follow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WorkloadProfileName {
    /// SPIFFE: X.509-SVID and WIT-SVID; no EdDSA.
    #[default]
    Spiffe,
    /// WIMSE workload credentials.
    Wimse,
}

fn day() -> String {
    String::from("1d")
}
