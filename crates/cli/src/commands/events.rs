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
use crate::output::ink;
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
    /// Begin after this sequence number [default: show the last 20]
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
    #[arg(long)]
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
        None => start(arguments, operator).await?,
    };
    let wait = if arguments.no_follow { 0 } else { WAIT_SECONDS };
    context.output.note(format_args!("{:#}following {} (stop with Ctrl-C)", ink::DIM, operator.base()));
    while left > 0 {
        let page = page(arguments, operator, after, wait).await?;
        let ended = arguments.no_follow && page.events.is_empty();
        after = page.next.max(after);
        for event in page.events {
            if left == 0 {
                break;
            }
            left -= 1;
            context.output.stream(&EventLine::of(event))?;
        }
        if ended {
            break;
        }
    }
    Ok(Exit::Success)
}

async fn page(arguments: &TailArguments, operator: &Operator, after: u64, wait: u64) -> Result<Page, Failure> {
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
    operator.wait(&path, Duration::from_secs(wait + arguments.operator.timeout)).await
}

/// The sequence number after which the last few events stand.
async fn start(arguments: &TailArguments, operator: &Operator) -> Result<u64, Failure> {
    let mut after = 0;
    let mut seen: std::collections::VecDeque<u64> = std::collections::VecDeque::new();
    loop {
        let page = page(arguments, operator, after, 0).await?;
        if page.events.is_empty() {
            break;
        }
        for event in &page.events {
            let sequence = event.get("sequence").and_then(Value::as_u64).unwrap_or(0);
            seen.push_back(sequence);
            if seen.len() > RECENT {
                seen.pop_front();
            }
        }
        after = page.next;
    }
    Ok(seen.front().map_or(after, |first| first.saturating_sub(1)))
}

fn kind(text: &str) -> Result<String, String> {
    EventKind::from_name(text)
        .map(|kind| kind.as_str().to_owned())
        .ok_or_else(|| "no such kind of event; docs/reference/events.md lists them".to_owned())
}

/// Events asked for at once.
const PAGE: u64 = 500;
/// Events shown of the past.
const RECENT: usize = 20;
/// How long one long poll waits.
const WAIT_SECONDS: u64 = 25;
