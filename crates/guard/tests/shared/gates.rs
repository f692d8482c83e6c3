//! Whole guards in front of one shared log: what a gateway is made of, without its sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use keybound_custody::SoftwareKey;
use keybound_guard::replay::{ReplayConfig, ReplayMode, SharedPlace};
use keybound_guard::{Guard, GuardConfig, NonceRule};
use keybound_proto::Rejection;
use keybound_proto::jose::Algorithm;
use keybound_proto::time::Clock;
use serde_json::json;

use crate::support::{eventually, parsed, wall_clock};
use crate::world::{Issuer, MemorySink, Proof, RESOURCE, Route, check, key};

/// The machine's time, set wrong by so many seconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct WrongClock(Arc<AtomicI64>);

impl WrongClock {
    pub(crate) fn set_wrong_by(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

impl Clock for WrongClock {
    fn now_millis(&self) -> u64 {
        let wrong_by = self.0.load(Ordering::SeqCst);
        let now = wall_clock().checked_add_signed(wrong_by);
        now.expect("a time after 1970").saturating_mul(1000)
    }
}

/// One gateway's guard.
pub(crate) struct Gate {
    pub(crate) guard: Guard,
    pub(crate) clock: WrongClock,
}

/// Gates that share a log and a nonce secret, the issuer they trust, and a holder with a token.
pub(crate) struct Gates {
    pub(crate) gates: Vec<Arc<Gate>>,
    pub(crate) route: Arc<Route>,
    pub(crate) token: String,
    holder: Arc<SoftwareKey>,
    _issuer: Issuer,
}

impl Gates {
    /// So many gates, connected to the log and ready to serve.
    pub(crate) async fn open(address: &str, count: usize) -> Self {
        let issuer = Issuer::start().await;
        let holder = key(Algorithm::EdDsa);
        let gates: Vec<_> = (0..count).map(|_| gate(&issuer, address)).collect();
        let mut claims = issuer.claims(&holder);
        claims["iat"] = json!(wall_clock() - 90_000);
        claims["exp"] = json!(wall_clock() + 90_000);
        let mut route = Route::new("approvals", RESOURCE);
        route.nonce = NonceRule::Everybody;
        let gates = Self {
            gates: gates.into_iter().map(Arc::new).collect(),
            route: Arc::new(route),
            token: issuer.sign(&claims),
            holder,
            _issuer: issuer,
        };
        gates.ready().await;
        // Everybody knows the token and its issuer's keys before the first race.
        for gate in &gates.gates {
            let proof = gates.proof(&gates.nonce(gate));
            gates.send(gate, &proof).await.expect("a gate that serves");
        }
        gates
    }

    /// Waits until every gate can ask the log.
    pub(crate) async fn ready(&self) {
        eventually("every gate is ready", async || {
            self.gates.iter().all(|gate| is_ready(&gate.guard))
        })
        .await;
    }

    /// A nonce as this gate offers it with a successful answer.
    pub(crate) fn nonce(&self, gate: &Gate) -> String {
        let nonce = gate.guard.nonce_for_success(&self.route);
        nonce.expect("the route demands nonces")
    }

    /// A fresh proof of the holder, by the machine's clock.
    pub(crate) fn proof(&self, nonce: &str) -> String {
        let mut proof = Proof::at(&self.token, wall_clock());
        proof.key = Arc::clone(&self.holder);
        proof.nonce = Some(nonce.to_owned());
        proof.sign()
    }

    pub(crate) async fn send(&self, gate: &Gate, proof: &str) -> Result<(), Rejection> {
        let authorization = format!("DPoP {}", self.token);
        let checked = check(&gate.guard, &self.route, &authorization, Some(proof)).await;
        checked.map(drop)
    }

    /// Sends one proof to several gates at once, every copy on a task of its own, and counts the
    /// successes.
    pub(crate) async fn race(&self, gates: &[Arc<Gate>], proof: &str) -> usize {
        let copies = gates.iter().map(|gate| {
            let (gate, route) = (Arc::clone(gate), Arc::clone(&self.route));
            let (authorization, proof) = (format!("DPoP {}", self.token), proof.to_owned());
            tokio::spawn(async move {
                check(&gate.guard, &route, &authorization, Some(&proof))
                    .await
                    .is_ok()
            })
        });
        let outcomes = join_all(copies).await;
        let won = |outcome: &&Result<bool, _>| *outcome.as_ref().expect("no panic");
        outcomes.iter().filter(won).count()
    }
}

fn gate(issuer: &Issuer, address: &str) -> Gate {
    let mut config = GuardConfig::new("gateway", vec![issuer.config()], [7; 32]);
    config.replay = ReplayConfig {
        mode: ReplayMode::Strict,
        capacity: 1_000_000,
        per_sender: 1_000_000,
        first_run: true,
    };
    config.shared_replay = Some(SharedPlace {
        address: parsed(address),
        // A slow machine is no failure of the store.
        timeout: Duration::from_secs(10),
    });
    let clock = WrongClock::default();
    let sink = Arc::new(MemorySink::default());
    let guard = Guard::new(config, Arc::new(clock.clone()), sink).expect("a guard");
    Gate { guard, clock }
}

fn is_ready(guard: &Guard) -> bool {
    let checks = guard.readiness();
    let replay = checks.iter().find(|check| check.name == "replay");
    replay.expect("a check of the log").ok
}
