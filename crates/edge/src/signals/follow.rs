//! One session with control: discover, have a stream, poll.

use std::time::Duration;

use keybound_proto::event::{Event, EventKind};
use keybound_proto::jose::PublicKey;
use keybound_proto::signal::{
    ReceiverRules, SecurityEventToken, SignalError, SignalEvent, Subject, UnverifiedSignal,
};
use keybound_proto::time::UnixTime;
use keybound_proto::uri::HttpUrl;

use super::documents::{
    Poll, Stream, Transmitter, Unusable, key_set, poll_request, stream_request,
};
use super::{ControlTransport, Follower, TransportError};

/// Control holds a poll for at most 20 s; a little more for the way.
const POLL_LIMIT: Duration = Duration::from_secs(30);
/// For answers that do not wait.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// Seconds between two fetches of control's keys for an unknown `kid`.
const KEY_COOLDOWN: u64 = 5;

/// What a session knows about control.
#[derive(Debug)]
pub(super) struct Session {
    transmitter: Transmitter,
    keys: Vec<(String, PublicKey)>,
    keys_fetched_at: UnixTime,
    stream: Stream,
    /// While a new stream tells everything that is locked: what it told so far.
    beginning: Option<Vec<(Subject, Option<UnixTime>)>>,
    acknowledged: Vec<String>,
    errors: Vec<(String, SignalError)>,
}

impl Session {
    pub(super) async fn begin<T: ControlTransport>(
        follower: &Follower<T>,
    ) -> Result<Self, TransportError> {
        let control = &follower.config.control;
        let url = well_known(control.as_str())?;
        let text = follower.transport.fetch(&url).await?;
        let transmitter = Transmitter::parse(&text, control).map_err(unusable(&url))?;
        let keys = fetch_keys(&follower.transport, &transmitter).await?;
        let (stream, beginning) = match follower.state.stream() {
            Some(stream) if stream.poll.origin() == control => (stream, None),
            _ => (
                create_stream(follower, &transmitter).await?,
                Some(Vec::new()),
            ),
        };
        Ok(Self {
            transmitter,
            keys,
            keys_fetched_at: follower.clock.now(),
            stream,
            beginning,
            acknowledged: Vec::new(),
            errors: Vec::new(),
        })
    }

    /// One poll: takes what control has, applies it, keeps it. The acknowledgement goes along
    /// with the next one.
    pub(super) async fn poll<T: ControlTransport>(
        &mut self,
        follower: &mut Follower<T>,
    ) -> Result<(), TransportError> {
        let returns_immediately = self.beginning.is_some() || !is_connected(follower);
        let body = poll_request(&self.acknowledged, &self.errors, returns_immediately);
        let url = &self.stream.poll;
        let (status, answer) = follower.transport.post(url, body, POLL_LIMIT).await?;
        if status == 404 {
            follower.state.forget_stream();
        }
        if status != 200 {
            return Err(TransportError::Status {
                url: url.without_query().to_owned(),
                status,
            });
        }
        self.acknowledged.clear();
        self.errors.clear();
        let poll = Poll::parse(&answer).map_err(unusable(url))?;
        let is_complete = !poll.more_available;
        self.take(poll, follower).await?;
        if is_complete {
            if let Some(everything) = self.beginning.take() {
                follower.guard.revocations().replace(&everything);
                self.keep(follower).await?;
            }
            // Everything control had is applied: the view is as current as can be.
            follower
                .guard
                .revocations()
                .heard_from(follower.clock.now());
            connected(follower);
        }
        Ok(())
    }

    async fn take<T: ControlTransport>(
        &mut self,
        poll: Poll,
        follower: &mut Follower<T>,
    ) -> Result<(), TransportError> {
        if poll.sets.is_empty() {
            return Ok(());
        }
        let mut applied = Vec::new();
        let mut acknowledged = Vec::new();
        for (id, text) in poll.sets {
            match self.verify(&text, follower).await? {
                Ok(signal) if signal.id == id => {
                    applied.push(signal);
                    acknowledged.push(id);
                }
                Ok(_) => self.errors.push((id, SignalError::Malformed)),
                Err(error) => {
                    tracing::error!(%error, "control sent a signal that cannot be used");
                    self.errors.push((id, error));
                }
            }
        }
        // `sets` has no order of its own; a lock and its release may come together.
        applied.sort_by_key(|signal| signal.time_ms);
        for signal in &applied {
            self.apply(signal, follower);
        }
        // Not before everything is told: half a beginning must not replace what is kept.
        if self.beginning.is_none() {
            self.keep(follower).await?;
        }
        // Acknowledged only from here on; a failure above makes control send them again.
        self.acknowledged = acknowledged;
        // What a new stream tells is old; nobody waited for it.
        if self.beginning.is_none() {
            applied.iter().for_each(|signal| record(signal, follower));
        }
        Ok(())
    }

    fn apply<T>(&mut self, signal: &SecurityEventToken, follower: &Follower<T>) {
        match &mut self.beginning {
            None => {
                follower
                    .guard
                    .revocations()
                    .apply(&signal.subject, signal.event, signal.expires_at)
            }
            Some(everything) => {
                everything.retain(|(subject, _)| *subject != signal.subject);
                if signal.event == SignalEvent::Locked {
                    // Also at once: a lock must not wait for the rest of the beginning.
                    follower.guard.revocations().apply(
                        &signal.subject,
                        signal.event,
                        signal.expires_at,
                    );
                    everything.push((signal.subject.clone(), signal.expires_at));
                }
            }
        }
    }

    /// Verifies one signal; an unknown `kid` causes one fetch of control's keys per cooldown.
    async fn verify<T: ControlTransport>(
        &mut self,
        text: &str,
        follower: &Follower<T>,
    ) -> Result<Result<SecurityEventToken, SignalError>, TransportError> {
        let unverified = match UnverifiedSignal::parse(text.as_bytes()) {
            Ok(unverified) => unverified,
            Err(error) => return Ok(Err(error)),
        };
        let kid = unverified.kid().unwrap_or_default().to_owned();
        let now = follower.clock.now();
        if self.key(&kid).is_none() && now.seconds_since(self.keys_fetched_at) >= KEY_COOLDOWN {
            self.keys_fetched_at = now;
            self.keys = fetch_keys(&follower.transport, &self.transmitter).await?;
        }
        let Some(key) = self.key(&kid) else {
            // Not an error of the signal: control will send it again, by then with a key that
            // is published.
            let url = self.transmitter.jwks_uri.to_string();
            return Err(TransportError::Unusable {
                url,
                reason: "it lacks a key that signs signals",
            });
        };
        let rules = ReceiverRules {
            issuer: &self.transmitter.issuer,
            audience: &self.stream.audience,
            algorithms: follower.config.algorithms,
            skew: follower.config.skew,
        };
        Ok(unverified.verify(&rules, key, now))
    }

    fn key(&self, kid: &str) -> Option<&PublicKey> {
        self.keys
            .iter()
            .find(|(name, _)| name == kid)
            .map(|(_, key)| key)
    }

    async fn keep<T>(&self, follower: &mut Follower<T>) -> Result<(), TransportError> {
        let kept = follower
            .state
            .keep(&self.stream, follower.guard.revocations())
            .await;
        kept.map_err(TransportError::State)
    }
}

async fn create_stream<T: ControlTransport>(
    follower: &Follower<T>,
    transmitter: &Transmitter,
) -> Result<Stream, TransportError> {
    let url = &transmitter.streams;
    let (status, answer) = follower
        .transport
        .post(url, stream_request(), CALL_LIMIT)
        .await?;
    if !matches!(status, 200 | 201) {
        return Err(TransportError::Status {
            url: url.to_string(),
            status,
        });
    }
    Stream::parse(&answer, &follower.config.control).map_err(unusable(url))
}

async fn fetch_keys<T: ControlTransport>(
    transport: &T,
    transmitter: &Transmitter,
) -> Result<Vec<(String, PublicKey)>, TransportError> {
    let url = &transmitter.jwks_uri;
    key_set(&transport.fetch(url).await?).map_err(unusable(url))
}

fn well_known(control: &str) -> Result<HttpUrl, TransportError> {
    let text = format!("{control}/.well-known/ssf-configuration");
    HttpUrl::parse(&text).map_err(|_| TransportError::Unusable {
        url: text,
        reason: "not a URL",
    })
}

fn unusable(url: &HttpUrl) -> impl FnOnce(Unusable) -> TransportError {
    let url = url.without_query().to_owned();
    move |reason| TransportError::Unusable { url, reason }
}

fn is_connected<T>(follower: &Follower<T>) -> bool {
    follower.status.lock().is_connected
}

/// Notes the first complete poll of a session, once.
fn connected<T>(follower: &Follower<T>) {
    let mut status = follower.status.lock();
    status.last_error = None;
    if !std::mem::replace(&mut status.is_connected, true) {
        drop(status);
        tracing::info!(control = %follower.config.control, "following control");
        if let Some(event) = event(EventKind::GatewayConnected, follower) {
            follower.sink.record(event);
        }
    }
}

/// Records that a lock or a release took effect here, and how long that took.
fn record<T>(signal: &SecurityEventToken, follower: &Follower<T>) {
    let propagation_ms = follower.clock.now_millis().saturating_sub(signal.time_ms);
    let taken = Duration::from_millis(propagation_ms);
    follower.guard.metrics().observe_propagation(taken);
    if let Some(event) = event(EventKind::LockApplied, follower) {
        let event = about(event, &signal.subject)
            .with_reason(signal.event.to_string())
            .with_propagation_ms(propagation_ms);
        follower.sink.record(event);
    }
}

fn event<T>(kind: EventKind, follower: &Follower<T>) -> Option<Event> {
    let mut random = [0; 16];
    if aws_lc_rs::rand::fill(&mut random).is_err() {
        tracing::error!("no random numbers for an event id");
        return None;
    }
    Some(Event::new(
        &random,
        follower.clock.now_millis(),
        &follower.config.node,
        kind,
    ))
}

fn about(event: Event, subject: &Subject) -> Event {
    match subject {
        Subject::Identity { issuer, subject } => event.with_issuer(issuer).with_identity(subject),
        Subject::Key(jkt) => event.with_jkt(jkt.to_string()),
        Subject::Token { issuer, token_id } => event.with_issuer(issuer).with_token_id(token_id),
        Subject::TokenHash(hash) => event.with_token_sha256(hash.to_hex()),
    }
}
