//! Authorization servers: does the issuer bind what it issues, and keep it bound?

use std::fmt;
use std::sync::Arc;

use keybound_holder::Secret;
use keybound_proto::jose::Signer;
use keybound_proto::uri::HttpUrl;

use crate::Progress;
use crate::error::ProbeError;
use crate::options::Options;
use crate::report::Report;
use crate::timing::Timing;

/// How the probe is known to the server.
#[derive(Clone)]
pub enum Client {
    /// It registers itself (RFC 7591), with this initial access token if the server wants one.
    Register(Option<Secret>),
    /// `private_key_jwt` (RFC 7523) with this key.
    PrivateKeyJwt(String, Arc<dyn Signer>),
    /// `client_secret_basic` (RFC 6749 section 2.3.1).
    Secret(String, Secret),
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Register(_) => "Register(..)",
            Self::PrivateKeyJwt(..) => "PrivateKeyJwt(..)",
            Self::Secret(..) => "Secret(..)",
        })
    }
}

/// An authorization server to probe.
#[derive(Clone, Debug)]
pub struct AuthorizationServer {
    /// The issuer identifier; everything else comes from its metadata.
    pub issuer: HttpUrl,
    /// How the probe is known to it.
    pub client: Client,
    /// Proof keys: the owner's.
    pub key: Arc<dyn Signer>,
    /// `resource` of token requests (RFC 8707).
    pub resource: Option<String>,
    /// `scope` of token requests.
    pub scope: Option<String>,
}

impl AuthorizationServer {
    /// Runs the check list.
    ///
    /// # Errors
    /// [`ProbeError`] when there is no metadata, or no good token request could be made at all.
    pub async fn probe(
        &self,
        _options: &Options,
        _timing: &Arc<dyn Timing>,
        _progress: &(dyn Progress + Sync),
    ) -> Result<Report, ProbeError> {
        Err(ProbeError::Input("not built yet".to_owned()))
    }
}
