//! Keys and values of features that later releases bring. Whoever writes one
//! has read the documentation of the product, not made a typo, so the answer
//! says what this release supports.

/// A key that a later release brings.
struct LaterKey {
    /// The table it stands in, with `[]` for list elements; empty is the root.
    table: &'static str,
    key: &'static str,
    instead: &'static str,
}

/// A value that a later release brings.
struct LaterValue {
    /// The last part of the key.
    key: &'static str,
    values: &'static [&'static str],
    instead: &'static str,
}

/// What to say about a key that a later release brings.
pub(crate) fn key(table: &str, name: &str) -> Option<&'static str> {
    LATER_KEYS
        .iter()
        .find(|later| later.table == table && later.key == name)
        .map(|later| later.instead)
}

/// What to say about a value that a later release brings. A value matches
/// when it is one of those listed or begins with one that ends in `:`.
pub(crate) fn value(name: &str, given: &str) -> Option<&'static str> {
    let matches =
        |known: &&str| *known == given || (known.ends_with(':') && given.starts_with(*known));
    LATER_VALUES
        .iter()
        .find(|later| later.key == name && later.values.iter().any(&matches))
        .map(|later| later.instead)
}

const LATER_KEYS: &[LaterKey] = &[
    LaterKey {
        table: "issuer",
        key: "trust",
        instead: "workload federation follows in a later release; this one authenticates clients with private_key_jwt or client_secret_basic",
    },
    LaterKey {
        table: "gateway.route[]",
        key: "policy",
        instead: "policies follow in a later release; this one decides by audience and scopes",
    },
];

const LATER_VALUES: &[LaterValue] = &[
    LaterValue {
        key: "enforcement",
        values: &["observe", "prefer"],
        instead: "this release supports `require` and `off`; `observe` and `prefer` follow in a later one",
    },
    LaterValue {
        key: "replay",
        values: &[
            "redis:",
            "rediss:",
            "valkey:",
            "postgres:",
            "postgresql:",
            "memory",
        ],
        instead: "the issuer remembers proofs in its store, in the transaction that records the token; `store` is the only value",
    },
    LaterValue {
        key: "url",
        values: &["postgres:", "postgresql:"],
        instead: "this release stores in SQLite (`sqlite:/path/to/keybound.db`); PostgreSQL follows in a later one",
    },
    LaterValue {
        key: "signals",
        values: &["push"],
        instead: "this release supports `poll`; `push` follows in a later one",
    },
    LaterValue {
        key: "auth",
        values: &["spiffe_jwt", "attest_jwt_client_auth"],
        instead: "this release supports `none`, `private_key_jwt`, `client_secret_basic`, `tls_client_auth` and `self_signed_tls_client_auth`; other methods follow in a later one",
    },
    LaterValue {
        key: "grants",
        values: &["urn:ietf:params:oauth:grant-type:device_code"],
        instead: "this release supports `client_credentials`, `authorization_code`, `refresh_token` and token exchange; other grants follow in a later one",
    },
];
