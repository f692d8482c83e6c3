//! Vectors about workloads: identity tokens and proof tokens (WIMSE).

use keybound_proto::base64url;
use keybound_proto::fields::FieldLines;
use keybound_proto::signature::{SignedRequest, SignedResponse};
use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;
use keybound_proto::uri::Origin;
use keybound_proto::workload::{
    SIGNATURE_LABEL, WorkloadSignatureRequest, sign_request, sign_response,
};
use serde_json::{Value, json};

use crate::make::{NOW, Who, jwk, jws, jws_of, pair, with};

const DOMAIN: &str = "wimse://example.com";
const SUBJECT: &str = "wimse://example.com/ns/prod/pay";
const URL: &str = "https://api.example.com/approvals";
const ACCESS_TOKEN: &str = "16_mAd0GiwaZokU26_0902100";
const TRANSACTION_TOKEN: &str = "dHhuLXRva2Vu.e30.e30";
const CONTEXT_TOKEN: &str = "context-token-1";

pub(crate) fn file() -> Value {
    json!({
        "about": "Requests of workloads to a resource server: `Workload-Identity-Token` and `Workload-Proof-Token`. \
                  Each vector meets an empty replay log.",
        "server": server(),
        "groups": [headers(), identity_form(), identity_claims(), identity_key(), identity_time(),
                   proof_form(), proof_claims_group(), proof_hashes(), judgement(), signed()],
    })
}

fn server() -> Value {
    let key = with(jwk(Who::Issuer), &json!({"kid": "wi-1", "alg": "EdDSA"}));
    json!({
        "trust_domains": [{"name": DOMAIN, "profile": "wimse", "issuers": [],
                           "max_lifetime": 3600, "ahead": 10, "bundle": {"keys": [key]}},
                          {"name": "wimse://listed.example", "profile": "wimse",
                           "issuers": ["https://wit.listed.example"],
                           "max_lifetime": 3600, "ahead": 10, "bundle": {"keys": [key]}}],
        "identities": ["wimse://example.com/ns/prod/*", "wimse://listed.example/one"],
        "audiences": ["payments-mesh"],
        "proof_algorithms": ["ES256", "EdDSA"],
        "proof_max_lifetime": 300,
        "ahead": 10,
        "other_tokens": ["context-token"],
        "max_token_bytes": 8192,
        "max_proof_bytes": 8192,
    })
}

fn wit_header() -> Value {
    json!({"typ": "wit+jwt", "alg": "EdDSA", "kid": "wi-1"})
}

fn wit_claims() -> Value {
    let key = with(jwk(Who::Agent), &json!({"alg": "EdDSA"}));
    json!({"sub": SUBJECT, "iat": NOW - 60, "exp": NOW + 3540, "jti": "wit-1", "cnf": {"jwk": key}})
}

fn wit() -> String {
    jws(&wit_header(), &wit_claims(), Who::Issuer)
}

fn hash(text: &str) -> String {
    TokenHash::of(text.as_bytes()).to_ath()
}

fn wpt_header() -> Value {
    json!({"typ": "wpt+jwt", "alg": "EdDSA"})
}

fn wpt_claims(wit: &str) -> Value {
    json!({"aud": URL, "exp": NOW + 60, "jti": "b1946ac92492d2347c6235b4d2611184", "wth": hash(wit)})
}

fn wpt(wit: &str) -> String {
    jws(&wpt_header(), &wpt_claims(wit), Who::Agent)
}

fn vector(id: &str, comment: &str, expect: &str, headers: &[(&str, &str)]) -> Value {
    json!({"id": id, "comment": comment, "expect": expect, "now": NOW, "url": URL, "headers": headers})
}

/// This identity token with a good proof for it.
fn with_wit(id: &str, comment: &str, expect: &str, wit: &str) -> Value {
    let headers = [
        ("Workload-Identity-Token", wit),
        ("Workload-Proof-Token", &wpt(wit)),
    ];
    vector(id, comment, expect, &headers)
}

fn wit_headed(id: &str, comment: &str, expect: &str, change: Value) -> Value {
    let header = with(wit_header(), &change);
    with_wit(
        id,
        comment,
        expect,
        &jws(&header, &wit_claims(), Who::Issuer),
    )
}

fn wit_changed(id: &str, comment: &str, expect: &str, change: Value) -> Value {
    let claims = with(wit_claims(), &change);
    with_wit(
        id,
        comment,
        expect,
        &jws(&wit_header(), &claims, Who::Issuer),
    )
}

/// The good identity token with this proof.
fn with_wpt(id: &str, comment: &str, expect: &str, wpt: &str) -> Value {
    let headers = [
        ("Workload-Identity-Token", &*wit()),
        ("Workload-Proof-Token", wpt),
    ];
    vector(id, comment, expect, &headers)
}

fn wpt_headed(id: &str, comment: &str, expect: &str, change: Value) -> Value {
    let header = with(wpt_header(), &change);
    with_wpt(
        id,
        comment,
        expect,
        &jws(&header, &wpt_claims(&wit()), Who::Agent),
    )
}

fn wpt_changed(id: &str, comment: &str, expect: &str, change: Value) -> Value {
    with_context(id, comment, expect, (change, &[]))
}

/// A changed proof at a server whose strict replay log began five seconds ago.
fn after_restart(id: &str, comment: &str, expect: &str, change: Value) -> Value {
    let mut vector = wpt_changed(id, comment, expect, change);
    vector["epoch"] = (NOW - 5).into();
    vector
}

/// A changed proof and further header fields.
fn with_context(
    id: &str,
    comment: &str,
    expect: &str,
    (change, more): (Value, &[(&str, &str)]),
) -> Value {
    let claims = with(wpt_claims(&wit()), &change);
    let wit = wit();
    let proof = jws(&wpt_header(), &claims, Who::Agent);
    let mut headers = vec![
        ("Workload-Identity-Token", &*wit),
        ("Workload-Proof-Token", &*proof),
    ];
    headers.extend(more);
    vector(id, comment, expect, &headers)
}

fn headers() -> Value {
    let (wit, wpt) = (wit(), wpt(&wit()));
    let both = format!("{wit}, {wit}");
    json!({"name": "header fields", "section": "draft-ietf-wimse-wpt section 2", "vectors": [
        vector("wimse-ok", "a plain good request", "ok", &[("Workload-Identity-Token", &wit), ("Workload-Proof-Token", &wpt)]),
        vector("wimse-nobody", "neither field", "authorization.absent", &[]),
        vector("wimse-proof-alone", "a proof without its identity token", "wimse.wit.absent", &[("Workload-Proof-Token", &wpt)]),
        vector("wimse-token-alone", "an identity token is no bearer token", "wimse.wpt.absent", &[("Workload-Identity-Token", &wit)]),
        vector("wimse-two-tokens", "the same identity token twice", "wimse.wit.multiple",
               &[("Workload-Identity-Token", &wit), ("Workload-Identity-Token", &wit), ("Workload-Proof-Token", &wpt)]),
        vector("wimse-joined-tokens", "two identity tokens in one line", "wimse.wit.multiple",
               &[("Workload-Identity-Token", &both), ("Workload-Proof-Token", &wpt)]),
        vector("wimse-two-proofs", "the same proof twice", "wimse.wpt.multiple",
               &[("Workload-Identity-Token", &wit), ("Workload-Proof-Token", &wpt), ("Workload-Proof-Token", &wpt)]),
        json!({"id": "wimse-replay", "comment": "one proof, two requests", "steps": [
            vector("first", "", "ok", &[("Workload-Identity-Token", &wit), ("Workload-Proof-Token", &wpt)]),
            vector("second", "", "wimse.wpt.replayed", &[("Workload-Identity-Token", &wit), ("Workload-Proof-Token", &wpt)]),
        ]}),
    ]})
}

fn identity_form() -> Value {
    let twice = r#"{"sub":"wimse://example.com/ns/prod/pay","exp":1800003540,"sub":"wimse://example.com/ns/prod/pay"}"#;
    let duplicate = jws_of(&wit_header().to_string(), twice, Who::Issuer);
    let long = jws(
        &wit_header(),
        &with(wit_claims(), &json!({"x": "x".repeat(8192)})),
        Who::Issuer,
    );
    json!({"name": "identity token: form", "section": "draft-ietf-wimse-workload-creds", "vectors": [
        with_wit("wit-garbage", "not a JWT", "wimse.wit.malformed", "x.y"),
        with_wit("wit-duplicate-claim", "sub twice", "wimse.wit.malformed", &duplicate),
        with_wit("wit-long", "beyond the largest token", "wimse.wit.size", &long),
        wit_headed("wit-typ-absent", "no typ", "wimse.wit.typ", json!({"typ": null})),
        wit_headed("wit-typ-access-token", "an access token's type", "wimse.wit.typ", json!({"typ": "at+jwt"})),
        wit_headed("wit-typ-proof", "a proof's type", "wimse.wit.typ", json!({"typ": "wpt+jwt"})),
        wit_headed("wit-typ-long", "the media type in full", "ok", json!({"typ": "application/wit+jwt"})),
        wit_headed("wit-alg-none", "not signed", "wimse.wit.alg", json!({"alg": "none"})),
        wit_headed("wit-alg-mac", "a MAC", "wimse.wit.alg", json!({"alg": "HS256"})),
        wit_headed("wit-alg-absent", "no alg", "wimse.wit.alg", json!({"alg": null})),
        wit_headed("wit-alg-refused", "an algorithm the trust domain may not use", "wimse.wit.alg", json!({"alg": "RS256"})),
        wit_headed("wit-crit", "an extension that must be understood", "wimse.wit.critical", json!({"crit": ["x"], "x": 1})),
        wit_headed("wit-own-key", "a key in its own header says nothing", "ok", json!({"jwk": jwk(Who::Stranger), "jku": "https://evil.example/jwks"})),
    ]})
}

fn identity_claims() -> Value {
    let subject = |id: &str, comment: &str, sub: Value| {
        wit_changed(id, comment, "wimse.wit.subject", json!({"sub": sub}))
    };
    let listed = |id: &str, expect: &str, iss: Value| {
        wit_changed(
            id,
            "a trust domain with a list of issuers",
            expect,
            json!({"sub": "wimse://listed.example/one", "iss": iss}),
        )
    };
    json!({"name": "identity token: claims", "section": "draft-ietf-wimse-workload-creds, draft-ietf-wimse-identifier", "vectors": [
        subject("wit-sub-absent", "no sub", Value::Null),
        subject("wit-sub-number", "sub of another type", json!(7)),
        subject("wit-sub-no-uri", "a bare name", json!("pay")),
        subject("wit-sub-dots", "dot segments (SC-178)", json!("wimse://example.com/ns/dev/../prod/pay")),
        subject("wit-sub-encoded", "needless percent-encoding (SC-178)", json!("wimse://example.com/ns/prod/p%61y")),
        subject("wit-sub-slash", "an encoded slash (SC-178)", json!("wimse://example.com/ns%2Fprod/pay")),
        subject("wit-sub-port", "a port", json!("wimse://example.com:443/ns/prod/pay")),
        subject("wit-sub-user", "a user", json!("wimse://a@example.com/ns/prod/pay")),
        subject("wit-sub-query", "a query", json!("wimse://example.com/ns/prod/pay?x")),
        subject("wit-sub-case", "a trust domain in upper case", json!("wimse://Example.com/ns/prod/pay")),
        subject("wit-sub-domain", "a trust domain, no workload", json!("wimse://example.com")),
        wit_changed("wit-scheme", "the issuer of one scheme speaks for another (SC-178)", "wimse.wit.trust_domain", json!({"sub": "spiffe://example.com/ns/prod/pay"})),
        wit_changed("wit-other-domain", "a trust domain nobody configured (SC-178)", "wimse.wit.trust_domain", json!({"sub": "wimse://example.net/ns/prod/pay"})),
        wit_changed("wit-sub-domain-suffix", "a trust domain that begins alike (SC-178)", "wimse.wit.trust_domain", json!({"sub": "wimse://example.com.evil.net/ns/prod/pay"})),
        listed("wit-iss-absent", "wimse.wit.issuer", Value::Null),
        listed("wit-iss-other", "wimse.wit.issuer", json!("https://wit.listed.example/")),
        listed("wit-iss-listed", "ok", json!("https://wit.listed.example")),
        wit_changed("wit-iss-unlisted", "no list: iss says nothing", "ok", json!({"iss": "https://anybody.example"})),
        wit_changed("wit-iss-number", "iss of another type", "wimse.wit.claim", json!({"iss": 7})),
        wit_changed("wit-jti-number", "jti of another type", "wimse.wit.claim", json!({"jti": 7})),
        wit_changed("wit-jti-absent", "no jti", "ok", json!({"jti": null})),
        wit_changed("wit-exp-absent", "no exp", "wimse.wit.claim", json!({"exp": null})),
        wit_changed("wit-exp-string", "exp as a string (SC-033)", "wimse.wit.claim", json!({"exp": "9999999999"})),
    ]})
}

fn identity_key() -> Value {
    let cnf = |id: &str, comment: &str, cnf: Value| {
        wit_changed(id, comment, "wimse.wit.cnf", json!({"cnf": cnf}))
    };
    let key = |change: Value| with(jwk(Who::Agent), &with(json!({"alg": "EdDSA"}), &change));
    let stranger = jws(&wit_header(), &wit_claims(), Who::Stranger);
    let (head, signature) = wit()
        .rsplit_once('.')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap_or_default();
    let mut bytes = base64url::decode(signature.as_bytes()).unwrap_or_default();
    if let Some(first) = bytes.first_mut() {
        *first ^= 1;
    }
    let altered = format!("{head}.{}", base64url::encode(&bytes));
    json!({"name": "identity token: keys", "section": "draft-ietf-wimse-workload-creds", "vectors": [
        with_wit("wit-stranger", "signed by nobody the trust domain knows", "wimse.wit.signature", &stranger),
        with_wit("wit-altered", "one bit of the signature changed", "wimse.wit.signature", &altered),
        wit_headed("wit-kid-unknown", "a kid the bundle does not have", "wimse.wit.key_unknown", json!({"kid": "wi-2"})),
        wit_headed("wit-kid-absent", "no kid: every key of the domain is tried", "ok", json!({"kid": null})),
        cnf("wit-cnf-absent", "no cnf", Value::Null),
        cnf("wit-cnf-empty", "cnf without a key", json!({})),
        cnf("wit-cnf-thumbprint", "only a thumbprint", json!({"jkt": "UDDReOZl1ipXAfp9wYsm13sDBMK5og--QWdBjzuf6o4"})),
        cnf("wit-cnf-two", "a key and a thumbprint", json!({"jwk": key(json!({})), "jkt": "UDDReOZl1ipXAfp9wYsm13sDBMK5og--QWdBjzuf6o4"})),
        cnf("wit-cnf-array", "cnf of another type", json!([])),
        cnf("wit-cnf-no-alg", "a key that does not say its algorithm", json!({"jwk": key(json!({"alg": null}))})),
        cnf("wit-cnf-alg", "an algorithm that does not fit the key", json!({"jwk": key(json!({"alg": "ES256"}))})),
        cnf("wit-cnf-alg-refused", "an algorithm that is not allowed", json!({"jwk": key(json!({"alg": "RS256"}))})),
        cnf("wit-cnf-mac", "a symmetric key", json!({"jwk": {"kty": "oct", "k": "AAAA", "alg": "HS256"}})),
        cnf("wit-cnf-private", "the private key", json!({"jwk": key(json!({"d": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"}))})),
    ]})
}

fn identity_time() -> Value {
    json!({"name": "identity token: time", "section": "draft-ietf-wimse-workload-creds", "vectors": [
        wit_changed("wit-expired", "expired this very second", "wimse.wit.expired", json!({"exp": NOW})),
        wit_changed("wit-last-second", "the last second", "ok", json!({"exp": NOW + 1})),
        wit_changed("wit-long-lived", "valid beyond the limit", "wimse.wit.lifetime", json!({"exp": NOW + 3601})),
        wit_changed("wit-longest-lived", "valid up to the limit", "ok", json!({"exp": NOW + 3600})),
        wit_changed("wit-iat-ahead", "issued in the future", "wimse.wit.not_yet_valid", json!({"iat": NOW + 11})),
        wit_changed("wit-nbf-ahead", "not valid yet", "wimse.wit.not_yet_valid", json!({"nbf": NOW + 11})),
        wit_changed("wit-iat-skew", "as far ahead as is taken", "ok", json!({"iat": NOW + 10, "nbf": NOW + 10})),
        wit_changed("wit-iat-absent", "no iat", "ok", json!({"iat": null})),
    ]})
}

fn proof_form() -> Value {
    let thief = jws(&wpt_header(), &wpt_claims(&wit()), Who::Thief);
    let long = jws(
        &wpt_header(),
        &with(wpt_claims(&wit()), &json!({"x": "x".repeat(8192)})),
        Who::Agent,
    );
    json!({"name": "proof: form and signature", "section": "draft-ietf-wimse-wpt section 2", "vectors": [
        with_wpt("wpt-garbage", "not a JWT", "wimse.wpt.malformed", "x.y"),
        with_wpt("wpt-long", "beyond the largest proof", "wimse.wpt.size", &long),
        with_wpt("wpt-thief", "a stolen identity token, another key", "wimse.wpt.signature", &thief),
        with_wpt("wpt-token-as-proof", "the identity token as its own proof", "wimse.wpt.typ", &wit()),
        wpt_headed("wpt-typ-absent", "no typ", "wimse.wpt.typ", json!({"typ": null})),
        wpt_headed("wpt-typ-dpop", "a DPoP proof's type", "wimse.wpt.typ", json!({"typ": "dpop+jwt"})),
        wpt_headed("wpt-alg-none", "not signed", "wimse.wpt.alg", json!({"alg": "none"})),
        wpt_headed("wpt-alg-refused", "an algorithm that is not taken", "wimse.wpt.alg", json!({"alg": "PS256"})),
        wpt_headed("wpt-alg-other", "not the algorithm of the key", "wimse.wpt.alg_mismatch", json!({"alg": "ES256"})),
        wpt_headed("wpt-alg-other-name", "the same algorithm by another name", "wimse.wpt.alg_mismatch", json!({"alg": "Ed25519"})),
        wpt_headed("wpt-crit", "an extension that must be understood", "wimse.wpt.critical", json!({"crit": ["x"], "x": 1})),
        wpt_headed("wpt-jwk", "a key in its own header says nothing", "ok", json!({"jwk": jwk(Who::Stranger)})),
    ]})
}

fn proof_claims_group() -> Value {
    let audience = |id: &str, comment: &str, expect: &str, aud: &str| {
        wpt_changed(id, comment, expect, json!({"aud": aud}))
    };
    json!({"name": "proof: claims", "section": "draft-ietf-wimse-wpt section 2", "vectors": [
        audience("wpt-aud-host", "another host", "wimse.wpt.audience", "https://other.example.com/approvals"),
        audience("wpt-aud-path", "another path", "wimse.wpt.audience", "https://api.example.com/reports"),
        audience("wpt-aud-scheme", "another scheme", "wimse.wpt.audience", "http://api.example.com/approvals"),
        audience("wpt-aud-origin", "the origin only", "wimse.wpt.audience", "https://api.example.com"),
        audience("wpt-aud-query", "with a query", "wimse.wpt.audience", "https://api.example.com/approvals?x=1"),
        audience("wpt-aud-text", "no URL and no value agreed on", "wimse.wpt.audience", "api"),
        audience("wpt-aud-agreed", "a value agreed on", "ok", "payments-mesh"),
        audience("wpt-aud-agreed-case", "a value agreed on, in another case", "wimse.wpt.audience", "Payments-Mesh"),
        audience("wpt-aud-port", "the default port", "ok", "https://api.example.com:443/approvals"),
        wpt_changed("wpt-aud-list", "two audiences at once", "wimse.wpt.claim", json!({"aud": [URL, "https://other.example.com/"]})),
        wpt_changed("wpt-aud-absent", "no aud", "wimse.wpt.claim", json!({"aud": null})),
        wpt_changed("wpt-exp-absent", "no exp", "wimse.wpt.claim", json!({"exp": null})),
        wpt_changed("wpt-exp-string", "exp as a string (SC-033)", "wimse.wpt.claim", json!({"exp": "1800000060"})),
        wpt_changed("wpt-jti-absent", "no jti", "wimse.wpt.claim", json!({"jti": null})),
        wpt_changed("wpt-jti-empty", "an empty jti", "wimse.wpt.claim", json!({"jti": ""})),
        wpt_changed("wpt-jti-long", "jti of 257 bytes", "wimse.wpt.claim", json!({"jti": "j".repeat(257)})),
        wpt_changed("wpt-expired", "expired this very second", "wimse.wpt.expired", json!({"exp": NOW})),
        wpt_changed("wpt-last-second", "the last second", "ok", json!({"exp": NOW + 1})),
        wpt_changed("wpt-long-lived", "valid beyond limit and skew", "wimse.wpt.lifetime", json!({"exp": NOW + 311})),
        wpt_changed("wpt-longest-lived", "valid up to limit and skew", "ok", json!({"exp": NOW + 310})),
        wpt_changed("wpt-iat-ahead", "made in the future", "wimse.wpt.not_yet_valid", json!({"iat": NOW + 11})),
        wpt_changed("wpt-nbf-ahead", "not valid yet", "wimse.wpt.not_yet_valid", json!({"nbf": NOW + 11})),
        wpt_changed("wpt-iat", "says when it was made", "ok", json!({"iat": NOW})),
        after_restart("wpt-epoch", "made before the replay log began", "wimse.wpt.epoch", json!({"iat": NOW - 5})),
        after_restart("wpt-epoch-unsaid", "does not say that it was made after the replay log began", "wimse.wpt.epoch", json!({})),
        after_restart("wpt-epoch-after", "made after the replay log began", "ok", json!({"iat": NOW})),
    ]})
}

fn proof_hashes() -> Value {
    let bearer = format!("Bearer {ACCESS_TOKEN}");
    let authorization = ("Authorization", &*bearer);
    let transaction = ("Txn-Token", TRANSACTION_TOKEN);
    let context = ("Context-Token", CONTEXT_TOKEN);
    let changed = |id: &str, comment: &str, expect: &str, change: Value| {
        wpt_changed(id, comment, expect, change)
    };
    json!({"name": "proof: the tokens it covers", "section": "draft-ietf-wimse-wpt section 2", "vectors": [
        changed("wpt-wth-absent", "no wth", "wimse.wpt.wth", json!({"wth": null})),
        changed("wpt-wth-other", "another identity token", "wimse.wpt.wth", json!({"wth": hash("x")})),
        changed("wpt-wth-padded", "a hash with padding", "wimse.wpt.wth", json!({"wth": format!("{}=", hash(&wit()))})),
        changed("wpt-ath-alone", "names an access token that is not there", "wimse.wpt.ath", json!({"ath": hash(ACCESS_TOKEN)})),
        with_context("wpt-ath-absent", "does not name the access token", "wimse.wpt.ath", (json!({}), &[authorization])),
        with_context("wpt-ath-other", "another access token", "wimse.wpt.ath", (json!({"ath": hash("x")}), &[authorization])),
        with_context("wpt-ath", "names the access token", "ok", (json!({"ath": hash(ACCESS_TOKEN)}), &[authorization])),
        changed("wpt-tth-alone", "names a transaction token that is not there", "wimse.wpt.tth", json!({"tth": hash(TRANSACTION_TOKEN)})),
        with_context("wpt-tth-absent", "does not name the transaction token", "wimse.wpt.tth", (json!({}), &[transaction])),
        with_context("wpt-tth-other", "another transaction token", "wimse.wpt.tth", (json!({"tth": hash("x")}), &[transaction])),
        with_context("wpt-tth-two", "two transaction tokens", "wimse.wpt.tth", (json!({"tth": hash(TRANSACTION_TOKEN)}), &[transaction, transaction])),
        with_context("wpt-tth", "names the transaction token", "ok", (json!({"tth": hash(TRANSACTION_TOKEN)}), &[transaction])),
        changed("wpt-oth-unknown", "covers what is not understood", "wimse.wpt.oth", json!({"oth": {"other": hash("x")}})),
        changed("wpt-oth-case", "a name that is not in lower case", "wimse.wpt.oth", json!({"oth": {"Context-Token": hash(CONTEXT_TOKEN)}})),
        changed("wpt-oth-array", "oth of another type", "wimse.wpt.oth", json!({"oth": []})),
        changed("wpt-oth-number", "an entry of another type", "wimse.wpt.oth", json!({"oth": {"context-token": 7}})),
        changed("wpt-oth-alone", "covers a token that is not there", "wimse.wpt.oth", json!({"oth": {"context-token": hash(CONTEXT_TOKEN)}})),
        with_context("wpt-oth-absent", "does not cover a known token", "wimse.wpt.oth", (json!({}), &[context])),
        with_context("wpt-oth-other", "covers another token", "wimse.wpt.oth", (json!({"oth": {"context-token": hash("x")}}), &[context])),
        with_context("wpt-oth-more", "covers a known token and one that is not understood", "wimse.wpt.oth",
                     (json!({"oth": {"context-token": hash(CONTEXT_TOKEN), "other": hash("x")}}), &[context])),
        with_context("wpt-oth", "covers a known token", "ok", (json!({"oth": {"context-token": hash(CONTEXT_TOKEN)}}), &[context])),
    ]})
}

fn judgement() -> Value {
    let subject = |id: &str, comment: &str, expect: &str, sub: &str| {
        wit_changed(id, comment, expect, json!({"sub": sub}))
    };
    json!({"name": "which workloads a route takes", "section": "draft-ietf-wimse-identifier", "vectors": [
        subject("identity-other", "a workload outside of the rule", "workload.identity", "wimse://example.com/ns/dev/pay"),
        subject("identity-prefix", "a segment that begins alike (SC-178)", "workload.identity", "wimse://example.com/ns/production/pay"),
        subject("identity-above", "the segment itself", "workload.identity", "wimse://example.com/ns/prod"),
        subject("identity-below", "any depth below the rule", "ok", "wimse://example.com/ns/prod/a/b/c"),
    ]})
}

struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl FieldLines for Fields<'_> {
    fn lines<'s>(&'s self, name: &str) -> Vec<&'s [u8]> {
        let named = self
            .0
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_bytes()).collect()
    }
}

const SAYS: WorkloadSignatureRequest<'static> = WorkloadSignatureRequest {
    created: UnixTime::from_secs(NOW),
    lifetime: 60,
    nonce: "b1946ac92492d2347c6235b4d2611184",
};

/// A request signed by `who`, with the good identity token.
fn signed_request(
    id: &str,
    comment: &str,
    expect: &str,
    (audience, wants, who): (&str, bool, Who),
) -> Value {
    let token = wit();
    let fields = Fields(vec![("Workload-Identity-Token", &token)]);
    let origin = Origin::parse("https://api.example.com").expect("an origin");
    let request = SignedRequest {
        method: "GET",
        origin: &origin,
        request_target: "/approvals",
        fields: &fields,
        trailers: None,
    };
    let input = sign_request(request, &SAYS, audience, wants).expect("everything is there");
    let signature = pair(who).sign(input.bytes());
    let signed = input.attach(SIGNATURE_LABEL, signature.as_ref());
    let headers = [
        ("Workload-Identity-Token", &*token),
        ("Signature-Input", &signed.signature_input),
        ("Signature", &signed.signature),
    ];
    let mut vector = vector(id, comment, expect, &headers);
    vector["method"] = "GET".into();
    vector
}

/// An answer to a request whose nonce was this one, read by the client that sent another.
fn signed_response(id: &str, comment: &str, expect: &str, answered: &str) -> Value {
    let token = wit();
    let fields = Fields(vec![("Workload-Identity-Token", &token)]);
    let origin = Origin::parse("https://api.example.com").expect("an origin");
    let response = SignedResponse {
        status: 204,
        fields: &fields,
        trailers: None,
        request: Some(SignedRequest {
            method: "GET",
            origin: &origin,
            request_target: "/approvals",
            fields: &(),
            trailers: None,
        }),
    };
    let input = sign_response(response, &SAYS, answered).expect("everything is there");
    let signature = pair(Who::Agent).sign(input.bytes());
    let signed = input.attach(SIGNATURE_LABEL, signature.as_ref());
    let headers = [
        ("Workload-Identity-Token", &*token),
        ("Signature-Input", &signed.signature_input),
        ("Signature", &signed.signature),
    ];
    let mut vector = vector(id, comment, expect, &headers);
    vector["method"] = "GET".into();
    vector["status"] = 204.into();
    vector["request_nonce"] = "request-1".into();
    vector
}

fn signed() -> Value {
    json!({"name": "signed requests and responses", "section": "draft-ietf-wimse-http-signature", "vectors": [
        signed_request("wimse-signed-thief", "signed with another key", "httpsig.signature.invalid", (URL, false, Who::Thief)),
        signed_request("wimse-signed-audience", "signed for another target", "wimse.signature.audience", ("https://other.example.com/approvals", false, Who::Agent)),
        signed_request("wimse-signed-wants", "a signed answer, which this server cannot give", "wimse.response.unsigned", (URL, true, Who::Agent)),
        signed_request("wimse-signed", "a good signature", "ok", (URL, false, Who::Agent)),
        signed_request("wimse-signed-agreed", "signed for a value agreed on", "ok", ("payments-mesh", false, Who::Agent)),
        signed_response("wimse-answer-other", "an answer to another request", "wimse.response.nonce", "request-2"),
        signed_response("wimse-answer", "the answer to this request", "ok", "request-1"),
    ]})
}
