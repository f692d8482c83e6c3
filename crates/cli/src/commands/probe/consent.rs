//! What a run may do without being asked, and how it asks.
//!
//! A safe method on this machine needs no consent. Everything else does: on a
//! terminal by a question, otherwise by `--target-owner-ok`.

use std::io::{BufRead, IsTerminal, Write};

use keybound_proto::uri::Origin;

use super::limits::Limits;
use crate::context::Context;
use crate::failure::Failure;

/// What is about to be sent.
#[derive(Debug)]
pub(super) struct Plan {
    /// Where to.
    pub(super) places: Vec<Origin>,
    /// About how many requests.
    pub(super) requests: u32,
    /// The method, when it may change something.
    pub(super) unsafe_method: Option<String>,
}

/// Says what will happen, and makes sure that it may.
pub(super) fn ask(plan: &Plan, limits: &Limits, context: &Context) -> Result<(), Failure> {
    let hosts = plan.hosts();
    context.output.note(format_args!(
        "about {} requests to {hosts}, {}, {} at most{}",
        plan.requests,
        pace(limits.rate),
        limits.max_requests,
        plan.least_time(limits.rate)
    ));
    if limits.target_owner_ok || (plan.is_local(limits) && plan.unsafe_method.is_none()) {
        return Ok(());
    }
    let danger = plan
        .unsafe_method
        .as_ref()
        .map_or_else(String::new, |method| {
            format!("Each {method} may change something; good ones are among them. ")
        });
    let question = format!(
        "The probe sends about {} requests {} to {hosts}. {danger}Only probe what you own or may test. Go on? [y/N] ",
        plan.requests,
        pace(limits.rate),
    );
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        let what = plan.unsafe_method.as_ref().map_or_else(
            || format!("{hosts} is not on this machine"),
            |method| format!("{method} may change something"),
        );
        return Err(Failure::usage(format!(
            "{what}, and there is no terminal to ask whether it may be probed"
        ))
        .next("add --target-owner-ok if you own the target or may test it; --dry-run shows what would be sent"));
    }
    if agreed(&question) {
        Ok(())
    } else {
        Err(Failure::usage("not probed: nobody agreed to it")
            .next("answer `y`, or add --target-owner-ok, if you own the target or may test it"))
    }
}

impl Plan {
    fn hosts(&self) -> String {
        let mut names: Vec<&str> = self.places.iter().map(Origin::authority).collect();
        names.dedup();
        names.join(" and ")
    }

    fn is_local(&self, limits: &Limits) -> bool {
        match limits.connect_to {
            Some(address) => address.ip().is_loopback(),
            None => self.places.iter().all(Origin::is_loopback),
        }
    }

    /// The waits of single checks come on top, so this is the least.
    fn least_time(&self, rate: f64) -> String {
        if rate <= 0.0 {
            return String::new();
        }
        let seconds = (f64::from(self.requests) / rate).ceil();
        format!(", {seconds:.0} s or more")
    }
}

fn pace(rate: f64) -> String {
    if rate > 0.0 {
        format!("at {rate} a second")
    } else {
        "as fast as it answers".to_owned()
    }
}

fn agreed(question: &str) -> bool {
    let mut stderr = std::io::stderr().lock();
    let asked = stderr
        .write_all(question.as_bytes())
        .and_then(|()| stderr.flush());
    let mut answer = String::new();
    asked.is_ok()
        && std::io::stdin().lock().read_line(&mut answer).is_ok()
        && matches!(answer.trim(), "y" | "Y" | "yes" | "Yes")
}
