//! One proof sent by many at once.

use std::sync::Arc;

use keybound_proto::cause::Cause;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::{World, check};

/// Rounds of the race.
const ROUNDS: u32 = 10_000;

/// The size of one round's crowd: log-uniform from 2 to 1,000.
fn crowd(round: u32) -> usize {
    // A low-discrepancy sequence visits all sizes evenly on the logarithmic scale.
    let position = (f64::from(round) * 0.618_033_988_749_894_9).fract();
    (2.0 * (500.0_f64).powf(position)).round() as usize
}

/// Sends one proof `crowd` times, each from a task of its own, all released at
/// once, and counts the successes.
async fn race(world: &Arc<World>, token: &str, crowd: usize) -> usize {
    let proof: Arc<str> = world.proof(token).into();
    let authorization: Arc<str> = format!("DPoP {token}").into();
    let (release, gate) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for _ in 0..crowd {
        let (world, proof) = (Arc::clone(world), Arc::clone(&proof));
        let (authorization, mut gate) = (Arc::clone(&authorization), gate.clone());
        tasks.spawn(async move {
            gate.wait_for(|open| *open).await.unwrap();
            check(&world.guard, &world.route, &authorization, Some(&proof)).await
        });
    }
    release.send_replace(true);
    let mut wins = 0;
    while let Some(outcome) = tasks.join_next().await {
        match outcome.unwrap() {
            Ok(_) => wins += 1,
            Err(rejection) => assert_eq!(rejection.cause(), Cause::DpopReplayed),
        }
    }
    wins
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sc_088_one_proof_by_many_tasks_succeeds_once() {
    let world = Arc::new(World::start().await);
    let token = world.token();
    let mut sizes = (usize::MAX, 0);
    for round in 0..ROUNDS {
        let crowd = crowd(round);
        sizes = (sizes.0.min(crowd), sizes.1.max(crowd));
        assert_eq!(
            race(&world, &token, crowd).await,
            1,
            "round {round}, {crowd} tasks"
        );
    }
    assert_eq!(sizes, (2, 1000));
}
