//! One event: a JSON line, or a line for people with the most telling fields.

use std::io::{self, Write};

use keybound_proto::cause::Cause;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::moment;
use crate::output::{Report, ink, styled};

/// An event as control gave it.
#[derive(Debug, Serialize)]
pub(super) struct EventLine {
    #[serde(flatten)]
    members: Map<String, Value>,
    /// When the line is printed, in seconds.
    #[serde(skip)]
    now: u64,
}

impl EventLine {
    pub(super) const fn of(members: Map<String, Value>, now: u64) -> Self {
        Self { members, now }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.members.get(name).and_then(Value::as_u64)
    }

    /// What happened, in words.
    fn says(&self) -> String {
        let kind = self.text("kind").unwrap_or("event");
        let count = self.number("count").unwrap_or(1);
        let cause = self.text("cause");
        match (kind, cause) {
            ("refusals_aggregated", Some(cause)) => format!("{count} requests refused: {cause}"),
            ("certificate_header_ignored", _) => {
                format!("{count} requests with certificate fields from no terminator")
            }
            (_, Some(cause)) => format!("{}: {cause}", kind.replace('_', " ")),
            ("lock_applied", None) => {
                let what = if self.text("reason") == Some("released") {
                    "release"
                } else {
                    "lock"
                };
                match self.number("propagation_ms") {
                    Some(milliseconds) => format!("{what} applied after {milliseconds} ms"),
                    None => format!("{what} applied"),
                }
            }
            (kind, None) => kind.replace('_', " "),
        }
    }

    /// Who and what it is about, shortened where the beginning says enough.
    fn about(&self) -> String {
        let is_applied = self.text("kind") == Some("lock_applied");
        let request = match (self.text("method"), self.text("path")) {
            (Some(method), Some(path)) => Some(format!("{method} {path}")),
            _ => None,
        };
        let fields = [
            request,
            self.text("token_id").map(str::to_owned),
            self.text("jkt")
                .map(|jkt| format!("jkt:{}", jkt.get(..12).unwrap_or(jkt))),
            self.text("identity")
                .or_else(|| self.text("client_id"))
                .map(str::to_owned),
            self.text("by").map(|who| format!("by {who}")),
            self.text("peer").map(|peer| format!("from {}", host(peer))),
            self.text("reason")
                .filter(|_| !is_applied)
                .map(|reason| format!("({reason})")),
        ];
        fields.into_iter().flatten().collect::<Vec<_>>().join("  ")
    }
}

/// An address without its port, which says nothing about who.
fn host(peer: &str) -> &str {
    peer.rsplit_once(':').map_or(peer, |(host, _)| host)
}

impl Report for EventLine {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        let kind = self.text("kind").unwrap_or_default();
        let style = match kind {
            "request_refused" | "token_refused" | "refusals_aggregated" | "replay_log_lost" => {
                ink::BAD
            }
            "locked" | "token_revoked" | "lock_applied" => ink::CARE,
            "token_issued" | "unlocked" | "replay_log_restored" => ink::GOOD,
            _ => ink::BOLD,
        };
        let time = moment::at(self.number("time_ms").unwrap_or(0), self.now);
        let node = self.text("node").unwrap_or("-");
        writeln!(
            out,
            "{} {node:<10} {} {}",
            styled(ink::DIM, time),
            styled(style, format_args!("{:<46}", self.says())),
            self.about()
        )?;
        let cause = self.text("cause").and_then(Cause::from_id);
        if let (Some(cause), Some(_)) = (cause, self.text("signal")) {
            writeln!(out, "{:24}{}", "", styled(ink::DIM, cause.summary()))?;
        }
        Ok(())
    }
}
