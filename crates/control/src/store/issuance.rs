//! Recording an issuance: the transaction on the way of every token.
//!
//! In one savepoint: is the identity or key locked, were the proof (RFC 9449
//! section 11.1) and the client assertion (RFC 7523 section 3) spent before, and
//! if all is well one row for the token, which also carries the spent values, and
//! one event. [`IssuanceRecorded`], without which the token's text is not given
//! away, exists only after the commit.
//!
//! Not here: authenticating the client, minting, and policy.

use keybound_proto::cause::Cause;
use keybound_proto::certificate::CertificateThumbprint;
use keybound_proto::event::{Event, EventKind};
use keybound_proto::jose::Jkt;
use keybound_proto::time::UnixTime;
use keybound_proto::token::{IssuanceRecorded, TokenHash};
use rusqlite::params;

use super::Store;
use super::events::{Entry, random_id};
use super::grants::{ExchangeUse, GrantRecord, GrantUse, NewRefreshToken};
use super::kept::KeptRef;
use super::uses::{Freshness, LiveUses, OneTimeUse};
use super::withheld_set::Question;
use super::writer::Work;
use crate::error::{Failure, StoreError};

/// Everything that is recorded of a token, and what was spent for it.
#[derive(Clone, Debug)]
pub struct Issuance {
    /// SHA-256 of the token's text.
    pub token_hash: TokenHash,
    /// The token's handle (`jti`).
    pub token_id: Option<String>,
    /// `iss`.
    pub issuer: String,
    /// The client that gets it.
    pub client_id: String,
    /// `sub`.
    pub identity: String,
    /// The key it is bound to, or that of the certificate it is bound to; `None` for an exempted
    /// client, and for a certificate whose kind of key has no thumbprint.
    pub jkt: Option<Jkt>,
    /// The certificate it is bound to, if it is.
    pub certificate: Option<CertificateThumbprint>,
    /// `cnf` as JSON text, where it says more than `jkt` does.
    pub confirmation: Option<String>,
    /// How it is bound: `dpop`, `mtls`, both (`dpop mtls`) or `none`.
    pub binding: &'static str,
    /// `aud`: URIs, which contain no spaces.
    pub audience: Vec<String>,
    /// `scope`, names separated by spaces.
    pub scope: String,
    /// `iat`.
    pub issued_at: UnixTime,
    /// `exp`.
    pub expires_at: UnixTime,
    /// What it comes of, and what comes of it beside the token.
    pub lineage: Lineage,
    /// The proof that came with the request.
    pub proof: Option<OneTimeUse>,
    /// The assertion that authenticated the client.
    pub assertion: Option<OneTimeUse>,
    /// The request's id.
    pub request_id: Option<String>,
}

/// What a token comes of. Nothing for a token that its client asked for itself.
#[derive(Clone, Debug, Default)]
pub struct Lineage {
    /// Handles of the tokens and grants the token descends from, the root first.
    pub ancestors: Vec<String>,
    /// Further claims as members of a JSON object; `None` where there are none.
    pub claims: Option<String>,
    /// What is used up for it.
    pub grant_use: Option<GrantUse>,
    /// The grant that begins with it.
    pub grant: Option<GrantRecord>,
    /// The refresh token that goes with it, under the grant that begins with it or the one named.
    pub refresh: Option<(String, NewRefreshToken)>,
}

/// What became of an issuance.
#[derive(Debug)]
pub enum IssuanceOutcome {
    /// The client assertion was used before. Nothing was recorded.
    AssertionReplayed,
    /// What was to be used up was used meanwhile. Nothing was recorded.
    GrantUsed,
    /// The key or identity is locked, or something it descends from is revoked. Nothing was
    /// recorded.
    Locked(Cause),
    /// The proof was used before. Nothing was recorded.
    ProofReplayed,
    /// It is durable: the witness that releases the token.
    Recorded(IssuanceRecorded),
    /// This sender has too many live proofs or assertions; others are served. Nothing was recorded.
    TooManyProofs,
}

/// What became of one-time values that were spent without a token coming of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpendOutcome {
    /// The one at this place of the list was used before. Nothing was spent.
    Replayed(usize),
    /// All were new and are spent now, durably.
    Spent,
    /// This sender has too many live values; others are served.
    TooMany,
}

impl Store {
    /// Records a token before its client hears of it; durable on return.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`], [`StoreError::Unavailable`]: the token must not be
    /// given out; the caller answers 503.
    pub async fn record_issuance(&self, issuance: Issuance) -> Result<IssuanceOutcome, StoreError> {
        // The audience is stored as a list separated by spaces.
        if issuance
            .audience
            .iter()
            .any(|audience| audience.contains(char::is_whitespace))
        {
            return Err(StoreError::Invalid {
                what: "an audience with white space",
            });
        }
        let event = issued(
            &issuance,
            &self.inner.shared.node,
            self.inner.clock.now_millis(),
        )?;
        let entry = Entry::own(&event);
        self.write_decided(move |work| work.record(&issuance, &entry))
            .await
    }

    /// `iat` of the latest token: an issuer whose clock shows less must not issue.
    #[must_use]
    pub fn last_issued_at(&self) -> UnixTime {
        self.inner.shared.last_issued()
    }

    /// Spends the one-time values of a call other than for a token (introspection, revocation,
    /// a pushed request): the assertion that authenticates it, a proof that came with it. All of
    /// them or none; with them `kept` is kept. Durable on return.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`], [`StoreError::Unavailable`]: the call must be refused with 503.
    pub async fn spend(
        &self,
        uses: Vec<OneTimeUse>,
        kept: Option<(KeptRef, String, UnixTime)>,
    ) -> Result<SpendOutcome, StoreError> {
        self.write_decided(move |work| {
            for (index, once) in uses.iter().enumerate() {
                match judge(work.memory.assertions(), Some(once))? {
                    Freshness::Spent => return Ok(SpendOutcome::Replayed(index)),
                    Freshness::SenderFull => return Ok(SpendOutcome::TooMany),
                    Freshness::Fresh | Freshness::Full => {}
                }
            }
            for once in &uses {
                work.spend_alone(once)?;
            }
            if let Some((name, document, expires_at)) = &kept {
                work.keep(name, document, *expires_at)?;
            }
            Ok(SpendOutcome::Spent)
        })
        .await
    }
}

impl Lineage {
    /// The exchange it comes of, if it does.
    fn exchange(&self) -> Option<&ExchangeUse> {
        match &self.grant_use {
            Some(GrantUse::Exchange(exchange)) => Some(exchange),
            Some(GrantUse::Kept(_) | GrantUse::Refresh { .. } | GrantUse::Repeated { .. })
            | None => None,
        }
    }
}

impl Issuance {
    /// The thumbprints a lock on its key or certificate may have.
    fn keys(&self) -> Vec<Jkt> {
        let certificate = self.certificate.map(|bound| bound.as_key());
        self.jkt.into_iter().chain(certificate).collect()
    }
}

impl Work<'_> {
    /// Spends a value that no token carries.
    fn spend_alone(&mut self, once: &OneTimeUse) -> Result<(), Failure> {
        self.connection
            .prepare_cached(
                "INSERT INTO assertion_uses (key, sender, expires_at) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![
                once.key.to_be_bytes(),
                once.sender.cast_signed(),
                once.expires_at.as_secs()
            ])?;
        self.memory.spend_assertion(once);
        Ok(())
    }

    pub(super) fn record(
        &mut self,
        issuance: &Issuance,
        entry: &Entry,
    ) -> Result<IssuanceOutcome, Failure> {
        if let Some(cause) = self.memory.withheld().cause(&Question {
            issuer: &issuance.issuer,
            token_hash: None,
            token_id: None,
            ancestors: &issuance.lineage.ancestors,
            subject: &issuance.identity,
            keys: &issuance.keys(),
        }) {
            return Ok(IssuanceOutcome::Locked(cause));
        }
        match judge(self.memory.assertions(), issuance.assertion.as_ref())? {
            Freshness::Spent => return Ok(IssuanceOutcome::AssertionReplayed),
            Freshness::SenderFull => return Ok(IssuanceOutcome::TooManyProofs),
            Freshness::Fresh | Freshness::Full => {}
        }
        match judge(self.memory.proofs(), issuance.proof.as_ref())? {
            Freshness::Spent => return Ok(IssuanceOutcome::ProofReplayed),
            Freshness::SenderFull => return Ok(IssuanceOutcome::TooManyProofs),
            Freshness::Fresh | Freshness::Full => {}
        }
        let lent_by = issuance.lineage.exchange();
        let lent_by = lent_by.and_then(|exchange| exchange.lent_by.as_ref());
        match judge(self.memory.assertions(), lent_by)? {
            Freshness::Spent => return Ok(IssuanceOutcome::ProofReplayed),
            Freshness::SenderFull => return Ok(IssuanceOutcome::TooManyProofs),
            Freshness::Fresh | Freshness::Full => {}
        }
        if let Some(grant_use) = &issuance.lineage.grant_use
            && !self.is_usable(grant_use)?
        {
            return Ok(IssuanceOutcome::GrantUsed);
        }
        let number = self.append(entry)?.cast_signed();
        self.insert_token(issuance, number)?;
        self.change_grants(issuance)?;
        if let Some(lent_by) = lent_by {
            self.spend_alone(lent_by)?;
        }
        self.spend(issuance, number);
        Ok(IssuanceOutcome::Recorded(IssuanceRecorded::assertion(
            issuance.token_hash,
        )))
    }

    fn change_grants(&self, issuance: &Issuance) -> Result<(), Failure> {
        if let Some(grant) = &issuance.lineage.grant {
            self.insert_grant(grant)?;
        }
        if let Some(grant_use) = &issuance.lineage.grant_use {
            let successor = issuance
                .lineage
                .refresh
                .as_ref()
                .map(|(_, token)| token.hash);
            self.use_up(grant_use, successor)?;
        }
        if let Some((grant_id, token)) = &issuance.lineage.refresh {
            self.insert_refresh(grant_id, token)?;
        }
        Ok(())
    }

    fn insert_token(&self, issuance: &Issuance, number: i64) -> Result<(), Failure> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO tokens (number, token_hash, token_id, issuer, client_id, identity, jkt,
             binding, audience, scope, issued_at, expires_at, request_id, proof_key, proof_sender,
             proof_expires, assertion_key, assertion_sender, assertion_expires, confirmation,
             ancestors, claims)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
             ?19, ?20, ?21, ?22)",
        )?;
        let proof = issuance.proof.as_ref();
        let assertion = issuance.assertion.as_ref();
        statement.execute(params![
            number,
            issuance.token_hash.as_bytes(),
            issuance.token_id,
            issuance.issuer,
            issuance.client_id,
            issuance.identity,
            issuance.jkt.as_ref().map(Jkt::as_bytes),
            issuance.binding,
            issuance.audience.join(" "),
            issuance.scope,
            issuance.issued_at.as_secs(),
            issuance.expires_at.as_secs(),
            issuance.request_id,
            proof.map(|proof| proof.key.to_be_bytes()),
            proof.map(|proof| proof.sender.cast_signed()),
            proof.map(|proof| proof.expires_at.as_secs()),
            assertion.map(|assertion| assertion.key.to_be_bytes()),
            assertion.map(|assertion| assertion.sender.cast_signed()),
            assertion.map(|assertion| assertion.expires_at.as_secs()),
            issuance.confirmation,
            (!issuance.lineage.ancestors.is_empty()).then(|| issuance.lineage.ancestors.join(" ")),
            issuance.lineage.claims,
        ])?;
        Ok(())
    }

    fn spend(&mut self, issuance: &Issuance, number: i64) {
        let mut spent_until = UnixTime::default();
        if let Some(proof) = &issuance.proof {
            self.memory.spend_proof(proof);
            spent_until = spent_until.max(proof.expires_at);
        }
        if let Some(assertion) = &issuance.assertion {
            self.memory.spend_assertion(assertion);
            spent_until = spent_until.max(assertion.expires_at);
        }
        self.memory
            .note_token(number, issuance.issued_at, spent_until);
    }
}

fn judge(uses: &LiveUses, spend: Option<&OneTimeUse>) -> Result<Freshness, Failure> {
    match spend.map_or(Freshness::Fresh, |spend| uses.judge(spend)) {
        Freshness::Full => Err(overloaded()),
        judged => Ok(judged),
    }
}

fn overloaded() -> Failure {
    Failure::Overloaded("too many one-time values are live")
}

fn issued(issuance: &Issuance, node: &str, time_ms: u64) -> Result<Event, StoreError> {
    let mut event = Event::new(&random_id()?, time_ms, node, EventKind::TokenIssued)
        .with_token_sha256(issuance.token_hash.to_hex())
        .with_issuer(&issuance.issuer)
        .with_identity(&issuance.identity)
        .with_client_id(&issuance.client_id)
        .with_audience(&issuance.audience)
        .with_scope(&issuance.scope)
        .with_binding(issuance.binding)
        .with_expires_at(issuance.expires_at.as_secs());
    if let Some(token_id) = &issuance.token_id {
        event = event.with_token_id(token_id);
    }
    if let Some(jkt) = &issuance.jkt {
        event = event.with_jkt(jkt.to_string());
    }
    if let Some(certificate) = &issuance.certificate {
        event = event.with_certificate(certificate.to_string());
    }
    if let Some(request_id) = &issuance.request_id {
        event = event.with_request_id(request_id);
    }
    if let Some(exchange) = issuance.lineage.exchange() {
        event = event.with_actors(&exchange.actors);
        if let Some(subject_key) = &exchange.subject_key {
            event = event.with_subject_key(subject_key);
        }
        if let Some(rule) = &exchange.rule {
            event = event.with_delegation_rule(rule);
        }
    }
    Ok(event)
}
