//! The handshake, and what stays of it for the requests of its connection.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use keybound_proto::cause::Cause;
use keybound_proto::certificate::PeerCertificate;
use keybound_proto::rejection::Rejection;
use keybound_proto::time::UnixTime;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::client::VERDICT_LIFETIME;
use super::{Tls, TlsPeer};
use crate::framing::ConnectionState;

/// A connection's handshake, as its requests are judged by it.
#[derive(Debug)]
pub(in crate::listener) struct Session {
    tls: Tls,
    peer: TlsPeer,
    speaks_http2: bool,
    verdict: Mutex<Verdict>,
}

/// By which files, and until when, the certificate was found good.
#[derive(Debug, Clone, Copy)]
struct Verdict {
    generation: u64,
    until: UnixTime,
}

impl Tls {
    /// Does the handshake within `limit`; `None` when it failed, took too long, or the listener
    /// began to drain.
    pub(in crate::listener) async fn accept(
        &self,
        stream: TcpStream,
        state: &ConnectionState,
        limit: Duration,
    ) -> Option<(TlsStream<TcpStream>, Session)> {
        let material = self.inner.current.load_full();
        let handshake = TlsAcceptor::from(Arc::clone(&material.server)).accept(stream);
        let mut handshake = pin!(handshake);
        let until_drain = std::future::poll_fn(|cx| {
            state.register(cx.waker());
            if state.is_draining() {
                return Poll::Ready(None);
            }
            handshake.as_mut().poll(cx).map(Some)
        });
        let stream = match timeout(limit, until_drain).await {
            Ok(Some(Ok(stream))) => stream,
            Ok(Some(Err(error))) => {
                self.inner.failures.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%error, "TLS handshake failed");
                return None;
            }
            Ok(None) => return None,
            Err(_) => {
                self.inner.failures.fetch_add(1, Ordering::Relaxed);
                tracing::debug!("TLS handshake took too long");
                return None;
            }
        };
        let session = self.session(&stream, material.generation)?;
        self.inner.handshakes.fetch_add(1, Ordering::Relaxed);
        Some((stream, session))
    }

    fn session(&self, stream: &TlsStream<TcpStream>, generation: u64) -> Option<Session> {
        let (_, connection) = stream.get_ref();
        let certificate = match connection.peer_certificates() {
            None | Some([]) => None,
            Some([leaf, chain @ ..]) => {
                let chain = chain.iter().map(|one| one.to_vec()).collect();
                // The verifier has read it before.
                Some(PeerCertificate::from_der(leaf, chain).ok()?)
            }
        };
        Some(Session {
            tls: self.clone(),
            peer: TlsPeer {
                certificate,
                server_name: connection.server_name().map(Arc::from),
            },
            speaks_http2: connection.alpn_protocol() == Some(b"h2"),
            verdict: Mutex::new(Verdict {
                generation,
                until: self.inner.clock.now().plus(VERDICT_LIFETIME),
            }),
        })
    }
}

impl Session {
    pub(in crate::listener) const fn peer(&self) -> &TlsPeer {
        &self.peer
    }

    /// Whether the handshake agreed on HTTP/2; HTTP/1.1 otherwise.
    pub(in crate::listener) const fn speaks_http2(&self) -> bool {
        self.speaks_http2
    }

    /// Judges the connection's certificate for one more request.
    pub(in crate::listener) fn check_certificate(&self) -> Result<(), Rejection> {
        let Some(certificate) = &self.peer.certificate else {
            return Ok(());
        };
        let inner = &self.tls.inner;
        let now = inner.clock.now();
        certificate.check_time(now).map_err(|cause| {
            Rejection::new(cause)
                .expected(format!(
                    "a time from {} to {}",
                    certificate.not_before().as_secs(),
                    certificate.not_after().as_secs()
                ))
                .got(now.as_secs().to_string())
        })?;
        let material = inner.current.load();
        let Some(verifier) = &material.clients else {
            return Err(Rejection::new(Cause::CertificateUntrusted)
                .got("the listener takes no client certificates any more"));
        };
        let before = *self.verdict.lock();
        if before.generation == material.generation && now <= before.until {
            return Ok(());
        }
        let until = verifier.judge(certificate, now)?;
        *self.verdict.lock() = Verdict {
            generation: material.generation,
            until,
        };
        Ok(())
    }

    /// The host of a request must be the name of the handshake, where it had one.
    pub(in crate::listener) fn check_host(&self, host: &str) -> Result<(), Rejection> {
        match self.peer.server_name() {
            Some(name) if !name.eq_ignore_ascii_case(host) => {
                Err(Rejection::new(Cause::HostMisdirected)
                    .expected(format!("the name of the TLS handshake, {name}"))
                    .got(host))
            }
            _ => Ok(()),
        }
    }
}
