//! Text for every form: cleaned, wrapped, counted, dated.

use keybound_proto::time::UnixTime;

use crate::calendar::rfc3339;

/// Text without anything that drives a terminal or reorders what a reader sees: control
/// characters, line ends and directional formatting become `?`.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if is_unprintable(c) { '?' } else { c })
        .collect()
}

/// Control characters, line and paragraph separators, directional formatting and non-characters.
const fn is_unprintable(c: char) -> bool {
    matches!(
        c,
        '\u{0}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{fffe}'..='\u{ffff}'
    )
}

/// The text in lines of at most `width` characters; a word that is longer is cut.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut length = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let word_length = word.chars().count();
        if length > 0 && length + 1 + word_length > width {
            lines.push(std::mem::take(&mut line));
            length = 0;
        }
        if length > 0 {
            line.push(' ');
            length += 1;
        }
        for c in word.chars() {
            if length == width {
                lines.push(std::mem::take(&mut line));
                length = 0;
            }
            line.push(c);
            length += 1;
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// A number with its noun: `1 request`, `2 requests`.
pub(super) fn count(number: u32, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// Seconds since 1970 as `2026-01-31 12:00:00`, in UTC.
pub(super) fn date_time(seconds: u64) -> String {
    rfc3339(UnixTime::from_secs(seconds))
        .replace('T', " ")
        .replace('Z', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_drives_a_terminal_is_left() {
        let hostile = "a\u{1b}[2Jb\r\nc\u{7f}\u{9b}31m\u{202e}d\u{2028}e\u{feff}é€";
        assert_eq!(clean(hostile), "a?[2Jb??c??31m?d?e?é€");
    }

    #[test]
    fn lines_are_never_longer_than_they_may_be() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("ab", 0), ["a", "b"]);
    }

    #[test]
    fn a_moment_reads_as_people_write_it() {
        assert_eq!(date_time(951_782_399), "2000-02-28 23:59:59");
    }
}
