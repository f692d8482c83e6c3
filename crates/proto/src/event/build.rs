//! The setters of an event. They cut to the bounds that reading enforces, so
//! whatever is built can be read. They check no meaning.

use super::{Event, MAX_AUDIENCES, MAX_LONG_TEXT, MAX_SHORT_TEXT, TheftSignal};

/// Declares setters that store a text cut to its bound.
macro_rules! text_setters {
    ($($(#[$doc:meta])* $name:ident => $field:ident <= $bound:expr;)*) => {
        /// Setters: each takes the event and gives it back with one member set.
        /// Texts are cut to their bound on a character boundary and control
        /// characters become `?`.
        impl Event {
            $($(#[$doc])*
            #[must_use]
            pub fn $name(mut self, value: impl AsRef<str>) -> Self {
                self.$field = Some(clip(value.as_ref(), $bound));
                self
            })*
        }
    };
}

text_setters! {
    /// Sets the registry id of the refusal.
    with_cause => cause <= MAX_SHORT_TEXT;
    /// Sets the SHA-256 of the token, hexadecimal.
    with_token_sha256 => token_sha256 <= MAX_SHORT_TEXT;
    /// Sets the token's handle.
    with_token_id => token_id <= MAX_SHORT_TEXT;
    /// Sets the key's thumbprint.
    with_jkt => jkt <= MAX_SHORT_TEXT;
    /// Sets how the token is bound.
    with_binding => binding <= MAX_SHORT_TEXT;
    /// Sets the certificate's thumbprint.
    with_certificate => certificate <= MAX_SHORT_TEXT;
    /// Sets the rule by which a certificate was taken.
    with_certificate_rule => certificate_rule <= MAX_SHORT_TEXT;
    /// Sets where the key is kept.
    with_key_storage => key_storage <= MAX_SHORT_TEXT;
    /// Sets the thumbprint of the key the exchanged token is bound to.
    with_subject_key => subject_key <= MAX_SHORT_TEXT;
    /// Sets the rule that allowed a delegation.
    with_delegation_rule => delegation_rule <= MAX_SHORT_TEXT;
    /// Sets the issuer identifier.
    with_issuer => issuer <= MAX_LONG_TEXT;
    /// Sets the subject.
    with_identity => identity <= MAX_SHORT_TEXT;
    /// Sets the OAuth client.
    with_client_id => client_id <= MAX_SHORT_TEXT;
    /// Sets the scopes, separated by spaces.
    with_scope => scope <= MAX_LONG_TEXT;
    /// Sets the route's name.
    with_route => route <= MAX_SHORT_TEXT;
    /// Sets the request method.
    with_method => method <= MAX_SHORT_TEXT;
    /// Sets the request path; the caller leaves the query out.
    with_path => path <= MAX_LONG_TEXT;
    /// Sets the sender's network address.
    with_peer => peer <= MAX_SHORT_TEXT;
    /// Sets the request id.
    with_request_id => request_id <= MAX_SHORT_TEXT;
    /// Sets what the check wanted.
    with_expected => expected <= MAX_LONG_TEXT;
    /// Sets what the check saw.
    with_got => got <= MAX_LONG_TEXT;
    /// Sets the reason given.
    with_reason => reason <= MAX_LONG_TEXT;
    /// Sets who did it.
    with_by => by <= MAX_SHORT_TEXT;
}

impl Event {
    /// Sets the sign of theft.
    #[must_use]
    pub fn with_signal(mut self, signal: TheftSignal) -> Self {
        self.signal = Some(signal);
        self
    }

    /// Sets the token's resources; more than [`MAX_AUDIENCES`] are left out.
    #[must_use]
    pub fn with_audience<T: AsRef<str>>(mut self, audience: impl IntoIterator<Item = T>) -> Self {
        let kept = audience.into_iter().take(MAX_AUDIENCES);
        self.audience = kept.map(|one| clip(one.as_ref(), MAX_LONG_TEXT)).collect();
        self
    }

    /// Sets who acts for the identity; more than [`MAX_AUDIENCES`] are left out.
    #[must_use]
    pub fn with_actors<T: AsRef<str>>(mut self, actors: impl IntoIterator<Item = T>) -> Self {
        let kept = actors.into_iter().take(MAX_AUDIENCES);
        self.actors = kept.map(|one| clip(one.as_ref(), MAX_SHORT_TEXT)).collect();
        self
    }

    /// Sets the end of the token or lock, seconds.
    #[must_use]
    pub fn with_expires_at(mut self, seconds: u64) -> Self {
        self.expires_at = Some(seconds);
        self
    }

    /// Sets the sender's clock minus ours, seconds.
    #[must_use]
    pub fn with_clock_skew(mut self, seconds: i64) -> Self {
        self.clock_skew = Some(seconds);
        self
    }

    /// Sets how many occurrences the record stands for.
    #[must_use]
    pub fn with_count(mut self, count: u64) -> Self {
        self.count = count;
        self
    }

    /// Sets the time from the lock to its effect here, milliseconds.
    #[must_use]
    pub fn with_propagation_ms(mut self, milliseconds: u64) -> Self {
        self.propagation_ms = Some(milliseconds);
        self
    }
}

/// At most `bound` bytes of `text`, cut between characters, without control
/// characters.
pub(super) fn clip(text: &str, bound: usize) -> String {
    let mut kept = String::with_capacity(text.len().min(bound));
    for character in text.chars() {
        if kept.len().saturating_add(character.len_utf8()) > bound {
            break;
        }
        kept.push(if character.is_control() {
            '?'
        } else {
            character
        });
    }
    kept
}
