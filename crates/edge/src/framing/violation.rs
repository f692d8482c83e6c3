//! The ways a client's bytes can break the framing rules, with the cause each becomes.

use std::fmt;

use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;

/// One broken rule of HTTP/1 message framing.
///
/// The identifier is stable: it stands in the log and, as what was got, in the refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Violation {
    /// A carriage return without a line feed after it (RFC 9112 section 2.2).
    BareCarriageReturn,
    /// A line feed without a carriage return before it (RFC 9112 section 2.2).
    BareLineFeed,
    /// A body whose end would be the end of the connection (RFC 9112 section 6.3).
    BodyWithoutLength,
    /// No bytes of the body for longer than the limit.
    BodyTimeout,
    /// A body in a request whose method gives it no meaning, so that some upstreams would read
    /// it as the next request (RFC 9110 section 9.3.1).
    BodyUnexpected,
    /// Chunk data not followed by CRLF (RFC 9112 section 7.1).
    ChunkData,
    /// A chunk extension (RFC 9112 section 7.1.1).
    ChunkExtension,
    /// A chunk size that is not 1 to 8 hexadecimal digits (RFC 9112 section 7.1).
    ChunkSize,
    /// `Connection` lists a field that is end-to-end here, or something that is no field
    /// name at all (RFC 9110 section 7.6.1).
    Connection,
    /// `Content-Length` beside `Transfer-Encoding` (RFC 9112 section 6.1).
    ContentLengthAndTransferEncoding,
    /// `Content-Length` that is not plain decimal digits (RFC 9110 section 8.6).
    ContentLengthMalformed,
    /// More than one `Content-Length` (RFC 9112 section 6.3).
    ContentLengthRepeated,
    /// A control character, the tab included, in a head.
    ControlCharacter,
    /// An empty line where a request line must stand (RFC 9112 section 2.2).
    EmptyLine,
    /// `Expect` with anything but `100-continue` (RFC 9110 section 10.1.1).
    Expectation,
    /// A field name that is empty or holds a byte outside `token`, a space before the
    /// colon included (RFC 9112 section 5.1).
    FieldName,
    /// A field name with an underscore, which CGI-like upstreams read as a hyphen.
    FieldNameUnderscore,
    /// More field lines than the limit.
    FieldsTooMany,
    /// A head longer than the limit.
    HeadTooLarge,
    /// A head that took longer than the limit.
    HeadTimeout,
    /// `Host` with bytes no authority has (RFC 9110 section 7.2).
    HostMalformed,
    /// HTTP/1.1 without `Host` (RFC 9112 section 3.2).
    HostMissing,
    /// More than one `Host` (RFC 9112 section 3.2).
    HostRepeated,
    /// A field line folded over several lines (RFC 9112 section 5.2).
    LineFolding,
    /// A method that is not `token`, is longer than 32 bytes, or starts with `!`.
    Method,
    /// `CONNECT`, which a gateway does not serve (RFC 9110 section 9.3.6).
    MethodConnect,
    /// A request line not of the form `METHOD SP target SP version` (RFC 9112 section 3).
    RequestLine,
    /// A request target with bytes no target has (RFC 9112 section 3.2).
    Target,
    /// A request target longer than the limit.
    TargetTooLong,
    /// Trailer fields (RFC 9112 section 7.1.2).
    Trailer,
    /// `Transfer-Encoding` in an HTTP/1.0 request (RFC 9112 section 6.1).
    TransferEncodingInHttp10,
    /// More than one `Transfer-Encoding`, or a list in it.
    TransferEncodingRepeated,
    /// `Transfer-Encoding` other than `chunked` (RFC 9112 section 6.1).
    TransferEncodingUnsupported,
    /// `Upgrade` or `HTTP2-Settings`: no protocol is switched to.
    Upgrade,
    /// Not `HTTP/1.1` or `HTTP/1.0` (RFC 9112 section 2.3).
    Version,
}

impl Violation {
    /// Every violation, in the order of the enum.
    pub const ALL: &'static [Self] = &[
        Self::BareCarriageReturn,
        Self::BareLineFeed,
        Self::BodyWithoutLength,
        Self::BodyTimeout,
        Self::BodyUnexpected,
        Self::ChunkData,
        Self::ChunkExtension,
        Self::ChunkSize,
        Self::Connection,
        Self::ContentLengthAndTransferEncoding,
        Self::ContentLengthMalformed,
        Self::ContentLengthRepeated,
        Self::ControlCharacter,
        Self::EmptyLine,
        Self::Expectation,
        Self::FieldName,
        Self::FieldNameUnderscore,
        Self::FieldsTooMany,
        Self::HeadTooLarge,
        Self::HeadTimeout,
        Self::HostMalformed,
        Self::HostMissing,
        Self::HostRepeated,
        Self::LineFolding,
        Self::Method,
        Self::MethodConnect,
        Self::RequestLine,
        Self::Target,
        Self::TargetTooLong,
        Self::Trailer,
        Self::TransferEncodingInHttp10,
        Self::TransferEncodingRepeated,
        Self::TransferEncodingUnsupported,
        Self::Upgrade,
        Self::Version,
    ];

    /// The stable identifier. Only `token` characters, so that it fits into a method.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::BareCarriageReturn => "framing.bare_carriage_return",
            Self::BareLineFeed => "framing.bare_line_feed",
            Self::BodyWithoutLength => "framing.body_without_length",
            Self::BodyTimeout => "framing.body_timeout",
            Self::BodyUnexpected => "framing.body_unexpected",
            Self::ChunkData => "framing.chunk_data",
            Self::ChunkExtension => "framing.chunk_extension",
            Self::ChunkSize => "framing.chunk_size",
            Self::Connection => "framing.connection",
            Self::ContentLengthAndTransferEncoding => "framing.length_conflict",
            Self::ContentLengthMalformed => "framing.content_length_malformed",
            Self::ContentLengthRepeated => "framing.content_length_repeated",
            Self::ControlCharacter => "framing.control_character",
            Self::EmptyLine => "framing.empty_line",
            Self::Expectation => "framing.expectation",
            Self::FieldName => "framing.field_name",
            Self::FieldNameUnderscore => "framing.field_name_underscore",
            Self::FieldsTooMany => "framing.fields_too_many",
            Self::HeadTooLarge => "framing.head_too_large",
            Self::HeadTimeout => "framing.head_timeout",
            Self::HostMalformed => "framing.host_malformed",
            Self::HostMissing => "framing.host_missing",
            Self::HostRepeated => "framing.host_repeated",
            Self::LineFolding => "framing.line_folding",
            Self::Method => "framing.method",
            Self::MethodConnect => "framing.method_connect",
            Self::RequestLine => "framing.request_line",
            Self::Target => "framing.target",
            Self::TargetTooLong => "framing.target_too_long",
            Self::Trailer => "framing.trailer",
            Self::TransferEncodingInHttp10 => "framing.transfer_encoding_in_http10",
            Self::TransferEncodingRepeated => "framing.transfer_encoding_repeated",
            Self::TransferEncodingUnsupported => "framing.transfer_encoding_unsupported",
            Self::Upgrade => "framing.upgrade",
            Self::Version => "framing.version",
        }
    }

    /// The violation with this identifier.
    #[must_use]
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|violation| violation.id() == id)
    }

    /// The refusal's cause; the identifier of the rule goes along as what was got.
    #[must_use]
    pub const fn cause(self) -> Cause {
        match self {
            Self::BodyTimeout | Self::HeadTimeout => Cause::BodyTimeout,
            Self::Connection => Cause::ConnectionHeader,
            Self::FieldsTooMany | Self::HeadTooLarge => Cause::HeaderTooLarge,
            Self::MethodConnect => Cause::MethodNotAllowed,
            Self::Target => Cause::TargetAmbiguous,
            Self::TargetTooLong => Cause::TargetTooLong,
            Self::Upgrade => Cause::UpgradeRefused,
            Self::BareCarriageReturn
            | Self::BareLineFeed
            | Self::BodyUnexpected
            | Self::BodyWithoutLength
            | Self::ChunkData
            | Self::ChunkExtension
            | Self::ChunkSize
            | Self::ContentLengthAndTransferEncoding
            | Self::ContentLengthMalformed
            | Self::ContentLengthRepeated
            | Self::ControlCharacter
            | Self::EmptyLine
            | Self::Expectation
            | Self::FieldName
            | Self::FieldNameUnderscore
            | Self::HostMalformed
            | Self::HostMissing
            | Self::HostRepeated
            | Self::LineFolding
            | Self::Method
            | Self::RequestLine
            | Self::Trailer
            | Self::TransferEncodingInHttp10
            | Self::TransferEncodingRepeated
            | Self::TransferEncodingUnsupported
            | Self::Version => Cause::Framing,
        }
    }

    /// The refusal as the rest of the product knows it.
    #[must_use]
    pub fn rejection(self) -> Rejection {
        Rejection::new(self.cause()).got(self.id())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http framing rule broken: `{}`", self.id())
    }
}

impl std::error::Error for Violation {}
