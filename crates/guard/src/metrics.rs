//! Counters and their Prometheus text form (exposition format 0.0.4).
//!
//! Labels come from fixed sets and configured route names only, never from a
//! request: no key, token, subject or path. Counting is a relaxed atomic add.
//!
//! Serves no HTTP; the management listener does.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use keybound_proto::binding::BindingMethod;
use keybound_proto::cause::Cause;
use keybound_proto::decision::DecidedBinding;
use keybound_proto::event::TheftSignal;

use self::histogram::Histogram;

mod histogram;

/// More distinct route names than this share one label.
const MAX_ROUTES: usize = 256;

/// The label of routes beyond [`MAX_ROUTES`].
const OTHER_ROUTES: &str = "other";

/// What a guard counts.
pub struct Metrics {
    /// By position in [`Cause::ALL`].
    causes: Vec<AtomicU64>,
    /// Refusals without a genuine token since they were last reported.
    unreported: Vec<AtomicU64>,
    signals: Vec<AtomicU64>,
    routes: ArcSwap<HashMap<String, Arc<RouteCounters>>>,
    verify_duration: Histogram,
    propagation: Histogram,
}

/// Results on one route, by position in [`DecidedBinding::ALL`].
#[derive(Default)]
struct RouteCounters {
    accepted: [AtomicU64; DecidedBinding::ALL.len()],
    refused: [AtomicU64; DecidedBinding::ALL.len()],
}

/// A number read from elsewhere when the metrics are rendered.
pub(crate) struct Gauge {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    /// `gauge` or `counter`.
    pub(crate) kind: &'static str,
    pub(crate) value: u64,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let zeros = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        Self {
            causes: zeros(Cause::ALL.len()),
            unreported: zeros(Cause::ALL.len()),
            signals: zeros(TheftSignal::ALL.len()),
            routes: ArcSwap::default(),
            verify_duration: Histogram::new(&[
                50, 100, 250, 500, 1000, 2500, 5000, 10_000, 50_000, 250_000, 1_000_000, 5_000_000,
            ]),
            propagation: Histogram::new(&[
                1000, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
                5_000_000, 30_000_000,
            ]),
        }
    }

    /// Counts the time from a lock to its effect at this node.
    pub fn observe_propagation(&self, time: Duration) {
        self.propagation.observe(time);
    }

    /// How often a cause was the reason of a refusal.
    #[must_use]
    pub fn refusals(&self, cause: Cause) -> u64 {
        position(Cause::ALL, &cause)
            .and_then(|index| self.causes.get(index))
            .map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    pub(crate) fn decided(
        &self,
        route: &str,
        binding: DecidedBinding,
        accepted: bool,
        time: Duration,
    ) {
        self.verify_duration.observe(time);
        let counters = self.route(route);
        let results = if accepted {
            &counters.accepted
        } else {
            &counters.refused
        };
        increment(results, position(&DecidedBinding::ALL, &binding));
    }

    pub(crate) fn refused(&self, cause: Cause) {
        increment(&self.causes, position(Cause::ALL, &cause));
    }

    pub(crate) fn signalled(&self, signal: TheftSignal) {
        increment(&self.signals, position(&TheftSignal::ALL, &signal));
    }

    pub(crate) fn leave_for_report(&self, cause: Cause) {
        increment(&self.unreported, position(Cause::ALL, &cause));
    }

    /// The causes of refusals without a genuine token since the last call, with
    /// their counts.
    pub(crate) fn take_unreported(&self) -> Vec<(Cause, u64)> {
        let taken = Cause::ALL.iter().zip(&self.unreported);
        taken
            .map(|(cause, counter)| (*cause, counter.swap(0, Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    fn route(&self, name: &str) -> Arc<RouteCounters> {
        if let Some(counters) = self.routes.load().get(name) {
            return Arc::clone(counters);
        }
        let added = self.routes.rcu(|routes| {
            let mut routes = HashMap::clone(routes);
            let name = if routes.len() < MAX_ROUTES {
                name
            } else {
                OTHER_ROUTES
            };
            routes.entry(name.to_owned()).or_default();
            routes
        });
        drop(added);
        let routes = self.routes.load();
        let counters = routes.get(name).or_else(|| routes.get(OTHER_ROUTES));
        counters.map(Arc::clone).unwrap_or_default()
    }

    pub(crate) fn render(&self, gauges: &[Gauge]) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text, gauges);
        text
    }

    fn write(&self, text: &mut String, gauges: &[Gauge]) -> fmt::Result {
        self.write_routes(text)?;
        header(
            text,
            "keybound_refusals_total",
            "counter",
            "Refused requests by cause.",
        )?;
        for (cause, counter) in Cause::ALL.iter().zip(&self.causes) {
            let count = counter.load(Ordering::Relaxed);
            if count > 0 {
                let label = cause.metric_label();
                writeln!(text, "keybound_refusals_total{{cause=\"{label}\"}} {count}")?;
            }
        }
        let help = "Refused requests with a genuine token, by sign of theft.";
        header(text, "keybound_replay_attempts_total", "counter", help)?;
        for (signal, counter) in TheftSignal::ALL.iter().zip(&self.signals) {
            let count = counter.load(Ordering::Relaxed);
            writeln!(
                text,
                "keybound_replay_attempts_total{{kind=\"{signal}\"}} {count}"
            )?;
        }
        let help = "Time to decide one request.";
        self.verify_duration
            .write(text, "keybound_verify_duration_seconds", help)?;
        let help = "Time from a lock to its effect at this node.";
        self.propagation
            .write(text, "keybound_revocation_propagation_seconds", help)?;
        for gauge in gauges {
            header(text, gauge.name, gauge.kind, gauge.help)?;
            writeln!(text, "{} {}", gauge.name, gauge.value)?;
        }
        Ok(())
    }

    fn write_routes(&self, text: &mut String) -> fmt::Result {
        let name = "keybound_requests_verified_total";
        header(
            text,
            name,
            "counter",
            "Decided requests by route, binding and result.",
        )?;
        let routes = self.routes.load();
        let mut sorted: Vec<_> = routes.iter().collect();
        sorted.sort_unstable_by_key(|(route, _)| route.as_str());
        for (route, counters) in sorted {
            let route = label_value(route);
            let results = [
                ("accepted", &counters.accepted),
                ("refused", &counters.refused),
            ];
            for (result, counters) in results {
                for (binding, counter) in DecidedBinding::ALL.iter().zip(counters) {
                    let count = counter.load(Ordering::Relaxed);
                    // Methods nobody uses here are left out, but for the usual one.
                    if count > 0 || *binding == DecidedBinding::Bound(BindingMethod::Dpop) {
                        let binding = binding.name();
                        let labels =
                            format!("route=\"{route}\",binding=\"{binding}\",result=\"{result}\"");
                        writeln!(text, "{name}{{{labels}}} {count}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn increment(counters: &[AtomicU64], index: Option<usize>) {
    if let Some(counter) = index.and_then(|index| counters.get(index)) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn position<T: PartialEq>(all: &[T], one: &T) -> Option<usize> {
    all.iter().position(|known| known == one)
}

fn header(text: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

/// Escapes what the format gives a meaning.
fn label_value(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sc_312_route_labels_are_bounded() {
        let metrics = Metrics::new();
        for route in 0..10_000 {
            let binding = DecidedBinding::Bound(BindingMethod::Dpop);
            metrics.decided(&route.to_string(), binding, true, Duration::ZERO);
        }
        let text = metrics.render(&[]);
        let lines = text
            .lines()
            .filter(|line| line.contains("result=\"accepted\""));
        assert_eq!(lines.count(), MAX_ROUTES + 1);
        assert!(
            text.contains("route=\"other\",binding=\"dpop\",result=\"accepted\"} 9744\n"),
            "{text}"
        );
    }

    #[test]
    fn text_form_is_what_prometheus_reads() {
        let metrics = Metrics::new();
        let binding = DecidedBinding::Bound(BindingMethod::Dpop);
        metrics.decided("a\"b\\c\n", binding, false, Duration::from_micros(300));
        let binding = DecidedBinding::Bound(BindingMethod::Mtls);
        metrics.decided("a\"b\\c\n", binding, true, Duration::from_secs(9));
        metrics.refused(Cause::DpopReplayed);
        metrics.signalled(TheftSignal::JtiReuse);
        let text = metrics.render(&[Gauge {
            name: "keybound_replay_store_entries",
            help: "Records.",
            kind: "gauge",
            value: 3,
        }]);
        for line in [
            r#"keybound_requests_verified_total{route="a\"b\\c\n",binding="dpop",result="refused"} 1"#,
            r#"keybound_requests_verified_total{route="a\"b\\c\n",binding="mtls",result="accepted"} 1"#,
            r#"keybound_refusals_total{cause="dpop.replayed"} 1"#,
            r#"keybound_replay_attempts_total{kind="jti_reuse"} 1"#,
            r#"keybound_verify_duration_seconds_bucket{le="0.00025"} 0"#,
            r#"keybound_verify_duration_seconds_bucket{le="0.0005"} 1"#,
            r#"keybound_verify_duration_seconds_bucket{le="+Inf"} 2"#,
            "keybound_verify_duration_seconds_sum 9.0003",
            "keybound_verify_duration_seconds_count 2",
            "keybound_replay_store_entries 3",
        ] {
            assert!(
                text.lines().any(|written| written == line),
                "{line} not in\n{text}"
            );
        }
    }

    #[test]
    fn unreported_refusals_are_taken_once() {
        let metrics = Metrics::new();
        metrics.leave_for_report(Cause::DpopMalformed);
        metrics.leave_for_report(Cause::DpopMalformed);
        assert_eq!(metrics.take_unreported(), [(Cause::DpopMalformed, 2)]);
        assert!(metrics.take_unreported().is_empty());
    }
}
