//! SC-166: no session brings a certificate from one handshake into another.

use keybound_edge::listener::tls::{ClientCertificates, ClientTrust};
use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::pki::{PKI, SOON_SECONDS};
use super::world::{Client, TlsWorld, thumbprint};

fn asking() -> [ClientCertificates; 3] {
    [
        ClientCertificates::Optional(ClientTrust::Possession),
        ClientCertificates::Required(ClientTrust::Possession),
        ClientCertificates::Required(PKI.trust("first", &[])),
    ]
}

/// Connects, asks once, reads to the end (so that every ticket has come), and says how the
/// handshake went.
async fn visit(world: &TlsWorld, client: &Client) -> std::io::Result<(HandshakeKind, String)> {
    let mut stream = client.connect(world.addr).await?;
    let request = world
        .get()
        .replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
    stream.write_all(request.as_bytes()).await?;
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await?;
    let kind = stream.get_ref().1.handshake_kind().expect("done");
    Ok((kind, String::from_utf8_lossy(&received).into_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_166_where_certificates_are_asked_for_every_handshake_is_a_full_one() {
    for clients in asking() {
        let world = TlsWorld::start(clients).await;
        for client in [Client::with("first/owner"), Client::tls12("first/owner")] {
            for _ in 0..3 {
                let (kind, text) = visit(&world, &client).await.expect("accepted");
                assert_eq!(kind, HandshakeKind::Full);
                assert!(text.contains(&thumbprint("first/owner")), "{text}");
            }
            let tickets = client.connect(world.addr).await.expect("connects");
            assert_eq!(tickets.get_ref().1.tls13_tickets_received(), 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_166_a_session_of_one_listener_means_nothing_to_another() {
    let open = TlsWorld::start(ClientCertificates::None).await;
    let mut twin = TlsWorld::start(ClientCertificates::None).await;
    for client in [Client::with("first/owner"), Client::tls12("first/owner")] {
        assert_eq!(
            visit(&open, &client).await.expect("accepted").0,
            HandshakeKind::Full
        );
        // The attempt is real: the listener that made the session resumes it.
        assert_eq!(
            visit(&open, &client).await.expect("accepted").0,
            HandshakeKind::Resumed
        );
        assert_eq!(
            visit(&twin, &client).await.expect("accepted").0,
            HandshakeKind::Full
        );
        for clients in asking() {
            visit(&open, &client).await.expect("accepted");
            let asks = TlsWorld::start(clients).await;
            let (kind, text) = visit(&asks, &client).await.expect("accepted");
            assert_eq!(kind, HandshakeKind::Full);
            assert!(text.contains(&thumbprint("first/owner")), "{text}");
        }
        twin = TlsWorld::start(ClientCertificates::None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_166_no_session_outlives_its_certificate() {
    for clients in asking() {
        let world = TlsWorld::start(clients).await;
        let client = Client::with("first/short");
        visit(&world, &client).await.expect("accepted");
        world.clock.set(SOON_SECONDS + 1);
        visit(&world, &client)
            .await
            .expect_err("the certificate has expired");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_269_early_data_is_never_taken() {
    let world = TlsWorld::start(ClientCertificates::None).await;
    let client = Client::anonymous();
    for _ in 0..2 {
        let (_, text) = visit(&world, &client).await.expect("accepted");
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    }
    let mut session = client.config.clone();
    session.enable_early_data = true;
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    let mut connection =
        rustls::ClientConnection::new(std::sync::Arc::new(session), name).expect("a connection");
    assert!(
        connection.early_data().is_none(),
        "a ticket allowed early data"
    );
}
