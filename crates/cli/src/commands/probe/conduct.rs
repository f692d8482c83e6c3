//! One run from its rehearsal to its report.
//!
//! A rehearsal asks the whole list of a target that is assumed to be strict
//! and sends nothing. It says how many requests to expect, which ids there
//! are, and is what `--dry-run` prints.

use std::future::Future;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keybound_probe::{
    AuthorizationServer, Binding, Exchange, Finding, McpServer, NoAnswer, Options, ProbeError,
    Progress, Report, ResourceServer, Silent, Timing, assess_archive, is_id, nearest_id,
};
use keybound_proto::time::{Clock, UnixTime};
use schemars::JsonSchema;
use serde::Serialize;

use super::progress::Line;
use crate::clock::SystemClock;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{Report as Printed, ink, styled};

/// What is probed.
#[derive(Debug)]
pub(super) enum Target {
    /// An API.
    Api(ResourceServer),
    /// An issuer.
    Issuer(AuthorizationServer),
    /// An MCP server.
    Mcp(McpServer),
}

/// What a dry run prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Rehearsal {
    /// The URL.
    target: String,
    /// Requests that would be sent to a strict target.
    pub(super) requests: u32,
    /// The cases in the order of asking.
    cases: Vec<RehearsedCase>,
}

/// A case, and the requests that would decide it.
#[derive(Debug, Serialize, JsonSchema)]
struct RehearsedCase {
    /// The stable id.
    id: String,
    /// What is sent, in words.
    sent: String,
    /// Why nothing would be sent, where nothing would.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<String>,
    /// The requests, good ones among them.
    requests: Vec<RehearsedRequest>,
}

/// One request of a rehearsal.
#[derive(Debug, Serialize, JsonSchema)]
struct RehearsedRequest {
    /// Method and URL.
    request: String,
    /// Header fields; credentials replaced by what they are.
    headers: Vec<(String, String)>,
}

impl Target {
    async fn probe(
        &self,
        options: &Options,
        timing: &Arc<dyn Timing>,
        progress: &(dyn Progress + Sync),
    ) -> Result<Report, ProbeError> {
        match self {
            Self::Api(server) => server.probe(options, timing, progress).await,
            Self::Issuer(server) => server.probe(options, timing, progress).await,
            Self::Mcp(server) => server.probe(options, timing, progress).await,
        }
    }
}

/// Asks the whole list without sending anything.
pub(super) async fn rehearse(
    target: &Target,
    options: &Options,
    context: &Context,
) -> Result<Rehearsal, Failure> {
    let options = Options {
        dry_run: true,
        ..options.clone()
    };
    known_ids(&options)?;
    let recorder = Recorder::default();
    let report = target
        .probe(&options, &still(context), &recorder)
        .await
        .map_err(failure)?;
    let cases = recorder
        .cases
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    if cases.decided.is_empty() {
        return Err(
            Failure::usage("no check of this kind of target is left to ask")
                .next("--dry-run without --only and --skip lists all"),
        );
    }
    Ok(Rehearsal {
        target: report.target,
        requests: report.requests,
        cases: cases.decided,
    })
}

/// Runs the list for real, with a line of progress.
pub(super) async fn run(
    target: &Target,
    options: &Options,
    expected: u32,
    context: &Context,
) -> Result<Report, Failure> {
    let line = Line::new(expected, context);
    let timing: Arc<dyn Timing> = Arc::new(SystemClock);
    let report = target.probe(options, &timing, &line).await;
    line.clear();
    report.map_err(failure)
}

/// A mistyped id would run nothing, and everything would be in order.
fn known_ids(options: &Options) -> Result<(), Failure> {
    let mut named = options.only.iter().chain(&options.skip);
    let Some(name) = named.find(|name| !is_id(name)) else {
        return Ok(());
    };
    let failure = Failure::usage(format!("no check and no case is called `{name}`"));
    Err(match nearest_id(name) {
        Some(near) => failure.next(format!("write `{near}`, or see --dry-run for all")),
        None => failure.next("--dry-run lists all"),
    })
}

/// What a run could not begin for, and whose turn it is.
pub(super) fn failure(error: ProbeError) -> Failure {
    let (message, next) = (error.to_string(), error.next_step());
    match error {
        ProbeError::NoAnswer(NoAnswer::Unsendable(_)) | ProbeError::Input(_) => {
            Failure::usage(message)
        }
        ProbeError::NoAnswer(_) => Failure::unreachable(message),
        ProbeError::CredentialsRefused { .. } => Failure::authentication(message),
        ProbeError::Document { .. } => Failure::not_found(message),
    }
    .next(next)
}

/// A clock that does not wait, for runs that send nothing.
#[derive(Debug)]
struct Still(u64);

fn still(context: &Context) -> Arc<dyn Timing> {
    Arc::new(Still(context.clock.now_millis()))
}

impl Clock for Still {
    fn now_millis(&self) -> u64 {
        self.0
    }
}

impl Timing for Still {
    fn wait(&self, _duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {})
    }
}

impl Rehearsal {
    /// Prints it, instead of a run.
    pub(super) fn print(&self, context: &Context) -> Outcome {
        context.output.report(self)?;
        Ok(Exit::Success)
    }
}

/// Writes down which requests decide which case.
#[derive(Debug, Default)]
struct Recorder {
    cases: Mutex<Recorded>,
}

#[derive(Debug, Default)]
struct Recorded {
    pending: Vec<RehearsedRequest>,
    decided: Vec<RehearsedCase>,
}

impl Progress for Recorder {
    fn sending(&self, _count: u32, request: &Exchange) {
        let mut cases = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
        cases.pending.push(RehearsedRequest {
            request: request.request.clone(),
            headers: request.headers.clone(),
        });
    }

    fn concluded(&self, finding: &Finding) {
        let mut cases = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = std::mem::take(&mut cases.pending);
        cases.decided.push(RehearsedCase {
            id: finding.id.clone(),
            sent: finding.sent.clone(),
            left_out: requests.is_empty().then(|| finding.reason.clone()),
            requests,
        });
    }
}

impl Printed for Rehearsal {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        for case in &self.cases {
            writeln!(out, "{}  {}", styled(ink::BOLD, &case.id), case.sent)?;
            if let Some(reason) = &case.left_out {
                writeln!(
                    out,
                    "    {}",
                    styled(ink::DIM, format_args!("not sent: {reason}"))
                )?;
            }
            for request in &case.requests {
                writeln!(out, "    {}", request.request)?;
                for (name, value) in &request.headers {
                    writeln!(
                        out,
                        "      {}",
                        styled(ink::DIM, format_args!("{name}: {value}"))
                    )?;
                }
            }
        }
        writeln!(
            out,
            "\n{} requests to {} if it is strict; nothing was sent",
            self.requests, self.target
        )
    }
}

/// What every case of every kind of target says of itself: the findings of rehearsals, for the
/// reference.
pub(crate) fn rehearsed_findings() -> Vec<Finding> {
    let mut findings = Vec::new();
    for target in stand_ins() {
        let options = Options {
            dry_run: true,
            max_requests: u32::MAX,
            ..Options::default()
        };
        let timing: Arc<dyn Timing> = Arc::new(Still(0));
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let Ok(runtime) = builder.enable_all().build() else {
            continue;
        };
        if let Ok(report) = runtime.block_on(target.probe(&options, &timing, &Silent)) {
            findings.extend(report.findings);
        }
    }
    let empty = br#"{"log":{"version":"1.2","entries":[]}}"#;
    if let Ok(report) = assess_archive("-", empty, UnixTime::from_secs(0)) {
        findings.extend(report.findings);
    }
    findings
}

fn stand_ins() -> Vec<Target> {
    let (Ok(url), Ok(credentials)) = (
        super::url("https://target.example/"),
        super::credentials::stand_in(),
    ) else {
        return Vec::new();
    };
    let server = ResourceServer::new(url.clone(), credentials.clone());
    let mut certified = server.clone();
    certified.bound_to = Some(Binding::Certificate);
    let client = keybound_probe::Client::Register(None);
    let issuer = AuthorizationServer::new(url, client, Arc::clone(&credentials.bound.key));
    vec![
        Target::Api(server.clone()),
        Target::Api(certified),
        Target::Issuer(issuer),
        Target::Mcp(McpServer { server }),
    ]
}
