//! Authorization codes, pushed requests and refresh tokens, over the routes.

use std::sync::atomic::{AtomicU64, Ordering};

use keybound_custody::SoftwareKey;
use keybound_issuer::config::{
    Approval, AuthorizationConfig, ClientAuthentication, ClientConfig, GrantType, IssuerConfig,
};
use keybound_proto::jose::Algorithm;
use keybound_proto::token::TokenHash;
use serde_json::Value;

use crate::world::{
    MAIN, REPORTS, Reply, SECRET, World, basic, claims, encode, full, proof, unique,
};

const REDIRECT: &str = "http://127.0.0.1/callback";

/// A world with an authorization endpoint that allows everything at once, a public client `app`,
/// another one `other`, and `basic`, which may use codes as well.
fn authorizing(config: &mut IssuerConfig) {
    full(config);
    config.authorization = Some(AuthorizationConfig {
        code_ttl: 60,
        request_ttl: 90,
        pushed_only: false,
        approval: Approval::Automatic {
            identity: "person".to_owned(),
        },
    });
    let codes = vec![GrantType::AuthorizationCode, GrantType::RefreshToken];
    let template = config.clients[0].clone();
    assert_eq!(template.id, "basic");
    config.clients[0].grants.extend(codes.clone());
    config.clients[0].redirect_uris = vec![REDIRECT.to_owned()];
    for id in ["app", "other"] {
        config.clients.push(ClientConfig {
            id: id.to_owned(),
            identity: None,
            authentication: ClientAuthentication::Public,
            grants: codes.clone(),
            redirect_uris: vec![REDIRECT.to_owned()],
            ..template.clone()
        });
    }
}

struct Flow {
    world: World,
    verifier: String,
}

impl Flow {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut IssuerConfig)) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let world = World::with(|config| {
            authorizing(config);
            change(config);
        })
        .await;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            world,
            verifier: format!("{number:043}"),
        }
    }

    fn challenge(&self) -> String {
        TokenHash::of(self.verifier.as_bytes()).to_ath()
    }

    /// The parameters of a good request of `app`, changed.
    fn request(&self, changes: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut request: Vec<(String, String)> = [
            ("response_type", "code"),
            ("client_id", "app"),
            ("redirect_uri", "http://127.0.0.1:5000/callback"),
            ("state", "st"),
            ("code_challenge_method", "S256"),
            ("code_challenge", &self.challenge()),
            ("resource", MAIN),
            ("scope", "approvals:read"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        for (name, value) in changes {
            request.retain(|(known, _)| known != name);
            request.push(((*name).to_owned(), (*value).to_owned()));
        }
        request.retain(|(_, value)| !value.is_empty());
        request
    }

    async fn authorize(&self, changes: &[(&str, &str)]) -> Reply {
        self.authorize_with(&self.request(changes)).await
    }

    async fn authorize_with(&self, request: &[(String, String)]) -> Reply {
        let pairs: Vec<(&str, &str)> = request
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.world
            .get(&format!("/authorize?{}", encode(&pairs)))
            .await
    }

    async fn code(&self, changes: &[(&str, &str)]) -> String {
        let reply = self.authorize(changes).await;
        answer(&reply, "code").unwrap_or_else(|| panic!("no code: {}", reply.text))
    }

    fn proof(&self, key: &SoftwareKey, path: &str) -> String {
        proof(key, path, self.world.now(), |_| {})
    }

    async fn redeem(
        &self,
        code: &str,
        changes: &[(&str, &str)],
        key: Option<&SoftwareKey>,
    ) -> Reply {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", "app"),
            ("redirect_uri", "http://127.0.0.1:5000/callback"),
            ("code", code),
            ("code_verifier", &self.verifier),
        ];
        self.token(&form, changes, key).await
    }

    async fn refresh(
        &self,
        token: &str,
        changes: &[(&str, &str)],
        key: Option<&SoftwareKey>,
    ) -> Reply {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "app"),
            ("refresh_token", token),
        ];
        self.token(&form, changes, key).await
    }

    async fn token(
        &self,
        form: &[(&str, &str)],
        changes: &[(&str, &str)],
        key: Option<&SoftwareKey>,
    ) -> Reply {
        let mut form: Vec<(&str, &str)> = form.to_vec();
        for (name, value) in changes {
            form.retain(|(known, _)| known != name);
            form.push((name, value));
        }
        let proof = key.map(|key| self.proof(key, "/token"));
        let headers: Vec<(&str, &str)> =
            proof.iter().map(|proof| ("dpop", proof.as_str())).collect();
        self.world.post("/token", &form, &headers).await
    }

    /// Access token and refresh token of `app`, bound to the world's key.
    async fn tokens(&self) -> (String, String) {
        let code = self.code(&[]).await;
        let reply = self.redeem(&code, &[], Some(&self.world.key)).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        both(&reply)
    }

    /// Whether the token counts, as `auditor` sees it.
    async fn is_active(&self, token: &str) -> bool {
        let authorization = basic("auditor", "secret-of-auditor");
        let headers = [("authorization", authorization.as_str())];
        let reply = self
            .world
            .post("/introspect", &[("token", token)], &headers)
            .await;
        reply.json()["active"] == true
    }
}

fn both(reply: &Reply) -> (String, String) {
    let text = |name: &str| reply.json()[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

fn other_key() -> SoftwareKey {
    SoftwareKey::generate(Algorithm::Es256).unwrap()
}

/// One parameter of the answer to an authorization request.
fn answer(reply: &Reply, name: &str) -> Option<String> {
    let location = reply.headers.get("location")?.to_str().unwrap();
    let (_, query) = location.split_once('?')?;
    query.split('&').find_map(|pair| {
        let (known, value) = pair.split_once('=')?;
        (known == name).then(|| value.replace("%3A", ":").replace("%2F", "/"))
    })
}

#[tokio::test]
async fn without_an_authorization_endpoint_there_is_none() {
    let world = World::new().await;
    assert_eq!(world.get("/authorize").await.status, 404);
    assert_eq!(world.post("/par", &[], &[]).await.status, 404);
    let metadata = world.get("/.well-known/oauth-authorization-server").await;
    assert_eq!(metadata.json().get("authorization_endpoint"), None);
}

#[tokio::test]
async fn sc_147_nobody_is_redirected_to_what_is_not_the_clients() {
    let flow = Flow::new().await;
    for (name, value, cause) in [
        (
            "redirect_uri",
            "https://evil.example/",
            "authorization.redirect_uri",
        ),
        (
            "redirect_uri",
            "http://127.0.0.1:5000/other",
            "authorization.redirect_uri",
        ),
        ("client_id", "nobody", "client.unknown"),
        ("client_id", "batch", "client.grant_refused"),
        ("client_id", "", "parameter.invalid"),
    ] {
        let reply = flow.authorize(&[(name, value)]).await;
        assert_eq!(reply.headers.get("location"), None, "{name}={value}");
        reply.cause(cause);
    }
}

#[tokio::test]
async fn sc_145_what_is_wrong_with_a_request_goes_to_its_client() {
    let flow = Flow::new().await;
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "", "unsupported_response_type"),
        ("response_mode", "fragment", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("dpop_jkt", "short", "invalid_request"),
        ("resource", "https://elsewhere.example/", "invalid_target"),
        ("scope", "approvals:write", "invalid_scope"),
        (
            "authorization_details",
            "[]",
            "invalid_authorization_details",
        ),
    ] {
        let reply = flow.authorize(&[(name, value)]).await;
        assert_eq!(reply.status, 303, "{name}={value}: {}", reply.text);
        assert_eq!(
            answer(&reply, "error").as_deref(),
            Some(error),
            "{name}={value}"
        );
        assert_eq!(answer(&reply, "state").as_deref(), Some("st"));
        assert_eq!(
            answer(&reply, "iss").as_deref(),
            Some("http://127.0.0.1:9400")
        );
        assert_eq!(answer(&reply, "code"), None);
    }
}

#[tokio::test]
async fn a_code_becomes_a_token_about_the_person_bound_to_the_key() {
    let flow = Flow::new().await;
    let reply = flow.authorize(&[]).await;
    assert_eq!(reply.status, 303);
    assert_eq!(
        answer(&reply, "iss").as_deref(),
        Some("http://127.0.0.1:9400")
    );
    assert_eq!(answer(&reply, "state").as_deref(), Some("st"));
    let code = answer(&reply, "code").unwrap();
    let reply = flow.redeem(&code, &[], Some(&flow.world.key)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.json()["token_type"], "DPoP");
    let (access, refresh) = both(&reply);
    let token = claims(&access);
    assert_eq!(
        (&token["sub"], &token["client_id"]),
        (&"person".into(), &"app".into())
    );
    assert_eq!(
        (&token["aud"], &token["scope"]),
        (&MAIN.into(), &"approvals:read".into())
    );
    let jkt = keybound_custody::Signer::public_key(&flow.world.key).thumbprint();
    assert_eq!(token["cnf"]["jkt"], jkt.to_string());
    let ancestors = token["urn:keybound:ancestors"].as_array().unwrap();
    assert!(ancestors[0].as_str().unwrap().starts_with("grt_"));
    assert!(refresh.starts_with("kbr_"));
    assert!(flow.is_active(&access).await);
}

#[tokio::test]
async fn sc_144_sc_145_a_code_serves_one_client_one_verifier_and_one_redirect() {
    let flow = Flow::new().await;
    let code = flow.code(&[]).await;
    let key = &flow.world.key;
    let wrong = "w".repeat(43);
    for (changes, cause) in [
        (("client_id", "other"), "grant.invalid"),
        (("code", "unknown"), "grant.invalid"),
        (("code_verifier", wrong.as_str()), "grant.code_verifier"),
        (("code_verifier", ""), "grant.code_verifier"),
        (
            ("redirect_uri", "http://127.0.0.1:5001/callback"),
            "grant.invalid",
        ),
        (("redirect_uri", ""), "grant.invalid"),
        (("resource", REPORTS), "resource.invalid"),
        (("scope", "approvals:read reports:read"), "scope.invalid"),
    ] {
        let reply = flow.redeem(&code, &[changes], Some(key)).await;
        reply.cause(cause);
    }
    flow.redeem(&code, &[], None)
        .await
        .cause("client.binding_required");
    // None of it cost the client its code.
    assert_eq!(flow.redeem(&code, &[], Some(key)).await.status, 200);
}

#[tokio::test]
async fn an_expired_code_is_refused() {
    let flow = Flow::new().await;
    let code = flow.code(&[]).await;
    flow.world.clock.advance_secs(60);
    let reply = flow.redeem(&code, &[], Some(&flow.world.key)).await;
    reply.cause("grant.invalid");
}

#[tokio::test]
async fn sc_143_a_code_that_comes_twice_ends_what_came_of_it() {
    let flow = Flow::new().await;
    let code = flow.code(&[]).await;
    let first = flow.redeem(&code, &[], Some(&flow.world.key)).await;
    let (access, refresh) = both(&first);
    let again = flow.redeem(&code, &[], Some(&other_key())).await;
    again.cause("grant.reused");
    assert!(!flow.is_active(&access).await);
    let reply = flow.refresh(&refresh, &[], Some(&flow.world.key)).await;
    reply.cause("grant.invalid");
    let refused = flow.world.events("token_refused").await;
    assert!(refused.iter().any(|event| event["signal"] == "grant_reuse"));
    assert_eq!(flow.world.events("token_revoked").await.len(), 1);
}

#[tokio::test]
async fn sc_131_a_code_asked_for_with_a_key_needs_that_key() {
    let flow = Flow::new().await;
    let jkt = keybound_custody::Signer::public_key(&flow.world.key).thumbprint();
    let code = flow.code(&[("dpop_jkt", &jkt.to_string())]).await;
    let stolen = flow.redeem(&code, &[], Some(&other_key())).await;
    stolen.cause("grant.key_mismatch");
    let reply = flow.redeem(&code, &[], Some(&flow.world.key)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

async fn push(flow: &Flow, changes: &[(&str, &str)], key: Option<&SoftwareKey>) -> Reply {
    let request = flow.request(changes);
    let pairs: Vec<(&str, &str)> = request
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let proof = key.map(|key| flow.proof(key, "/par"));
    let headers: Vec<(&str, &str)> = proof.iter().map(|proof| ("dpop", proof.as_str())).collect();
    flow.world.post("/par", &pairs, &headers).await
}

async fn go(flow: &Flow, client: &str, uri: &str) -> Reply {
    let query = encode(&[("client_id", client), ("request_uri", uri)]);
    flow.world.get(&format!("/authorize?{query}")).await
}

#[tokio::test]
async fn sc_130_sc_135_pushed_requests_are_judged_where_they_are_pushed() {
    let flow = Flow::new().await;
    let other = keybound_custody::Signer::public_key(&other_key()).thumbprint();
    let other = other.to_string();
    for (changes, cause) in [
        (("dpop_jkt", other.as_str()), "authorization.dpop_jkt"),
        (
            ("redirect_uri", "https://evil.example/"),
            "authorization.redirect_uri",
        ),
        (("code_challenge_method", "plain"), "parameter.invalid"),
        (("request_uri", "urn:x"), "parameter.invalid"),
        (("client_id", "nobody"), "client.authentication.absent"),
        (("client_id", "basic"), "client.authentication.absent"),
    ] {
        let reply = push(&flow, &[changes], Some(&flow.world.key)).await;
        reply.cause(cause);
    }
    let wrong_target = flow.proof(&flow.world.key, "/token");
    let form = flow.request(&[]);
    let pairs: Vec<(&str, &str)> = form.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let reply = flow
        .world
        .post("/par", &pairs, &[("dpop", &wrong_target)])
        .await;
    reply.cause("dpop.htu.mismatch");
    let good = flow.proof(&flow.world.key, "/par");
    let reply = flow.world.post("/par", &pairs, &[("dpop", &good)]).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    assert_eq!(reply.json()["expires_in"], 90);
    let replayed = flow.world.post("/par", &pairs, &[("dpop", &good)]).await;
    replayed.cause("dpop.replayed");
}

#[tokio::test]
async fn sc_132_sc_144_a_pushed_request_serves_once_its_client_and_its_key() {
    let flow = Flow::new().await;
    let pushed = push(&flow, &[], Some(&flow.world.key)).await;
    let uri = pushed.json()["request_uri"].as_str().unwrap().to_owned();
    go(&flow, "other", &uri)
        .await
        .cause("authorization.request_uri");
    go(&flow, "app", "urn:ietf:params:oauth:request_uri:unknown")
        .await
        .cause("authorization.request_uri");
    let reply = go(&flow, "app", &uri).await;
    let code = answer(&reply, "code").unwrap();
    go(&flow, "app", &uri)
        .await
        .cause("authorization.request_uri");
    let stolen = flow.redeem(&code, &[], Some(&other_key())).await;
    stolen.cause("grant.key_mismatch");
    let reply = flow.redeem(&code, &[], Some(&flow.world.key)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);

    let late = push(&flow, &[], None).await;
    let uri = late.json()["request_uri"].as_str().unwrap().to_owned();
    flow.world.clock.advance_secs(90);
    go(&flow, "app", &uri)
        .await
        .cause("authorization.request_uri");
}

#[tokio::test]
async fn a_client_that_has_to_push_has_to() {
    let flow = Flow::with(|config| config.clients.last_mut().unwrap().pushed_only = true).await;
    let reply = flow.authorize(&[("client_id", "other")]).await;
    reply.cause("parameter.invalid");
    assert_eq!(flow.authorize(&[]).await.status, 303);
}

#[tokio::test]
async fn sc_137_sc_138_a_refresh_token_needs_its_key() {
    let flow = Flow::new().await;
    let (_, refresh) = flow.tokens().await;
    let stolen = flow.refresh(&refresh, &[], Some(&other_key())).await;
    stolen.cause("grant.key_mismatch");
    let bearer = flow.refresh(&refresh, &[], None).await;
    bearer.cause("grant.key_mismatch");
    let client = flow
        .refresh(&refresh, &[("client_id", "other")], Some(&flow.world.key))
        .await;
    client.cause("grant.invalid");
    for unknown in ["kbr_nothing", "tok_1", ""] {
        let reply = flow.refresh(unknown, &[], Some(&flow.world.key)).await;
        assert_eq!(reply.status, 400, "{unknown}");
    }
    let reply = flow.refresh(&refresh, &[], Some(&flow.world.key)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test]
async fn a_refresh_narrows_and_never_widens() {
    let flow = Flow::with(|config| {
        for client in &mut config.clients {
            client.scopes.push("approvals:write".to_owned());
        }
    })
    .await;
    let code = flow
        .code(&[("scope", "approvals:read approvals:write")])
        .await;
    let key = &flow.world.key;
    let (_, refresh) = both(&flow.redeem(&code, &[], Some(key)).await);
    let wider = flow
        .refresh(&refresh, &[("scope", "reports:read")], Some(key))
        .await;
    wider.cause("scope.invalid");
    let elsewhere = flow
        .refresh(&refresh, &[("resource", REPORTS)], Some(key))
        .await;
    elsewhere.cause("resource.invalid");
    let narrow = flow
        .refresh(&refresh, &[("scope", "approvals:read")], Some(key))
        .await;
    assert_eq!(narrow.json()["scope"], "approvals:read", "{}", narrow.text);
    let (_, refresh) = both(&narrow);
    // What was allowed stays allowed (RFC 6749 section 6).
    let whole = flow.refresh(&refresh, &[], Some(key)).await;
    assert_eq!(whole.json()["scope"], "approvals:read approvals:write");
}

#[tokio::test]
async fn sc_139_a_nonce_challenge_does_not_use_the_refresh_token() {
    let flow = Flow::with(|config| config.nonce.required = true).await;
    let key = &flow.world.key;
    let nonce_of = |reply: &Reply| reply.headers["dpop-nonce"].to_str().unwrap().to_owned();
    let with_nonce = |nonce: &str| {
        let nonce = nonce.to_owned();
        proof(key, "/token", flow.world.now(), |claims: &mut Value| {
            claims["nonce"] = nonce.into()
        })
    };
    let code = flow.code(&[]).await;
    let challenge = flow.redeem(&code, &[], Some(key)).await;
    challenge.cause("dpop.nonce.absent");
    let redeem = [
        ("grant_type", "authorization_code"),
        ("client_id", "app"),
        ("redirect_uri", "http://127.0.0.1:5000/callback"),
        ("code", code.as_str()),
        ("code_verifier", flow.verifier.as_str()),
    ];
    let proof = with_nonce(&nonce_of(&challenge));
    let first = flow
        .world
        .post("/token", &redeem, &[("dpop", &proof)])
        .await;
    assert_eq!(first.status, 200, "{}", first.text);
    let (_, refresh) = both(&first);
    let challenge = flow.refresh(&refresh, &[], Some(key)).await;
    challenge.cause("dpop.nonce.absent");
    let proof = with_nonce(&nonce_of(&challenge));
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", "app"),
        ("refresh_token", refresh.as_str()),
    ];
    let second = flow.world.post("/token", &form, &[("dpop", &proof)]).await;
    assert_eq!(second.status, 200, "{}", second.text);
}

#[tokio::test]
async fn sc_140_a_used_refresh_token_in_other_hands_ends_the_grant() {
    let flow = Flow::new().await;
    let (_, first) = flow.tokens().await;
    let reply = flow.refresh(&first, &[], Some(&flow.world.key)).await;
    let (access, second) = both(&reply);
    let stolen = flow.refresh(&first, &[], Some(&other_key())).await;
    stolen.cause("grant.reused");
    let after = flow.refresh(&second, &[], Some(&flow.world.key)).await;
    after.cause("grant.invalid");
    assert!(!flow.is_active(&access).await);
}

#[tokio::test]
async fn sc_142_after_a_lost_answer_the_same_key_gets_another_once() {
    let flow = Flow::new().await;
    let (_, first) = flow.tokens().await;
    let key = &flow.world.key;
    let lost = flow.refresh(&first, &[], Some(key)).await;
    let (_, never_seen) = both(&lost);
    flow.world.clock.advance_secs(59);
    let again = flow.refresh(&first, &[], Some(key)).await;
    assert_eq!(again.status, 200, "{}", again.text);
    let (_, second) = both(&again);
    // There is one line: the successor nobody saw is gone.
    flow.refresh(&never_seen, &[], Some(key))
        .await
        .cause("grant.invalid");
    let third = flow.refresh(&second, &[], Some(key)).await;
    assert_eq!(third.status, 200, "{}", third.text);
    // Its successor was used: now it is reuse, by whomever.
    flow.refresh(&first, &[], Some(key))
        .await
        .cause("grant.reused");
    let (_, third) = both(&third);
    flow.refresh(&third, &[], Some(key))
        .await
        .cause("grant.invalid");
}

#[tokio::test]
async fn a_lost_answer_is_not_lost_for_ever() {
    let flow = Flow::new().await;
    let (_, first) = flow.tokens().await;
    let key = &flow.world.key;
    assert_eq!(flow.refresh(&first, &[], Some(key)).await.status, 200);
    flow.world.clock.advance_secs(60);
    flow.refresh(&first, &[], Some(key))
        .await
        .cause("grant.reused");
}

#[tokio::test]
async fn a_grant_ends_however_often_it_is_refreshed() {
    let flow = Flow::with(|config| config.refresh.ttl = 400).await;
    let (_, refresh) = flow.tokens().await;
    flow.world.clock.advance_secs(390);
    let reply = flow.refresh(&refresh, &[], Some(&flow.world.key)).await;
    assert_eq!(reply.json()["expires_in"], 10, "{}", reply.text);
    let (_, refresh) = both(&reply);
    flow.world.clock.advance_secs(10);
    flow.refresh(&refresh, &[], Some(&flow.world.key))
        .await
        .cause("grant.invalid");
}

#[tokio::test]
async fn no_token_outlives_its_grant() {
    let flow = Flow::with(|config| config.refresh.ttl = 60).await;
    let code = flow.code(&[]).await;
    let reply = flow.redeem(&code, &[], Some(&flow.world.key)).await;
    assert_eq!(reply.json()["expires_in"], 60, "{}", reply.text);
}

#[tokio::test]
async fn without_rotation_a_refresh_token_stays() {
    let flow = Flow::with(|config| config.refresh.rotates = false).await;
    let (_, refresh) = flow.tokens().await;
    for _ in 0..3 {
        let reply = flow.refresh(&refresh, &[], Some(&flow.world.key)).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.json().get("refresh_token"), None);
    }
    let stolen = flow.refresh(&refresh, &[], Some(&other_key())).await;
    stolen.cause("grant.key_mismatch");
}

#[tokio::test]
async fn sc_146_a_public_client_revokes_with_its_key_alone() {
    let flow = Flow::new().await;
    let (access, refresh) = flow.tokens().await;
    let revoke = async |token: &str, key: Option<&SoftwareKey>, client: &str| {
        let form = [("token", token), ("client_id", client)];
        let proof = key.map(|key| flow.proof(key, "/revoke"));
        let headers: Vec<_> = proof.iter().map(|proof| ("dpop", proof.as_str())).collect();
        flow.world.post("/revoke", &form, &headers).await
    };
    for token in [&access, &refresh] {
        revoke(token, None, "app").await.cause("dpop.absent");
        revoke(token, Some(&other_key()), "app")
            .await
            .cause("grant.key_mismatch");
        let other = revoke(token, Some(&flow.world.key), "other").await;
        other.cause("parameter.invalid");
    }
    assert!(flow.is_active(&access).await);
    let unknown = revoke(&unique(), Some(&flow.world.key), "app").await;
    assert_eq!(unknown.status, 200);
    let reply = revoke(&refresh, Some(&flow.world.key), "app").await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert!(!flow.is_active(&access).await, "RFC 7009 section 2.1");
    flow.refresh(&refresh, &[], Some(&flow.world.key))
        .await
        .cause("grant.invalid");
}

#[tokio::test]
async fn a_public_client_asks_about_no_token() {
    let flow = Flow::new().await;
    let (access, _) = flow.tokens().await;
    let form = [("token", access.as_str()), ("client_id", "app")];
    let reply = flow.world.post("/introspect", &form, &[]).await;
    reply.cause("client.authentication.absent");
}

#[tokio::test]
async fn sc_141_a_rotated_refresh_token_stays_used_after_a_restart() {
    let flow = Flow::new().await;
    let (_, first) = flow.tokens().await;
    assert_eq!(
        flow.refresh(&first, &[], Some(&flow.world.key))
            .await
            .status,
        200
    );
    let clock = flow.world.clock.clone();
    clock.advance_secs(61);
    let restarted = World::on(flow.world.store.clone(), clock, other_key(), authorizing).await;
    let flow = Flow {
        world: World {
            key: flow.world.key,
            ..restarted
        },
        verifier: flow.verifier,
    };
    flow.refresh(&first, &[], Some(&flow.world.key))
        .await
        .cause("grant.reused");
}

#[tokio::test]
async fn a_confidential_client_authenticates_and_is_bound_as_well() {
    let flow = Flow::new().await;
    let code = flow.code(&[("client_id", "basic")]).await;
    let unauthenticated = flow
        .redeem(&code, &[("client_id", "basic")], Some(&flow.world.key))
        .await;
    unauthenticated.cause("client.authentication.absent");
    let authorization = basic("basic", SECRET);
    let form = [
        ("grant_type", "authorization_code"),
        ("redirect_uri", "http://127.0.0.1:5000/callback"),
        ("code", &code),
        ("code_verifier", &flow.verifier),
    ];
    let proof = flow.proof(&flow.world.key, "/token");
    let headers = [
        ("authorization", authorization.as_str()),
        ("dpop", proof.as_str()),
    ];
    let reply = flow.world.post("/token", &form, &headers).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let (_, refresh) = both(&reply);
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.as_str()),
    ];
    let proof = flow.proof(&other_key(), "/token");
    let headers = [
        ("authorization", authorization.as_str()),
        ("dpop", proof.as_str()),
    ];
    let reply = flow.world.post("/token", &form, &headers).await;
    reply.cause("grant.key_mismatch");
}

/// Registers a client at an issuer with an authorization endpoint.
async fn register(metadata: &Value) -> Reply {
    let world = World::with(authorizing).await;
    world
        .post_json("/register", metadata.to_string(), &[])
        .await
}

#[tokio::test]
async fn sc_147_a_public_client_registers_with_redirects_it_may_have() {
    let good = serde_json::json!({
        "token_endpoint_auth_method": "none", "client_uri": "https://app.example",
        "redirect_uris": ["http://localhost:3000/callback"],
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
    });
    let changed = |member: &str, value: Value| {
        let mut metadata = good.clone();
        metadata[member] = value;
        metadata
    };
    for (member, value) in [
        ("redirect_uris", serde_json::json!(["javascript:alert(1)"])),
        (
            "redirect_uris",
            serde_json::json!(["http://app.example/callback"]),
        ),
        ("redirect_uris", serde_json::json!([])),
        (
            "redirect_uris",
            serde_json::json!("https://app.example/callback"),
        ),
        (
            "redirect_uris",
            serde_json::json!(vec!["https://app.example/"; 9]),
        ),
        ("grant_types", serde_json::json!(["client_credentials"])),
        (
            "grant_types",
            serde_json::json!(["authorization_code", "password"]),
        ),
        ("response_types", serde_json::json!(["token"])),
        ("jwks", serde_json::json!({"keys": []})),
    ] {
        register(&changed(member, value))
            .await
            .cause("registration.metadata");
    }
    let reply = register(&good).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    let client = reply.json();
    assert_eq!(client["redirect_uris"], good["redirect_uris"]);
    assert_eq!(client["grant_types"], good["grant_types"]);
    assert_eq!(client["dpop_bound_access_tokens"], true);
    assert_eq!(client.get("client_secret"), None);
    assert_eq!(client.get("client_uri"), None, "nobody shows it");
}
