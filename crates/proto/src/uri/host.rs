//! Hosts and ports (RFC 3986 sections 3.2.2 and 3.2.3) in canonical form.
//! Registered names are narrowed to DNS characters, and a name whose last
//! label looks like a number must be a strict dotted IPv4 address, because
//! lenient parsers read `0x7f.1` or `2130706433` as one. Zone identifiers
//! and future IP versions are refused. Nothing is looked up.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::UriError;
use super::path::decode_unreserved;

/// The longest DNS name in text form, with a final dot.
const MAX_HOST_BYTES: usize = 254;

/// The canonical text of `host`: lower case, unreserved characters decoded,
/// IPv6 in the form of RFC 5952 within brackets.
pub(super) fn canonical(host: &str) -> Result<String, UriError> {
    if host.is_empty() {
        return Err(UriError::HostEmpty);
    }
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(UriError::HostMalformed)?;
        let address: Ipv6Addr = inner.parse().map_err(|_| UriError::HostMalformed)?;
        return Ok(format!("[{address}]"));
    }
    let mut name = if host.contains('%') {
        decode_unreserved(host)?
    } else {
        host.to_owned()
    };
    name.make_ascii_lowercase();
    check_name(&name)?;
    Ok(name)
}

/// The port number, or `None` for an empty one (RFC 3986 section 6.2.3).
pub(super) fn port(digits: &str) -> Result<Option<u16>, UriError> {
    if digits.is_empty() {
        return Ok(None);
    }
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(UriError::PortMalformed);
    }
    match digits.parse() {
        Ok(0) | Err(_) => Err(UriError::PortMalformed),
        Ok(port) => Ok(Some(port)),
    }
}

/// Whether a canonical host names this machine: `localhost`, `127.0.0.0/8`
/// or `[::1]`.
pub(super) fn is_loopback(canonical: &str) -> bool {
    if canonical == "localhost" || canonical == "[::1]" {
        return true;
    }
    canonical
        .parse::<Ipv4Addr>()
        .is_ok_and(|address| address.is_loopback())
}

fn check_name(name: &str) -> Result<(), UriError> {
    if name.len() > MAX_HOST_BYTES {
        return Err(UriError::HostMalformed);
    }
    let without_root = name.strip_suffix('.').unwrap_or(name);
    let mut last = "";
    for label in without_root.split('.') {
        let dns = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if label.is_empty() || !label.bytes().all(dns) {
            return Err(UriError::HostMalformed);
        }
        last = label;
    }
    if looks_numeric(last) && name.parse::<Ipv4Addr>().is_err() {
        return Err(UriError::HostMalformed);
    }
    Ok(())
}

fn looks_numeric(label: &str) -> bool {
    let all_digits = label.bytes().all(|b| b.is_ascii_digit());
    let hexadecimal = label
        .strip_prefix("0x")
        .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    all_digits || hexadecimal
}
