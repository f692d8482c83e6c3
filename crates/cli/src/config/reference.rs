//! `docs/reference/config.md`, made from the JSON Schema of the model, so that
//! the reference cannot say anything the program does not do.

use serde_json::Value as Json;

/// The reference as Markdown.
pub(crate) fn markdown(schema: &Json) -> String {
    let mut page = String::from(INTRODUCTION);
    let root = Table {
        root: schema,
        schema,
        name: String::new(),
        list: false,
    };
    root.children(&mut page);
    page
}

/// One table of the file.
struct Table<'a> {
    root: &'a Json,
    schema: &'a Json,
    name: String,
    list: bool,
}

impl Table<'_> {
    fn write(&self, page: &mut String) {
        let heading = if self.list {
            format!("[[{}]]", self.name)
        } else {
            format!("[{}]", self.name)
        };
        let about = text(self.schema, "description");
        page.push_str(&format!("\n## `{heading}`\n\n{about}\n\n"));
        page.push_str("| key | takes | default | meaning |\n|---|---|---|---|\n");
        let keys = self
            .members()
            .into_iter()
            .filter(|(_, member)| self.table_of(member).is_none());
        let (required, optional): (Vec<_>, Vec<_>) = keys.partition(|(key, _)| self.requires(key));
        for (key, member) in required.into_iter().chain(optional) {
            self.row(page, key, member);
        }
        self.children(page);
    }

    fn requires(&self, key: &str) -> bool {
        let required = self.schema.get("required").and_then(Json::as_array);
        required.is_some_and(|all| all.iter().any(|name| name == key))
    }

    fn children(&self, page: &mut String) {
        let mut members = self.members();
        // The sections in the order a configuration is written, tables beneath
        // them by name.
        members.sort_by_key(|(key, _)| {
            super::show::SECTIONS
                .iter()
                .position(|section| section == key)
        });
        for (key, member) in members {
            if let Some((schema, list)) = self.table_of(member) {
                let name = super::tree::child(&self.name, key);
                let table = Table {
                    root: self.root,
                    schema,
                    name,
                    list,
                };
                table.write(page);
            }
        }
    }

    fn row(&self, page: &mut String, key: &str, member: &Json) {
        let default = match member.get("default").or_else(|| self.default_of(key)) {
            _ if self.requires(key) => "required".to_owned(),
            None | Some(Json::Null) => "none".to_owned(),
            Some(Json::Array(items)) if items.is_empty() => "`[]`".to_owned(),
            Some(value) => format!("`{value}`"),
        };
        let takes = self.takes(member);
        let about = text(member, "description").replace('|', "\\|");
        page.push_str(&format!("| `{key}` | {takes} | {default} | {about} |\n"));
    }

    /// The default of a key whose table has one as a whole.
    fn default_of(&self, key: &str) -> Option<&Json> {
        self.schema.get("default")?.get(key)
    }

    fn members(&self) -> Vec<(&str, &Json)> {
        let properties = self.schema.get("properties").and_then(Json::as_object);
        properties
            .map(|members| {
                members
                    .iter()
                    .map(|(key, value)| (key.as_str(), value))
                    .collect()
            })
            .unwrap_or_default()
    }

    /// The schema of the table a key holds, and whether it holds a list.
    fn table_of<'a>(&'a self, member: &'a Json) -> Option<(&'a Json, bool)> {
        let schema = self.resolve(member);
        if schema.get("properties").is_some() {
            return Some((schema, false));
        }
        let items = self.resolve(schema.get("items")?);
        items.get("properties").map(|_| (items, true))
    }

    fn resolve<'a>(&'a self, schema: &'a Json) -> &'a Json {
        if let Some(options) = schema.get("anyOf").and_then(Json::as_array) {
            let present = options.iter().find(|option| option.get("$ref").is_some());
            return present.map_or(schema, |option| self.resolve(option));
        }
        let pointer = schema.get("$ref").and_then(Json::as_str);
        let target = pointer.and_then(|pointer| self.root.pointer(pointer.strip_prefix('#')?));
        target.map_or(schema, |found| self.resolve(found))
    }

    fn takes(&self, member: &Json) -> String {
        let schema = self.resolve(member);
        let choices = choices(schema);
        if !choices.is_empty() {
            return choices.join(", ");
        }
        let kind = match schema.get("type") {
            Some(Json::Array(kinds)) => kinds.first().and_then(Json::as_str),
            Some(kind) => kind.as_str(),
            None => None,
        };
        match kind {
            Some("array") => match schema.get("items") {
                Some(items) => format!("list of {}", self.takes(items)),
                None => "list".to_owned(),
            },
            Some("object") => match schema.get("additionalProperties") {
                Some(inner) if inner.is_object() => format!("table of {}", self.takes(inner)),
                _ => "table".to_owned(),
            },
            Some("boolean") => "`true`, `false`".to_owned(),
            Some("integer") => "whole number".to_owned(),
            _ => "text".to_owned(),
        }
    }
}

fn choices(schema: &Json) -> Vec<String> {
    let plain = schema.get("enum").and_then(Json::as_array);
    let described = schema.get("oneOf").and_then(Json::as_array);
    let described = described
        .into_iter()
        .flatten()
        .filter_map(|option| option.get("const"));
    plain
        .into_iter()
        .flatten()
        .chain(described)
        .filter_map(Json::as_str)
        .map(|choice| format!("`{choice}`"))
        .collect()
}

/// A text member, on one line.
fn text(schema: &Json, member: &str) -> String {
    let text = schema
        .get(member)
        .and_then(Json::as_str)
        .unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

const INTRODUCTION: &str = "\
# Configuration

`keybound serve` reads one TOML file and starts whichever of `[issuer]`, `[gateway]` and `[control]` it has.
`keybound init` writes a complete one, `keybound config validate` checks one without touching the network,
`keybound config show` prints the effective values and where each came from, and `keybound config schema` prints the
JSON Schema this page is made from.

- **Which file:** `--config`, else `KEYBOUND_CONFIG`, else the text of `KEYBOUND_CONFIG_TOML`, else the first that exists of
  `/etc/keybound/keybound.toml`, `$XDG_CONFIG_HOME/keybound/config.toml` and `./keybound.toml`.
- **Overrides:** `KEYBOUND_SECTION__KEY` overrides `section.key`; deeper keys have more `__`
  (`KEYBOUND_ISSUER__TOKENS__ACCESS_TTL=2m`). Text keys take the value as it is, all others a TOML value.
- **Unknown keys are errors** that name file, line, column and the nearest valid key.
- **Secrets never stand in the file.** A key ending in `_file` names a file with mode 0600, or a variable holds the secret.
- **Paths** start from the directory of the file.
- **Durations** are a whole number and `s`, `m`, `h` or `d`.
- **Listeners** without TLS are on loopback. `[issuer.tls]` and `[gateway.tls]` listen anywhere; see the
  [guide](../guides/mutual-tls.md) for TLS and for terminators in front.
";
