//! The future of a guarded response.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body_util::{Either, Full};

/// Resolves to the inner service's response or to a refusal.
pub struct ResponseFuture<R, E> {
    inner: Pin<Box<dyn Future<Output = Outcome<R, E>> + Send>>,
}

type Outcome<R, E> = Result<Response<Either<R, Full<Bytes>>>, E>;

impl<R, E> ResponseFuture<R, E> {
    pub(super) fn new(inner: impl Future<Output = Outcome<R, E>> + Send + 'static) -> Self {
        Self {
            inner: Box::pin(inner),
        }
    }
}

impl<R, E> Future for ResponseFuture<R, E> {
    type Output = Outcome<R, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl<R, E> fmt::Debug for ResponseFuture<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
