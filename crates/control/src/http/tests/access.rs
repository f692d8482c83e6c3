use super::super::Access;
use super::*;

/// A target and body for each endpoint; good ones where that needs no state.
fn example(endpoint: Endpoint) -> (String, Option<Value>) {
    let target = endpoint
        .path()
        .replace("{kind}", "identity")
        .replace("{value}", "agent-1")
        .replace("{token}", "tok_1");
    let body = (endpoint.method() == Method::POST).then(|| json!({}));
    (target, body)
}

fn guarded() -> impl Iterator<Item = (Endpoint, &'static str)> {
    Endpoint::ALL
        .into_iter()
        .filter_map(|endpoint| match endpoint.access() {
            Access::Public => None,
            Access::Scope(scope) => Some((endpoint, scope)),
        })
}

#[track_caller]
fn assert_challenged(answer: &Answer, status: u16, cause: &str, endpoint: Endpoint) {
    assert_eq!(
        (answer.status.as_u16(), answer.cause()),
        (status, cause),
        "{endpoint:?}"
    );
    let challenge = answer.headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.starts_with("DPoP "), "{challenge}");
    assert!(
        challenge.contains("/.well-known/oauth-protected-resource"),
        "{challenge}"
    );
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.headers["cache-control"], "no-store");
}

#[test]
fn only_discovery_documents_and_keys_are_public() {
    let public: Vec<_> = Endpoint::ALL
        .into_iter()
        .filter(|endpoint| endpoint.access() == Access::Public)
        .collect();
    assert_eq!(
        public,
        [
            Endpoint::Jwks,
            Endpoint::ResourceMetadata,
            Endpoint::SsfConfiguration
        ]
    );
}

#[tokio::test]
async fn sc_120_every_endpoint_refuses_no_token() {
    let world = World::new().await;
    for (endpoint, _) in guarded() {
        let (target, body) = example(endpoint);
        let request = world.request(&endpoint.method(), &target, body.as_ref());
        assert_challenged(
            &world.send(request).await,
            401,
            "authorization.absent",
            endpoint,
        );
    }
}

#[tokio::test]
async fn sc_120_every_endpoint_refuses_the_token_as_bearer() {
    let world = World::new().await;
    let party = world.party("thief", ALL_SCOPES);
    for (endpoint, _) in guarded() {
        let (target, body) = example(endpoint);
        let mut request = world.request(&endpoint.method(), &target, body.as_ref());
        request.headers_mut().insert(
            "authorization",
            format!("Bearer {}", party.token).parse().unwrap(),
        );
        let answer = world.send(request).await;
        assert_challenged(&answer, 401, "token.scheme.downgrade", endpoint);
    }
}

#[tokio::test]
async fn sc_120_every_endpoint_refuses_a_token_without_proof() {
    let world = World::new().await;
    let party = world.party("thief", ALL_SCOPES);
    for (endpoint, _) in guarded() {
        let (target, body) = example(endpoint);
        let mut request = world.request(&endpoint.method(), &target, body.as_ref());
        request.headers_mut().insert(
            "authorization",
            format!("DPoP {}", party.token).parse().unwrap(),
        );
        assert_challenged(&world.send(request).await, 401, "dpop.absent", endpoint);
    }
}

#[tokio::test]
async fn sc_120_every_endpoint_refuses_another_key() {
    let world = World::new().await;
    let party = world.party("owner", ALL_SCOPES);
    let thief = Party {
        key: Key::generate(),
        token: party.token,
    };
    for (endpoint, _) in guarded() {
        let (target, body) = example(endpoint);
        let request = world.signed(&thief, &endpoint.method(), &target, body.as_ref());
        assert_challenged(
            &world.send(request).await,
            401,
            "token.key_mismatch",
            endpoint,
        );
    }
}

#[tokio::test]
async fn sc_120_every_endpoint_refuses_an_unbound_token() {
    let world = World::new().await;
    let key = Key::generate();
    let token = world.token(Claims {
        subject: "legacy",
        audience: &format!("{URL}/"),
        scope: ALL_SCOPES,
        bound_to: None,
    });
    let party = Party { key, token };
    for (endpoint, _) in guarded() {
        let (target, body) = example(endpoint);
        let request = world.signed(&party, &endpoint.method(), &target, body.as_ref());
        assert_challenged(&world.send(request).await, 401, "token.unbound", endpoint);
    }
}

#[tokio::test]
async fn sc_120_every_endpoint_refuses_another_audience() {
    let world = World::new().await;
    let key = Key::generate();
    let token = world.token(Claims {
        subject: "agent-1",
        audience: "https://api.example.com/",
        scope: ALL_SCOPES,
        bound_to: Some(key.public.thumbprint()),
    });
    let party = Party { key, token };
    for (endpoint, _) in guarded() {
        let (target, body) = example(endpoint);
        let request = world.signed(&party, &endpoint.method(), &target, body.as_ref());
        assert_challenged(
            &world.send(request).await,
            401,
            "token.audience.mismatch",
            endpoint,
        );
    }
}

#[tokio::test]
async fn sc_120_every_endpoint_refuses_every_other_scope() {
    let world = World::new().await;
    for (endpoint, needed) in guarded() {
        let others: Vec<_> = [
            GATEWAY_SCOPE,
            READ_SCOPE,
            RESPOND_SCOPE,
            "keybound",
            "keybound:",
        ]
        .into_iter()
        .filter(|scope| *scope != needed)
        .collect();
        let party = world.party("agent-1", &others.join(" "));
        let (target, body) = example(endpoint);
        let request = world.signed(&party, &endpoint.method(), &target, body.as_ref());
        assert_challenged(
            &world.send(request).await,
            403,
            "scope.insufficient",
            endpoint,
        );
    }
}

#[tokio::test]
async fn sc_080_every_endpoint_takes_a_proof_once() {
    let world = World::new().await;
    let party = world.party("operator", ALL_SCOPES);
    for (endpoint, _) in guarded() {
        let (target, body) = example(endpoint);
        // Waiting is not what this is about.
        let target = target.replace("/ssf/poll", "/ssf/poll?stream_id=none");
        let request = world.signed(&party, &endpoint.method(), &target, body.as_ref());
        let mut copy = world.request(&endpoint.method(), &target, body.as_ref());
        copy.headers_mut().clone_from(request.headers());
        let first = world.send(request).await;
        assert!(
            !matches!(first.status.as_u16(), 401 | 403),
            "{endpoint:?}: {}",
            first.body
        );
        assert_challenged(&world.send(copy).await, 401, "dpop.replayed", endpoint);
    }
}

#[tokio::test]
async fn a_locked_operator_cannot_unlock_themselves() {
    let world = World::new().await;
    let party = world.party("mallory", ALL_SCOPES);
    let jkt = party.key.public.thumbprint().to_string();
    let operator = world.party("alice", ALL_SCOPES);
    world
        .post(
            &operator,
            "/v1/locks",
            &json!({ "kind": "key", "value": jkt }),
        )
        .await
        .expect(201);
    let answer = world.delete(&party, &format!("/v1/locks/key/{jkt}")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.cause()),
        (401, "key.locked")
    );
    // The attempt stands in the log.
    let events = world
        .get(&operator, &format!("/v1/events?jkt={jkt}"))
        .await
        .expect(200);
    let last = events["events"].as_array().unwrap().last().unwrap();
    assert_eq!(last["kind"], "request_refused");
    assert_eq!(last["signal"], "revoked");
    assert_eq!(last["identity"], "mallory");
}

#[tokio::test]
async fn refusals_with_a_genuine_token_stand_in_the_log() {
    let world = World::new().await;
    let party = world.party("agent-1", READ_SCOPE);
    let mut request = world.request(&Method::GET, "/v1/locks", None);
    request.headers_mut().insert(
        "authorization",
        format!("Bearer {}", party.token).parse().unwrap(),
    );
    world.send(request).await;
    let events = world
        .get(&party, "/v1/events?kind=request_refused")
        .await
        .expect(200);
    assert_eq!(events["events"][0]["signal"], "bearer_downgrade");
}

#[tokio::test]
async fn what_is_not_served_is_a_problem_too() {
    let world = World::new().await;
    let unknown = world
        .send(world.request(&Method::GET, "/v2/locks", None))
        .await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.headers["content-type"], "application/problem+json");
    let wrong = world
        .send(world.request(&Method::PUT, "/v1/locks", None))
        .await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.cause()),
        (405, "http.method_not_allowed")
    );
    assert!(
        wrong.body["request_id"]
            .as_str()
            .unwrap()
            .starts_with("req_")
    );
}

#[tokio::test]
async fn minimal_detail_does_not_name_the_check() {
    let world = World::new().await;
    let router = {
        let signer = SetSigner::from_store(&world.store, world.clock.now())
            .await
            .unwrap();
        let guard = GuardConfig::new(
            "control",
            vec![IssuerConfig::new(
                HttpUrl::parse(&world.issuer.url).unwrap(),
            )],
            [3; 32],
        );
        let clock: Arc<ManualClock> = Arc::new(world.clock.clone());
        let guard = Guard::new(guard, clock.clone(), Arc::new(world.store.clone())).unwrap();
        let config = ControlConfig {
            url: HttpUrl::parse(URL).unwrap(),
            resource: format!("{URL}/"),
            token_issuer: world.issuer.url.clone(),
            authorization_servers: vec![],
            guard,
            signer,
            error_detail: ErrorDetail::Minimal,
        };
        router(config, world.store.clone(), clock)
    };
    let world = World { router, ..world };
    let party = world.party("agent-1", READ_SCOPE);
    let mut request = world.request(&Method::GET, "/v1/locks", None);
    request.headers_mut().insert(
        "authorization",
        format!("Bearer {}", party.token).parse().unwrap(),
    );
    let answer = world.send(request).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.cause(), "none");
    assert!(
        !answer.body.to_string().contains("downgrade"),
        "{}",
        answer.body
    );
}
