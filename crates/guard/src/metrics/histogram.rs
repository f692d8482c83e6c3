//! A histogram with fixed bounds in microseconds.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(super) struct Histogram {
    bounds: &'static [u64],
    /// One counter per bound and one for what is above them all; not cumulative.
    counts: Vec<AtomicU64>,
    sum_micros: AtomicU64,
}

impl Histogram {
    pub(super) fn new(bounds: &'static [u64]) -> Self {
        let counts = bounds.iter().chain(&[u64::MAX]);
        Self {
            bounds,
            counts: counts.map(|_| AtomicU64::new(0)).collect(),
            sum_micros: AtomicU64::new(0),
        }
    }

    pub(super) fn observe(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let index = self.bounds.partition_point(|bound| *bound < micros);
        if let Some(counter) = self.counts.get(index) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn write(&self, text: &mut String, name: &str, help: &str) -> fmt::Result {
        super::header(text, name, "histogram", help)?;
        let mut total: u64 = 0;
        let mut counts = self
            .counts
            .iter()
            .map(|counter| counter.load(Ordering::Relaxed));
        for (bound, count) in self.bounds.iter().zip(counts.by_ref()) {
            total = total.saturating_add(count);
            let bound = seconds(*bound);
            writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {total}")?;
        }
        total = counts.fold(total, u64::saturating_add);
        let sum = seconds(self.sum_micros.load(Ordering::Relaxed));
        writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {total}")?;
        writeln!(text, "{name}_sum {sum}\n{name}_count {total}")
    }
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}
