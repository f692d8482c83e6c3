//! Text inside XML and HTML.

use super::text::clean;

/// Text as it may stand between tags or in a quoted attribute, in XML and in HTML. Characters XML
/// does not have become `?`.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Says what is not well formed: a strict reader of the part of XML that the reports use.
    pub(in crate::output) fn malformed(document: &str) -> Option<String> {
        let (mut open, mut rooted) = (Vec::<&str>::new(), false);
        let mut rest = document.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")?;
        if let Some(bad) = document.chars().find(|c| {
            let allowed =
                matches!(c, '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') || *c >= '\u{10000}';
            !allowed
        }) {
            return Some(format!("{bad:?} is no character of XML"));
        }
        while let Some((text, tail)) = rest.split_once('<') {
            if let Some(problem) = bad_text(text) {
                return Some(problem);
            }
            let Some((tag, tail)) = tail.split_once('>') else {
                return Some("a tag does not end".to_owned());
            };
            rest = tail;
            if let Some(name) = tag.strip_prefix('/') {
                if open.pop() != Some(name) {
                    return Some(format!("`{name}` is closed and was not open"));
                }
                continue;
            }
            let (body, empty) = tag.strip_suffix('/').map_or((tag, false), |b| (b, true));
            let name = body.split(' ').next().unwrap_or_default();
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase()) {
                return Some(format!("`{name}` is no name of a tag"));
            }
            if let Some(problem) = bad_attributes(&body[name.len()..]) {
                return Some(problem);
            }
            if open.is_empty() && std::mem::replace(&mut rooted, true) {
                return Some("two roots".to_owned());
            }
            if !empty {
                open.push(name);
            }
        }
        if let Some(name) = open.pop() {
            return Some(format!("`{name}` is not closed"));
        }
        (!rest.trim().is_empty()).then(|| "text after the root".to_owned())
    }

    fn bad_text(text: &str) -> Option<String> {
        let entities = text.split('&').skip(1);
        let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
        for entity in entities {
            if !known.iter().any(|name| entity.starts_with(name)) {
                return Some(format!("a bare ampersand before `{entity}`"));
            }
        }
        text.contains(['<', '>'])
            .then(|| format!("a bare angle bracket in `{text}`"))
    }

    fn bad_attributes(mut rest: &str) -> Option<String> {
        let mut names: Vec<&str> = Vec::new();
        while !rest.is_empty() {
            let Some((name, value)) = rest.strip_prefix(' ').and_then(|r| r.split_once("=\""))
            else {
                return Some(format!("no attribute: `{rest}`"));
            };
            if names.contains(&name) || !name.bytes().all(|byte| byte.is_ascii_lowercase()) {
                return Some(format!("attribute `{name}`"));
            }
            names.push(name);
            let Some((value, tail)) = value.split_once('"') else {
                return Some(format!("`{name}` does not end"));
            };
            if let Some(problem) = bad_text(value) {
                return Some(problem);
            }
            rest = tail;
        }
        None
    }

    #[test]
    fn the_reader_refuses_what_is_not_well_formed() {
        let with = |body: &str| {
            malformed(&format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}"
            ))
        };
        assert_eq!(with("<a b=\"1\"><c/>x &amp; y</a>\n"), None);
        for bad in [
            "<a>",
            "<a></b>",
            "<a>&</a>",
            "<a b=\"\"x\"/>",
            "<a b=\"<\"/>",
            "<a b=\"1\" b=\"2\"/>",
            "<a>\u{1b}</a>",
            "<a>\u{ffff}</a>",
            "<a>></a>",
            "<a/>x",
            "<a/><a/>",
        ] {
            assert!(with(bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(
            escape("<a href='x' id=\"y\">&\u{0}\n"),
            "&lt;a href=&#39;x&#39; id=&quot;y&quot;&gt;&amp;??"
        );
    }
}
