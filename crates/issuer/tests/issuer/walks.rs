//! Random walks over grants: whatever sequence of token requests is sent, by whichever clients and
//! keys and with right and wrong proofs, no token comes out that allows more than the one it comes
//! of, lives longer, is bound to less, or hides who acts.

use std::collections::BTreeSet;

use keybound_custody::{Signer, SoftwareKey};
use keybound_issuer::config::{
    Approval, AuthorizationConfig, ClientAuthentication, ClientConfig, DelegationConfig, GrantType,
    IssuerConfig,
};
use keybound_proto::jose::Algorithm;
use keybound_proto::token::TokenHash;
use serde_json::Value;

use crate::world::{MAIN, REPORTS, Reply, SECRET, World, basic, claims, encode, full, proof};

/// How many walks, and how many requests in each.
const WALKS: u64 = 250;
const STEPS: usize = 16;

const CLIENTS: [&str; 5] = ["basic", "worker", "main-api", "exempt", "app"];
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const RULE: &str = "main calls reports";

fn config(config: &mut IssuerConfig) {
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
    for client in &mut config.clients {
        client.grants.push(GrantType::TokenExchange);
        if client.id == "main-api" {
            client.grants.push(GrantType::ClientCredentials);
            client.scopes = vec!["approvals:read".to_owned(), "reports:read".to_owned()];
        }
    }
    config.clients.push(ClientConfig {
        id: "worker".to_owned(),
        may_act: Some("main-api".to_owned()),
        grants: vec![GrantType::ClientCredentials, GrantType::TokenExchange],
        ..template.clone()
    });
    config.clients.push(ClientConfig {
        id: "app".to_owned(),
        authentication: ClientAuthentication::Public,
        grants: vec![
            GrantType::AuthorizationCode,
            GrantType::RefreshToken,
            GrantType::TokenExchange,
        ],
        redirect_uris: vec!["http://127.0.0.1/callback".to_owned()],
        ..template
    });
    config.delegations = vec![DelegationConfig {
        name: RULE.to_owned(),
        subject: "*".to_owned(),
        actor: "main-api".to_owned(),
        serves: vec![MAIN.to_owned()],
        resources: vec![REPORTS.to_owned()],
        scopes: vec!["approvals:read".to_owned(), "reports:read".to_owned()],
    }];
}

/// Xorshift: small, and the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }

    fn maybe(&mut self) -> bool {
        self.roll(2) == 0
    }
}

/// A token that was given, and the refresh token that came with it.
#[derive(Clone)]
struct Held {
    text: String,
    claims: Value,
    refresh: Option<String>,
}

impl Held {
    fn of(reply: &Reply) -> Self {
        let answer = reply.json();
        let text = answer["access_token"].as_str().unwrap().to_owned();
        Self {
            claims: claims(&text),
            text,
            refresh: answer["refresh_token"].as_str().map(str::to_owned),
        }
    }

    fn words(&self, name: &str) -> BTreeSet<String> {
        match &self.claims[name] {
            Value::Array(list) => list
                .iter()
                .map(|one| one.as_str().unwrap().to_owned())
                .collect(),
            Value::String(text) => text.split(' ').map(str::to_owned).collect(),
            _ => BTreeSet::new(),
        }
    }

    fn jkt(&self) -> Option<&str> {
        self.claims["cnf"]["jkt"].as_str()
    }

    /// Who acts, the current one first, with their keys.
    fn actors(&self) -> Vec<(String, Option<String>)> {
        let mut actors = Vec::new();
        let mut act = &self.claims["act"];
        while act.is_object() {
            let jkt = act["cnf"]["jkt"].as_str().map(str::to_owned);
            actors.push((act["sub"].as_str().unwrap().to_owned(), jkt));
            act = &act["act"];
        }
        actors
    }
}

struct Walk<'w> {
    world: &'w World,
    keys: &'w [SoftwareKey],
    dice: Dice,
    held: Vec<Held>,
    trail: Vec<String>,
}

impl Walk<'_> {
    fn proof(&self, key: usize, token: Option<&str>, delegate: Option<usize>) -> String {
        let delegate = delegate.map(|key| self.jkt(key));
        proof(&self.keys[key], "/token", self.world.now(), |claims| {
            if let Some(token) = token {
                claims["ath"] = TokenHash::of(token.as_bytes()).to_ath().into();
            }
            if let Some(delegate) = delegate {
                claims["urn:keybound:delegate_jkt"] = delegate.into();
            }
        })
    }

    fn jkt(&self, key: usize) -> String {
        self.keys[key].public_key().thumbprint().to_string()
    }

    async fn request(
        &mut self,
        client: &str,
        mut form: Vec<(&str, &str)>,
        proof: Option<&str>,
    ) -> Reply {
        let authorization = basic(client, secret(client));
        let mut headers: Vec<(&str, &str)> = proof.iter().map(|proof| ("dpop", *proof)).collect();
        if client == "app" {
            form.push(("client_id", "app"));
        } else {
            headers.push(("authorization", &authorization));
        }
        let reply = self.world.post("/token", &form, &headers).await;
        assert_ne!(reply.status, 500, "{}", reply.text);
        self.trail
            .push(format!("{client} {}: {}", form[0].1, reply.json()["cause"]));
        reply
    }

    /// A token that comes of no other.
    async fn begin(&mut self) {
        let client = self.dice.pick(&CLIENTS);
        let key = self.dice.roll(self.keys.len());
        let proof = (client != "exempt" || self.dice.maybe()).then(|| self.proof(key, None, None));
        let reply = if client == "app" {
            let code = self.code(key).await;
            let form = vec![
                ("grant_type", "authorization_code"),
                ("redirect_uri", "http://127.0.0.1/callback"),
                ("code", &code),
                ("code_verifier", VERIFIER),
            ];
            self.request(client, form, proof.as_deref()).await
        } else {
            let mut form = vec![("grant_type", "client_credentials"), ("resource", MAIN)];
            if client != "exempt" && client != "main-api" && self.dice.maybe() {
                form.push(("resource", REPORTS));
            }
            self.request(client, form, proof.as_deref()).await
        };
        assert_eq!(reply.status, 200, "{:?}: {}", self.trail, reply.text);
        let held = Held::of(&reply);
        assert_eq!(held.jkt().is_none(), proof.is_none());
        self.held.push(held);
    }

    async fn code(&self, key: usize) -> String {
        let (jkt, challenge) = (self.jkt(key), TokenHash::of(VERIFIER.as_bytes()).to_ath());
        let query = encode(&[
            ("response_type", "code"),
            ("client_id", "app"),
            ("redirect_uri", "http://127.0.0.1/callback"),
            ("code_challenge_method", "S256"),
            ("code_challenge", &challenge),
            ("dpop_jkt", &jkt),
            ("resource", MAIN),
        ]);
        let reply = self.world.get(&format!("/authorize?{query}")).await;
        let location = reply.headers["location"].to_str().unwrap();
        let code = location
            .split(['?', '&'])
            .find_map(|pair| pair.strip_prefix("code="));
        code.unwrap().to_owned()
    }

    async fn refresh(&mut self) {
        let from = self.dice.roll(self.held.len());
        let Some(refresh) = self.held[from].refresh.clone() else {
            return;
        };
        let key = self.dice.roll(self.keys.len());
        let scope = self
            .dice
            .pick(&["approvals:read", "approvals:read reports:read", ""]);
        let form = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.as_str()),
            ("scope", scope),
        ];
        let proof = self.dice.maybe().then(|| self.proof(key, None, None));
        let reply = self.request("app", form, proof.as_deref()).await;
        if reply.status == 200 {
            let (before, after) = (self.held[from].clone(), Held::of(&reply));
            assert_eq!(before.jkt(), after.jkt(), "{:?}", self.trail);
            assert_eq!(before.actors(), after.actors());
            // What the person granted, however narrow the tokens in between were.
            assert!(
                after
                    .words("scope")
                    .is_subset(&["approvals:read".to_owned()].into())
            );
            assert!(after.words("aud").is_subset(&[MAIN.to_owned()].into()));
            self.held.push(after);
        }
    }

    async fn exchange(&mut self) {
        let subject = self.held[self.dice.roll(self.held.len())].clone();
        let client = self.dice.pick(&CLIENTS);
        // Half of the time what fits, else anything.
        let owner = self.keys.iter().position(|key| {
            Some(key.public_key().thumbprint().to_string().as_str()) == subject.jkt()
        });
        let any = self.dice.roll(self.keys.len());
        let holder = if self.dice.maybe() {
            owner.unwrap_or(any)
        } else {
            any
        };
        let key = self.dice.roll(self.keys.len());
        let other = self.held[self.dice.roll(self.held.len())].text.clone();
        let client = if self.dice.maybe() {
            let own = subject.claims["client_id"].as_str().unwrap();
            CLIENTS.into_iter().find(|known| *known == own).unwrap()
        } else {
            client
        };
        let (proof, lent) = match self.dice.roll(7) {
            0 => (None, None),
            1 => (Some(self.proof(key, None, None)), None),
            2 | 3 => (Some(self.proof(holder, Some(&subject.text), None)), None),
            4 => (Some(self.proof(holder, Some(&other), None)), None),
            _ => {
                let to = if self.dice.maybe() { key } else { any };
                let lent = self.proof(holder, Some(&subject.text), Some(to));
                (Some(self.proof(key, None, None)), Some(lent))
            }
        };
        let mut form = vec![
            ("grant_type", EXCHANGE),
            ("subject_token", subject.text.as_str()),
            ("subject_token_type", ACCESS_TOKEN),
            ("act", r#"{"sub":"admin"}"#),
        ];
        let audience = self.dice.pick(&["", "", MAIN, REPORTS]);
        form.extend([
            ("audience", audience),
            (
                "scope",
                self.dice
                    .pick(&["", "", "approvals:read", "reports:read", "approvals:write"]),
            ),
        ]);
        form.extend(lent.as_deref().map(|lent| ("subject_token_proof", lent)));
        let actor = self.dice.roll(6) == 0;
        if actor {
            form.extend([
                ("actor_token", other.as_str()),
                ("actor_token_type", ACCESS_TOKEN),
            ]);
        }
        form.retain(|(_, value)| !value.is_empty());
        let reply = self.request(client, form, proof.as_deref()).await;
        if reply.status != 200 {
            assert!(reply.json().get("access_token").is_none());
            return;
        }
        let rule = self.rule().await;
        let after = Held::of(&reply);
        self.check(&subject, &after, rule.as_deref());
        self.held.push(after);
    }

    /// The rule that the last token was given under.
    async fn rule(&self) -> Option<String> {
        let events = self.world.events("token_issued").await;
        let rule = events.last().unwrap()["delegation_rule"].as_str();
        rule.map(str::to_owned)
    }

    fn check(&self, before: &Held, after: &Held, rule: Option<&str>) {
        let trail = &self.trail;
        assert_eq!(before.claims["sub"], after.claims["sub"], "{trail:?}");
        assert!(
            after.words("scope").is_subset(&before.words("scope")),
            "{trail:?}"
        );
        let mut audience = before.words("aud");
        audience.extend(rule.map(|_| REPORTS.to_owned()));
        assert!(after.words("aud").is_subset(&audience), "{trail:?}");
        assert!(
            after.claims["exp"].as_u64() <= before.claims["exp"].as_u64(),
            "{trail:?}"
        );
        assert!(before.jkt().is_none() || after.jkt().is_some(), "{trail:?}");
        if !before.claims["may_act"].is_null() {
            assert_eq!(
                before.claims["may_act"], after.claims["may_act"],
                "{trail:?}"
            );
        }
        let handles = after.words("urn:keybound:ancestors");
        assert!(
            handles.contains(before.claims["jti"].as_str().unwrap()),
            "{trail:?}"
        );
        assert!(
            before.words("urn:keybound:ancestors").is_subset(&handles),
            "{trail:?}"
        );
        // Actors are those before and at most one more, with the key of the new token.
        let (was, is) = (before.actors(), after.actors());
        assert!(is.ends_with(&was) && is.len() <= was.len() + 1, "{trail:?}");
        if is.len() == was.len() {
            assert_eq!(
                before.claims["client_id"], after.claims["client_id"],
                "{trail:?}"
            );
            assert!(
                before.jkt().is_none() || before.jkt() == after.jkt(),
                "{trail:?}"
            );
        } else {
            assert_eq!(is[0].1.as_deref(), after.jkt(), "{trail:?}");
            assert_ne!(is[0].0, "admin");
        }
    }
}

const VERIFIER: &str = "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";

fn secret(client: &str) -> &str {
    match client {
        "main-api" => "secret-of-main",
        "exempt" => "secret-of-exempt",
        _ => SECRET,
    }
}

#[tokio::test]
async fn no_walk_over_grants_widens_or_unbinds_anything() {
    let keys: Vec<SoftwareKey> = (0..3)
        .map(|_| SoftwareKey::generate(Algorithm::Es256).unwrap())
        .collect();
    let mut exchanged = 0;
    for seed in 1..=WALKS {
        let world = World::with(config).await;
        let mut walk = Walk {
            world: &world,
            keys: &keys,
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            held: Vec::new(),
            trail: vec![format!("seed {seed}")],
        };
        walk.begin().await;
        for _ in 0..STEPS {
            match walk.dice.roll(8) {
                0 => walk.begin().await,
                1 => walk.refresh().await,
                2 => {
                    world.clock.advance_secs(20);
                }
                _ => walk.exchange().await,
            }
        }
        exchanged += walk
            .held
            .iter()
            .filter(|held| !held.claims["urn:keybound:ancestors"].is_null())
            .count();
    }
    // The walk goes somewhere.
    assert!(exchanged > 500, "only {exchanged} tokens came of others");
}
