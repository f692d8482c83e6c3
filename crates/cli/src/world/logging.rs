//! The log of services, on stderr: text on a terminal, else one JSON object a
//! line. `KEYBOUND_LOG` is the least level shown: `error`, `warn`, `info`,
//! `debug`, `trace` or `off`.
//!
//! Nothing logs tokens, proofs or keys at any level.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::context::Context;
use crate::moment;

/// Starts the log. A second call in one process changes nothing.
pub(crate) fn start(context: &Context, default: LevelFilter) {
    let level = context
        .environment
        .text("KEYBOUND_LOG")
        .and_then(|text| text.parse::<LevelFilter>().ok())
        .unwrap_or(default);
    let time = Moments {
        clock: std::sync::Arc::clone(&context.clock),
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_timer(time)
        .with_writer(std::io::stderr)
        .with_target(false);
    let started = if std::io::stderr().is_terminal() {
        let choice = anstream::AutoStream::choice(&std::io::stderr());
        let ansi = choice != anstream::ColorChoice::Never;
        tracing::subscriber::set_global_default(builder.with_ansi(ansi).finish())
    } else {
        let json = builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false);
        tracing::subscriber::set_global_default(json.finish())
    };
    drop(started);
}

/// Log times come from the one clock.
#[derive(Debug)]
struct Moments {
    clock: std::sync::Arc<dyn keybound_proto::time::Clock>,
}

impl FormatTime for Moments {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        let milliseconds = self.clock.now_millis();
        let second = moment::rfc3339(milliseconds / 1_000);
        let second = second.trim_end_matches('Z');
        write!(writer, "{second}.{:03}Z", milliseconds % 1_000)
    }
}
