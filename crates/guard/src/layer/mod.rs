//! A tower layer that lets only checked requests through.
//!
//! ```text
//! GuardLayer(Guard, Origin, Route) : Service<Request<B>> -> Service<Request<B>>
//! ```
//!
//! The inner service is called only for requests that [`Guard::check_http`]
//! accepted, and finds a [`Caller`] in the request's extensions. Others get the
//! answer of RFC 9449 section 7.1. Put layers that answer CORS preflights or
//! assign request ids outside of this one, and everything that trusts the
//! caller inside.
//!
//! `Authorization` and `DPoP` stay in the request for the inner service; strip
//! them before passing it on to anybody else.

use std::fmt;
use std::sync::Arc;

use keybound_proto::jose::Jkt;
use keybound_proto::token::AccessToken;
use keybound_proto::uri::Origin;
use keybound_proto::verify::Verified;
use tower_layer::Layer;

pub use self::future::ResponseFuture;
pub use self::service::GuardService;
use crate::{Guard, Route};

mod future;
mod service;

/// Puts the guard in front of a service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct GuardLayer {
    shared: Arc<Shared>,
}

/// What every request through one layer is checked against.
#[derive(Debug)]
struct Shared {
    guard: Guard,
    origin: Origin,
    route: Route,
}

/// Who called: the outcome of every check, for handlers.
///
/// Exists only for requests whose sender proved possession of the token's key.
#[derive(Clone)]
pub struct Caller {
    verified: Arc<Verified>,
}

impl GuardLayer {
    /// A layer for services reached under the public `origin`, for example
    /// `https://api.example.com`. Proofs must name URLs below it.
    #[must_use]
    pub fn new(guard: Guard, origin: Origin, route: Route) -> Self {
        Self {
            shared: Arc::new(Shared {
                guard,
                origin,
                route,
            }),
        }
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardService::new(inner, Arc::clone(&self.shared))
    }
}

impl Caller {
    pub(crate) fn new(verified: Verified) -> Self {
        Self {
            verified: Arc::new(verified),
        }
    }

    /// Everything that was verified.
    #[must_use]
    pub fn verified(&self) -> &Verified {
        &self.verified
    }

    /// The caller's token.
    #[must_use]
    pub fn token(&self) -> &AccessToken {
        self.verified.token()
    }

    /// The identity: the token's subject, which means something together with
    /// its issuer only.
    #[must_use]
    pub fn identity(&self) -> &str {
        self.token().subject()
    }

    /// The key whose possession was proven; for a certificate, the certificate's key, `None` if
    /// its kind has no thumbprint here.
    #[must_use]
    pub fn jkt(&self) -> Option<Jkt> {
        self.verified.jkt()
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("identity", &self.identity())
            .field("jkt", &self.jkt())
            .finish_non_exhaustive()
    }
}
