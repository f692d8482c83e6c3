//! One suite, run over every log.

use keybound_guard::replay::{ReplayConfig, ReplayLog as _, ReplayMode, ReplayRefusal};

use crate::servers::{Postgres, Redis, RedisCluster, skipped};
use crate::support::{AHEAD, Node, PAST, of, proof, vouched};

/// Makes a test of each demand for each log.
macro_rules! suite {
    ($($log:ident = $start:expr, $program:literal;)*) => {$(
        mod $log {
            use super::*;

            #[tokio::test]
            async fn keeps_every_promise() {
                let Some(server) = $start else {
                    return skipped(stringify!($log), $program);
                };
                let address = server.address();
                let address = Some(address.as_str()).filter(|address| !address.is_empty());
                refuses_a_second_use(address).await;
                refuses_every_second_until_the_end(address).await;
                only_looks_when_asked_to(address).await;
                stops_a_flood_and_serves_the_others(address).await;
                charges_replays_to_nobody(address).await;
                lets_one_of_many_win(address).await;
                knows_vouched_proofs_by_their_run(address).await;
            }
        }
    )*};
}

/// Memory, as a server that is always there.
struct Memory;

impl Memory {
    fn address(&self) -> String {
        String::new()
    }
}

/// PostgreSQL, and an address that asks for unlogged tables.
struct Unlogged(Postgres);

impl Unlogged {
    fn start() -> Option<Self> {
        Postgres::start().map(Self)
    }

    fn address(&self) -> String {
        format!("{}?log=unlogged", self.0.address())
    }
}

suite! {
    memory = Some(Memory), "nothing";
    redis = Redis::start(), "redis-server";
    redis_cluster = RedisCluster::start(), "redis-server";
    postgres_logged = Postgres::start(), "postgresql";
    postgres_unlogged = Unlogged::start(), "postgresql";
}

/// SC-080, SC-081 and SC-083.
async fn refuses_a_second_use(address: Option<&str>) {
    let node = Node::open(address, ReplayMode::Strict).await;
    let first = vouched(&node);
    assert_eq!(node.insert(first).await, Ok(()));
    for _ in 0..3 {
        assert_eq!(node.insert(first).await, Err(ReplayRefusal::Replayed));
    }
    let id = 1 << 40;
    for age in 0..3 {
        let again = of(&node, id, 5, age).with_recent_nonce();
        let expected = if age == 0 {
            Ok(())
        } else {
            Err(ReplayRefusal::Replayed)
        };
        assert_eq!(
            node.insert(again).await,
            expected,
            "another `iat` is still a replay"
        );
    }
    assert_eq!(
        node.insert(of(&node, id + 1, 5, 0).with_recent_nonce())
            .await,
        Ok(())
    );
}

/// SC-086, as far as a real clock allows within a test: each age at first use.
async fn refuses_every_second_until_the_end(address: Option<&str>) {
    let node = Node::open(address, ReplayMode::BestEffort).await;
    for age in [0, 1, PAST / 2, PAST - 1, PAST] {
        let query = proof(&node, age);
        assert_eq!(node.insert(query).await, Ok(()), "{age}");
        assert_eq!(
            node.insert(query).await,
            Err(ReplayRefusal::Replayed),
            "{age}"
        );
    }
    let ahead = {
        let made = node.now().plus(AHEAD);
        keybound_proto::verify::ReplayQuery::for_tests(77, 1, made, made.plus(PAST + 1))
    };
    assert_eq!(node.insert(ahead).await, Ok(()));
    assert_eq!(node.insert(ahead).await, Err(ReplayRefusal::Replayed));
}

async fn only_looks_when_asked_to(address: Option<&str>) {
    let node = Node::open(address, ReplayMode::Strict).await;
    let query = vouched(&node);
    for _ in 0..3 {
        assert_eq!(node.look(query).await, Ok(()));
    }
    assert_eq!(node.insert(query).await, Ok(()));
    assert_eq!(node.look(query).await, Err(ReplayRefusal::Replayed));
}

/// F-11.
async fn stops_a_flood_and_serves_the_others(address: Option<&str>) {
    let config = ReplayConfig {
        mode: ReplayMode::BestEffort,
        capacity: 10_000,
        per_sender: 400,
        first_run: true,
    };
    let node = Node::with(address, &config);
    node.opened().await;
    let mut flood = Vec::new();
    for id in 0..500 {
        flood.push(node.insert(of(&node, 1 << 41 | id, 9, 0)).await);
    }
    let accepted = flood.iter().filter(|answer| answer.is_ok()).count();
    assert!(accepted <= 400, "{accepted}");
    assert!(flood.contains(&Err(ReplayRefusal::Flood)));
    for sender in 100..140 {
        assert_eq!(
            node.insert(of(&node, 1 << 42 | sender, sender, 0)).await,
            Ok(())
        );
    }
}

async fn charges_replays_to_nobody(address: Option<&str>) {
    let config = ReplayConfig {
        mode: ReplayMode::BestEffort,
        capacity: 10_000,
        per_sender: 40,
        first_run: true,
    };
    let node = Node::with(address, &config);
    node.opened().await;
    let captured = of(&node, 1 << 43, 9, 0);
    assert_eq!(node.insert(captured).await, Ok(()));
    for _ in 0..200 {
        assert_eq!(node.insert(captured).await, Err(ReplayRefusal::Replayed));
    }
    assert_eq!(node.insert(of(&node, 1 << 43 | 1, 9, 0)).await, Ok(()));
}

/// SC-088.
async fn lets_one_of_many_win(address: Option<&str>) {
    let node = std::sync::Arc::new(Node::open(address, ReplayMode::Strict).await);
    for _ in 0..20 {
        let query = vouched(&node);
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let node = std::sync::Arc::clone(&node);
                tokio::spawn(async move { node.insert(query).await })
            })
            .collect();
        let mut wins = 0;
        for task in tasks {
            match task.await.expect("no panic") {
                Ok(()) => wins += 1,
                refused => assert_eq!(refused, Err(ReplayRefusal::Replayed)),
            }
        }
        assert_eq!(wins, 1);
    }
}

async fn knows_vouched_proofs_by_their_run(address: Option<&str>) {
    let node = Node::open(address, ReplayMode::Strict).await;
    if address.is_none() {
        // A first run in memory has nothing to be careful about.
        return;
    }
    let foreign = node.log.epoch() ^ 1;
    let refused = node.insert_with_epoch(vouched(&node), foreign).await;
    assert_eq!(refused, Err(ReplayRefusal::Epoch));
    assert_eq!(
        node.insert(proof(&node, 0)).await,
        Err(ReplayRefusal::Epoch)
    );
    assert_eq!(node.insert(vouched(&node)).await, Ok(()));
    let status = node.log.status();
    assert!(status.ok, "{status:?}");
    assert_eq!((status.failed, status.lost), (0, 0));
}
