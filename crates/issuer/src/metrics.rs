//! Counters of the issuer in the Prometheus text format: tokens by binding,
//! refusals by cause. Labels come from closed sets, so no caller can grow them.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use keybound_proto::cause::Cause;

/// What the issuer counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    bound: AtomicU64,
    unbound: AtomicU64,
    revoked: AtomicU64,
    /// One per cause, in the order of [`Cause::ALL`].
    refused: Vec<AtomicU64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            bound: AtomicU64::new(0),
            unbound: AtomicU64::new(0),
            revoked: AtomicU64::new(0),
            refused: Cause::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(crate) fn issued(&self, is_bound: bool) {
        let counter = if is_bound { &self.bound } else { &self.unbound };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn revoked(&self) {
        self.revoked.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self, cause: Cause) {
        // The enum is declared in the order of `ALL`.
        if let Some(counter) = self.refused.get(cause as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All counters; causes that never happened are left out.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        text.push_str("# TYPE keybound_tokens_issued_total counter\n");
        for (binding, counter) in [("dpop", &self.bound), ("none", &self.unbound)] {
            let count = read(counter);
            let labels = format!("grant=\"client_credentials\",binding=\"{binding}\"");
            // Writing to a String cannot fail.
            let _ = writeln!(text, "keybound_tokens_issued_total{{{labels}}} {count}");
        }
        text.push_str("# TYPE keybound_tokens_revoked_total counter\n");
        let _ = writeln!(
            text,
            "keybound_tokens_revoked_total {}",
            read(&self.revoked)
        );
        text.push_str("# TYPE keybound_issuer_refusals_total counter\n");
        for (cause, counter) in Cause::ALL.iter().zip(&self.refused) {
            let count = read(counter);
            if count > 0 {
                let label = cause.metric_label();
                let _ = writeln!(
                    text,
                    "keybound_issuer_refusals_total{{cause=\"{label}\"}} {count}"
                );
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;
    use keybound_proto::cause::Cause;

    #[test]
    fn every_cause_has_its_own_counter() {
        for cause in Cause::ALL {
            let metrics = Metrics::new();
            metrics.refused(*cause);
            let line = format!(
                "keybound_issuer_refusals_total{{cause=\"{}\"}} 1\n",
                cause.metric_label()
            );
            assert!(metrics.render().ends_with(&line), "{cause}");
        }
    }
}
