//! Every vector of `vectors/introspection.json`, against a real endpoint.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use keybound_custody::SoftwareKey;
use keybound_guard::introspection::{
    AnswerForm, IntrospectionClient, IntrospectionConfig, IntrospectionCredential,
};
use keybound_guard::keys::KeySet;
use keybound_guard::{Guard, GuardConfig, IssuerConfig, RequestFacts, Route};
use keybound_proto::time::ManualClock;
use keybound_proto::uri::HttpUrl;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::{MemorySink, Proof, TARGET, presented};

/// What the endpoint does.
#[derive(Clone)]
struct Endpoint {
    answer: Value,
    /// Questions are held back until this is notified.
    hold: Option<Arc<Notify>>,
}

async fn serve(State(endpoint): State<Endpoint>) -> Response<Body> {
    if let Some(hold) = endpoint.hold {
        hold.notified().await;
    }
    let text = |member: &str| endpoint.answer[member].as_str().unwrap().to_owned();
    let status = u16::try_from(endpoint.answer["status"].as_u64().unwrap()).unwrap();
    Response::builder()
        .status(status)
        .header("content-type", text("content_type"))
        .header("location", "/elsewhere")
        .body(Body::from(text("body")))
        .unwrap()
}

async fn start(endpoint: Endpoint) -> HttpUrl {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/introspect", listener.local_addr().unwrap());
    let app = Router::new().fallback(serve).with_state(endpoint);
    tokio::spawn(async move { axum::serve(listener, app).await });
    HttpUrl::parse(&url).unwrap()
}

fn guard(file: &Value, vector: &Value, endpoint: HttpUrl) -> Guard {
    let server = &file["server"];
    let mut introspection = IntrospectionConfig::new(IntrospectionClient {
        id: server["recipient"].as_str().unwrap().to_owned(),
        credential: IntrospectionCredential::SecretBasic("secret".to_owned().into()),
    });
    introspection.endpoint = Some(endpoint);
    if vector["form"] == "signed" {
        let audience = server["recipient"].as_str().unwrap().to_owned();
        introspection.form = AnswerForm::Signed { audience };
    }
    if let Some(at_once) = vector["at_once"].as_u64() {
        introspection.at_once = usize::try_from(at_once).unwrap();
    }
    let mut issuer = IssuerConfig::new(HttpUrl::parse(server["issuer"].as_str().unwrap()).unwrap());
    issuer.jwks = Some(KeySet::parse(server["jwks"].to_string().as_bytes()).unwrap());
    issuer.introspection = Some(introspection);
    let clock = ManualClock::at(vector["now"].as_u64().unwrap());
    let mut config = GuardConfig::new("gateway-1", vec![issuer], [7; 32]);
    config.replay.first_run = true;
    Guard::new(config, Arc::new(clock), Arc::new(MemorySink::default())).unwrap()
}

/// The key `agent` of `vectors/keys.json`: the seed of ones, as PKCS#8 version 1.
fn agent() -> Arc<SoftwareKey> {
    let mut der = vec![
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    der.extend([1; 32]);
    Arc::new(SoftwareKey::from_pkcs8_der(&der).unwrap())
}

async fn ask(guard: &Guard, token: &str, peer: &str, now: u64) -> String {
    let mut proof = Proof::at(token, now);
    proof.key = agent();
    let proof = proof.sign();
    let authorization = format!("DPoP {token}");
    let target = keybound_proto::uri::Htu::parse(TARGET).unwrap();
    let presented = presented(&target, &authorization, Some(&proof));
    let facts = RequestFacts {
        peer: Some(peer),
        ..RequestFacts::default()
    };
    let route = Route::new("approvals", "https://api.example.com/");
    let outcome = guard.check_with(&presented, &route, &facts).await;
    outcome.map_or_else(
        |rejection| rejection.cause().id().to_owned(),
        |_| "ok".to_owned(),
    )
}

#[tokio::test]
async fn every_vector_goes_as_written() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/introspection.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let token = file["token"].as_str().unwrap();
    let groups = file["groups"].as_array().unwrap();
    let vectors = groups
        .iter()
        .flat_map(|group| group["vectors"].as_array().unwrap());
    let mut count = 0;
    for vector in vectors {
        count += 1;
        let waiting = |whose: &str| vector["under_way"][whose].as_u64().unwrap_or(0);
        let hold = (vector["under_way"] != json!(null)).then(|| Arc::new(Notify::new()));
        let endpoint = Endpoint {
            answer: vector.clone(),
            hold,
        };
        let guard = guard(&file, vector, start(endpoint).await);
        let now = vector["now"].as_u64().unwrap();
        let peers = (0..waiting("own")).map(|_| "192.0.2.1".to_owned());
        let others = (0..waiting("others")).map(|number| format!("198.51.100.{number}"));
        let before: Vec<_> = peers.chain(others).collect();
        let held: Vec<_> = before
            .into_iter()
            .enumerate()
            .map(|(number, peer)| {
                let (guard, token) = (guard.clone(), format!("held-{number}"));
                tokio::spawn(async move { ask(&guard, &token, &peer, now).await })
            })
            .collect();
        let under_way = u64::try_from(held.len()).unwrap();
        crate::support::until(|| {
            crate::support::gauge(&guard, "keybound_introspection_under_way") == under_way
        })
        .await;
        let got = ask(&guard, token, "192.0.2.1", now).await;
        assert_eq!(got, vector["expect"].as_str().unwrap(), "{}", vector["id"]);
        for task in held {
            task.abort();
        }
    }
    assert!(count >= 40, "only {count} vectors");
}
