//! What runs beside the listeners of issuer and gateway: their TLS files are read again when
//! they change, and certificate fields that nobody may send are told in sums.

use std::sync::Arc;
use std::time::Duration;

use keybound_edge::forwarded_certificate::{CertificateHeaders, Ignored};
use keybound_edge::listener::tls::{Reloaded, Tls};
use keybound_guard::EventSink;
use keybound_proto::event::{Event, EventKind};
use keybound_proto::time::Clock;

use super::World;
use crate::config::settings::FrontSettings;
use crate::failure::chain;

/// Watches the listeners of `name`. Events go to the sink, as the node's.
pub(super) fn watch(
    world: &mut World,
    name: &'static str,
    front: &FrontSettings,
    (sink, node): (Arc<dyn EventSink>, &str),
    clock: &Arc<dyn Clock>,
) {
    if let Some(with) = &front.tls {
        watch_files(world, name, with.tls.clone());
    }
    if let Some(headers) = &front.certificate_headers {
        let reporter = Reporter {
            headers: headers.clone(),
            sink,
            node: node.to_owned(),
            clock: Arc::clone(clock),
        };
        let reporter = Arc::new(reporter);
        world.work_every(REPORT_EVERY, move || {
            let reporter = Arc::clone(&reporter);
            async move { reporter.report() }
        });
    }
}

fn watch_files(world: &mut World, name: &'static str, tls: Tls) {
    let (ready, measured) = (tls.clone(), tls.clone());
    world.ready_when(move || vec![ready.readiness(format!("{name}.tls"))]);
    world.measure(move || {
        let (done, failed) = measured.handshakes();
        format!(
            "# HELP keybound_{name}_tls_handshakes_total TLS handshakes by outcome.\n\
             # TYPE keybound_{name}_tls_handshakes_total counter\n\
             keybound_{name}_tls_handshakes_total{{outcome=\"done\"}} {done}\n\
             keybound_{name}_tls_handshakes_total{{outcome=\"failed\"}} {failed}\n"
        )
    });
    world.work_every(RELOAD_EVERY, move || {
        let tls = tls.clone();
        async move { drop(tokio::task::spawn_blocking(move || reload(name, &tls)).await) }
    });
}

/// Reads the files of a listener again; says what came of it.
pub(crate) fn reload(name: &str, tls: &Tls) {
    let before = tls.readiness(name).detail;
    match tls.reload() {
        Ok(Reloaded::Unchanged) => {}
        Ok(Reloaded::Changed) => {
            tracing::info!(listener = name, "TLS files were read again and are in use");
        }
        // Once for each problem, not every few seconds.
        Err(_) if tls.readiness(name).detail == before => {}
        Err(error) => {
            let error = chain(&error);
            tracing::error!(listener = name, %error, "TLS files cannot be used; those read before stay in use");
        }
    }
}

/// Tells of certificate fields that came from peers which are no terminators.
struct Reporter {
    headers: CertificateHeaders,
    sink: Arc<dyn EventSink>,
    node: String,
    clock: Arc<dyn Clock>,
}

impl Reporter {
    fn report(&self) {
        let Some(Ignored {
            requests,
            last_peer,
        }) = self.headers.take_ignored()
        else {
            return;
        };
        tracing::warn!(requests, %last_peer, "certificate fields from peers that are no terminators were ignored");
        let mut random = [0; 16];
        if aws_lc_rs::rand::fill(&mut random).is_err() {
            return;
        }
        let now = self.clock.now_millis();
        let event = Event::new(
            &random,
            now,
            &self.node,
            EventKind::CertificateHeaderIgnored,
        )
        .with_peer(last_peer.to_string())
        .with_count(requests);
        self.sink.record(event);
    }
}

const RELOAD_EVERY: Duration = Duration::from_secs(10);
const REPORT_EVERY: Duration = Duration::from_secs(5);
