//! The endpoints: axum handlers that gather what a decision of [`crate::flow`]
//! needs, ask it, and carry out what it says.
//!
//! Every answer of a client-facing endpoint is `Cache-Control: no-store`; every
//! refusal goes through `answer`, which is the one place that writes events and
//! log lines about it. No handler decides anything, and none opens a socket:
//! the caller serves the router.

mod answer;
mod authenticate;
mod authorize;
mod body;
mod cors;
mod exchange;
mod grants;
mod introspect;
mod people;
mod prove;
mod public;
mod pushed;
mod register;
mod revoke;
mod signed;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, get, post};

use crate::config::Approval;
use crate::flow::metadata::{self, path};
use crate::state::Core;

/// All routes of one issuer, below its own path.
pub(crate) fn router(core: Arc<Core>) -> Router {
    let config = core.config();
    let base = metadata::base_path(&config.url).to_owned();
    let at = |path: &str| format!("{base}{path}");
    let mut router = Router::new()
        .route(&at(path::TOKEN), only(post(token::handle)))
        .route(&at(path::INTROSPECT), only(post(introspect::handle)))
        .route(&at(path::REVOKE), only(post(revoke::handle)))
        .route(&at(path::REGISTER), only(post(register::handle)))
        .route(&at(path::JWKS), only(get(public::jwks)));
    if core.authorization().is_some() {
        router = router
            .route(&at(path::PUSHED), only(post(pushed::handle)))
            .route(&at(path::AUTHORIZE), only(get(authorize::handle)));
    }
    if asks_people(&core) {
        router = router
            .route(
                &at(path::CONSENT),
                only(get(people::question).post(people::decide)),
            )
            .route(
                &at(path::LOG_IN),
                only(get(people::log_in).post(people::confirm)),
            )
            .route(&at(path::LOG_OUT), only(post(people::log_out)));
    }
    for location in metadata::locations(&config.url) {
        router = router.route(&location, only(get(public::metadata)));
    }
    router
        .fallback(answer::unknown_route)
        .with_state(Arc::clone(&core))
        // Outermost: every answer, refusals included, carries the exposure headers.
        .layer(axum::middleware::from_fn_with_state(core, cors::expose))
}

fn asks_people(core: &Core) -> bool {
    let config = core.authorization();
    config.is_some_and(|config| matches!(config.approval, Approval::Person))
}

/// A route that answers other methods with 405 in our own form.
fn only(methods: MethodRouter<Arc<Core>>) -> MethodRouter<Arc<Core>> {
    methods.fallback(answer::wrong_method)
}
