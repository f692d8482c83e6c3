//! Splits an absolute address into its parts (RFC 3986 section 3 and
//! appendix B). It judges sizes, scheme and userinfo; hosts and paths are
//! judged by their own modules.

use super::origin::Scheme;
use super::{MAX_QUERY_BYTES, MAX_URL_BYTES, UriError};

/// The parts of an absolute `http` or `https` address, as written.
pub(super) struct Parts<'a> {
    pub(super) scheme: Scheme,
    pub(super) host: &'a str,
    /// The digits after the colon; empty for an empty or absent port.
    pub(super) port: &'a str,
    /// Empty or beginning with `/`.
    pub(super) path: &'a str,
    /// Everything before the query and the fragment.
    pub(super) before_query: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) fragment: Option<&'a str>,
}

/// Splits `text`, refusing what is relative, foreign, oversized or carries
/// userinfo.
pub(super) fn split(text: &str) -> Result<Parts<'_>, UriError> {
    let (before_fragment, fragment) = cut(text, '#');
    let (before_query, query) = cut(before_fragment, '?');
    check_sizes(text, before_query)?;
    check_dropped(query)?;
    check_dropped(fragment)?;

    let (scheme, after_scheme) = scheme(before_query)?;
    let (authority, path) = match after_scheme.find('/') {
        Some(at) => after_scheme
            .split_at_checked(at)
            .ok_or(UriError::Relative)?,
        None => (after_scheme, ""),
    };
    let (host, port) = host_and_port(authority)?;
    Ok(Parts {
        scheme,
        host,
        port,
        path,
        before_query,
        query,
        fragment,
    })
}

/// Query and fragment carry no meaning here, but a control byte, a space or
/// a non-ASCII byte in them makes the whole text no URL.
pub(super) fn check_dropped(part: Option<&str>) -> Result<(), UriError> {
    let visible = |byte: &u8| (0x21..=0x7e).contains(byte) && *byte != b'#';
    match part {
        Some(part) if !part.as_bytes().iter().all(visible) => Err(UriError::ForbiddenByte),
        _ => Ok(()),
    }
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn check_sizes(text: &str, before_query: &str) -> Result<(), UriError> {
    let dropped = text.len().saturating_sub(before_query.len());
    if before_query.len() > MAX_URL_BYTES || dropped > MAX_QUERY_BYTES {
        return Err(UriError::TooLong);
    }
    Ok(())
}

fn scheme(text: &str) -> Result<(Scheme, &str), UriError> {
    let (name, rest) = text.split_once(':').ok_or(UriError::Relative)?;
    let Some(after) = rest.strip_prefix("//") else {
        return Err(UriError::Relative);
    };
    let mut bytes = name.bytes();
    let starts_well = bytes.next().is_some_and(|b| b.is_ascii_alphabetic());
    if !starts_well || !bytes.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
        return Err(UriError::Relative);
    }
    if name.eq_ignore_ascii_case("https") {
        Ok((Scheme::Https, after))
    } else if name.eq_ignore_ascii_case("http") {
        Ok((Scheme::Http, after))
    } else {
        Err(UriError::SchemeUnsupported)
    }
}

fn host_and_port(authority: &str) -> Result<(&str, &str), UriError> {
    if authority.contains('@') {
        return Err(UriError::HasUserinfo);
    }
    // The colons of an IPv6 literal stand inside its brackets.
    let (host, after) = match authority.find(']') {
        Some(at) => authority
            .split_at_checked(at.saturating_add(1))
            .ok_or(UriError::HostMalformed)?,
        None => match authority.find(':') {
            Some(at) => authority
                .split_at_checked(at)
                .ok_or(UriError::HostMalformed)?,
            None => (authority, ""),
        },
    };
    match after.strip_prefix(':') {
        Some(port) => Ok((host, port)),
        None if after.is_empty() => Ok((host, "")),
        None => Err(UriError::HostMalformed),
    }
}
