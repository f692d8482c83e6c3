//! The keys of the replay log in `[gateway]`.
//!
//! Connects to nothing: whether the store is there, and fit, is readiness.

use std::time::Duration;

use keybound_guard::replay::{SharedPlace, StoreAddress, StoreKind};

use crate::config::model::{
    EnforcementMode, GatewaySection, ReplayModeName, RouteBinding, RouteReplay, RouteSection,
};
use crate::config::validate::checker::Checker;

/// The place of a shared log; `Some(None)` where the log is in memory.
#[expect(
    clippy::option_option,
    reason = "the outer level is a problem that was noted, the inner one a log in memory"
)]
pub(super) fn place(
    checker: &mut Checker<'_>,
    section: &GatewaySection,
) -> Option<Option<SharedPlace>> {
    let timeout = checker.duration("gateway.replay_timeout", &section.replay_timeout, 1..=10);
    warn_of_gates_that_only_look(checker, section);
    if section.replay == "memory" {
        return timeout.map(|_| None);
    }
    let address = match StoreAddress::parse(&section.replay) {
        Ok(address) => address,
        Err(error) => {
            checker.problem("gateway.replay", error.to_string(), None);
            return None;
        }
    };
    refuse_unkept_promises(checker, section, &address);
    let address = with_files(checker, address)?;
    Some(Some(SharedPlace {
        address,
        timeout: Duration::from_secs(timeout?),
    }))
}

/// Nonces of one gateway would be unknown to the others: a client that is sent
/// from one to the next would never get through.
pub(super) fn refuse_secret_of_its_own(checker: &mut Checker<'_>, section: &GatewaySection) {
    if section.replay != "memory" {
        let message = "gateways that share a replay log need one nonce secret, and `gateway.nonce_secret_file` is missing";
        let help = "give every gateway the same file";
        checker.problem("gateway.nonce_secret_file", message, Some(help));
    }
}

/// A cluster replicates asynchronously: only a nonce of the current run shows
/// that a proof was not forgotten in a fail-over.
fn refuse_unkept_promises(
    checker: &mut Checker<'_>,
    section: &GatewaySection,
    address: &StoreAddress,
) {
    let is_strict = section.replay_mode == ReplayModeName::Strict;
    if !is_strict || address.kind() != StoreKind::RedisCluster {
        return;
    }
    for (position, route) in section.route.iter().enumerate() {
        let needs_nonces = route.enforcement != EnforcementMode::Off && !route.nonce;
        if needs_nonces {
            let message = format!(
                "a cluster may forget a proof in a fail-over, so strict replay needs nonces, and the route `{}` asks for none",
                route.path
            );
            let help = "write `nonce = true` for the route, or `replay_mode = \"best-effort\"`";
            checker.problem(
                &format!("gateway.route[{position}].nonce"),
                message,
                Some(help),
            );
        }
        warn_of_methods_without_nonces(checker, position, route);
    }
}

/// Our nonces stand in DPoP proofs only, so nothing shows of other proofs that they are new.
fn warn_of_methods_without_nonces(
    checker: &mut Checker<'_>,
    position: usize,
    route: &RouteSection,
) {
    let cannot = [RouteBinding::Httpsig, RouteBinding::Wimse];
    if route
        .binding_methods
        .iter()
        .any(|name| cannot.contains(name))
    {
        let message = format!(
            "strict replay on a cluster refuses every request of `httpsig` and `wimse` on the route `{}`: their proofs carry no nonce",
            route.path
        );
        let help = "leave them out of `binding_methods`, or write `replay_mode = \"best-effort\"`";
        checker.warning(
            &format!("gateway.route[{position}].binding_methods"),
            message,
            help,
        );
    }
}

fn warn_of_gates_that_only_look(checker: &mut Checker<'_>, section: &GatewaySection) {
    for (position, route) in section.route.iter().enumerate() {
        if route.replay == RouteReplay::CheckOnly {
            let message = format!(
                "the route `{}` uses no proof up; alone it stops no replay",
                route.path
            );
            let help = "make sure that a second gate behind it does, with the same replay log";
            checker.warning(&format!("gateway.route[{position}].replay"), message, help);
        }
    }
}

fn with_files(checker: &mut Checker<'_>, address: StoreAddress) -> Option<StoreAddress> {
    let password = match address.password_file() {
        Some(file) => Some(checker.private_text("gateway.replay", file)?),
        None => None,
    };
    let authorities = match address.ca_file() {
        Some(file) => Some(checker.text("gateway.replay", file)?),
        None => None,
    };
    let address = match password {
        Some(password) => address.with_password(&password),
        None => address,
    };
    Some(match authorities {
        Some(pem) => address.with_authorities(pem.as_bytes()),
        None => address,
    })
}
