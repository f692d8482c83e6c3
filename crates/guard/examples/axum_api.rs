//! An axum API whose handlers know who called, with which key.
//!
//! Start an issuer (`keybound dev` serves one on port 9400), then
//! `cargo run -p keybound-guard --example axum_api`. The API listens on
//! <http://127.0.0.1:9410>; ask the issuer for a token with
//! `resource=http://127.0.0.1:9410/` and send it with a DPoP proof.

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use keybound_guard::layer::{Caller, GuardLayer};
use keybound_guard::{Guard, GuardConfig, IssuerConfig, MethodScopes, NullSink, Route};
use keybound_proto::time::Clock;
use keybound_proto::uri::{HttpUrl, Origin};

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

async fn list(caller: Caller) -> Json<serde_json::Value> {
    Json(serde_json::json!({
        "approvals": [],
        "identity": caller.identity(),
        "key": caller.jkt().map(|jkt| jkt.to_string()),
    }))
}

fn app(guard: Guard, origin: Origin) -> Router {
    let mut route = Route::new("approvals", &format!("{origin}/"));
    route.scopes = MethodScopes::default().with("GET", ["approvals:read"]);
    Router::new()
        .route("/approvals", get(list))
        // Last added is outermost: nothing inside runs for a request it refuses.
        .layer(GuardLayer::new(guard, origin, route))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let issuer = IssuerConfig::new(HttpUrl::parse("http://127.0.0.1:9400")?);
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret)?;
    let config = GuardConfig::new("approvals-api", vec![issuer], secret);
    let guard = Guard::new(config, Arc::new(SystemClock), Arc::new(NullSink))?;
    let origin = Origin::parse("http://127.0.0.1:9410")?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:9410").await?;
    axum::serve(listener, app(guard, origin)).await?;
    Ok(())
}
