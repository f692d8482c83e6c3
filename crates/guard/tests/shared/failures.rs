//! What each store loses in which failure, caused. The table in
//! docs/concepts/replay.md says what is asserted here.

use futures_util::future::join_all;
use keybound_guard::replay::{ReplayConfig, ReplayLog as _, ReplayMode, ReplayRefusal};
use keybound_proto::verify::ReplayQuery;
use tokio::time::Instant;

use crate::servers::{Postgres, Redis, RedisCluster, skipped, wait};
use crate::support::{Node, PAST, TIMEOUT, eventually, of, proof, vouched};

const STRICT: ReplayMode = ReplayMode::Strict;
const BEST_EFFORT: ReplayMode = ReplayMode::BestEffort;

/// A node in each mode, and a proof each of them accepted. They share no records: a mode belongs
/// to a whole cluster.
struct Both {
    strict: Node,
    lax: Node,
    used: ReplayQuery,
    seen: ReplayQuery,
    epoch: u64,
}

impl Both {
    async fn open(address: &str) -> Self {
        let strict = Node::open(Some(address), STRICT).await;
        let lax = Node::open(Some(address), BEST_EFFORT).await;
        let (used, seen) = (vouched(&strict), proof(&lax, 1));
        let epoch = strict.log.epoch();
        assert_eq!(strict.insert(used).await, Ok(()));
        assert_eq!(lax.insert(seen).await, Ok(()));
        Self {
            strict,
            lax,
            used,
            seen,
            epoch,
        }
    }

    /// Waits until both accept what is new.
    async fn serve_again(&self) {
        eventually("the log is there again", async || {
            self.strict.insert(vouched(&self.strict)).await.is_ok()
                && self.lax.insert(proof(&self.lax, 0)).await.is_ok()
        })
        .await;
    }
}

/// SC-090, for a store that remembers nothing across its restart.
async fn forgets(address: &str, fault: impl FnOnce()) {
    let both = Both::open(address).await;
    fault();
    both.serve_again().await;
    let (strict, lax) = (&both.strict, &both.lax);
    assert_ne!(strict.log.epoch(), both.epoch, "another run");
    let replayed = strict.insert_with_epoch(both.used, both.epoch).await;
    assert_eq!(
        replayed,
        Err(ReplayRefusal::Epoch),
        "strict: nothing can be used twice"
    );
    let bare = of(strict, 4711, 1, 0);
    assert_eq!(strict.insert(bare).await, Err(ReplayRefusal::Epoch));
    assert_eq!(
        lax.insert(both.seen).await,
        Ok(()),
        "best effort accepts what was used before"
    );
    assert_eq!(lax.insert(both.seen).await, Err(ReplayRefusal::Replayed));
}

/// For a store that loses nothing.
async fn remembers(address: &str, fault: impl FnOnce()) {
    let both = Both::open(address).await;
    fault();
    both.serve_again().await;
    let (strict, lax) = (&both.strict, &both.lax);
    assert_eq!(
        strict.log.epoch(),
        both.epoch,
        "nobody is asked for a nonce"
    );
    assert_eq!(strict.insert(both.used).await, Err(ReplayRefusal::Replayed));
    assert_eq!(lax.insert(both.seen).await, Err(ReplayRefusal::Replayed));
    assert!(strict.log.status().lost > 0, "the outage is counted");
}

#[tokio::test]
async fn sc_090_redis_restarts_without_persistence() {
    let Some(mut redis) = Redis::start() else {
        return skipped("sc_090", "redis-server");
    };
    let address = redis.address();
    forgets(&address, || {
        redis.server.kill();
        redis.restart();
    })
    .await;
}

#[tokio::test]
async fn redis_is_emptied_while_it_runs() {
    let Some(redis) = Redis::start() else {
        return skipped("flush", "redis-server");
    };
    let address = redis.address();
    forgets(&address, || {
        redis.ask("FLUSHALL");
    })
    .await;
}

#[tokio::test]
async fn unlogged_postgres_crashes() {
    let Some(mut postgres) = Postgres::start() else {
        return skipped("crash", "postgresql");
    };
    let address = format!("{}?log=unlogged", postgres.address());
    forgets(&address, || {
        postgres.server.kill();
        postgres.restart();
    })
    .await;
}

#[tokio::test]
async fn unlogged_postgres_restarts_in_an_orderly_way() {
    let Some(mut postgres) = Postgres::start() else {
        return skipped("restart", "postgresql");
    };
    let address = format!("{}?log=unlogged", postgres.address());
    remembers(&address, || {
        postgres.server.stop("INT");
        postgres.restart();
    })
    .await;
}

#[tokio::test]
async fn logged_postgres_crashes() {
    let Some(mut postgres) = Postgres::start() else {
        return skipped("crash", "postgresql");
    };
    let address = postgres.address();
    remembers(&address, || {
        postgres.server.kill();
        postgres.restart();
    })
    .await;
}

/// SC-095: the primary acknowledges a proof its replica never hears of, and dies.
#[tokio::test]
async fn sc_095_cluster_fails_over_to_a_replica_that_lags() {
    let Some(mut cluster) = RedisCluster::start() else {
        return skipped("sc_095", "redis-server");
    };
    let both = Both::open(&cluster.address()).await;
    let (strict, lax) = (&both.strict, &both.lax);
    // What is on its way to a replica reaches it yet, so the link is cut first.
    cluster.nodes[3].server.signal("STOP");
    cluster.nodes[0].ask("CLIENT KILL TYPE replica");
    let epoch = both.epoch;
    let (mut used, mut seen) = (Vec::new(), Vec::new());
    // Enough of them to have some in the slots of the first primary.
    for _ in 0..60 {
        used.push(vouched(strict));
        seen.push(proof(lax, 0));
        assert_eq!(strict.insert(used[used.len() - 1]).await, Ok(()));
        assert_eq!(lax.insert(seen[seen.len() - 1]).await, Ok(()));
    }
    cluster.nodes[0].server.kill();
    cluster.nodes[3].server.signal("CONT");
    eventually("the loss is noticed", async || strict.log.epoch() != epoch).await;
    both.serve_again().await;
    assert_ne!(strict.log.epoch(), epoch, "another run");
    for query in used {
        let again = strict.insert_with_epoch(query, epoch).await;
        assert_eq!(again, Err(ReplayRefusal::Epoch));
    }
    let mut forgotten = 0;
    for query in seen {
        forgotten += usize::from(lax.insert(query).await.is_ok());
    }
    assert!(
        (1..60).contains(&forgotten),
        "the first primary's share: {forgotten} of 60"
    );
}

/// A replica changes the rule while the log is in use: every proof needs a nonce,
/// and that stays so when the replica goes.
#[tokio::test]
async fn sc_095_a_replica_makes_nonces_necessary() {
    let (Some(primary), Some(mut replica)) = (Redis::start(), Redis::start()) else {
        return skipped("sc_095", "redis-server");
    };
    let node = Node::open(Some(&primary.address()), STRICT).await;
    let later = |node: &Node, id| {
        let made = node.now().plus(60);
        ReplayQuery::for_tests(id, 1, made, made.plus(PAST + 1))
    };
    assert_eq!(
        node.insert(later(&node, 1)).await,
        Ok(()),
        "younger than the run: no nonce needed"
    );
    replica.ask(&format!("REPLICAOF 127.0.0.1 {}", primary.port));
    wait("the replica follows", || {
        primary
            .ask("INFO replication")
            .contains("connected_slaves:1")
    });
    eventually("a nonce is needed", async || {
        node.insert(later(&node, u128::from(node.now().as_secs()) << 64 | 3))
            .await
            == Err(ReplayRefusal::Epoch)
    })
    .await;
    assert_eq!(node.insert(vouched(&node)).await, Ok(()));
    replica.server.kill();
    wait("the replica is gone", || {
        primary
            .ask("INFO replication")
            .contains("connected_slaves:0")
    });
    let fresh = Node::open(Some(&primary.address()), STRICT).await;
    assert_eq!(
        fresh.insert(later(&fresh, 9)).await,
        Err(ReplayRefusal::Epoch)
    );
    assert!(
        fresh
            .log
            .status()
            .detail
            .contains("every proof needs a nonce")
    );
}

/// SC-091 and F-06.
async fn hangs(address: &str, pause: impl FnOnce(), resume: impl FnOnce()) {
    let node = Node::open(Some(address), STRICT).await;
    let used = vouched(&node);
    assert_eq!(node.insert(used).await, Ok(()));
    pause();
    let limit = TIMEOUT * 3 / 2;
    let begin = Instant::now();
    assert_eq!(
        node.insert(vouched(&node)).await,
        Err(ReplayRefusal::Unavailable)
    );
    assert!(begin.elapsed() < limit, "{:?}", begin.elapsed());
    eventually("the log knows that it is lost", async || {
        !node.log.status().ok
    })
    .await;
    let begin = Instant::now();
    for _ in 0..100 {
        assert_eq!(
            node.insert(vouched(&node)).await,
            Err(ReplayRefusal::Unavailable)
        );
    }
    assert!(
        begin.elapsed() < TIMEOUT / 2,
        "refusals come at once: {:?}",
        begin.elapsed()
    );
    let status = node.log.status();
    assert_eq!((status.failed, status.lost), (101, 1), "{status:?}");
    resume();
    eventually("the log is back", async || {
        node.insert(vouched(&node)).await.is_ok()
    })
    .await;
    assert_eq!(
        node.insert(used).await,
        Err(ReplayRefusal::Replayed),
        "nothing was forgotten"
    );
}

#[tokio::test]
async fn sc_091_redis_hangs() {
    let Some(redis) = Redis::start() else {
        return skipped("sc_091", "redis-server");
    };
    hangs(
        &redis.address(),
        || redis.server.signal("STOP"),
        || redis.server.signal("CONT"),
    )
    .await;
}

#[tokio::test]
async fn sc_091_postgres_hangs() {
    let Some(postgres) = Postgres::start() else {
        return skipped("sc_091", "postgresql");
    };
    let address = postgres.address();
    hangs(
        &address,
        || postgres.server.signal_all("STOP"),
        || postgres.server.signal_all("CONT"),
    )
    .await;
}

#[tokio::test]
async fn sc_091_store_that_was_never_there() {
    for address in ["redis://127.0.0.1:1", "postgres://kb@127.0.0.1:1/kb"] {
        for mode in [STRICT, BEST_EFFORT] {
            let node = Node::start(Some(address), mode);
            for _ in 0..10 {
                assert_eq!(
                    node.insert(vouched(&node)).await,
                    Err(ReplayRefusal::Unavailable)
                );
            }
            assert!(!node.log.status().ok);
        }
    }
}

#[tokio::test]
async fn redis_that_may_evict_is_no_place_for_strict_replay() {
    let Some(redis) = Redis::with(&[
        "--maxmemory",
        "10mb",
        "--maxmemory-policy",
        "allkeys-lru",
        "--save",
        "",
    ]) else {
        return skipped("eviction", "redis-server");
    };
    let node = Node::start(Some(&redis.address()), STRICT);
    eventually("the reason is known", async || {
        node.log.status().detail.contains("noeviction")
    })
    .await;
    assert_eq!(
        node.insert(vouched(&node)).await,
        Err(ReplayRefusal::Unavailable)
    );
    let lax = Node::open(Some(&redis.address()), BEST_EFFORT).await;
    assert_eq!(lax.insert(proof(&lax, 0)).await, Ok(()));
}

/// SC-087.
#[tokio::test]
async fn sc_087_full_redis_refuses_and_forgets_nothing() {
    let Some(redis) = Redis::start() else {
        return skipped("sc_087", "redis-server");
    };
    let node = Node::open(Some(&redis.address()), STRICT).await;
    let used = vouched(&node);
    assert_eq!(node.insert(used).await, Ok(()));
    redis.ask("CONFIG SET maxmemory 1");
    assert_eq!(node.insert(vouched(&node)).await, Err(ReplayRefusal::Full));
    redis.ask("CONFIG SET maxmemory 0");
    eventually("room is back", async || {
        node.insert(vouched(&node)).await.is_ok()
    })
    .await;
    assert_eq!(node.insert(used).await, Err(ReplayRefusal::Replayed));
}

/// F-08 and F-09.
#[tokio::test]
async fn f_08_node_whose_clock_is_wrong_is_not_served() {
    let (Some(redis), Some(postgres)) = (Redis::start(), Postgres::start()) else {
        return skipped("f_08", "redis-server or postgresql");
    };
    for address in [redis.address(), postgres.address()] {
        let node = Node::open(Some(&address), STRICT).await;
        let now = crate::support::wall_clock();
        for wrong in [now + 3_600, now - 3_600, now + 20, now - 20] {
            let query = vouched(&node);
            node.clock.set(wrong);
            assert_eq!(
                node.insert(query).await,
                Err(ReplayRefusal::Unavailable),
                "{wrong}"
            );
            eventually("the reason is known", async || {
                node.log.status().detail.contains("differ by")
            })
            .await;
            node.clock.set(now);
            eventually("served again", async || {
                node.insert(vouched(&node)).await.is_ok()
            })
            .await;
        }
        for near in [now + 10, now - 10] {
            node.clock.set(near);
            let query = vouched(&node);
            assert_eq!(node.insert(query).await, Ok(()), "{near}");
            node.clock.set(now);
            assert_eq!(node.insert(query).await, Err(ReplayRefusal::Replayed));
        }
    }
}

#[tokio::test]
async fn password_is_asked_for_and_not_told() {
    let Some(redis) = Redis::with(&["--requirepass", "right", "--save", ""]) else {
        return skipped("password", "redis-server");
    };
    let wrong = Node::start(Some(&redis.address()), STRICT);
    eventually("the reason is known", async || {
        wrong
            .log
            .status()
            .detail
            .contains("the user or the password")
    })
    .await;
    assert!(!format!("{:?} {:?}", wrong.log, wrong.log.status()).contains("right"));
    let right = Node::open_with_password(&redis.address(), "right").await;
    assert_eq!(right.insert(vouched(&right)).await, Ok(()));
    assert!(!format!("{:?} {:?}", right.log, right.log.status()).contains("right"));
}

#[tokio::test]
async fn many_nodes_start_at_once_on_an_empty_database() {
    let Some(postgres) = Postgres::start() else {
        return skipped("start", "postgresql");
    };
    let address = postgres.address();
    let nodes = join_all((0..6).map(|_| Node::open(Some(&address), STRICT))).await;
    let epoch = nodes[0].log.epoch();
    assert!(nodes.iter().all(|node| node.log.epoch() == epoch));
    let query = vouched(&nodes[0]);
    let answers = join_all(nodes.iter().map(|node| node.insert(query))).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.is_ok()).count(),
        1,
        "{answers:?}"
    );
}

#[tokio::test]
async fn partitions_that_are_over_are_dropped() {
    let Some(postgres) = Postgres::start() else {
        return skipped("partitions", "postgresql");
    };
    drop(Node::open(Some(&postgres.address()), STRICT).await);
    postgres.ask("CREATE TABLE keybound_replay_7 PARTITION OF keybound_replay FOR VALUES IN (7)");
    let count = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'keybound_replay'::regclass";
    assert_eq!(postgres.ask(count), "4");
    drop(Node::open(Some(&postgres.address()), STRICT).await);
    assert_eq!(postgres.ask(count), "3");
    assert_eq!(
        postgres.ask("SELECT to_regclass('keybound_replay_7') IS NULL"),
        "t"
    );
}

#[tokio::test]
async fn tables_of_the_other_kind_are_refused() {
    let Some(postgres) = Postgres::start() else {
        return skipped("kinds", "postgresql");
    };
    drop(Node::open(Some(&postgres.address()), STRICT).await);
    let other = format!("{}?log=unlogged", postgres.address());
    let node = Node::start(Some(&other), STRICT);
    eventually("the reason is known", async || {
        node.log.status().detail.contains("log=logged")
    })
    .await;
    assert_eq!(
        node.insert(vouched(&node)).await,
        Err(ReplayRefusal::Unavailable)
    );
    let apart = format!("{other}&name=other");
    assert!(Node::open(Some(&apart), STRICT).await.log.status().ok);
}

/// A store that a cluster's nodes limit each for itself.
#[tokio::test]
async fn limits_hold_under_concurrency() {
    let Some(redis) = Redis::start() else {
        return skipped("limits", "redis-server");
    };
    let config = ReplayConfig {
        mode: BEST_EFFORT,
        capacity: 1_000,
        per_sender: 100,
        first_run: true,
    };
    let node = Node::with(Some(&redis.address()), &config);
    node.opened().await;
    let mut accepted = 0;
    for batch in 0..20 {
        let sent = (0..50).map(|id| node.insert(of(&node, 1 << 50 | batch << 10 | id, 9, 0)));
        accepted += join_all(sent)
            .await
            .iter()
            .filter(|answer| answer.is_ok())
            .count();
    }
    assert!(accepted <= 100 + 50, "{accepted}");
}
