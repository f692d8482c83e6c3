//! Servers of the Model Context Protocol over streamable HTTP.
//!
//! The good request is a handshake: `server/discover` of the revision
//! 2026-07-28, or else `initialize` of 2025-11-25. It goes through the whole
//! list of a resource server; what that shows is then told once more under the
//! fifteen ids of the protocol's DPoP profile (SEP-1932), so that results can
//! be compared with those of its conformance suite. What concerns the
//! authorization server is read in its metadata, if the server names one.
//!
//! What this does not do: it calls no tool, opens no stream of its own, and
//! does not judge clients.

mod profile;
mod wire;

use std::sync::Arc;

use keybound_proto::uri::HttpUrl;
use serde_json::Value;

use self::profile::Asked;
use self::wire::WIRES;
use crate::Progress;
use crate::answer::{Outcome, Success, Unclear};
use crate::authorization_server::metadata::Metadata;
use crate::error::ProbeError;
use crate::options::Options;
use crate::report::{Report, TargetKind};
use crate::resource_server::{ResourceServer, refusals};
use crate::session::{Moment, Session};
use crate::timing::Timing;
use crate::verdict::Verdict;

/// An MCP server to probe.
#[derive(Clone, Debug)]
pub struct McpServer {
    /// Where the endpoint is, and what may be presented there. Method and body are replaced by
    /// those of the handshake, whose header fields are added. Without a canary, an answer is good
    /// when it has a JSON-RPC result.
    pub server: ResourceServer,
}

impl McpServer {
    /// Runs the check list.
    ///
    /// # Errors
    /// [`ProbeError`] when no handshake could be made at all: nothing listens, TLS fails, or the
    /// credentials are refused.
    pub async fn probe(
        &self,
        options: &Options,
        timing: &Arc<dyn Timing>,
        progress: &(dyn Progress + Sync),
    ) -> Result<Report, ProbeError> {
        let (server, handshakes) = self.handshake(options, timing, progress).await?;
        let mut report = server
            .probe_as(TargetKind::McpServer, options, timing, progress)
            .await?;
        report.requests += handshakes;
        let decided = |verdict| matches!(verdict, Verdict::Enforced | Verdict::NotEnforced);
        let wanted = profile::of_issuer().any(|id| !options.excludes(id));
        let asked = if !wanted {
            Asked::Not("left out".to_owned())
        } else if report.findings.iter().any(|found| decided(found.verdict)) {
            let (asked, requests) = issuer(&server, options, timing, progress).await?;
            report.requests += requests;
            asked
        } else {
            Asked::Not("the server itself could not be judged".to_owned())
        };
        for finding in profile::findings(&report, &asked) {
            if !options.excludes(&finding.id) {
                progress.concluded(&finding);
                report.findings.push(finding);
            }
        }
        report.conclude();
        Ok(report)
    }

    /// The handshake that is served, and the requests it took to see that. Where none is, the
    /// last: the run itself then says why.
    async fn handshake(
        &self,
        options: &Options,
        timing: &Arc<dyn Timing>,
        progress: &(dyn Progress + Sync),
    ) -> Result<(ResourceServer, u32), ProbeError> {
        let mut requests = 0;
        let mut last = self.server.clone();
        for wire in WIRES {
            last = wire.of(&self.server);
            let server = last.clone();
            let control = Box::new(move |moment: &Moment| server.good(moment));
            let mut session = Session::new(options, timing, success(&last), control, progress)
                .map_err(ProbeError::Input)?;
            let first = session.first_control().await;
            requests += session.requests;
            match first {
                Ok(_) => break,
                Err(attempt)
                    if matches!(attempt.outcome, Outcome::Unclear(Unclear::Transport(_))) =>
                {
                    break;
                }
                Err(_) => {}
            }
        }
        Ok((last, requests))
    }
}

fn success(server: &ResourceServer) -> Success {
    Success {
        canary: server.canary.clone(),
        member: None,
        html: false,
    }
}

/// The metadata of the authorization server that the target's own metadata (RFC 9728) names
/// first, and the requests that took. No credentials go there.
async fn issuer(
    server: &ResourceServer,
    options: &Options,
    timing: &Arc<dyn Timing>,
    progress: &(dyn Progress + Sync),
) -> Result<(Asked, u32), ProbeError> {
    let session = |options: &Options| {
        let control = Box::new(|moment: &Moment| server.good(moment));
        Session::new(options, timing, Success::default(), control, progress)
            .map_err(ProbeError::Input)
    };
    let mut of_target = session(options)?;
    let found = refusals::metadata(server, &mut of_target).await;
    let requests = of_target.requests;
    let named = match &found {
        Ok((_, document)) => first_issuer(document),
        Err(decision) => return Ok((Asked::Not(decision.reason.clone()), requests)),
    };
    let Some(issuer) = named else {
        let reason = "the server's metadata names no authorization server that may be asked";
        return Ok((Asked::Not(reason.to_owned()), requests));
    };
    let mut elsewhere = options.clone();
    if issuer.origin() != server.url.origin() {
        elsewhere.connect_to = None;
    }
    let mut of_issuer = session(&elsewhere)?;
    let asked = match Metadata::fetch(&mut of_issuer, &issuer).await {
        Ok(metadata) => Asked::Metadata(Box::new(metadata)),
        Err(error) => Asked::Failed(error.to_string()),
    };
    Ok((asked, requests + of_issuer.requests))
}

/// Over TLS, or on this machine: what anybody says about an issuer is worth nothing otherwise.
fn first_issuer(document: &Value) -> Option<HttpUrl> {
    let first = document.get("authorization_servers")?.as_array()?.first()?;
    let url = HttpUrl::parse(first.as_str()?).ok()?;
    url.origin().is_confidential().then_some(url)
}
