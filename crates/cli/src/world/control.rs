//! The control plane.

use std::sync::Arc;

use keybound_control::Store;
use keybound_edge::listener::Bound;
use keybound_proto::time::Clock;

use super::{Manner, World};
use crate::config::settings::ControlSettings;
use crate::failure::Failure;

/// Starts control on its socket.
pub(super) async fn start(
    _world: &mut World,
    _settings: &ControlSettings,
    _store: Store,
    _socket: Option<Bound>,
    _manner: Manner,
    _clock: &Arc<dyn Clock>,
) -> Result<(), Failure> {
    Err(Failure::internal("control is not wired yet"))
}
