//! The agent of the story: it knows one URL and has a fresh key.

use std::sync::Arc;

use http::Method;
use keybound_custody::SoftwareKey;
use keybound_holder::registration::{self, RegisteredAuthentication, RegistrationRequest};
use keybound_holder::{
    BoundToken, ClientAuthentication, Holder, HolderConfig, HttpClient, SignedHeaders, Timeouts,
    discovery,
};
use keybound_proto::dpop::{self, ProofRequest};
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::time::{Clock, UnixTime};
use keybound_proto::token::TokenHash;
use keybound_proto::uri::HttpUrl;

use crate::client::failure;
use crate::commands::key;
use crate::commands::proof::random_text;
use crate::failure::Failure;

/// The agent.
#[derive(Debug)]
pub(super) struct Agent {
    key: Arc<SoftwareKey>,
    config: HolderConfig,
    holder: Holder,
    clock: Arc<dyn Clock>,
}

impl Agent {
    /// From the URL of an API to a client of its issuer: RFC 9728, RFC 8414,
    /// RFC 7591.
    pub(super) async fn introduce(url: &HttpUrl, clock: &Arc<dyn Clock>) -> Result<Self, Failure> {
        let key = Arc::new(key::generate(Algorithm::Es256)?);
        let http = HttpClient::new(Timeouts::default()).map_err(failure)?;
        let resource = discovery::protected_resource(&http, url)
            .await
            .map_err(failure)?;
        let none = || Failure::internal("the demo gateway names no issuer with open registration");
        let issuer = resource.authorization_servers.first().ok_or_else(none)?;
        let server = discovery::authorization_server(&http, issuer)
            .await
            .map_err(failure)?;
        let endpoint = server.registration_endpoint.ok_or_else(none)?;
        let request = RegistrationRequest {
            client_name: Some("demo agent".to_owned()),
            authentication: RegisteredAuthentication::PrivateKeyJwt(
                key.public_key().clone(),
                key.algorithm(),
            ),
            scope: None,
            initial_access_token: None,
        };
        let registered = registration::register(&http, &endpoint, &request)
            .await
            .map_err(failure)?;
        let signer: Arc<dyn Signer> = Arc::<SoftwareKey>::clone(&key);
        let config = HolderConfig {
            issuer: issuer.clone(),
            client_id: registered.client_id,
            authentication: ClientAuthentication::PrivateKeyJwtWithKid {
                kid: key.public_key().thumbprint().to_string(),
                key: Arc::clone(&signer),
            },
            proof_key: signer,
            resource: Some(resource.resource.as_str().to_owned()),
            scope: None,
            timeouts: Timeouts::default(),
        };
        let holder = Holder::new(config.clone(), Arc::clone(clock)).map_err(failure)?;
        Ok(Self {
            key,
            config,
            holder,
            clock: Arc::clone(clock),
        })
    }

    /// Thumbprint of the agent's key.
    pub(super) fn jkt(&self) -> String {
        self.key.public_key().thumbprint().to_string()
    }

    /// The agent's token.
    pub(super) async fn token(&self) -> Result<BoundToken, Failure> {
        self.holder.token().await.map_err(failure)
    }

    /// Another token of the same agent and key.
    pub(super) async fn another_token(&self) -> Result<BoundToken, Failure> {
        let other = Holder::new(self.config.clone(), Arc::clone(&self.clock)).map_err(failure)?;
        other.token().await.map_err(failure)
    }

    /// Token and fresh proof for one request, as the agent sends them.
    pub(super) async fn sign(
        &self,
        method: &Method,
        url: &HttpUrl,
    ) -> Result<SignedHeaders, Failure> {
        self.holder.sign(method, url).await.map_err(failure)
    }

    /// A fresh proof for a token the agent has.
    pub(super) fn prove(&self, method: &Method, url: &str, token: &str) -> Result<String, Failure> {
        prove(&self.key, method, url, token, self.clock.now())
    }

    /// A proof the agent made `seconds` ago and that nobody has seen yet.
    pub(super) fn proof_of(
        &self,
        seconds: u64,
        method: &Method,
        url: &str,
        token: &str,
    ) -> Result<String, Failure> {
        prove(
            &self.key,
            method,
            url,
            token,
            self.clock.now().minus(seconds),
        )
    }
}

/// A proof of any key for any token at any time.
pub(super) fn prove(
    key: &SoftwareKey,
    method: &Method,
    url: &str,
    token: &str,
    iat: UnixTime,
) -> Result<String, Failure> {
    let (jti, hash) = (random_text()?, TokenHash::of(token.as_bytes()));
    let request = ProofRequest {
        method: method.as_str(),
        htu: url,
        iat,
        jti: &jti,
        ath: Some(&hash),
        nonce: None,
        content_digest: None,
    };
    dpop::signing_input(&request, key.public_key(), key.algorithm())
        .sign(key)
        .map_err(|error| Failure::internal(error.to_string()))
}
