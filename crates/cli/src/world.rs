//! Everything that runs: issuer, gateway, control, management, and the demo
//! upstream, each on its own listener. `serve`, `dev` and `demo` share it.
//!
//! Parts talk to each other over HTTP only, as they would on separate
//! machines; the gateway has a bound token of its own for control. Sockets are
//! bound before anything else is made, so an occupied port is found first.

pub(crate) mod control;
pub(crate) mod front;
pub(crate) mod gateway;
pub(crate) mod issuer;
pub(crate) mod local;
pub(crate) mod logging;
mod nonces;
pub(crate) mod ports;
pub(crate) mod sockets;
pub(crate) mod stop;
pub(crate) mod upstream;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use keybound_control::{Store, StoreOptions};
use keybound_edge::body::BoxError;
use keybound_edge::listener::{Bound, Serve};
use keybound_edge::management::{Check, Management, ReadinessSource};
use keybound_edge::{Drained, Shutdown, ShutdownTrigger};
use keybound_proto::time::Clock;
use keybound_proto::wire::ErrorDetail;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use crate::config::settings::{Settings, StoreSettings};
use crate::failure::{Failure, chain};
use sockets::Sockets;
use upstream::DemoUpstream;

/// How the parts are started, beside their settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// How much refusals tell their callers.
    pub(crate) error_detail: ErrorDetail,
}

/// Everything that runs, and the trigger that stops it.
pub(crate) struct World {
    trigger: ShutdownTrigger,
    shutdown: Shutdown,
    listeners: JoinSet<Drained>,
    /// Tasks beside the listeners: they end with the shutdown.
    workers: JoinSet<()>,
    management: Management,
    readiness: Vec<ReadinessSource>,
}

impl World {
    /// Starts what the settings have.
    pub(crate) async fn start(
        settings: Settings,
        sockets: Sockets,
        demo: Option<DemoUpstream>,
        manner: Manner,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let (trigger, shutdown) = Shutdown::new();
        let mut world = Self {
            trigger,
            shutdown,
            listeners: JoinSet::new(),
            workers: JoinSet::new(),
            management: Management::new(),
            readiness: Vec::new(),
        };
        let is_new = settings
            .store
            .as_ref()
            .is_some_and(|store| !store.path.exists());
        let store = settings
            .store
            .as_ref()
            .map(|store| open_store(store, clock))
            .transpose()?;
        if let (Some(issuer), Some(store)) = (settings.issuer, store.clone()) {
            issuer::start(&mut world, issuer, store, sockets.issuer, manner, clock).await?;
        }
        if let (Some(control), Some(store)) = (&settings.control, store) {
            let state = control::State { store, is_new };
            control::start(&mut world, control, state, sockets.control, manner, clock).await?;
        }
        if let Some(gateway) = settings.gateway {
            let key = gateway::start(&mut world, gateway, sockets.gateway, manner, clock)?;
            if let (Some(demo), Some(socket), Some(key)) = (demo, sockets.upstream, key) {
                let router = demo.router(key, Arc::clone(clock));
                world.serve(socket, router);
            }
        }
        if let Some(socket) = sockets.management {
            let router = world.management.router();
            world.serve(socket, router);
        }
        world.management.started();
        Ok(world)
    }

    /// Answers once `stop` has resolved and everything in flight was answered,
    /// or `patience` has passed.
    pub(crate) async fn run_until(
        mut self,
        stop: impl Future<Output = ()>,
        patience: Duration,
    ) -> Drained {
        stop.await;
        self.drain(patience).await
    }

    /// Waits until every readiness check passes; answers with those that do not
    /// when the time is up.
    pub(crate) async fn ready_within(&self, limit: Duration) -> Result<(), String> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let checks = self.readiness.iter().flat_map(|source| source());
            let failing: Vec<String> = checks
                .filter(|check| !check.ok)
                .map(|check| format!("{} ({})", check.name, check.detail))
                .collect();
            if failing.is_empty() {
                return Ok(());
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(failing.join(", "));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Stops: no new connections, requests in flight may take `patience`.
    pub(crate) async fn drain(&mut self, patience: Duration) -> Drained {
        self.trigger.drain(patience);
        let mut cut = 0;
        while let Some(ended) = self.listeners.join_next().await {
            match ended {
                Ok(Drained::Clean) => {}
                Ok(Drained::Cut { connections }) => cut += connections,
                Err(_) => cut += 1,
            }
        }
        // Workers end by themselves at the shutdown; one that hangs is let go.
        let workers = async { while self.workers.join_next().await.is_some() {} };
        drop(tokio::time::timeout(WORKERS_END_WITHIN, workers).await);
        self.workers.abort_all();
        if cut == 0 {
            Drained::Clean
        } else {
            Drained::Cut { connections: cut }
        }
    }

    /// Serves on a bound socket.
    fn serve<S, B>(&mut self, socket: Bound, service: S)
    where
        S: Serve<B> + Sync,
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let shutdown = self.shutdown.clone();
        self.listeners.spawn(socket.serve(service, shutdown));
    }

    /// Adds readiness checks.
    fn ready_when(&mut self, source: impl Fn() -> Vec<Check> + Send + Sync + 'static) {
        let source: ReadinessSource = Arc::new(source);
        self.readiness.push(Arc::clone(&source));
        self.management = std::mem::take(&mut self.management).with_readiness(move || source());
    }

    /// Adds metrics.
    fn measure(&mut self, source: impl Fn() -> String + Send + Sync + 'static) {
        self.management = std::mem::take(&mut self.management).with_metrics(source);
    }

    /// Runs a task beside the listeners.
    fn work(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.workers.spawn(task);
    }

    /// Runs something every `period` until the shutdown.
    fn work_every<F>(&mut self, period: Duration, mut task: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let mut shutdown = self.shutdown.clone();
        self.work(async move {
            let mut ticks = tokio::time::interval(period);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = shutdown.begun() => return,
                    _ = ticks.tick() => task().await,
                }
            }
        });
    }
}

fn open_store(settings: &StoreSettings, clock: &Arc<dyn Clock>) -> Result<Store, Failure> {
    let options = StoreOptions {
        kek: Some(Zeroizing::new(*settings.key_encryption_key)),
        node: "control-1".to_owned(),
        clock: Arc::clone(clock),
    };
    Store::open(&settings.path, options).map_err(|error| Failure::lifecycle(chain(&error)))
}

const WORKERS_END_WITHIN: Duration = Duration::from_secs(2);
