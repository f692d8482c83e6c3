//! Request items: `Header:value`, `name==value`, `name=value`, `name:=json`.
//! The separator that stands first decides, so a value may hold the others.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::failure::Failure;

/// The parts of a request that items make.
#[derive(Debug, Default)]
pub(super) struct Items {
    headers: HeaderMap,
    query: Vec<(String, String)>,
    members: Map<String, Value>,
    body: Option<Vec<u8>>,
}

/// The kinds of item, longer separators first where one begins another.
const SEPARATORS: [&str; 4] = [":=", "==", "=", ":"];

impl Items {
    pub(super) fn parse(items: &[String]) -> Result<Self, Failure> {
        let mut parsed = Self::default();
        for item in items {
            parsed.add(item)?;
        }
        Ok(parsed)
    }

    fn add(&mut self, item: &str) -> Result<(), Failure> {
        let at = item.find([':', '=']).filter(|at| *at > 0);
        let split = at.and_then(|at| {
            let rest = &item[at..];
            let separator = SEPARATORS
                .into_iter()
                .find(|separator| rest.starts_with(separator))?;
            Some((&item[..at], separator, &rest[separator.len()..]))
        });
        match split {
            Some((name, ":=", value)) => {
                let value = serde_json::from_str(value).map_err(|error| {
                    Failure::usage(format!("`{item}` has no JSON after `:=`: {error}"))
                })?;
                self.members.insert(name.to_owned(), value);
            }
            Some((name, "==", value)) => self.query.push((name.to_owned(), value.to_owned())),
            Some((name, "=", value)) => {
                self.members
                    .insert(name.to_owned(), Value::String(value.to_owned()));
            }
            Some((name, _, value)) => self.header(item, name, value)?,
            None => {
                return Err(Failure::usage(format!("`{item}` is no request item"))
                    .next("write `Header:value`, `name==value`, `name=value` or `name:=json`"));
            }
        }
        Ok(())
    }

    fn header(&mut self, item: &str, name: &str, value: &str) -> Result<(), Failure> {
        let bad = || Failure::usage(format!("`{item}` is no valid header"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| bad())?;
        self.headers.append(name, value);
        Ok(())
    }

    /// Takes a body as it is; it cannot stand beside JSON members.
    pub(super) fn set_body(&mut self, body: Vec<u8>) -> Result<(), Failure> {
        if !self.members.is_empty() {
            return Err(Failure::usage(
                "--data and JSON members cannot both be the body",
            ));
        }
        self.body = Some(body);
        Ok(())
    }

    /// The address with the query parameters added.
    pub(super) fn address(&self, url: &str) -> String {
        let mut address = url.to_owned();
        for (name, value) in &self.query {
            address.push(if address.contains('?') { '&' } else { '?' });
            address.push_str(&format!("{}={}", encoded(name), encoded(value)));
        }
        address
    }

    /// Headers and body.
    pub(super) fn into_parts(mut self) -> (HeaderMap, Vec<u8>) {
        let json = HeaderValue::from_static("application/json");
        let body = if self.members.is_empty() {
            self.body.unwrap_or_default()
        } else {
            self.headers
                .entry(CONTENT_TYPE)
                .or_insert_with(|| json.clone());
            Value::Object(self.members).to_string().into_bytes()
        };
        self.headers
            .entry(ACCEPT)
            .or_insert(HeaderValue::from_static("application/json, */*;q=0.5"));
        (self.headers, body)
    }
}

/// Percent-encodes everything but the unreserved characters (RFC 3986 section 2.3).
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(items: &[&str]) -> Items {
        let items: Vec<String> = items.iter().map(|item| (*item).to_owned()).collect();
        Items::parse(&items).expect("items")
    }

    #[test]
    fn what_is_no_item_is_refused() {
        for item in ["approve", "=x", ":x", "n:=", "n:={", "bad header:x", ""] {
            assert!(Items::parse(&[item.to_owned()]).is_err(), "{item}");
        }
    }

    #[test]
    fn the_first_separator_decides() {
        let items = parsed(&["id=a:b=c", "n:=[1]", "q==a=b&c", "X-Test: a=b"]);
        assert_eq!(items.address("http://h/p"), "http://h/p?q=a%3Db%26c");
        let (headers, body) = items.into_parts();
        assert_eq!(headers["x-test"], "a=b");
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(body, br#"{"id":"a:b=c","n":[1]}"#);
    }

    #[test]
    fn a_query_joins_the_one_that_is_there() {
        assert_eq!(
            parsed(&["b==2"]).address("http://h/?a=1"),
            "http://h/?a=1&b=2"
        );
    }
}
