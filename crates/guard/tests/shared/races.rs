//! One proof sent to two and to three gateways at once, ten thousand times: exactly one success,
//! with a restart of the store and steps of a clock in the middle.

use std::sync::Arc;

use futures_util::future::join_all;
use keybound_proto::cause::Cause;

use crate::gates::{Gate, Gates};
use crate::servers::{Postgres, Redis, RedisCluster, skipped};
use crate::support::eventually;

const ROUNDS: usize = 10_000;
/// Rounds that are under way at the same time.
const ABREAST: usize = 50;

/// Whether something goes wrong with the store while rounds are played.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weather {
    /// Every round ends with exactly one success.
    Calm,
    /// A round may end with none, because nobody could know.
    Rough,
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

async fn play(address: &str, fault: impl FnOnce()) {
    let gates = Gates::open(address, 3).await;
    let mut used = Vec::new();
    let third = ROUNDS / 3;
    rounds(&gates, (third, Weather::Calm), &mut used).await;
    // While the first batch is under way, the store goes away under it.
    let meanwhile = async { tokio::task::block_in_place(fault) };
    tokio::join!(
        rounds(&gates, (third, Weather::Rough), &mut used),
        meanwhile
    );
    refuse_again(&gates, &used).await;
    gates.ready().await;
    // Within what is allowed, beyond it in both directions, and right again.
    for step in [10, -10, 3_600, -3_600, 0] {
        gates.gates[1].clock.set_wrong_by(step);
        let count = (ROUNDS - 2 * third).div_ceil(5);
        rounds(&gates, (count, Weather::Calm), &mut used).await;
        refuse_again(&gates, &used[used.len() - 200..]).await;
    }
    assert!(used.len() >= ROUNDS);
}

/// Plays rounds until so many ended with exactly one success; more than one is the end of the test.
async fn rounds(gates: &Gates, (count, weather): (usize, Weather), used: &mut Vec<String>) {
    let mut won = 0;
    while won < count {
        let nonce = gates.nonce(&gates.gates[0]);
        let proofs: Vec<_> = (0..ABREAST.min(count - won))
            .map(|_| gates.proof(&nonce))
            .collect();
        let races = proofs.iter().enumerate().map(|(number, proof)| {
            // Two gates and three in turn; the first one's clock is always right.
            let crowd: &[Arc<Gate>] = &gates.gates[..2 + number % 2];
            gates.race(crowd, proof)
        });
        let wins = join_all(races).await;
        let before = won;
        for (proof, wins) in proofs.into_iter().zip(wins) {
            assert!(wins <= 1, "{wins} successes of one proof");
            assert!(wins == 1 || weather == Weather::Rough, "no success");
            won += wins;
            // Who got no answer does not know whether the proof was recorded.
            used.extend((wins == 1).then_some(proof));
        }
        if won == before {
            gates.ready().await;
        }
    }
}

/// Nobody accepts any of these again.
async fn refuse_again(gates: &Gates, used: &[String]) {
    for chunk in used.chunks(ABREAST) {
        let sent = chunk.iter().enumerate().map(|(number, proof)| {
            let gate = &gates.gates[number % gates.gates.len()];
            gates.send(gate, proof)
        });
        for answer in join_all(sent).await {
            assert!(answer.is_err(), "a proof was accepted twice");
        }
    }
}

/// SC-100, with nonces that name the run of the log: an honest client behind a round robin is
/// challenged when it comes for the first time and when the log is in another run, never twice.
#[tokio::test]
async fn sc_100_rotation_and_restart_challenge_nobody_twice() {
    let Some(mut redis) = Redis::start() else {
        return skipped("sc_100", "redis-server");
    };
    let gates = Gates::open(&redis.address(), 3).await;
    let mut nonce = gates.nonce(&gates.gates[0]);
    let mut challenges = 0;
    let (old, new) = ([7; 32], [8; 32]);
    let steps = [(old, vec![new]), (new, vec![old]), (new, Vec::new())];
    for (step, (current, also)) in steps.into_iter().enumerate() {
        for turn in 0..9 {
            // One gate after the other gets the new list, while all of them serve.
            if turn % 3 == 0 {
                let gate = &gates.gates[turn / 3].guard;
                gate.set_nonce_secrets(current, also.clone());
            }
            let gate = &gates.gates[turn % 3];
            if gates.send(gate, &gates.proof(&nonce)).await.is_err() {
                challenges += 1;
                nonce = gates.nonce(gate);
                let again = gates.send(gate, &gates.proof(&nonce)).await;
                assert!(again.is_ok(), "challenged twice: {again:?}");
            }
            nonce = gates.nonce(gate);
        }
        assert_eq!(challenges, u32::from(step == 2), "step {step}");
        if step == 1 {
            redis.server.kill();
            redis.restart();
            let old_run = gates.proof(&nonce);
            eventually("every gate knows of the other run", async || {
                for gate in &gates.gates {
                    match gates.send(gate, &old_run).await {
                        Err(refused) if refused.cause() == Cause::DpopNonceStale => {}
                        _ => return false,
                    }
                }
                true
            })
            .await;
        }
    }
}
