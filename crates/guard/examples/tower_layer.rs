//! The guard as a plain tower layer, without a web framework and without a
//! network: what a refused request gets.
//!
//! `cargo run -p keybound-guard --example tower_layer` prints
//!
//! ```text
//! 401 Unauthorized
//! www-authenticate: DPoP algs="ES256 EdDSA"
//! ```

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use keybound_guard::layer::{Caller, GuardLayer};
use keybound_guard::{Guard, GuardConfig, IssuerConfig, NullSink, Route};
use keybound_proto::time::Clock;
use keybound_proto::uri::{HttpUrl, Origin};
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

/// The wall clock. Components get it as an argument, so that tests can drive one.
#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where this program reads the time"
    )]
    fn now_millis(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
    }
}

/// The service behind the guard: it finds the caller in the request's extensions.
async fn hello(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let caller = request.extensions().get::<Caller>();
    let name = caller.map_or("nobody", Caller::identity);
    Ok(Response::new(Full::new(Bytes::from(format!(
        "hello, {name}\n"
    )))))
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the example shows what it got")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let issuer = IssuerConfig::new(HttpUrl::parse("https://auth.example.com")?);
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret)?;
    let config = GuardConfig::new("hello", vec![issuer], secret);
    let guard = Guard::new(config, Arc::new(SystemClock), Arc::new(NullSink))?;
    let origin = Origin::parse("https://api.example.com")?;
    let route = Route::new("hello", "https://api.example.com/");

    let service = ServiceBuilder::new()
        // Outside of everything that trusts the caller.
        .layer(GuardLayer::new(guard, origin, route))
        .service(service_fn(hello));

    let without_token = Request::get("/hello").body(Full::default())?;
    let response = service.oneshot(without_token).await?;
    println!("{}", response.status());
    let challenge = response.headers().get(http::header::WWW_AUTHENTICATE);
    println!(
        "www-authenticate: {}",
        challenge.map_or("none", |value| value.to_str().unwrap_or("?"))
    );
    Ok(())
}
