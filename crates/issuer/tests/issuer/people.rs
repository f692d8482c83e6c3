//! People: links, sessions and decisions, over the routes.

use axum::body::Body;
use axum::http::Request;
use keybound_control::{KeptKind, KeptRef, LogInLink};
use keybound_issuer::config::{
    Approval, AuthorizationConfig, ClientAuthentication, ClientConfig, GrantType, IssuerConfig,
};
use keybound_proto::signal::Subject;
use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;

use crate::world::{ISSUER, MAIN, Reply, World, claims, encode, full, proof};

const REDIRECT: &str = "https://app.example/callback";
const VERIFIER: &str = "a-verifier-of-more-than-forty-three-characters";

fn asking(config: &mut IssuerConfig) {
    full(config);
    config.authorization = Some(AuthorizationConfig {
        code_ttl: 60,
        request_ttl: 90,
        pushed_only: false,
        approval: Approval::Person,
    });
    let template = config.clients[0].clone();
    config.clients.push(ClientConfig {
        id: "app".to_owned(),
        identity: None,
        authentication: ClientAuthentication::Public,
        grants: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
        redirect_uris: vec![REDIRECT.to_owned()],
        ..template
    });
}

struct People {
    world: World,
}

impl People {
    async fn new() -> Self {
        let world = World::with(asking).await;
        Self { world }
    }

    /// A link as the control plane makes it.
    async fn link(&self, secret: &str) {
        let link = LogInLink {
            identity: "ann".to_owned(),
            used: false,
        };
        let name = KeptRef::of(KeptKind::LogIn, secret);
        let end = UnixTime::from_secs(self.world.now() + 300);
        let document = serde_json::to_string(&link).unwrap();
        self.world.store.keep(name, document, end).await.unwrap();
    }

    async fn page(&self, path: &str, cookie: Option<&str>) -> Reply {
        let mut request = Request::get(path);
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        self.world.send(request.body(Body::empty()).unwrap()).await
    }

    async fn submit(&self, path: &str, form: &[(&str, &str)], headers: &[(&str, &str)]) -> Reply {
        self.world.post(path, form, headers).await
    }

    /// The cookie of a person who has just logged in.
    async fn log_in(&self, secret: &str) -> String {
        self.link(secret).await;
        let reply = self
            .submit("/login", &[("link", secret)], &[("origin", ISSUER)])
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        cookie_of(&reply)
    }

    /// The id of a request that waits for a decision.
    async fn ask(&self) -> String {
        let challenge = TokenHash::of(VERIFIER.as_bytes()).to_ath();
        let query = encode(&[
            ("response_type", "code"),
            ("client_id", "app"),
            ("state", "st"),
            ("code_challenge_method", "S256"),
            ("code_challenge", &challenge),
            ("resource", MAIN),
            ("scope", "approvals:read"),
        ]);
        let reply = self.page(&format!("/authorize?{query}"), None).await;
        assert_eq!(reply.status, 303, "{}", reply.text);
        let location = reply.headers["location"].to_str().unwrap();
        location.strip_prefix("/consent?id=").unwrap().to_owned()
    }

    async fn decide(&self, id: &str, decision: &str, headers: &[(&str, &str)]) -> Reply {
        let form = [("id", id), ("decision", decision)];
        self.submit("/consent", &form, headers).await
    }
}

fn cookie_of(reply: &Reply) -> String {
    let cookie = reply.headers["set-cookie"].to_str().unwrap();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    cookie.split(';').next().unwrap().to_owned()
}

/// What every page has.
fn check_page(reply: &Reply) {
    let policy = reply.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(!policy.contains("unsafe-inline") && !reply.text.contains("<script"));
    assert_eq!(reply.headers["x-frame-options"], "DENY");
    assert_eq!(reply.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn a_link_logs_one_browser_in_and_only_by_its_own_page() {
    let people = People::new().await;
    people.link("secret").await;
    for _ in 0..2 {
        // Looking does not use it up.
        let page = people.page("/login?link=secret", None).await;
        check_page(&page);
        assert!(page.text.contains("Log in as ann?"), "{}", page.text);
        assert_eq!(page.headers.get("set-cookie"), None);
    }
    for headers in [
        &[][..],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
    ] {
        let reply = people
            .submit("/login", &[("link", "secret")], headers)
            .await;
        assert_eq!(reply.status, 403, "{headers:?}");
        assert_eq!(reply.headers.get("set-cookie"), None);
    }
    let own = [("origin", ISSUER)];
    for wrong in ["other", ""] {
        let reply = people.submit("/login", &[("link", wrong)], &own).await;
        assert_eq!(reply.status, 410);
    }
    let reply = people.submit("/login", &[("link", "secret")], &own).await;
    let cookie = cookie_of(&reply);
    let again = people.submit("/login", &[("link", "secret")], &own).await;
    assert_eq!(again.status, 410, "a link works once");
    let page = people.page("/login", Some(&cookie)).await;
    assert!(page.text.contains("You are <b>ann</b>"), "{}", page.text);
}

#[tokio::test]
async fn an_old_link_is_used_up() {
    let people = People::new().await;
    people.link("secret").await;
    people.world.clock.advance_secs(300);
    assert_eq!(people.page("/login?link=secret", None).await.status, 410);
}

#[tokio::test]
async fn nobody_decides_who_is_not_logged_in() {
    let people = People::new().await;
    let id = people.ask().await;
    let page = people.page(&format!("/consent?id={id}"), None).await;
    assert_eq!(page.status, 401);
    check_page(&page);
    assert!(page.text.contains("keybound login"), "{}", page.text);
    let own = ("origin", ISSUER);
    for cookie in ["keybound_session=wrong", "other=1", ""] {
        let reply = people
            .decide(&id, "allow", &[own, ("cookie", cookie)])
            .await;
        assert_eq!(reply.status, 401, "{cookie}");
        assert_eq!(reply.headers.get("location"), None);
    }
    let cookie = people.log_in("secret").await;
    let twice = format!("{cookie}; {cookie}");
    let reply = people
        .decide(&id, "allow", &[own, ("cookie", &twice)])
        .await;
    assert_eq!(reply.status, 401, "whose cookie is it?");
}

#[tokio::test]
async fn another_sites_form_decides_nothing() {
    let people = People::new().await;
    let cookie = people.log_in("secret").await;
    let id = people.ask().await;
    for origin in ["https://evil.example", "null", "http://127.0.0.1:9401"] {
        let headers = [("origin", origin), ("cookie", cookie.as_str())];
        let reply = people.decide(&id, "allow", &headers).await;
        assert_eq!(reply.status, 403, "{origin}");
    }
    let reply = people.decide(&id, "allow", &[("cookie", &cookie)]).await;
    assert_eq!(reply.status, 403, "a browser says where a form comes from");
    let headers = [("origin", ISSUER), ("cookie", cookie.as_str())];
    let unclear = people.decide(&id, "perhaps", &headers).await;
    assert_eq!(unclear.status, 400);
}

#[tokio::test]
async fn a_person_allows_once_and_the_token_is_about_that_person() {
    let people = People::new().await;
    let cookie = people.log_in("secret").await;
    let id = people.ask().await;
    let page = people
        .page(&format!("/consent?id={id}"), Some(&cookie))
        .await;
    check_page(&page);
    for said in ["ann", "approvals:read", MAIN, "For 30 days", REDIRECT] {
        assert!(page.text.contains(said), "{said}: {}", page.text);
    }
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("form-action 'self' https://app.example;"),
        "{policy}"
    );
    let headers = [("origin", ISSUER), ("cookie", cookie.as_str())];
    let reply = people.decide(&id, "allow", &headers).await;
    assert_eq!(reply.status, 303, "{}", reply.text);
    let location = reply.headers["location"].to_str().unwrap().to_owned();
    assert!(
        location.starts_with(REDIRECT) && location.contains("state=st"),
        "{location}"
    );
    let again = people.decide(&id, "allow", &headers).await;
    assert_eq!(again.status, 410, "one decision for one request");
    let code = location
        .split("code=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "app"),
        ("code", code),
        ("code_verifier", VERIFIER),
    ];
    let proof = proof(&people.world.key, "/token", people.world.now(), |_| {});
    let tokens = people
        .world
        .post("/token", &form, &[("dpop", &proof)])
        .await;
    assert_eq!(tokens.status, 200, "{}", tokens.text);
    let token = claims(tokens.json()["access_token"].as_str().unwrap());
    assert_eq!(token["sub"], "ann");
}

#[tokio::test]
async fn a_person_says_no() {
    let people = People::new().await;
    let cookie = people.log_in("secret").await;
    let id = people.ask().await;
    let headers = [("origin", ISSUER), ("cookie", cookie.as_str())];
    let reply = people.decide(&id, "deny", &headers).await;
    let location = reply.headers["location"].to_str().unwrap();
    assert!(location.contains("error=access_denied"), "{location}");
    assert!(!location.contains("code="), "{location}");
    assert_eq!(people.decide(&id, "allow", &headers).await.status, 410);
}

#[tokio::test]
async fn what_waits_too_long_is_over() {
    let people = People::new().await;
    let cookie = people.log_in("secret").await;
    let id = people.ask().await;
    people.world.clock.advance_secs(600);
    let page = people
        .page(&format!("/consent?id={id}"), Some(&cookie))
        .await;
    assert_eq!(page.status, 410);
    let headers = [("origin", ISSUER), ("cookie", cookie.as_str())];
    assert_eq!(people.decide(&id, "allow", &headers).await.status, 410);
}

#[tokio::test]
async fn a_session_ends_by_log_out_by_time_and_by_a_lock() {
    let people = People::new().await;
    let is_in = async |cookie: &str| {
        let page = people.page("/login", Some(cookie)).await;
        page.text.contains("You are logged in")
    };
    let first = people.log_in("first").await;
    assert!(is_in(&first).await);
    let foreign = [
        ("origin", "https://evil.example"),
        ("cookie", first.as_str()),
    ];
    assert_eq!(people.submit("/logout", &[], &foreign).await.status, 403);
    assert!(is_in(&first).await);
    let headers = [("origin", ISSUER), ("cookie", first.as_str())];
    assert_eq!(people.submit("/logout", &[], &headers).await.status, 200);
    assert!(!is_in(&first).await);

    let second = people.log_in("second").await;
    let subject = Subject::Identity {
        issuer: ISSUER.to_owned(),
        subject: "ann".to_owned(),
    };
    people
        .world
        .store
        .lock(subject.clone(), "operator", None, None)
        .await
        .unwrap();
    assert!(!is_in(&second).await, "a locked identity decides nothing");
    people
        .world
        .store
        .unlock(subject, "operator")
        .await
        .unwrap();
    assert!(is_in(&second).await);
    people.world.clock.advance_secs(8 * 3600);
    assert!(!is_in(&second).await);
}

#[tokio::test]
async fn without_people_there_are_no_pages() {
    let world = World::new().await;
    for path in ["/login", "/consent", "/logout"] {
        assert_eq!(world.get(path).await.status, 404, "{path}");
    }
}
