//! The one record of a decision about a request.
//!
//! Whatever method a token is bound by, a decision says the same things: how
//! possession was shown, by which key and certificate, where the key is kept if the
//! issuer said so, which token of which issuer, for whom and through whom, on which
//! route, and the cause if the answer was no. Log lines, metrics, durable events and
//! what the upstream is told are all read off this record, so they cannot disagree.
//!
//! It holds no token, proof or secret. It decides nothing and writes nothing.

use crate::binding::BindingMethod;
use crate::cause::Cause;
use crate::certificate::CertificateThumbprint;
use crate::event::Event;
use crate::jose::Jkt;
use crate::rejection::Rejection;
use crate::token::{AccessToken, Actor};
use crate::verify::{Possession, Verified};

/// One decision. Borrowed from what it was made of; nothing is copied until somebody writes it
/// down.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    place: Place<'a>,
    token: Option<&'a AccessToken>,
    possession: Option<Possession>,
    rejection: Option<&'a Rejection>,
}

/// Which request was decided, and under which policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// The route whose rules were applied.
    pub route: &'a str,
    /// The request's method.
    pub method: &'a str,
    /// The request's path, without the query.
    pub path: &'a str,
    /// The request's id.
    pub request_id: Option<&'a str>,
    /// The sender's network address.
    pub peer: Option<&'a str>,
}

/// How the token of a decided request is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecidedBinding {
    /// By this method: the proven one, or, for a refusal, the one its `cnf` names.
    Bound(BindingMethod),
    /// The token is genuine and bound to nothing.
    Unbound,
    /// No genuine token was involved.
    Unknown,
}

impl DecidedBinding {
    /// Every value, in the order metrics list them.
    pub const ALL: [Self; 6] = [
        Self::Bound(BindingMethod::Dpop),
        Self::Bound(BindingMethod::Mtls),
        Self::Bound(BindingMethod::HttpSignature),
        Self::Bound(BindingMethod::Wimse),
        Self::Unbound,
        Self::Unknown,
    ];

    /// The value of the metric label and of the event member `binding`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bound(method) => method.name(),
            Self::Unbound => "none",
            Self::Unknown => "unknown",
        }
    }
}

impl<'a> Decision<'a> {
    /// The request may pass.
    #[must_use]
    pub fn permitted(verified: &'a Verified, place: Place<'a>) -> Self {
        Self {
            place,
            token: Some(verified.token()),
            possession: Some(verified.possession()),
            rejection: None,
        }
    }

    /// The request was refused.
    #[must_use]
    pub fn refused(rejection: &'a Rejection, place: Place<'a>) -> Self {
        Self {
            place,
            token: rejection.token().map(AsRef::as_ref),
            possession: None,
            rejection: Some(rejection),
        }
    }

    /// `accepted` or `refused`.
    #[must_use]
    pub const fn result(&self) -> &'static str {
        match self.rejection {
            None => "accepted",
            Some(_) => "refused",
        }
    }

    /// The cause of a refusal.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.rejection.map(Rejection::cause)
    }

    /// Where and what was asked.
    #[must_use]
    pub const fn place(&self) -> Place<'a> {
        self.place
    }

    /// The genuine token, if one was involved.
    #[must_use]
    pub const fn token(&self) -> Option<&'a AccessToken> {
        self.token
    }

    /// How the token is bound.
    #[must_use]
    pub fn binding(&self) -> DecidedBinding {
        match (self.possession, self.token) {
            (Some(possession), _) => DecidedBinding::Bound(possession.method()),
            (None, Some(token)) => token
                .binding_method()
                .map_or(DecidedBinding::Unbound, DecidedBinding::Bound),
            (None, None) => DecidedBinding::Unknown,
        }
    }

    /// The proven key; for a refusal, the key the token is bound to.
    #[must_use]
    pub fn jkt(&self) -> Option<Jkt> {
        match self.possession {
            Some(possession) => possession.jkt(),
            None => self.token?.confirmation().jkt(),
        }
    }

    /// The proven certificate; for a refusal, the certificate the token is bound to.
    #[must_use]
    pub fn certificate(&self) -> Option<CertificateThumbprint> {
        match self.possession {
            Some(possession) => possession.certificate(),
            None => {
                let bound = self.token?.confirmation().certificate()?;
                Some(bound.thumbprint())
            }
        }
    }

    /// By which rule a certificate was taken for the token's.
    #[must_use]
    pub fn certificate_rule(&self) -> Option<&'static str> {
        self.possession?.certificate_rule().name()
    }

    /// Where the key is kept, if the issuer said so in the token.
    #[must_use]
    pub fn key_storage(&self) -> Option<&'a str> {
        self.token?.key_storage()
    }

    /// Who acts for the identity, the current actor first.
    #[must_use]
    pub fn actors(&self) -> &'a [Actor] {
        self.token.map_or(&[], AccessToken::actors)
    }

    /// Writes the decision into an event.
    #[must_use]
    pub fn describe(&self, event: Event) -> Event {
        let event = self.describe_token(self.describe_place(event));
        let Some(rejection) = self.rejection else {
            return event;
        };
        let cause = rejection.cause();
        let detail = rejection.detail();
        let event = event.with_cause(cause.id());
        let event = optional(event, cause.theft_signal(), Event::with_signal);
        let event = optional(event, detail.expected, Event::with_expected);
        let event = optional(event, detail.got, Event::with_got);
        optional(event, detail.clock_skew, Event::with_clock_skew)
    }

    fn describe_place(&self, event: Event) -> Event {
        let place = self.place;
        let event = event
            .with_route(place.route)
            .with_method(place.method)
            .with_path(place.path);
        let event = optional(event, place.request_id, Event::with_request_id);
        optional(event, place.peer, Event::with_peer)
    }

    fn describe_token(&self, event: Event) -> Event {
        let Some(token) = self.token else {
            return event;
        };
        let event = event
            .with_token_sha256(token.hash().to_hex())
            .with_issuer(token.issuer())
            .with_identity(token.subject())
            .with_audience(token.audience())
            .with_scope(token.scope())
            .with_expires_at(token.expires_at().as_secs())
            .with_binding(self.binding().name())
            .with_actors(self.actors().iter().map(|actor| actor.subject.as_str()));
        let event = optional(event, token.token_id(), Event::with_token_id);
        let event = optional(event, token.client_id(), Event::with_client_id);
        let event = optional(event, self.key_storage(), Event::with_key_storage);
        let event = optional(event, self.certificate_rule(), Event::with_certificate_rule);
        let certificate = self.certificate().map(|thumbprint| thumbprint.to_string());
        let event = optional(event, certificate, Event::with_certificate);
        let jkt = self.jkt().map(|jkt| jkt.to_string());
        optional(event, jkt, Event::with_jkt)
    }
}

fn optional<T>(event: Event, value: Option<T>, set: impl FnOnce(Event, T) -> Event) -> Event {
    match value {
        Some(value) => set(event, value),
        None => event,
    }
}
