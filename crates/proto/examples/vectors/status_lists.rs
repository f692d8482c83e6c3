//! Vectors about status lists (draft-ietf-oauth-status-list-21 section 8.3).

use serde_json::{Value, json};

use crate::make::{ISSUER, NOW, Who, jwk, jws, with};

const URI: &str = "https://auth.example.com/status/1";

/// The draft's own list at two bits: 1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3.
const LIST: &str = "eNo76fITAAPfAgc";

/// SC-221.
pub(crate) fn file() -> Value {
    let mut key = jwk(Who::Issuer);
    key["kid"] = "kb-1".into();
    let header = || json!({"typ": "statuslist+jwt", "alg": "EdDSA", "kid": "kb-1"});
    let claims = || json!({"sub": URI, "iat": NOW - 10, "exp": NOW + 600, "ttl": 300, "status_list": {"bits": 2, "lst": LIST}});
    let vector = |id: &str, comment: &str, expect: &str, status: Value, list: String| {
        json!({
            "id": format!("status-{id}"), "comment": comment, "expect": expect, "now": NOW, "rule": "check",
            "status": status, "http_status": 200, "content_type": "application/statuslist+jwt", "list": list,
        })
    };
    let at = |index: u64| json!({"status_list": {"idx": index, "uri": URI}});
    let good = || jws(&header(), &claims(), Who::Issuer);
    let place = |id: &str, comment: &str, expect: &str, index: u64| {
        vector(id, comment, expect, at(index), good())
    };
    let changed = |id: &str, comment: &str, change: Value| {
        let list = jws(&header(), &with(claims(), &change), Who::Issuer);
        vector(id, comment, "status_list.invalid", at(2), list)
    };
    let with_member = |mut vector: Value, member: &str, value: Value| {
        vector[member] = value;
        vector
    };
    let stranger = jws(&header(), &claims(), Who::Stranger);
    let untyped = jws(
        &with(header(), &json!({"typ": "JWT"})),
        &claims(),
        Who::Issuer,
    );
    json!({
        "about": "A token whose `status` is the given one, at a resource server that looks at status lists by `rule` \
                  (`check`: where the token names a place; `require`: always). Token, proof and binding are good. \
                  `list` is what the address of the list answers.",
        "server": {"issuer": ISSUER, "jwks": {"keys": [key]}, "algorithms": ["ES256", "EdDSA"], "ahead": 10},
        "vectors": [
            place("revoked", "status 1", "token.status.invalid", 0),
            place("suspended", "status 2", "token.status.suspended", 1),
            place("other", "a status with a meaning of the issuer's own", "token.status.unknown", 3),
            place("beyond", "a place past the end of the list (SC-221)", "token.status.unknown", 12),
            place("huge", "a place far past the end", "token.status.unknown", u64::MAX),
            vector("unreadable", "a status in another form", "token.status.unknown", json!({"other": 1}), good()),
            with_member(
                vector("absent", "no status where one is required", "token.status.unknown", Value::Null, good()),
                "rule", "require".into(),
            ),
            vector("stranger", "a list of somebody else (SC-221)", "status_list.invalid", at(2), stranger),
            vector("type", "another kind of JWT", "status_list.invalid", at(2), untyped),
            changed("subject", "a list of another address", json!({"sub": "https://auth.example.com/status/2"})),
            changed("issuer", "in another issuer's name", json!({"iss": "https://other.example"})),
            changed("expired", "expired this very second (SC-221)", json!({"exp": NOW})),
            changed("early", "made in the future", json!({"iat": NOW + 11})),
            changed("ttl", "a ttl of nothing", json!({"ttl": 0})),
            changed("bits", "three bits", json!({"status_list": {"bits": 3, "lst": LIST}})),
            changed("deflate", "not a zlib stream", json!({"status_list": {"bits": 2, "lst": "AAAA"}})),
            with_member(place("down", "no list", "status_list.unavailable", 2), "http_status", 500.into()),
            with_member(place("html", "a page", "status_list.unavailable", 2), "content_type", "text/html".into()),
            vector(
                "elsewhere", "a list at an origin that is not the issuer's", "status_list.unavailable",
                json!({"status_list": {"idx": 2, "uri": "https://other.example/status/1"}}), good(),
            ),
            place("good", "status 0", "ok", 2),
            vector("none", "no status where none is required", "ok", Value::Null, good()),
        ],
    })
}
