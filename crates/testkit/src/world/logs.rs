//! Everything any part logs, kept in memory.

use std::io;
use std::sync::{Mutex, Once};

use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

static TEXT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Sink;

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        TEXT.lock()
            .expect("no writer panics")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts keeping logs; later calls change nothing.
pub(super) fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let ours = [
            "keybound_proto",
            "keybound_guard",
            "keybound_holder",
            "keybound_control",
            "keybound_issuer",
            "keybound_edge",
        ];
        let targets = Targets::new()
            .with_targets(ours.map(|name| (name, Level::TRACE)))
            .with_default(Level::DEBUG);
        let layer = tracing_subscriber::fmt::layer()
            .json()
            .with_writer(|| Sink)
            .with_filter(targets);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::set_global_default(subscriber).expect("the only subscriber");
    });
}

/// What was logged so far.
pub(super) fn text() -> String {
    String::from_utf8_lossy(&TEXT.lock().expect("no writer panics")).into_owned()
}
