//! What a signature is over: a request or a response, as borrowed views.

use std::fmt;

use crate::fields::FieldLines;
use crate::uri::Origin;

/// A request whose parts can be covered.
#[derive(Clone, Copy)]
pub struct SignedRequest<'a> {
    /// The method, verbatim.
    pub method: &'a str,
    /// The public origin, from configuration: never from `Host` or forwarding fields.
    pub origin: &'a Origin,
    /// Path and query as received (RFC 9112 section 3.2.1).
    pub request_target: &'a str,
    /// The header fields.
    pub fields: &'a dyn FieldLines,
    /// The trailer fields, where they have arrived already. A gateway that judges the head of a
    /// message has none.
    pub trailers: Option<&'a dyn FieldLines>,
}

/// A response whose parts can be covered.
#[derive(Clone, Copy)]
pub struct SignedResponse<'a> {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub fields: &'a dyn FieldLines,
    /// The trailer fields, where they have arrived already.
    pub trailers: Option<&'a dyn FieldLines>,
    /// The request it answers, for components with `req` (RFC 9421 section 2.4).
    pub request: Option<SignedRequest<'a>>,
}

/// Either of the two.
#[derive(Clone, Copy, Debug)]
pub enum SignedMessage<'a> {
    /// A request.
    Request(SignedRequest<'a>),
    /// A response.
    Response(SignedResponse<'a>),
}

impl<'a> SignedMessage<'a> {
    /// The message's own header fields.
    #[must_use]
    pub const fn fields(&self) -> &'a dyn FieldLines {
        match self {
            Self::Request(request) => request.fields,
            Self::Response(response) => response.fields,
        }
    }
}

impl<'a> From<SignedRequest<'a>> for SignedMessage<'a> {
    fn from(request: SignedRequest<'a>) -> Self {
        Self::Request(request)
    }
}

impl<'a> From<SignedResponse<'a>> for SignedMessage<'a> {
    fn from(response: SignedResponse<'a>) -> Self {
        Self::Response(response)
    }
}

impl<'a> SignedRequest<'a> {
    /// `@path`: never empty, not decoded (RFC 9421 section 2.2.6).
    pub(super) fn path(&self) -> &'a str {
        let path = match self.request_target.split_once('?') {
            Some((path, _)) => path,
            None => self.request_target,
        };
        if path.is_empty() { "/" } else { path }
    }

    /// The query without its `?`, if there is one.
    pub(super) fn query(&self) -> Option<&'a str> {
        self.request_target.split_once('?').map(|(_, query)| query)
    }
}

impl fmt::Debug for SignedRequest<'_> {
    /// Fields hold credentials and are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequest")
            .field("method", &self.method)
            .field("origin", &self.origin.as_str())
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SignedResponse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedResponse")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
