//! Tokens and keys where they should not be.

use std::collections::BTreeSet;

use super::board::{Board, Seen};
use super::cases::{ANSWER_BODY, FRAGMENT, PRIVATE_KEY, QUERY, REDIRECT, REFERER, REQUEST_BODY};
use super::har::{self, Entry};
use super::message::{self, parameters};

/// Parameters whose value is a token or a secret, whatever it looks like.
const NAMES: [&str; 5] = [
    "access_token",
    "refresh_token",
    "id_token",
    "client_secret",
    "dpop",
];
/// Parameters of endpoints that are meant to take tokens (RFC 7009, 7662, 8693, 7523).
const TAKEN: [&str; 6] = [
    "token",
    "subject_token",
    "actor_token",
    "assertion",
    "client_assertion",
    "refresh_token",
];
/// Tokens looked for in bodies at most: each is a search through every body.
pub(super) const SEARCHED: usize = 64;
/// Entries after a redirect in which its target is looked for.
const FOLLOWED: usize = 10;

/// Every access token that was presented or issued.
pub(super) fn tokens(entries: &[Entry]) -> BTreeSet<String> {
    let presented = entries.iter().flat_map(message::presented);
    let presented = presented.map(|presented| presented.token);
    let issued = entries.iter().filter_map(message::token_answer);
    presented.chain(issued.map(|(token, _, _)| token)).collect()
}

/// One entry, with every token of the archive.
pub(super) fn look(board: &mut Board, entry: &Entry, tokens: &BTreeSet<String>) {
    let exposed = |is: bool| if is { Seen::Exposed } else { Seen::Kept };
    let in_parameters = |text: &str| {
        parameters(text).iter().any(|(name, value)| {
            let named = NAMES.contains(&name.to_ascii_lowercase().as_str());
            (named && !value.is_empty()) || tokens.contains(value)
        })
    };
    board.saw(&QUERY, entry, exposed(in_parameters(&entry.url.query)));
    let location = entry.answered("location").unwrap_or_default();
    let target = location
        .split_once('#')
        .map_or("", |(_, fragment)| fragment);
    let fragment = in_parameters(&entry.url.fragment) || in_parameters(target);
    board.saw(&FRAGMENT, entry, exposed(fragment));
    if let Some(referer) = entry.fields("referer").next() {
        let found = har::url(referer).is_some_and(|referer| {
            in_parameters(&referer.query) || in_parameters(&referer.fragment)
        });
        board.saw(&REFERER, entry, exposed(found));
    }
    if !entry.body.is_empty() {
        board.saw(&REQUEST_BODY, entry, exposed(in_request(entry, tokens)));
    }
    let own: BTreeSet<String> = message::presented(entry)
        .into_iter()
        .map(|presented| presented.token)
        .collect();
    if !own.is_empty() && !entry.answer_body.is_empty() {
        let echoed = contains(&entry.answer_body, &own);
        board.saw(&ANSWER_BODY, entry, exposed(echoed));
    }
    if private_key(&entry.body) || private_key(entry.url.query.as_bytes()) {
        board.saw(&PRIVATE_KEY, entry, Seen::Exposed);
    }
}

/// Whether the body holds an access token that its endpoint is not there to take.
fn in_request(entry: &Entry, tokens: &BTreeSet<String>) -> bool {
    let is_form = entry
        .fields("content-type")
        .next()
        .is_none_or(|kind| kind.contains("form-urlencoded"));
    if let (true, Ok(text)) = (is_form, std::str::from_utf8(&entry.body)) {
        return parameters(text).iter().any(|(name, value)| {
            let taken = TAKEN.contains(&name.as_str());
            !value.is_empty() && !taken && (name == "access_token" || tokens.contains(value))
        });
    }
    contains(&entry.body, tokens)
}

fn contains(body: &[u8], tokens: &BTreeSet<String>) -> bool {
    let text = String::from_utf8_lossy(body);
    let mut searched = tokens
        .iter()
        .filter(|token| token.len() >= 16)
        .take(SEARCHED);
    searched.any(|token| text.contains(token.as_str()))
}

/// A PEM private key, or a JWK with its private member.
fn private_key(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    if text.contains("PRIVATE KEY-----") {
        return true;
    }
    let is_jwk = text.contains("\"kty\"") && text.contains("\"d\"");
    is_jwk && serde_json::from_slice(bytes).is_ok_and(|body| private_jwk(&body))
}

fn private_jwk(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Object(members) => {
            let is = |name: &str| members.get(name).is_some_and(serde_json::Value::is_string);
            (is("kty") && is("d")) || members.values().any(private_jwk)
        }
        serde_json::Value::Array(values) => values.iter().any(private_jwk),
        _ => false,
    }
}

/// Tokens that a redirect took to another origin.
pub(super) fn redirects(board: &mut Board, entries: &[Entry]) {
    for (index, entry) in entries.iter().enumerate() {
        let tokens = message::presented(entry);
        let redirected = matches!(entry.status, Some(301 | 302 | 303 | 307 | 308));
        let target = entry.answered("location").and_then(har::url);
        let Some(target) = target.filter(|_| redirected && !tokens.is_empty()) else {
            continue;
        };
        if target.origin == entry.url.origin {
            continue;
        }
        let mut later = entries.iter().skip(index + 1).take(FOLLOWED);
        let followed =
            later.find(|later| later.url.origin == target.origin && later.url.path == target.path);
        let Some(followed) = followed else {
            continue;
        };
        let sent = message::presented(followed);
        let same = sent
            .iter()
            .any(|sent| tokens.iter().any(|token| token.token == sent.token));
        let seen = if same { Seen::Exposed } else { Seen::Kept };
        board.saw(&REDIRECT, followed, seen);
    }
}
