//! Getting and renewing tokens.

use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use keybound_holder::{ClientAuthentication, Failure, Holder, HolderError, Secret, Timeouts};
use keybound_proto::jose::{Algorithm, Jws, Signer};
use keybound_proto::time::{Clock, ManualClock};
use tokio::task::JoinSet;

use crate::support::{NOW, Reply, Seen, Server, config, party};

fn assertion(seen: &Seen) -> String {
    seen.form("client_assertion").expect("an assertion")
}

#[tokio::test]
async fn sc_286_a_bearer_token_is_an_error_and_never_used() {
    let server = Server::issuer(|_| {
        Reply::new(
            200,
            r#"{"access_token":"canary","token_type":"Bearer","expires_in":300}"#,
        )
    })
    .await;
    let party = party(&server.url);
    for _ in 0..2 {
        let error = party.holder.token().await.expect_err("an unbound token");
        assert!(matches!(error, HolderError::NotBound { .. }), "{error:?}");
        assert!(!format!("{error:?}{error}").contains("canary"));
    }
    let send = crate::support::get(server.url("/api"));
    assert!(party.holder.send(send).await.is_err());
    let paths: HashSet<_> = server
        .seen()
        .iter()
        .map(|s| s.uri.path().to_owned())
        .collect();
    assert_eq!(paths, HashSet::from(["/token".to_owned()]));
}

#[tokio::test]
async fn sc_291_a_refusal_is_final_and_nothing_weaker_is_tried() {
    let server = Server::issuer(|_| Reply::oauth_error(401, "invalid_client")).await;
    let party = party(&server.url);
    let error = party.holder.token().await.expect_err("a refusal");
    assert!(
        matches!(&error, HolderError::Refused { status: 401, error, .. } if error == "invalid_client"),
        "{error:?}"
    );
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        seen[0].form("grant_type").as_deref(),
        Some("client_credentials")
    );
    assert!(seen[0].header("authorization").is_none());
}

#[tokio::test]
async fn sc_280_an_issuer_that_always_wants_another_nonce_gets_two_requests() {
    let mut count = 0;
    let server = Server::issuer(move |_| {
        count += 1;
        Reply::oauth_error(400, "use_dpop_nonce").with("dpop-nonce", format!("n{count}"))
    })
    .await;
    let party = party(&server.url);
    let error = party.holder.token().await.expect_err("a nonce loop");
    assert!(matches!(error, HolderError::NonceLoop { .. }), "{error:?}");
    let nonces: Vec<_> = server.seen().iter().map(|s| s.proof().nonce).collect();
    assert_eq!(nonces, [None, Some("n1".to_owned())]);
}

#[tokio::test]
async fn sc_280_a_nonce_that_was_refused_is_not_sent_again() {
    let server =
        Server::issuer(|_| Reply::oauth_error(400, "use_dpop_nonce").with("dpop-nonce", "same"))
            .await;
    let party = party(&server.url);
    for expected in [2, 3] {
        // The second call knows the nonce already: its first attempt carries
        // it, and there is no other to try.
        let error = party.holder.token().await.expect_err("a nonce loop");
        assert!(matches!(error, HolderError::NonceLoop { .. }), "{error:?}");
        assert_eq!(server.seen().len(), expected);
        party.clock.advance_secs(61);
    }
}

#[tokio::test]
async fn sc_280_a_challenge_without_a_nonce_is_not_answered() {
    let server = Server::issuer(|_| Reply::oauth_error(400, "use_dpop_nonce")).await;
    let party = party(&server.url);
    let error = party.holder.token().await.expect_err("no nonce");
    assert!(matches!(error, HolderError::NonceLoop { .. }), "{error:?}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn sc_282_the_retry_has_a_proof_and_an_assertion_of_its_own() {
    let server = Server::issuer(|seen| match seen.proof().nonce.as_deref() {
        Some("n1") => Reply::token("t1", 300),
        _ => Reply::oauth_error(400, "use_dpop_nonce").with("dpop-nonce", "n1"),
    })
    .await;
    let party = party(&server.url);
    let token = party.holder.token().await.expect("a token");
    assert_eq!(token.jkt(), party.holder.jkt());
    let seen = server.seen();
    let proofs: Vec<_> = seen.iter().map(Seen::proof).collect();
    assert_eq!(proofs.len(), 2);
    assert_ne!(proofs[0].jti, proofs[1].jti);
    assert_ne!(assertion(&seen[0]), assertion(&seen[1]));
    for proof in proofs {
        assert_eq!(proof.jkt, party.holder.jkt());
        assert_eq!((proof.htm.as_str(), proof.iat), ("POST", NOW));
        assert_eq!(proof.htu, format!("{}/token", server.url));
        assert_eq!(proof.ath, None);
        // 128 bits in base64url.
        assert_eq!(proof.jti.len(), 22);
    }
}

#[tokio::test]
async fn sc_283_a_token_request_is_not_redirected() {
    let other = Server::start(|_| Reply::token("stolen", 300)).await;
    let target = format!("{}/token", other.url);
    let server =
        Server::issuer(move |_| Reply::new(307, "").with("location", target.clone())).await;
    let party = party(&server.url);
    let error = party.holder.token().await.expect_err("a redirect");
    assert!(
        matches!(&error, HolderError::Redirected { target, .. } if target.contains(&other.url)),
        "{error:?}"
    );
    assert_eq!(other.paths(), Vec::<String>::new());
}

#[tokio::test]
async fn sc_300_the_assertion_is_for_the_issuer_alone_and_short_lived() {
    let server = Server::issuer(|_| Reply::token("t1", 300)).await;
    let party = party(&server.url);
    party.holder.token().await.expect("a token");
    let seen = server.seen();
    let text = assertion(&seen[0]);
    let jws = Jws::parse(text.as_bytes(), 8192).expect("a JWS");
    let key = party.client_key.public_key();
    assert!(jws.verify(Algorithm::EdDsa, key).is_ok());
    let claims = jws.claims().expect("claims");
    assert_eq!(claims.string("aud"), Ok(Some(server.url.as_str())));
    assert_eq!(claims.string("iss"), Ok(Some("client")));
    assert_eq!(claims.string("sub"), Ok(Some("client")));
    assert_eq!(claims.unsigned("iat"), Ok(Some(NOW)));
    assert_eq!(claims.unsigned("exp"), Ok(Some(NOW + 60)));
    assert_eq!(
        seen[0].form("client_assertion_type").as_deref(),
        Some("urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer")
    );
}

#[tokio::test]
async fn a_client_secret_travels_in_the_authorization_field_only() {
    let server = Server::issuer(|_| Reply::token("t1", 300)).await;
    let authentication = ClientAuthentication::ClientSecretBasic(Secret::new("s3:cret"));
    let mut config = config(&server.url, authentication);
    config.resource = Some("http://127.0.0.1:9401/".to_owned());
    config.scope = Some("a b".to_owned());
    let holder = Holder::new(config, Arc::new(ManualClock::at(NOW))).expect("a holder");
    let token = holder.token().await.expect("a token");
    assert_eq!(token.scope(), Some("a"));
    let seen = server.seen();
    // "client:s3%3Acret"
    assert_eq!(
        seen[0].header("authorization"),
        Some("Basic Y2xpZW50OnMzJTNBY3JldA==")
    );
    assert_eq!(
        seen[0].body,
        "grant_type=client_credentials&resource=http%3A%2F%2F127.0.0.1%3A9401%2F&scope=a+b"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sc_287_a_hundred_callers_make_one_request() {
    let server = Server::issuer(|_| Reply::token("t1", 300)).await;
    let party = party(&server.url);
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let holder = party.holder.clone();
        callers.spawn(async move { holder.token().await.expect("a token").hash().to_hex() });
    }
    let tokens: HashSet<_> = callers.join_all().await.into_iter().collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(server.paths().len(), 2, "{:?}", server.paths());
}

#[tokio::test]
async fn sc_287_a_caller_who_leaves_does_not_take_the_flight_along() {
    let server = Server::issuer(|_| Reply::token("t1", 300)).await;
    let party = party(&server.url);
    {
        let mut leaving = pin!(party.holder.token());
        // Polled once, so that the flight has begun, then dropped.
        let first = poll_fn(|context| Poll::Ready(leaving.as_mut().poll(context))).await;
        assert!(first.is_pending());
    }
    party.holder.token().await.expect("a token");
    assert_eq!(server.seen().len(), 1);
}

/// Waits until the token at hand is another one than `old`.
async fn renewed(holder: &Holder, old: &str) -> String {
    loop {
        let token = holder.token().await.expect("a token");
        if token.expose() != old {
            return token.expose().to_owned();
        }
        tokio::task::yield_now().await;
    }
}

fn counting_issuer() -> impl FnMut(&Seen) -> Reply + Send + 'static {
    let mut count = 0;
    move |_| {
        count += 1;
        Reply::token(&format!("t{count}"), 1000)
    }
}

#[tokio::test]
async fn renewal_begins_at_four_fifths_of_the_life() {
    let server = Server::issuer(counting_issuer()).await;
    let party = party(&server.url);
    assert_eq!(party.holder.token().await.expect("a token").expose(), "t1");
    party.clock.advance_secs(749);
    assert_eq!(party.holder.token().await.expect("a token").expose(), "t1");
    assert_eq!(server.seen().len(), 1);
    party.clock.advance_secs(102);
    // The old token serves while the new one is on its way.
    assert_eq!(party.holder.token().await.expect("a token").expose(), "t1");
    assert_eq!(renewed(&party.holder, "t1").await, "t2");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn an_expired_token_is_never_handed_out() {
    let server = Server::issuer(counting_issuer()).await;
    let party = party(&server.url);
    party.holder.token().await.expect("a token");
    party.clock.advance_secs(1000);
    assert_eq!(party.holder.token().await.expect("a token").expose(), "t2");
}

#[tokio::test]
async fn f_22_an_issuer_that_is_down_leaves_the_old_token_until_it_expires() {
    let server = Server::issuer(counting_issuer()).await;
    let party = party(&server.url);
    party.holder.token().await.expect("a token");
    server.behave(|_| Reply::new(503, "").with("retry-after", "20"));
    party.clock.advance_secs(900);
    for _ in 0..5 {
        assert_eq!(
            party.holder.token().await.expect("the old token").expose(),
            "t1"
        );
        party.clock.advance_secs(19);
    }
    party.clock.set(NOW + 1000);
    let error = party.holder.token().await.expect_err("no token left");
    assert!(
        matches!(error, HolderError::Unavailable { status: 503, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn f_22_after_a_failure_the_issuer_is_left_alone_for_a_while() {
    let server = Server::issuer(|_| Reply::new(503, "").with("retry-after", "20")).await;
    let party = party(&server.url);
    for _ in 0..10 {
        let error = party.holder.token().await.expect_err("unavailable");
        assert!(error.is_transient(), "{error:?}");
    }
    assert_eq!(server.seen().len(), 1);
    party.clock.advance_secs(19);
    assert!(party.holder.token().await.is_err());
    assert_eq!(server.seen().len(), 1);
    party.clock.advance_secs(1);
    server.behave(crate::support::with_metadata(
        &server.url,
        counting_issuer(),
    ));
    assert_eq!(
        party.holder.token().await.expect("recovered").expose(),
        "t1"
    );
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn nobody_listening_is_named_as_such() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let party = party(&format!("http://{address}"));
    let error = party.holder.token().await.expect_err("nobody there");
    let HolderError::Unreachable { url, source } = &error else {
        panic!("{error:?}");
    };
    assert!(url.starts_with(&format!("http://{address}/")), "{url}");
    assert!(matches!(source, Failure::Connect(_)), "{source:?}");
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_runs_into_the_time_limit() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let key = Arc::new(keybound_custody::SoftwareKey::generate(Algorithm::Es256).expect("a key"));
    let mut config = config(
        &format!("http://{address}"),
        ClientAuthentication::PrivateKeyJwt(key),
    );
    config.timeouts = Timeouts {
        total: Duration::from_millis(50),
        ..Timeouts::default()
    };
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOW));
    let holder = Holder::new(config, clock).expect("a holder");
    let error = holder.token().await.expect_err("no answer");
    assert!(
        matches!(
            &error,
            HolderError::Unreachable {
                source: Failure::Timeout,
                ..
            }
        ),
        "{error:?}"
    );
    drop(listener);
}

#[tokio::test]
async fn skew_is_learned_before_the_first_proof_and_dates_it() {
    for (date, skew) in [
        ("Fri, 15 Jan 2027 07:58:00 GMT", -120_i64),
        ("Fri, 15 Jan 2027 08:10:00 GMT", 600),
        ("Fri, 15 Jan 2027 08:00:02 GMT", 0),
        ("Sun, 17 Jan 2027 08:00:00 GMT", 0),
    ] {
        let server = Server::start(|_| Reply::new(404, "")).await;
        let issuer = server.url.clone();
        server.behave(move |seen| {
            let mut behaviour = crate::support::with_metadata(&issuer, |_| Reply::token("t", 300));
            behaviour(seen).with("date", date)
        });
        let party = party(&server.url);
        let token = party.holder.token().await.expect("a token");
        let origin = server.url("/");
        assert_eq!(party.holder.clock_skew(origin.origin()), skew, "{date}");
        let seen = server.seen();
        let server_time = NOW.checked_add_signed(skew).expect("a time");
        assert_eq!(seen[0].proof().iat, server_time, "{date}");
        // Its life is counted by our own clock.
        assert_eq!(token.expires_at().as_secs(), NOW + 300);
    }
}
