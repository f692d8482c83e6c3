//! `vectors/scenarios.json`: sequences and faults, each against a fresh world.

use std::path::PathBuf;
use std::time::Duration;

use keybound_proto::dpop::DELEGATE_JKT;
use keybound_testkit::{
    Agent, Answer, AssertionDraft, FormRequest, ProofDraft, RawConnection, World, WorldOptions,
    send,
};
use serde_json::{Value, json};

/// How long a change may take to reach the gateway.
const PATIENCE: Duration = Duration::from_secs(15);

#[tokio::test]
async fn every_scenario_goes_as_written() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/scenarios.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let scenarios = file["scenarios"].as_array().unwrap();
    assert!(scenarios.len() >= 40, "only {} scenarios", scenarios.len());
    for scenario in scenarios {
        let mut play = Play::new(scenario).await;
        for (number, step) in scenario["steps"].as_array().unwrap().iter().enumerate() {
            play.place = format!("{}, step {}", scenario["id"], number + 1);
            play.step(step).await;
        }
    }
}

struct Play {
    world: World,
    token: Option<String>,
    nonce: Option<String>,
    saved: Vec<(String, String)>,
    place: String,
}

impl Play {
    async fn new(scenario: &Value) -> Self {
        let mut options = WorldOptions::default();
        let wanted = &scenario["world"];
        let size = |name: &str| {
            wanted[name]
                .as_u64()
                .and_then(|value| usize::try_from(value).ok())
        };
        options.replay_capacity = size("replay_capacity").unwrap_or(options.replay_capacity);
        options.replay_per_sender = size("replay_per_sender").unwrap_or(options.replay_per_sender);
        options.replay = wanted["replay"].as_str().map(str::to_owned);
        options.revocation_max_age = wanted["revocation_max_age"].as_u64();
        options.registration = wanted["registration"].as_str().unwrap_or("open").to_owned();
        options.certificates = wanted["certificates"] == true;
        Self {
            world: World::with(options).await,
            token: None,
            nonce: None,
            saved: Vec::new(),
            place: String::new(),
        }
    }

    async fn step(&mut self, step: &Value) {
        let expect = step["expect"].as_str().unwrap_or_default();
        if let Some(name) = step["fault"].as_str() {
            self.fault(name, step).await;
        } else if let Some(seconds) = step["advance"].as_i64() {
            let now = i64::try_from(self.world.now().as_secs()).unwrap();
            self.world.clock.set(u64::try_from(now + seconds).unwrap());
        } else if step["gateway"].is_object() {
            self.gateway(&step["gateway"], expect).await;
        } else if step["token_request"].is_object() {
            let answer = self.token_request(&step["token_request"]).await;
            self.judge(&answer, expect);
        } else if step["issuer"].is_object() {
            for _ in 0..step["repeat"].as_u64().unwrap_or(1) {
                let answer = self.issuer(&step["issuer"]).await;
                self.judge(&answer, expect);
                self.save(&answer, &step["save"]);
            }
        } else if step["register"].is_object() {
            let answer = self.register(&step["register"]).await;
            self.judge(&answer, expect);
        } else if let Some(text) = step["raw"].as_str() {
            let answer = self.raw(text).await;
            assert_eq!(
                u64::from(answer.status.as_u16()),
                step["status"],
                "{}: {answer:?}",
                self.place
            );
            self.judge(&answer, expect);
        } else {
            panic!("{}: no such step: {step}", self.place);
        }
    }

    #[track_caller]
    fn judge(&self, answer: &Answer, expect: &str) {
        let redirected = answer.status.is_redirection();
        let got = if answer.status.is_success() || redirected {
            "ok".to_owned()
        } else {
            answer.cause()
        };
        assert_eq!(got, expect, "{}: {answer:?}", self.place);
    }

    async fn gateway(&mut self, request: &Value, expect: &str) {
        let repeat = request["repeat"].as_u64().unwrap_or(1);
        let agent = request["client"]
            .as_str()
            .map_or_else(|| self.world.agent.clone(), Agent::new);
        let token = self.token_of(&agent, request).await;
        let waits = request["eventually"] == true;
        let attempts = async {
            loop {
                let mut seen = Vec::new();
                for _ in 0..repeat {
                    let answer = self.one_request(&agent, &token, request).await;
                    self.nonce = answer
                        .header("dpop-nonce")
                        .map(str::to_owned)
                        .or_else(|| self.nonce.take());
                    seen.push(if answer.status.is_success() {
                        "ok".to_owned()
                    } else {
                        answer.cause()
                    });
                }
                if seen.iter().any(|cause| cause == expect) || !waits {
                    return seen;
                }
                tokio::task::yield_now().await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, attempts)
            .await
            .unwrap_or_default();
        assert!(
            seen.iter().any(|cause| cause == expect),
            "{}: expected {expect}, got {seen:?}",
            self.place
        );
    }

    async fn token_of(&mut self, agent: &Agent, request: &Value) -> String {
        let own = agent.id == self.world.agent.id;
        if request["token"] == "minted" {
            return self.world.token_signed_now(&json!({
                "iss": self.world.issuer, "sub": "agent", "client_id": "agent",
                "aud": format!("{}/", self.world.gateway), "scope": "approvals:read approvals:write",
                "jti": "tok_minted", "cnf": {"jkt": agent.jkt()},
            }));
        }
        if let (true, Some(token)) = (own, &self.token) {
            return token.clone();
        }
        let token = self.world.token_for(agent).await;
        if own {
            self.token = Some(token.clone());
        }
        token
    }

    async fn one_request(&self, agent: &Agent, token: &str, request: &Value) -> Answer {
        let method = request["method"].as_str().unwrap_or("GET");
        let path = request["path"].as_str().unwrap_or("/approvals");
        let mut draft = self.world.proof_of(agent, method, path).ath(token);
        for (claim, value) in request["proof"].as_object().into_iter().flatten() {
            draft = draft.claim(claim, value.clone());
        }
        if request["nonce"] == true {
            draft = draft.claim("nonce", self.nonce.clone().expect("a nonce was offered"));
        }
        let (authorization, proof) = (format!("DPoP {token}"), draft.sign(&agent.proof_key));
        let headers = [("authorization", authorization.as_str()), ("dpop", &proof)];
        let body = request["body"].as_str().unwrap_or_default();
        send(&self.world.gateway, method, path, &headers, body.as_bytes()).await
    }

    async fn token_request(&self, change: &Value) -> Answer {
        let agent = change["client"]
            .as_str()
            .map_or_else(|| self.world.agent.clone(), Agent::new);
        let mut assertion = AssertionDraft::new(
            &agent.client_key,
            &agent.id,
            &self.world.issuer,
            self.world.now(),
        );
        for (claim, value) in change["assertion"].as_object().into_iter().flatten() {
            assertion = assertion.claim(claim, value.clone());
        }
        if let Some(jti) = change["jti"].as_str() {
            assertion = assertion.claim("jti", jti);
        }
        let mut form = self
            .world
            .token_form_with(&assertion.sign(&agent.client_key));
        change_form(&mut form, change);
        if change["proof"] != false {
            let url = format!("{}/token", self.world.issuer);
            let mut proof = ProofDraft::new(&agent.proof_key, "POST", &url, self.world.now());
            if let Some(jti) = change["jti"].as_str() {
                proof = proof.claim("jti", jti);
            }
            form = form.header("dpop", proof.sign(&agent.proof_key));
        }
        form.send(&self.world.issuer, "/token").await
    }

    /// A request to any endpoint of the issuer, by the client `app` or the one that is named, and
    /// with a proof by the named key unless there is to be none. The proof is made for a token
    /// where `ath` has one; with `lends` the key of that name lends this token to the key.
    async fn issuer(&self, request: &Value) -> Answer {
        let path = request["path"].as_str().expect("a path");
        let mut form = FormRequest::default();
        for (name, value) in request["form"].as_object().expect("a form") {
            let value = self.filled(value.as_str().expect("a string"));
            form.parameters.push((name.clone(), value));
        }
        if let Some(client) = request["client"].as_str() {
            let authenticated = self.world.authenticated_form_of(&Agent::new(client));
            form.parameters.extend(authenticated.parameters);
        }
        if let Some(key) = request["key"].as_str() {
            let agent = Agent::new(key);
            let url = format!("{}{path}", self.world.issuer);
            let mut proof = ProofDraft::new(&agent.proof_key, "POST", &url, self.world.now());
            let token = request["ath"].as_str().map(|token| self.filled(token));
            if let (Some(token), Some(lender)) = (&token, request["lends"].as_str()) {
                let lender = Agent::new(lender).proof_key;
                let lent = ProofDraft::new(&lender, "POST", &url, self.world.now());
                let lent = lent.ath(token).claim(DELEGATE_JKT, agent.jkt());
                let lent = ("subject_token_proof".to_owned(), lent.sign(&lender));
                form.parameters.push(lent);
            } else if let Some(token) = &token {
                proof = proof.ath(token);
            }
            form = form.header("dpop", proof.sign(&agent.proof_key));
        }
        if request["method"] == "GET" {
            let target = format!("{path}?{}", form.encoded());
            return send(&self.world.issuer, "GET", &target, &[], b"").await;
        }
        form.send(&self.world.issuer, path).await
    }

    fn filled(&self, text: &str) -> String {
        let text = text
            .replace("{gateway}", &self.world.gateway)
            .replace("{jkt}", &self.world.agent.jkt());
        // The last one of a name counts.
        self.saved.iter().rev().fold(text, |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), value)
        })
    }

    /// Keeps what later steps need: a member of the answer's JSON, or a parameter of where it
    /// redirects to.
    fn save(&mut self, answer: &Answer, wanted: &Value) {
        for (name, from) in wanted.as_object().into_iter().flatten() {
            let from = from.as_str().expect("a name");
            let location = answer.header("location").unwrap_or_default();
            let parameter = location.split(['?', '&']).find_map(|pair| {
                let (known, value) = pair.split_once('=')?;
                (known == from).then(|| value.to_owned())
            });
            let value = parameter.or_else(|| answer.json()[from].as_str().map(str::to_owned));
            let value = value.unwrap_or_else(|| panic!("{}: no {from}: {answer:?}", self.place));
            self.saved.push((name.clone(), value));
        }
    }

    async fn register(&self, request: &Value) -> Answer {
        let mut headers = vec![("content-type", "application/json")];
        for pair in request["headers"].as_array().into_iter().flatten() {
            headers.push((pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
        }
        let body = request["body"].to_string();
        send(
            &self.world.issuer,
            "POST",
            "/register",
            &headers,
            body.as_bytes(),
        )
        .await
    }

    async fn raw(&self, text: &str) -> Answer {
        let authority = self.world.gateway.trim_start_matches("http://");
        let text = text
            .replace("{host}", authority)
            .replace("{long}", &"x".repeat(40_000));
        let mut connection = RawConnection::open(authority.parse().unwrap()).await;
        connection.write(text.as_bytes()).await;
        connection.read_answer().await
    }

    async fn fault(&mut self, name: &str, step: &Value) {
        match name {
            "revoke_token" => {
                let id = self.world.token_id(self.token.as_deref().expect("a token"));
                let answer = self
                    .world
                    .admin("POST", "/v1/tokens/revoke", &json!({"token_id": id}))
                    .await;
                assert_eq!(answer.status, 200, "{answer:?}");
            }
            "lock" | "unlock" => self.lock(name, step["kind"].as_str().unwrap()).await,
            "restart_gateway" => self.world.restart_gateway().await,
            "stop_issuer" => self.world.stop_issuer().await,
            "stop_control" => self.world.stop_control().await,
            "break_store" => self.world.break_store(),
            "mend_store" => self.world.mend_store(),
            other => panic!("{}: no such fault: {other}", self.place),
        }
    }

    async fn lock(&self, verb: &str, kind: &str) {
        let value = if kind == "key" {
            self.world.agent.jkt()
        } else {
            self.world.agent.id.clone()
        };
        let (answer, status) = if verb == "lock" {
            let body = json!({"kind": kind, "value": value, "reason": "a scenario"});
            (self.world.admin("POST", "/v1/locks", &body).await, 201)
        } else {
            (
                self.world
                    .admin("DELETE", &format!("/v1/locks/{kind}/{value}"), &Value::Null)
                    .await,
                200,
            )
        };
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

fn change_form(form: &mut FormRequest, change: &Value) {
    for name in change["remove"].as_array().into_iter().flatten() {
        form.parameters
            .retain(|(parameter, _)| name != parameter.as_str());
    }
    for (name, value) in change["set"].as_object().into_iter().flatten() {
        form.parameters.retain(|(parameter, _)| parameter != name);
        form.parameters
            .push((name.clone(), value.as_str().unwrap().to_owned()));
    }
    for pair in change["add"].as_array().into_iter().flatten() {
        form.parameters.push((
            pair[0].as_str().unwrap().to_owned(),
            pair[1].as_str().unwrap().to_owned(),
        ));
    }
    for pair in change["headers"].as_array().into_iter().flatten() {
        form.headers.push((
            pair[0].as_str().unwrap().to_owned(),
            pair[1].as_str().unwrap().to_owned(),
        ));
    }
}
