//! Checks a configuration against the JSON Schema of [`super::model`]: unknown
//! keys with the nearest valid one, wrong kinds of value, unknown choices,
//! missing keys. The schema is the only list of valid keys.
//!
//! Understands the part of JSON Schema that schemars makes of the model:
//! `$ref`, `anyOf` with `null`, `type`, `properties`, `required`,
//! `additionalProperties`, `items`, `enum`, and `oneOf` of `const`. What the
//! values mean is [`super::validate`].

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::later;
use super::problem::Problem;
use super::tree::{Node, Value, child};

/// A schema and the definitions its references point into.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape<'a> {
    root: &'a Json,
    schema: &'a Json,
}

impl<'a> Shape<'a> {
    /// The shape of a whole document.
    pub(crate) const fn of(root: &'a Json) -> Self {
        Self { root, schema: root }
    }

    /// Every problem of a document, in the order of its keys.
    pub(crate) fn check(self, node: &Node) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.node("", "", node, &mut problems);
        problems
    }

    /// The shape of a member, when the schema knows it.
    pub(crate) fn member(self, key: &str) -> Option<Self> {
        let shape = self.resolved();
        let schema = shape
            .schema
            .get("properties")
            .and_then(|properties| properties.get(key))
            .or_else(|| {
                shape
                    .schema
                    .get("additionalProperties")
                    .filter(|all| all.is_object())
            })?;
        Some(Self { schema, ..self }.resolved())
    }

    /// The names of the members the schema knows.
    pub(crate) fn members(self) -> Vec<&'a str> {
        let properties = self.resolved().schema.get("properties");
        properties
            .and_then(Json::as_object)
            .map(|known| known.keys().map(String::as_str).collect())
            .unwrap_or_default()
    }

    /// Whether the schema takes a string here.
    pub(crate) fn is_text(self) -> bool {
        self.kind() == Some("string") || !self.choices().is_empty()
    }

    /// The kind of value the schema takes, in words.
    pub(crate) fn wanted(self) -> &'static str {
        match self.kind() {
            Some("object") => "a table",
            Some("array") => "an array",
            Some("integer") => "a number",
            Some("boolean") => "true or false",
            _ => "a string",
        }
    }

    /// Follows references and drops the `null` of an optional key.
    fn resolved(self) -> Self {
        let mut shape = self;
        loop {
            if let Some(pointer) = shape.schema.get("$ref").and_then(Json::as_str) {
                let target = pointer
                    .strip_prefix('#')
                    .and_then(|path| self.root.pointer(path));
                let Some(schema) = target else { return shape };
                shape = Self { schema, ..self };
            } else if let Some(options) = shape.schema.get("anyOf").and_then(Json::as_array) {
                let present = options
                    .iter()
                    .find(|option| option.get("type").and_then(Json::as_str) != Some("null"));
                let Some(schema) = present else { return shape };
                shape = Self { schema, ..self };
            } else {
                return shape;
            }
        }
    }

    fn kind(self) -> Option<&'a str> {
        match self.schema.get("type")? {
            Json::String(kind) => Some(kind),
            Json::Array(kinds) => kinds
                .iter()
                .filter_map(Json::as_str)
                .find(|kind| *kind != "null"),
            _ => None,
        }
    }

    /// The choices of a string that has a fixed set of them.
    fn choices(self) -> Vec<&'a str> {
        if let Some(list) = self.schema.get("enum").and_then(Json::as_array) {
            return list.iter().filter_map(Json::as_str).collect();
        }
        let alternatives = self.schema.get("oneOf").and_then(Json::as_array);
        alternatives
            .into_iter()
            .flatten()
            .flat_map(|option| match option.get("enum").and_then(Json::as_array) {
                Some(list) => list.iter().collect::<Vec<_>>(),
                None => option.get("const").into_iter().collect(),
            })
            .filter_map(Json::as_str)
            .collect()
    }

    fn node(self, path: &str, name: &str, node: &Node, problems: &mut Vec<Problem>) {
        let shape = self.resolved();
        match (&node.value, shape.kind()) {
            (Value::Table(members), Some("object")) => shape.table(path, node, members, problems),
            (Value::Array(items), Some("array")) => {
                let Some(schema) = shape.schema.get("items") else {
                    return;
                };
                for (position, item) in items.iter().enumerate() {
                    let inner = Self { schema, ..shape };
                    inner.node(&format!("{path}[{position}]"), name, item, problems);
                }
            }
            (Value::String(text), _) if shape.is_text() => {
                problems.extend(shape.choice(path, name, node, text));
            }
            (Value::Other(Json::Number(number)), Some("integer")) => {
                problems.extend(shape.range(path, node, number));
            }
            (Value::Other(Json::Bool(_)), Some("boolean")) => {}
            (value, _) => problems.push(shape.wrong_kind(path, node, value)),
        }
    }

    fn table(
        self,
        path: &str,
        node: &Node,
        members: &BTreeMap<String, Node>,
        problems: &mut Vec<Problem>,
    ) {
        for (key, member) in members {
            match self.member(key) {
                Some(shape) => shape.node(&child(path, key), key, member, problems),
                None => problems.push(self.unknown(path, key, member)),
            }
        }
        let required = self.schema.get("required").and_then(Json::as_array);
        let known = self.members();
        // A misspelt key is one problem, not a second one for the key it was
        // meant to be.
        let misspelt = |key: &str| {
            let unknown = members
                .keys()
                .filter(|written| !known.contains(&written.as_str()));
            unknown
                .filter_map(|written| nearest(written, &known))
                .any(|meant| meant == key)
        };
        for key in required.into_iter().flatten().filter_map(Json::as_str) {
            if !members.contains_key(key) && !misspelt(key) {
                let message = format!("`{}` is missing `{key}`", display(path));
                let problem = Problem::new(child(path, key), node.place.clone(), message);
                problems.push(problem.help(format!("add `{key} = …` to this table")));
            }
        }
    }

    fn unknown(self, path: &str, key: &str, member: &Node) -> Problem {
        let full = child(path, key);
        let table = without_positions(path);
        if let Some(instead) = later::key(&table, key) {
            let message = format!("`{full}` is not in this release");
            return Problem::new(full, member.place.clone(), message).help(instead);
        }
        let problem = Problem::new(
            full.clone(),
            member.place.clone(),
            format!("unknown key `{full}`"),
        );
        if let Some(help) = secret_help(&table, key) {
            return problem.help(help);
        }
        let known = self.members();
        if let Some(near) = nearest(key, &known) {
            return problem.help(format!("did you mean `{near}`?"));
        }
        match self.elsewhere(key) {
            Some((table, near)) => problem.help(format!("did you mean `{near}` of `{table}`?")),
            None => problem.help(format!("valid here: {}", list(&known))),
        }
    }

    /// The closest key of another table, and that table's heading.
    fn elsewhere(self, key: &str) -> Option<(String, &'a str)> {
        let mut tables = Vec::new();
        Self::of(self.root).tables("", &mut tables);
        let near = tables.into_iter().filter_map(|(heading, shape)| {
            let near = nearest(key, &shape.members())?;
            Some((heading, near))
        });
        near.min_by_key(|(_, name)| strsim::damerau_levenshtein(key, name))
    }

    /// Every table beneath this one, with its heading.
    fn tables(self, path: &str, found: &mut Vec<(String, Self)>) {
        for key in self.members() {
            let Some(member) = self.member(key) else {
                continue;
            };
            let path = child(path, key);
            let items = member
                .schema
                .get("items")
                .map(|schema| Self { schema, ..self }.resolved());
            let (table, heading) = match items {
                Some(items) => (items, format!("[[{path}]]")),
                None => (member, format!("[{path}]")),
            };
            if !table.members().is_empty() {
                found.push((heading, table));
                table.tables(&path, found);
            }
        }
    }

    fn choice(self, path: &str, name: &str, node: &Node, text: &str) -> Option<Problem> {
        let choices = self.choices();
        if choices.is_empty() || choices.contains(&text) {
            return None;
        }
        let problem = |message: String| Problem::new(path, node.place.clone(), message);
        if let Some(instead) = later::value(name, text) {
            return Some(
                problem(format!("`{path} = \"{text}\"` is not in this release")).help(instead),
            );
        }
        let unknown = problem(format!("unknown value `{text}` for `{path}`"));
        Some(match nearest(text, &choices) {
            Some(near) => unknown.help(format!("did you mean `{near}`?")),
            None => unknown.help(format!("one of: {}", list(&choices))),
        })
    }

    fn range(self, path: &str, node: &Node, number: &serde_json::Number) -> Option<Problem> {
        let least = self
            .schema
            .get("minimum")
            .and_then(Json::as_f64)
            .unwrap_or(0.0);
        let fits = number
            .as_u64()
            .is_some_and(|value| u32::try_from(value).is_ok())
            && number.as_f64().is_some_and(|value| value >= least);
        (!fits).then(|| {
            let message = format!("`{path}` takes a whole number from {least} to {}", u32::MAX);
            Problem::new(path, node.place.clone(), message)
        })
    }

    fn wrong_kind(self, path: &str, node: &Node, value: &Value) -> Problem {
        let message = format!(
            "`{}` takes {}, not {}",
            display(path),
            self.wanted(),
            value.kind()
        );
        let problem = Problem::new(path, node.place.clone(), message);
        match (self.kind(), value) {
            (Some("array"), Value::Table(_)) => problem.help(format!("write `[[{path}]]`")),
            (Some("object"), Value::Array(_)) => problem.help(format!("write `[{path}]`")),
            _ => problem,
        }
    }
}

/// The valid name closest to what was written, when one is close enough to be
/// what was meant.
pub(crate) fn nearest<'a>(written: &str, valid: &[&'a str]) -> Option<&'a str> {
    let lowered = written.to_lowercase().replace('-', "_");
    let distance = |name: &str| strsim::damerau_levenshtein(&lowered, &name.to_lowercase());
    let closest = valid.iter().copied().min_by_key(|name| distance(name))?;
    let allowed = (closest.chars().count() / 3).clamp(1, 4);
    let starts = lowered.len() >= 3 && closest.starts_with(&lowered);
    (distance(closest) <= allowed || starts).then_some(closest)
}

/// Names in a sentence.
pub(crate) fn list(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A secret written where only its file may be named.
fn secret_help(table: &str, key: &str) -> Option<&'static str> {
    match (table, key) {
        ("store", "key_encryption_key") => Some(
            "secrets never stand in this file: name the key's file with `key_encryption_key_file`, or set KEYBOUND_STORE__KEY_ENCRYPTION_KEY",
        ),
        ("gateway", "nonce_secret") => Some(
            "secrets never stand in this file: name the secret's file with `nonce_secret_file`, or set KEYBOUND_GATEWAY__NONCE_SECRET",
        ),
        ("issuer", "nonce_secret") => Some(
            "secrets never stand in this file: name the secret's file with `nonce_secret_file`, or set KEYBOUND_ISSUER__NONCE_SECRET",
        ),
        ("issuer.registration", "token") => Some(
            "secrets never stand in this file: name the token's file with `token_file`, or set KEYBOUND_ISSUER__REGISTRATION__TOKEN",
        ),
        ("issuer.client[]", "secret") => {
            Some("secrets never stand in this file: name the secret's file with `secret_file`")
        }
        _ => None,
    }
}

fn display(path: &str) -> &str {
    if path.is_empty() { "the file" } else { path }
}

/// `gateway.route[3]` as `gateway.route[]`.
fn without_positions(path: &str) -> String {
    path.chars()
        .filter(|character| !character.is_ascii_digit())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_one_that_was_probably_meant() {
        let valid = ["listen", "url", "replay", "key_encryption_key_file"];
        assert_eq!(nearest("listn", &valid), Some("listen"));
        assert_eq!(nearest("lisetn", &valid), Some("listen"));
        assert_eq!(nearest("URL", &valid), Some("url"));
        assert_eq!(
            nearest("key-encryption-key-file", &valid),
            Some("key_encryption_key_file")
        );
        assert_eq!(nearest("colour", &valid), None);
    }
}
