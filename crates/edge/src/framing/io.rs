//! The byte layer itself: an `AsyncRead + AsyncWrite` between the socket and the HTTP library.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::chunked::Chunks;
use super::head::{BodyFraming, HeadScanner};
use super::{ConnectionState, FramingLimits, Violation};
use crate::alarm::Alarm;

/// The HTTP/2 client preface (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// First size of the buffer: most heads with a token and a proof fit.
const BUFFER_BYTES: usize = 4 * 1024;
/// Most bytes discarded while a closing connection lingers.
const LINGER_BYTES: usize = 256 * 1024;

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 or HTTP/1.1; every byte is checked.
    Http1,
    /// HTTP/2 by prior knowledge; the bytes are handed through.
    Http2,
}

/// A stream whose reading side yields only well-framed HTTP/1 messages.
///
/// Reads end with [`io::ErrorKind::InvalidData`] carrying a [`Violation`] when a body breaks
/// a rule, and with [`io::ErrorKind::TimedOut`] when it pauses too long. A refused head never
/// ends reading: the marker request stands in its place, and nothing follows it.
#[derive(Debug)]
pub struct Framed<S> {
    io: S,
    state: State,
    scanner: HeadScanner,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes from `start` that are checked and may be handed on.
    cleared: usize,
    limits: Arc<FramingLimits>,
    connection: Arc<ConnectionState>,
    read_alarm: Alarm,
    write_alarm: Alarm,
    closing: Closing,
}

/// Where in the sequence of messages the next unchecked byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before or inside a head.
    Head,
    /// Inside a body of known length.
    Length(u64),
    /// Inside a chunked body.
    Chunked(Chunks),
    /// A head was refused: after the marker, silence.
    Refused,
    /// A body was refused: every further read fails.
    Broken(Violation),
    /// HTTP/2: nothing is checked.
    Raw,
}

/// The steps of closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    No,
    Lingering { discarded: usize },
    Done,
}

impl<S> Framed<S> {
    /// Wraps a stream. [`detect`](Self::detect) must run before the HTTP library reads.
    pub fn new(io: S, limits: Arc<FramingLimits>, connection: Arc<ConnectionState>) -> Self {
        Self {
            io,
            state: State::Head,
            scanner: HeadScanner::default(),
            buffer: vec![0; BUFFER_BYTES.min(limits.head_bytes)],
            start: 0,
            end: 0,
            cleared: 0,
            limits,
            connection,
            read_alarm: Alarm::default(),
            write_alarm: Alarm::default(),
            closing: Closing::No,
        }
    }

    fn unchecked(&self) -> &[u8] {
        self.buffer
            .get(self.start + self.cleared..self.end)
            .unwrap_or_default()
    }

    /// Whether a request has begun to arrive and is not complete.
    fn is_inside_message(&self) -> bool {
        self.state != State::Head || self.start < self.end
    }

    /// Checks buffered bytes and clears what may be handed on.
    fn advance(&mut self) {
        let step = match self.state {
            State::Head => self.advance_head(),
            State::Length(left) => {
                let taken = u64::try_from(self.unchecked().len())
                    .unwrap_or(u64::MAX)
                    .min(left);
                self.state = if taken == left {
                    State::Head
                } else {
                    State::Length(left - taken)
                };
                Ok(usize::try_from(taken).unwrap_or(usize::MAX))
            }
            State::Chunked(mut chunks) => match chunks.check(self.unchecked()) {
                Ok(checked) => {
                    self.state = if checked.ended {
                        State::Head
                    } else {
                        State::Chunked(chunks)
                    };
                    Ok(checked.bytes)
                }
                Err(violation) => {
                    self.state = State::Broken(violation);
                    Err(violation)
                }
            },
            State::Raw => Ok(self.unchecked().len()),
            State::Refused | State::Broken(_) => Ok(0),
        };
        match step {
            Ok(bytes) => self.cleared += bytes,
            Err(violation) => tracing::debug!(cause = violation.id(), "http framing refused"),
        }
    }

    fn advance_head(&mut self) -> Result<usize, Violation> {
        let unchecked = self
            .buffer
            .get(self.start + self.cleared..self.end)
            .unwrap_or_default();
        match self.scanner.scan(unchecked, &self.limits) {
            Ok(None) => Ok(0),
            Ok(Some(head)) => {
                self.scanner = HeadScanner::default();
                self.state = match head.body {
                    BodyFraming::None => State::Head,
                    BodyFraming::Length(length) => State::Length(length),
                    BodyFraming::Chunked => State::Chunked(Chunks::START),
                };
                Ok(head.bytes)
            }
            Err(violation) => {
                self.refuse(violation);
                Err(violation)
            }
        }
    }

    /// Puts the marker request in the place of everything not yet handed on.
    ///
    /// Only called with nothing cleared, so earlier messages are not touched.
    fn refuse(&mut self, violation: Violation) {
        let marker = format!(
            "!{} / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n",
            violation.id()
        );
        self.buffer = marker.into_bytes();
        self.start = 0;
        self.end = self.buffer.len();
        self.cleared = self.end;
        self.state = State::Refused;
    }

    /// Moves cleared bytes into the caller's buffer.
    fn hand_over(&mut self, out: &mut ReadBuf<'_>) {
        let count = self.cleared.min(out.remaining());
        let until = self.start + count;
        out.put_slice(self.buffer.get(self.start..until).unwrap_or_default());
        self.start = until;
        self.cleared -= count;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Makes room behind the buffered bytes, within the limit for heads.
    fn make_room(&mut self) {
        if self.end < self.buffer.len() {
            return;
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            let grown = (self.buffer.len() * 2)
                .min(self.limits.head_bytes + 1)
                .max(PREFACE.len());
            self.buffer.resize(grown.max(self.buffer.len() + 1), 0);
        }
    }
}

impl<S: AsyncRead + Unpin> Framed<S> {
    /// Waits for the first bytes and says which protocol they begin.
    ///
    /// # Errors
    ///
    /// The peer closed or stayed silent past the limit before it sent anything, or the
    /// socket failed.
    pub async fn detect(&mut self) -> io::Result<Protocol> {
        std::future::poll_fn(|cx| self.poll_detect(cx)).await
    }

    fn poll_detect(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Protocol>> {
        loop {
            let seen = self.buffer.get(..self.end).unwrap_or_default();
            let compared = seen.len().min(PREFACE.len());
            let may_be_http2 = self.limits.http2 && seen.get(..compared) == PREFACE.get(..compared);
            if !seen.is_empty() && !may_be_http2 {
                return Poll::Ready(Ok(Protocol::Http1));
            }
            if may_be_http2 && compared == PREFACE.len() {
                self.state = State::Raw;
                return Poll::Ready(Ok(Protocol::Http2));
            }
            if self.end > 0 && self.read_alarm.has_expired(cx, self.limits.head_time) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            if ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Reads from the socket into the own buffer; 0 at the end of the stream.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.make_room();
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let mut out = ReadBuf::new(room);
        match Pin::new(&mut self.io).poll_read(cx, &mut out) {
            Poll::Ready(Ok(())) => {
                let count = out.filled().len();
                self.progress(self.start == self.end || self.state != State::Head);
                self.end += count;
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.poll_wait(cx),
        }
    }

    /// A head has one deadline from its first byte on; elsewhere every byte starts anew.
    fn progress(&mut self, starts_anew: bool) {
        if starts_anew {
            self.read_alarm.clear();
        }
    }

    /// Nothing to read: says what happens when nothing comes.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.connection.register(cx.waker());
        let is_idle = match self.state {
            State::Head => self.start == self.end,
            State::Raw => true,
            _ => false,
        };
        if is_idle {
            return self.poll_idle(cx);
        }
        let (limit, violation) = match self.state {
            State::Head => (self.limits.head_time, Violation::HeadTimeout),
            _ => (self.limits.body_pause, Violation::BodyTimeout),
        };
        if !self.read_alarm.has_expired(cx, limit) {
            return Poll::Pending;
        }
        tracing::debug!(cause = violation.id(), "client too slow");
        if self.state == State::Head {
            self.refuse(violation);
            return Poll::Ready(Ok(self.end));
        }
        self.state = State::Broken(violation);
        Poll::Ready(Err(broken(violation)))
    }

    /// Between requests: ends the stream when it is told to drain or was idle too long.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // HTTP/2 is told to drain by its own frame; ending the stream would cut it.
        let may_drain = self.state != State::Raw;
        if may_drain && self.connection.is_draining() && !self.connection.is_busy() {
            return Poll::Ready(Ok(0));
        }
        while self.read_alarm.has_expired(cx, self.limits.idle) {
            if !self.connection.is_busy() {
                return Poll::Ready(Ok(0));
            }
            self.read_alarm.clear();
        }
        Poll::Pending
    }

    /// A body of known length may go straight into the caller's buffer when that buffer
    /// cannot reach past its end.
    fn poll_read_straight(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        match Pin::new(&mut self.io).poll_read(cx, out) {
            Poll::Ready(Ok(())) => {
                let count = (out.filled().len() - before) as u64;
                if let State::Length(left) = self.state {
                    let left = left.saturating_sub(count);
                    self.state = if left == 0 {
                        State::Head
                    } else {
                        State::Length(left)
                    };
                }
                self.read_alarm.clear();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => match ready!(self.poll_wait(cx)) {
                Ok(_) => Poll::Ready(Ok(())),
                Err(error) => Poll::Ready(Err(error)),
            },
        }
    }

    fn may_read_straight(&self, out: &ReadBuf<'_>) -> bool {
        if self.start != self.end {
            return false;
        }
        match self.state {
            State::Raw => true,
            State::Length(left) => out.remaining() as u64 <= left,
            _ => false,
        }
    }

    /// Reads and discards until the peer closes, the limit is reached or the time is up.
    fn poll_linger(&mut self, cx: &mut Context<'_>, mut discarded: usize) -> Poll<()> {
        loop {
            let mut out = ReadBuf::new(&mut self.buffer);
            match Pin::new(&mut self.io).poll_read(cx, &mut out) {
                Poll::Ready(Ok(())) if out.filled().is_empty() => return Poll::Ready(()),
                Poll::Ready(Ok(())) => discarded += out.filled().len(),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {
                    self.closing = Closing::Lingering { discarded };
                    let is_over = self.read_alarm.has_expired(cx, self.limits.linger);
                    return if is_over {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    };
                }
            }
            if discarded > LINGER_BYTES {
                return Poll::Ready(());
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Framed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.cleared == 0 {
                this.advance();
            }
            if this.cleared > 0 {
                this.hand_over(out);
                return Poll::Ready(Ok(()));
            }
            match this.state {
                // Never an end of the stream: the library would take it for the peer going
                // away and drop the answer. The marker asks it to close.
                State::Refused => return Poll::Pending,
                State::Broken(violation) => return Poll::Ready(Err(broken(violation))),
                _ => {}
            }
            if this.may_read_straight(out) {
                return this.poll_read_straight(cx, out);
            }
            if ready!(this.poll_fill(cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Framed<S> {
    /// Fails a write that has waited too long for the peer.
    fn poll_stalled<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if self.write_alarm.has_expired(cx, self.limits.write_pause) {
            tracing::debug!("client takes no bytes; closing");
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Framed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let Poll::Ready(result) = Pin::new(&mut this.io).poll_write(cx, bytes) else {
            return this.poll_stalled(cx);
        };
        this.write_alarm.clear();
        Poll::Ready(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let Poll::Ready(result) = Pin::new(&mut this.io).poll_write_vectored(cx, parts) else {
            return this.poll_stalled(cx);
        };
        this.write_alarm.clear();
        Poll::Ready(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Poll::Ready(result) = Pin::new(&mut this.io).poll_flush(cx) else {
            return this.poll_stalled(cx);
        };
        Poll::Ready(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing == Closing::No {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            this.read_alarm.clear();
            let needs_linger = this.state != State::Raw && this.is_inside_message();
            this.closing = if needs_linger {
                Closing::Lingering { discarded: 0 }
            } else {
                Closing::Done
            };
        }
        if let Closing::Lingering { discarded } = this.closing {
            ready!(this.poll_linger(cx, discarded));
            this.closing = Closing::Done;
        }
        Poll::Ready(Ok(()))
    }
}

fn broken(violation: Violation) -> io::Error {
    let kind = match violation {
        Violation::BodyTimeout => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, violation)
}
