//! Fills the strict document tree from serde_json's streaming reader.
//!
//! Only the reader is used: `serde_json::Value` keeps the last of duplicate
//! members and is not fit for signed input.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::de::SliceRead;

use super::{JsonError, MAX_DEPTH, MAX_MEMBERS, MAX_VALUES, Object, Value};

/// Reads one value and requires that nothing follows it.
pub(super) fn document<'a>(
    deserializer: &mut serde_json::Deserializer<SliceRead<'a>>,
) -> Result<Value<'a>, JsonError> {
    let mut limits = Limits {
        values_left: MAX_VALUES,
        broken: None,
    };
    let read = OneValue {
        limits: &mut limits,
        depth_left: MAX_DEPTH,
    }
    .deserialize(&mut *deserializer)
    .and_then(|value| deserializer.end().map(|()| value));
    read.map_err(|_| limits.broken.unwrap_or(JsonError::Syntax))
}

/// As many members as headers, proofs and most tokens have at the outermost level.
const USUAL_MEMBERS: usize = 8;

struct Limits {
    values_left: usize,
    /// The rule of ours that stopped the reader; its own errors carry text only.
    broken: Option<JsonError>,
}

impl Limits {
    fn stop<E: Error>(&mut self, cause: JsonError) -> E {
        self.broken = Some(cause);
        E::custom("")
    }

    fn count_value<E: Error>(&mut self) -> Result<(), E> {
        match self.values_left.checked_sub(1) {
            Some(left) => {
                self.values_left = left;
                Ok(())
            }
            None => Err(self.stop(JsonError::TooManyValues)),
        }
    }
}

struct OneValue<'l> {
    limits: &'l mut Limits,
    depth_left: usize,
}

impl OneValue<'_> {
    /// How deep the content of an array or object found here may still go.
    fn descend<E: Error>(&mut self) -> Result<usize, E> {
        self.depth_left
            .checked_sub(1)
            .ok_or_else(|| self.limits.stop(JsonError::TooDeep))
    }
}

impl<'de> DeserializeSeed<'de> for OneValue<'_> {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        self.limits.count_value()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OneValue<'_> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(Value::Unsigned(value))
    }

    // The reader calls this for negative numbers only.
    fn visit_i64<E: Error>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Signed(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value<'de>, E> {
        if value.is_finite() {
            Ok(Value::Float(value))
        } else {
            Err(self.limits.stop(JsonError::Syntax))
        }
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Borrowed(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut access: A) -> Result<Value<'de>, A::Error> {
        let depth_left = self.descend()?;
        let mut elements = Vec::new();
        while let Some(element) = access.next_element_seed(OneValue {
            limits: &mut *self.limits,
            depth_left,
        })? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<Value<'de>, A::Error> {
        let depth_left = self.descend()?;
        let mut object = Object::default();
        if self.depth_left == MAX_DEPTH {
            // The outermost object is a header or a claims set. Others may be many and stay small.
            object.members.reserve(USUAL_MEMBERS);
        }
        while let Some(name) = access.next_key_seed(Name)? {
            if object.contains(&name) {
                return Err(self.limits.stop(JsonError::DuplicateMember));
            }
            if object.len() == MAX_MEMBERS {
                return Err(self.limits.stop(JsonError::TooManyMembers));
            }
            let value = access.next_value_seed(OneValue {
                limits: &mut *self.limits,
                depth_left,
            })?;
            object.members.push((name, value));
        }
        Ok(Value::Object(object))
    }
}

/// A member's name, with its escapes resolved.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}
