//! The listener with other people's clients: `curl`, and `openssl s_client` for sessions.

use std::process::{Output, Stdio};

use keybound_edge::listener::tls::{ClientCertificates, ClientTrust};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::pki::{PKI, text};
use super::world::{TlsWorld, thumbprint};
use crate::client::PATIENCE;

async fn curl(world: &TlsWorld, more: &[&str]) -> Output {
    let resolve = format!("localhost:{}:127.0.0.1", world.addr.port());
    let url = format!("https://localhost:{}/who", world.addr.port());
    let ca = PKI.file("first/ca.pem");
    Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "20",
        ])
        .args(["--resolve", &resolve, "--cacert", text(&ca)])
        .args(more)
        .arg(&url)
        .output()
        .await
        .expect("curl is installed (`apt-get install curl`)")
}

/// The handshake of `openssl s_client`, which keeps or brings a session.
async fn s_client(world: &TlsWorld, version: &str, session: [&str; 2]) -> String {
    let address = world.addr.to_string();
    let (ca, certificate) = (PKI.file("first/ca.pem"), PKI.file("first/owner.pem"));
    let key = PKI.file("first/owner.key");
    let mut child = Command::new("openssl")
        .args([
            "s_client",
            "-connect",
            &address,
            "-servername",
            "localhost",
            version,
        ])
        .args([
            "-CAfile",
            text(&ca),
            "-cert",
            text(&certificate),
            "-key",
            text(&key),
        ])
        .args(session)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is installed");
    let request = world
        .get()
        .replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(request.as_bytes()).await.expect("sends");
    let output = timeout(PATIENCE, child.wait_with_output())
        .await
        .expect("ends in time")
        .expect("ends");
    drop(stdin);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_is_refused_without_the_certificate_and_served_with_it() {
    let world = TlsWorld::start(ClientCertificates::Required(PKI.trust("first", &[]))).await;
    let files = |name: &str| {
        let file = |end| text(&PKI.file(&format!("{name}.{end}"))).to_owned();
        [file("pem"), file("key")]
    };
    for version in ["--http1.1", "--http2"] {
        let output = curl(&world, &[version]).await;
        assert!(!output.status.success(), "{output:?}");
        let [certificate, key] = files("second/stranger");
        let output = curl(&world, &[version, "--cert", &certificate, "--key", &key]).await;
        assert!(!output.status.success(), "{output:?}");
        let [certificate, key] = files("first/owner");
        let output = curl(&world, &[version, "--cert", &certificate, "--key", &key]).await;
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!("{} at localhost", thumbprint("first/owner")),
            "{output:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_166_openssl_resumes_only_where_no_certificate_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = TlsWorld::start(ClientCertificates::None).await;
    let asking = [
        TlsWorld::start(ClientCertificates::Optional(ClientTrust::Possession)).await,
        TlsWorld::start(ClientCertificates::Required(PKI.trust("first", &[]))).await,
    ];
    for version in ["-tls1_2", "-tls1_3"] {
        let file = folder.path().join(format!("session{version}"));
        let file = text(&file);
        let first = s_client(&open, version, ["-sess_out", file]).await;
        assert!(first.contains("New, TLS"), "{first}");
        let again = s_client(&open, version, ["-sess_in", file]).await;
        assert!(
            again.contains("Reused, TLS"),
            "the attempt is real: {again}"
        );
        for world in &asking {
            let elsewhere = s_client(world, version, ["-sess_in", file]).await;
            assert!(elsewhere.contains("New, TLS"), "{elsewhere}");
            assert!(
                elsewhere.contains(&thumbprint("first/owner")),
                "{elsewhere}"
            );
            let kept = folder.path().join(format!("kept{version}"));
            let kept = text(&kept);
            s_client(world, version, ["-sess_out", kept]).await;
            if !std::path::Path::new(kept).exists() {
                // No session was given out at all.
                continue;
            }
            let back = s_client(world, version, ["-sess_in", kept]).await;
            assert!(back.contains("New, TLS"), "{back}");
            assert!(back.contains(&thumbprint("first/owner")), "{back}");
        }
    }
}
