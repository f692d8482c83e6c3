//! The files of nonce secrets, read again when they change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::World;
use crate::config::secret::{Secret32, read_secrets32};

use crate::failure::chain;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Hands the secrets to `apply` whenever the file has changed. A file that cannot be used changes
/// nothing.
pub(super) fn follow<F>(world: &mut World, file: PathBuf, apply: F)
where
    F: Fn(&Secret32, &[Secret32]) + Send + Sync + 'static,
{
    let shared = Arc::new((file, Mutex::new(None), apply));
    world.work_every(LOOK_EVERY, move || {
        let shared = Arc::clone(&shared);
        async move { reread(&shared.0, &shared.1, &shared.2) }
    });
}

fn reread(file: &Path, known: &Mutex<Option<SystemTime>>, apply: &impl Fn(&Secret32, &[Secret32])) {
    let changed = std::fs::metadata(file)
        .and_then(|metadata| metadata.modified())
        .ok();
    let Ok(mut known) = known.lock() else { return };
    if changed.is_none() || *known == changed {
        return;
    }
    let is_first = known.is_none();
    *known = changed;
    match read_secrets32(file) {
        Ok((current, also)) => {
            apply(&current, &also);
            if !is_first {
                tracing::info!(further = also.len(), "nonce secrets read again");
            }
        }
        Err(error) => tracing::warn!(error = %chain(&error), "nonce secrets stay as they were"),
    }
}
