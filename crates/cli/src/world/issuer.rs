//! The issuer, its key rotation and its readiness.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keybound_control::Store;
use keybound_edge::listener::Bound;
use keybound_edge::management::Check;
use keybound_guard::EventSink;
use keybound_issuer::Issuer;
use keybound_proto::time::Clock;

use super::{Manner, World, front};
use crate::config::settings::IssuerSettings;
use crate::failure::{Failure, chain};

/// Starts the issuer on its socket.
pub(super) async fn start(
    world: &mut World,
    settings: IssuerSettings,
    store: Store,
    sockets: Vec<Bound>,
    manner: Manner,
    clock: &Arc<dyn Clock>,
) -> Result<(), Failure> {
    let mut config = settings.config;
    config.error_detail = manner.error_detail;
    let certificates = config.certificates.as_ref();
    let has_alias = certificates.is_some_and(|certificates| certificates.alias.is_some());
    let sink: Arc<dyn EventSink> = Arc::new(store.clone());
    front::watch(world, "issuer", &settings.front, (sink, "issuer-1"), clock);
    let issuer = Issuer::start(config, store, Arc::clone(clock))
        .await
        .map_err(|error| Failure::lifecycle(chain(&error)))?;
    if let Some(file) = settings.nonce_secret_file {
        let issuer = issuer.clone();
        super::nonces::follow(world, file, move |current, also| {
            issuer.set_nonce_secrets(current, also);
        });
    }
    let mut sockets = sockets;
    let with_tls = settings.front.tls.as_ref().and_then(|_| sockets.pop());
    for socket in sockets {
        world.serve(socket, issuer.router());
    }
    if let Some(socket) = with_tls {
        // Behind an alias `htu` names the alias, and the plain endpoints are elsewhere.
        let router = if has_alias {
            issuer.alias_router()
        } else {
            issuer.router()
        };
        world.serve(socket, router);
    }
    watch(world, &issuer);
    Ok(())
}

/// Rotates keys when due, and keeps the readiness report fresh: probes must not
/// wait for the disk.
fn watch(world: &mut World, issuer: &Issuer) {
    let measured = issuer.clone();
    world.measure(move || measured.metrics());
    let unknown = Check {
        name: "issuer".to_owned(),
        ok: false,
        detail: "not looked at yet".to_owned(),
    };
    let report = Arc::new(Mutex::new(vec![unknown]));
    let shown = Arc::clone(&report);
    world.ready_when(move || shown.lock().unwrap_or_else(PoisonError::into_inner).clone());
    let watched = issuer.clone();
    world.work_every(READINESS_EVERY, move || {
        let (issuer, report) = (watched.clone(), Arc::clone(&report));
        async move {
            let checks = issuer.readiness().await.into_iter().map(|check| Check {
                name: check.name.to_owned(),
                ok: check.ok,
                detail: check.detail,
            });
            *report.lock().unwrap_or_else(PoisonError::into_inner) = checks.collect();
        }
    });
    let rotated = issuer.clone();
    world.work_every(ROTATION_EVERY, move || {
        let issuer = rotated.clone();
        async move {
            if let Err(error) = issuer.rotate_if_due().await {
                tracing::error!(error = %chain(&error), "signing keys could not be rotated; the present ones stay in use until they retire");
            }
        }
    });
}

const READINESS_EVERY: Duration = Duration::from_secs(2);
const ROTATION_EVERY: Duration = Duration::from_secs(60);
