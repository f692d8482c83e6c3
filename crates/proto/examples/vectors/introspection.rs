//! Vectors about answers of introspection endpoints (RFC 7662 section 2.2, RFC 9701 section 5).

use serde_json::{Value, json};

use crate::make::{ISSUER, NOW, RESOURCE, Who, jkt, jwk, jws, with};

/// Opaque: its text means nothing to anybody but the issuer.
const TOKEN: &str = "2YotnFZFEjr1zCsicMWpAA";
const RECIPIENT: &str = "gateway-1";

/// SC-210, SC-212, SC-239 and what an endpoint can do wrong.
pub(crate) fn file() -> Value {
    let mut key = jwk(Who::Issuer);
    key["kid"] = "kb-1".into();
    json!({
        "about": "What a resource server makes of an introspection endpoint's answer about an opaque token. The request \
                  carries the token and a good proof by the key `agent`. `status`, `content_type` and `body` are the \
                  endpoint's answer; `form` says which form of answer is configured. `under_way` are questions the \
                  endpoint has not answered yet, of this request's peer and of others, where `at_once` may be at the \
                  endpoint and eight times as many wait.",
        "server": {
            "issuer": ISSUER, "jwks": {"keys": [key]}, "algorithms": ["ES256", "EdDSA"], "resource": RESOURCE,
            "recipient": RECIPIENT, "ahead": 10,
        },
        "token": TOKEN,
        "groups": [plain(), signed(), exchange()],
    })
}

fn answer() -> Value {
    json!({
        "active": true, "iss": ISSUER, "sub": "payments-batch", "client_id": "payments-batch", "aud": RESOURCE,
        "scope": "approvals:read", "exp": NOW + 290, "iat": NOW - 10, "token_type": "DPoP",
        "cnf": {"jkt": jkt(Who::Agent)},
    })
}

fn vector(id: &str, comment: &str, expect: &str, body: &str) -> Value {
    json!({
        "id": format!("introspection-{id}"), "comment": comment, "expect": expect, "now": NOW, "form": "json",
        "status": 200, "content_type": "application/json", "body": body,
    })
}

fn plain() -> Value {
    let changed = |id: &str, comment: &str, expect: &str, change: Value| {
        let body = with(answer(), &change).to_string();
        vector(id, comment, expect, &body)
    };
    json!({
        "name": "JSON answers",
        "section": "RFC 7662 section 2.2",
        "vectors": [
            vector("inactive", "not active", "token.inactive", r#"{"active":false}"#),
            changed("inactive-rich", "not active, whatever else is said", "token.inactive", json!({"active": false})),
            vector("no-active", "no member active", "introspection.invalid", r#"{"sub":"a"}"#),
            changed("active-text", "active as text", "introspection.invalid", json!({"active": "true"})),
            vector("active-twice", "active said twice", "introspection.invalid", r#"{"active":false,"active":true}"#),
            vector("array", "not an object", "introspection.invalid", "[true]"),
            changed("cnf-lost", "token_type DPoP and no cnf (SC-210)", "introspection.invalid", json!({"cnf": null})),
            changed("cnf-bearer", "cnf.jkt and token_type Bearer", "introspection.invalid", json!({"token_type": "Bearer"})),
            changed("cnf-malformed", "a thumbprint that is none", "introspection.invalid", json!({"cnf": {"jkt": "x"}})),
            changed("unbound", "bound to nothing", "token.unbound", json!({"cnf": null, "token_type": "Bearer"})),
            changed("other-key", "bound to another key", "token.key_mismatch", json!({"cnf": {"jkt": jkt(Who::Thief)}})),
            changed("other-issuer", "in another issuer's name (SC-241)", "introspection.invalid", json!({"iss": "https://other.example"})),
            changed("other-audience", "for another resource", "token.audience.mismatch", json!({"aud": "https://other.example/"})),
            changed("expired", "expired this very second", "token.expired", json!({"exp": NOW})),
            changed("early", "not valid before a minute from now", "token.not_yet_valid", json!({"nbf": NOW + 60})),
            changed("exp-absent", "no exp", "token.claim.invalid", json!({"exp": null})),
            changed("sub-absent", "no sub", "token.claim.invalid", json!({"sub": null})),
            changed("aud-absent", "no aud", "token.claim.invalid", json!({"aud": null})),
            changed("exp-text", "exp as text", "token.claim.invalid", json!({"exp": "soon"})),
            changed("good", "a good answer", "ok", json!({})),
            changed("good-short", "what may be left out is", "ok", json!({"iss": null, "iat": null, "token_type": null})),
        ],
    })
}

fn signed() -> Value {
    let header = || json!({"typ": "token-introspection+jwt", "alg": "EdDSA", "kid": "kb-1"});
    let claims =
        || json!({"iss": ISSUER, "aud": RECIPIENT, "iat": NOW, "token_introspection": answer()});
    let vector = |id: &str, comment: &str, expect: &str, body: String| {
        let mut vector = vector(id, comment, expect, &body);
        vector["form"] = "signed".into();
        vector["content_type"] = "application/token-introspection+jwt".into();
        vector
    };
    let changed = |id: &str, comment: &str, expect: &str, change: Value| {
        let text = jws(&header(), &with(claims(), &change), Who::Issuer);
        vector(id, comment, expect, text)
    };
    let headed = |id: &str, comment: &str, expect: &str, change: Value| {
        let text = jws(&with(header(), &change), &claims(), Who::Issuer);
        vector(id, comment, expect, text)
    };
    let invalid = "introspection.invalid";
    json!({
        "name": "signed answers",
        "section": "RFC 9701 section 5",
        "vectors": [
            headed("signed-typ", "an access token's type", invalid, json!({"typ": "at+jwt"})),
            headed("signed-none", "alg none", invalid, json!({"alg": "none"})),
            headed("signed-kid", "a kid the issuer does not publish", invalid, json!({"kid": "kb-2"})),
            vector("signed-stranger", "signed by somebody else (SC-239)", invalid, jws(&header(), &claims(), Who::Stranger)),
            changed("signed-issuer", "in another issuer's name", invalid, json!({"iss": "https://other.example"})),
            changed("signed-audience", "for another resource server", invalid, json!({"aud": "gateway-2"})),
            changed("signed-old", "a minute and a second old", invalid, json!({"iat": NOW - 61})),
            changed("signed-early", "made in the future", invalid, json!({"iat": NOW + 11})),
            changed("signed-empty", "no answer inside", invalid, json!({"token_introspection": null})),
            changed("signed-inactive", "not active", "token.inactive", json!({"token_introspection": {"active": false}})),
            changed("signed-good", "a good answer", "ok", json!({})),
        ],
    })
}

fn exchange() -> Value {
    let unavailable = "introspection.unavailable";
    let good = answer().to_string();
    let with_member = |mut vector: Value, member: &str, value: Value| {
        vector[member] = value;
        vector
    };
    let status = |id: &str, comment: &str, status: u16| {
        with_member(
            vector(id, comment, unavailable, &good),
            "status",
            status.into(),
        )
    };
    let busy = |id: &str, comment: &str, expect: &str, own: u32, others: u32| {
        let waiting = json!({"own": own, "others": others});
        let vector = with_member(vector(id, comment, expect, &good), "under_way", waiting);
        with_member(vector, "at_once", 1.into())
    };
    let html = vector(
        "html",
        "a page instead of JSON",
        unavailable,
        "<html></html>",
    );
    let plain_for_signed = vector(
        "unsigned",
        "JSON where a signed answer is configured",
        unavailable,
        &good,
    );
    let huge = format!("{{\"active\":true,\"x\":\"{}\"}}", "x".repeat(65_536));
    json!({
        "name": "the exchange",
        "section": "RFC 7662 sections 2.1 and 2.3",
        "vectors": [
            status("500", "the endpoint fails", 500),
            status("401", "the endpoint does not know the resource server", 401),
            status("302", "the endpoint redirects", 302),
            status("204", "another success", 204),
            with_member(html, "content_type", "text/html".into()),
            with_member(plain_for_signed, "form", "signed".into()),
            vector("huge", "more than 64 KiB", unavailable, &huge),
            busy("flood", "this peer has its share of questions", "introspection.flood", 5, 0),
            busy("busy", "every place is taken by others", "introspection.busy", 0, 9),
        ],
    })
}
