//! What a node needs to ask a log, and proofs to ask about.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keybound_guard::replay::{
    AnyLog, ReplayConfig, ReplayLog as _, ReplayMode, ReplayRefusal, ReplayStart, SharedPlace,
    StoreAddress,
};
use keybound_proto::time::{Clock as _, ManualClock, UnixTime};
use keybound_proto::verify::{ReplayQuery, ReplayUse};

use crate::servers::POSTGRES_PASSWORD;

pub(crate) const PAST: u64 = 60;
pub(crate) const AHEAD: u64 = 10;
pub(crate) const TIMEOUT: Duration = Duration::from_millis(1000);

/// How long a log may take to be there again.
const PATIENCE: Duration = Duration::from_secs(30);

/// One gateway's end of a log.
pub(crate) struct Node {
    pub(crate) log: AnyLog,
    pub(crate) clock: ManualClock,
}

impl Node {
    /// A node that is connected.
    pub(crate) async fn open(address: Option<&str>, mode: ReplayMode) -> Self {
        let node = Self::start(address, mode);
        node.opened().await;
        node
    }

    pub(crate) async fn opened(&self) {
        let opened = tokio::time::timeout(PATIENCE, self.log.opened()).await;
        assert!(opened.is_ok(), "{:?}", self.log.status());
    }

    /// A node that begins to connect.
    pub(crate) fn start(address: Option<&str>, mode: ReplayMode) -> Self {
        let config = ReplayConfig {
            mode,
            capacity: 1_000_000,
            per_sender: 100_000,
            first_run: true,
        };
        Self::with(address, &config)
    }

    /// A node with this password that is connected.
    pub(crate) async fn open_with_password(address: &str, password: &str) -> Self {
        let config = ReplayConfig {
            mode: ReplayMode::Strict,
            capacity: 1_000,
            per_sender: 1_000,
            first_run: true,
        };
        let node = Self::at(Some(parsed(address).with_password(password)), &config);
        node.opened().await;
        node
    }

    /// A node that begins to connect, and trusts these authorities (PEM).
    pub(crate) fn trusting(address: &str, authorities: &[u8]) -> Self {
        let config = ReplayConfig {
            mode: ReplayMode::Strict,
            capacity: 1_000,
            per_sender: 1_000,
            first_run: true,
        };
        Self::at(Some(parsed(address).with_authorities(authorities)), &config)
    }

    pub(crate) fn with(address: Option<&str>, config: &ReplayConfig) -> Self {
        Self::at(address.map(parsed), config)
    }

    fn at(address: Option<StoreAddress>, config: &ReplayConfig) -> Self {
        let clock = ManualClock::at(wall_clock());
        let start = ReplayStart {
            now: clock.now(),
            window: PAST + AHEAD + 1,
            ahead: AHEAD,
            random: 7,
        };
        let place = address.map(|address| SharedPlace {
            address,
            timeout: TIMEOUT,
        });
        let shared: Arc<dyn keybound_proto::time::Clock> = Arc::new(clock.clone());
        let log = AnyLog::open(place.as_ref(), config, start, &shared).expect("a log");
        Self { log, clock }
    }

    pub(crate) fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// The log's answer to a proof of this node's present.
    pub(crate) async fn insert(&self, query: ReplayQuery) -> Result<(), ReplayRefusal> {
        self.insert_with_epoch(query, self.log.epoch()).await
    }

    pub(crate) async fn insert_with_epoch(
        &self,
        query: ReplayQuery,
        epoch: u64,
    ) -> Result<(), ReplayRefusal> {
        self.log.insert(query, epoch, self.now()).await.map(drop)
    }

    pub(crate) async fn look(&self, query: ReplayQuery) -> Result<(), ReplayRefusal> {
        let looked = self.log.look(query, self.log.epoch(), self.now()).await;
        looked.map(|recorded| assert_eq!(recorded.replay(), ReplayUse::CheckOnly))
    }
}

pub(crate) fn parsed(address: &str) -> StoreAddress {
    let parsed = StoreAddress::parse(address).expect("an address");
    if address.starts_with("postgres") {
        return parsed.with_password(POSTGRES_PASSWORD);
    }
    parsed
}

/// A proof made now that carries a nonce of the current run.
pub(crate) fn vouched(node: &Node) -> ReplayQuery {
    proof(node, 0).with_recent_nonce()
}

/// A proof made so many seconds ago, without a nonce.
pub(crate) fn proof(node: &Node, age: u64) -> ReplayQuery {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    of(node, id, id % 1000, age)
}

/// Proof number `id` of `sender`.
pub(crate) fn of(node: &Node, id: u64, sender: u64, age: u64) -> ReplayQuery {
    let made = node.now().minus(age);
    let key = u128::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    ReplayQuery::for_tests(key, sender, made, made.plus(PAST + 1))
}

#[expect(
    clippy::disallowed_methods,
    reason = "real servers tell the time by the machine's clock"
)]
pub(crate) fn wall_clock() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("a clock after 1970").as_secs()
}

/// Waits for something that happens by itself.
pub(crate) async fn eventually(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let waits = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, waits).await;
    assert!(outcome.is_ok(), "in vain: {what}");
}
