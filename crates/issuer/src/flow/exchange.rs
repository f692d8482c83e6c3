//! The token endpoint's decision for token exchange (RFC 8693): who may have a token that comes
//! of another, and how much less than the other it allows.
//!
//! A token is only ever exchanged with its holder taking part. There are three ways ([`Title`]):
//! its holder asks, and the proof of the request names the token (`ath`) and is by its key; its
//! holder lent it, by a proof of its own that names the token and the key of the one who asks
//! (`subject_token_proof`); or an operator's [`Rule`] names a resource server that the token was
//! sent to. In the last two the client that asks becomes the actor, on top of those before it.
//!
//! Scope, audience and lifetime only shrink, with the one exception that a rule may name another
//! resource. Actors, ancestors and `may_act` of the subject token stay.
//!
//! Not here: finding tokens, verifying proofs, minting; inputs other than access tokens of this
//! issuer; outputs other than access tokens.

use std::fmt;

use keybound_control::TokenRecord;
use keybound_proto::cause::Cause;
use keybound_proto::certificate::CertificateThumbprint;
use keybound_proto::jose::Jkt;
use keybound_proto::rejection::Rejection;
use keybound_proto::time::UnixTime;
use keybound_proto::token::{Actor, Delegation, MAX_ACTORS, MAX_ANCESTORS};
use keybound_proto::verify::UnredeemedProof;

use super::client::Client;
use super::form::Form;
use super::grant::{Grant, Holder, choose_scopes};
use super::introspection::{Facts, is_active};
use super::resource::{self, Resource};
use super::scope::Scopes;

/// The token type of everything that goes in and comes out.
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// The same by its form.
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// What a request presents.
pub struct Asked<'f> {
    /// The token to be exchanged.
    pub subject_token: &'f str,
    /// A token of the one who will act.
    pub actor_token: Option<&'f str>,
    /// The proof by which the subject token's holder lends it.
    pub subject_proof: Option<&'f str>,
}

impl fmt::Debug for Asked<'_> {
    /// Nothing of what is presented.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").finish_non_exhaustive()
    }
}

/// A rule under which a resource server exchanges the tokens that come to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Whose tokens; `None` for anybody's.
    pub subject: Option<String>,
    /// The `client_id` of the one who acts.
    pub actor: String,
    /// The resources the actor serves.
    pub serves: Vec<String>,
    /// Resources the new token may be for, whatever the subject token was for.
    pub resources: Vec<String>,
    /// The scopes of the new token, at most.
    pub scopes: Scopes,
}

/// A token that was presented, and counts.
#[derive(Debug)]
pub struct Input {
    record: TokenRecord,
    /// Its handle.
    handle: String,
    delegation: Delegation,
}

/// What was proven with the request. Every proof here is verified.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Whether the client authenticated by more than its name.
    pub authenticated: bool,
    /// The proof of the request.
    pub proof: Option<&'a UnredeemedProof>,
    /// The certificate of the connection.
    pub certificate: Option<CertificateThumbprint>,
    /// The proof of the subject token's holder.
    pub subject_proof: Option<&'a UnredeemedProof>,
}

/// What entitles the client to exchange a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Title<'r> {
    /// It holds the token, and proved it.
    Holder,
    /// The holder lent it.
    Lent,
    /// An operator's rule.
    Rule(&'r Rule),
}

/// Reads the parameters (RFC 8693 section 2.1).
///
/// # Errors
/// [`Cause::ParameterInvalid`] for one that is missing, out of place or names what is not made
/// here; [`Cause::ExchangeSubjectToken`], [`Cause::ExchangeActorToken`] for another type of token.
pub fn read<'f>(form: &'f Form<'_>) -> Result<Asked<'f>, Rejection> {
    let need = |name: &'static str| {
        let missing =
            || Rejection::new(Cause::ParameterInvalid).expected(format!("{name}: a value"));
        form.value(name).ok_or_else(missing)
    };
    let subject_token = need("subject_token")?;
    check_type(need("subject_token_type")?, Cause::ExchangeSubjectToken)?;
    let actor_token = form.value("actor_token");
    match (actor_token, form.value("actor_token_type")) {
        (Some(_), Some(name)) => check_type(name, Cause::ExchangeActorToken)?,
        (None, None) => {}
        (Some(_), None) | (None, Some(_)) => {
            let expected = "actor_token and actor_token_type, both or neither";
            return Err(Rejection::new(Cause::ParameterInvalid).expected(expected));
        }
    }
    match form.value("requested_token_type") {
        None | Some(ACCESS_TOKEN) => Ok(Asked {
            subject_token,
            actor_token,
            subject_proof: form.value("subject_token_proof"),
        }),
        Some(other) => Err(Rejection::new(Cause::ParameterInvalid)
            .expected(format!("requested_token_type: {ACCESS_TOKEN}"))
            .got(other)),
    }
}

fn check_type(name: &str, cause: Cause) -> Result<(), Rejection> {
    match name {
        ACCESS_TOKEN | JWT => Ok(()),
        other => Err(Rejection::new(cause).expected(ACCESS_TOKEN).got(other)),
    }
}

impl Input {
    /// The token with this record, if it counts now. `locked` says whether its key, its identity
    /// or something it descends from is locked.
    ///
    /// # Errors
    /// A rejection with `cause`; the reader of the answer learns nothing more.
    pub fn of(
        record: Option<TokenRecord>,
        locked: bool,
        now: UnixTime,
        cause: Cause,
    ) -> Result<Self, Rejection> {
        let unknown = || Rejection::new(cause).got("no token of this issuer");
        let record = record.ok_or_else(unknown)?;
        let facts = Facts {
            record: Some(&record),
            locked,
        };
        if !is_active(&record, &facts, now) {
            return Err(Rejection::new(cause).got("one that expired, was revoked or is locked"));
        }
        let delegation = Delegation::recorded(record.claims.as_deref(), &record.ancestors)
            .map_err(|_| Cause::StoreUnavailable)?;
        let handle = record.token_id.clone().ok_or_else(unknown)?;
        Ok(Self {
            record,
            handle,
            delegation,
        })
    }

    /// Its record.
    #[must_use]
    pub const fn record(&self) -> &TokenRecord {
        &self.record
    }

    /// Who acts for its subject.
    #[must_use]
    pub fn actors(&self) -> &[Actor] {
        &self.delegation.actors
    }

    /// The key that has to be proven for it; `None` where a certificate alone binds it, or nothing.
    fn key(&self) -> Option<Jkt> {
        self.record
            .jkt
            .filter(|_| !matches!(self.record.binding.as_str(), "mtls" | "none"))
    }

    /// Who holds it.
    fn holder(&self) -> Holder {
        let (key, certificate) = (self.key(), self.record.certificate());
        Holder {
            factors: usize::from(key.is_some()) + usize::from(certificate.is_some()),
            jkt: key.as_ref().map(Jkt::to_string),
            certificate: certificate.as_ref().map(CertificateThumbprint::to_string),
        }
    }

    /// The thumbprint that stands for its holder in records.
    #[must_use]
    pub fn holder_thumbprint(&self) -> Option<String> {
        let Holder {
            jkt, certificate, ..
        } = self.holder();
        jkt.or(certificate)
    }

    /// Whether the request proves possession of it: by its key, with a proof made for it, and its
    /// certificate, as many of them as bind it. An unbound one needs the secret of its client.
    fn is_held(&self, evidence: &Evidence<'_>) -> bool {
        let by_key = self.key().is_none_or(|key| {
            let proof = evidence.proof;
            proof.is_some_and(|proof| proof.shows_possession_of(self.record.token_hash, key))
        });
        let certificate = self.record.certificate();
        let by_certificate = certificate.is_none() || certificate == evidence.certificate;
        let unbound = self.key().is_none() && certificate.is_none();
        by_key && by_certificate && (!unbound || evidence.authenticated)
    }

    /// Whether its holder lent it to whoever proved the key of the request. A certificate lends
    /// nothing: its holder cannot be heard here.
    fn is_lent(&self, lender: &UnredeemedProof, evidence: &Evidence<'_>) -> bool {
        let (Some(key), Some(proof)) = (self.key(), evidence.proof) else {
            return false;
        };
        self.record.certificate().is_none()
            && lender.lends(self.record.token_hash, key, proof.jkt())
    }
}

impl Rule {
    fn fits(&self, subject: &TokenRecord, client: &Client) -> bool {
        self.actor == client.id
            && self
                .subject
                .as_ref()
                .is_none_or(|name| *name == subject.identity)
            && subject
                .audience
                .iter()
                .any(|audience| self.serves.contains(audience))
    }
}

/// What entitles `client` to exchange `subject`, if anything does.
///
/// # Errors
/// [`Cause::ExchangeSubjectUnproven`]; [`Cause::ExchangeDelegationRefused`] for a client that
/// would become an actor and did not authenticate.
pub fn title<'r>(
    subject: &Input,
    client: &Client,
    evidence: &Evidence<'_>,
    rules: &'r [Rule],
) -> Result<Title<'r>, Rejection> {
    let unproven = || Rejection::new(Cause::ExchangeSubjectUnproven);
    let rule = rules.iter().find(|rule| rule.fits(&subject.record, client));
    let title = match evidence.subject_proof {
        Some(lender) if subject.is_lent(lender, evidence) => Title::Lent,
        Some(_) => return Err(unproven().got("a subject_token_proof that does not fit")),
        None if subject.record.client_id == client.id && subject.is_held(evidence) => Title::Holder,
        None => Title::Rule(rule.ok_or_else(unproven)?),
    };
    if title != Title::Holder && !evidence.authenticated {
        let expected = "a client that authenticates";
        return Err(Rejection::new(Cause::ExchangeDelegationRefused).expected(expected));
    }
    Ok(title)
}

/// Whether the client may call itself what its actor token says: a token of its own, bound to the
/// key of the request, about somebody who acts for nobody.
///
/// # Errors
/// [`Cause::ExchangeActorToken`].
pub fn check_actor(
    actor: &Input,
    client: &Client,
    evidence: &Evidence<'_>,
) -> Result<(), Rejection> {
    let refuse = |got: &str| Err(Rejection::new(Cause::ExchangeActorToken).got(got));
    let proven = evidence.proof.map(UnredeemedProof::jkt);
    if actor.record.client_id != client.id {
        return refuse("another client's token");
    }
    if actor.key().is_none() || actor.key() != proven || actor.record.certificate().is_some() {
        return refuse("a token that is not bound to the key of the request alone");
    }
    if !actor.actors().is_empty() {
        return refuse("a token that is delegated itself");
    }
    Ok(())
}

/// What the client gets. Call it with a `title` of the same subject, and an `actor` that was
/// checked; `key` is the one the client proved.
///
/// # Errors
/// [`Cause::ExchangeDelegationRefused`], [`Cause::ExchangeDepth`], [`Cause::ResourceInvalid`],
/// [`Cause::ScopeInvalid`], in this order.
pub fn grant(
    form: &Form<'_>,
    client: &Client,
    (subject, actor): (&Input, Option<&Input>),
    (title, key): (Title<'_>, Option<Jkt>),
    known: &[Resource],
) -> Result<Grant, Rejection> {
    let delegation = delegation(client, (subject, actor), (title, key))?;
    let resources = resources(form, client, subject, title, known)?;
    let mut available = resource::scopes_of(&resources)
        .intersection(&client.scopes)
        .intersection(&scopes(&subject.record.scope)?);
    if let Title::Rule(rule) = title {
        available = available.intersection(&rule.scopes);
    }
    let end = subject.record.expires_at;
    Ok(Grant {
        identity: subject.record.identity.clone(),
        scopes: choose_scopes(form.value("scope"), available)?,
        audience: resource::identifiers(resources),
        details: None,
        delegation,
        not_after: Some(actor.map_or(end, |actor| end.min(actor.record.expires_at))),
        holder: match title {
            Title::Holder => subject.holder(),
            Title::Lent | Title::Rule(_) => Holder {
                jkt: key.as_ref().map(Jkt::to_string),
                certificate: None,
                factors: subject.holder().factors,
            },
        },
    })
}

fn scopes(text: &str) -> Result<Scopes, Rejection> {
    if text.is_empty() {
        Ok(Scopes::default())
    } else {
        Scopes::parse(text)
    }
}

/// The resources: those of the subject token that the client may have as well, and those of a
/// rule. `audience` means the same as `resource`.
fn resources<'k>(
    form: &Form<'_>,
    client: &Client,
    subject: &Input,
    title: Title<'_>,
    known: &'k [Resource],
) -> Result<Vec<&'k Resource>, Rejection> {
    let audience = subject.record.audience.iter();
    let common: Vec<String> = audience
        .filter(|resource| client.resources.contains(resource))
        .cloned()
        .collect();
    let mut allowed = common.clone();
    if let Title::Rule(rule) = title {
        allowed.extend_from_slice(&rule.resources);
    }
    let mut asked = form
        .values("resource")
        .chain(form.values("audience"))
        .peekable();
    if asked.peek().is_some() || common.is_empty() {
        resource::choose(asked, &allowed, known)
    } else {
        resource::choose(common.iter().map(String::as_str), &common, known)
    }
}

/// Actors, ancestors and `may_act` of the new token.
///
/// SECURITY: the one place where an actor is added. It is the client that authenticated, or the
/// subject of a token the client holds, with the key that was proven in this request. Nothing of
/// the request names an actor.
fn delegation(
    client: &Client,
    (subject, actor): (&Input, Option<&Input>),
    (title, key): (Title<'_>, Option<Jkt>),
) -> Result<Delegation, Rejection> {
    let mut delegation = subject.delegation.clone();
    let becomes = match (title, actor) {
        (_, Some(actor)) => Some((&actor.record.identity, actor.key())),
        (Title::Holder, None) => None,
        (Title::Lent | Title::Rule(_), None) => Some((&client.identity, key)),
    };
    if let Some((identity, jkt)) = becomes {
        let actor = Actor {
            subject: identity.clone(),
            issuer: None,
            jkt,
        };
        check_may_act(&delegation, &actor)?;
        delegation.actors.insert(0, actor);
    }
    let handles = delegation
        .ancestors
        .iter()
        .chain([&subject.handle])
        .cloned();
    let mut ancestors: Vec<String> = handles.collect();
    if let Some(actor) = actor {
        let handles = actor.delegation.ancestors.iter().chain([&actor.handle]);
        for handle in handles {
            if !ancestors.contains(handle) {
                ancestors.push(handle.clone());
            }
        }
    }
    delegation.ancestors = ancestors;
    if delegation.actors.len() > MAX_ACTORS || delegation.ancestors.len() > MAX_ANCESTORS {
        return Err(Cause::ExchangeDepth.into());
    }
    Ok(delegation)
}

/// RFC 8693 section 4.4. A token that names nobody may be delegated to whoever its holder, or a
/// rule, lets have it.
fn check_may_act(delegation: &Delegation, actor: &Actor) -> Result<(), Rejection> {
    let Some(named) = &delegation.may_act else {
        return Ok(());
    };
    let key_fits = named.jkt.is_none() || named.jkt == actor.jkt;
    if named.subject == actor.subject && named.issuer.is_none() && key_fits {
        return Ok(());
    }
    Err(Rejection::new(Cause::ExchangeDelegationRefused)
        .expected(named.subject.clone())
        .got(actor.subject.clone()))
}
