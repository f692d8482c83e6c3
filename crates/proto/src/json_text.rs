//! Writing JSON objects with a fixed member order.
//!
//! Signed headers and claims need one spelling (RFC 7638 section 3, and the
//! constant heads scanners look for), and minting must not be able to fail for
//! a reason of serialization. This module does not parse.

use std::fmt::Write as _;

/// An object under construction: members appear in the order they are added.
#[derive(Debug)]
pub(crate) struct ObjectText {
    text: String,
}

impl ObjectText {
    pub(crate) fn new() -> Self {
        let mut text = String::with_capacity(256);
        text.push('{');
        Self { text }
    }

    pub(crate) fn string(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        quote(&mut self.text, value);
        self
    }

    pub(crate) fn optional_string(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.string(name, value),
            None => self,
        }
    }

    pub(crate) fn unsigned(mut self, name: &str, value: u64) -> Self {
        self.name(name);
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{value}");
        self
    }

    /// One string when there is one, else an array (RFC 7519 section 4.1.3).
    pub(crate) fn one_or_many(self, name: &str, values: &[String]) -> Self {
        if let [one] = values {
            return self.string(name, one);
        }
        self.strings(name, values)
    }

    /// An array, whatever it holds.
    pub(crate) fn strings(mut self, name: &str, values: &[String]) -> Self {
        self.name(name);
        self.text.push('[');
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            quote(&mut self.text, value);
        }
        self.text.push(']');
        self
    }

    /// A member whose value is JSON already.
    pub(crate) fn raw(mut self, name: &str, json: &str) -> Self {
        self.name(name);
        self.text.push_str(json);
        self
    }

    pub(crate) fn finish(mut self) -> String {
        self.text.push('}');
        self.text
    }

    fn name(&mut self, name: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        quote(&mut self.text, name);
        self.text.push(':');
    }
}

fn quote(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            control if control < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\u{:04x}", u32::from(control));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::ObjectText;

    #[test]
    fn every_character_survives_a_strict_parser() {
        let all: String = (0u8..128)
            .map(char::from)
            .chain("é\u{1f511}".chars())
            .collect();
        let text = ObjectText::new()
            .string("a\"b", &all)
            .unsigned("n", u64::MAX)
            .one_or_many("one", &["x".into()])
            .one_or_many("two", &["x".into(), "y".into()])
            .raw("raw", "{}")
            .finish();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["a\"b"], all.as_str());
        assert_eq!(value["n"], u64::MAX);
        assert_eq!(value["one"], "x");
        assert_eq!(value["two"][1], "y");
    }
}
