//! The content of a request, for signatures that cover a digest of it.
//!
//! Possession is proven on the head of a request. A signature may cover what the
//! content hashes to (RFC 9530), and then nobody may act on content that hashes to
//! something else. The guard asks for it last before the replay record, so nothing is
//! read for a stranger.
//!
//! This module reads nothing itself: whoever owns the request's body implements
//! [`Content`], with its own limit.

use std::future::Future;
use std::pin::Pin;

use keybound_proto::Rejection;
use keybound_proto::cause::Cause;
use keybound_proto::signature::{ContentIntact, ExpectedDigest};

/// The answer of [`Content::check`], when it comes.
pub type Checked<'a> = Pin<Box<dyn Future<Output = Result<ContentIntact, Rejection>> + Send + 'a>>;

/// Content that can be read once, kept, and handed on.
pub trait Content: Send {
    /// Reads all of it and holds it against the digest. Content that passed is still there for
    /// whoever acts on the request.
    ///
    /// # Errors
    /// `digest.mismatch`, `http.body_too_large`, or why the body broke off.
    fn check<'a>(&'a mut self, expected: &'a ExpectedDigest) -> Checked<'a>;
}

/// For callers that cannot read the content: a request whose signature covers a digest is
/// refused, because nobody would hold the content against it.
#[derive(Clone, Copy, Debug)]
pub struct NoContent;

impl Content for NoContent {
    fn check<'a>(&'a mut self, _expected: &'a ExpectedDigest) -> Checked<'a> {
        let refused = Rejection::new(Cause::DigestMismatch).got("content nobody reads here");
        Box::pin(std::future::ready(Err(refused)))
    }
}
