//! The head of a request: request line, field lines, empty line (RFC 9112 sections 2 to 5).
//!
//! The scanner takes a growing buffer and looks at every byte once, a line at a time, so
//! that a bad line is refused when it is complete and delivery byte by byte costs no more
//! than delivery at once.

use keybound_proto::fields::is_token_byte;

use super::{FramingLimits, Violation};
use crate::forwarded_certificate::is_certificate_field;

/// Longest method; the registered ones are shorter.
const METHOD_BYTES: usize = 32;

/// Field names no `Connection` field may list: end-to-end here, whatever a client says
/// (RFC 9110 section 7.6.1 forbids it for the first ones anyway).
const PROTECTED_FIELDS: &[&str] = &[
    "authorization",
    "dpop",
    "workload-identity-token",
    "workload-proof-token",
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "cookie",
    "origin",
    "forwarded",
    "keybound-assertion",
    "signature",
    "signature-input",
    "content-digest",
    "traceparent",
    "tracestate",
    "x-real-ip",
    "x-request-id",
];

/// How the body after a head is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFraming {
    /// No body, or `Content-Length: 0`.
    None,
    /// This many bytes, more than zero.
    Length(u64),
    /// The chunked coding.
    Chunked,
}

/// A complete head that keeps every rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of the head, the empty line included.
    pub(super) bytes: usize,
    /// What follows it.
    pub(super) body: BodyFraming,
}

/// Reads one head from a growing buffer.
#[derive(Debug, Default)]
pub(super) struct HeadScanner {
    line_start: usize,
    searched: usize,
    facts: Facts,
}

impl HeadScanner {
    /// Looks at the bytes that arrived since the last call. `buffer` begins with the first
    /// byte of the head and only grows between calls. `None`: the head is not complete.
    pub(super) fn scan(
        &mut self,
        buffer: &[u8],
        limits: &FramingLimits,
    ) -> Result<Option<Head>, Violation> {
        while let Some(line_end) = self.next_line(buffer)? {
            let line = buffer.get(self.line_start..line_end).unwrap_or_default();
            let is_first = self.line_start == 0;
            self.line_start = line_end + 2;
            self.searched = self.line_start;
            if self.line_start > limits.head_bytes {
                return Err(Violation::HeadTooLarge);
            }
            match (is_first, line.is_empty()) {
                (true, true) => return Err(Violation::EmptyLine),
                (true, false) => self.facts.request_line(line, limits)?,
                (false, false) => self.facts.field_line(line, limits)?,
                (false, true) => return self.facts.finish(self.line_start).map(Some),
            }
        }
        self.check_unfinished(buffer, limits)?;
        Ok(None)
    }

    /// The index of the carriage return that ends the current line, when its line feed is
    /// there too.
    fn next_line(&mut self, buffer: &[u8]) -> Result<Option<usize>, Violation> {
        let unseen = buffer.get(self.searched..).unwrap_or_default();
        let Some(offset) = first_control(unseen) else {
            self.searched = buffer.len();
            return Ok(None);
        };
        let at = self.searched + offset;
        match (buffer.get(at), buffer.get(at + 1)) {
            (Some(b'\r'), Some(b'\n')) => Ok(Some(at)),
            (Some(b'\r'), None) => {
                self.searched = at;
                Ok(None)
            }
            (Some(b'\r'), Some(_)) => Err(Violation::BareCarriageReturn),
            (Some(b'\n'), _) => Err(Violation::BareLineFeed),
            _ if self.at_folded_line(buffer) => Err(Violation::LineFolding),
            _ => Err(Violation::ControlCharacter),
        }
    }

    /// Whether the current line is a field line that starts with white space.
    fn at_folded_line(&self, buffer: &[u8]) -> bool {
        self.line_start > 0 && matches!(buffer.get(self.line_start), Some(b' ' | b'\t'))
    }

    /// Refuses a line that is already longer than its limit without an end in sight.
    fn check_unfinished(&self, buffer: &[u8], limits: &FramingLimits) -> Result<(), Violation> {
        let waiting = buffer.len().saturating_sub(self.line_start);
        if self.line_start == 0 && waiting > limits.target_bytes + METHOD_BYTES + 11 {
            return Err(Violation::TargetTooLong);
        }
        if buffer.len() >= limits.head_bytes {
            return Err(Violation::HeadTooLarge);
        }
        Ok(())
    }
}

/// What a method says about a body (RFC 9110 section 9.3).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum BodyMeaning {
    /// The method needs one: `POST`, `PUT`, `PATCH`.
    Expected,
    /// It may have one.
    #[default]
    Optional,
    /// It has no meaning: `GET`, `HEAD`, `OPTIONS`, `TRACE`.
    Senseless,
}

/// What the lines so far say about framing.
#[derive(Debug, Default)]
struct Facts {
    is_http11: bool,
    body: BodyMeaning,
    fields: usize,
    has_host: bool,
    has_chunked: bool,
    length: Option<u64>,
}

impl Facts {
    /// `METHOD SP target SP HTTP/1.x` (RFC 9112 section 3).
    fn request_line(&mut self, line: &[u8], limits: &FramingLimits) -> Result<(), Violation> {
        let mut parts = line.splitn(3, |byte| *byte == b' ');
        let (Some(method), Some(target), Some(version)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(Violation::RequestLine);
        };
        check_method(method)?;
        self.body = match method {
            b"POST" | b"PUT" | b"PATCH" => BodyMeaning::Expected,
            b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" => BodyMeaning::Senseless,
            _ => BodyMeaning::Optional,
        };
        check_target(target, limits)?;
        self.is_http11 = match version {
            b"HTTP/1.1" => true,
            b"HTTP/1.0" => false,
            // More spaces than two, or white space at the end.
            _ if version.contains(&b' ') => return Err(Violation::RequestLine),
            _ => return Err(Violation::Version),
        };
        Ok(())
    }

    /// `name: value` (RFC 9112 section 5).
    fn field_line(&mut self, line: &[u8], limits: &FramingLimits) -> Result<(), Violation> {
        self.fields += 1;
        if self.fields > limits.fields {
            return Err(Violation::FieldsTooMany);
        }
        if line.first() == Some(&b' ') {
            return Err(Violation::LineFolding);
        }
        let name_bytes = name_length(line)?;
        let (name, rest) = line.split_at(name_bytes);
        let value = rest.get(1..).unwrap_or_default().trim_ascii();
        self.field(name, value, limits)
    }

    /// The fields that decide about framing; all others only had to be well-formed.
    fn field(
        &mut self,
        name: &[u8],
        value: &[u8],
        limits: &FramingLimits,
    ) -> Result<(), Violation> {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(value),
            6 if name.eq_ignore_ascii_case(b"expect") => expectation(value),
            7 if name.eq_ignore_ascii_case(b"upgrade") => Err(Violation::Upgrade),
            10 if name.eq_ignore_ascii_case(b"connection") => connection(value, limits),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value),
            14 if name.eq_ignore_ascii_case(b"http2-settings") => Err(Violation::Upgrade),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(value),
            _ => Ok(()),
        }
    }

    fn host(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.has_host {
            return Err(Violation::HostRepeated);
        }
        self.has_host = true;
        let is_authority = |byte: &u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']' | b'%')
        };
        // An underscore occurs in names inside private networks; it frames nothing.
        if value.is_empty() || !value.iter().all(|byte| is_authority(byte) || *byte == b'_') {
            return Err(Violation::HostMalformed);
        }
        Ok(())
    }

    /// Digits only, no leading zero, at most 18 of them: one way to write each number.
    fn content_length(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.length.is_some() {
            return Err(Violation::ContentLengthRepeated);
        }
        if self.has_chunked {
            return Err(Violation::ContentLengthAndTransferEncoding);
        }
        let is_canonical = matches!(value, [b'0'] | [b'1'..=b'9', ..]) && value.len() <= 18;
        if !is_canonical || !value.iter().all(u8::is_ascii_digit) {
            return Err(Violation::ContentLengthMalformed);
        }
        let number = value
            .iter()
            .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        self.length = Some(number);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.has_chunked || value.contains(&b',') {
            return Err(Violation::TransferEncodingRepeated);
        }
        if self.length.is_some() {
            return Err(Violation::ContentLengthAndTransferEncoding);
        }
        if !self.is_http11 {
            return Err(Violation::TransferEncodingInHttp10);
        }
        // Coding names ignore case (RFC 9112 section 7); upstream gets our own spelling.
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Violation::TransferEncodingUnsupported);
        }
        self.has_chunked = true;
        Ok(())
    }

    /// What only the whole head shows.
    fn finish(&self, bytes: usize) -> Result<Head, Violation> {
        if self.is_http11 && !self.has_host {
            return Err(Violation::HostMissing);
        }
        if !self.is_http11 && self.body == BodyMeaning::Expected && self.length.is_none() {
            return Err(Violation::BodyWithoutLength);
        }
        let body = match (self.has_chunked, self.length) {
            (true, _) => BodyFraming::Chunked,
            (false, None | Some(0)) => BodyFraming::None,
            (false, Some(length)) => BodyFraming::Length(length),
        };
        if body != BodyFraming::None && self.body == BodyMeaning::Senseless {
            return Err(Violation::BodyUnexpected);
        }
        Ok(Head { bytes, body })
    }
}

/// A `token` (RFC 9110 section 5.6.2) outside the space this layer keeps for itself.
fn check_method(method: &[u8]) -> Result<(), Violation> {
    let is_reserved = method.first() == Some(&b'!');
    if method.is_empty() || method.len() > METHOD_BYTES || is_reserved {
        return Err(Violation::Method);
    }
    if !method.iter().all(|byte| is_token(*byte)) {
        return Err(Violation::Method);
    }
    if method == b"CONNECT" {
        return Err(Violation::MethodConnect);
    }
    Ok(())
}

/// Origin form, absolute form with `http` or `https`, or `*`: visible ASCII without `#`
/// (RFC 9112 section 3.2). What the path means is checked above this layer.
fn check_target(target: &[u8], limits: &FramingLimits) -> Result<(), Violation> {
    if target.is_empty() {
        return Err(Violation::RequestLine);
    }
    if target.len() > limits.target_bytes {
        return Err(Violation::TargetTooLong);
    }
    let has_form = target.first() == Some(&b'/')
        || target == b"*"
        || target.starts_with(b"http://")
        || target.starts_with(b"https://");
    let is_clean = target
        .iter()
        .all(|byte| byte.is_ascii_graphic() && *byte != b'#');
    if has_form && is_clean {
        Ok(())
    } else {
        Err(Violation::Target)
    }
}

/// Bytes before the colon, all of them `token` (RFC 9112 section 5.1).
fn name_length(line: &[u8]) -> Result<usize, Violation> {
    let end = line
        .iter()
        .position(|byte| !is_token(*byte) || *byte == b'_');
    match end.and_then(|at| line.get(at).map(|byte| (at, *byte))) {
        Some((at, b':')) if at > 0 => Ok(at),
        Some((_, b'_')) => Err(Violation::FieldNameUnderscore),
        _ => Err(Violation::FieldName),
    }
}

fn expectation(value: &[u8]) -> Result<(), Violation> {
    if value.eq_ignore_ascii_case(b"100-continue") {
        Ok(())
    } else {
        Err(Violation::Expectation)
    }
}

/// Refuses a list that would have this or a later hop drop an end-to-end field.
fn connection(value: &[u8], limits: &FramingLimits) -> Result<(), Violation> {
    for option in value.split(|byte| *byte == b',') {
        let option = option.trim_ascii();
        let matches_name = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
        let is_protected = PROTECTED_FIELDS.iter().any(|name| matches_name(name))
            || limits
                .protected_fields
                .iter()
                .any(|name| matches_name(name))
            || starts_with_ignore_case(option, b"x-forwarded-")
            || starts_with_ignore_case(option, b"x-agent-")
            || str::from_utf8(option)
                .is_ok_and(|name| is_certificate_field(&name.to_ascii_lowercase()));
        if is_protected {
            return Err(Violation::Connection);
        }
        if matches_name("upgrade") {
            return Err(Violation::Upgrade);
        }
        if !option.iter().all(|byte| is_token(*byte)) {
            return Err(Violation::Connection);
        }
    }
    Ok(())
}

fn starts_with_ignore_case(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// The first byte below 0x20 or equal to 0x7F.
///
/// Sixteen bytes are judged at a time without an early exit, which the compiler turns into
/// vector instructions.
fn first_control(bytes: &[u8]) -> Option<usize> {
    let is_control = |byte: &u8| *byte < 0x20 || *byte == 0x7f;
    let (blocks, _) = bytes.as_chunks::<16>();
    let clean = blocks
        .iter()
        .take_while(|block| !block.iter().fold(false, |hit, byte| hit | is_control(byte)))
        .count();
    let start = clean * 16;
    let rest = bytes.get(start..).unwrap_or_default();
    rest.iter()
        .position(is_control)
        .map(|offset| start + offset)
}

/// `tchar` of RFC 9110 section 5.6.2.
const fn is_token(byte: u8) -> bool {
    TOKEN[byte as usize]
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = is_token_byte(byte as u8);
        byte += 1;
    }
    table
};
