//! What the traffic shows of tokens presented, proofs beside them, and the servers that took them.

use std::collections::{BTreeMap, BTreeSet};

use keybound_proto::uri::Htu;

use super::board::{Board, Seen};
use super::cases::{
    AGE, ATH, BEARER, FORM, FRESH, HTM, HTU, ISSUED, KEY, NONCE, ORIGINS, PRIVATE_KEY, REPLAY,
    SCHEME, SIGNATURE, UNBOUND, WITHOUT_PROOF,
};
use super::har::Entry;
use super::message::{self, Bound, Ended, Presented, Proof};

/// Seconds a proof may be from the time of its request.
const LONGEST: f64 = 300.0;

/// Entries after a nonce challenge in which an answer to it is looked for.
const FOLLOWED: usize = 1000;

/// What is known of one origin.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// Requests with an access token.
    pub(super) with_token: usize,
    /// Those under `DPoP` with a proof.
    pub(super) bound: usize,
    /// Seconds from the recorded time to `iat`, per proof.
    pub(super) drifts: Vec<f64>,
    /// Nonces that were given.
    pub(super) nonces: BTreeSet<String>,
}

/// What is remembered from one entry to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) origins: BTreeMap<String, Traffic>,
    /// Proofs by key and `jti`: whether one was served.
    proofs: BTreeMap<(String, String), bool>,
    /// Origins each token went to.
    tokens: BTreeMap<String, BTreeSet<String>>,
}

/// One entry, with the tokens and proofs in it.
pub(super) fn look(board: &mut Board, memory: &mut Memory, entry: &Entry) {
    let tokens = message::presented(entry);
    let proofs: Vec<Proof> = entry.fields("dpop").map(Proof::read).collect();
    let origin = entry.url.origin.to_string();
    let traffic = memory.origins.entry(origin.clone()).or_default();
    if !tokens.is_empty() {
        traffic.with_token += 1;
        let as_dpop = tokens.iter().any(|token| token.scheme == "dpop");
        traffic.bound += usize::from(as_dpop && !proofs.is_empty());
    }
    if let Some(nonce) = entry.answered("dpop-nonce") {
        traffic.nonces.insert(nonce.to_owned());
    }
    for token in &tokens {
        presented(board, entry, token, proofs.is_empty());
        let places = memory.tokens.entry(token.token.clone()).or_default();
        let first = places.is_empty();
        let elsewhere = places.insert(origin.clone()) && !first;
        let seen = if elsewhere { Seen::Exposed } else { Seen::Kept };
        board.saw(&ORIGINS, entry, seen);
    }
    for proof in &proofs {
        let alone = proofs.len() == 1;
        judge(board, entry, proof, alone, &tokens);
        used(board, memory, entry, proof);
    }
    if !proofs.is_empty() {
        issued(board, entry);
    }
}

fn defect(entry: &Entry, is: bool) -> Seen {
    if is {
        Seen::Defect(Ended::of(entry))
    } else {
        Seen::Kept
    }
}

fn exposed(is: bool) -> Seen {
    if is { Seen::Exposed } else { Seen::Kept }
}

/// A token and the scheme it is presented under.
fn presented(board: &mut Board, entry: &Entry, token: &Presented, without_proof: bool) {
    let bearer = token.scheme == "bearer";
    if matches!(token.bound, Bound::Key(_)) {
        board.saw(&BEARER, entry, defect(entry, bearer));
        board.saw(&SCHEME, entry, exposed(bearer));
    }
    if !bearer {
        board.saw(&WITHOUT_PROOF, entry, defect(entry, without_proof));
    }
    let unbound = match token.bound {
        Bound::Nothing => defect(entry, true),
        // An opaque token under `DPoP` is bound where only the issuer can see it.
        Bound::Unreadable if bearer => Seen::Unread,
        Bound::Unreadable | Bound::Key(_) | Bound::Otherwise => Seen::Kept,
    };
    board.saw(&UNBOUND, entry, unbound);
}

/// A proof against its request and its token.
fn judge(board: &mut Board, entry: &Entry, proof: &Proof, alone: bool, tokens: &[Presented]) {
    board.saw(&PRIVATE_KEY, entry, exposed(proof.private));
    let malformed = proof.malformed.is_some() || !alone;
    board.saw(&FORM, entry, defect(entry, malformed));
    if malformed {
        return;
    }
    let signature = proof
        .verifies
        .map_or(Seen::Unread, |verifies| defect(entry, !verifies));
    board.saw(&SIGNATURE, entry, signature);
    board.saw(&HTM, entry, defect(entry, proof.htm != entry.method));
    let path = if entry.url.path.is_empty() {
        "/"
    } else {
        &entry.url.path
    };
    let target = Htu::for_request(&entry.url.origin, path).ok();
    let htu = target.map_or(Seen::Unread, |target| {
        let named = target.is_named_by(&proof.htu).unwrap_or(false);
        defect(entry, !named)
    });
    board.saw(&HTU, entry, htu);
    for token in tokens.iter().filter(|token| token.scheme == "dpop") {
        let names = proof.names_token(&token.token);
        board.saw(&ATH, entry, defect(entry, !names));
        if let (Bound::Key(jkt), Some(of_proof)) = (token.bound, proof.jkt) {
            board.saw(&KEY, entry, defect(entry, jkt != of_proof));
        }
    }
}

/// How often and when a proof was used.
fn used(board: &mut Board, memory: &mut Memory, entry: &Entry, proof: &Proof) {
    if !proof.jti.is_empty() {
        let jkt = proof.jkt.map(|jkt| jkt.to_string()).unwrap_or_default();
        let served = Ended::of(entry) == Ended::Served;
        let before = memory
            .proofs
            .get(&(jkt.clone(), proof.jti.clone()))
            .copied();
        board.saw(&FRESH, entry, exposed(before.is_some()));
        board.saw(&REPLAY, entry, defect(entry, before == Some(true)));
        let served = served || before == Some(true);
        memory.proofs.insert((jkt, proof.jti.clone()), served);
    }
    if let (Some(iat), Some(started)) = (proof.iat, entry.started) {
        let drift = iat as f64 - started;
        let origin = entry.url.origin.to_string();
        let traffic = memory.origins.entry(origin).or_default();
        traffic.drifts.push(drift);
        board.saw(&AGE, entry, defect(entry, drift.abs() > LONGEST));
    }
}

/// What a token endpoint gave for a request with a proof.
fn issued(board: &mut Board, entry: &Entry) {
    if message::token_request(entry).is_none() {
        return;
    }
    if let Some((token, kind, _)) = message::token_answer(entry) {
        let unbound =
            !kind.eq_ignore_ascii_case("dpop") || message::bound(&token) == Bound::Nothing;
        board.saw(&ISSUED, entry, defect(entry, unbound));
    }
}

/// Whether each nonce challenge is answered by some later proof to the same origin.
pub(super) fn challenges(board: &mut Board, entries: &[Entry]) {
    for (index, entry) in entries.iter().enumerate() {
        let Some(nonce) = challenge(entry) else {
            continue;
        };
        let later = entries.iter().skip(index + 1).take(FOLLOWED);
        let mut later = later
            .filter(|later| later.url.origin == entry.url.origin)
            .filter(|later| later.fields("dpop").next().is_some())
            .take(50)
            .peekable();
        if later.peek().is_none() {
            continue;
        }
        let mut nonces = later.flat_map(|later| later.fields("dpop").map(Proof::read));
        let answered = nonces.any(|proof| proof.nonce.as_deref() == Some(nonce));
        board.saw(&NONCE, entry, exposed(!answered));
    }
}

/// The nonce an answer asks for.
fn challenge(entry: &Entry) -> Option<&str> {
    let nonce = entry.answered("dpop-nonce")?;
    let asked = |text: &str| text.contains("use_dpop_nonce");
    let in_header = || entry.answered("www-authenticate").is_some_and(asked);
    let in_body = || std::str::from_utf8(&entry.answer_body).is_ok_and(asked);
    let refused = matches!(entry.status, Some(400 | 401));
    (refused && (in_header() || in_body())).then_some(nonce)
}
