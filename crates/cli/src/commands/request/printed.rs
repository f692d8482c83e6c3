//! A signed request as text: as it goes over the wire, and as a curl command.

use http::HeaderMap;
use keybound_holder::Request;

/// The request as HTTP/1.1.
pub(super) fn raw(request: &Request, signed: &HeaderMap) -> String {
    let url = &request.url;
    let path = if url.path().is_empty() {
        "/"
    } else {
        url.path()
    };
    let query = url
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let mut text = format!("{} {path}{query} HTTP/1.1\n", request.method);
    text.push_str(&format!("Host: {}\n", url.origin().authority()));
    for (name, value) in fields(signed) {
        text.push_str(&format!("{name}: {value}\n"));
    }
    if !request.body.is_empty() {
        text.push_str(&format!("content-length: {}\n", request.body.len()));
    }
    text.push('\n');
    text.push_str(&String::from_utf8_lossy(&request.body));
    text
}

/// The request as a curl command for a POSIX shell.
pub(super) fn curl(request: &Request, signed: &HeaderMap) -> String {
    let mut words = vec![format!("curl -i -X {}", request.method)];
    let mut header =
        |name: &str, value: &str| words.push(format!("-H {}", quoted(&format!("{name}: {value}"))));
    for (name, value) in fields(signed) {
        header(name, &value);
    }
    if !request.body.is_empty() {
        words.push(format!(
            "--data-binary {}",
            quoted(&String::from_utf8_lossy(&request.body))
        ));
    }
    words.push(quoted(request.url.as_str()));
    words.join(" \\\n  ")
}

/// The fields, those that carry token and proof first.
fn fields(signed: &HeaderMap) -> Vec<(&str, String)> {
    let first = [("authorization", "Authorization"), ("dpop", "DPoP")];
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut fields: Vec<_> = first
        .iter()
        .filter_map(|(name, shown)| Some((*shown, text(signed.get(*name)?))))
        .collect();
    let rest = signed
        .iter()
        .filter(|(name, _)| !first.iter().any(|(known, _)| name == known));
    fields.extend(rest.map(|(name, value)| (name.as_str(), text(value))));
    fields
}

/// A word in single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_a_word_cannot_end_it() {
        assert_eq!(quoted("a'; rm -rf /; '"), r"'a'\''; rm -rf /; '\'''");
    }
}
