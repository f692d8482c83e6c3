//! Credentials that were sent, so that a target that sends them back does not
//! put them into a report.
//!
//! What the probe shows of its own requests names credentials by their hash
//! already. Here the answers are searched: for every credential of the run,
//! and for the beginning of one, since long texts are cut.

use keybound_holder::Secret;

use crate::check::Decision;
use crate::draft::{Draft, SECRET_PARAMETERS, token_name};

/// So many characters of a credential in a row are one, and not chance.
const TELLING: usize = 16;

/// Credentials that were sent.
#[derive(Default)]
pub(super) struct Secrets(Vec<Secret>);

impl Secrets {
    /// Remembers the credentials of a request.
    pub(super) fn remember(&mut self, draft: &Draft) {
        for credential in &draft.credentials {
            self.add(&credential.token);
        }
        for (_, value) in &draft.headers {
            // `Basic …`, or `name=…` in a cookie.
            if let (true, Ok(text)) = (value.is_sensitive(), value.to_str()) {
                for word in text.split(' ') {
                    self.add(word);
                    self.add(word.split_once('=').map_or("", |(_, value)| value));
                }
            }
        }
        for (name, value) in draft.form.iter().flat_map(|form| &form.parameters) {
            if SECRET_PARAMETERS.contains(&name.as_str()) {
                self.add(value);
            }
        }
    }

    fn add(&mut self, secret: &str) {
        if secret.len() >= TELLING && !self.0.iter().any(|held| held.expose() == secret) {
            self.0.push(Secret::new(secret));
        }
    }

    /// The text with every credential replaced by its name.
    pub(super) fn removed_from(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            text = without(&text, secret.expose());
        }
        text
    }

    /// The decision with every credential that came back replaced by its name.
    pub(super) fn removed(&self, mut decision: Decision) -> Decision {
        decision.reason = self.removed_from(&decision.reason);
        decision.got = self.removed_from(&decision.got);
        for exchange in &mut decision.evidence {
            exchange.body = self.removed_from(&exchange.body);
            for (_, value) in &mut exchange.answer {
                *value = self.removed_from(value);
            }
        }
        decision
    }
}

/// The text without this secret or a telling part of its beginning.
fn without(text: &str, secret: &str) -> String {
    let Some(beginning) = secret.get(..TELLING) else {
        return text.to_owned();
    };
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, found)) = rest.split_once(beginning) {
        let more = secret.get(TELLING..).unwrap_or_default();
        let same = found.chars().zip(more.chars());
        let length: usize = same
            .take_while(|(here, there)| here == there)
            .map(|(here, _)| here.len_utf8())
            .sum();
        shown.push_str(before);
        shown.push_str(&token_name(secret));
        rest = found.get(length..).unwrap_or_default();
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "an-opaque-token-of-forty-characters-or-so";

    fn secrets() -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add(TOKEN);
        secrets
    }

    #[test]
    fn a_credential_that_comes_back_is_named_and_not_shown() {
        let name = token_name(TOKEN);
        let told = format!("no token {TOKEN}! `{TOKEN}`");
        assert_eq!(
            secrets().removed_from(&told),
            format!("no token {name}! `{name}`")
        );
    }

    #[test]
    fn the_beginning_of_one_is_enough() {
        let cut = format!("token {}…", &TOKEN[..30]);
        assert_eq!(
            secrets().removed_from(&cut),
            format!("token {}…", token_name(TOKEN))
        );
    }

    #[test]
    fn what_is_no_credential_stays() {
        for text in ["", "an-opaque-token", "401 DPoP algs=\"ES256\"", "é€"] {
            assert_eq!(secrets().removed_from(text), text);
        }
    }
}
