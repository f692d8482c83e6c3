//! Each way to be refused, then the way to be accepted.

use std::sync::Arc;

use http::HeaderMap;
use keybound_guard::{Fields, MethodScopes, ReplayConfig, ReplayMode, Route};
use keybound_proto::cause::Cause;
use keybound_proto::jose::{Algorithm, Signer as _};
use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;
use keybound_proto::uri::Htu;
use serde_json::json;

use crate::support::{Issuer, NOW, TARGET, World, check, key, presented, sign};

#[tokio::test]
async fn sc_080_same_proof_twice() {
    let world = World::start().await;
    let token = world.token();
    let proof = world.proof(&token);
    assert!(world.send(&token, &proof).await.is_ok());
    for _ in 0..3 {
        assert_eq!(world.refused(&token, &proof).await, Cause::DpopReplayed);
    }
}

#[tokio::test]
async fn sc_081_same_jti_freshly_signed_is_a_replay() {
    let world = World::start().await;
    let token = world.token();
    let with_iat = |iat| {
        world.proof_with(&token, |proof| {
            proof.jti = "chosen".into();
            proof.iat = UnixTime::from_secs(iat);
        })
    };
    assert!(world.send(&token, &with_iat(NOW)).await.is_ok());
    for iat in [NOW - 60, NOW - 1, NOW, NOW + 10] {
        assert_eq!(
            world.refused(&token, &with_iat(iat)).await,
            Cause::DpopReplayed
        );
    }
}

#[tokio::test]
async fn sc_085_refused_requests_leave_the_replay_log_alone() {
    let world = World::start().await;
    let token = world.token();
    let honest = world.proof_with(&token, |proof| proof.jti = "honest".into());
    let other_key = key(Algorithm::EdDsa);
    let spoiled = |change: &dyn Fn(&mut crate::support::Proof<'_>)| {
        world.proof_with(&token, |proof| {
            proof.jti = "honest".into();
            change(proof);
        })
    };
    let wrong_ath = spoiled(&|proof| proof.ath = TokenHash::of(b"another"));
    let wrong_key = spoiled(&|proof| proof.key = Arc::clone(&other_key));
    let mut bad_signature = honest.clone();
    let flipped = if bad_signature.pop() == Some('A') {
        "Q"
    } else {
        "A"
    };
    bad_signature.push_str(flipped);
    let unknown_token = world.issuer.sign(&{
        let mut claims = world.issuer.claims(&world.holder);
        claims["iss"] = json!("https://elsewhere.example.com");
        claims
    });
    let cases = [
        (&token, &wrong_ath, Cause::DpopAthMismatch),
        (&token, &wrong_key, Cause::TokenKeyMismatch),
        (&token, &bad_signature, Cause::DpopSignatureInvalid),
        (&unknown_token, &honest, Cause::TokenIssuerUnknown),
    ];
    for (token, proof, cause) in cases {
        assert_eq!(world.refused(token, proof).await, cause);
        assert_eq!(world.replay_entries(), 0, "{cause}");
    }
    // The honest proof with the same `jti` was not burned by any of them.
    assert!(world.send(&token, &honest).await.is_ok());
    assert_eq!(world.replay_entries(), 1);
}

#[tokio::test]
async fn sc_110_bound_token_as_bearer_is_refused_seen_or_not() {
    let world = World::start().await;
    let token = world.token();
    let bearer = || async {
        let sent = check(&world.guard, &world.route, format!("Bearer {token}"), None);
        sent.await.unwrap_err()
    };
    let unseen = bearer().await;
    assert_eq!(unseen.cause(), Cause::TokenSchemeDowngrade);
    assert!(
        unseen.token().is_some(),
        "the token is genuine and that is known"
    );
    world.accept(&token).await;
    assert_eq!(bearer().await.cause(), Cause::TokenSchemeDowngrade);
    // Bearer with somebody's proof beside it is still Bearer.
    let proof = world.proof(&token);
    let sent = check(
        &world.guard,
        &world.route,
        format!("Bearer {token}"),
        Some(&proof),
    );
    assert_eq!(sent.await.unwrap_err().cause(), Cause::TokenSchemeDowngrade);
}

#[tokio::test]
async fn sc_001_scheme_without_proof_names_the_genuine_token() {
    let world = World::start().await;
    let token = world.token();
    let sent = check(&world.guard, &world.route, format!("DPoP {token}"), None);
    let rejection = sent.await.unwrap_err();
    assert_eq!(rejection.cause(), Cause::DpopAbsent);
    assert_eq!(
        rejection.token().unwrap().hash(),
        TokenHash::of(token.as_bytes())
    );
    let forged = sign(
        &json!({"typ": "at+jwt", "alg": "EdDSA", "kid": "k1"}),
        &world.issuer.claims(&world.holder),
        &key(Algorithm::EdDsa),
    );
    let sent = check(&world.guard, &world.route, format!("DPoP {forged}"), None);
    let rejection = sent.await.unwrap_err();
    assert_eq!(rejection.cause(), Cause::DpopAbsent);
    assert!(rejection.token().is_none(), "a forged token is no token");
}

#[tokio::test]
async fn garbled_proof_costs_no_verification_of_a_token_not_seen_before() {
    let world = World::start().await;
    let rejection = world.send(&world.token(), "a.b").await.unwrap_err();
    assert_eq!(rejection.cause(), Cause::DpopMalformed);
    assert!(rejection.token().is_none());
    assert_eq!(world.issuer.fetches(), 0, "no key was needed");
}

#[tokio::test]
async fn sc_111_proof_of_another_key_is_refused() {
    let world = World::start().await;
    let token = world.token();
    for _ in 0..2 {
        let proof = world.proof_with(&token, |proof| proof.key = key(Algorithm::Es256));
        assert_eq!(world.refused(&token, &proof).await, Cause::TokenKeyMismatch);
        world.accept(&token).await;
    }
}

#[tokio::test]
async fn sc_112_unbound_token_is_refused() {
    let world = World::start().await;
    let mut claims = world.issuer.claims(&world.holder);
    claims.as_object_mut().unwrap().remove("cnf");
    let token = world.issuer.sign(&claims);
    for _ in 0..2 {
        assert_eq!(
            world.refused(&token, &world.proof(&token)).await,
            Cause::TokenUnbound
        );
    }
}

#[tokio::test]
async fn proof_for_another_request_is_refused_seen_or_not() {
    let world = World::start().await;
    let token = world.token();
    for _ in 0..2 {
        let elsewhere = world.proof_with(&token, |proof| {
            proof.htu = "https://api.example.com/reports"
        });
        assert_eq!(
            world.refused(&token, &elsewhere).await,
            Cause::DpopHtuMismatch
        );
        let otherwise = world.proof_with(&token, |proof| proof.method = "POST");
        assert_eq!(
            world.refused(&token, &otherwise).await,
            Cause::DpopHtmMismatch
        );
        let old = world.proof_with(&token, |proof| proof.iat = UnixTime::from_secs(NOW - 61));
        assert_eq!(world.refused(&token, &old).await, Cause::DpopIatPast);
        let early = world.proof_with(&token, |proof| proof.iat = UnixTime::from_secs(NOW + 11));
        assert_eq!(world.refused(&token, &early).await, Cause::DpopIatFuture);
        world.accept(&token).await;
    }
}

#[tokio::test]
async fn known_token_is_checked_for_each_route_anew() {
    let world = World::start().await;
    let token = world.token();
    world.accept(&token).await;
    let authorization = format!("DPoP {token}");
    let reports = Route::new("reports", "https://api.example.com/reports/");
    let refused = |route: Route| {
        let (proof, authorization) = (world.proof(&token), authorization.clone());
        let guard = world.guard.clone();
        async move {
            check(&guard, &route, &authorization, Some(&proof))
                .await
                .unwrap_err()
                .cause()
        }
    };
    assert_eq!(refused(reports).await, Cause::TokenAudienceMismatch);
    let mut other_issuer = world.route.clone();
    other_issuer.issuers = Some(vec!["https://elsewhere.example.com".into()]);
    assert_eq!(refused(other_issuer).await, Cause::TokenIssuerUnknown);
    let mut admin = world.route.clone();
    admin.scopes = MethodScopes::default().with("GET", ["approvals:read", "admin"]);
    assert_eq!(refused(admin).await, Cause::ScopeInsufficient);
    let mut post_only = world.route.clone();
    post_only.scopes = MethodScopes::default().with("POST", ["approvals:write"]);
    assert_eq!(refused(post_only).await, Cause::MethodNotAllowed);
    world.accept(&token).await;
}

#[tokio::test]
async fn known_token_is_not_used_beyond_its_end() {
    let world = World::start().await;
    let token = world.token();
    world.accept(&token).await;
    world.clock.set(NOW + 299);
    world.accept(&token).await;
    world.clock.set(NOW + 300);
    assert_eq!(
        world.refused(&token, &world.proof(&token)).await,
        Cause::TokenExpired
    );
}

#[tokio::test]
async fn sc_230_key_inside_the_token_is_not_used() {
    let world = World::start().await;
    let thief = key(Algorithm::EdDsa);
    let own: serde_json::Value = {
        use keybound_proto::jose::Signer as _;
        serde_json::from_str(&thief.public_key().to_jwk()).unwrap()
    };
    let header = json!({
        "typ": "at+jwt", "alg": "EdDSA", "kid": "k1", "jwk": own,
        "jku": format!("{}/evil", world.issuer.url), "x5u": format!("{}/evil", world.issuer.url),
    });
    let token = sign(&header, &world.issuer.claims(&thief), &thief);
    let proof = world.proof_with(&token, |proof| proof.key = Arc::clone(&thief));
    assert_eq!(
        world.refused(&token, &proof).await,
        Cause::TokenSignatureInvalid
    );
    assert_eq!(world.issuer.hits("/evil"), 0);
}

#[tokio::test]
async fn sc_240_other_jwt_as_access_token_is_refused() {
    let world = World::start().await;
    let (kid, issuer_key) = world.issuer.keys().swap_remove(0);
    for typ in ["JWT", "dpop+jwt", "id+jwt", "secevent+jwt"] {
        let header = json!({"typ": typ, "alg": "EdDSA", "kid": kid});
        let token = sign(&header, &world.issuer.claims(&world.holder), &issuer_key);
        assert_eq!(
            world.refused(&token, &world.proof(&token)).await,
            Cause::TokenTyp
        );
    }
}

#[tokio::test]
async fn f_11_flooding_key_gets_429_and_others_are_served() {
    let world = World::with(Issuer::start().await, |config| {
        config.replay.capacity = 1000;
        config.replay.per_sender = 40;
    });
    let token = world.token();
    let mut flooded = 0;
    for _ in 0..100 {
        match world.send(&token, &world.proof(&token)).await {
            Ok(_) => assert_eq!(flooded, 0, "served again within the window"),
            Err(rejection) => {
                assert_eq!(rejection.cause(), Cause::ReplayFlood);
                assert_eq!(
                    world.guard.answer(&rejection, &world.route, "r").status,
                    429
                );
                flooded += 1;
            }
        }
    }
    assert!(flooded >= 60, "{flooded}");
    let neighbour = key(Algorithm::Es256);
    let token = world.issuer.token(&neighbour);
    for _ in 0..10 {
        let proof = world.proof_with(&token, |proof| proof.key = Arc::clone(&neighbour));
        assert!(world.send(&token, &proof).await.is_ok());
    }
}

#[tokio::test]
async fn full_replay_log_answers_503_and_recovers() {
    let world = World::with(Issuer::start().await, |config| {
        config.replay = ReplayConfig {
            mode: ReplayMode::Strict,
            capacity: 4,
            per_sender: 4,
            first_run: true,
        };
    });
    for _ in 0..4 {
        let holder = key(Algorithm::EdDsa);
        let token = world.issuer.token(&holder);
        let proof = world.proof_with(&token, |proof| proof.key = Arc::clone(&holder));
        assert!(world.send(&token, &proof).await.is_ok());
    }
    let token = world.token();
    let rejection = world.send(&token, &world.proof(&token)).await.unwrap_err();
    assert_eq!(rejection.cause(), Cause::ReplayFull);
    let answer = world.guard.answer(&rejection, &world.route, "r");
    assert_eq!((answer.status, answer.retry_after.is_some()), (503, true));
    assert!(
        world
            .guard
            .readiness()
            .iter()
            .any(|check| check.name == "replay" && !check.ok)
    );
    world.clock.advance_secs(90);
    world.accept(&token).await;
}

#[tokio::test]
async fn good_request_is_accepted_and_names_its_caller() {
    let world = World::start().await;
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
        let holder = key(algorithm);
        let token = world.issuer.token(&holder);
        let proof = world.proof_with(&token, |proof| proof.key = Arc::clone(&holder));
        let verified = world.send(&token, &proof).await.unwrap();
        assert_eq!(verified.token().subject(), "agent-7");
        assert_eq!(verified.token().confirmation().jkt(), verified.jkt());
    }
    assert_eq!(world.issuer.fetches(), 1);
}

/// A proof's header is read once for each token. What is remembered excuses nobody from anything.
#[tokio::test]
async fn a_remembered_header_excuses_nothing() {
    let world = World::start().await;
    let token = world.token();
    world.accept(&token).await;
    let (thief, good) = (key(Algorithm::EdDsa), world.proof(&token));
    let parts: Vec<&str> = good.split('.').collect();
    let by_thief = world.proof_with(&token, |proof| proof.key = Arc::clone(&thief));
    let thiefs: Vec<&str> = by_thief.split('.').collect();
    assert_eq!(
        world.refused(&token, &by_thief).await,
        Cause::TokenKeyMismatch
    );
    let owners_header = format!("{}.{}.{}", parts[0], thiefs[1], thiefs[2]);
    let refused = world.refused(&token, &owners_header).await;
    assert_eq!(refused, Cause::DpopSignatureInvalid);
    let thiefs_header = format!("{}.{}.{}", thiefs[0], parts[1], parts[2]);
    let refused = world.refused(&token, &thiefs_header).await;
    assert_eq!(refused, Cause::TokenKeyMismatch);
    let jwk: serde_json::Value = serde_json::from_str(&world.holder.public_key().to_jwk()).unwrap();
    let claims = json!({
        "jti": "critical", "htm": "GET", "htu": TARGET, "iat": NOW,
        "ath": TokenHash::of(token.as_bytes()).to_ath(),
    });
    let header = json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": jwk, "crit": ["x"], "x": 1});
    let critical = sign(&header, &claims, &world.holder);
    assert_eq!(world.refused(&token, &critical).await, Cause::DpopCritical);
    assert!(world.send(&token, &good).await.is_ok());
    // The same key in other bytes is read anew.
    let header = json!({"alg": "EdDSA", "jwk": jwk, "typ": "dpop+jwt", "other": true});
    let rewritten = sign(&header, &claims, &world.holder);
    assert!(world.send(&token, &rewritten).await.is_ok());
    world.accept(&token).await;
}

#[tokio::test]
async fn only_a_refusal_about_scope_names_scopes() {
    let mut world = World::start().await;
    world.route.scopes = MethodScopes::default().with("GET", ["approvals:admin"]);
    let token = world.token();
    let challenge = |rejection| {
        let answer = world.guard.answer(&rejection, &world.route, "req_1");
        answer.challenge.unwrap()
    };
    let thief = world.proof_with(&token, |proof| proof.key = key(Algorithm::EdDsa));
    let theft = challenge(world.send(&token, &thief).await.unwrap_err());
    assert!(!theft.contains("scope="), "{theft}");
    let proof = world.proof(&token);
    let scope = challenge(world.send(&token, &proof).await.unwrap_err());
    assert!(scope.contains("scope=\"approvals:admin\""), "{scope}");
}

#[tokio::test]
async fn fields_of_workloads_mean_nothing_where_no_workload_is_known() {
    let world = World::start().await;
    let token = world.token();
    let (authorization, proof) = (format!("DPoP {token}"), world.proof(&token));
    let mut headers = HeaderMap::new();
    headers.insert("workload-identity-token", "a.b.c".parse().unwrap());
    let target = Htu::parse(TARGET).unwrap();
    let mut request = presented(&target, &authorization, Some(&proof));
    let fields = Fields(&headers);
    request.message.fields = &fields;
    assert!(world.guard.check(&request, &world.route).await.is_ok());
}

/// SC-092: what says yes has written, and what is written says no.
#[tokio::test]
async fn sc_092_the_log_is_asked_and_not_only_there() {
    let world = World::start().await;
    let token = world.token();
    assert_eq!(world.replay_entries(), 0);
    let proof = world.proof(&token);
    let verified = world.send(&token, &proof).await.unwrap();
    assert_eq!(world.replay_entries(), 1);
    assert_eq!(verified.token().client_id(), Some("client-1"));
    assert_eq!(world.refused(&token, &proof).await, Cause::DpopReplayed);
    assert_eq!(world.replay_entries(), 1);
}
