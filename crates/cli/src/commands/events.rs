//! `keybound events tail`: the event log as it grows, by long-polling control.

mod line;

use std::time::Duration;

use clap::{Args, Subcommand};
use keybound_proto::event::EventKind;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::context::Context;
use crate::exit::{Exit, codes};
use crate::failure::{Failure, Outcome};
use crate::operator::{Operator, OperatorArguments, segment};
use crate::output::{ink, styled};
use line::EventLine;

/// What to do with events.
#[derive(Debug, Subcommand)]
pub(crate) enum EventsCommand {
    /// Print events as they come, until stopped
    #[command(after_help = codes(&[Exit::Authentication, Exit::Refused, Exit::Unreachable, Exit::Server]))]
    Tail(TailArguments),
}

/// Arguments of `keybound events tail`.
#[derive(Debug, Args)]
pub(crate) struct TailArguments {
    /// Begin after this sequence number [default: the last 20 of the log]
    #[arg(long, value_name = "N")]
    after: Option<u64>,

    /// End after this many events
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,

    /// End when there are no more events, instead of waiting for them
    #[arg(long)]
    no_follow: bool,

    /// Only events of this kind, such as `request_refused`
    #[arg(long, value_parser = kind)]
    kind: Option<String>,

    /// Only events about this key
    #[arg(long, allow_hyphen_values = true)]
    jkt: Option<String>,

    /// Only events about this token (`tok_…`)
    #[arg(long)]
    token_id: Option<String>,

    #[command(flatten)]
    operator: OperatorArguments,
}

/// A page of control's event log.
#[derive(Debug, Deserialize)]
struct Page {
    events: Vec<Map<String, Value>>,
    next: u64,
}

pub(crate) fn run(command: &EventsCommand, context: &Context) -> Outcome {
    let EventsCommand::Tail(arguments) = command;
    context.block_on(async {
        let operator = Operator::new(&arguments.operator, context)?;
        tail(arguments, &operator, context).await
    })
}

async fn tail(arguments: &TailArguments, operator: &Operator, context: &Context) -> Outcome {
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    let mut after = match arguments.after {
        Some(after) => after,
        None => start(operator).await?,
    };
    let wait = if arguments.no_follow { 0 } else { WAIT_SECONDS };
    if !arguments.no_follow {
        let text = format_args!("following {}; stop with Ctrl-C", operator.base());
        context.output.note(styled(ink::DIM, text));
    }
    while left > 0 {
        let page = page(arguments, operator, after, wait).await?;
        let ended = arguments.no_follow && page.events.is_empty();
        after = page.next.max(after);
        for event in page.events {
            if left == 0 {
                break;
            }
            left -= 1;
            context
                .output
                .stream(&EventLine::of(event, context.clock.now().as_secs()))?;
        }
        if ended {
            break;
        }
    }
    Ok(Exit::Success)
}

async fn page(
    arguments: &TailArguments,
    operator: &Operator,
    after: u64,
    wait: u64,
) -> Result<Page, Failure> {
    let mut path = format!("/v1/events?after={after}&limit={PAGE}&wait={wait}");
    for (name, value) in [
        ("kind", &arguments.kind),
        ("jkt", &arguments.jkt),
        ("token_id", &arguments.token_id),
    ] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", segment(value)));
        }
    }
    operator
        .wait(
            &path,
            Duration::from_secs(wait + arguments.operator.timeout),
        )
        .await
}

/// The sequence number after which the last few events stand.
async fn start(operator: &Operator) -> Result<u64, Failure> {
    // A search that finds nothing has looked at the whole log, and the log
    // searches by its index: this is the cheap way to learn where it ends.
    let path = "/v1/events?after=0&limit=1&wait=0&token_id=tok_none";
    let page: Page = operator.get(path).await?;
    Ok(page.next.saturating_sub(RECENT))
}

fn kind(text: &str) -> Result<String, String> {
    let known = EventKind::from_name(text).map(|kind| kind.as_str().to_owned());
    known.ok_or_else(|| {
        let names: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("one of: {}", names.join(", "))
    })
}

/// Events asked for at once.
const PAGE: u64 = 500;
/// Events shown of the past.
const RECENT: u64 = 20;
/// How long one long poll waits.
const WAIT_SECONDS: u64 = 25;
