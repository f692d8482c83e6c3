//! One connection to PostgreSQL, which never becomes a connection to another.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config, Error, NoTls};

use crate::replay::address::StoreAddress;
use crate::replay::shared::store::StoreError;
use crate::replay::tls;

/// How to reach the server.
#[derive(Clone)]
pub(super) struct Dialler {
    config: Config,
    host: String,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
}

/// A connection. Dropping it closes it.
pub(super) struct Connection {
    pub(super) client: Client,
    closed: watch::Receiver<bool>,
    driver: AbortHandle,
}

impl Dialler {
    pub(super) fn new(address: &StoreAddress) -> Result<Self, String> {
        let (host, port) = address.hosts.first().cloned().unwrap_or_default();
        let tls = tls::config(address)?;
        let mut config = Config::new();
        config
            .application_name("keybound")
            .user(address.user.as_deref().unwrap_or_default())
            .dbname(address.database.as_deref().unwrap_or_default())
            .ssl_mode(if tls.is_some() {
                SslMode::Require
            } else {
                SslMode::Disable
            });
        if let Some(password) = &address.password {
            config.password(password.as_bytes());
        }
        Ok(Self {
            config,
            host,
            port,
            tls,
        })
    }

    pub(super) async fn dial(&self) -> Result<Connection, StoreError> {
        let place = (self.host.as_str(), self.port);
        let lost = |error: io::Error| StoreError::Lost(format!("{}:{}: {error}", place.0, place.1));
        let stream = TcpStream::connect(place).await.map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        match &self.tls {
            None => {
                let made = self.config.connect_raw(stream, NoTls).await;
                let (client, connection) = made.map_err(|error| refused(&error))?;
                Ok(Connection::drive(client, connection))
            }
            Some(config) => {
                let tls = Tls {
                    config: Arc::clone(config),
                    host: self.host.clone(),
                };
                let made = self.config.connect_raw(stream, tls).await;
                let (client, connection) = made.map_err(|error| refused(&error))?;
                Ok(Connection::drive(client, connection))
            }
        }
    }
}

impl Connection {
    fn drive<F>(client: Client, connection: F) -> Self
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let (ended, closed) = watch::channel(false);
        let driver = tokio::spawn(async move {
            // Who waits for an answer learns the error; here it only matters that
            // it is over.
            let _ = connection.await;
            ended.send_replace(true);
        });
        Self {
            client,
            closed,
            driver: driver.abort_handle(),
        }
    }

    /// Ends when the connection has.
    pub(super) async fn closed(&self) {
        let _ = self.closed.clone().wait_for(|closed| *closed).await;
    }
}

/// Never repeats the server's sentence, which may quote what it was sent.
pub(super) fn refused(error: &Error) -> StoreError {
    let Some(code) = error.code() else {
        let source = std::error::Error::source(error);
        if let Some(own) = source.and_then(|source| source.downcast_ref::<StoreError>()) {
            return own.clone();
        }
        return StoreError::Lost(String::from("the connection was lost"));
    };
    match code.code() {
        "28P01" | "28000" => StoreError::Lost(String::from("it refuses the user or the password")),
        "53100" | "53200" => StoreError::Full,
        "42501" => StoreError::Unfit(String::from("the user may not create the log's tables")),
        code => StoreError::Lost(format!("it answers with the error {code}")),
    }
}

/// TLS after PostgreSQL's own greeting.
struct Tls {
    config: Arc<ClientConfig>,
    host: String,
}

/// A stream under TLS. No channel binding.
struct Encrypted(tokio_rustls::client::TlsStream<TcpStream>);

impl TlsConnect<TcpStream> for Tls {
    type Stream = Encrypted;
    type Error = StoreError;
    type Future = Pin<Box<dyn Future<Output = Result<Encrypted, StoreError>> + Send>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move {
            let stream = tls::connect(&self.config, &self.host, stream).await?;
            Ok(Encrypted(stream))
        })
    }
}

impl TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Without the configuration, which holds the password.
impl fmt::Debug for Dialler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialler")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}
