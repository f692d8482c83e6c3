//! The [`Caller`] as an axum extractor.
//!
//! A handler that takes a [`Caller`] runs only behind a
//! [`GuardLayer`](crate::layer::GuardLayer): without one there is no caller to
//! take, and the request is answered with 500 instead of being let through.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use keybound_guard::layer::{Caller, GuardLayer};
//! use keybound_guard::{Guard, Route};
//! use keybound_proto::uri::Origin;
//!
//! async fn whoami(caller: Caller) -> String {
//!     format!("{} by {}", caller.identity(), caller.verified().possession().method())
//! }
//!
//! fn app(guard: Guard, origin: Origin) -> Router {
//!     let route = Route::new("whoami", "https://api.example.com/");
//!     Router::new()
//!         .route("/whoami", get(whoami))
//!         .layer(GuardLayer::new(guard, origin, route))
//! }
//! ```

use std::fmt;

use ::axum::extract::FromRequestParts;
use ::axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use crate::layer::Caller;

/// A handler wants a [`Caller`] and no guard is in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoGuard;

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = NoGuard;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, NoGuard> {
        parts.extensions.get::<Self>().cloned().ok_or(NoGuard)
    }
}

impl IntoResponse for NoGuard {
    fn into_response(self) -> Response {
        tracing::error!("a handler takes a caller but no guard layer is in front of it");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

impl fmt::Display for NoGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no guard layer is in front of this handler; add one")
    }
}

impl std::error::Error for NoGuard {}
