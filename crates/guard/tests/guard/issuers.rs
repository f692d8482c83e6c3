//! Several issuers at one guard: what is one's is not the other's.

use std::sync::Arc;

use keybound_guard::IssuerConfig;
use keybound_guard::keys::KeySet;
use keybound_proto::binding::{BindingMethod, BindingMethods};
use keybound_proto::cause::Cause;
use keybound_proto::jose::{Algorithm, AlgorithmSet, Signer as _};
use keybound_proto::token::Leniency;
use keybound_proto::uri::HttpUrl;
use serde_json::{Value, json};

use crate::introspection::{Opaque, World};
use crate::support::{NOW, RESOURCE, Route, key, sign};

fn issuer(url: &str, keys: &[(&str, &keybound_custody::SoftwareKey)]) -> IssuerConfig {
    let mut issuer = IssuerConfig::new(HttpUrl::parse(url).unwrap());
    let jwks: Vec<_> = keys
        .iter()
        .map(|(kid, key)| key.public_key().to_jwk_with(kid, key.algorithm()))
        .collect();
    let document = format!(r#"{{"keys":[{}]}}"#, jwks.join(","));
    issuer.jwks = Some(KeySet::parse(document.as_bytes()).unwrap());
    issuer
}

const A: &str = "https://a.example.com";
const B: &str = "https://b.example.com";

fn claims(issuer: &str, world: &World) -> Value {
    json!({
        "iss": issuer, "sub": "agent-7", "client_id": "client-1", "aud": RESOURCE, "iat": NOW, "exp": NOW + 300,
        "jti": "tok_1", "cnf": {"jkt": world.holder.public_key().thumbprint().to_string()},
    })
}

fn header(kid: &str, alg: &str) -> Value {
    json!({"typ": "at+jwt", "alg": alg, "kid": kid})
}

#[tokio::test]
async fn keys_of_one_issuer_never_count_for_another() {
    let (of_a, of_b) = (key(Algorithm::EdDsa), key(Algorithm::EdDsa));
    // The same `kid` for different keys.
    let world = World::new(vec![
        issuer(A, &[("k1", &of_a)]),
        issuer(B, &[("k1", &of_b)]),
    ]);
    for (name, signer, expected) in [
        (A, &of_b, Some(Cause::TokenSignatureInvalid)),
        (B, &of_a, Some(Cause::TokenSignatureInvalid)),
        (A, &of_a, None),
        (B, &of_b, None),
    ] {
        let token = sign(&header("k1", "EdDSA"), &claims(name, &world), signer);
        assert_eq!(world.send(&token).await, expected, "{name}");
    }
    // A key that only the other publishes.
    let world = World::new(vec![
        issuer(A, &[("ka", &of_a)]),
        issuer(B, &[("kb", &of_b)]),
    ]);
    let token = sign(&header("kb", "EdDSA"), &claims(A, &world), &of_b);
    assert_eq!(world.send(&token).await, Some(Cause::TokenKeyUnknown));
}

#[tokio::test]
async fn the_same_key_at_two_issuers_makes_two_different_tokens() {
    let shared = key(Algorithm::EdDsa);
    let mut world = World::new(vec![
        issuer(A, &[("k1", &shared)]),
        issuer(B, &[("k1", &shared)]),
    ]);
    let token = sign(&header("k1", "EdDSA"), &claims(A, &world), &shared);
    let only_b = Route {
        issuers: Some(vec![B.to_owned()]),
        ..Route::new("b", RESOURCE)
    };
    // Before and after it is known.
    assert_eq!(
        world.send_on(&only_b, &token).await,
        Some(Cause::TokenIssuerUnknown)
    );
    assert_eq!(world.send(&token).await, None);
    assert_eq!(
        world.send_on(&only_b, &token).await,
        Some(Cause::TokenIssuerUnknown)
    );
    world.route.issuers = Some(vec![A.to_owned()]);
    assert_eq!(world.send(&token).await, None);
}

#[tokio::test]
async fn each_issuer_has_its_own_algorithms_and_leniency() {
    let (of_a, of_b) = (key(Algorithm::Es256), key(Algorithm::EdDsa));
    let mut a = issuer(A, &[("k1", &of_a)]);
    a.algorithms = AlgorithmSet::of(&[Algorithm::Es256]);
    let mut b = issuer(B, &[("k1", &of_b)]);
    b.algorithms = AlgorithmSet::of(&[Algorithm::EdDsa]);
    b.lenient = Leniency {
        missing_client_id: true,
        missing_jti: true,
        missing_type: true,
        ..Leniency::default()
    };
    b.scope_claim = "scp".into();
    let world = World::new(vec![a, b]);
    let token = sign(&header("k1", "EdDSA"), &claims(A, &world), &of_b);
    assert_eq!(world.send(&token).await, Some(Cause::TokenAlgUnacceptable));
    let token = sign(&header("k1", "ES256"), &claims(B, &world), &of_a);
    assert_eq!(world.send(&token).await, Some(Cause::TokenAlgUnacceptable));
    let lean = |name: &str| {
        let mut lean = claims(name, &world);
        let members = lean.as_object_mut().unwrap();
        members.remove("jti");
        members.remove("client_id");
        lean["scp"] = json!(["approvals:read"]);
        lean
    };
    let untyped = |alg: &str| json!({"typ": "JWT", "alg": alg, "kid": "k1"});
    let token = sign(&header("k1", "ES256"), &lean(A), &of_a);
    assert_eq!(world.send(&token).await, Some(Cause::TokenClaimInvalid));
    let token = sign(&untyped("ES256"), &claims(A, &world), &of_a);
    assert_eq!(world.send(&token).await, Some(Cause::TokenTyp));
    let token = sign(&untyped("EdDSA"), &lean(B), &of_b);
    assert_eq!(world.send(&token).await, None);
    let mut scoped = Route::new("scoped", RESOURCE);
    scoped.scopes = scoped.scopes.with("GET", ["approvals:read"]);
    assert_eq!(world.send_on(&scoped, &token).await, None);
}

#[tokio::test]
async fn sc_240_an_untyped_token_that_says_what_it_is_is_refused() {
    let of_a = key(Algorithm::EdDsa);
    let mut a = issuer(A, &[("k1", &of_a)]);
    a.lenient.missing_type = true;
    let world = World::new(vec![a]);
    let present = async |header: Value, change: Value| {
        let mut claims = claims(A, &world);
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        world.send(&sign(&header, &claims, &of_a)).await
    };
    let untyped = || json!({"alg": "EdDSA", "kid": "k1"});
    for other in [
        json!({"at_hash": "x"}),
        json!({"c_hash": "x"}),
        json!({"events": {}}),
        json!({"typ": "ID"}),
        json!({"typ": "Refresh"}),
        json!({"token_use": "id"}),
    ] {
        assert_eq!(
            present(untyped(), other.clone()).await,
            Some(Cause::TokenTyp),
            "{other}"
        );
    }
    for typ in [
        "dpop+jwt",
        "secevent+jwt",
        "logout+jwt",
        "token-introspection+jwt",
    ] {
        let header = json!({"typ": typ, "alg": "EdDSA", "kid": "k1"});
        assert_eq!(
            present(header, json!({})).await,
            Some(Cause::TokenTyp),
            "{typ}"
        );
    }
    assert_eq!(present(untyped(), json!({"typ": "DPoP"})).await, None);
    assert_eq!(
        present(untyped(), json!({"token_use": "access"})).await,
        None
    );
    assert_eq!(
        present(
            json!({"typ": "JWT", "alg": "EdDSA", "kid": "k1"}),
            json!({})
        )
        .await,
        None
    );
}

#[tokio::test]
async fn an_issuers_own_audience_counts_only_for_it() {
    let (of_a, of_b) = (key(Algorithm::EdDsa), key(Algorithm::EdDsa));
    let mut a = issuer(A, &[("k1", &of_a)]);
    a.audience = Some("api://default".to_owned());
    let world = World::new(vec![a, issuer(B, &[("k1", &of_b)])]);
    let token = |name: &str, audience: &str, signer| {
        let mut claims = claims(name, &world);
        claims["aud"] = json!(audience);
        sign(&header("k1", "EdDSA"), &claims, signer)
    };
    let mismatch = Some(Cause::TokenAudienceMismatch);
    assert_eq!(world.send(&token(A, RESOURCE, &of_a)).await, mismatch);
    assert_eq!(
        world.send(&token(B, "api://default", &of_b)).await,
        mismatch
    );
    let named = token(A, "api://default", &of_a);
    assert_eq!(world.send(&named).await, None);
    assert_eq!(world.send(&token(B, RESOURCE, &of_b)).await, None);
    // A route with an audience of its own wants that one of everybody.
    let own = Route {
        own_audience: true,
        ..Route::new("own", "https://own.example.com/")
    };
    assert_eq!(world.send_on(&own, &named).await, mismatch);
}

/// What one issuer must not do, another may.
#[tokio::test]
async fn an_issuers_tokens_are_bound_as_it_is_said_to_bind_them() {
    let (of_a, of_b) = (key(Algorithm::EdDsa), key(Algorithm::EdDsa));
    let mut a = issuer(A, &[("k1", &of_a)]);
    a.methods = BindingMethods::of(&[BindingMethod::Mtls]);
    let mut world = World::new(vec![a, issuer(B, &[("k1", &of_b)])]);
    let token = |name: &str, signer| sign(&header("k1", "EdDSA"), &claims(name, &world), signer);
    let (by_a, by_b) = (token(A, &of_a), token(B, &of_b));
    assert_eq!(world.send(&by_a).await, Some(Cause::TokenMethodRefused));
    assert_eq!(world.send(&by_b).await, None);
    // A route's own list is not widened by an issuer's.
    world.route.methods = BindingMethods::of(&[BindingMethod::HttpSignature]);
    for refused in [&by_a, &by_b] {
        let cause = world.send(refused).await;
        assert_eq!(cause, Some(Cause::TokenMethodRefused));
    }
}

#[tokio::test]
async fn an_opaque_token_is_shown_to_no_issuer_it_cannot_be_of() {
    let (a, b) = (Opaque::start().await, Opaque::start().await);
    let world = World::new(vec![
        a.config(|config| config.token_prefix = Some("aa_".to_owned())),
        b.config(|config| config.token_prefix = Some("bb_".to_owned())),
    ]);
    assert_eq!(world.send("cc_1").await, Some(Cause::TokenIssuerUnknown));
    assert_eq!(world.send("aa_1").await, Some(Cause::TokenInactive));
    assert_eq!((a.questions(), b.questions()), (1, 0));
    a.issue("aa_2", &world.holder);
    b.issue("aa_2", &world.holder);
    assert_eq!(world.send("aa_2").await, None);
    assert_eq!((a.questions(), b.questions()), (2, 0));
    let only_b = Route {
        issuers: Some(vec![b.url.clone()]),
        ..Route::new("b", RESOURCE)
    };
    assert_eq!(
        world.send_on(&only_b, "aa_2").await,
        Some(Cause::TokenIssuerUnknown)
    );
    assert_eq!((a.questions(), b.questions()), (2, 0));
}

#[tokio::test]
async fn two_issuers_without_prefixes_need_a_route_that_tells() {
    let (a, b) = (Opaque::start().await, Opaque::start().await);
    let world = World::new(vec![a.config(|_| ()), b.config(|_| ())]);
    b.issue("1", &world.holder);
    assert_eq!(world.send("1").await, Some(Cause::TokenIssuerUnknown));
    assert_eq!((a.questions(), b.questions()), (0, 0));
    let only_b = Route {
        issuers: Some(vec![b.url.clone()]),
        ..Route::new("b", RESOURCE)
    };
    assert_eq!(world.send_on(&only_b, "1").await, None);
    // The answer of one counts on no route that does not take it.
    let only_a = Route {
        issuers: Some(vec![a.url.clone()]),
        ..Route::new("a", RESOURCE)
    };
    assert_eq!(
        world.send_on(&only_a, "1").await,
        Some(Cause::TokenInactive)
    );
    assert_eq!((a.questions(), b.questions()), (1, 1));
}

#[tokio::test]
async fn jwts_are_asked_about_where_the_issuer_wants_that() {
    let asked = Opaque::start().await;
    let signer = key(Algorithm::EdDsa);
    let mut always = asked.config(|config| config.jwts = true);
    always.jwks = issuer(A, &[("k1", &signer)]).jwks;
    let world = World::new(vec![always, issuer(B, &[("k1", &signer)])]);
    let token = sign(&header("k1", "EdDSA"), &claims(&asked.url, &world), &signer);
    assert_eq!(
        world.send(&token).await,
        Some(Cause::TokenInactive),
        "a signature is not enough"
    );
    asked.issue(&token, &world.holder);
    world.clock.advance_secs(5);
    assert_eq!(world.send(&token).await, None);
    let only_b = Route {
        issuers: Some(vec![B.to_owned()]),
        ..Route::new("b", RESOURCE)
    };
    let questions = asked.questions();
    assert_eq!(
        world.send_on(&only_b, &token).await,
        Some(Cause::TokenIssuerUnknown)
    );
    let of_b = sign(&header("k1", "EdDSA"), &claims(B, &world), &signer);
    assert_eq!(world.send(&of_b).await, None);
    assert_eq!(
        asked.questions(),
        questions,
        "nobody else's token went there"
    );
}

#[tokio::test]
async fn opaque_tokens_are_malformed_where_nobody_can_be_asked() {
    let signer = key(Algorithm::EdDsa);
    let world = World::new(vec![issuer(A, &[("k1", &signer)])]);
    assert_eq!(world.send("opaque").await, Some(Cause::TokenMalformed));
    drop(Arc::clone(&signer));
}
