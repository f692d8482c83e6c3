//! Bounded reading of event members: a text over its bound is refused before
//! it is copied. What the members mean is not known here.

use std::fmt;

use serde::de::{self, Deserializer, SeqAccess, Visitor};

use super::{MAX_AUDIENCES, MAX_LONG_TEXT, MAX_SHORT_TEXT};

pub(super) fn short<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    from.deserialize_str(Text(MAX_SHORT_TEXT))
}

pub(super) fn short_option<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    from.deserialize_str(Text(MAX_SHORT_TEXT)).map(Some)
}

pub(super) fn long_option<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    from.deserialize_str(Text(MAX_LONG_TEXT)).map(Some)
}

pub(super) fn audience<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    from.deserialize_seq(Texts)
}

/// A text of at most this many bytes.
struct Text(usize);

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a text of at most {} bytes without control characters",
            self.0
        )
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        if text.len() > self.0 {
            return Err(E::invalid_length(text.len(), &self));
        }
        if text.chars().any(char::is_control) {
            return Err(E::custom("control character in a text"));
        }
        Ok(text.to_owned())
    }
}

impl<'de> de::DeserializeSeed<'de> for Text {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        from.deserialize_str(self)
    }
}

/// A bounded list of bounded texts.
struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX_AUDIENCES} texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Vec<String>, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = from.next_element_seed(Text(MAX_LONG_TEXT))? {
            if texts.len() >= MAX_AUDIENCES {
                return Err(de::Error::invalid_length(MAX_AUDIENCES, &self));
            }
            texts.push(text);
        }
        Ok(texts)
    }
}
