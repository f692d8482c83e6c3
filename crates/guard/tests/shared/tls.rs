//! TLS to the stores: authorities of one's own, and no way around them.

use keybound_guard::replay::{ReplayLog as _, ReplayRefusal};

use crate::servers::{Pki, Postgres, Redis, skipped, unused_port};
use crate::support::{Node, eventually, vouched};

/// Whoever is not the server that the address names, by an authority that is trusted, is no
/// store. `by_name` and `plain` lead to the same server.
async fn refuses_everybody_else(address: &str, by_name: &str, plain: &str, pki: &Pki) {
    let stranger = Pki::make("nobody").expect("OpenSSL is there").authority();
    let refused = [
        ("another authority", Node::trusting(address, &stranger)),
        ("another name", Node::trusting(by_name, &pki.authority())),
        (
            "the system's authorities",
            Node::start(Some(address), keybound_guard::ReplayMode::Strict),
        ),
    ];
    for (name, node) in refused {
        eventually(name, async || {
            !node.log.status().detail.contains("not connected")
        })
        .await;
        let answer = node.insert(vouched(&node)).await;
        assert_eq!(answer, Err(ReplayRefusal::Unavailable), "{name}");
        eventually(name, async || node.log.status().detail.contains("TLS")).await;
    }
    let cleartext = Node::start(Some(plain), keybound_guard::ReplayMode::Strict);
    let answer = cleartext.insert(vouched(&cleartext)).await;
    assert_eq!(answer, Err(ReplayRefusal::Unavailable), "without TLS");
}

async fn serves_over_tls(address: &str, pki: &Pki) -> Node {
    let node = Node::trusting(address, &pki.authority());
    node.opened().await;
    let used = vouched(&node);
    assert_eq!(node.insert(used).await, Ok(()));
    assert_eq!(node.insert(used).await, Err(ReplayRefusal::Replayed));
    node
}

#[tokio::test]
async fn redis_over_tls_with_an_authority_of_its_own() {
    let Some(pki) = Pki::make("nobody") else {
        return skipped("tls", "openssl");
    };
    let port = unused_port();
    let port_text = port.to_string();
    let (certificate, key, authority) = (
        pki.path("server.pem"),
        pki.path("server.key"),
        pki.path("ca.pem"),
    );
    let Some(_redis) = Redis::with(&[
        "--save",
        "",
        "--tls-port",
        &port_text,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &authority,
        "--tls-auth-clients",
        "no",
    ]) else {
        return skipped("tls", "redis-server");
    };
    let address = format!("rediss://127.0.0.1:{port}");
    let by_name = format!("rediss://localhost:{port}");
    let plain = format!("redis://127.0.0.1:{port}");
    refuses_everybody_else(&address, &by_name, &plain, &pki).await;
    serves_over_tls(&address, &pki).await;
}

#[tokio::test]
async fn postgres_over_tls_with_an_authority_of_its_own() {
    let Some(pki) = Pki::make("postgres") else {
        return skipped("tls", "openssl");
    };
    let settings = [
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", pki.path("server.pem")),
        format!("ssl_key_file={}", pki.path("server.key")),
    ];
    let settings: Vec<_> = settings.iter().map(String::as_str).collect();
    let Some(postgres) = Postgres::with(&settings) else {
        return skipped("tls", "postgresql");
    };
    let Some(bare) = Postgres::start() else {
        return skipped("tls", "postgresql");
    };
    let at = |host: &str, port: u16| {
        format!("postgres://keybound@{host}:{port}/postgres?sslmode=verify-full")
    };
    let address = at("127.0.0.1", postgres.port);
    let by_name = at("localhost", postgres.port);
    // PostgreSQL takes cleartext at the same port; a server that has no TLS must not be talked to.
    let without = at("127.0.0.1", bare.port);
    refuses_everybody_else(&address, &by_name, &without, &pki).await;
    let node = serves_over_tls(&address, &pki).await;
    let count = |state: &str| {
        postgres.ask(&format!(
            "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
             WHERE application_name = 'keybound' AND {state}"
        ))
    };
    assert_ne!(count("ssl"), "0");
    assert_eq!(count("NOT ssl"), "0");
    drop(node);
}
