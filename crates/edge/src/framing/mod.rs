//! Strict HTTP/1 message framing (RFC 9112), checked byte by byte before the
//! HTTP library sees anything.
//!
//! Request smuggling needs two parsers that disagree about where a message
//! ends. This layer sits between the socket and the library and lets through
//! only bytes about which parsers cannot disagree: one line ending, one way to
//! state a length, one header of each kind that frames, no obsolete syntax.
//! What the library then parses is a subset of what this layer accepted, so the
//! number of requests that reach a service never exceeds the number of heads
//! accepted here.
//!
//! A head that breaks a rule is replaced by a small well-formed request whose
//! method starts with `!`. No client head with such a method is ever let
//! through, so the marker cannot be forged; the service behind the library
//! answers it in its turn, after the answers to earlier pipelined requests, and
//! the connection closes. A rule broken inside a body becomes an I/O error,
//! which aborts whatever the body was streamed to, and the connection closes.
//!
//! Stricter than the RFC on purpose: a horizontal tab is refused everywhere in
//! a head, as are leading empty lines, chunk extensions, trailer fields, leading
//! zeros in `Content-Length`, underscores in field names, `Upgrade`, `CONNECT`, bodies of `GET`,
//! `HEAD`, `OPTIONS` and `TRACE` (some upstreams ignore them and read them as the next request),
//! and HTTP/1.0 requests that would need the close of the connection as the end
//! of their body.
//!
//! Not done here: HTTP/2 framing (detected by its preface and handed through),
//! the meaning of `Host` and of the target (the listener's and the gateway's),
//! and anything about credentials.

mod chunked;
mod head;
mod io;
mod violation;

pub use self::io::{Framed, Protocol};
pub use self::violation::Violation;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures_util::task::AtomicWaker;

/// The bounds of one connection's framing.
#[derive(Debug, Clone)]
pub struct FramingLimits {
    /// Longest head in bytes: request line, field lines and the empty line. Longer: 431.
    pub head_bytes: usize,
    /// Longest request target in bytes. Longer: 414.
    pub target_bytes: usize,
    /// Most field lines in one head. More: 431.
    pub fields: usize,
    /// How long a connection may stay open between requests.
    pub idle: Duration,
    /// How long one head may take from its first byte to its last. Slower: 408.
    pub head_time: Duration,
    /// How long a body may pause while somebody waits for its bytes.
    pub body_pause: Duration,
    /// How long the peer may refuse to take bytes of an answer.
    pub write_pause: Duration,
    /// How long a closing connection reads and discards what the peer still sends,
    /// so that the peer can read the answer before the reset.
    pub linger: Duration,
    /// Field names, in lower case, that are never hop-by-hop: a `Connection` field
    /// that lists one of them is refused, beside the built-in ones.
    pub protected_fields: Vec<String>,
    /// Whether HTTP/2 by prior knowledge (RFC 9113 section 3.3) is accepted.
    pub http2: bool,
}

impl Default for FramingLimits {
    fn default() -> Self {
        Self {
            head_bytes: 32 * 1024,
            target_bytes: 8 * 1024,
            fields: 100,
            idle: Duration::from_secs(60),
            head_time: Duration::from_secs(10),
            body_pause: Duration::from_secs(30),
            write_pause: Duration::from_secs(30),
            linger: Duration::from_secs(1),
            protected_fields: Vec::new(),
            http2: false,
        }
    }
}

/// What the byte layer and the service above the HTTP library tell each other
/// about one connection. Lock-free; shared by `Arc`.
#[derive(Debug, Default)]
pub struct ConnectionState {
    in_flight: AtomicU32,
    draining: AtomicBool,
    waker: AtomicWaker,
}

impl ConnectionState {
    /// Counts a request in until the returned value is dropped, which must be when its
    /// answer has been handed over completely.
    #[must_use]
    pub fn enter(self: &std::sync::Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight {
            state: std::sync::Arc::clone(self),
        }
    }

    /// Whether any request of this connection is still being answered.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) > 0
    }

    /// Asks the connection to end after the request in flight.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether [`drain`](Self::drain) was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Registers the task that [`drain`](Self::drain) and the end of a request wake.
    pub fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }
}

/// One request that is being answered; counted out when dropped.
#[derive(Debug)]
pub struct InFlight {
    state: std::sync::Arc<ConnectionState>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let before = self.state.in_flight.fetch_sub(1, Ordering::AcqRel);
        if before == 1 && self.state.is_draining() {
            self.state.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests;
