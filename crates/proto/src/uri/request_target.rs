//! Which request targets a gateway serves at all: origin-form (RFC 9112
//! section 3.2.1) whose path means the same to every server that might read
//! it. A path is refused rather than repaired, because the path that was
//! checked is forwarded byte for byte and the upstream may repair it
//! differently. Routing, double slashes and letter case are not judged here.

use std::fmt;

use super::path::{escaped_byte, is_path_byte};
use super::{MAX_QUERY_BYTES, MAX_URL_BYTES};

/// Why a request target was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AmbiguousTarget {
    /// A backslash, plain or encoded: a slash to some servers.
    Backslash,
    /// A `%` is not followed by two hexadecimal digits.
    BadPercentEncoding,
    /// A control byte, plain or encoded, or a plain space.
    ControlByte,
    /// A segment `.` or `..`, plain or encoded, also before `;parameters`.
    DotSegment,
    /// An encoded slash.
    EncodedSlash,
    /// A byte that paths must percent-encode (RFC 3986 section 3.3).
    ForbiddenByte,
    /// A fragment, which never belongs on the wire.
    Fragment,
    /// A byte outside ASCII.
    NonAscii,
    /// Not beginning with `/`: absolute-, authority- or asterisk-form.
    NotOriginForm,
    /// Longer than [`MAX_URL_BYTES`] or [`MAX_QUERY_BYTES`].
    TooLong,
}

impl fmt::Display for AmbiguousTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Backslash => "the path has a backslash",
            Self::BadPercentEncoding => {
                "a `%` in the path is not followed by two hexadecimal digits"
            }
            Self::ControlByte => "the request target has a control byte or a space",
            Self::DotSegment => "the path has a `.` or `..` segment",
            Self::EncodedSlash => "the path has an encoded slash",
            Self::ForbiddenByte => "the path has a byte that must be percent-encoded",
            Self::Fragment => "the request target has a fragment",
            Self::NonAscii => "the request target has a byte outside ASCII",
            Self::NotOriginForm => "the request target does not begin with `/`",
            Self::TooLong => "the request target is too long",
        })
    }
}

impl std::error::Error for AmbiguousTarget {}

/// Checks a request target and returns its path, untouched.
///
/// ```
/// use keybound_proto::uri::request_target::{AmbiguousTarget, check};
///
/// assert_eq!(check("/approvals?state=open"), Ok("/approvals"));
/// assert_eq!(check("/public/..%2fapprovals"), Err(AmbiguousTarget::EncodedSlash));
/// assert_eq!(check("/public/%2e%2e/approvals"), Err(AmbiguousTarget::DotSegment));
/// ```
///
/// # Errors
/// The first reason found; a target with several may report any of them.
pub fn check(path_and_query: &str) -> Result<&str, AmbiguousTarget> {
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, query),
        None => (path_and_query, ""),
    };
    if path.len() > MAX_URL_BYTES || query.len() > MAX_QUERY_BYTES {
        return Err(AmbiguousTarget::TooLong);
    }
    if !path.starts_with('/') {
        return Err(AmbiguousTarget::NotOriginForm);
    }
    let has_escape = check_path_bytes(path)?;
    check_query_bytes(query)?;
    if has_escape {
        check_escapes(path)?;
    }
    // Only a segment that begins with a dot, plain or encoded, can be one.
    if has_escape || path.contains("/.") {
        check_segments(path)?;
    }
    Ok(path)
}

fn check_path_bytes(path: &str) -> Result<bool, AmbiguousTarget> {
    let mut has_escape = false;
    for byte in path.bytes() {
        match byte {
            b'%' => has_escape = true,
            _ if is_path_byte(byte) => {}
            _ => return Err(plain_byte(byte)),
        }
    }
    Ok(has_escape)
}

/// The query is forwarded and never judged, but what cannot stand in a
/// request line cannot stand in it either.
fn check_query_bytes(query: &str) -> Result<(), AmbiguousTarget> {
    for byte in query.bytes() {
        if !(0x21..=0x7e).contains(&byte) || byte == b'#' {
            return Err(plain_byte(byte));
        }
    }
    Ok(())
}

fn plain_byte(byte: u8) -> AmbiguousTarget {
    match byte {
        b'#' => AmbiguousTarget::Fragment,
        b'\\' => AmbiguousTarget::Backslash,
        0..=0x20 | 0x7f => AmbiguousTarget::ControlByte,
        0x80.. => AmbiguousTarget::NonAscii,
        _ => AmbiguousTarget::ForbiddenByte,
    }
}

fn check_escapes(path: &str) -> Result<(), AmbiguousTarget> {
    let mut rest = path.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            continue;
        }
        match escaped_byte(rest.next(), rest.next()) {
            None => return Err(AmbiguousTarget::BadPercentEncoding),
            Some(b'/') => return Err(AmbiguousTarget::EncodedSlash),
            Some(b'\\') => return Err(AmbiguousTarget::Backslash),
            Some(0..=0x1f | 0x7f) => return Err(AmbiguousTarget::ControlByte),
            Some(_) => {}
        }
    }
    Ok(())
}

fn check_segments(path: &str) -> Result<(), AmbiguousTarget> {
    if path.split('/').any(is_dot_segment) {
        return Err(AmbiguousTarget::DotSegment);
    }
    Ok(())
}

/// `.` or `..` in any spelling. Some servers cut `;parameters` off a segment
/// before they resolve it, so `..;x` counts.
fn is_dot_segment(segment: &str) -> bool {
    let mut rest = segment.chars();
    let mut dots = 0_u8;
    while let Some(c) = rest.next() {
        let decoded = match c {
            '%' => escaped_byte(rest.next(), rest.next()),
            _ => u8::try_from(c).ok(),
        };
        match decoded {
            Some(b'.') => dots = dots.saturating_add(1),
            Some(b';') => break,
            _ => return false,
        }
    }
    dots == 1 || dots == 2
}
