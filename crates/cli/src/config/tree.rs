//! The configuration as a tree of values that remember where they stand: the
//! TOML file with the environment laid over it.
//!
//! What this does *not* know: which keys exist. That is [`super::shape`].

use std::collections::BTreeMap;

use serde_json::Number;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where the value, or for a member its key, stands.
    pub(crate) place: Place,
    /// The value.
    pub(crate) value: Value,
}

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Text.
    String(String),
    /// A number, or a TOML date that no key takes.
    Other(serde_json::Value),
    /// A list.
    Array(Vec<Node>),
    /// A table.
    Table(BTreeMap<String, Node>),
}

impl Node {
    /// Parses a TOML document. The problem names line and column.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let table = DeTable::parse(text).map_err(|error| syntax(text, &error))?;
        let lines = Lines::of(text);
        let members = lines.members(table.into_inner());
        Ok(Self {
            place: Place::File { line: 1, column: 1 },
            value: Value::Table(members),
        })
    }

    /// Parses one TOML value out of an environment variable.
    pub(crate) fn parse_variable(name: &str, text: &str) -> Option<Self> {
        let value = DeValue::parse(text).ok()?;
        let mut node = Lines::of(text).node(0, value.into_inner());
        node.move_to(&Place::Variable(name.to_owned()));
        Some(node)
    }

    /// Puts a value at a path of table keys, making tables on the way. Fails
    /// with the part of the path that is not a table.
    pub(crate) fn put(&mut self, path: &[&str], node: Self) -> Result<(), String> {
        let Some((first, rest)) = path.split_first() else {
            *self = node;
            return Ok(());
        };
        let Value::Table(members) = &mut self.value else {
            return Err((*first).to_owned());
        };
        let place = node.place.clone();
        let member = members.entry((*first).to_owned()).or_insert_with(|| Self {
            place,
            value: Value::Table(BTreeMap::new()),
        });
        member.put(rest, node)
    }

    /// The value as JSON, for serde.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::String(text) => serde_json::Value::String(text.clone()),
            Value::Other(value) => value.clone(),
            Value::Array(items) => items.iter().map(Self::to_json).collect(),
            Value::Table(members) => members
                .iter()
                .map(|(key, node)| (key.clone(), node.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    /// Writes the place of this value and everything beneath into `places`,
    /// keyed like `gateway.route[0].path`.
    pub(crate) fn index(&self, path: &str, places: &mut BTreeMap<String, Place>) {
        places.insert(path.to_owned(), self.place.clone());
        match &self.value {
            Value::Table(members) => {
                for (key, node) in members {
                    node.index(&child(path, key), places);
                }
            }
            Value::Array(items) => {
                for (position, node) in items.iter().enumerate() {
                    node.index(&format!("{path}[{position}]"), places);
                }
            }
            Value::String(_) | Value::Other(_) => {}
        }
    }

    fn move_to(&mut self, place: &Place) {
        self.place = place.clone();
        match &mut self.value {
            Value::Table(members) => members.values_mut().for_each(|node| node.move_to(place)),
            Value::Array(items) => items.iter_mut().for_each(|node| node.move_to(place)),
            Value::String(_) | Value::Other(_) => {}
        }
    }
}

impl Value {
    /// The name of the kind of value, as TOML calls it.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Other(serde_json::Value::Bool(_)) => "a boolean",
            Self::Other(serde_json::Value::Number(_)) => "a number",
            Self::Other(_) => "a date",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

/// The path of a member.
pub(crate) fn child(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Turns byte offsets into lines and columns.
struct Lines<'a> {
    text: &'a str,
}

impl<'a> Lines<'a> {
    const fn of(text: &'a str) -> Self {
        Self { text }
    }

    fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Place::File {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    fn members(&self, table: DeTable<'_>) -> BTreeMap<String, Node> {
        let member = |(key, value): (Spanned<_>, Spanned<DeValue<'_>>)| {
            let offset = key.span().start;
            let name: std::borrow::Cow<'_, str> = key.into_inner();
            (name.into_owned(), self.node(offset, value.into_inner()))
        };
        table.into_iter().map(member).collect()
    }

    fn node(&self, offset: usize, value: DeValue<'_>) -> Node {
        let value = match value {
            DeValue::String(text) => Value::String(text.into_owned()),
            DeValue::Integer(integer) => integer
                .as_str()
                .replace('_', "")
                .parse::<i64>()
                .map_or(Value::Other(serde_json::Value::Null), |number| {
                    Value::Other(Number::from(number).into())
                }),
            DeValue::Float(float) => Value::Other(
                float
                    .as_str()
                    .parse::<f64>()
                    .ok()
                    .and_then(Number::from_f64)
                    .into(),
            ),
            DeValue::Boolean(truth) => Value::Other(truth.into()),
            DeValue::Datetime(_) => Value::Other(serde_json::Value::Null),
            DeValue::Array(items) => Value::Array(
                items
                    .into_iter()
                    .map(|item| self.node(item.span().start, item.into_inner()))
                    .collect(),
            ),
            DeValue::Table(table) => Value::Table(self.members(table)),
        };
        Node {
            place: self.place(offset),
            value,
        }
    }
}

/// A document that is no TOML.
fn syntax(text: &str, error: &toml::de::Error) -> Problem {
    let offset = error.span().map_or(0, |span| span.start);
    let message = error.message().trim_end().replace('\n', ", ");
    Problem::new("", Lines::of(text).place(offset), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_line_and_column() {
        let text = "[issuer]\n  url = \"http://a\"\n[[gateway.route]]\npath = \"/\"\n";
        let node = Node::parse(text).expect("parses");
        let mut places = BTreeMap::new();
        node.index("", &mut places);
        assert_eq!(places["issuer.url"], Place::File { line: 2, column: 3 });
        let expected = Place::File { line: 4, column: 1 };
        assert_eq!(places["gateway.route[0].path"], expected);
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        let problem = Node::parse("[issuer]\nurl = \n").expect_err("is no TOML");
        assert!(
            matches!(problem.place, Place::File { line: 2, .. }),
            "{problem:?}"
        );
    }
}
