//! Paths in canonical form: RFC 3986 sections 6.2.2.1 (case of percent
//! escapes), 6.2.2.2 (unreserved characters decoded), 6.2.2.3 (dot segments
//! removed, once, after decoding) and 6.2.3 (the empty path is `/`).
//! Case, empty segments, a trailing slash and `;parameters` are significant,
//! and an encoded slash is never the same as a slash.

use std::borrow::Cow;

use super::UriError;

/// The canonical form of an absolute or empty path. Borrows when there was
/// nothing to change, which is the ordinary case.
pub(super) fn canonical(path: &str) -> Result<Cow<'_, str>, UriError> {
    if path.is_empty() {
        return Ok(Cow::Borrowed("/"));
    }
    if !path.starts_with('/') {
        return Err(UriError::Relative);
    }
    let form = inspect(path)?;
    if !form.has_escape && !form.may_have_dot_segment {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = if form.has_escape {
        Cow::Owned(decode_unreserved(path)?)
    } else {
        Cow::Borrowed(path)
    };
    if has_dot_segment(&decoded) {
        return Ok(Cow::Owned(remove_dot_segments(&decoded)));
    }
    Ok(decoded)
}

/// Decodes the percent escapes of unreserved characters and writes the
/// others with upper-case digits. Every other byte is kept.
pub(super) fn decode_unreserved(text: &str) -> Result<String, UriError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let (high, low) = (rest.next(), rest.next());
        let byte = escaped_byte(high, low).ok_or(UriError::BadPercentEncoding)?;
        if is_unreserved(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend(high.map(|digit| digit.to_ascii_uppercase()));
            out.extend(low.map(|digit| digit.to_ascii_uppercase()));
        }
    }
    Ok(out)
}

/// The byte that two hexadecimal digits stand for.
pub(super) fn escaped_byte(high: Option<char>, low: Option<char>) -> Option<u8> {
    let high = high?.to_digit(16)?;
    let low = low?.to_digit(16)?;
    u8::try_from(high.checked_mul(16)?.checked_add(low)?).ok()
}

/// `pchar` or `/` (RFC 3986 section 3.3), escapes not included.
pub(super) fn is_path_byte(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'/' | b':'
                | b'@'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
        )
}

struct Form {
    has_escape: bool,
    may_have_dot_segment: bool,
}

/// One pass over the bytes: is every one allowed, and is there work to do?
fn inspect(path: &str) -> Result<Form, UriError> {
    let mut form = Form {
        has_escape: false,
        may_have_dot_segment: false,
    };
    let mut previous = 0;
    for byte in path.bytes() {
        match byte {
            b'%' => form.has_escape = true,
            b'.' if previous == b'/' => form.may_have_dot_segment = true,
            _ if is_path_byte(byte) => {}
            _ => return Err(UriError::ForbiddenByte),
        }
        previous = byte;
    }
    Ok(form)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn has_dot_segment(path: &str) -> bool {
    path.split('/')
        .any(|segment| segment == "." || segment == "..")
}

/// RFC 3986 section 5.2.4 for a path that begins with `/`, written over
/// segments: `.` vanishes, `..` takes its predecessor along, and either one
/// in last place leaves a trailing slash.
fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_dots = false;
    for segment in path.split('/').skip(1) {
        ends_in_dots = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    if ends_in_dots {
        kept.push("");
    }
    let mut out = String::with_capacity(path.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    if out.is_empty() {
        out.push('/');
    }
    out
}
