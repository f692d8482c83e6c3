//! Credentials got from an issuer, and the revoking of them.

use std::sync::Arc;

use keybound_probe::{
    AuthorizationServer, Client, Credentials, IssuerAccess, Options, ResourceParameter, Revoker,
    Timing,
};
use keybound_proto::jose::Signer;
use keybound_proto::uri::HttpUrl;

use super::conduct::failure;
use crate::clock::SystemClock;
use crate::context::Context;
use crate::failure::Failure;

/// What is asked of which issuer.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The issuer identifier.
    pub(super) issuer: HttpUrl,
    /// How the probe is known to it.
    pub(super) client: Client,
    /// The key to bind tokens to.
    pub(super) key: Arc<dyn Signer>,
    /// The API tokens are for.
    pub(super) resource: String,
    /// The parameter that names it.
    pub(super) resource_parameter: ResourceParameter,
    /// `scope` of token requests.
    pub(super) scope: Option<String>,
}

/// What was got.
#[derive(Debug)]
pub(super) struct Obtained {
    /// What may be presented.
    pub(super) credentials: Credentials,
    /// Who can revoke.
    pub(super) revoker: Arc<dyn Revoker>,
}

/// Becomes a client of the issuer and gets whatever tokens it gives.
pub(super) async fn obtain(
    wanted: Wanted,
    options: &Options,
    context: &Context,
) -> Result<Obtained, Failure> {
    let registers = matches!(wanted.client, Client::Register(_));
    let mut server = AuthorizationServer::new(wanted.issuer, wanted.client, wanted.key);
    server.scope.clone_from(&wanted.scope);
    server.resource_parameter = wanted.resource_parameter;
    let timing: Arc<dyn Timing> = Arc::new(SystemClock);
    let access = IssuerAccess::open(&server, options, &timing)
        .await
        .map_err(failure)?;
    if registers {
        context.output.note(format_args!(
            "registered with {} as {}; left there",
            server.issuer.as_str(),
            access.client_ids().join(" and ")
        ));
    }
    let credentials = access
        .credentials(&wanted.resource, wanted.scope.as_deref())
        .await
        .map_err(failure)?;
    Ok(Obtained {
        credentials,
        revoker: Arc::new(access),
    })
}
