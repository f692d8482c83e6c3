//! Clients with their keys.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use keybound_custody::SoftwareKey;
use keybound_proto::jose::{Algorithm, Signer};
use serde_json::Value;

/// A client: who it is, the key it authenticates with, and the key its tokens are bound to.
#[derive(Clone, Debug)]
pub struct Agent {
    /// `client_id`.
    pub id: String,
    /// Signs client assertions.
    pub client_key: Arc<SoftwareKey>,
    /// Signs proofs.
    pub proof_key: Arc<SoftwareKey>,
}

impl Agent {
    /// The agent of this name; the same keys every time within one process.
    #[must_use]
    pub fn new(id: &str) -> Self {
        static AGENTS: OnceLock<Mutex<HashMap<String, Agent>>> = OnceLock::new();
        let key = || Arc::new(SoftwareKey::generate(Algorithm::EdDsa).expect("a key"));
        let mut agents = AGENTS
            .get_or_init(Mutex::default)
            .lock()
            .expect("no test panicked here");
        let agent = agents.entry(id.to_owned()).or_insert_with(|| Self {
            id: id.to_owned(),
            client_key: key(),
            proof_key: key(),
        });
        agent.clone()
    }

    /// The thumbprint of the proof key.
    #[must_use]
    pub fn jkt(&self) -> String {
        self.proof_key.public_key().thumbprint().to_string()
    }

    /// The public key the client is registered with.
    #[must_use]
    pub fn client_jwk(&self) -> Value {
        serde_json::from_str(&self.client_key.public_key().to_jwk()).expect("a JWK is JSON")
    }

    /// The public proof key.
    #[must_use]
    pub fn proof_jwk(&self) -> Value {
        serde_json::from_str(&self.proof_key.public_key().to_jwk()).expect("a JWK is JSON")
    }
}
