//! Asking issuers about tokens (RFC 7662, RFC 9701): for opaque tokens, and for
//! JWTs of issuers that want to be asked about each.
//!
//! - The endpoint is configured, or found in the issuer's metadata at the
//!   issuer's own origin. The guard authenticates with a secret or a key.
//! - One question per token at a time, shared by everybody who waits for it;
//!   how many are under way is bounded, in all and per peer.
//! - Answers are kept for one issuer and endpoint, token and resource: active
//!   ones for at most the configured time and never past `exp`, refusals for
//!   seconds. Locks and revocations clear them as they come in (SC-211, SC-212).
//! - No answer, a status other than 200, a redirect, another media type, more
//!   than 64 KiB: refused with `introspection.unavailable`; an answer that is
//!   not acceptable: `introspection.invalid`. Neither becomes a permission, and
//!   neither is remembered. While the server cannot be reached at all, it is
//!   tried once a second.
//!
//! A token is sent to the one issuer that is asked and to nobody else. Which one
//! that is, is decided in [`crate::Guard`]. Answers are not decrypted.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keybound_proto::cause::Cause;
use keybound_proto::jose::PublicKey;
use keybound_proto::time::Clock;
use keybound_proto::token::introspection::{ActiveRules, Asked, SignedAnswer};
use keybound_proto::token::{AccessToken, IssuerRules, TokenHash};
use keybound_proto::uri::HttpUrl;
use keybound_proto::{Rejection, base64url};
use parking_lot::Mutex;
use tokio::sync::watch;

use self::admission::{Admission, Place};
pub(crate) use self::cache::Answers;
use self::cache::{Active, Kept, Question, QuestionRef};
use self::client::Asker;
pub use self::client::{AnswerForm, AskError, IntrospectionClient, IntrospectionCredential};
use crate::fetch::Fetcher;
use crate::guard::random;
use crate::keys::document;
use crate::keys::{IssuerConfig, IssuerKeys};

mod admission;
mod cache;
mod client;

/// Time a question may wait for its turn at the endpoint.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// Milliseconds after an outage until the server is tried again.
const OUTAGE_PAUSE: u64 = 1000;

/// How an issuer is asked about tokens.
#[derive(Clone, Debug)]
pub struct IntrospectionConfig {
    /// Where; `None`: where the issuer's metadata says.
    pub endpoint: Option<HttpUrl>,
    /// Who asks.
    pub client: IntrospectionClient,
    /// In which form answers are taken.
    pub form: AnswerForm,
    /// Whether its JWTs are asked about as well, instead of being verified by signature.
    pub jwts: bool,
    /// What its opaque tokens begin with, where several issuers have some.
    pub token_prefix: Option<String>,
    /// The most seconds an active answer is kept.
    pub cache_ttl: u64,
    /// Seconds a refusal is kept.
    pub refusal_ttl: u64,
    /// The most questions at the endpoint at once.
    pub at_once: usize,
}

impl IntrospectionConfig {
    /// Opaque tokens only; JSON answers of the endpoint in the issuer's metadata, kept for 30
    /// seconds, refusals for 5; 32 questions at once.
    #[must_use]
    pub fn new(client: IntrospectionClient) -> Self {
        Self {
            endpoint: None,
            client,
            form: AnswerForm::Json,
            jwts: false,
            token_prefix: None,
            cache_ttl: 30,
            refusal_ttl: 5,
            at_once: 32,
        }
    }

    /// Whether keys of the issuer are needed at all.
    pub(crate) fn needs_keys(&self) -> bool {
        !self.jwts || self.form != AnswerForm::Json
    }
}

/// Asks one issuer.
pub(crate) struct Introspector {
    /// The issuer's place in the configuration.
    place: usize,
    url: HttpUrl,
    config: IntrospectionConfig,
    rules: IssuerRules,
    keys: Arc<IssuerKeys>,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    answers: Arc<Answers>,
    admission: Admission,
    flights: Mutex<HashMap<Question, watch::Receiver<Option<Outcome>>>>,
    contact: Mutex<Contact>,
    asked: AtomicU64,
    failed: AtomicU64,
}

type Outcome = Result<Arc<AccessToken>, Rejection>;

/// The last contact with the endpoint.
#[derive(Debug, Default)]
struct Contact {
    /// Where it is, and which one that is, counted from the start.
    discovered: Option<HttpUrl>,
    number: u64,
    heard: bool,
    failure: Option<String>,
    /// An answer about one token was none. That may be the token's doing, so it says nothing
    /// about the endpoint until it is tried with a token that nobody has.
    suspect: bool,
    /// Millisecond of the last outage.
    outage: Option<u64>,
}

/// What is known about an endpoint, for readiness and metrics.
#[derive(Clone, Debug)]
pub(crate) struct ContactStatus {
    pub(crate) usable: bool,
    pub(crate) detail: String,
    pub(crate) asked: u64,
    pub(crate) failed: u64,
    pub(crate) under_way: usize,
}

/// What every introspector of a guard shares.
pub(crate) struct Shared {
    pub(crate) fetcher: Fetcher,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) answers: Arc<Answers>,
}

impl Introspector {
    /// For the issuer at this place of the configuration; `None` if it is not asked.
    pub(crate) fn new(
        (place, issuer): (usize, &IssuerConfig),
        rules: &IssuerRules,
        keys: &Arc<IssuerKeys>,
        shared: &Shared,
    ) -> Option<Arc<Self>> {
        let config = issuer.introspection.clone()?;
        Some(Arc::new(Self {
            place,
            url: issuer.url.clone(),
            admission: Admission::new(config.at_once),
            config,
            rules: rules.clone(),
            keys: Arc::clone(keys),
            fetcher: shared.fetcher.clone(),
            clock: Arc::clone(&shared.clock),
            answers: Arc::clone(&shared.answers),
            flights: Mutex::default(),
            contact: Mutex::default(),
            asked: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }))
    }

    pub(crate) fn config(&self) -> &IntrospectionConfig {
        &self.config
    }

    /// The token, if an answer about it for this resource still counts.
    pub(crate) fn known(&self, hash: TokenHash, resource: &str) -> Option<Arc<AccessToken>> {
        let question = self.question(hash, resource);
        let active = self.answers.active(question, self.clock.now())?;
        let same_endpoint = active.endpoint == self.contact.lock().number;
        let still_signed = active
            .signed_by
            .is_none_or(|key| self.keys.vouches_for(&key));
        if same_endpoint && still_signed {
            return Some(active.token);
        }
        self.answers.forget(question);
        None
    }

    /// Asks about a token, or joins whoever asks about it already.
    ///
    /// # Errors
    ///
    /// Why the token is refused: what the issuer said, or that it said nothing usable.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        (text, is_jwt): (&str, bool),
        resource: &str,
        peer: Option<&str>,
    ) -> Outcome {
        let hash = TokenHash::of(text.as_bytes());
        if let Some(token) = self.known(hash, resource) {
            return Ok(token);
        }
        let question = self.question(hash, resource);
        if let Some(rejection) = self.answers.refused(question, self.clock.now()) {
            return Err(rejection);
        }
        let mut flight = self.start((text, is_jwt), question.to_owned(), peer)?;
        let landed = flight.wait_for(Option::is_some).await;
        match landed.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            // The asking task is gone, which happens only at the end of the program.
            Ok(None) | Err(_) => Err(self.unavailable("the question was given up")),
        }
    }

    /// Asks about a token that nobody has, if the endpoint was not heard from yet or failed last:
    /// so that readiness knows the state of the endpoint without a request having to fail.
    pub(crate) async fn keep_in_touch(self: &Arc<Self>) {
        let in_touch = {
            let contact = self.contact.lock();
            contact.heard && contact.failure.is_none() && !contact.suspect
        };
        let (false, Some(random)) = (in_touch, random::<32>()) else {
            return;
        };
        let prefix = self.config.token_prefix.as_deref().unwrap_or_default();
        let nobodys = format!("{prefix}{}", base64url::encode(&random));
        let asked = Asked::new(nobodys.as_bytes(), false);
        let outcome = match self.exchange(&nobodys).await {
            Ok((body, _)) => self.read(&body, &asked, self.url.as_str()).await,
            Err(error) => {
                self.note_failure(&error);
                self.contact.lock().failure = Some(error.to_string());
                return;
            }
        };
        match outcome {
            Err(rejection) if rejection.cause() != Cause::TokenInactive => {
                self.contact.lock().failure = Some(rejection.to_string());
            }
            Ok(_) | Err(_) => self.note_answer(),
        }
    }

    pub(crate) fn status(&self) -> ContactStatus {
        let contact = self.contact.lock();
        ContactStatus {
            usable: contact.heard && contact.failure.is_none(),
            detail: match (&contact.failure, contact.heard) {
                (Some(failure), _) => failure.clone(),
                (None, true) => String::from("answers"),
                (None, false) => String::from("not asked yet"),
            },
            asked: self.asked.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            under_way: self.admission.len(),
        }
    }

    fn question<'a>(&self, hash: TokenHash, resource: &'a str) -> QuestionRef<'a> {
        QuestionRef {
            issuer: self.place,
            hash,
            resource,
        }
    }

    /// Joins the question under way or starts one. It is a task of its own, so that a sender who
    /// hangs up neither cancels it for others nor makes it be asked twice.
    fn start(
        self: &Arc<Self>,
        (text, is_jwt): (&str, bool),
        question: Question,
        peer: Option<&str>,
    ) -> Result<watch::Receiver<Option<Outcome>>, Rejection> {
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(&question) {
            return Ok(flight.clone());
        }
        let place = self.admission.enter(peer.unwrap_or_default())?;
        let (landed, flight) = watch::channel(None);
        flights.insert(question.clone(), flight.clone());
        drop(flights);
        let (this, text) = (Arc::clone(self), text.to_owned());
        tokio::spawn(async move {
            let outcome = this.inquire((&text, is_jwt), &question, place).await;
            // What is remembered is remembered before the flight ends, so that nobody who comes
            // in between asks again.
            this.flights.lock().remove(&question);
            landed.send_replace(Some(outcome));
        });
        Ok(flight)
    }

    /// Asks when its turn comes, reads and keeps the answer.
    async fn inquire(
        &self,
        (text, is_jwt): (&str, bool),
        question: &Question,
        place: Place,
    ) -> Outcome {
        let turn = tokio::time::timeout(MAX_WAIT, place.turn()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(Cause::IntrospectionBusy.into());
        };
        let (body, endpoint) = self.exchange(text).await.map_err(|error| {
            self.note_failure(&error);
            self.unavailable(&error.to_string())
        })?;
        let asked = Asked::new(text.as_bytes(), is_jwt);
        match self.read(&body, &asked, &question.resource).await {
            Ok((token, signed_by)) => {
                self.note_answer();
                let token = Arc::new(token);
                let since = self.clock.now();
                let active = Active {
                    token: Arc::clone(&token),
                    signed_by,
                    endpoint,
                    kept: Kept {
                        since,
                        until: since.plus(self.config.cache_ttl).min(token.expires_at()),
                    },
                };
                self.answers.keep_active(question.clone(), active);
                Ok(token)
            }
            Err(rejection) => {
                self.note_refusal(&rejection, question);
                Err(rejection)
            }
        }
    }

    /// One exchange with the endpoint; nothing while the server is known to be out.
    async fn exchange(&self, text: &str) -> Result<(Vec<u8>, u64), AskError> {
        self.check_outage()?;
        let (endpoint, number) = self.endpoint().await?;
        self.asked.fetch_add(1, Ordering::Relaxed);
        let asker = Asker {
            fetcher: &self.fetcher,
            endpoint: &endpoint,
            issuer: self.url.as_str(),
            client: &self.config.client,
            form: &self.config.form,
        };
        let body = asker.ask(text, self.clock.now()).await?;
        Ok((body, number))
    }

    async fn endpoint(&self) -> Result<(HttpUrl, u64), AskError> {
        let number = {
            let contact = self.contact.lock();
            let known = self.config.endpoint.as_ref();
            if let Some(url) = known.or(contact.discovered.as_ref()) {
                return Ok((url.clone(), contact.number));
            }
            contact.number
        };
        let unfound = |error: &dyn fmt::Display| AskError::Discovery(error.to_string());
        let metadata = self.fetcher.metadata(&self.url).await;
        let metadata = metadata.map_err(|error| unfound(&error))?;
        let url = document::endpoint(&metadata, &self.url, "introspection_endpoint")
            .map_err(|error| unfound(&error))?;
        self.contact.lock().discovered = Some(url.clone());
        Ok((url, number))
    }

    async fn read(
        &self,
        body: &[u8],
        asked: &Asked<'_>,
        resource: &str,
    ) -> Result<(AccessToken, Option<PublicKey>), Rejection> {
        let rules = ActiveRules {
            issuer: &self.rules,
            resource,
            lifetime: self.config.cache_ttl.max(1),
        };
        let recipient = match &self.config.form {
            AnswerForm::Json => {
                let token = rules.read(body, asked, self.clock.now())?;
                return Ok((token, None));
            }
            AnswerForm::Signed { audience } => audience,
        };
        let signed = SignedAnswer::parse(body)?;
        let keys = self.keys.find(signed.query(&self.rules)?).await;
        let keys = keys.map_err(|rejection| {
            if rejection.cause() == Cause::TokenKeyUnknown {
                // The sender of the token is not to blame for the key of an answer.
                Rejection::new(Cause::IntrospectionInvalid).expected("a key of the issuer's set")
            } else {
                rejection
            }
        })?;
        let now = self.clock.now();
        let mut refusal = Rejection::new(Cause::IntrospectionInvalid);
        for key in keys {
            match signed.verify(&rules, recipient, &key, (asked, now)) {
                Ok(token) => return Ok((token, Some(key))),
                Err(rejection) => refusal = rejection,
            }
        }
        Err(refusal)
    }

    fn check_outage(&self) -> Result<(), AskError> {
        let now = self.clock.now_millis();
        let contact = self.contact.lock();
        let is_out = contact
            .outage
            .is_some_and(|at| at <= now && now.saturating_sub(at) < OUTAGE_PAUSE);
        if is_out {
            let failure = contact.failure.clone().unwrap_or_default();
            return Err(AskError::Outage(failure));
        }
        Ok(())
    }

    fn note_answer(&self) {
        let mut contact = self.contact.lock();
        if contact.failure.take().is_some() {
            tracing::info!(issuer = self.url.as_str(), "introspection answers again");
        }
        contact.heard = true;
        contact.suspect = false;
        contact.outage = None;
    }

    fn note_failure(&self, error: &AskError) {
        if matches!(error, AskError::Outage(_)) {
            return;
        }
        self.failed.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(issuer = self.url.as_str(), %error, "introspection gave no answer");
        let mut contact = self.contact.lock();
        contact.suspect = true;
        if matches!(error, AskError::Credentials(_)) {
            contact.failure = Some(error.to_string());
        }
        if error.is_outage() {
            contact.failure = Some(error.to_string());
            contact.outage = Some(self.clock.now_millis());
            // It may be somewhere else when it comes back.
            if contact.discovered.take().is_some() {
                contact.number = contact.number.saturating_add(1);
            }
        }
    }

    /// A refusal that is about the token is remembered; one that is about the issuer is not.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other cause is the issuer's word about the token"
    )]
    fn note_refusal(&self, rejection: &Rejection, question: &Question) {
        match rejection.cause() {
            Cause::IntrospectionInvalid => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                self.contact.lock().suspect = true;
                tracing::warn!(issuer = self.url.as_str(), %rejection, "introspection answer refused");
            }
            Cause::KeysUnavailable => {}
            _ => {
                self.note_answer();
                let since = self.clock.now();
                let kept = Kept {
                    since,
                    until: since.plus(self.config.refusal_ttl),
                };
                self.answers
                    .keep_refused(question.clone(), rejection.clone(), kept);
            }
        }
    }

    fn unavailable(&self, why: &str) -> Rejection {
        Rejection::new(Cause::IntrospectionUnavailable)
            .expected(self.url.as_str())
            .got(why)
    }
}

impl fmt::Debug for Introspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspector")
            .field("issuer", &self.url.as_str())
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
