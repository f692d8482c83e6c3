//! Heads that break one rule each, and messages that break none.

use super::Violation;

/// Heads that must be refused, each with the rule it breaks.
pub(super) const BAD_HEADS: &[(&str, Violation)] = &[
    ("GET / HTTP/1.1\nHost: a\n\n", Violation::BareLineFeed),
    ("GET / HTTP/1.1\r\nHost: a\n\r\n", Violation::BareLineFeed),
    ("GET / HTTP/1.1\r\nHost: a\r\n\n", Violation::BareLineFeed),
    (
        "GET / HTTP/1.1\rHost: a\r\n\r\n",
        Violation::BareCarriageReturn,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
        Violation::BareCarriageReturn,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\n\rX",
        Violation::BareCarriageReturn,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n",
        Violation::ControlCharacter,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\tz\r\n\r\n",
        Violation::ControlCharacter,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\x0bz\r\n\r\n",
        Violation::ControlCharacter,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\x7fz\r\n\r\n",
        Violation::ControlCharacter,
    ),
    (
        "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n",
        Violation::ControlCharacter,
    ),
    (
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        Violation::EmptyLine,
    ),
    (
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        Violation::BareLineFeed,
    ),
    (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", Violation::Method),
    ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Violation::RequestLine),
    ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", Violation::RequestLine),
    ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Violation::RequestLine),
    (
        "GET / x HTTP/1.1\r\nHost: a\r\n\r\n",
        Violation::RequestLine,
    ),
    ("GET /\r\nHost: a\r\n\r\n", Violation::RequestLine),
    ("GET\r\nHost: a\r\n\r\n", Violation::RequestLine),
    ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", Violation::Method),
    (
        "!framing.target / HTTP/1.1\r\nHost: a\r\n\r\n",
        Violation::Method,
    ),
    ("! / HTTP/1.1\r\nHost: a\r\n\r\n", Violation::Method),
    (
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\nHost: a\r\n\r\n",
        Violation::Method,
    ),
    (
        "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        Violation::MethodConnect,
    ),
    ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", Violation::Target),
    (
        "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        Violation::Target,
    ),
    ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Violation::Target),
    ("GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n", Violation::Target),
    ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", Violation::Version),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", Violation::Version),
    ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", Violation::Version),
    ("GET / http/1.1\r\nHost: a\r\n\r\n", Violation::Version),
    ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", Violation::Version),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Violation::Version),
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Violation::FieldName),
    (
        "GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n",
        Violation::FieldName,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
        Violation::FieldName,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n",
        Violation::FieldName,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nX\u{e4}: z\r\n\r\n",
        Violation::FieldName,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n",
        Violation::FieldName,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\n",
        Violation::FieldNameUnderscore,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
        Violation::LineFolding,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n",
        Violation::LineFolding,
    ),
    ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Violation::LineFolding),
    ("GET / HTTP/1.1\r\n\r\n", Violation::HostMissing),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        Violation::HostRepeated,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
        Violation::HostRepeated,
    ),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Violation::HostMalformed),
    (
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        Violation::HostMalformed,
    ),
    (
        "GET / HTTP/1.1\r\nHost: x@a\r\n\r\n",
        Violation::HostMalformed,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        Violation::HostMalformed,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +10\r\n\r\n",
        Violation::ContentLengthMalformed,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        Violation::ContentLengthMalformed,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\n",
        Violation::ContentLengthMalformed,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x10\r\n\r\n",
        Violation::ContentLengthMalformed,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 0\r\n\r\n",
        Violation::ContentLengthMalformed,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 010\r\n\r\n",
        Violation::ContentLengthMalformed,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n",
        Violation::ContentLengthMalformed,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5;\r\n\r\n",
        Violation::ContentLengthMalformed,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \"5\"\r\n\r\n",
        Violation::ContentLengthMalformed,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
        Violation::ContentLengthMalformed,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\n",
        Violation::ContentLengthMalformed,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        Violation::ContentLengthRepeated,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\ncontent-length: 5\r\n\r\n",
        Violation::ContentLengthRepeated,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        Violation::ContentLengthAndTransferEncoding,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        Violation::ContentLengthAndTransferEncoding,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        Violation::TransferEncodingRepeated,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        Violation::TransferEncodingRepeated,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        Violation::TransferEncodingRepeated,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
        Violation::TransferEncodingUnsupported,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        Violation::TransferEncodingUnsupported,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n",
        Violation::TransferEncodingUnsupported,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n",
        Violation::TransferEncodingUnsupported,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked\r\n\r\n",
        Violation::ControlCharacter,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n\r\n",
        Violation::ControlCharacter,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n",
        Violation::TransferEncodingUnsupported,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n",
        Violation::TransferEncodingUnsupported,
    ),
    (
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        Violation::TransferEncodingInHttp10,
    ),
    (
        "POST / HTTP/1.0\r\nHost: a\r\n\r\n",
        Violation::BodyWithoutLength,
    ),
    (
        "PUT / HTTP/1.0\r\nHost: a\r\n\r\n",
        Violation::BodyWithoutLength,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: DPoP\r\n\r\n",
        Violation::Connection,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Authorization\r\n\r\n",
        Violation::Connection,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keybound-assertion\r\n\r\n",
        Violation::Connection,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Agent-Id\r\n\r\n",
        Violation::Connection,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: x-forwarded-for\r\n\r\n",
        Violation::Connection,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n",
        Violation::Connection,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: a b\r\n\r\n",
        Violation::Connection,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\r\n",
        Violation::Upgrade,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n",
        Violation::Upgrade,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
        Violation::Upgrade,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        Violation::Upgrade,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
        Violation::BodyUnexpected,
    ),
    (
        "OPTIONS / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Violation::BodyUnexpected,
    ),
    (
        "HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Violation::BodyUnexpected,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: y 100-continue\r\n\r\n",
        Violation::Expectation,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continuex\r\n\r\n",
        Violation::Expectation,
    ),
];

/// Messages that pass unchanged.
pub(super) const GOOD: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://a/b?c=d HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /x HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi",
    "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: [::1]:9401\r\ncontent-length:   11  \r\n\r\nhello\nworld",
    "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, TE\r\nTE: trailers\r\nExpect: 100-Continue\r\n\r\n",
    "M-SEARCH / HTTP/1.1\r\nHost: a\r\nX-Obs: \u{e4}\r\nEmpty:\r\n\r\n",
];
