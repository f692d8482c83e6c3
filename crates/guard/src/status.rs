//! Status lists of one issuer (draft-ietf-oauth-status-list-21 section 8):
//! fetched, verified with the issuer's own keys, kept for as long as they say.
//!
//! A token is looked up after its possession was proven, so that only holders of
//! genuine tokens cause fetches. A list is fetched from the issuer's origin or
//! from one that was listed; it is fetched once for everybody who waits for it,
//! and not again for five seconds after a failure. Without an acceptable list
//! that is no older than it may be, the token is refused with
//! `status_list.unavailable` or `status_list.invalid`; a place that says nothing
//! usable is `token.status.unknown` (SC-221).

use std::convert::Infallible;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use keybound_proto::Rejection;
use keybound_proto::cause::Cause;
use keybound_proto::time::{Clock, UnixTime};
use keybound_proto::token::status_list::{
    ListFault, MAX_TEXT_BYTES, Status, StatusClaim, StatusList, StatusReference,
    UnverifiedStatusList,
};
use keybound_proto::token::{AccessToken, IssuerRules};
use keybound_proto::uri::{HttpUrl, Origin};
use quick_cache::sync::Cache;
use tokio::sync::Mutex;

use crate::fetch::Fetcher;
use crate::keys::IssuerKeys;

/// The most lists of one issuer that are kept.
const MAX_LISTS: usize = 64;

/// Seconds after a failure until a list is fetched again.
const PAUSE: u64 = 5;

const MEDIA_TYPE: &str = "application/statuslist+jwt";

/// Whether an issuer's status lists are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatusRule {
    /// Not at all.
    #[default]
    Ignore,
    /// Where a token names a place in one.
    Check,
    /// Always: a token without a place in one is refused.
    Require,
}

/// How an issuer's status lists are used.
#[derive(Clone, Debug, Default)]
pub struct StatusConfig {
    /// Whether they are looked at.
    pub rule: StatusRule,
    /// Origins beside the issuer's own that lists may be fetched from.
    pub origins: Vec<Origin>,
}

/// The lists of one issuer.
pub(crate) struct StatusLists {
    config: StatusConfig,
    issuer: HttpUrl,
    rules: IssuerRules,
    keys: Arc<IssuerKeys>,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    lists: Cache<String, Arc<Slot>>,
}

/// One list and the last attempt to fetch it.
#[derive(Default)]
struct Slot {
    held: ArcSwapOption<Held>,
    /// Held while fetching; the second of the last failure, and what it was.
    fetching: Mutex<Option<(UnixTime, Rejection)>>,
}

struct Held {
    list: StatusList,
    since: UnixTime,
    until: UnixTime,
}

impl StatusLists {
    /// `None` where they are not looked at.
    pub(crate) fn new(
        (config, issuer): (&StatusConfig, &HttpUrl),
        rules: &IssuerRules,
        keys: &Arc<IssuerKeys>,
        (fetcher, clock): (Fetcher, Arc<dyn Clock>),
    ) -> Option<Self> {
        (config.rule != StatusRule::Ignore).then(|| Self {
            config: config.clone(),
            issuer: issuer.clone(),
            rules: rules.clone(),
            keys: Arc::clone(keys),
            fetcher,
            clock,
            lists: Cache::new(MAX_LISTS),
        })
    }

    /// Whether the token counts, as its issuer's list says.
    ///
    /// # Errors
    ///
    /// `token.status.invalid`, `token.status.suspended`, `token.status.unknown`;
    /// `status_list.unavailable` or `status_list.invalid` where no list can say.
    pub(crate) async fn check(&self, token: &AccessToken) -> Result<(), Rejection> {
        let unknown = |got: &str| Err(Rejection::new(Cause::TokenStatusUnknown).got(got));
        let place = match token.status() {
            StatusClaim::List(place) => place,
            StatusClaim::Absent if self.config.rule == StatusRule::Require => {
                return unknown("no status");
            }
            StatusClaim::Absent => return Ok(()),
            StatusClaim::Unreadable => return unknown("a status in another form"),
        };
        let held = self.list(place).await?;
        match held.list.status(place.index) {
            Some(Status::Valid) => Ok(()),
            Some(Status::Invalid) => Err(Cause::TokenStatusInvalid.into()),
            Some(Status::Suspended) => Err(Cause::TokenStatusSuspended.into()),
            Some(Status::Other(value)) => unknown(&format!("status {value}")),
            None => unknown("a place beyond the end of the list"),
        }
    }

    async fn list(&self, place: &StatusReference) -> Result<Arc<Held>, Rejection> {
        let url = self.address(&place.uri)?;
        let slot = self.slot(&place.uri);
        if let Some(held) = self.usable(&slot) {
            return Ok(held);
        }
        let mut last_failure = slot.fetching.lock().await;
        // Somebody may have fetched it while this request waited.
        if let Some(held) = self.usable(&slot) {
            return Ok(held);
        }
        let now = self.clock.now();
        if let Some((at, rejection)) = &*last_failure
            && *at <= now
            && now.seconds_since(*at) < PAUSE
        {
            return Err(rejection.clone());
        }
        match self.fetch(&url, &place.uri).await {
            Ok(list) => {
                let since = self.clock.now();
                let until = list.usable_until(since);
                let held = Arc::new(Held { list, since, until });
                slot.held.store(Some(Arc::clone(&held)));
                *last_failure = None;
                Ok(held)
            }
            Err(rejection) => {
                let issuer = self.issuer.as_str();
                tracing::warn!(issuer, %rejection, "status list cannot be used");
                *last_failure = Some((self.clock.now(), rejection.clone()));
                Err(rejection)
            }
        }
    }

    /// Where the list is, if it may be there.
    fn address(&self, uri: &str) -> Result<HttpUrl, Rejection> {
        let unavailable = |got: &str| Rejection::new(Cause::StatusListUnavailable).got(got);
        let url = HttpUrl::parse(uri).map_err(|_| unavailable("an address that is no URL"))?;
        let allowed =
            url.origin() == self.issuer.origin() || self.config.origins.contains(url.origin());
        if !allowed {
            return Err(unavailable(&url.origin().to_string())
                .expected("a list at the issuer's origin, or one that is listed"));
        }
        Ok(url)
    }

    fn slot(&self, uri: &str) -> Arc<Slot> {
        let made = self
            .lists
            .get_or_insert_with(uri, || Ok::<_, Infallible>(Arc::default()));
        match made {
            Ok(slot) => slot,
            Err(never) => match never {},
        }
    }

    fn usable(&self, slot: &Slot) -> Option<Arc<Held>> {
        let now = self.clock.now();
        let held = slot.held.load_full()?;
        // A list from the future was fetched before the clock was set back.
        (held.since <= now && now < held.until).then_some(held)
    }

    async fn fetch(&self, url: &HttpUrl, uri: &str) -> Result<StatusList, Rejection> {
        let unavailable = |why: &str| {
            Rejection::new(Cause::StatusListUnavailable)
                .expected(url.without_query())
                .got(why)
        };
        let invalid = |fault: ListFault| {
            Rejection::new(Cause::StatusListInvalid)
                .expected(url.without_query())
                .got(fault.to_string())
        };
        let limits = (MEDIA_TYPE, MAX_TEXT_BYTES);
        let document = self.fetcher.get_typed(url, limits).await;
        let document = document.map_err(|error| unavailable(&error.to_string()))?;
        if document.media_type() != MEDIA_TYPE {
            return Err(unavailable("another media type"));
        }
        let list = UnverifiedStatusList::parse(&document.body, &self.rules).map_err(invalid)?;
        let keys = self.keys.find(list.query()).await.map_err(|rejection| {
            if rejection.cause() == Cause::TokenKeyUnknown {
                // The holder of the token is not to blame for the list.
                invalid(ListFault::Signature)
            } else {
                rejection
            }
        })?;
        let now = self.clock.now();
        let mut fault = ListFault::Signature;
        for key in keys {
            match list.verify(uri, self.rules.ahead, &key, now) {
                Ok(list) => return Ok(list),
                Err(other) => fault = other,
            }
        }
        Err(invalid(fault))
    }
}
