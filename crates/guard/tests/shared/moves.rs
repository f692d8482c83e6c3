//! Records that move to another server, and servers that take another's place.

use std::collections::BTreeSet;

use keybound_guard::replay::{ReplayLog as _, ReplayMode, ReplayRefusal};
use keybound_proto::verify::ReplayQuery;

use crate::servers::{Postgres, Redis, RedisCluster, skipped, wait};
use crate::support::{Node, eventually, proof, vouched};

const STRICT: ReplayMode = ReplayMode::Strict;
const BEST_EFFORT: ReplayMode = ReplayMode::BestEffort;

/// A node in each mode, and what each of them accepted.
struct Both {
    strict: Node,
    lax: Node,
    used: Vec<ReplayQuery>,
    seen: Vec<ReplayQuery>,
    epoch: u64,
}

impl Both {
    async fn open(address: &str) -> Self {
        let strict = Node::open(Some(address), STRICT).await;
        let lax = Node::open(Some(address), BEST_EFFORT).await;
        let epoch = strict.log.epoch();
        Self {
            strict,
            lax,
            used: Vec::new(),
            seen: Vec::new(),
            epoch,
        }
    }

    async fn accept(&mut self, count: usize) {
        for _ in 0..count {
            let (used, seen) = (vouched(&self.strict), proof(&self.lax, 0));
            assert_eq!(self.strict.insert(used).await, Ok(()));
            assert_eq!(self.lax.insert(seen).await, Ok(()));
            self.used.push(used);
            self.seen.push(seen);
        }
    }

    /// How many of the accepted ones best effort accepts again. Strict mode must not accept any.
    async fn forgotten(&self) -> usize {
        for query in &self.used {
            let with = self.strict.insert_with_epoch(*query, self.epoch).await;
            assert!(with.is_err(), "strict: {with:?}");
        }
        let mut forgotten = 0;
        for query in &self.seen {
            forgotten += usize::from(self.lax.insert(*query).await.is_ok());
        }
        forgotten
    }

    /// Waits until both accept so many new ones in a row.
    async fn serve_again(&self, count: usize) {
        eventually("everything new is accepted", async || {
            for _ in 0..count {
                let strict = self.strict.insert(vouched(&self.strict)).await;
                let lax = self.lax.insert(proof(&self.lax, 0)).await;
                if strict.is_err() || lax.is_err() {
                    return false;
                }
            }
            true
        })
        .await;
    }
}

/// While a slot is moved, its new proofs are refused and the others served; then all are served,
/// and nothing that was accepted before is accepted again.
#[tokio::test]
async fn sc_095_a_slot_that_moves_to_another_primary() {
    let Some(cluster) = RedisCluster::start() else {
        return skipped("sc_095", "redis-server");
    };
    let mut both = Both::open(&cluster.address()).await;
    both.accept(600).await;
    let (source, target) = (&cluster.nodes[1], &cluster.nodes[2]);
    let slot = slot_of(source);
    let id = |node: &Redis| node.ask("CLUSTER MYID").trim().to_owned();
    target.ask(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", id(source)));
    source.ask(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", id(target)));
    let mut refusals = BTreeSet::new();
    let mut served = 0;
    for _ in 0..600 {
        match both.lax.insert(proof(&both.lax, 0)).await {
            Ok(()) => served += 1,
            Err(refusal) => {
                refusals.insert(format!("{refusal:?}"));
            }
        }
    }
    assert_eq!(refusals, BTreeSet::from(["Unavailable".to_owned()]));
    assert!(served > 500, "{served} of 600");
    assert_eq!(both.forgotten().await, 0, "while the slot is moved");
    for key in source
        .ask(&format!("CLUSTER GETKEYSINSLOT {slot} 10000"))
        .lines()
    {
        source.ask(&format!("MIGRATE 127.0.0.1 {} {key} 0 5000", target.port));
    }
    for node in &cluster.nodes[..3] {
        node.ask(&format!("CLUSTER SETSLOT {slot} NODE {}", id(target)));
    }
    // So many that none of the 64 partitions can be missed by chance.
    both.serve_again(1_000).await;
    assert_ne!(both.strict.log.epoch(), both.epoch, "another run");
    assert_eq!(both.forgotten().await, 0, "records moved along");
}

/// The slot of one of the log's partitions that this primary of the middle third holds.
fn slot_of(primary: &Redis) -> u32 {
    let slots = (1..64).map(|partition| primary.ask(&format!("CLUSTER KEYSLOT {partition}")));
    let mut slots = slots.filter_map(|slot| slot.trim().parse().ok());
    slots
        .find(|slot| (5_461..=10_922).contains(slot))
        .expect("64 partitions meet every third")
}

/// A standby that had not heard of everything takes the primary's place and address.
#[tokio::test]
async fn sc_095_a_promoted_standby_is_another_run() {
    let Some(mut primary) = Postgres::start() else {
        return skipped("sc_095", "postgresql");
    };
    // The tables are there, so that the standby has them.
    drop(Node::open(Some(&primary.address()), STRICT).await);
    let mut standby = primary.standby();
    let replicating = "SELECT count(*) FROM pg_stat_replication";
    wait("the standby follows", || primary.ask(replicating) == "1");
    let mut both = Both::open(&primary.address()).await;
    let detail = both.strict.log.status().detail;
    assert!(detail.contains("every proof needs a nonce"), "{detail}");
    both.accept(20).await;
    let lsn = primary.ask("SELECT pg_current_wal_lsn()");
    let heard = format!("SELECT pg_last_wal_replay_lsn() >= '{lsn}'");
    wait("the standby has heard of these", || {
        standby.ask(&heard) == "t"
    });
    // What is on its way would still reach it, so the link is cut.
    standby.server.signal_all("STOP");
    primary.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
    both.accept(20).await;
    primary.server.kill();
    standby.server.signal_all("CONT");
    standby.restart_at(primary.port);
    let while_standby = both.strict.insert(vouched(&both.strict)).await;
    assert_eq!(
        while_standby,
        Err(ReplayRefusal::Unavailable),
        "a standby is not asked"
    );
    assert_eq!(standby.ask("SELECT pg_promote()"), "t");
    both.serve_again(20).await;
    assert_ne!(both.strict.log.epoch(), both.epoch, "another timeline");
    let forgotten = both.forgotten().await;
    assert_eq!(forgotten, 20, "what the standby had not heard of");
}
