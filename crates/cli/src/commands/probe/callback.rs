//! A listener that sees whether the target asks for a URL that a proof names.
//!
//! It answers everything with 404 and remembers paths. It is opened only when
//! `--callback-listen` says where.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keybound_probe::Callback;
use keybound_proto::uri::HttpUrl;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::commands::proof::random_text;
use crate::failure::Failure;

/// How long a caller may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest beginning of a request that is read.
const HEAD: usize = 4096;
const ANSWER: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The listener.
#[derive(Debug)]
pub(super) struct Watched {
    base: HttpUrl,
    /// Part of every path, so that a stranger's request is not taken for the target's.
    run: String,
    asked: Paths,
}

type Paths = Arc<Mutex<BTreeSet<String>>>;

impl Watched {
    /// Listens; the target reaches it at `url`, by default the address itself.
    pub(super) async fn listen(address: SocketAddr, url: Option<&str>) -> Result<Self, Failure> {
        let unusable = |error: std::io::Error| {
            Failure::lifecycle(format!("cannot listen on {address}: {error}"))
                .next("name a free port of this machine with --callback-listen")
        };
        let listener = TcpListener::bind(address).await.map_err(unusable)?;
        let bound = listener.local_addr().map_err(unusable)?;
        let base = match url {
            Some(url) => super::url(url)?,
            None => super::url(&format!("http://{bound}"))?,
        };
        let asked = Paths::default();
        tokio::spawn(serve(listener, Arc::clone(&asked)));
        Ok(Self {
            base,
            run: random_text()?,
            asked,
        })
    }

    fn path(&self, name: &str) -> String {
        format!("/{}/{name}", self.run)
    }
}

impl Callback for Watched {
    fn url(&self, name: &str) -> HttpUrl {
        let base = self.base.as_str().trim_end_matches('/');
        // The base is a URL and what is added has no character of another meaning.
        HttpUrl::parse(&format!("{base}{}", self.path(name))).unwrap_or_else(|_| self.base.clone())
    }

    fn was_called(&self, name: &str) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path(name);
        asked.iter().any(|seen| seen.ends_with(&path))
    }
}

async fn serve(listener: TcpListener, asked: Paths) {
    while let Ok((stream, _)) = listener.accept().await {
        let asked = Arc::clone(&asked);
        tokio::spawn(async move {
            // A caller that is slow or goes away has still asked for nothing that counts.
            drop(tokio::time::timeout(PATIENCE, note(stream, asked)).await);
        });
    }
}

async fn note(mut stream: TcpStream, asked: Paths) -> std::io::Result<()> {
    let mut head = Vec::new();
    while head.len() < HEAD && !head.contains(&b'\n') {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    let text = String::from_utf8_lossy(&head);
    if let Some(path) = text.lines().next().and_then(|line| line.split(' ').nth(1)) {
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.insert(path.to_owned());
    }
    stream.write_all(ANSWER).await
}
