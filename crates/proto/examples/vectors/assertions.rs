//! Vectors about client assertions (RFC 7523 section 3).

use serde_json::{Value, json};

use crate::make::{ISSUER, NOW, Who, jwk, jws, with};

/// SC-300 to SC-302.
pub(crate) fn file() -> Value {
    let header = || json!({"alg": "EdDSA", "typ": "JWT", "kid": "agent-1"});
    let claims = || json!({"iss": "agent", "sub": "agent", "aud": ISSUER, "jti": "a1", "iat": NOW, "exp": NOW + 60});
    let vector = |id: &str, comment: &str, expect: &str, assertion: String| json!({"id": id, "comment": comment, "expect": expect, "now": NOW, "assertion": assertion});
    let changed = |id: &str, comment: &str, expect: &str, change: Value| {
        vector(
            id,
            comment,
            expect,
            jws(&header(), &with(claims(), &change), Who::Agent),
        )
    };
    let headed = |id: &str, comment: &str, expect: &str, change: Value| {
        vector(
            id,
            comment,
            expect,
            jws(&with(header(), &change), &claims(), Who::Agent),
        )
    };
    json!({
        "about": "Client assertions at an authorization server. Each meets an empty replay log.",
        "server": {"issuer": ISSUER, "algorithms": ["ES256", "EdDSA"], "max_lifetime": 3600, "ahead": 10},
        "client": {"client_id": "agent", "keys": [with(jwk(Who::Agent), &json!({"kid": "agent-1"}))]},
        "vectors": [
            changed("assertion-audience-list", "an array, even of the right one (SC-300)", "assertion.audience", json!({"aud": [ISSUER]})),
            changed("assertion-audience-endpoint", "the endpoint's URL (SC-300)", "assertion.audience", json!({"aud": format!("{ISSUER}/token")})),
            changed("assertion-audience-absent", "no aud", "assertion.audience", json!({"aud": null})),
            changed("assertion-expired", "five minutes past (SC-302)", "assertion.expired", json!({"exp": NOW - 300})),
            changed("assertion-expires-now", "expired this very second", "assertion.expired", json!({"exp": NOW})),
            changed("assertion-long", "lives for more than an hour", "assertion.expired", json!({"exp": NOW + 3601})),
            changed("assertion-exp-absent", "no exp", "assertion.claim", json!({"exp": null})),
            changed("assertion-exp-string", "exp as a string (SC-033)", "assertion.claim", json!({"exp": "9"})),
            changed("assertion-sub-absent", "no sub (SC-302)", "assertion.claim", json!({"sub": null})),
            changed("assertion-sub-other", "sub unlike iss", "assertion.claim", json!({"sub": "other"})),
            changed("assertion-jti-absent", "no jti", "assertion.claim", json!({"jti": null})),
            changed("assertion-nbf-future", "nbf over 60 s ahead (SC-302)", "assertion.not_yet_valid", json!({"nbf": NOW + 61})),
            changed("assertion-iat-future", "iat over 60 s ahead (SC-302)", "assertion.not_yet_valid", json!({"iat": NOW + 61})),
            headed("assertion-rs256", "an algorithm that is not allowed (SC-302)", "assertion.malformed", json!({"alg": "RS256"})),
            headed("assertion-none", "alg none", "assertion.malformed", json!({"alg": "none"})),
            headed("assertion-typ", "a proof as an assertion", "assertion.malformed", json!({"typ": "dpop+jwt"})),
            headed("assertion-kid", "a kid the client did not register", "assertion.signature", json!({"kid": "agent-2"})),
            vector("assertion-other-key", "signed by a stranger", "assertion.signature", jws(&header(), &claims(), Who::Stranger)),
            vector("assertion-garbage", "not a JWT", "assertion.malformed", "x.y".to_owned()),
            changed("assertion-latest", "iat and nbf as far ahead as is taken", "ok", json!({"nbf": NOW + 10, "iat": NOW + 10})),
            changed("assertion-longest", "lives for exactly an hour", "ok", json!({"exp": NOW + 3600})),
            changed("assertion-longest-jti", "jti of 256 bytes", "ok", json!({"jti": "j".repeat(256)})),
            changed("assertion-jti-long", "jti of 257 bytes", "assertion.claim", json!({"jti": "j".repeat(257)})),
            changed("assertion-nbf-skew", "nbf 8 s ahead (SC-302)", "ok", json!({"nbf": NOW + 8, "iat": NOW + 8})),
            changed("assertion-good", "a good assertion", "ok", json!({})),
        ],
    })
}
