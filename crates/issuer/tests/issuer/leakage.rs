//! SC-310: planted secrets are looked for in every sink: logs at every level,
//! events, answers and `Debug`.

use std::io::Write;
use std::sync::{Arc, Mutex};

use keybound_custody::{Signer, SoftwareKey};
use keybound_issuer::config::{RegistrationMode, SecretDigest};
use keybound_proto::jose::Algorithm;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::world::{INITIAL, SECRET, World, basic, full, sign};

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Makes a success and a refusal of each kind, each with its own material, and
/// gives back what must appear nowhere.
async fn exercise(world: &World, private: &str) -> Vec<String> {
    let (assertion, proof) = (world.assertion(), world.proof());
    let token = world.token(&assertion, Some(&proof)).await.json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    world.token(&assertion, Some(&world.proof())).await;
    world.token(&world.assertion(), Some(&proof)).await;
    world
        .token_basic(&[("resource", "x:y")], &world.proof())
        .await;
    world
        .post(
            "/token",
            &[("client_secret", SECRET), ("client_id", "basic")],
            &[],
        )
        .await;
    let wrong = format!("wrong-{}", crate::world::unique());
    world
        .post("/token", &[], &[("authorization", &basic("basic", &wrong))])
        .await;
    let mut jwk: serde_json::Value =
        serde_json::from_str(&world.key.public_key().to_jwk()).unwrap();
    jwk["d"] = json!(private);
    let exposed = sign(
        &world.key,
        &json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}),
        &json!({}),
    );
    world.token(&world.assertion(), Some(&exposed)).await;
    for path in ["/introspect", "/revoke"] {
        world
            .post(
                path,
                &[("token", &token)],
                &[("authorization", &basic("auditor", "secret-of-auditor"))],
            )
            .await;
    }
    let initial = format!("Bearer {INITIAL}");
    let request = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [jwk]}});
    world
        .post_json(
            "/register",
            request.to_string(),
            &[("authorization", &initial)],
        )
        .await;
    let registered = world
        .post_json("/register", "{}".to_owned(), &[("authorization", &initial)])
        .await
        .json();
    let mut secrets = vec![assertion, proof, token, wrong, exposed];
    secrets.push(registered["client_secret"].as_str().unwrap().to_owned());

    secrets
}

#[tokio::test]
async fn sc_310_no_secret_reaches_a_log_an_event_or_debug() {
    let sink = Sink::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(sink.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);

    let world = World::with(|config| {
        full(config);
        config.registration.mode = RegistrationMode::Token(SecretDigest::of(INITIAL.as_bytes()));
    })
    .await;
    let mut planted = vec![
        SECRET.to_owned(),
        INITIAL.to_owned(),
        "secret-of-auditor".to_owned(),
    ];
    let private = "cGxhbnRlZC1wcml2YXRlLW1lbWJlci1vZi1hLWtleQ";
    planted.push(private.to_owned());

    planted.extend(exercise(&world, private).await);

    let mut sinks = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    assert!(
        sinks.contains("token issued")
            && sinks.contains("refused")
            && sinks.contains("client registered")
    );
    for (_, event) in world
        .store
        .events(0, 1000, Default::default())
        .await
        .unwrap()
    {
        sinks.push_str(&event.to_json_line());
    }
    sinks.push_str(&format!(
        "{:?} {:?}",
        world.issuer,
        crate::world::config(&SoftwareKey::generate(Algorithm::Es256).unwrap())
    ));
    for secret in planted {
        // A JWT would also be one without its signature.
        let telling = secret
            .rsplit_once('.')
            .map_or(secret.as_str(), |(signed, _)| signed);
        assert!(
            !sinks.contains(telling),
            "a planted secret leaked: {telling}"
        );
    }
}
