//! Stream and view on disk, replaced as a whole and durable before anything is acknowledged.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use keybound_guard::revocation::{RevocationSnapshot, RevocationView};
use keybound_proto::uri::HttpUrl;
use serde::{Deserialize, Serialize};

use super::FollowError;
use super::documents::Stream;

const FILE: &str = "revocations.json";

/// What is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<KeptStream>,
    view: RevocationSnapshot,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptStream {
    id: String,
    audience: String,
    poll: String,
}

/// The file and what it says about the stream.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    stream: Option<KeptStream>,
}

impl StateFile {
    /// Reads the file, if there is one, and restores the view from it.
    pub(super) fn open(directory: &Path, view: &RevocationView) -> Result<Self, FollowError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(FollowError::directory(directory))?;
        let path = directory.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, stream: None });
            }
            Err(error) => return Err(FollowError::directory(&path)(error)),
        };
        let damaged = || FollowError::Damaged { path: path.clone() };
        let kept: Kept = serde_json::from_slice(&text).map_err(|_| damaged())?;
        view.restore(&kept.view).map_err(|_| damaged())?;
        Ok(Self {
            stream: kept.stream,
            path,
        })
    }

    /// The stream of the last run, while its addresses still make sense.
    pub(super) fn stream(&self) -> Option<Stream> {
        let kept = self.stream.as_ref()?;
        let poll = HttpUrl::parse(&kept.poll).ok()?;
        Some(Stream {
            id: kept.id.clone(),
            audience: kept.audience.clone(),
            poll,
        })
    }

    /// Forgets the stream, so that the next session makes a new one.
    pub(super) fn forget_stream(&mut self) {
        self.stream = None;
    }

    /// Makes stream and view durable.
    pub(super) async fn keep(&mut self, stream: &Stream, view: &RevocationView) -> io::Result<()> {
        let stream = KeptStream {
            id: stream.id.clone(),
            audience: stream.audience.clone(),
            poll: stream.poll.to_string(),
        };
        let kept = Kept {
            stream: Some(stream.clone()),
            view: view.snapshot(),
        };
        let text = serde_json::to_vec(&kept).map_err(io::Error::other)?;
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || replace(&path, &text))
            .await
            .map_err(io::Error::other)??;
        self.stream = Some(stream);
        Ok(())
    }
}

/// Replaces a file as a whole; durable when it returns.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(text)?;
    file.sync_data()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}
