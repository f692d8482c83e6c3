//! Which route a path belongs to: the longest prefix of whole segments, or none.
//!
//! Requests are forwarded byte for byte, and an upstream may read a path more leniently than
//! it was matched: merge slashes, cut `;parameters`, ignore case, decode escapes twice. A path
//! that would belong to another route when read that way is refused, so that no spelling
//! reaches an upstream through a route with weaker checks (`//admin`, `/admin;x`, `/ADMIN`).

use std::borrow::Cow;

/// Prefixes, the longest first, each with a value.
#[derive(Debug)]
pub(super) struct RouteTable<T> {
    entries: Vec<(String, T)>,
}

/// Why a path has no route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoute {
    /// Lenient readers would see another route.
    Ambiguous,
    /// Nothing is configured for it.
    Unknown,
}

impl<T> RouteTable<T> {
    /// Prefixes must be canonical paths; a `/` at their end does not matter.
    pub(super) fn new(entries: impl IntoIterator<Item = (String, T)>) -> Self {
        let without_slash = |prefix: String| prefix.trim_end_matches('/').to_owned();
        let mut entries: Vec<_> = entries
            .into_iter()
            .map(|(prefix, value)| (without_slash(prefix), value))
            .collect();
        entries.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self { entries }
    }

    /// The route of a canonical path.
    pub(super) fn find(&self, path: &str) -> Result<&T, NoRoute> {
        let exact = self.position(path, covers);
        if is_read_leniently(path) {
            let lenient = self.position(&lenient(path), covers_ignoring_case);
            if lenient != exact {
                return Err(NoRoute::Ambiguous);
            }
        }
        let entry = exact.and_then(|index| self.entries.get(index));
        entry.map(|(_, value)| value).ok_or(NoRoute::Unknown)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|(_, value)| value)
    }

    fn position(&self, path: &str, covers: fn(&str, &str) -> bool) -> Option<usize> {
        self.entries
            .iter()
            .position(|(prefix, _)| covers(prefix, path))
    }
}

/// Whether `prefix`, which has no `/` at its end, is `path` or whole segments at its start.
fn covers(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn covers_ignoring_case(prefix: &str, path: &str) -> bool {
    let (Some(start), Some(rest)) = (path.get(..prefix.len()), path.get(prefix.len()..)) else {
        return false;
    };
    start.eq_ignore_ascii_case(prefix) && (rest.is_empty() || rest.starts_with('/'))
}

fn is_read_leniently(path: &str) -> bool {
    path.contains("//")
        || path
            .bytes()
            .any(|byte| matches!(byte, b';' | b'%') || byte.is_ascii_uppercase())
}

/// The path as the most lenient upstream might read it, letter case aside.
fn lenient(path: &str) -> String {
    let decoded = decode_fully(path);
    let mut read = String::with_capacity(decoded.len());
    for segment in decoded.split(['/', '\\']) {
        let name = segment.split(';').next().unwrap_or_default();
        if !name.is_empty() && name != "." {
            read.push('/');
            read.push_str(name);
        }
    }
    if read.is_empty() {
        "/".to_owned()
    } else {
        read
    }
}

/// Decodes escapes until none is left; bytes outside ASCII stay escaped, as no prefix has them.
fn decode_fully(path: &str) -> Cow<'_, str> {
    let mut current = Cow::Borrowed(path);
    while let Some(decoded) = decode_once(&current) {
        current = Cow::Owned(decoded);
    }
    current
}

/// One round; `None` when there was nothing to decode. Each round shortens the text.
fn decode_once(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut has_changed = false;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let byte = after
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte.filter(u8::is_ascii) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = after.get(2..).unwrap_or_default();
                has_changed = true;
            }
            None => {
                out.push('%');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    has_changed.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> RouteTable<&'static str> {
        let routes = ["/", "/admin", "/admin/public", "/api/"];
        RouteTable::new(routes.map(|path| (path.to_owned(), path)))
    }

    #[test]
    fn sc_257_other_spellings_of_a_route_are_refused() {
        for path in [
            "//admin",
            "/admin;x",
            "/admin;x/y",
            "/ADMIN",
            "/Admin/x",
            "///admin//x",
            "/%61dmin",
            "/admin/PUBLIC",
            "/admin//public",
            "/%2561dmin",
            "/admin%3bx",
            "/a%64min",
            "/API/x",
            "/;/admin",
            "//api",
        ] {
            let table = table();
            let found = table.find(path);
            assert_eq!(found, Err(NoRoute::Ambiguous), "{path}");
        }
    }

    #[test]
    fn without_a_route_there_is_none() {
        let table = RouteTable::new([("/a".to_owned(), ()), ("/b/c".to_owned(), ())]);
        for path in ["/", "/ab", "/b", "/b/cd", "/c", "/A2", "/b//"] {
            assert_eq!(table.find(path), Err(NoRoute::Unknown), "{path}");
        }
        assert_eq!(RouteTable::<()>::new([]).find("/"), Err(NoRoute::Unknown));
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_wins() {
        for (path, route) in [
            ("/", "/"),
            ("/x", "/"),
            ("/administrator", "/"),
            ("/admin", "/admin"),
            ("/admin/", "/admin"),
            ("/admin/x", "/admin"),
            ("/admin/publicity", "/admin"),
            ("/admin/public", "/admin/public"),
            ("/admin/public/x;y=z//A%20b", "/admin/public"),
            ("/api", "/api/"),
            ("/api/x", "/api/"),
        ] {
            assert_eq!(table().find(path), Ok(&route), "{path}");
        }
    }
}
