//! What every handle of the store can see without asking the writer: committed
//! holds, the last sequence numbers, and a bounded cache of client records.
//!
//! Changed by the writer only, after a commit. Not here: anything that is not
//! committed.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keybound_proto::time::UnixTime;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::clients::ClientRecord;
use super::memory::News;
use super::terms::Unfiled;
use super::withheld_set::WithheldSet;

/// How many client records are kept decoded.
const CLIENT_CACHE: usize = 4096;

#[derive(Debug)]
pub(super) struct Shared {
    /// The file, for messages; `:memory:` where there is none.
    pub(super) file: PathBuf,
    /// The node name of the events the store writes itself.
    pub(super) node: String,
    pub(super) withheld: RwLock<WithheldSet>,
    pub(super) last_event: watch::Sender<u64>,
    pub(super) last_signal: watch::Sender<u64>,
    pub(super) clients: ClientCache,
    pub(super) unfiled: RwLock<Unfiled>,
    last_issued: AtomicU64,
}

impl Shared {
    pub(super) fn new(file: PathBuf, node: String) -> Self {
        Self {
            file,
            node,
            withheld: RwLock::default(),
            last_event: watch::Sender::new(0),
            last_signal: watch::Sender::new(0),
            clients: ClientCache::default(),
            unfiled: RwLock::default(),
            last_issued: AtomicU64::new(0),
        }
    }

    pub(super) fn last_issued(&self) -> UnixTime {
        UnixTime::from_secs(self.last_issued.load(Ordering::Relaxed))
    }

    /// Makes a commit visible. Numbers last: who is woken by one must find the
    /// event and already be refused by the hold it stands for.
    pub(super) fn publish(&self, news: News) {
        if !news.terms.is_empty() {
            self.unfiled.write().add(news.terms);
        }
        if !news.holds.is_empty() {
            let mut withheld = self.withheld.write();
            for (subject, hold) in &news.holds {
                withheld.put(subject, *hold);
            }
        }
        if let Some(issued) = news.last_issued {
            self.last_issued
                .fetch_max(issued.as_secs(), Ordering::Relaxed);
        }
        for client_id in &news.clients {
            self.clients.forget(client_id);
        }
        if let Some(sequence) = news.last_signal {
            self.last_signal.send_replace(sequence);
        }
        if let Some(sequence) = news.last_event {
            self.last_event.send_replace(sequence);
        }
    }
}

/// Decoded client records. A record read from the file is kept only if no
/// client changed since the reading began.
#[derive(Debug, Default)]
pub(super) struct ClientCache(Mutex<Cached>);

#[derive(Debug, Default)]
struct Cached {
    generation: u64,
    records: HashMap<String, Arc<ClientRecord>>,
}

impl ClientCache {
    /// The record, or the generation to give back to [`Self::keep`].
    pub(super) fn get(&self, client_id: &str) -> Result<Arc<ClientRecord>, u64> {
        let cached = self.0.lock();
        let record = cached.records.get(client_id).map(Arc::clone);
        record.ok_or(cached.generation)
    }

    pub(super) fn keep(&self, record: &Arc<ClientRecord>, generation: u64) {
        let mut cached = self.0.lock();
        if cached.generation != generation {
            return;
        }
        if cached.records.len() >= CLIENT_CACHE {
            cached.records.clear();
        }
        cached
            .records
            .insert(record.client_id.clone(), Arc::clone(record));
    }

    fn forget(&self, client_id: &str) {
        let mut cached = self.0.lock();
        cached.generation += 1;
        cached.records.remove(client_id);
    }
}
