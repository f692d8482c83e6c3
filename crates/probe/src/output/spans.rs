//! Text with names in backticks, told apart from its words.
//!
//! The texts of the check list write names as `` `cnf` ``. A page shows those
//! as code; whatever else stands in a text, also one from the target, is text.

use super::text::clean;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// Words.
    Text(String),
    /// A name, without its backticks.
    Code(String),
}

/// The parts of a text. A text whose backticks do not pair up, or pair up around nothing, is words
/// from end to end.
pub(super) fn spans(text: &str) -> Vec<Span> {
    let text = clean(text);
    let parts: Vec<&str> = text.split('`').collect();
    let pairs = parts.len() % 2 == 1;
    let last = parts.len().saturating_sub(1);
    let touching = |(place, part): (usize, &&str)| part.is_empty() && place > 0 && place < last;
    if !pairs || parts.iter().enumerate().any(touching) {
        return vec![Span::Text(text)];
    }
    parts
        .iter()
        .enumerate()
        .filter(|(_, part)| !part.is_empty())
        .map(|(place, part)| {
            if place % 2 == 1 {
                Span::Code((*part).to_owned())
            } else {
                Span::Text((*part).to_owned())
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let spans = spans(text);
        let shown = spans.iter().map(|span| match span {
            Span::Text(text) => text.clone(),
            Span::Code(name) => format!("[{name}]"),
        });
        shown.collect()
    }

    #[test]
    fn names_in_backticks_are_told_apart() {
        assert_eq!(shown("no `cnf` here"), "no [cnf] here");
        assert_eq!(shown("`a` and `b`"), "[a] and [b]");
        assert_eq!(shown("`a`"), "[a]");
        assert_eq!(shown("plain"), "plain");
    }

    #[test]
    fn backticks_that_do_not_pair_up_are_words() {
        for text in ["one ` alone", "`", "``", "a``b", "`a``b`", "``a``"] {
            assert_eq!(shown(text), text);
        }
    }
}
