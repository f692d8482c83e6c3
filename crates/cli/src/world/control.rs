//! The control plane: admin API, event log, signals to gateways.

use std::sync::Arc;
use std::time::Duration;

use keybound_control::{ControlConfig, SetSigner, Store, router};
use keybound_edge::listener::Bound;
use keybound_edge::management::Check;
use keybound_guard::{EventSink, Guard, GuardConfig, IssuerConfig};
use keybound_proto::jose::AlgorithmSet;
use keybound_proto::time::Clock;
use keybound_proto::uri::HttpUrl;

use super::{Manner, World};
use crate::config::secret::random32;
use crate::config::settings::ControlSettings;
use crate::failure::{Failure, chain};

/// Starts control on its socket.
pub(super) async fn start(
    world: &mut World,
    settings: &ControlSettings,
    state: State,
    socket: Option<Bound>,
    manner: Manner,
    clock: &Arc<dyn Clock>,
) -> Result<(), Failure> {
    let State { store, is_new } = state;
    let signer = SetSigner::from_store(&store, clock.now())
        .await
        .map_err(|error| Failure::lifecycle(chain(&error)))?;
    let guard = guard(settings, is_new, Arc::new(store.clone()), clock)?;
    let config = ControlConfig {
        url: url(settings)?,
        resource: format!("{}/", settings.url),
        token_issuer: settings.issuer.as_str().to_owned(),
        authorization_servers: vec![settings.issuer.as_str().to_owned()],
        guard: guard.clone(),
        signer,
        error_detail: manner.error_detail,
    };
    if let Some(socket) = socket {
        world.serve(socket, router(config, store, Arc::clone(clock)));
    }
    let ready = guard.clone();
    world.ready_when(move || ready.readiness().into_iter().map(check).collect());
    world.work_every(MAINTAIN_EVERY, move || {
        let guard = guard.clone();
        async move { guard.maintain().await }
    });
    Ok(())
}

/// The store, and whether this is its first start.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) store: Store,
    pub(super) is_new: bool,
}

/// Checks the callers of the admin API. It follows no feed: control asks its
/// own store about locks.
fn guard(
    settings: &ControlSettings,
    is_new: bool,
    sink: Arc<dyn EventSink>,
    clock: &Arc<dyn Clock>,
) -> Result<Guard, Failure> {
    let mut issuer = IssuerConfig::new(settings.issuer.clone());
    issuer.algorithms = AlgorithmSet::TOKEN_DEFAULT;
    let nonce_secret =
        random32().ok_or_else(|| Failure::internal("this machine gives no random bytes"))?;
    let mut config = GuardConfig::new("control-1", vec![issuer], *nonce_secret);
    config.replay.first_run = is_new;
    Guard::new(config, Arc::clone(clock), sink).map_err(|error| Failure::config(chain(&error)))
}

fn url(settings: &ControlSettings) -> Result<HttpUrl, Failure> {
    let text = settings.url.to_string();
    HttpUrl::parse(&text).map_err(|error| Failure::config(format!("`control.url`: {error}")))
}

fn check(check: keybound_guard::ReadinessCheck) -> Check {
    Check {
        name: format!("control.{}", check.name),
        ok: check.ok,
        detail: check.detail,
    }
}

const MAINTAIN_EVERY: Duration = Duration::from_secs(5);
