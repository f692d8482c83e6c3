//! Servers of the Model Context Protocol over streamable HTTP.

use std::sync::Arc;

use crate::Progress;
use crate::error::ProbeError;
use crate::options::Options;
use crate::report::{Report, TargetKind};
use crate::resource_server::ResourceServer;
use crate::timing::Timing;

/// An MCP server to probe. Method, body and header fields of `server` are replaced by those of
/// the handshake the server takes.
#[derive(Clone, Debug)]
pub struct McpServer {
    /// Where the endpoint is, and what may be presented there.
    pub server: ResourceServer,
}

impl McpServer {
    /// Runs the check list.
    ///
    /// # Errors
    /// [`ProbeError`] when neither handshake is served.
    pub async fn probe(
        &self,
        options: &Options,
        timing: &Arc<dyn Timing>,
        progress: &(dyn Progress + Sync),
    ) -> Result<Report, ProbeError> {
        self.server
            .probe_as(TargetKind::McpServer, options, timing, progress)
            .await
    }
}
