//! The shapes of `--json`, made from the types that are printed.

use schemars::{JsonSchema, schema_for};
use serde_json::Value as Json;

use crate::commands::config::Validation;
use crate::commands::demo::DemoReport;
use crate::commands::dev::DevAddresses;
use crate::commands::init::Initialized;
use crate::commands::key::{KeyDescription, KeyList};
use crate::commands::lock::LockAnswer;
use crate::commands::login::LogInLink;
use crate::commands::probe::{ProfileList, Rehearsal};
use crate::commands::proof::{Explanation, NewProof};
use crate::commands::request::Answer;
use crate::commands::token::{Inspection, Revocation, TokenDescription};
use crate::commands::version::Version;
use crate::config::show::EffectiveConfig;

/// One table per shape.
pub(super) fn markdown() -> String {
    let mut page = String::from(HEAD);
    for (commands, schema) in shapes() {
        page.push_str(&format!(
            "\n### {commands}\n\n| member | type | meaning |\n|---|---|---|\n"
        ));
        rows(&schema, &schema, "", &mut page);
    }
    page
}

fn shapes() -> Vec<(&'static str, Json)> {
    vec![
        ("demo", shape::<DemoReport>()),
        ("dev", shape::<DevAddresses>()),
        ("init", shape::<Initialized>()),
        ("key new, key show", shape::<KeyDescription>()),
        ("key list", shape::<KeyList>()),
        ("token get", shape::<TokenDescription>()),
        ("token inspect", shape::<Inspection>()),
        ("token revoke", shape::<Revocation>()),
        ("lock, unlock", shape::<LockAnswer>()),
        ("login", shape::<LogInLink>()),
        ("request", shape::<Answer>()),
        ("proof new", shape::<NewProof>()),
        ("proof verify, proof explain", shape::<Explanation>()),
        ("probe rs, as, mcp, har", shape::<keybound_probe::Report>()),
        ("probe … --dry-run", shape::<Rehearsal>()),
        ("probe profiles", shape::<ProfileList>()),
        ("config validate", shape::<Validation>()),
        ("config show", shape::<EffectiveConfig>()),
        ("version", shape::<Version>()),
    ]
}

fn shape<T: JsonSchema>() -> Json {
    schema_for!(T).to_value()
}

fn rows(root: &Json, schema: &Json, prefix: &str, page: &mut String) {
    let required = schema.get("required").and_then(Json::as_array);
    let Some(members) = schema.get("properties").and_then(Json::as_object) else {
        return;
    };
    for (name, member) in members {
        let inner = resolve(root, member);
        let items = inner.get("items").map(|items| resolve(root, items));
        let is_required = required.is_some_and(|all| all.iter().any(|other| other == name));
        let kind = kind(inner, items, is_required);
        let about = [member, inner]
            .iter()
            .find_map(|schema| schema.get("description").and_then(Json::as_str))
            .unwrap_or_default();
        let about = about
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace('|', "\\|");
        page.push_str(&format!("| `{prefix}{name}` | {kind} | {about} |\n"));
        rows(root, inner, &format!("{prefix}{name}."), page);
        if let Some(items) = items {
            rows(root, items, &format!("{prefix}{name}[]."), page);
        }
    }
}

fn kind(schema: &Json, items: Option<&Json>, is_required: bool) -> String {
    let plain = |schema: &Json| match schema.get("type") {
        Some(Json::String(kind)) => kind.clone(),
        Some(Json::Array(kinds)) => {
            let kinds: Vec<&str> = kinds
                .iter()
                .filter_map(Json::as_str)
                .filter(|kind| *kind != "null")
                .collect();
            kinds.join(" or ")
        }
        _ => "any".to_owned(),
    };
    let kind = match items {
        Some(items) => format!("array of {}", plain(items)),
        None => plain(schema),
    };
    if is_required {
        kind
    } else {
        format!("{kind}, may be absent")
    }
}

fn resolve<'a>(root: &'a Json, schema: &'a Json) -> &'a Json {
    let pointer = schema.get("$ref").and_then(Json::as_str);
    let target = pointer.and_then(|pointer| root.pointer(pointer.strip_prefix('#')?));
    target.unwrap_or(schema)
}

const HEAD: &str = "
## What `--json` prints

Members are only added, never renamed or given another meaning, within a major version. `token introspect` prints the
issuer's answer (RFC 7662), or control's record for a handle; `events tail` prints one event per line with its
`sequence`.
";
