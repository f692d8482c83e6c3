//! Token exchange over the routes (RFC 8693): who may have a token that comes of another, and
//! what it allows.

use std::sync::Arc;

use keybound_control::Store;
use keybound_custody::{Signer, SoftwareKey};
use keybound_issuer::config::{
    Approval, AuthorizationConfig, ClientConfig, DelegationConfig, GrantType, IssuerConfig, Sight,
};
use keybound_issuer::{Issuer, IssuerStartError};
use keybound_proto::jose::Algorithm;
use keybound_proto::signal::Subject;
use keybound_proto::time::ManualClock;
use keybound_proto::token::TokenHash;
use serde_json::Value;

use crate::world::{ISSUER, MAIN, NOW, REPORTS, Reply, SECRET, World, basic, claims, full, proof};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const DELEGATE: &str = "urn:keybound:delegate_jkt";

/// Clients that exchange: `basic` (read at both resources), `worker` and `helper` (the same), and
/// `main-api`, which serves the main resource and may act there for `basic` at the reports.
fn exchanging(config: &mut IssuerConfig) {
    full(config);
    config.authorization = Some(AuthorizationConfig {
        code_ttl: 60,
        request_ttl: 90,
        pushed_only: false,
        approval: Approval::Automatic {
            identity: "person".to_owned(),
        },
    });
    let template = config.clients[0].clone();
    assert_eq!(template.id, "basic");
    for client in &mut config.clients {
        client.grants.push(GrantType::TokenExchange);
    }
    for id in ["worker", "helper"] {
        config.clients.push(ClientConfig {
            id: id.to_owned(),
            identity: Some(format!("{id}-identity")),
            grants: vec![GrantType::ClientCredentials, GrantType::TokenExchange],
            ..template.clone()
        });
    }
    let api = config
        .clients
        .iter_mut()
        .find(|client| client.id == "main-api");
    let api = api.unwrap();
    api.scopes = vec!["approvals:read".to_owned(), "reports:read".to_owned()];
    api.grants = vec![GrantType::ClientCredentials, GrantType::TokenExchange];
    config.delegations = vec![DelegationConfig {
        name: "main calls reports".to_owned(),
        subject: "basic".to_owned(),
        actor: "main-api".to_owned(),
        serves: vec![MAIN.to_owned()],
        resources: vec![REPORTS.to_owned()],
        scopes: vec!["reports:read".to_owned()],
    }];
}

fn secret(client: &str) -> &str {
    match client {
        "main-api" => "secret-of-main",
        "auditor" => "secret-of-auditor",
        "exempt" => "secret-of-exempt",
        _ => SECRET,
    }
}

fn key() -> SoftwareKey {
    SoftwareKey::generate(Algorithm::Es256).unwrap()
}

fn identity(subject: &str) -> Subject {
    Subject::Identity {
        issuer: ISSUER.to_owned(),
        subject: subject.to_owned(),
    }
}

fn jkt(key: &SoftwareKey) -> String {
    key.public_key().thumbprint().to_string()
}

/// A proof for the token endpoint, made for a token where there is one.
fn token_proof(
    world: &World,
    key: &SoftwareKey,
    token: Option<&str>,
    delegate: Option<&str>,
) -> String {
    proof(key, "/token", world.now(), |claims| {
        if let Some(token) = token {
            claims["ath"] = TokenHash::of(token.as_bytes()).to_ath().into();
        }
        if let Some(delegate) = delegate {
            claims[DELEGATE] = delegate.into();
        }
    })
}

/// A token request of a client with a secret.
async fn request(world: &World, client: &str, form: &[(&str, &str)], proof: Option<&str>) -> Reply {
    let authorization = basic(client, secret(client));
    let mut headers = vec![("authorization", authorization.as_str())];
    headers.extend(proof.map(|proof| ("dpop", proof)));
    world.post("/token", form, &headers).await
}

async fn own_token(
    world: &World,
    client: &str,
    key: &SoftwareKey,
    more: &[(&str, &str)],
) -> String {
    let mut form = vec![("grant_type", "client_credentials")];
    form.extend_from_slice(more);
    if !more.iter().any(|(name, _)| *name == "resource") && client != "main-api" {
        form.push(("resource", MAIN));
    }
    let proof = token_proof(world, key, None, None);
    access(&request(world, client, &form, Some(&proof)).await)
}

#[track_caller]
fn access(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()["access_token"].as_str().unwrap().to_owned()
}

/// An exchange of `subject`, with further parameters.
async fn exchange(
    world: &World,
    client: &str,
    subject: &str,
    more: &[(&str, &str)],
    proof: Option<&str>,
) -> Reply {
    let mut form = vec![
        ("grant_type", EXCHANGE),
        ("subject_token", subject),
        ("subject_token_type", ACCESS_TOKEN),
    ];
    for (name, value) in more {
        form.retain(|(known, _)| known != name || *name == "resource");
        form.push((name, value));
    }
    form.retain(|(_, value)| !value.is_empty());
    request(world, client, &form, proof).await
}

/// The holder exchanges its own token.
async fn narrow(
    world: &World,
    client: &str,
    key: &SoftwareKey,
    subject: &str,
    more: &[(&str, &str)],
) -> Reply {
    let proof = token_proof(world, key, Some(subject), None);
    exchange(world, client, subject, more, Some(&proof)).await
}

/// The holder, who has `lender`, lends its token to `client`, who has `key`.
async fn lend(
    world: &World,
    (subject, lender): (&str, &SoftwareKey),
    (client, key): (&str, &SoftwareKey),
    more: &[(&str, &str)],
) -> Reply {
    let lent = token_proof(world, lender, Some(subject), Some(&jkt(key)));
    let mut form = vec![("subject_token_proof", lent.as_str())];
    form.extend_from_slice(more);
    let own = token_proof(world, key, None, None);
    exchange(world, client, subject, &form, Some(&own)).await
}

async fn introspect(world: &World, token: &str) -> Value {
    let authorization = basic("auditor", "secret-of-auditor");
    let headers = [("authorization", authorization.as_str())];
    world
        .post("/introspect", &[("token", token)], &headers)
        .await
        .json()
}

async fn revoke(world: &World, client: &str, token: &str) {
    let authorization = basic(client, secret(client));
    let headers = [("authorization", authorization.as_str())];
    let reply = world.post("/revoke", &[("token", token)], &headers).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test]
async fn parameters_that_are_missing_or_ask_for_other_kinds_are_refused() {
    let world = World::with(exchanging).await;
    let subject = own_token(&world, "basic", &world.key, &[]).await;
    let refresh = "urn:ietf:params:oauth:token-type:refresh_token";
    for (more, cause) in [
        ([("subject_token", "")], "parameter.invalid"),
        ([("subject_token_type", "")], "parameter.invalid"),
        ([("subject_token_type", refresh)], "exchange.subject_token"),
        (
            [(
                "subject_token_type",
                "urn:ietf:params:oauth:token-type:id_token",
            )],
            "exchange.subject_token",
        ),
        ([("actor_token", subject.as_str())], "parameter.invalid"),
        ([("actor_token_type", ACCESS_TOKEN)], "parameter.invalid"),
        ([("requested_token_type", refresh)], "parameter.invalid"),
        (
            [("subject_token", "kbr_not-an-access-token")],
            "exchange.subject_token",
        ),
    ] {
        let reply = narrow(&world, "basic", &world.key, &subject, &more).await;
        reply.cause(cause);
        assert_eq!(reply.json()["error"], "invalid_request", "{more:?}");
    }
}

#[tokio::test]
async fn the_holder_narrows_its_token() {
    let world = World::with(exchanging).await;
    let both = [("resource", MAIN), ("resource", REPORTS)];
    let subject = own_token(&world, "basic", &world.key, &both).await;
    let reply = narrow(&world, "basic", &world.key, &subject, &[("audience", MAIN)]).await;
    assert_eq!(reply.json()["issued_token_type"], ACCESS_TOKEN);
    assert_eq!(reply.json()["token_type"], "DPoP");
    assert!(reply.json().get("refresh_token").is_none());
    let token = claims(&access(&reply));
    assert_eq!(
        (&token["aud"], &token["scope"]),
        (&MAIN.into(), &"approvals:read".into())
    );
    assert_eq!(token["cnf"]["jkt"], jkt(&world.key));
    assert_eq!(token["urn:keybound:ancestors"][0], claims(&subject)["jti"]);
    assert!(token.get("act").is_none());
    // Without parameters it is for all the subject token was for.
    let reply = narrow(&world, "basic", &world.key, &subject, &[]).await;
    assert_eq!(claims(&access(&reply))["aud"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn sc_190_sc_191_scope_and_audience_stay_within_subject_and_client() {
    let world = World::with(exchanging).await;
    let subject = own_token(&world, "basic", &world.key, &[]).await;
    for (more, error) in [
        (("scope", "approvals:read reports:read"), "invalid_scope"),
        (("scope", "approvals:write"), "invalid_scope"),
        (("resource", REPORTS), "invalid_target"),
        (("audience", REPORTS), "invalid_target"),
        (("resource", "https://elsewhere.example/"), "invalid_target"),
        (("audience", "http://127.0.0.1:9401"), "invalid_target"),
    ] {
        let reply = narrow(&world, "basic", &world.key, &subject, &[more]).await;
        assert_eq!(reply.json()["error"], error, "{more:?}: {}", reply.text);
    }
    // A delegate that may have more itself does not get it of this token either.
    let worker = key();
    let reply = lend(
        &world,
        (&subject, &world.key),
        ("worker", &worker),
        &[("resource", REPORTS)],
    )
    .await;
    assert_eq!(reply.json()["error"], "invalid_target");
    let reply = lend(
        &world,
        (&subject, &world.key),
        ("worker", &worker),
        &[("scope", "reports:read")],
    )
    .await;
    assert_eq!(reply.json()["error"], "invalid_scope");
}

#[tokio::test]
async fn sc_192_tokens_that_do_not_count_are_no_subjects() {
    let world = World::with(exchanging).await;
    let subject = own_token(&world, "basic", &world.key, &[]).await;
    let mut forged = subject.clone();
    forged.pop();
    narrow(&world, "basic", &world.key, &forged, &[])
        .await
        .cause("exchange.subject_token");

    let revoked = own_token(&world, "basic", &world.key, &[]).await;
    revoke(&world, "basic", &revoked).await;
    narrow(&world, "basic", &world.key, &revoked, &[])
        .await
        .cause("exchange.subject_token");

    let worker = key();
    world
        .store
        .lock(identity("basic"), "operator", None, None)
        .await
        .unwrap();
    lend(&world, (&subject, &world.key), ("worker", &worker), &[])
        .await
        .cause("exchange.subject_token");
    world
        .store
        .unlock(identity("basic"), "operator")
        .await
        .unwrap();

    world.clock.advance_secs(300);
    narrow(&world, "basic", &world.key, &subject, &[])
        .await
        .cause("exchange.subject_token");
}

#[tokio::test]
async fn sc_193_the_clients_policy_counts_for_this_grant_too() {
    let world = World::with(|config| {
        exchanging(config);
        let helper = config
            .clients
            .iter_mut()
            .find(|client| client.id == "helper")
            .unwrap();
        helper.nonce = true;
        let worker = config
            .clients
            .iter_mut()
            .find(|client| client.id == "worker")
            .unwrap();
        worker.grants = vec![GrantType::ClientCredentials];
    })
    .await;
    let subject = own_token(&world, "basic", &world.key, &[]).await;
    let other = key();
    lend(&world, (&subject, &world.key), ("worker", &other), &[])
        .await
        .cause("client.grant_refused");
    lend(&world, (&subject, &world.key), ("helper", &other), &[])
        .await
        .cause("dpop.nonce.absent");
}

#[tokio::test]
async fn sc_197_nobody_exchanges_a_bound_token_without_its_holder() {
    let world = World::with(exchanging).await;
    let subject = own_token(&world, "basic", &world.key, &[]).await;
    let thief = key();
    let unproven = "exchange.subject_unproven";
    // Its client, without the key, with another key, with a proof for another token, for none.
    exchange(&world, "basic", &subject, &[], None)
        .await
        .cause(unproven);
    narrow(&world, "basic", &thief, &subject, &[])
        .await
        .cause(unproven);
    let another = own_token(&world, "basic", &world.key, &[]).await;
    for ath in [None, Some(another.as_str())] {
        let proof = token_proof(&world, &world.key, ath, None);
        exchange(&world, "basic", &subject, &[], Some(&proof))
            .await
            .cause(unproven);
    }
    // Another client, also with a proof that was meant for the holder's own request.
    narrow(&world, "worker", &thief, &subject, &[])
        .await
        .cause(unproven);
    narrow(&world, "worker", &world.key, &subject, &[])
        .await
        .cause(unproven);
    // A proof that lends the token is not one of the holder's own request.
    let lent = token_proof(&world, &world.key, Some(&subject), Some(&jkt(&thief)));
    exchange(&world, "basic", &subject, &[], Some(&lent))
        .await
        .cause(unproven);
    assert_eq!(world.events("token_issued").await.len(), 2);
    let refused = world.events("token_refused").await;
    assert!(
        refused
            .iter()
            .all(|event| event["signal"] == "key_mismatch")
    );
}

#[tokio::test]
async fn a_token_is_lent_to_one_key_for_once() {
    let world = World::with(exchanging).await;
    let subject = own_token(&world, "basic", &world.key, &[]).await;
    let (worker, thief) = (key(), key());
    let unproven = "exchange.subject_unproven";
    let own = || token_proof(&world, &worker, None, None);
    let jkt_of_worker = jkt(&worker);
    let another = own_token(&world, "basic", &world.key, &[]).await;
    let wrong = [
        token_proof(&world, &world.key, Some(&subject), None),
        token_proof(&world, &world.key, Some(&subject), Some(&jkt(&thief))),
        token_proof(&world, &world.key, Some(&subject), Some("no thumbprint")),
        token_proof(&world, &world.key, Some(&another), Some(&jkt_of_worker)),
        token_proof(&world, &world.key, None, Some(&jkt_of_worker)),
        token_proof(&world, &thief, Some(&subject), Some(&jkt_of_worker)),
        token_proof(&world, &worker, Some(&subject), Some(&jkt_of_worker)),
        proof(&world.key, "/introspect", world.now(), |claims| {
            claims["ath"] = TokenHash::of(subject.as_bytes()).to_ath().into();
            claims[DELEGATE] = jkt_of_worker.clone().into();
        }),
        proof(&world.key, "/token", world.now() - 61, |claims| {
            claims["ath"] = TokenHash::of(subject.as_bytes()).to_ath().into();
            claims[DELEGATE] = jkt_of_worker.clone().into();
        }),
        "not-a-proof".to_owned(),
    ];
    for lent in &wrong {
        let form = [("subject_token_proof", lent.as_str())];
        exchange(&world, "worker", &subject, &form, Some(&own()))
            .await
            .cause(unproven);
    }
    let lent = token_proof(&world, &world.key, Some(&subject), Some(&jkt_of_worker));
    let form = [("subject_token_proof", lent.as_str())];
    exchange(&world, "worker", &subject, &form, None)
        .await
        .cause(unproven);
    let stolen = token_proof(&world, &thief, None, None);
    exchange(&world, "worker", &subject, &form, Some(&stolen))
        .await
        .cause(unproven);

    let reply = exchange(&world, "worker", &subject, &form, Some(&own())).await;
    let token = claims(&access(&reply));
    assert_eq!(
        (&token["sub"], &token["client_id"]),
        (&"basic".into(), &"worker".into())
    );
    assert_eq!(token["cnf"]["jkt"], jkt_of_worker);
    assert_eq!(token["act"]["sub"], "worker-identity");
    assert_eq!(token["act"]["cnf"]["jkt"], jkt_of_worker);
    let again = exchange(&world, "worker", &subject, &form, Some(&own())).await;
    again.cause("dpop.replayed");

    let events = world.events("token_issued").await;
    let event = events.last().unwrap();
    assert_eq!(event["subject_key"], jkt(&world.key));
    assert_eq!(event["jkt"], jkt_of_worker);
    assert_eq!(event["actors"][0], "worker-identity");
    let seen = introspect(&world, reply.json()["access_token"].as_str().unwrap()).await;
    assert_eq!(seen["act"], token["act"]);
}

#[tokio::test]
async fn a_rule_lets_a_resource_server_act_for_those_who_call_it() {
    let world = World::with(exchanging).await;
    let (api, worker) = (key(), key());
    let both = [("resource", MAIN), ("resource", REPORTS)];
    let subject = own_token(&world, "basic", &world.key, &both).await;
    let by_rule = async |subject: &str, more: &[(&str, &str)]| {
        let proof = token_proof(&world, &api, None, None);
        exchange(&world, "main-api", subject, more, Some(&proof)).await
    };
    // Not for another identity, not for a token that was not sent to it, not beyond the rule.
    let others = own_token(&world, "worker", &worker, &[]).await;
    by_rule(&others, &[("resource", REPORTS)])
        .await
        .cause("exchange.subject_unproven");
    let elsewhere = own_token(&world, "basic", &world.key, &[("resource", REPORTS)]).await;
    by_rule(&elsewhere, &[("resource", REPORTS)])
        .await
        .cause("exchange.subject_unproven");
    by_rule(&subject, &[("resource", MAIN), ("scope", "approvals:read")])
        .await
        .cause("scope.invalid");
    // Not without a key of its own.
    exchange(&world, "main-api", &subject, &[("resource", REPORTS)], None)
        .await
        .cause("client.binding_required");

    let reply = by_rule(&subject, &[("resource", REPORTS)]).await;
    let token = claims(&access(&reply));
    assert_eq!(
        (&token["sub"], &token["scope"]),
        (&"basic".into(), &"reports:read".into())
    );
    assert_eq!(token["cnf"]["jkt"], jkt(&api));
    assert_eq!(token["act"]["sub"], "main-api");
    let events = world.events("token_issued").await;
    let event = events.last().unwrap();
    assert_eq!(event["delegation_rule"], "main calls reports");
    assert_eq!(event["subject_key"], jkt(&world.key));
}

#[tokio::test]
async fn sc_195_marks_of_delegation_survive_every_exchange() {
    let world = World::with(|config| {
        exchanging(config);
        config.clients[0].may_act = Some("worker-identity".to_owned());
    })
    .await;
    let (worker, helper) = (key(), key());
    let subject = own_token(&world, "basic", &world.key, &[]).await;
    assert_eq!(claims(&subject)["may_act"]["sub"], "worker-identity");
    assert_eq!(
        introspect(&world, &subject).await["may_act"]["sub"],
        "worker-identity"
    );
    // The holder's own exchange keeps the mark; whoever is not named becomes no actor.
    let narrowed = access(&narrow(&world, "basic", &world.key, &subject, &[]).await);
    assert_eq!(claims(&narrowed)["may_act"]["sub"], "worker-identity");
    for token in [&subject, &narrowed] {
        lend(&world, (token, &world.key), ("helper", &helper), &[])
            .await
            .cause("exchange.delegation_refused");
    }
    let lent = access(&lend(&world, (&narrowed, &world.key), ("worker", &worker), &[]).await);
    // The actor's own exchange keeps the actor, and the mark.
    let again = access(&narrow(&world, "worker", &worker, &lent, &[]).await);
    for token in [&lent, &again] {
        let token = claims(token);
        assert_eq!(token["act"]["sub"], "worker-identity");
        assert_eq!(token["act"]["cnf"]["jkt"], jkt(&worker));
        assert_eq!(token["may_act"]["sub"], "worker-identity");
    }
    lend(&world, (&again, &worker), ("helper", &helper), &[])
        .await
        .cause("exchange.delegation_refused");
}

#[tokio::test]
async fn sc_196_actors_are_what_was_proven_in_the_order_it_was() {
    let world = World::with(exchanging).await;
    let (worker, helper) = (key(), key());
    let subject = own_token(&world, "basic", &world.key, &[]).await;
    let forged = [
        ("act", r#"{"sub":"admin"}"#),
        ("may_act", r#"{"sub":"admin"}"#),
        ("sub", "admin"),
    ];
    let first = access(&lend(&world, (&subject, &world.key), ("worker", &worker), &forged).await);
    let second = access(&lend(&world, (&first, &worker), ("helper", &helper), &forged).await);
    let token = claims(&second);
    assert_eq!(token["sub"], "basic");
    assert_eq!(token["act"]["sub"], "helper-identity");
    assert_eq!(token["act"]["cnf"]["jkt"], jkt(&helper));
    assert_eq!(token["act"]["act"]["sub"], "worker-identity");
    assert_eq!(token["act"]["act"]["cnf"]["jkt"], jkt(&worker));
    assert!(token["act"]["act"].get("act").is_none() && token.get("may_act").is_none());
    let ancestors = token["urn:keybound:ancestors"].as_array().unwrap();
    assert_eq!(
        ancestors,
        &[
            claims(&subject)["jti"].clone(),
            claims(&first)["jti"].clone()
        ]
    );
}

#[tokio::test]
async fn sc_196_chains_end() {
    let world = World::with(exchanging).await;
    let keys = [key(), key()];
    let clients = ["worker", "helper"];
    let mut token = own_token(&world, "basic", &world.key, &[]).await;
    let mut holder = &world.key;
    for turn in 0..8 {
        let next = (clients[turn % 2], &keys[turn % 2]);
        token = access(&lend(&world, (&token, holder), next, &[]).await);
        holder = next.1;
    }
    lend(&world, (&token, holder), ("worker", &keys[0]), &[])
        .await
        .cause("exchange.depth");
    // Its holder may still narrow it, until there are too many ancestors.
    for _ in 8..16 {
        token = access(&narrow(&world, "helper", holder, &token, &[]).await);
    }
    narrow(&world, "helper", holder, &token, &[])
        .await
        .cause("exchange.depth");
}

#[tokio::test]
async fn sc_198_bound_in_never_comes_out_unbound() {
    let world = World::with(|config| {
        exchanging(config);
        config.delegations.push(DelegationConfig {
            name: "an exempt one".to_owned(),
            subject: "*".to_owned(),
            actor: "exempt".to_owned(),
            serves: vec![MAIN.to_owned()],
            resources: Vec::new(),
            scopes: vec!["approvals:read".to_owned()],
        });
    })
    .await;
    let subject = own_token(&world, "basic", &world.key, &[]).await;
    exchange(&world, "exempt", &subject, &[], None)
        .await
        .cause("exchange.binding");
    // An exempt client's own bound token is no exception.
    let bound = own_token(&world, "exempt", &world.key, &[]).await;
    exchange(&world, "exempt", &bound, &[], None)
        .await
        .cause("exchange.binding");
    // With a key it gets a bound one, and out of its own unbound token whatever it proves.
    let other = key();
    let proof = token_proof(&world, &other, None, None);
    let reply = exchange(&world, "exempt", &subject, &[], Some(&proof)).await;
    assert_eq!(claims(&access(&reply))["cnf"]["jkt"], jkt(&other));
    let unbound = access(
        &request(
            &world,
            "exempt",
            &[("grant_type", "client_credentials")],
            None,
        )
        .await,
    );
    exchange(
        &world,
        "worker",
        &unbound,
        &[],
        Some(&token_proof(&world, &other, None, None)),
    )
    .await
    .cause("exchange.subject_unproven");
    let reply = exchange(
        &world,
        "exempt",
        &unbound,
        &[],
        Some(&token_proof(&world, &other, None, None)),
    )
    .await;
    assert_eq!(reply.json()["token_type"], "DPoP");
}

#[tokio::test]
async fn sc_199_no_exchange_lives_longer_or_comes_with_a_refresh_token() {
    let world = World::with(|config| {
        exchanging(config);
        config.clients[0].grants.push(GrantType::RefreshToken);
    })
    .await;
    let subject = own_token(&world, "basic", &world.key, &[]).await;
    let end = &claims(&subject)["exp"];
    world.clock.advance_secs(200);
    let reply = narrow(&world, "basic", &world.key, &subject, &[]).await;
    assert_eq!(reply.json()["expires_in"], 100);
    assert!(reply.json().get("refresh_token").is_none());
    let narrowed = access(&reply);
    assert_eq!(&claims(&narrowed)["exp"], end);
    let worker = key();
    let lent = access(&lend(&world, (&narrowed, &world.key), ("worker", &worker), &[]).await);
    assert_eq!(&claims(&lent)["exp"], end);
    world.clock.advance_secs(100);
    narrow(&world, "worker", &worker, &lent, &[])
        .await
        .cause("exchange.subject_token");
}

#[tokio::test]
async fn sc_201_whatever_is_revoked_takes_what_comes_of_it_along() {
    let world = World::with(exchanging).await;
    let (worker, helper) = (key(), key());
    let root = own_token(&world, "basic", &world.key, &[]).await;
    let first = access(&lend(&world, (&root, &world.key), ("worker", &worker), &[]).await);
    let second = access(&lend(&world, (&first, &worker), ("helper", &helper), &[]).await);
    for token in [&root, &first, &second] {
        assert_eq!(introspect(&world, token).await["active"], true);
    }
    revoke(&world, "basic", &root).await;
    for (token, client, key) in [(&first, "worker", &worker), (&second, "helper", &helper)] {
        assert_eq!(introspect(&world, token).await["active"], false);
        narrow(&world, client, key, token, &[])
            .await
            .cause("exchange.subject_token");
    }
}

#[tokio::test]
async fn sc_201_an_actor_that_is_locked_hands_nothing_on() {
    let world = World::with(exchanging).await;
    let (worker, helper) = (key(), key());
    let root = own_token(&world, "basic", &world.key, &[]).await;
    let first = access(&lend(&world, (&root, &world.key), ("worker", &worker), &[]).await);
    let second = access(&lend(&world, (&first, &worker), ("helper", &helper), &[]).await);
    let actor = identity("worker-identity");
    world
        .store
        .lock(actor, "operator", None, None)
        .await
        .unwrap();
    narrow(&world, "helper", &helper, &second, &[])
        .await
        .cause("exchange.subject_token");
}

#[tokio::test]
async fn an_actor_token_names_the_actor_if_the_client_holds_it() {
    let world = World::with(exchanging).await;
    let (worker, helper) = (key(), key());
    let subject = own_token(&world, "basic", &world.key, &[]).await;
    let actor = own_token(&world, "worker", &worker, &[]).await;
    let foreign = own_token(&world, "helper", &worker, &[]).await;
    let other_key = own_token(&world, "worker", &helper, &[]).await;
    let delegated = access(&lend(&world, (&subject, &world.key), ("worker", &worker), &[]).await);
    let revoked = own_token(&world, "worker", &worker, &[]).await;
    revoke(&world, "worker", &revoked).await;
    for token in [
        &foreign,
        &other_key,
        &delegated,
        &revoked,
        &"nothing".to_owned(),
    ] {
        let form = [
            ("actor_token", token.as_str()),
            ("actor_token_type", ACCESS_TOKEN),
        ];
        lend(&world, (&subject, &world.key), ("worker", &worker), &form)
            .await
            .cause("exchange.actor_token");
    }
    let form = [
        ("actor_token", actor.as_str()),
        ("actor_token_type", ACCESS_TOKEN),
    ];
    let token = access(&lend(&world, (&subject, &world.key), ("worker", &worker), &form).await);
    assert_eq!(claims(&token)["act"]["sub"], "worker-identity");
    assert_eq!(claims(&token)["act"]["cnf"]["jkt"], jkt(&worker));
    // It descends from both.
    revoke(&world, "worker", &actor).await;
    assert_eq!(introspect(&world, &token).await["active"], false);
}

#[tokio::test]
async fn sc_202_audiences_are_compared_whole() {
    let world = World::with(exchanging).await;
    let both = [("resource", MAIN), ("resource", REPORTS)];
    let subject = own_token(&world, "basic", &world.key, &both).await;
    for audience in [
        "http://127.0.0.1:9401",
        "http://127.0.0.1:9401/rep",
        "http://127.0.0.1:9401/reports/",
    ] {
        let reply = narrow(
            &world,
            "basic",
            &world.key,
            &subject,
            &[("audience", audience)],
        )
        .await;
        assert_eq!(reply.json()["error"], "invalid_target", "{audience}");
    }
    let reply = narrow(
        &world,
        "basic",
        &world.key,
        &subject,
        &[("audience", REPORTS)],
    )
    .await;
    assert_eq!(claims(&access(&reply))["aud"], REPORTS);
}

#[tokio::test]
async fn a_delegation_rule_has_to_make_sense() {
    type Change = fn(&mut DelegationConfig);
    let changes: [(&str, Change); 8] = [
        ("name", |rule| rule.name = " ".to_owned()),
        ("subject", |rule| rule.subject = String::new()),
        ("actor", |rule| rule.actor = "nobody".to_owned()),
        ("actor", |rule| rule.actor = "noncer".to_owned()),
        ("serves", |rule| rule.serves = Vec::new()),
        ("serves", |rule| {
            rule.serves = vec!["https://elsewhere.example/".to_owned()]
        }),
        ("resources", |rule| {
            rule.resources = vec!["https://elsewhere.example/".to_owned()]
        }),
        ("scopes", |rule| rule.scopes = vec!["unknown".to_owned()]),
    ];
    for (place, change) in changes {
        let mut config = crate::world::config(&key());
        exchanging(&mut config);
        let noncer = config
            .clients
            .iter_mut()
            .find(|client| client.id == "noncer")
            .unwrap();
        noncer.grants = vec![GrantType::ClientCredentials];
        noncer.sight = Sight::Own;
        change(&mut config.delegations[0]);
        let clock = ManualClock::at(NOW);
        let store = Store::in_memory(Arc::new(clock.clone())).unwrap();
        let refused = Issuer::start(config, store, Arc::new(clock)).await.err();
        let Some(IssuerStartError::Config(error)) = refused else {
            panic!("{place}: started");
        };
        assert!(error.place().ends_with(place), "{place}: {error}");
    }
}
