//! Requests to resource servers.

use std::collections::HashSet;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use keybound_holder::{HolderError, Request};
use keybound_proto::token::TokenHash;
use keybound_proto::uri::HttpUrl;

use crate::support::{NOW, Party, Reply, Seen, Server, get, party};

/// An issuer whose tokens are `t1`, `t2`, ..., and a holder.
async fn issuer_and_party() -> (Server, Party) {
    let mut count = 0;
    let issuer = Server::issuer(move |_| {
        count += 1;
        Reply::token(&format!("t{count}"), 100_000)
    })
    .await;
    let party = party(&issuer.url);
    (issuer, party)
}

fn nonces(server: &Server) -> Vec<Option<String>> {
    server
        .seen()
        .iter()
        .map(|seen| seen.proof().nonce)
        .collect()
}

fn some(nonce: &str) -> Option<String> {
    Some(nonce.to_owned())
}

#[tokio::test]
async fn sc_280_a_resource_server_that_always_wants_another_nonce_gets_two_requests() {
    let (_issuer, party) = issuer_and_party().await;
    let mut count = 0;
    let api = Server::start(move |_| {
        count += 1;
        Reply::challenge("use_dpop_nonce").with("dpop-nonce", format!("n{count}"))
    })
    .await;
    let response = party
        .holder
        .send(get(api.url("/x")))
        .await
        .expect("an answer");
    assert_eq!((response.status.as_u16(), response.attempts), (401, 2));
    assert_eq!(nonces(&api), [None, some("n1")]);
}

#[tokio::test]
async fn sc_280_the_same_nonce_again_is_not_answered() {
    let (_issuer, party) = issuer_and_party().await;
    let api =
        Server::start(|_| Reply::challenge("use_dpop_nonce").with("dpop-nonce", "same")).await;
    for attempts in [2, 1] {
        let response = party
            .holder
            .send(get(api.url("/x")))
            .await
            .expect("an answer");
        assert_eq!(
            (response.status.as_u16(), response.attempts),
            (401, attempts)
        );
    }
    assert_eq!(nonces(&api), [None, some("same"), some("same")]);
}

#[tokio::test]
async fn sc_280_a_challenge_of_another_scheme_or_status_is_not_answered() {
    let (_issuer, party) = issuer_and_party().await;
    let api = Server::start(|seen| {
        let reply = match seen.uri.path() {
            "/bearer" => {
                Reply::new(401, "").with("www-authenticate", "Bearer error=use_dpop_nonce")
            }
            _ => Reply::new(403, "").with("www-authenticate", "DPoP error=use_dpop_nonce"),
        };
        reply.with("dpop-nonce", "n")
    })
    .await;
    for path in ["/bearer", "/forbidden"] {
        let response = party
            .holder
            .send(get(api.url(path)))
            .await
            .expect("an answer");
        assert_eq!(response.attempts, 1, "{path}");
    }
}

#[tokio::test]
async fn sc_281_a_nonce_on_any_answer_is_kept_for_the_next_request() {
    let (_issuer, party) = issuer_and_party().await;
    let mut count = 0;
    let api = Server::start(move |_| {
        count += 1;
        let status = if count == 2 { 503 } else { 200 };
        Reply::new(status, "").with("dpop-nonce", format!("n{count}"))
    })
    .await;
    for _ in 0..3 {
        let response = party
            .holder
            .send(get(api.url("/x")))
            .await
            .expect("an answer");
        assert_eq!(response.attempts, 1);
    }
    assert_eq!(nonces(&api), [None, some("n1"), some("n2")]);
}

#[tokio::test]
async fn sc_281_nonces_stay_with_their_origin_and_role() {
    let (issuer, party) = issuer_and_party().await;
    let mut metadata = crate::support::with_metadata(&issuer.url, |seen: &Seen| {
        let nonce = if seen.uri.path() == "/token" {
            "as"
        } else {
            "rs"
        };
        Reply::token("t", 300).with("dpop-nonce", nonce)
    });
    issuer.behave(move |seen| metadata(seen));
    let other = Server::start(|_| Reply::new(200, "")).await;
    for _ in 0..2 {
        party
            .holder
            .send(get(issuer.url("/api")))
            .await
            .expect("an answer");
        party
            .holder
            .send(get(other.url("/api")))
            .await
            .expect("an answer");
    }
    party.clock.advance_secs(301);
    party.holder.token().await.expect("a token");
    assert_eq!(nonces(&issuer), [None, None, some("rs"), some("as")]);
    assert_eq!(nonces(&other), [None, None]);
}

#[tokio::test]
async fn sc_282_every_attempt_has_a_proof_of_its_own() {
    let (_issuer, party) = issuer_and_party().await;
    let api = Server::start(|seen| match seen.proof().nonce {
        None => Reply::challenge("use_dpop_nonce").with("dpop-nonce", "n"),
        Some(_) => Reply::new(429, "").with("retry-after", "0"),
    })
    .await;
    let url = api.url("/x%7E/y;v=1?q=1");
    let request = Request {
        method: Method::POST,
        url: url.clone(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"body"),
    };
    for _ in 0..3 {
        party.holder.send(request.clone()).await.expect("an answer");
    }
    let seen = api.seen();
    let proofs: Vec<_> = seen.iter().map(Seen::proof).collect();
    let jtis: HashSet<_> = proofs.iter().map(|proof| &proof.jti).collect();
    assert_eq!((seen.len(), jtis.len()), (4, 4));
    let ath = TokenHash::of(b"t1").to_ath();
    for (seen, proof) in seen.iter().zip(&proofs) {
        assert_eq!(seen.header("authorization"), Some("DPoP t1"));
        assert_eq!(seen.body, "body");
        assert_eq!(seen.uri, "/x%7E/y;v=1?q=1");
        assert_eq!(proof.jkt, party.holder.jkt());
        assert_eq!((proof.htm.as_str(), proof.iat), ("POST", NOW));
        assert_eq!(proof.htu, url.without_query());
        assert_eq!(proof.ath.as_deref(), Some(ath.as_str()));
    }
}

#[tokio::test]
async fn sc_283_a_redirect_is_an_error_and_not_followed() {
    let (_issuer, party) = issuer_and_party().await;
    let other = Server::start(|_| Reply::new(200, "")).await;
    let target = other.url.clone();
    let api = Server::start(move |seen| {
        let status: u16 = seen
            .uri
            .path()
            .trim_start_matches('/')
            .parse()
            .expect("a status");
        Reply::new(status, "").with("location", format!("{target}/?secret=canary"))
    })
    .await;
    for status in [301, 302, 303, 307, 308] {
        let request = get(api.url(&format!("/{status}")));
        let error = party.holder.send(request).await.expect_err("a redirect");
        assert!(matches!(error, HolderError::Redirected { .. }), "{error:?}");
        assert!(error.to_string().contains(&other.url), "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
    assert_eq!(other.paths(), Vec::<String>::new());
    assert_eq!(api.seen().len(), 5);
}

#[tokio::test]
async fn sc_286_a_refusal_does_not_make_the_holder_try_bearer() {
    let (_issuer, party) = issuer_and_party().await;
    let api = Server::start(|_| {
        Reply::new(401, "").with("www-authenticate", "Bearer error=\"invalid_token\"")
    })
    .await;
    let response = party
        .holder
        .send(get(api.url("/x")))
        .await
        .expect("an answer");
    assert_eq!((response.status.as_u16(), response.attempts), (401, 1));
    let seen = api.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("authorization"), Some("DPoP t1"));
}

#[tokio::test]
async fn credentials_of_the_caller_are_refused() {
    let (issuer, party) = issuer_and_party().await;
    for name in ["authorization", "dpop"] {
        let mut request = get(issuer.url("/x"));
        request.headers.insert(name, HeaderValue::from_static("x"));
        let error = party.holder.send(request).await.expect_err(name);
        assert!(
            matches!(error, HolderError::ReservedHeader { .. }),
            "{error:?}"
        );
    }
    assert_eq!(issuer.paths(), Vec::<String>::new());
}

#[tokio::test]
async fn nothing_is_sent_in_clear_or_under_another_spelling() {
    let (issuer, party) = issuer_and_party().await;
    let url = HttpUrl::parse("http://api.example/x?secret=canary").expect("a URL");
    let error = party
        .holder
        .send(get(url.clone()))
        .await
        .expect_err("clear text");
    assert!(
        matches!(error, HolderError::InsecureUrl { .. }),
        "{error:?}"
    );
    assert!(!error.to_string().contains("canary"));
    let error = party
        .holder
        .sign(&Method::GET, &url)
        .await
        .expect_err("clear text");
    assert!(
        matches!(error, HolderError::InsecureUrl { .. }),
        "{error:?}"
    );

    for path in ["/a/../b", "/./b", "/%2e%2e/b"] {
        let error = party
            .holder
            .send(get(issuer.url(path)))
            .await
            .expect_err(path);
        assert!(
            matches!(error, HolderError::UrlRewritten { .. }),
            "{error:?}"
        );
    }
    assert!(issuer.seen().iter().all(|seen| seen.uri.path() == "/token"));
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let (issuer, party) = issuer_and_party().await;
    let api = Server::start(|_| Reply::challenge("invalid_token")).await;
    let response = party
        .holder
        .send(get(api.url("/x")))
        .await
        .expect("an answer");
    assert_eq!((response.status.as_u16(), response.attempts), (401, 2));
    let tokens: Vec<_> = api
        .seen()
        .iter()
        .map(|seen| seen.header("authorization").expect("a token").to_owned())
        .collect();
    assert_eq!(tokens, ["DPoP t1", "DPoP t2"]);

    // A server that refuses everything does not make us flood the issuer.
    for _ in 0..5 {
        let response = party
            .holder
            .send(get(api.url("/x")))
            .await
            .expect("an answer");
        assert_eq!((response.status.as_u16(), response.attempts), (401, 1));
    }
    assert_eq!(issuer.seen().len(), 2);
    party.clock.advance_secs(30);
    party
        .holder
        .send(get(api.url("/x")))
        .await
        .expect("an answer");
    assert_eq!(issuer.seen().len(), 3);
}

#[tokio::test]
async fn one_request_replaces_its_token_once_however_long_it_takes() {
    let (_issuer, party) = issuer_and_party().await;
    let clock = party.clock.clone();
    let mut count = 0;
    let api = Server::start(move |_| {
        clock.advance_secs(60);
        count += 1;
        // An end, so that a holder without one fails here instead of hanging.
        match count {
            1..=5 => Reply::challenge("invalid_token"),
            _ => Reply::new(200, ""),
        }
    })
    .await;
    let response = party
        .holder
        .send(get(api.url("/x")))
        .await
        .expect("an answer");
    assert_eq!((response.status.as_u16(), response.attempts), (401, 2));
}

#[tokio::test]
async fn a_revoked_token_is_replaced_and_the_request_succeeds() {
    let (_issuer, party) = issuer_and_party().await;
    let mut revoked = false;
    let api = Server::start(move |seen| {
        let first = seen.header("authorization") == Some("DPoP t1");
        let refuse = first && revoked;
        revoked = true;
        match refuse {
            true => Reply::challenge("invalid_token"),
            false => Reply::new(200, "served"),
        }
    })
    .await;
    for attempts in [1, 2, 1] {
        let response = party
            .holder
            .send(get(api.url("/x")))
            .await
            .expect("an answer");
        assert_eq!(
            (response.status.as_u16(), response.attempts),
            (200, attempts)
        );
        assert_eq!(response.body, "served");
    }
}

#[tokio::test]
async fn a_locked_client_sees_the_refusal_of_the_resource_server() {
    let (issuer, party) = issuer_and_party().await;
    party.holder.token().await.expect("a token");
    issuer.behave(crate::support::with_metadata(&issuer.url, |_| {
        Reply::oauth_error(401, "invalid_client")
    }));
    let api = Server::start(|_| Reply::challenge("invalid_token")).await;
    let response = party
        .holder
        .send(get(api.url("/x")))
        .await
        .expect("an answer");
    assert_eq!((response.status.as_u16(), response.attempts), (401, 1));
}

#[tokio::test]
async fn a_new_token_and_a_nonce_may_both_be_needed() {
    let (_issuer, party) = issuer_and_party().await;
    let api = Server::start(|seen| {
        let token = seen.header("authorization").expect("a token");
        match (seen.proof().nonce, token) {
            (None, _) => Reply::challenge("use_dpop_nonce").with("dpop-nonce", "n"),
            (Some(_), "DPoP t1") => Reply::challenge("invalid_token"),
            (Some(_), _) => Reply::new(204, ""),
        }
    })
    .await;
    let response = party
        .holder
        .send(get(api.url("/x")))
        .await
        .expect("an answer");
    assert_eq!((response.status.as_u16(), response.attempts), (204, 3));
}

#[tokio::test]
async fn skew_is_learned_per_resource_server() {
    let (_issuer, party) = issuer_and_party().await;
    let ahead =
        Server::start(|_| Reply::new(200, "").with("date", "Fri, 15 Jan 2027 08:05:00 GMT")).await;
    let level = Server::start(|_| Reply::new(200, "")).await;
    for server in [&ahead, &level, &ahead, &level] {
        party
            .holder
            .send(get(server.url("/x")))
            .await
            .expect("an answer");
    }
    let times = |server: &Server| -> Vec<u64> {
        server.seen().iter().map(|seen| seen.proof().iat).collect()
    };
    assert_eq!(times(&ahead), [NOW, NOW + 300]);
    assert_eq!(times(&level), [NOW, NOW]);
    assert_eq!(party.holder.clock_skew(ahead.url("/").origin()), 300);
}

#[tokio::test]
async fn an_answer_larger_than_the_limit_is_an_error() {
    let (_issuer, party) = issuer_and_party().await;
    let api = Server::start(|_| Reply::new(200, "x".repeat(16 * 1024 * 1024 + 1))).await;
    let error = party
        .holder
        .send(get(api.url("/x")))
        .await
        .expect_err("too large");
    assert!(
        matches!(error, HolderError::ResponseInvalid { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_empty_path_is_signed_as_it_is_sent() {
    let (_issuer, party) = issuer_and_party().await;
    let api = Server::start(|_| Reply::new(200, "")).await;
    party
        .holder
        .send(get(api.url("?q")))
        .await
        .expect("an answer");
    let seen = api.seen();
    assert_eq!(seen[0].uri, "/?q");
    assert_eq!(seen[0].proof().htu, format!("{}/", api.url));
}

#[tokio::test]
async fn signed_fields_serve_somebody_elses_request_and_are_not_shown() {
    // Long enough never to be part of a thumbprint, which is shown, by chance.
    let token = "an-access-token-nobody-may-see";
    let issuer = Server::issuer(move |_| Reply::token(token, 100_000)).await;
    let party = party(&issuer.url);
    let url = HttpUrl::parse("https://api.example/x?q").expect("a URL");
    let signed = party.holder.sign(&Method::PUT, &url).await.expect("fields");
    assert_eq!(signed.authorization, format!("DPoP {token}"));
    let mut headers = HeaderMap::new();
    headers.insert("dpop", signed.dpop.parse().expect("a value"));
    let seen = Seen {
        method: Method::PUT,
        uri: "/x".parse().expect("a path"),
        headers,
        body: Bytes::new(),
    };
    let proof = seen.proof();
    assert_eq!(
        (proof.htm.as_str(), proof.htu.as_str()),
        (seen.method.as_str(), "https://api.example/x")
    );
    assert_eq!(format!("{signed:?}"), "SignedHeaders(..)");
    let shown = format!("{:?}", party.holder);
    assert!(
        shown.contains("client") && !shown.contains(token),
        "{shown}"
    );
}
