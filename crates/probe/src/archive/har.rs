//! Reading HTTP archives (HAR 1.2) as browsers, proxies and API tools write them.
//!
//! Names of header fields come out in lower case, pseudo header fields of
//! HTTP/2 not at all, bodies as bytes. What is no archive is refused with what
//! is wrong and where; a body that was not recorded is merely empty.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keybound_proto::uri::Origin;
use serde_json::Value;

use crate::error::ProbeError;

/// The largest archive that is read, in bytes.
pub(super) const MAX_BYTES: usize = 64 * 1024 * 1024;

/// One request and its answer.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its place in the archive.
    pub(super) index: usize,
    /// Seconds since 1970.
    pub(super) started: Option<f64>,
    pub(super) method: String,
    pub(super) url: Url,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Nothing when no answer was recorded.
    pub(super) status: Option<u16>,
    pub(super) answer_headers: Vec<(String, String)>,
    pub(super) answer_body: Vec<u8>,
}

/// A URL in its parts, as recorded.
#[derive(Clone, Debug)]
pub(super) struct Url {
    pub(super) origin: Origin,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) fragment: String,
}

impl Entry {
    /// The values of a request header field, named in lower case.
    pub(super) fn fields<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        named(&self.headers, name)
    }

    /// The first value of a header field of the answer.
    pub(super) fn answered<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        named(&self.answer_headers, name).next()
    }
}

fn named<'a>(fields: &'a [(String, String)], name: &'a str) -> impl Iterator<Item = &'a str> {
    let of_name = fields.iter().filter(move |(present, _)| present == name);
    of_name.map(|(_, value)| value.as_str())
}

/// Every entry whose URL is one of HTTP, and how many have none.
///
/// # Errors
/// [`ProbeError::Input`] with what is wrong.
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<(Vec<Entry>, usize), ProbeError> {
    let wrong = |what: String| ProbeError::Input(format!("`{name}` is no HTTP archive: {what}"));
    if bytes.len() > MAX_BYTES {
        return Err(wrong(format!(
            "it has more than {} MiB; export fewer requests",
            MAX_BYTES / (1024 * 1024)
        )));
    }
    if let Some(packed) = packed(bytes) {
        return Err(wrong(format!("it is packed ({packed}); unpack it first")));
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if text.trim_ascii().is_empty() {
        return Err(wrong("it is empty".to_owned()));
    }
    let document: Value = serde_json::from_slice(text)
        .map_err(|error| wrong(format!("it is no JSON document: {error}")))?;
    if document.get("info").is_some() && document.get("item").is_some() {
        let what = "it is a collection of requests without their answers; record traffic instead";
        return Err(wrong(what.to_owned()));
    }
    let log = document
        .get("log")
        .ok_or_else(|| wrong("it has no `log`".to_owned()))?;
    let entries = log
        .get("entries")
        .and_then(Value::as_array)
        .ok_or_else(|| wrong("`log.entries` is no list".to_owned()))?;
    let (mut read, mut others) = (Vec::new(), 0);
    for (index, value) in entries.iter().enumerate() {
        match entry(index, value) {
            Ok(Some(entry)) => read.push(entry),
            Ok(None) => others += 1,
            Err(what) => return Err(wrong(format!("`log.entries[{index}]{what}"))),
        }
    }
    Ok((read, others))
}

fn packed(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x1f, 0x8b, ..] => Some("gzip"),
        [b'P', b'K', 3, 4, ..] => Some("zip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
        _ => None,
    }
}

/// One entry; nothing for one whose URL is of another scheme or has no usable origin. Errors go on from `log.entries[n]`.
fn entry(index: usize, value: &Value) -> Result<Option<Entry>, String> {
    let request = value.get("request").filter(|request| request.is_object());
    let request = request.ok_or("` has no `request`")?;
    let text = |name: &str| {
        let member = request.get(name).and_then(Value::as_str);
        member.ok_or_else(|| format!(".request.{name}` is no text"))
    };
    let (method, address) = (text("method")?, text("url")?);
    let lower = address.get(..8).unwrap_or(address).to_ascii_lowercase();
    if !lower.starts_with("http://") && !lower.starts_with("https://") {
        return Ok(None);
    }
    let Some(url) = url(address) else {
        return Ok(None);
    };
    let response = value.get("response").unwrap_or(&Value::Null);
    let content = response.get("content").unwrap_or(&Value::Null);
    let mut answer_headers = headers(response).ok_or(".response.headers` is no list of fields")?;
    // Some recorders drop `Location` and keep this.
    if let Some(target) = response.get("redirectURL").and_then(Value::as_str)
        && !target.is_empty()
        && named(&answer_headers, "location").next().is_none()
    {
        answer_headers.push(("location".to_owned(), target.to_owned()));
    }
    Ok(Some(Entry {
        index,
        started: value
            .get("startedDateTime")
            .and_then(Value::as_str)
            .and_then(seconds)
            .filter(|seconds| seconds.is_finite()),
        method: method.to_owned(),
        url,
        headers: headers(request).ok_or(".request.headers` is no list of fields")?,
        body: posted(request.get("postData").unwrap_or(&Value::Null)),
        status: response
            .get("status")
            .and_then(Value::as_u64)
            .and_then(|status| u16::try_from(status).ok())
            .filter(|status| *status >= 100),
        answer_headers,
        answer_body: decoded(content),
    }))
}

/// Splits a URL; nothing when it has no usable origin.
pub(super) fn url(address: &str) -> Option<Url> {
    let (rest, fragment) = address.split_once('#').unwrap_or((address, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let start = rest.find("://")?.checked_add(3)?;
    let end = rest
        .get(start..)?
        .find('/')
        .map_or(rest.len(), |end| start.saturating_add(end));
    Some(Url {
        origin: Origin::parse(rest.get(..end)?).ok()?,
        path: rest.get(end..)?.to_owned(),
        query: query.to_owned(),
        fragment: fragment.to_owned(),
    })
}

/// A list of `name` and `value`, or an object of them; absent is empty.
fn headers(message: &Value) -> Option<Vec<(String, String)>> {
    let pairs: Vec<(String, String)> = match message.get("headers") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list
            .iter()
            .map(|field| {
                let name = field.get("name").and_then(Value::as_str)?;
                let value = field.get("value").and_then(Value::as_str).unwrap_or("");
                Some((name.to_owned(), value.to_owned()))
            })
            .collect::<Option<_>>()?,
        Some(Value::Object(members)) => members
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect(),
        Some(_) => return None,
    };
    let real = pairs
        .into_iter()
        .filter(|(name, _)| !name.starts_with(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    Some(real.collect())
}

/// The body of a request: its text, or else the parameters of its form.
fn posted(data: &Value) -> Vec<u8> {
    let text = decoded(data);
    if !text.is_empty() {
        return text;
    }
    let member = |of: &Value, name: &str| {
        let text = of.get(name).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let parameters = data.get("params").and_then(Value::as_array);
    let pairs = parameters.into_iter().flatten().map(|parameter| {
        format!(
            "{}={}",
            member(parameter, "name"),
            member(parameter, "value")
        )
    });
    pairs.collect::<Vec<_>>().join("&").into_bytes()
}

/// `text`, in Base64 where `encoding` says so.
fn decoded(content: &Value) -> Vec<u8> {
    let text = content.get("text").and_then(Value::as_str).unwrap_or("");
    if content.get("encoding").and_then(Value::as_str) == Some("base64") {
        let packed: Vec<u8> = text
            .bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        return STANDARD.decode(packed).unwrap_or_default();
    }
    text.as_bytes().to_vec()
}

/// Seconds since 1970 of an ISO 8601 time like `2026-11-21T09:30:00.250+01:00`.
fn seconds(text: &str) -> Option<f64> {
    let (date, time) = text.trim().split_once(['T', 't', ' '])?;
    let mut numbers = date.split('-').map(str::parse::<i64>);
    let mut next = || numbers.next()?.ok();
    let (year, month, day) = (next()?, next()?, next()?);
    let in_range =
        (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !in_range {
        return None;
    }
    let zone = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at_checked(zone)?;
    let mut parts = clock.split(':');
    let hours: f64 = parts.next()?.parse().ok()?;
    let minutes: f64 = parts.next()?.parse().ok()?;
    let rest: f64 = parts.next().unwrap_or("0").parse().ok()?;
    let of_day = hours * 3600.0 + minutes * 60.0 + rest;
    Some((days(year, month, day) * 86_400) as f64 + of_day - offset(zone)?)
}

/// Seconds east of Greenwich.
fn offset(zone: &str) -> Option<f64> {
    let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
    let sign = match zone.chars().next() {
        None | Some('Z' | 'z') => return Some(0.0),
        Some('-') => -1.0,
        Some(_) => 1.0,
    };
    let hours: f64 = digits.get(..2)?.parse().ok()?;
    let minutes: f64 = digits.get(2..4).unwrap_or("0").parse().ok()?;
    Some(sign * (hours * 3600.0 + minutes * 60.0))
}

/// Days since 1970 of a day of the Gregorian calendar; years begin in March here, so that the leap
/// day is their last.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_are_read_with_their_zone() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0.0));
        assert_eq!(seconds("2027-01-15T08:00:00.500Z"), Some(1_800_000_000.5));
        assert_eq!(seconds("2027-01-15T09:00:00+01:00"), Some(1_800_000_000.0));
        assert_eq!(seconds("2027-01-15T03:00:00-0500"), Some(1_800_000_000.0));
        assert_eq!(seconds("2024-02-29T00:00:00Z"), Some(1_709_164_800.0));
        assert_eq!(seconds("yesterday"), None);
        assert_eq!(seconds("2027-13-01T00:00:00Z"), None);
    }
}
