//! Bodies as they travel through a listener: the request's with its limit, the answer's
//! with the count of requests in flight.
//!
//! Nothing is buffered here but content that a signature covers, up to a limit; otherwise
//! backpressure is the HTTP library's. Trailer fields of requests
//! are dropped, because no check has seen them.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;
use keybound_proto::signature::{ContentIntact, ExpectedDigest};
use pin_project_lite::pin_project;

use crate::framing::{InFlight, Violation};

/// The error type bodies of services may have.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A request's body, bounded in size.
#[derive(Debug)]
pub struct RequestBody {
    inner: Incoming,
    limit: u64,
    seen: u64,
    has_ended: bool,
    /// What was taken in already and still has to be handed on.
    held: Bytes,
}

impl RequestBody {
    pub(crate) fn new(inner: Incoming, limit: u64) -> Self {
        Self {
            inner,
            limit,
            seen: 0,
            has_ended: false,
            held: Bytes::new(),
        }
    }

    /// Lowers the limit; a higher one than the listener's has no effect. In bytes.
    pub fn restrict(&mut self, limit: u64) {
        self.limit = self.limit.min(limit);
    }

    /// Makes sure that a body which ought to be empty is. HTTP/2 may announce a body and then
    /// send none.
    ///
    /// # Errors
    ///
    /// [`RequestBodyError::Framing`] when there is a body, or why it broke off.
    pub async fn expect_empty(&mut self) -> Result<(), RequestBodyError> {
        while !self.is_end_stream() {
            let frame = std::future::poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await;
            if let Some(frame) = frame
                && frame?.data_ref().is_some_and(|data| !data.is_empty())
            {
                return Err(RequestBodyError::Framing(Violation::BodyUnexpected));
            }
        }
        Ok(())
    }

    /// Takes all of the body in, at most `limit` bytes, and holds it against a digest (RFC 9530
    /// section 2). Only then is any of it handed on, so nobody acts on content that was changed.
    ///
    /// # Errors
    ///
    /// `digest.mismatch`; `http.body_too_large` beyond the limit; or why the body broke off.
    pub async fn check_content(
        &mut self,
        expected: &ExpectedDigest,
        limit: u64,
    ) -> Result<ContentIntact, Rejection> {
        self.restrict(limit);
        self.check_declared_size()
            .map_err(|error| error.rejection())?;
        let mut check = expected.begin();
        let mut held = BytesMut::new();
        while !self.is_end_stream() {
            let frame = std::future::poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| error.rejection())?;
            if let Ok(data) = frame.into_data() {
                check.update(&data);
                held.extend_from_slice(&data);
            }
        }
        self.has_ended = true;
        self.held = held.freeze();
        check.finish()
    }

    /// Refuses a body that says beforehand that it is too large.
    ///
    /// # Errors
    ///
    /// [`RequestBodyError::TooLarge`].
    pub fn check_declared_size(&self) -> Result<(), RequestBodyError> {
        if self.inner.size_hint().lower() > self.limit {
            return Err(RequestBodyError::TooLarge { limit: self.limit });
        }
        Ok(())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let this = &mut *self;
        if !this.held.is_empty() {
            let data = std::mem::take(&mut this.held);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if this.has_ended {
            return Poll::Ready(None);
        }
        let frame = match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
            None => {
                this.has_ended = true;
                return Poll::Ready(None);
            }
            Some(Err(error)) => return Poll::Ready(Some(Err(RequestBodyError::of(&error)))),
            Some(Ok(frame)) => frame,
        };
        let Ok(data) = frame.into_data() else {
            this.has_ended = true;
            return Poll::Ready(None);
        };
        this.seen = this.seen.saturating_add(data.remaining() as u64);
        if this.seen > this.limit {
            return Poll::Ready(Some(Err(RequestBodyError::TooLarge { limit: this.limit })));
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && (self.has_ended || self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        if self.has_ended {
            SizeHint::with_exact(self.held.len() as u64)
        } else {
            self.inner.size_hint()
        }
    }
}

/// Why a request's body ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestBodyError {
    /// The client went away or its connection failed.
    #[error("the client's connection ended inside the request body")]
    Aborted,
    /// The body broke a framing rule or paused too long.
    #[error("the request body broke off: `{}`", .0.id())]
    Framing(Violation),
    /// The body is larger than the limit.
    #[error("the request body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
}

impl RequestBodyError {
    fn of(error: &hyper::Error) -> Self {
        find_source::<Violation>(error).map_or(Self::Aborted, |violation| Self::Framing(*violation))
    }

    /// The refusal this becomes when no answer was begun yet.
    #[must_use]
    pub fn rejection(&self) -> Rejection {
        match self {
            Self::Aborted => Rejection::new(Cause::Framing).got("framing.body_incomplete"),
            Self::Framing(violation) => violation.rejection(),
            Self::TooLarge { limit } => {
                Rejection::new(Cause::BodyTooLarge).expected(format!("at most {limit} bytes"))
            }
        }
    }
}

/// The first error of a type in a chain of sources, `std::io::Error`'s own inner error
/// included.
pub(crate) fn find_source<'a, E: Error + 'static>(
    error: &'a (dyn Error + 'static),
) -> Option<&'a E> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        current = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

pin_project! {
    /// An answer's body: a refusal made by the listener, or the service's own. Keeps the request
    /// counted as in flight until it is dropped.
    pub struct AnswerBody<B> {
        #[pin]
        kind: AnswerKind<B>,
        in_flight: Option<InFlight>,
    }
}

pin_project! {
    #[project = AnswerKindProjected]
    enum AnswerKind<B> {
        Refusal { text: Option<Bytes> },
        Service { #[pin] body: B },
    }
}

impl<B> AnswerBody<B> {
    pub(crate) fn refusal(text: Bytes) -> Self {
        let text = Some(text).filter(|text| !text.is_empty());
        Self {
            kind: AnswerKind::Refusal { text },
            in_flight: None,
        }
    }

    pub(crate) fn service(body: B) -> Self {
        Self {
            kind: AnswerKind::Service { body },
            in_flight: None,
        }
    }

    pub(crate) fn counted(mut self, in_flight: InFlight) -> Self {
        self.in_flight = Some(in_flight);
        self
    }
}

impl<B> fmt::Debug for AnswerBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerBody").finish_non_exhaustive()
    }
}

impl<B> Body for AnswerBody<B>
where
    B: Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            AnswerKindProjected::Refusal { text } => {
                Poll::Ready(text.take().map(|text| Ok(Frame::data(text))))
            }
            AnswerKindProjected::Service { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            AnswerKind::Refusal { text } => text.is_none(),
            AnswerKind::Service { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            AnswerKind::Refusal { text } => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            AnswerKind::Service { body } => body.size_hint(),
        }
    }
}
