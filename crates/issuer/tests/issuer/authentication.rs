//! Client authentication: RFC 6749 section 2.3, RFC 7523.

use serde_json::{Value, json};

use crate::world::{self, ASSERTION_TYPE, ISSUER, NOW, SECRET, World, basic, full, token_form};
use keybound_custody::{Signer, SoftwareKey};
use keybound_issuer::config::{ClientAuthentication, IssuerConfig, SecretDigest};
use keybound_proto::jose::{Algorithm, AlgorithmSet, PublicKey, SignError, SigningInput};

/// Sends an assertion with a good proof and says the cause of the refusal.
async fn cause_of(world: &World, change: impl FnOnce(&mut Value)) -> (u16, String) {
    let reply = world
        .token(&world.assertion_with(change), Some(&world.proof()))
        .await;
    let cause = reply.json()["cause"].as_str().unwrap_or("none").to_owned();
    (reply.status.as_u16(), cause)
}

#[tokio::test]
async fn sc_300_only_the_issuer_string_is_an_audience() {
    let world = World::with(full).await;
    let audiences = [
        json!([ISSUER]),
        json!([ISSUER, "https://other.example"]),
        json!(format!("{ISSUER}/token")),
        json!(format!("{ISSUER}/")),
        json!("HTTP://127.0.0.1:9400"),
        json!("https://other.example"),
        json!(7),
        Value::Null,
    ];
    for audience in audiences {
        let shown = audience.to_string();
        let outcome = cause_of(&world, |claims| claims["aud"] = audience).await;
        assert_eq!(outcome, (401, "assertion.audience".to_owned()), "{shown}");
    }
    assert_eq!(cause_of(&world, |_| {}).await, (200, "none".to_owned()));
}

#[tokio::test]
async fn sc_301_an_assertion_works_once_and_on_one_endpoint_only() {
    let world = World::with(full).await;
    let assertion = world.assertion();
    assert_eq!(
        world.token(&assertion, Some(&world.proof())).await.status,
        200
    );
    let again = world.token(&assertion, Some(&world.proof())).await;
    assert_eq!(again.status, 401);
    again.cause("assertion.replayed");
    for path in ["/introspect", "/revoke"] {
        let form = [
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", &assertion),
            ("token", "x"),
        ];
        world
            .post(path, &form, &[])
            .await
            .cause("assertion.replayed");
    }
}

#[tokio::test]
async fn sc_301_an_assertion_spent_elsewhere_mints_nothing() {
    let world = World::with(full).await;
    let assertion = world.assertion();
    let form = [
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion.as_str()),
        ("token", "x"),
    ];
    assert_eq!(world.post("/introspect", &form, &[]).await.status, 200);
    world
        .token(&assertion, Some(&world.proof()))
        .await
        .cause("assertion.replayed");
}

#[tokio::test]
async fn sc_302_claims_and_times_of_assertions() {
    let world = World::with(full).await;
    type Change = (&'static str, Value, &'static str);
    let changes: [Change; 13] = [
        ("exp", json!(NOW - 300), "assertion.expired"),
        ("exp", json!(NOW), "assertion.expired"),
        ("exp", json!(NOW + 601), "assertion.expired"),
        ("exp", Value::Null, "assertion.claim"),
        ("exp", json!("soon"), "assertion.claim"),
        ("sub", Value::Null, "assertion.claim"),
        ("sub", json!("basic"), "assertion.claim"),
        ("iss", json!("basic"), "assertion.claim"),
        ("jti", Value::Null, "assertion.claim"),
        ("jti", json!("x".repeat(257)), "assertion.claim"),
        ("iat", json!(NOW + 61), "assertion.not_yet_valid"),
        ("nbf", json!(NOW + 61), "assertion.not_yet_valid"),
        ("nbf", json!(NOW + 11), "assertion.not_yet_valid"),
    ];
    for (claim, value, cause) in changes {
        let shown = format!("{claim}: {value}");
        let outcome = cause_of(&world, |claims| claims[claim] = value).await;
        assert_eq!(outcome, (401, cause.to_owned()), "{shown}");
    }
    let ahead = cause_of(&world, |claims| {
        claims["iat"] = json!(NOW + 8);
        claims["nbf"] = json!(NOW + 8);
    });
    assert_eq!(ahead.await.0, 200);
}

#[tokio::test]
async fn sc_302_algorithms_types_and_foreign_keys() {
    let world = World::with(full).await;
    let stranger = SoftwareKey::generate(Algorithm::Es256).unwrap();
    let forged = world::assertion(&stranger, "batch", NOW, |_| {});
    world
        .token(&forged, Some(&world.proof()))
        .await
        .cause("assertion.signature");

    let claims =
        json!({"iss": "batch", "sub": "batch", "aud": ISSUER, "jti": "j", "exp": NOW + 60});
    for (header, cause) in [
        (json!({"alg": "none"}), "assertion.malformed"),
        (json!({"alg": "HS256"}), "assertion.malformed"),
        (json!({"alg": "RS256"}), "assertion.malformed"),
        (json!({"alg": "ES384"}), "assertion.malformed"),
        (
            json!({"alg": "ES256", "typ": "at+jwt"}),
            "assertion.malformed",
        ),
        (
            json!({"alg": "ES256", "typ": "dpop+jwt"}),
            "assertion.malformed",
        ),
        (
            json!({"alg": "ES256", "crit": ["x"], "x": 1}),
            "assertion.malformed",
        ),
    ] {
        let assertion = world::sign(&world.client_key, &header, &claims);
        let reply = world.token(&assertion, Some(&world.proof())).await;
        assert_eq!(reply.status, 401, "{header}");
        reply.cause(cause);
    }
    for garbage in ["x", "a.b.c", "....", "eyJhbGciOiJFUzI1NiJ9.e30."] {
        world
            .token(garbage, Some(&world.proof()))
            .await
            .cause("assertion.malformed");
    }
}

#[tokio::test]
async fn sc_303_none_two_other_and_misplaced_methods() {
    let world = World::with(full).await;
    let grant = ("grant_type", "client_credentials");
    let authorization = basic("basic", SECRET);
    let assertion = world.assertion();
    let [_, kind, signed] = token_form(&assertion);
    let proof = world.proof();
    let post = async |form: &[(&str, &str)], authorization: Option<&str>| {
        let mut headers = vec![("dpop", proof.as_str())];
        headers.extend(authorization.map(|value| ("authorization", value)));
        world.post("/token", form, &headers).await
    };
    let absent = post(&[grant], None).await;
    assert_eq!(absent.status, 401);
    absent.cause("client.authentication.absent");
    post(&[grant, ("client_id", "batch")], None)
        .await
        .cause("client.authentication.absent");

    let two = post(&[grant, kind, signed], Some(&authorization)).await;
    assert_eq!(two.status, 400);
    two.cause("client.authentication.multiple");
    let secret = ("client_secret", SECRET);
    post(
        &[grant, secret, ("client_id", "basic")],
        Some(&authorization),
    )
    .await
    .cause("client.authentication.multiple");
    post(&[grant, secret, kind, signed], None)
        .await
        .cause("client.authentication.multiple");

    post(&[grant, secret, ("client_id", "basic")], None)
        .await
        .cause("client.authentication.method");
    post(&[grant], Some(&basic("batch", "x")))
        .await
        .cause("client.authentication.method");
    let as_basic = world::assertion(&world.client_key, "basic", NOW, |_| {});
    post(&token_form(&as_basic), None)
        .await
        .cause("client.authentication.method");

    post(&[grant, signed], None)
        .await
        .cause("assertion.malformed");
    post(&[grant, kind], None)
        .await
        .cause("client.authentication.absent");
    let saml = (
        "client_assertion_type",
        "urn:ietf:params:oauth:client-assertion-type:saml2-bearer",
    );
    post(&[grant, saml, signed], None)
        .await
        .cause("assertion.malformed");
    post(&[grant, ("client_id", "basic"), kind, signed], None)
        .await
        .cause("parameter.invalid");

    // Nothing above spent the proof or the assertion.
    assert_eq!(
        post(&[grant, kind, signed, ("client_id", "batch")], None)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn sc_303_secrets_in_the_query_are_refused_unread() {
    let world = World::with(full).await;
    for query in [
        "client_id=basic&client_secret=x",
        "client_assertion=x",
        "grant_type=client_credentials",
        "%zz",
    ] {
        let proof = world.proof();
        let headers = [("authorization", basic("basic", SECRET)), ("dpop", proof)];
        let headers = headers
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let form = [
            ("grant_type", "client_credentials"),
            ("resource", world::MAIN),
        ];
        let reply = world
            .post(&format!("/token?{query}"), &form, &headers)
            .await;
        assert_eq!(reply.status, 400, "{query}");
        reply.cause("parameter.invalid");
        assert!(
            !reply.text.contains("client_secret"),
            "the query is not repeated"
        );
    }
}

#[tokio::test]
async fn sc_305_an_assertion_is_refused_at_every_second_of_its_life() {
    let world = World::with(full).await;
    let assertion = world.assertion_with(|claims| claims["exp"] = json!(NOW + 90));
    assert_eq!(
        world.token(&assertion, Some(&world.proof())).await.status,
        200
    );
    for second in 0..=120 {
        world.store.maintain();
        let reply = world.token(&assertion, Some(&world.proof())).await;
        let expected = if second < 90 {
            "assertion.replayed"
        } else {
            "assertion.expired"
        };
        reply.cause(expected);
        world.clock.advance_secs(1);
    }
}

#[tokio::test]
async fn sc_314_wrong_secrets_of_every_length_and_unknown_clients_look_alike() {
    let world = World::new().await;
    let mut replies = Vec::new();
    let form = [("grant_type", "client_credentials")];
    let long = "x".repeat(256);
    for (id, secret) in [
        ("basic", "wrong"),
        ("basic", &SECRET[1..]),
        ("basic", &format!("{SECRET} ")),
        ("basic", long.as_str()),
        ("nobody", SECRET),
        ("batch", SECRET),
    ] {
        let proof = world.proof();
        let reply = world
            .post(
                "/token",
                &form,
                &[("authorization", &basic(id, secret)), ("dpop", &proof)],
            )
            .await;
        reply.refused(401, "invalid_client");
        assert_eq!(reply.headers["www-authenticate"], "Basic realm=\"issuer\"");
        replies.push(reply.json()["error_description"].clone());
    }
    replies.dedup();
    assert_eq!(replies.len(), 1);
}

#[tokio::test]
async fn malformed_basic_credentials() {
    let world = World::with(full).await;
    let form = [
        ("grant_type", "client_credentials"),
        ("resource", world::MAIN),
    ];
    for value in [
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic YmFzaWM",
        "Basic YmFzaWM=",
        "Basic OnNlY3JldA==",
    ] {
        let reply = world
            .post("/token", &form, &[("authorization", value)])
            .await;
        assert_eq!(reply.status, 400, "{value}");
        reply.cause("authorization.malformed");
    }
    for scheme in ["Bearer abc", "DPoP abc", "Digest abc"] {
        let reply = world
            .post("/token", &form, &[("authorization", scheme)])
            .await;
        assert_eq!(reply.status, 401, "{scheme}");
        reply.cause("client.authentication.method");
    }
    let twice = basic("basic", SECRET);
    let headers = [
        ("authorization", twice.as_str()),
        ("authorization", twice.as_str()),
    ];
    world
        .post("/token", &form, &headers)
        .await
        .cause("authorization.multiple");

    let lower_case = twice.replace("Basic", "basic");
    let proof = world.proof();
    let reply = world
        .post(
            "/token",
            &form,
            &[("authorization", &lower_case), ("dpop", &proof)],
        )
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test]
async fn basic_credentials_are_form_encoded_inside() {
    let odd = "100% of: a+secret&more=ü";
    let world = World::with(|config| {
        config.clients[0].authentication =
            ClientAuthentication::ClientSecretBasic(SecretDigest::of(odd.as_bytes()));
    })
    .await;
    let encoded = world::encode(&[("", odd)]);
    let authorization = basic("basic", encoded.trim_start_matches('='));
    let form = [
        ("grant_type", "client_credentials"),
        ("resource", world::MAIN),
    ];
    let proof = world.proof();
    let reply = world
        .post(
            "/token",
            &form,
            &[("authorization", &authorization), ("dpop", &proof)],
        )
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test]
async fn a_key_with_a_kid_is_chosen_by_it() {
    let keys = [(); 2].map(|()| SoftwareKey::generate(Algorithm::EdDsa).unwrap());
    let jwk = |index: usize| {
        let mut jwk: Value = serde_json::from_str(&keys[index].public_key().to_jwk()).unwrap();
        jwk["kid"] = json!(format!("key-{index}"));
        jwk
    };
    let jwks = json!({"keys": [jwk(0), jwk(1)]}).to_string();
    let world = World::with(|config| {
        full(config);
        let batch = config.clients.last_mut().unwrap();
        batch.authentication = ClientAuthentication::PrivateKeyJwt { jwks };
    })
    .await;
    let claims = || json!({"iss": "batch", "sub": "batch", "aud": ISSUER, "jti": world::unique(), "exp": NOW + 60});
    let signed = |kid: &str| world::sign(&keys[1], &json!({"alg": "EdDSA", "kid": kid}), &claims());
    world
        .token(&signed("key-0"), Some(&world.proof()))
        .await
        .cause("assertion.signature");
    world
        .token(&signed("key-2"), Some(&world.proof()))
        .await
        .cause("assertion.signature");
    assert_eq!(
        world
            .token(&signed("key-1"), Some(&world.proof()))
            .await
            .status,
        200
    );
}

/// An RSA key, which the custody crate does not make.
#[derive(Debug)]
struct RsaSigner {
    pair: aws_lc_rs::rsa::KeyPair,
    public: PublicKey,
    algorithm: Algorithm,
}

impl RsaSigner {
    fn new() -> Self {
        use aws_lc_rs::signature::KeyPair as _;
        let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let public = pair.public_key();
        let modulus = public.modulus().big_endian_without_leading_zero().to_vec();
        let exponent = public.exponent().big_endian_without_leading_zero().to_vec();
        Self {
            public: PublicKey::from_rsa(&modulus, &exponent).unwrap(),
            pair,
            algorithm: Algorithm::Rs256,
        }
    }

    fn assertion(&self) -> String {
        let header = json!({"alg": self.algorithm.name()});
        let claims = json!({"iss": "batch", "sub": "batch", "aud": ISSUER, "jti": world::unique(), "exp": NOW + 60});
        SigningInput::new(&header.to_string(), &claims.to_string())
            .sign(self)
            .unwrap()
    }
}

impl Signer for RsaSigner {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let encoding: &dyn aws_lc_rs::signature::RsaEncoding = match self.algorithm {
            Algorithm::Rs256 => &aws_lc_rs::signature::RSA_PKCS1_SHA256,
            _ => &aws_lc_rs::signature::RSA_PSS_SHA256,
        };
        self.pair
            .sign(encoding, &random, message, &mut signature)
            .unwrap();
        Ok(signature)
    }
}

#[tokio::test]
async fn sc_302_rs256_is_refused_unless_configured() {
    let mut key = RsaSigner::new();
    let bare: Value = serde_json::from_str(&key.public_key().to_jwk()).unwrap();
    let named = |alg: &str| {
        let mut jwk = bare.clone();
        jwk["alg"] = json!(alg);
        jwk
    };
    let world = async |jwk: Value, algorithms: AlgorithmSet| {
        World::with(|config| {
            full(config);
            config.assertion_algorithms = algorithms;
            let jwks = json!({"keys": [jwk]}).to_string();
            config.clients.last_mut().unwrap().authentication =
                ClientAuthentication::PrivateKeyJwt { jwks };
        })
        .await
    };
    let default = world(bare.clone(), IssuerConfig::DEFAULT_ASSERTION_ALGORITHMS).await;
    default
        .token(&key.assertion(), Some(&default.proof()))
        .await
        .cause("assertion.malformed");
    let ps256_only = world(named("PS256"), world::WITH_RS256).await;
    ps256_only
        .token(&key.assertion(), Some(&ps256_only.proof()))
        .await
        .cause("assertion.malformed");

    let wide = world(bare.clone(), world::WITH_RS256).await;
    assert_eq!(
        wide.token(&key.assertion(), Some(&wide.proof()))
            .await
            .status,
        200
    );
    key.algorithm = Algorithm::Ps256;
    for world in [&default, &ps256_only] {
        assert_eq!(
            world
                .token(&key.assertion(), Some(&world.proof()))
                .await
                .status,
            200
        );
    }
}
