//! One proof sent to three nodes at once, ten thousand times: exactly one
//! success, with a restart of the store and steps of a clock in the middle.

use std::sync::Arc;

use futures_util::future::join_all;
use keybound_guard::replay::{ReplayLog as _, ReplayMode, ReplayRefusal};
use keybound_proto::verify::ReplayQuery;

use crate::servers::{Postgres, Redis, RedisCluster, skipped};
use crate::support::{Node, proof};

const ROUNDS: usize = 10_000;
/// Rounds that are under way at the same time.
const ABREAST: usize = 50;

/// A proof with the nonce it carries, named by its run.
#[derive(Clone, Copy)]
struct Captured {
    query: ReplayQuery,
    epoch: u64,
}

/// SC-089 and SC-090.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sc_089_redis_that_forgets_everything_in_the_middle() {
    let Some(mut redis) = Redis::start() else {
        return skipped("sc_089", "redis-server");
    };
    let address = redis.address();
    play(&address, || {
        redis.server.kill();
        redis.restart();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sc_089_cluster_that_loses_a_primary_in_the_middle() {
    let Some(mut cluster) = RedisCluster::start() else {
        return skipped("sc_089", "redis-server");
    };
    let address = cluster.address();
    play(&address, || cluster.nodes[0].server.kill()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sc_089_postgres_that_crashes_in_the_middle() {
    let Some(mut postgres) = Postgres::start() else {
        return skipped("sc_089", "postgresql");
    };
    let address = postgres.address();
    play(&address, || {
        postgres.server.kill();
        postgres.restart();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sc_089_unlogged_postgres_that_crashes_in_the_middle() {
    let Some(mut postgres) = Postgres::start() else {
        return skipped("sc_089", "postgresql");
    };
    let address = format!("{}?log=unlogged", postgres.address());
    play(&address, || {
        postgres.server.kill();
        postgres.restart();
    })
    .await;
}

async fn play(address: &str, mut fault: impl FnMut()) {
    let nodes = three(address).await;
    let mut used = Vec::new();
    let third = ROUNDS / 3;
    rounds(&nodes, third, &mut used).await;
    fault();
    rounds(&nodes, third, &mut used).await;
    refuse_again(&nodes, &used).await;
    // Within what is allowed, beyond it in both directions, and right again.
    for step in [10, -10, 3_600, -3_600, 0] {
        let now = i64::try_from(crate::support::wall_clock()).expect("a time");
        nodes[1].clock.set(now.saturating_add(step).unsigned_abs());
        rounds(&nodes, (ROUNDS - 2 * third).div_ceil(5), &mut used).await;
        refuse_again(&nodes, &used[used.len() - 200..]).await;
    }
    assert!(used.len() >= ROUNDS);
    refuse_again(&nodes, &used).await;
}

async fn three(address: &str) -> Vec<Arc<Node>> {
    let open = || Node::open(Some(address), ReplayMode::Strict);
    let nodes: Vec<_> = join_all([open(), open(), open()]).await;
    let epoch = nodes[0].log.epoch();
    assert_ne!(epoch, 0);
    assert!(
        nodes.iter().all(|node| node.log.epoch() == epoch),
        "nodes agree"
    );
    nodes.into_iter().map(Arc::new).collect()
}

/// Plays rounds until so many ended with exactly one success. A round may end
/// with none while the store is away; more than one is the end of the test.
async fn rounds(nodes: &[Arc<Node>], count: usize, used: &mut Vec<Captured>) {
    let mut won = 0;
    let mut vain = 0;
    while won < count {
        let proofs: Vec<_> = (0..ABREAST.min(count - won))
            .map(|_| fresh(&nodes[0]))
            .collect();
        let wins = join_all(proofs.iter().map(|captured| send_to_all(nodes, *captured))).await;
        for (captured, wins) in proofs.into_iter().zip(wins) {
            assert!(wins <= 1, "{wins} successes of one proof");
            won += wins;
            // Who got no answer does not know whether the proof was recorded.
            used.extend((wins == 1).then_some(captured));
        }
        if won < count && !nodes.iter().any(|node| node.log.status().ok) {
            vain += 1;
            assert!(vain < 100, "{:?}", nodes[0].log.status());
            nodes[0].opened().await;
        }
    }
}

fn fresh(node: &Node) -> Captured {
    Captured {
        query: proof(node, 0),
        epoch: node.log.epoch(),
    }
}

/// Every copy on its own task.
async fn send_to_all(nodes: &[Arc<Node>], captured: Captured) -> usize {
    let copies = nodes.iter().map(|node| {
        let node = Arc::clone(node);
        tokio::spawn(async move { present(&node, captured).await.is_ok() })
    });
    let outcomes = join_all(copies).await;
    outcomes
        .into_iter()
        .filter(|won| *won.as_ref().expect("no panic"))
        .count()
}

/// As a guard does it: a nonce of another run is refused before the log is asked.
async fn present(node: &Node, captured: Captured) -> Result<(), ReplayRefusal> {
    let epoch = node.log.epoch();
    if captured.epoch != epoch {
        return Err(ReplayRefusal::Epoch);
    }
    node.insert_with_epoch(captured.query.with_recent_nonce(), epoch)
        .await
}

/// Nobody accepts any of these again, with or without the nonce counting.
async fn refuse_again(nodes: &[Arc<Node>], used: &[Captured]) {
    for chunk in used.chunks(ABREAST) {
        let sent = chunk.iter().enumerate().map(|(number, captured)| {
            let node = &nodes[number % nodes.len()];
            async move {
                let without = node
                    .insert_with_epoch(captured.query, node.log.epoch())
                    .await;
                (present(node, *captured).await, without)
            }
        });
        for (with, without) in join_all(sent).await {
            assert!(with.is_err() && without.is_err(), "{with:?} {without:?}");
        }
    }
}
