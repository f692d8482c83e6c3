//! The probe in a world: waiting turns the clock.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use keybound_holder::Secret;
use keybound_probe::{BoundToken, Credentials, ResourceServer, Timing, TokenIssuer};
use keybound_proto::jose::Signer;
use keybound_proto::time::{Clock, ManualClock};
use keybound_proto::uri::HttpUrl;

use crate::World;

/// A clock that moves when somebody waits for it.
#[derive(Clone, Debug)]
pub struct TurnedClock(pub ManualClock);

impl Clock for TurnedClock {
    fn now_millis(&self) -> u64 {
        self.0.now_millis()
    }
}

impl Timing for TurnedClock {
    fn wait(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.0.advance_millis(milliseconds);
        Box::pin(async {})
    }
}

impl World {
    /// The clock as the probe wants it.
    #[must_use]
    pub fn timing(&self) -> Arc<dyn Timing> {
        Arc::new(TurnedClock(self.clock.clone()))
    }

    /// The gateway's route `/approvals` as a target of the probe, with every credential there is.
    pub async fn probed(&self) -> ResourceServer {
        let key: Arc<dyn Signer> = Arc::<_>::clone(&self.agent.proof_key) as _;
        let other = crate::Agent::new("other");
        let token = Secret::new(self.token().await);
        let mut credentials = Credentials::new(BoundToken { token, key });
        credentials.other = Some(BoundToken {
            token: Secret::new(self.token_for(&other).await),
            key: Arc::<_>::clone(&other.proof_key) as _,
        });
        credentials.issuer = Some(TokenIssuer {
            issuer: self.issuer.clone(),
            audience: format!("{}/", self.gateway),
            kid: Some(self.issuer_key.0.clone()),
            scope: "approvals:read".to_owned(),
            key: Arc::<_>::clone(&self.issuer_key.1) as _,
        });
        let url = HttpUrl::parse(&format!("{}/approvals", self.gateway)).expect("a URL");
        ResourceServer::new(url, credentials)
    }
}
