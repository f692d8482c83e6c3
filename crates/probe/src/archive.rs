//! HTTP archives: what recorded traffic says about tokens and proofs.
//!
//! Nothing is sent. A case is "not enforced" when the traffic shows the defect
//! and the server took it (`HA`), or when the client did it whatever the
//! server said (`CL`); it is "enforced" when there were requests that could
//! have had the defect, and none had it or each that had was refused. Tokens
//! are read and not verified, since the issuer's keys are not in an archive;
//! proofs are verified, since theirs are.
//!
//! What this does not show: what a server would do with a request that nobody
//! sent. That is what the other probes are for.

mod board;
mod cases;
mod checks;
mod har;
mod message;
mod places;
mod proofs;

use std::collections::BTreeSet;

use keybound_proto::time::UnixTime;

use self::board::Board;
use self::har::Entry;
use self::proofs::{Memory, Traffic};
use crate::error::ProbeError;
use crate::report::{Measure, Report, SCHEMA, Summary, TargetKind};

/// Assesses recorded traffic in an HTTP archive (HAR 1.2) of at most 64 MiB. Nothing is sent.
/// `name` is what the report calls it, `now` when it is made.
///
/// # Errors
/// [`ProbeError::Input`] when the bytes are no archive, saying what is wrong with them.
pub fn assess_archive(name: &str, bytes: &[u8], now: UnixTime) -> Result<Report, ProbeError> {
    let (entries, others) = har::read(name, bytes)?;
    let tokens = places::tokens(&entries);
    let (mut board, mut memory) = (Board::default(), Memory::default());
    for entry in &entries {
        proofs::look(&mut board, &mut memory, entry);
        places::look(&mut board, entry, &tokens);
    }
    proofs::challenges(&mut board, &entries);
    places::redirects(&mut board, &entries);
    let mut report = Report {
        schema: SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kind: TargetKind::HttpArchive,
        target: name.to_owned(),
        started_at: now.as_secs(),
        seconds: 0.0,
        requests: 0,
        grade: '?',
        baseline: false,
        summary: Summary::default(),
        measures: measures(&memory),
        labels: Vec::new(),
        warnings: warnings(&entries, others, &tokens),
        findings: board.findings(),
    };
    report.conclude();
    Ok(report)
}

/// Numbers of the whole, then of each origin that tokens or proofs went to.
fn measures(memory: &Memory) -> Vec<Measure> {
    let of_origin = |(origin, traffic): (&String, &Traffic)| numbers(origin, traffic);
    let all = Traffic {
        with_token: memory.origins.values().map(|of| of.with_token).sum(),
        bound: memory.origins.values().map(|of| of.bound).sum(),
        drifts: memory
            .origins
            .values()
            .flat_map(|of| of.drifts.iter().copied())
            .collect(),
        nonces: memory
            .origins
            .values()
            .flat_map(|of| of.nonces.iter().cloned())
            .collect(),
    };
    let mut measures = numbers("", &all);
    measures.extend(memory.origins.iter().flat_map(of_origin));
    measures
}

/// The numbers of one origin; of all together where it has no name.
fn numbers(origin: &str, traffic: &Traffic) -> Vec<Measure> {
    let of = |name: &str| {
        if origin.is_empty() {
            name.to_owned()
        } else {
            format!("{name} {origin}")
        }
    };
    let mut measures = Vec::new();
    if traffic.with_token > 0 {
        measures.push(Measure {
            name: of("bound_share"),
            value: Some(traffic.bound as f64 / traffic.with_token as f64),
            unit: "1".to_owned(),
            text: format!(
                "{} of {} requests with an access token have it under `DPoP` with a proof",
                traffic.bound, traffic.with_token
            ),
        });
    }
    let mut drifts = traffic.drifts.clone();
    drifts.sort_by(f64::total_cmp);
    let middle = drifts.get(drifts.len() / 2).copied();
    for (name, value, word) in [
        ("iat_drift_min", drifts.first().copied(), "smallest"),
        ("iat_drift_median", middle, "median"),
        ("iat_drift_max", drifts.last().copied(), "greatest"),
    ] {
        if let Some(value) = value {
            measures.push(Measure {
                name: of(name),
                value: Some(value),
                unit: "s".to_owned(),
                text: format!(
                    "{value:.1} s from the recorded time to `iat`, {word} of {}",
                    drifts.len()
                ),
            });
        }
    }
    if !traffic.nonces.is_empty() {
        measures.push(Measure {
            name: of("nonces"),
            value: Some(traffic.nonces.len() as f64),
            unit: "1".to_owned(),
            text: format!("{} different nonces were given", traffic.nonces.len()),
        });
    }
    measures
}

fn warnings(entries: &[Entry], others: usize, tokens: &BTreeSet<String>) -> Vec<String> {
    let mut warnings = Vec::new();
    if others > 0 {
        warnings.push(format!(
            "{others} entries have no URL of HTTP and were left out"
        ));
    }
    let proofs = entries
        .iter()
        .any(|entry| entry.fields("dpop").next().is_some());
    if tokens.is_empty() && !proofs {
        warnings.push(
            "the archive shows neither tokens nor proofs; browsers leave them out unless told to \
             export sensitive data"
                .to_owned(),
        );
    }
    if proofs && entries.iter().all(|entry| entry.started.is_none()) {
        warnings.push("no entry has a readable `startedDateTime`, so no age was judged".to_owned());
    }
    let secrets = secrets(entries, tokens);
    if !secrets.is_empty() {
        warnings.push(format!(
            "the archive holds {}: treat them as exposed, revoke what can be revoked, and pass the \
             file on to nobody",
            secrets.join(", ")
        ));
    }
    warnings
}

/// What somebody who has the archive has, in words.
fn secrets(entries: &[Entry], tokens: &BTreeSet<String>) -> Vec<String> {
    let refresh = |entry: &Entry| {
        let answered = message::token_answer(entry).and_then(|(_, _, refresh)| refresh);
        let form = message::token_request(entry).unwrap_or_default();
        let sent = form.into_iter().find(|(name, _)| name == "refresh_token");
        answered.or_else(|| sent.map(|(_, value)| value))
    };
    let refresh: BTreeSet<String> = entries.iter().filter_map(refresh).collect();
    let client = |entry: &&Entry| {
        let form = message::token_request(entry).unwrap_or_default();
        let basic = |field: &str| field.to_ascii_lowercase().starts_with("basic ");
        form.iter().any(|(name, _)| name == "client_secret")
            || entry.fields("authorization").any(basic)
    };
    let cookies = entries
        .iter()
        .filter(|entry| entry.fields("cookie").next().is_some());
    [
        (tokens.len(), "access tokens"),
        (refresh.len(), "refresh tokens"),
        (
            entries.iter().filter(client).count(),
            "requests with a client's secret or password",
        ),
        (cookies.count(), "requests with cookies"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect()
}

#[cfg(test)]
mod tests;
