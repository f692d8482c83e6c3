//! Pauses between attempts: doubling, with jitter, up to a limit.

use std::time::Duration;

/// Doubles from a first pause to a longest one. Each pause is a random part, between a half
/// and all, of its nominal length, so that many gateways do not come back at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    /// Begins anew after a success.
    pub(crate) const fn reset(&mut self) {
        self.next = self.first;
    }

    /// Waits one pause and lengthens the next.
    pub(crate) async fn wait(&mut self) {
        let pause = self.take();
        tokio::time::sleep(pause).await;
    }

    fn take(&mut self) -> Duration {
        let mut random = [0; 1];
        // Without random numbers the pause is merely not spread.
        let _ = aws_lc_rs::rand::fill(&mut random);
        let nominal = self.next;
        self.next = (nominal * 2).min(self.longest);
        nominal / 2 + (nominal / 2) * u32::from(random[0]) / 255
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew() {
        let seconds = Duration::from_secs;
        let mut backoff = Backoff::new(seconds(1), seconds(5));
        for nominal in [1, 2, 4, 5, 5] {
            let pause = backoff.take();
            assert!(
                pause >= seconds(nominal) / 2 && pause <= seconds(nominal),
                "{pause:?}"
            );
        }
        backoff.reset();
        assert!(backoff.take() <= seconds(1));
    }
}
