//! A signed request as text: as it goes over the wire, and as a curl command.

use keybound_holder::{Request, SignedHeaders};

/// The request as HTTP/1.1.
pub(super) fn raw(request: &Request, signed: &SignedHeaders) -> String {
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
    text.push_str(&format!(
        "Authorization: {}\nDPoP: {}\n",
        signed.authorization, signed.dpop
    ));
    for (name, value) in &request.headers {
        text.push_str(&format!(
            "{name}: {}\n",
            String::from_utf8_lossy(value.as_bytes())
        ));
    }
    if !request.body.is_empty() {
        text.push_str(&format!("content-length: {}\n", request.body.len()));
    }
    text.push('\n');
    text.push_str(&String::from_utf8_lossy(&request.body));
    text
}

/// The request as a curl command for a POSIX shell.
pub(super) fn curl(request: &Request, signed: &SignedHeaders) -> String {
    let mut words = vec![format!("curl -i -X {}", request.method)];
    let mut header =
        |name: &str, value: &str| words.push(format!("-H {}", quoted(&format!("{name}: {value}"))));
    header("Authorization", &signed.authorization);
    header("DPoP", &signed.dpop);
    for (name, value) in &request.headers {
        header(name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
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
