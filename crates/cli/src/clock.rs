//! The one place that reads the wall clock. Everything below this crate gets
//! the time as an argument or through [`Clock`].

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keybound_probe::Timing;
use keybound_proto::time::{Clock, UnixTime};

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.now_millis() / 1000)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one SystemClock; the command line hands time to everything else"
    )]
    fn now_millis(&self) -> u64 {
        // A clock before 1970 reads as 1970: every token is then not yet valid,
        // and the issuer refuses to issue, so the fault shows at once.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| {
                u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
            })
    }
}

impl Timing for SystemClock {
    fn wait(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(duration))
    }
}
