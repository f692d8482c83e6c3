//! The probe in a world: waiting turns the clock.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use keybound_holder::Secret;
use keybound_probe::{BoundToken, Credentials, ResourceServer, Revoker, Timing, TokenIssuer};
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
        // The other parts of the world run on real time between two readings of the clock.
        Box::pin(tokio::time::sleep(duration.min(Duration::from_millis(10))))
    }
}

/// Gets tokens from a world's issuer and revokes them there.
#[derive(Debug)]
pub struct WorldRevoker(pub Arc<World>);

impl Revoker for WorldRevoker {
    fn fresh(&self) -> Pin<Box<dyn Future<Output = Result<Secret, String>> + Send + '_>> {
        Box::pin(async { Ok(Secret::new(self.0.token().await)) })
    }

    fn revoke<'a>(
        &'a self,
        token: &'a Secret,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(async {
            let form = self
                .0
                .authenticated_form()
                .parameter("token", token.expose());
            let answer = form.send(&self.0.issuer, "/revoke").await;
            (answer.status == 200)
                .then_some(())
                .ok_or_else(|| format!("{answer:?}"))
        })
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
