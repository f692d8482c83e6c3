//! What tests do in a world: get tokens, make proofs, call, look.

use keybound_control::{EventFilter, MAX_EVENTS};
use keybound_proto::base64url;
use keybound_proto::event::EventKind;
use serde_json::{Value, json};

use super::{Agent, World};
use crate::draft::{AssertionDraft, ProofDraft, sign_with};
use crate::http::{Answer, FormRequest, send};

impl World {
    /// A proof draft of the agent for this method and path at the gateway.
    #[must_use]
    pub fn proof(&self, method: &str, path: &str) -> ProofDraft {
        self.proof_of(&self.agent, method, path)
    }

    /// The same with another agent's key.
    #[must_use]
    pub fn proof_of(&self, agent: &Agent, method: &str, path: &str) -> ProofDraft {
        let path = path.split('?').next().unwrap_or(path);
        ProofDraft::new(
            &agent.proof_key,
            method,
            &format!("{}{path}", self.gateway),
            self.now(),
        )
    }

    /// A proof draft of the agent for the token endpoint.
    #[must_use]
    pub fn token_proof(&self) -> ProofDraft {
        ProofDraft::new(
            &self.agent.proof_key,
            "POST",
            &format!("{}/token", self.issuer),
            self.now(),
        )
    }

    /// A client assertion draft of the agent.
    #[must_use]
    pub fn assertion(&self) -> AssertionDraft {
        AssertionDraft::new(
            &self.agent.client_key,
            &self.agent.id,
            &self.issuer,
            self.now(),
        )
    }

    /// A token request of the agent, authenticated, without a proof.
    #[must_use]
    pub fn token_form(&self) -> FormRequest {
        self.token_form_with(&self.assertion().sign(&self.agent.client_key))
    }

    /// A token request with this client assertion, without a proof.
    #[must_use]
    pub fn token_form_with(&self, assertion: &str) -> FormRequest {
        authenticated(assertion)
            .parameter("grant_type", "client_credentials")
            .parameter("resource", format!("{}/", self.gateway))
    }

    /// An authenticated form of the agent, for introspection and revocation.
    #[must_use]
    pub fn authenticated_form(&self) -> FormRequest {
        self.authenticated_form_of(&self.agent)
    }

    /// The same of another agent.
    #[must_use]
    pub fn authenticated_form_of(&self, agent: &Agent) -> FormRequest {
        let draft = AssertionDraft::new(&agent.client_key, &agent.id, &self.issuer, self.now());
        authenticated(&draft.sign(&agent.client_key))
    }

    /// The value of a Basic Authorization header.
    #[must_use]
    pub fn basic(&self, id: &str, secret: &str) -> String {
        let text = base64url::encode(format!("{id}:{secret}").as_bytes());
        // Basic uses the other alphabet, padded (RFC 7617).
        let mut text = text.replace('-', "+").replace('_', "/");
        while !text.len().is_multiple_of(4) {
            text.push('=');
        }
        format!("Basic {text}")
    }

    /// A token of the agent for the gateway's resource.
    pub async fn token(&self) -> String {
        self.token_for(&self.agent).await
    }

    /// A token of another agent.
    pub async fn token_for(&self, agent: &Agent) -> String {
        self.issue(agent, &format!("{}/", self.gateway), None).await
    }

    /// A token of the agent with this scope only.
    pub async fn token_with_scope(&self, scope: &str) -> String {
        self.issue(&self.agent, &format!("{}/", self.gateway), Some(scope))
            .await
    }

    /// A token of the operator for the control plane.
    pub async fn admin_token(&self) -> String {
        self.issue(&Agent::new("admin"), &format!("{}/", self.control), None)
            .await
    }

    /// A token the issuer leaves unbound, because the client is exempted.
    pub async fn unbound_token(&self) -> String {
        let form = self
            .authenticated_form_of(&Agent::new("exempt"))
            .parameter("grant_type", "client_credentials")
            .parameter("resource", format!("{}/", self.gateway));
        let answer = form.send(&self.issuer, "/token").await;
        assert_eq!(answer.json()["token_type"], "Bearer", "{answer:?}");
        text(&answer.json()["access_token"])
    }

    async fn issue(&self, agent: &Agent, resource: &str, scope: Option<&str>) -> String {
        let mut form = self
            .authenticated_form_of(agent)
            .parameter("grant_type", "client_credentials")
            .parameter("resource", resource);
        if let Some(scope) = scope {
            form = form.parameter("scope", scope);
        }
        let mut nonce: Option<String> = None;
        for _ in 0..2 {
            let mut draft = ProofDraft::new(
                &agent.proof_key,
                "POST",
                &format!("{}/token", self.issuer),
                self.now(),
            );
            if let Some(nonce) = nonce.take() {
                draft = draft.claim("nonce", nonce);
            }
            let answer = form
                .clone()
                .header("dpop", draft.sign(&agent.proof_key))
                .send(&self.issuer, "/token")
                .await;
            if answer.status == 200 {
                return text(&answer.json()["access_token"]);
            }
            nonce = answer.header("dpop-nonce").map(str::to_owned);
            assert!(nonce.is_some(), "{}: no token: {answer:?}", agent.id);
        }
        panic!("{}: no token after a nonce", agent.id);
    }

    /// `GET` at the gateway with this token and these proofs.
    pub async fn get(&self, target: &str, token: &str, proofs: &[&str]) -> Answer {
        let authorization = format!("DPoP {token}");
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend(proofs.iter().map(|proof| ("dpop", *proof)));
        self.send("GET", target, &headers).await
    }

    /// The same as a future that borrows nothing.
    pub fn get_owned(
        &self,
        target: &str,
        token: &str,
        proof: &str,
    ) -> impl Future<Output = Answer> + Send + use<> {
        let (origin, target) = (self.gateway.clone(), target.to_owned());
        let (authorization, proof) = (format!("DPoP {token}"), proof.to_owned());
        async move {
            let headers = [("authorization", authorization.as_str()), ("dpop", &proof)];
            send(&origin, "GET", &target, &headers, b"").await
        }
    }

    /// Any request at the gateway without a body.
    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        send(&self.gateway, method, target, headers, b"").await
    }

    /// A request of the operator at the control plane.
    pub async fn admin(&self, method: &str, path: &str, body: &Value) -> Answer {
        let admin = Agent::new("admin");
        let token = self.admin_token().await;
        let url = format!("{}{path}", self.control);
        let proof = ProofDraft::new(&admin.proof_key, method, &url, self.now())
            .ath(&token)
            .sign(&admin.proof_key);
        let authorization = format!("DPoP {token}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("dpop", &proof),
            ("content-type", "application/json"),
        ];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        send(&self.control, method, path, &headers, body.as_bytes()).await
    }

    /// The handle of a token.
    #[must_use]
    pub fn token_id(&self, token: &str) -> String {
        let payload = token.split('.').nth(1).unwrap_or_default();
        let bytes = base64url::decode(payload.as_bytes()).expect("a JWT");
        let claims: Value = serde_json::from_slice(&bytes).expect("JSON claims");
        text(&claims["jti"])
    }

    /// A token with these claims, signed by the issuer's own key behind its back.
    #[must_use]
    pub fn token_signed_now(&self, claims: &Value) -> String {
        self.token_signed_with_header(&json!({}), &with_times(claims, self.now().as_secs()))
    }

    /// The same with changed header members.
    #[must_use]
    pub fn token_signed_with_header(&self, change: &Value, claims: &Value) -> String {
        let (kid, key) = &self.issuer_key;
        let algorithm = keybound_proto::jose::Signer::algorithm(key.as_ref()).name();
        let mut header = json!({"typ": "at+jwt", "alg": algorithm, "kid": kid});
        for (name, value) in change.as_object().expect("an object") {
            header[name] = value.clone();
        }
        sign_with(key, &header, claims)
    }

    /// The `kid` of the issuer's signing key.
    #[must_use]
    pub fn issuer_kid(&self) -> &str {
        &self.issuer_key.0
    }

    /// Every event of the store, one JSON object a line.
    pub async fn all_events(&self) -> String {
        let events = self
            .store
            .events(0, MAX_EVENTS, EventFilter::default())
            .await
            .expect("events");
        let lines = events
            .iter()
            .map(|(_, event)| serde_json::to_string(event).expect("JSON"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// How many tokens the issuer has recorded for the agent.
    pub async fn issued_tokens(&self) -> usize {
        let filter = EventFilter {
            kind: Some(EventKind::TokenIssued),
            ..EventFilter::default()
        };
        let events = self
            .store
            .events(0, MAX_EVENTS, filter)
            .await
            .expect("events");
        let of_agent = events
            .iter()
            .filter(|(_, event)| event.client_id.as_deref() == Some(self.agent.id.as_str()));
        of_agent.count()
    }
}

fn authenticated(assertion: &str) -> FormRequest {
    FormRequest::default()
        .parameter(
            "client_assertion_type",
            keybound_proto::token::assertion::ASSERTION_TYPE,
        )
        .parameter("client_assertion", assertion)
}

fn with_times(claims: &Value, now: u64) -> Value {
    let mut claims = claims.clone();
    claims["iat"] = json!(now);
    claims["exp"] = json!(now.saturating_add(300));
    claims
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}
