//! Tokens bound to a certificate, at the gateway: who can use them, and what a renewal means.

use keybound_proto::base64url;
use serde_json::Value;

use super::pki::{self, Wanted};
use super::world::{Setting, World};
use crate::program::Home;

/// The fields by which terminators hand certificates on, saying `pem`.
fn forged(home: &Home, name: &str) -> Vec<String> {
    let pem = std::fs::read_to_string(pki::file(home, name, "pem")).expect("reads");
    let escaped = pem
        .replace('\n', "%0A")
        .replace(' ', "%20")
        .replace('+', "%2B");
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    vec![
        format!("Client-Cert: :{base64}:"),
        format!("X-Forwarded-Client-Cert: Cert=\"{escaped}\""),
        "X-Ssl-Client-Verify: SUCCESS".to_owned(),
        format!("X-Ssl-Client-Escaped-Cert: {escaped}"),
        format!("X-Forwarded-Tls-Client-Cert: {base64}"),
    ]
}

const CLIENT: &str = "auth = \"tls_client_auth\"\nclient_ca = \"pki/ca.pem\"\ntls_client_auth_subject_dn = \"CN=batch\"";

/// Two clients with the same certificate: `strict`, and `lasting`, whose tokens outlive a renewal.
fn world() -> World {
    let home = Home::new();
    pki::begin(&home);
    pki::authority(&home, "other-ca", "/CN=our clients");
    let batch = Wanted::client("/CN=batch");
    for (name, wanted) in [
        ("batch", batch),
        (
            "batch.renewed",
            Wanted {
                key_of: Some("batch"),
                ..batch
            },
        ),
        ("rekeyed", batch),
        ("rival", Wanted::client("/CN=rival")),
        (
            "impostor",
            Wanted {
                by: Some("other-ca"),
                ..batch
            },
        ),
        (
            "expired",
            Wanted {
                validity: ["3 days ago", "1 minute ago"],
                ..batch
            },
        ),
    ] {
        pki::make(&home, name, wanted);
    }
    let lasting = format!("{CLIENT}\ncertificate_binding = \"public_key\"");
    let clients = [("strict", CLIENT), ("lasting", lasting.as_str())];
    World::start(
        home,
        &Setting {
            clients: &clients,
            ..Setting::default()
        },
    )
}

#[test]
fn sc_160_sc_161_a_bound_token_is_worth_nothing_without_its_certificate() {
    let world = world();
    let token = world.token("strict", "batch");
    for certificate in [None, Some("rival"), Some("impostor"), Some("rekeyed")] {
        let answer = world.call(&token, certificate, &[]).expect("answers");
        answer.is_refused_at_the_gateway();
    }
    assert!(world.call(&token, Some("expired"), &[]).is_none());
    let forged = forged(&world.home, "batch");
    let fields: Vec<&str> = forged
        .iter()
        .flat_map(|field| ["--header", field])
        .collect();
    for certificate in [None, Some("rival")] {
        let answer = world.call(&token, certificate, &fields).expect("answers");
        answer.is_refused_at_the_gateway();
    }
    assert!(
        world.upstream.heads().is_empty(),
        "nothing refused reaches the API"
    );
    let refused = world.events("request_refused", |event| {
        event["cause"] == "certificate.mismatch"
    });
    let x5t = pki::thumbprint(&world.home, "batch");
    assert_eq!(
        (&refused[0]["signal"], &refused[0]["expected"]),
        (&"key_mismatch".into(), &Value::from(x5t))
    );

    let answer = world.call(&token, Some("batch"), &fields).expect("answers");
    assert_eq!(answer.status, 200, "{answer:?}\n{}", world.service.log());
    let [head] = world.upstream.heads().try_into().expect("one request");
    let head = head.to_ascii_lowercase();
    for field in [
        "client-cert",
        "x-ssl-client",
        "x-forwarded-client-cert",
        "x-forwarded-tls",
        "authorization:",
    ] {
        assert!(!head.contains(field), "{field} in {head}");
    }
    assert_eq!(world.service.stop(), 0);
}

/// The rule by which the certificate was taken, as the upstream is told.
pub(super) fn rule(world: &World) -> Value {
    let heads = world.upstream.heads();
    let head = heads.last().expect("a request");
    let line = head.lines().find_map(|line| {
        line.split_once(": ")
            .filter(|(name, _)| name.eq_ignore_ascii_case("keybound-assertion"))
    });
    let (_, assertion) = line.expect("an assertion");
    let payload = assertion.split('.').nth(1).expect("a payload");
    let payload = base64url::decode(payload.as_bytes()).expect("base64url");
    let claims: Value = serde_json::from_slice(&payload).expect("JSON");
    claims["certificate_rule"].clone()
}

#[test]
fn sc_176_a_renewed_certificate_needs_a_new_token_unless_the_client_binds_to_its_key() {
    let world = world();
    let strict = world.token("strict", "batch");
    let answer = world
        .call(&strict, Some("batch.renewed"), &[])
        .expect("answers");
    answer.is_refused_at_the_gateway();
    let renewed = world.token("strict", "batch.renewed");
    world
        .call(&renewed, Some("batch"), &[])
        .expect("answers")
        .is_refused_at_the_gateway();

    let lasting = world.token("lasting", "batch");
    for stranger in [None, Some("rekeyed"), Some("rival"), Some("impostor")] {
        let answer = world.call(&lasting, stranger, &[]).expect("answers");
        answer.is_refused_at_the_gateway();
    }
    assert!(world.upstream.heads().is_empty());
    for (token, certificate, rule_name) in [
        (&strict, "batch", "thumbprint"),
        (&renewed, "batch.renewed", "thumbprint"),
        (&lasting, "batch", "thumbprint"),
        (&lasting, "batch.renewed", "public_key"),
    ] {
        let answer = world.call(token, Some(certificate), &[]).expect("answers");
        assert_eq!(answer.status, 200, "{certificate}: {answer:?}");
        let told = rule(&world);
        assert_eq!(told, rule_name, "{certificate}");
    }
}
