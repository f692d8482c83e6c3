//! `/v1/log-in-links`: a single-use link with which an operator logs in to the pages of the
//! issuer, in the browser it is opened in and as the identity that asked for it.
//!
//! The store keeps SHA-256 of the secret in the link. Not here: the pages, which are the
//! issuer's, and sessions.

use std::sync::Arc;

use aws_lc_rs::rand;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use keybound_proto::base64url;
use keybound_proto::cause::Cause;
use serde_json::json;

use super::access::Caller;
use super::call::Call;
use super::problem::Problem;
use super::{Control, answer, json as respond};
use crate::store::kept::{KeptKind, KeptRef, LogInLink};

/// How long a link is good for, in seconds.
const LIFETIME: u64 = 300;

pub(super) async fn create(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    Extension(call): Extension<Call>,
) -> Response<Body> {
    answer(
        async {
            let mut secret = [0; 32];
            rand::fill(&mut secret).map_err(|_| Problem::of(Cause::StoreUnavailable))?;
            let secret = base64url::encode(&secret);
            let link = LogInLink {
                identity: caller.identity().to_owned(),
                used: false,
            };
            let document =
                serde_json::to_string(&link).map_err(|_| Problem::of(Cause::StoreUnavailable))?;
            let name = KeptRef::of(KeptKind::LogIn, &secret);
            let end = control.clock.now().plus(LIFETIME);
            control.store.keep(name, document, end).await?;
            let issuer = control.config.token_issuer.trim_end_matches('/');
            let body = json!({
                "url": format!("{issuer}/login?link={secret}"),
                "identity": link.identity,
                "expires_in": LIFETIME,
            });
            Ok(respond(StatusCode::CREATED, &body))
        }
        .await,
        &call,
    )
}
