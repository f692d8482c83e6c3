//! The upstream's answer on its way to the client, and what cuts it short.
//!
//! A request is checked when it arrives; its answer may run for hours. So an answer to a bound
//! request ends when its token does, and when a revocation or lock comes to cover it (SC-255):
//! the connection (HTTP/1) or stream (HTTP/2) is broken off, which no client can mistake for
//! the regular end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use keybound_guard::revocation::RevocationView;
use keybound_proto::cause::Cause;
use keybound_proto::time::{Clock, UnixTime};
use keybound_proto::verify::{RevocationQuery, Verified};
use tokio::sync::watch;

use super::upstream::Lease;
use crate::alarm::Alarm;

/// The body of every answer of the gateway.
#[derive(Debug)]
pub struct GatewayBody {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Made by the gateway.
    Own(Option<Bytes>),
    /// Streamed from the upstream.
    Upstream(Box<UpstreamBody>),
}

/// Why an answer was broken off.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The permission for it ended.
    #[error("the answer was cut: {}", .0.summary())]
    Cut(Cause),
    /// The upstream sent nothing for too long.
    #[error("the upstream paused too long")]
    Paused,
    /// The upstream broke off.
    #[error("the upstream broke its answer off")]
    Upstream(#[source] hyper::Error),
}

#[derive(Debug)]
pub(super) struct UpstreamBody {
    incoming: Incoming,
    lease: Option<Lease>,
    pause: Alarm,
    pause_limit: Duration,
    permission: Option<Permission>,
    is_first: bool,
}

/// What an answer to a bound request depends on while it runs.
pub(super) struct Permission {
    facts: Facts,
    /// Made when an answer turns out to be more than one piece; most are not.
    end: Option<Pin<Box<dyn Future<Output = Cause> + Send + Sync>>>,
}

#[derive(Clone)]
struct Facts {
    query: Arc<RevocationQuery>,
    expires_at: UnixTime,
    view: RevocationView,
    changes: watch::Receiver<u64>,
    clock: Arc<dyn Clock>,
}

impl Permission {
    /// `changes` must have been subscribed to before the request was checked, so that nothing
    /// falls between the check and the answer.
    pub(super) fn new(
        caller: &Verified,
        view: RevocationView,
        changes: watch::Receiver<u64>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let facts = Facts {
            query: Arc::new(caller.revocation_query()),
            expires_at: caller.token().expires_at(),
            view,
            changes,
            clock,
        };
        Self { facts, end: None }
    }

    /// Whether it ended already: while the upstream was making up its mind.
    pub(super) fn has_ended(&mut self) -> Option<Cause> {
        let has_changed = self.facts.changes.has_changed().unwrap_or(true);
        self.facts.changes.mark_unchanged();
        if has_changed {
            self.facts.view.contains(&self.facts.query)
        } else {
            None
        }
    }

    /// Whether it has ended by now; registers the task for the moment it does.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Cause> {
        let facts = &self.facts;
        let end = self
            .end
            .get_or_insert_with(|| Box::pin(end_of(facts.clone())));
        end.as_mut().poll(cx)
    }
}

/// Waits until the token expires or is withheld.
async fn end_of(mut facts: Facts) -> Cause {
    // What changed before now is seen at once.
    facts.changes.mark_changed();
    loop {
        let left = facts.expires_at.seconds_since(facts.clock.now());
        if left == 0 {
            return Cause::TokenExpired;
        }
        // The wall clock may be set while this sleeps; it is asked again every minute.
        let nap = Duration::from_secs(left.min(60));
        tokio::select! {
            () = tokio::time::sleep(nap) => {}
            changed = facts.changes.changed() => {
                if let Some(cause) = facts.view.contains(&facts.query) {
                    return cause;
                }
                if changed.is_err() {
                    // No view any more: nobody could say that the token is still good.
                    return Cause::RevocationStale;
                }
            }
        }
    }
}

impl GatewayBody {
    pub(super) fn own(text: Bytes) -> Self {
        Self {
            kind: Kind::Own(Some(text).filter(|text| !text.is_empty())),
        }
    }

    pub(super) fn upstream(
        incoming: Incoming,
        lease: Lease,
        permission: Option<Permission>,
    ) -> Self {
        if incoming.is_end_stream() {
            lease.give_back();
            return Self {
                kind: Kind::Own(None),
            };
        }
        let body = UpstreamBody {
            incoming,
            pause: Alarm::default(),
            pause_limit: lease.upstream().timeouts().pause,
            lease: Some(lease),
            permission,
            is_first: true,
        };
        Self {
            kind: Kind::Upstream(Box::new(body)),
        }
    }
}

impl UpstreamBody {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        // The first piece was permitted a moment ago; whatever takes longer is watched.
        if !std::mem::replace(&mut self.is_first, false)
            && let Some(permission) = &mut self.permission
            && let Poll::Ready(cause) = permission.poll_end(cx)
        {
            return Poll::Ready(Some(Err(self.cut(cause))));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            return self.poll_pause(cx);
        };
        self.pause.clear();
        match frame {
            Some(Ok(frame)) => {
                if self.incoming.is_end_stream() {
                    self.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.lease = None;
                Poll::Ready(Some(Err(StreamError::Upstream(error))))
            }
            None => {
                self.finish();
                Poll::Ready(None)
            }
        }
    }

    /// Nothing to read yet: who else may end this?
    fn poll_pause(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        if let Some(permission) = &mut self.permission
            && let Poll::Ready(cause) = permission.poll_end(cx)
        {
            return Poll::Ready(Some(Err(self.cut(cause))));
        }
        if self.pause.has_expired(cx, self.pause_limit) {
            self.lease = None;
            tracing::warn!("the upstream paused too long; its answer is cut");
            return Poll::Ready(Some(Err(StreamError::Paused)));
        }
        Poll::Pending
    }

    fn cut(&mut self, cause: Cause) -> StreamError {
        // Dropping the unfinished exchange closes the connection to the upstream.
        self.lease = None;
        if let Some(permission) = self.permission.take() {
            let query = &permission.facts.query;
            let token_id = query.token.token_id().unwrap_or_default();
            tracing::info!(cause = cause.id(), token_id, "an answer was cut");
        }
        StreamError::Cut(cause)
    }

    fn finish(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl Body for GatewayBody {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        match &mut self.kind {
            Kind::Own(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Kind::Upstream(body) => Poll::Ready(ready!(body.poll_frame(cx))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Own(text) => text.is_none(),
            Kind::Upstream(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Own(text) => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            Kind::Upstream(body) => body.incoming.size_hint(),
        }
    }
}

impl std::fmt::Debug for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permission")
            .field("expires_at", &self.facts.expires_at)
            .finish_non_exhaustive()
    }
}
