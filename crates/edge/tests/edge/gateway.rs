//! What the gateway refuses.

use keybound_custody::SoftwareKey;
use keybound_proto::event::TheftSignal;
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::signal::{SignalEvent, Subject};

use super::client::{ask, send};
use super::world::World;

/// What a thief sends, the cause it meets, and the sign of theft it leaves.
type Attempt<'a> = (Vec<(&'a str, &'a str)>, &'a str, Option<TheftSignal>);

#[tokio::test(flavor = "multi_thread")]
async fn sc_110_sc_111_a_stolen_token_is_refused_in_every_form() {
    let world = World::start().await;
    let token = world.token();
    let thief = SoftwareKey::generate(Algorithm::Es256).expect("key");
    let htu = format!("{}/approvals", world.url);
    let evil = "https://evil.example/approvals";
    let other = world.token_for(&format!("{}/", world.url), 299);
    let own_key = world.proof_with(&thief, "GET", &htu, &token, None);
    let other_path = world.proof("GET", "/approvals/1", &token);
    let other_method = world.proof("POST", "/approvals", &token);
    let other_host = world.proof_with(&world.holder, "GET", evil, &token, None);
    let other_token = world.proof("GET", "/approvals", &other);
    let (scheme, bearer) = (format!("DPoP {token}"), format!("Bearer {token}"));
    let with = |proof| vec![("Authorization", scheme.as_str()), ("DPoP", proof)];
    let (downgrade, target) = (TheftSignal::BearerDowngrade, TheftSignal::WrongTarget);
    let attempts: [Attempt<'_>; 8] = [
        (vec![], "authorization.absent", None),
        (
            vec![("Authorization", &bearer)],
            "token.scheme.downgrade",
            Some(downgrade),
        ),
        (
            vec![("Authorization", &scheme)],
            "dpop.absent",
            Some(downgrade),
        ),
        (
            with(&own_key),
            "token.key_mismatch",
            Some(TheftSignal::KeyMismatch),
        ),
        (with(&other_path), "dpop.htu.mismatch", Some(target)),
        (with(&other_method), "dpop.htm.mismatch", Some(target)),
        (with(&other_host), "dpop.htu.mismatch", Some(target)),
        (with(&other_token), "dpop.ath.mismatch", Some(target)),
    ];
    for attempt in attempts {
        refused(&world, attempt).await;
    }
    assert!(world.upstream.requests().is_empty());
}

async fn refused(world: &World, (fields, cause, signal): Attempt<'_>) {
    let _ = world.sink.take();
    let answer = ask(world.addr, world.request("GET", "/approvals", &fields)).await;
    assert_eq!(answer.status, 401, "{cause}");
    assert_eq!(answer.member("cause"), cause);
    let challenge = answer.field("www-authenticate").expect("a challenge");
    assert!(challenge.starts_with("DPoP "), "{cause}");
    let event = world.sink.take().pop();
    assert_eq!(
        event.as_ref().and_then(|event| event.signal),
        signal,
        "{cause}"
    );
    if let Some(event) = event {
        assert_eq!(event.request_id, answer.field("x-request-id"));
        assert!(event.peer.expect("a peer").starts_with("127.0.0.1:"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_080_sc_268_one_proof_serves_one_request_also_on_one_connection() {
    let world = World::start().await;
    let token = world.token();
    let proof = world.proof("GET", "/approvals", &token);
    let scheme = format!("DPoP {token}");
    let request = world.request(
        "GET",
        "/approvals",
        &[("Authorization", &scheme), ("DPoP", &proof)],
    );
    let unsigned = world.request("GET", "/approvals", &[]);
    let closing = world.request(
        "GET",
        "/approvals",
        &[
            ("Connection", "close"),
            ("Authorization", &scheme),
            ("DPoP", &proof),
        ],
    );
    let answers = send(world.addr, format!("{request}{request}{unsigned}{closing}")).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 401, 401, 401]);
    assert_eq!(answers[1].member("cause"), "dpop.replayed");
    assert_eq!(world.upstream.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_scope_and_audience_are_per_route() {
    let world = World::start().await;
    // The token is for the main resource, `/reports` is another.
    let answer = ask(world.addr, world.signed("GET", "/reports")).await;
    assert_eq!(
        (answer.status, answer.member("cause").as_str()),
        (401, "token.audience.mismatch")
    );
    // No scope for deleting.
    let answer = ask(world.addr, world.signed("DELETE", "/approvals")).await;
    assert_eq!(
        (answer.status, answer.member("cause").as_str()),
        (403, "scope.insufficient")
    );
    // A method that the route does not list.
    let answer = ask(world.addr, world.signed("PATCH", "/approvals")).await;
    assert_eq!(
        (answer.status, answer.member("cause").as_str()),
        (405, "http.method_not_allowed")
    );
    assert_eq!(answer.field("allow").as_deref(), Some("DELETE, GET, POST"));
    let jkt = world.holder.public_key().thumbprint();
    world
        .guard
        .revocations()
        .apply(&Subject::Key(jkt), SignalEvent::Locked, None);
    let answer = ask(world.addr, world.signed("GET", "/approvals")).await;
    assert_eq!(
        (answer.status, answer.member("cause").as_str()),
        (401, "key.locked")
    );
    assert!(world.upstream.requests().is_empty());
    world
        .guard
        .revocations()
        .apply(&Subject::Key(jkt), SignalEvent::Released, None);
    assert_eq!(
        ask(world.addr, world.signed("GET", "/approvals"))
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_113_two_credentials_are_a_bad_request() {
    let world = World::start().await;
    let token = world.token();
    let proof = world.proof("GET", "/approvals", &token);
    let scheme = format!("DPoP {token}");
    let fields = [
        ("Authorization", scheme.as_str()),
        ("Authorization", &scheme),
        ("DPoP", &proof),
    ];
    let answer = ask(world.addr, world.request("GET", "/approvals", &fields)).await;
    assert_eq!(
        (answer.status, answer.member("cause").as_str()),
        (400, "authorization.multiple")
    );
    let fields = [
        ("Authorization", scheme.as_str()),
        ("DPoP", &proof),
        ("DPoP", &proof),
    ];
    let answer = ask(world.addr, world.request("GET", "/approvals", &fields)).await;
    assert_eq!(
        (answer.status, answer.member("cause").as_str()),
        (401, "dpop.multiple")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_257_paths_with_two_meanings_are_refused_on_every_route() {
    let world = World::start().await;
    for path in [
        "/open/../approvals",
        "/open/./x",
        "/open/%2e%2e/approvals",
        "/open/.%2E/approvals",
        "/open/..;/approvals",
        "/open%2f..%2fapprovals",
        "/open/x%5cy",
        "/open/x\\y",
        "/open/%00",
        "/open/%zz",
        "/open/%",
        "//approvals",
        "/approvals;x",
        "/Approvals",
        "/OPEN/x",
        "/%2561pprovals",
        "/open/%0d%0aX:y",
    ] {
        let answer = ask(world.addr, world.request("GET", path, &[])).await;
        assert_eq!(answer.status, 400, "{path}");
    }
    assert!(world.upstream.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_265_without_a_route_there_is_404() {
    let world = World::start().await;
    for path in [
        "/",
        "/ope",
        "/openx",
        "/approval",
        "/.well-known/other",
        "/unknown",
    ] {
        let answer = ask(world.addr, world.request("GET", path, &[])).await;
        assert_eq!(
            (answer.status, answer.member("cause").as_str()),
            (404, "http.route_unknown"),
            "{path}"
        );
    }
    let answer = ask(world.addr, world.request("TRACE", "/open", &[])).await;
    assert_eq!(answer.status, 405);
    let answer = ask(world.addr, world.request("OPTIONS", "*", &[])).await;
    assert_eq!(answer.status, 400);
    assert!(world.upstream.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_062_forwarding_fields_do_not_change_what_is_compared() {
    let world = World::start().await;
    let token = world.token();
    let scheme = format!("DPoP {token}");
    let proof = world.proof_with(
        &world.holder,
        "GET",
        "https://evil.example/approvals",
        &token,
        None,
    );
    let fields = [
        ("Authorization", scheme.as_str()),
        ("DPoP", &proof),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Port", "443"),
        ("Forwarded", "host=evil.example;proto=https"),
        ("X-Original-URL", "/open"),
    ];
    let answer = ask(world.addr, world.request("GET", "/approvals", &fields)).await;
    assert_eq!(
        (answer.status, answer.member("cause").as_str()),
        (401, "dpop.htu.mismatch")
    );
    assert!(world.upstream.requests().is_empty());
}
