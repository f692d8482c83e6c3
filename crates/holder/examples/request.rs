//! One signed request, from nothing: makes a key, registers a client at the
//! issuer of `keybound dev`, gets a bound token and reads the approvals.
//!
//! Run `keybound dev` in one terminal and
//! `cargo run -p keybound-holder --example request` in another.

use std::error::Error;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Method};
use keybound_custody::{Signer, SoftwareKey};
use keybound_holder::registration::{RegisteredAuthentication, RegistrationRequest, register};
use keybound_holder::{
    ClientAuthentication, Holder, HolderConfig, HttpClient, Request, Timeouts, discovery,
};
use keybound_proto::jose::Algorithm;
use keybound_proto::time::Clock;
use keybound_proto::uri::HttpUrl;

#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "a program has one place where it reads the time, this is it"
    )]
    fn now_millis(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis().try_into().unwrap_or(u64::MAX))
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "this is the program's output")]
async fn main() -> Result<(), Box<dyn Error>> {
    let issuer = HttpUrl::parse("http://127.0.0.1:9400")?;
    let url = HttpUrl::parse("http://127.0.0.1:9401/approvals")?;

    let key: Arc<dyn Signer> = Arc::new(SoftwareKey::generate(Algorithm::Es256)?);
    let client_id = register_client(&issuer, &*key).await?;
    let config = HolderConfig {
        issuer,
        client_id,
        authentication: ClientAuthentication::PrivateKeyJwt(Arc::clone(&key)),
        proof_key: key,
        resource: Some("http://127.0.0.1:9401/".to_owned()),
        scope: Some("approvals:read".to_owned()),
        timeouts: Timeouts::default(),
    };
    let holder = Holder::new(config, Arc::new(SystemClock))?;
    let response = holder
        .send(Request {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        })
        .await?;
    println!("{} with key {}", response.status, holder.jkt());
    println!("{}", String::from_utf8_lossy(&response.body));
    Ok(())
}

async fn register_client(issuer: &HttpUrl, key: &dyn Signer) -> Result<String, Box<dyn Error>> {
    let http = HttpClient::new(Timeouts::default())?;
    let server = discovery::authorization_server(&http, issuer).await?;
    let endpoint = server
        .registration_endpoint
        .ok_or("the issuer has no registration endpoint")?;
    let request = RegistrationRequest {
        client_name: Some("holder example".to_owned()),
        authentication: RegisteredAuthentication::PrivateKeyJwt(
            key.public_key().clone(),
            key.algorithm(),
        ),
        scope: None,
        initial_access_token: None,
    };
    Ok(register(&http, &endpoint, &request).await?.client_id)
}
