//! What stays of refusals: events and counters, and no secrets.

use http::{HeaderMap, Method};
use keybound_guard::{HttpRequest, RequestFacts};
use keybound_proto::cause::Cause;
use keybound_proto::event::{Event, EventKind, TheftSignal};
use keybound_proto::jose::{Algorithm, Signer as _};
use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;
use keybound_proto::uri::{Htu, Origin};
use keybound_proto::verify::{HeaderField, Message, Presented};
use serde_json::json;

use crate::support::{NOW, TARGET, World, check, key, sign};

#[tokio::test]
async fn refusals_of_strangers_are_counted_but_not_recorded() {
    let world = World::start().await;
    let forged = sign(
        &json!({"typ": "at+jwt", "alg": "EdDSA", "kid": "k1"}),
        &world.issuer.claims(&world.holder),
        &key(Algorithm::EdDsa),
    );
    for _ in 0..50 {
        world.refused(&forged, &world.proof(&forged)).await;
        let _ = check(&world.guard, &world.route, "DPoP x", Some("y")).await;
    }
    assert!(world.sink.take().is_empty());
    world.guard.report_refusals();
    let mut events = world.sink.take();
    events.sort_by_key(|event| event.cause.clone());
    let summed: Vec<_> = events
        .iter()
        .map(|event| (event.kind, event.cause.as_deref().unwrap(), event.count))
        .collect();
    let aggregated = EventKind::RefusalsAggregated;
    assert_eq!(
        summed,
        [
            (aggregated, "token.malformed", 50),
            (aggregated, "token.signature.invalid", 50)
        ]
    );
    world.guard.report_refusals();
    assert!(world.sink.take().is_empty());
}

#[tokio::test]
async fn a_target_that_can_be_read_two_ways_is_counted_and_summed() {
    let world = World::start().await;
    let request = HttpRequest {
        method: &Method::GET,
        path_and_query: "/approvals/../admin",
        headers: &HeaderMap::new(),
        has_content: false,
        certificate: None,
        certificate_hash: None,
    };
    let origin = Origin::parse("https://api.example.com").unwrap();
    let facts = RequestFacts::default();
    let guard = &world.guard;
    let outcome = guard
        .check_http(&request, &origin, &world.route, &facts)
        .await;
    assert_eq!(outcome.unwrap_err().cause(), Cause::TargetAmbiguous);
    assert_eq!(guard.metrics().refusals(Cause::TargetAmbiguous), 1);
    guard.report_refusals();
    let events = world.sink.take();
    assert_eq!(events[0].cause.as_deref(), Some("http.target_ambiguous"));
    assert_eq!((events.len(), events[0].count), (1, 1));
}

#[tokio::test]
async fn a_request_withheld_after_its_check_is_recorded_too() {
    let world = World::start().await;
    let token = world.token();
    let proof = world.proof(&token);
    let caller = world.send(&token, &proof).await.unwrap();
    let target = Htu::parse(TARGET).unwrap();
    let presented = Presented {
        method: "GET",
        target: &target,
        authorization: HeaderField::Absent,
        proof: HeaderField::Absent,
        message: Message::default(),
    };
    let facts = RequestFacts {
        request_id: Some("req_late"),
        peer: None,
    };
    let cause = Cause::TokenRevoked;
    let rejection = world
        .guard
        .refuse_late(&caller, cause, &presented, &world.route, &facts);
    assert_eq!(rejection.cause(), cause);
    let events = world.sink.take();
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_eq!(event.kind, EventKind::RequestRefused);
    assert_eq!(event.cause.as_deref(), Some("token.revoked"));
    assert_eq!(event.token_id.as_deref(), caller.token().token_id());
    assert_eq!(event.request_id.as_deref(), Some("req_late"));
    let metrics = world.guard.render_metrics();
    assert!(metrics.contains("keybound_refusals_total{cause=\"token.revoked\"} 1"));
}

/// The event says which token of whom was refused where.
fn assert_describes(event: &Event, world: &World, token: &str) {
    let hash = TokenHash::of(token.as_bytes());
    let jkt = world.holder.public_key().thumbprint();
    assert_eq!(event.kind, EventKind::RequestRefused);
    assert_eq!(event.token_sha256, Some(hash.to_hex()));
    assert!(event.token_id.as_deref().unwrap().starts_with("tok_"));
    assert_eq!(event.jkt, Some(jkt.to_string()));
    assert_eq!(event.identity.as_deref(), Some("agent-7"));
    assert_eq!(event.method.as_deref(), Some("GET"));
    assert_eq!(event.path.as_deref(), Some("/approvals"));
    assert_eq!(event.node, "gateway-1");
    assert_eq!(event.route.as_deref(), Some("approvals"));
}

#[tokio::test]
async fn each_theft_of_a_genuine_token_is_recorded_with_its_signal() {
    let world = World::start().await;
    let token = world.token();
    let used = world.proof(&token);
    assert!(world.send(&token, &used).await.is_ok());
    let other_key = world.proof_with(&token, |proof| proof.key = key(Algorithm::EdDsa));
    let other_path = world.proof_with(&token, |proof| {
        proof.htu = "https://api.example.com/reports"
    });
    let old = world.proof_with(&token, |proof| proof.iat = UnixTime::from_secs(NOW - 3600));
    let other_token = world.proof_with(&token, |proof| proof.ath = TokenHash::of(b"another"));
    let attempts = [
        ("DPoP", Some(&used), "dpop.replayed", TheftSignal::JtiReuse),
        (
            "DPoP",
            Some(&other_key),
            "token.key_mismatch",
            TheftSignal::KeyMismatch,
        ),
        (
            "DPoP",
            Some(&other_path),
            "dpop.htu.mismatch",
            TheftSignal::WrongTarget,
        ),
        (
            "DPoP",
            Some(&other_token),
            "dpop.ath.mismatch",
            TheftSignal::WrongTarget,
        ),
        ("DPoP", Some(&old), "dpop.iat.past", TheftSignal::StaleProof),
        ("DPoP", None, "dpop.absent", TheftSignal::BearerDowngrade),
        (
            "Bearer",
            None,
            "token.scheme.downgrade",
            TheftSignal::BearerDowngrade,
        ),
    ];
    for (scheme, proof, cause, signal) in attempts {
        let authorization = format!("{scheme} {token}");
        let proof = proof.map(String::as_str);
        let sent = check(&world.guard, &world.route, &authorization, proof).await;
        assert_eq!(sent.unwrap_err().cause().id(), cause);
        let events = world.sink.take();
        let [event] = events.as_slice() else {
            panic!("one event for {cause}, not {events:?}");
        };
        assert_eq!(event.cause.as_deref(), Some(cause));
        assert_eq!(event.signal, Some(signal), "{cause}");
        assert_describes(event, &world, &token);
    }
    let metrics = world.guard.render_metrics();
    for line in [
        r#"keybound_replay_attempts_total{kind="jti_reuse"} 1"#,
        r#"keybound_replay_attempts_total{kind="bearer_downgrade"} 2"#,
        r#"keybound_replay_attempts_total{kind="wrong_target"} 2"#,
        r#"keybound_requests_verified_total{route="approvals",binding="dpop",result="accepted"} 1"#,
        r#"keybound_requests_verified_total{route="approvals",binding="dpop",result="refused"} 7"#,
        "keybound_verify_duration_seconds_count 8",
    ] {
        assert!(
            metrics.lines().any(|written| written == line),
            "{line} not in\n{metrics}"
        );
    }
    world.guard.report_refusals();
    assert!(world.sink.take().is_empty(), "nothing is reported twice");
}

#[tokio::test]
async fn event_names_clock_skew_request_and_peer() {
    let world = World::start().await;
    let token = world.token();
    world.accept(&token).await;
    let proof = world.proof_with(&token, |proof| proof.iat = UnixTime::from_secs(NOW - 90));
    let target = Htu::parse(TARGET).unwrap();
    let authorization = format!("DPoP {token}");
    let presented = Presented {
        method: "GET",
        target: &target,
        authorization: HeaderField::One(authorization.as_bytes()),
        proof: HeaderField::One(proof.as_bytes()),
        message: Message::default(),
    };
    let facts = RequestFacts {
        request_id: Some("req_7"),
        peer: Some("192.0.2.7:40000"),
    };
    let refused = world
        .guard
        .check_with(&presented, &world.route, &facts)
        .await;
    assert_eq!(refused.unwrap_err().cause(), Cause::DpopIatPast);
    let event = world.sink.take().pop().unwrap();
    assert_eq!(event.clock_skew, Some(-90));
    assert_eq!(event.request_id.as_deref(), Some("req_7"));
    assert_eq!(event.peer.as_deref(), Some("192.0.2.7:40000"));
}

#[tokio::test]
async fn sc_310_no_token_or_proof_in_any_sink() {
    let world = World::start().await;
    let token = world.token();
    let proof = world.proof(&token);
    world.accept(&token).await;
    let mut sinks = String::new();
    let secrets = [
        token.as_str(),
        proof.as_str(),
        token.rsplit('.').next().unwrap(),
        proof.rsplit('.').next().unwrap(),
    ];
    for (authorization, proof) in [
        (format!("DPoP {token}"), Some(proof.as_str())),
        (format!("DPoP {token}"), Some(proof.as_str())),
        (format!("DPoP {token}"), None),
        (format!("Bearer {token}"), None),
        (format!("DPoP {token}x"), Some(proof.as_str())),
        (format!("DPoP {token}"), Some(token.as_str())),
        (format!("DPoP {proof}"), Some(proof.as_str())),
        (format!("{token} {proof}"), Some("x")),
    ] {
        match check(&world.guard, &world.route, &authorization, proof).await {
            Ok(verified) => sinks.push_str(&format!("{verified:?}")),
            Err(rejection) => {
                let answer = world.guard.answer(&rejection, &world.route, "r");
                sinks.push_str(&format!("{rejection} {rejection:?} {answer:?}"));
            }
        }
    }
    world.guard.report_refusals();
    for event in world.sink.take() {
        sinks.push_str(&event.to_json_line());
    }
    sinks.push_str(&world.guard.render_metrics());
    sinks.push_str(&format!("{:?} {:?}", world.guard, world.guard.readiness()));
    for secret in secrets {
        assert!(!sinks.contains(secret));
    }
    assert!(
        sinks.contains("dpop.replayed"),
        "the sinks were really written to"
    );
}
