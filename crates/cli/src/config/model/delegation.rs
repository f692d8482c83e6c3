//! The section about who may act for whom.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A rule under which a resource server exchanges tokens that were sent to it for tokens of its
/// own key, without a proof of their holders. Each such token is recorded with the rule's name.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DelegationSection {
    /// The rule's name.
    pub name: String,
    /// The identity (`sub`) whose tokens these are; `"*"` for any.
    pub subject: String,
    /// The `client_id` of the resource server. It authenticates, and has the grant
    /// `urn:ietf:params:oauth:grant-type:token-exchange`.
    pub actor: String,
    /// The resources that it serves. Only tokens for one of them are exchanged.
    pub serves: Vec<String>,
    /// Resources that the new tokens may be for, beside those of the token that comes in.
    #[serde(default)]
    pub resources: Vec<String>,
    /// The scopes the new tokens have at most; never more than the token that comes in.
    #[serde(default)]
    pub scopes: Vec<String>,
}
