//! Counts what the traffic shows of each case, and decides.

use std::collections::BTreeMap;

use super::cases::ALL;
use super::har::Entry;
use super::message::Ended;
use crate::check::{Case, Decision};
use crate::draft::{abridged, token_name};
use crate::report::{Exchange, Finding};
use crate::verdict::Verdict;

/// Messages shown with a finding.
const SHOWN: usize = 3;

/// What one request shows of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is as the standard asks.
    Kept,
    /// It has the defect, and ended like this.
    Defect(Ended),
    /// It has the defect, however it ended.
    Exposed,
    /// It cannot be judged.
    Unread,
}

#[derive(Debug, Default)]
struct Tally {
    concerned: usize,
    taken: usize,
    refused: usize,
    open: usize,
    unread: usize,
    evidence: Vec<Exchange>,
}

/// Every case and what was seen of it.
#[derive(Debug, Default)]
pub(super) struct Board(BTreeMap<String, Tally>);

impl Board {
    /// One more request that the case concerns.
    pub(super) fn saw(&mut self, case: &Case, entry: &Entry, seen: Seen) {
        let tally = self.0.entry(case.id()).or_default();
        tally.concerned += 1;
        let count = match seen {
            Seen::Kept => return,
            Seen::Defect(Ended::Served) | Seen::Exposed => &mut tally.taken,
            Seen::Defect(Ended::Refused) => &mut tally.refused,
            Seen::Defect(Ended::Unknown) => &mut tally.open,
            Seen::Unread => &mut tally.unread,
        };
        *count += 1;
        if seen != Seen::Unread && tally.evidence.len() < SHOWN {
            tally.evidence.push(shown(entry));
        }
    }

    /// The finding of every case.
    pub(super) fn findings(mut self) -> Vec<Finding> {
        let decided = |case: &&Case| {
            let tally = self.0.remove(&case.id()).unwrap_or_default();
            case.finding(tally.decide())
        };
        ALL.iter().map(decided).collect()
    }
}

impl Tally {
    fn decide(self) -> Decision {
        let of = self.concerned;
        let (verdict, reason) = if of == 0 {
            let reason = "nothing that it could concern was recorded".to_owned();
            (Verdict::NotApplicable, reason)
        } else if self.taken > 0 {
            let reason = format!("seen in {} of the {of} it could concern", self.taken);
            (Verdict::NotEnforced, reason)
        } else if self.open > 0 {
            let reason = format!(
                "seen in {} of the {of} it could concern, and neither served nor refused",
                self.open
            );
            (Verdict::Inconclusive, reason)
        } else if self.unread > 0 {
            let reason = format!(
                "{} of the {of} it could concern cannot be read",
                self.unread
            );
            (Verdict::Inconclusive, reason)
        } else if self.refused > 0 {
            let reason = format!(
                "seen in {} of the {of} it could concern, and refused each time",
                self.refused
            );
            (Verdict::Enforced, reason)
        } else {
            let reason = format!("not seen in any of the {of} it could concern");
            (Verdict::Enforced, reason)
        };
        Decision::of(verdict, reason.clone())
            .got(reason)
            .evidence(self.evidence)
    }
}

/// An entry as it may be shown: no query, no long part of a path, tokens by the beginning of their hash.
fn shown(entry: &Entry) -> Exchange {
    let mut headers = vec![("(entry)".to_owned(), entry.index.to_string())];
    for field in entry.fields("authorization") {
        let (scheme, token) = field.split_once(' ').unwrap_or((field, ""));
        let scheme = if token.is_empty() { "(scheme)" } else { scheme };
        let value = format!("{} {}", abridged(scheme), token_name(token.trim()));
        headers.push(("authorization".to_owned(), value));
    }
    if entry.fields("dpop").next().is_some() {
        headers.push(("dpop".to_owned(), "(a proof)".to_owned()));
    }
    Exchange {
        request: format!("{} {}", abridged(&entry.method), place(entry)),
        headers,
        status: entry.status,
        answer: Vec::new(),
        body: String::new(),
        milliseconds: 0,
    }
}

/// The URL without what could be a secret.
fn place(entry: &Entry) -> String {
    let part = |part: &str| {
        if part.len() > 40 {
            "…".to_owned()
        } else {
            abridged(part)
        }
    };
    let path: Vec<String> = entry.url.path.split('/').take(20).map(part).collect();
    let query = if entry.url.query.is_empty() {
        ""
    } else {
        "?…"
    };
    format!("{}{}{query}", entry.url.origin, path.join("/"))
}
