//! What a replay log is asked, and the answer only a log gives.
//!
//! The key of a record is a keyed hash of (`jkt`, `jti`): one use per key and
//! `jti` while the proof could be accepted, whatever its `iat`, its spelling or its
//! signature (RFC 9449 section 11.1). Keyed, so that nobody can aim at another
//! sender's record or at one shard of the log. A false "seen" refuses an honest
//! request; a false "new" is a replay: both need a collision of 128 keyed bits.
//!
//! This module keeps nothing.

use std::fmt;

use aws_lc_rs::hmac;

use crate::jose::Jkt;
use crate::time::UnixTime;

/// The secret under which replay records are hashed. Nodes that share a log share it.
pub struct ReplayHashKey(hmac::Key);

/// One record to insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReplayQuery {
    key: u128,
    sender: u64,
    issued_at: UnixTime,
    expires_at: UnixTime,
    recent_nonce: bool,
}

impl ReplayQuery {
    /// A query out of thin air, for tests and measurements of replay logs.
    #[cfg(any(test, feature = "test-util"))]
    #[must_use]
    pub const fn for_tests(
        key: u128,
        sender: u64,
        issued_at: UnixTime,
        expires_at: UnixTime,
    ) -> Self {
        Self {
            key,
            sender,
            issued_at,
            expires_at,
            recent_nonce: false,
        }
    }

    /// The same query of a proof that carried a nonce of the current epoch.
    #[cfg(any(test, feature = "test-util"))]
    #[must_use]
    pub const fn with_recent_nonce(mut self) -> Self {
        self.recent_nonce = true;
        self
    }

    /// The record's key: 128 bits of a keyed hash.
    #[must_use]
    pub const fn key(&self) -> u128 {
        self.key
    }

    /// Who sends, for fairness between senders: 64 bits of the key's thumbprint, or of a hash
    /// of the client id.
    #[must_use]
    pub const fn sender(&self) -> u64 {
        self.sender
    }

    /// When the proof says it was made.
    #[must_use]
    pub const fn issued_at(&self) -> UnixTime {
        self.issued_at
    }

    /// The first second at which the proof can no longer be accepted. A record must live
    /// at least until then.
    #[must_use]
    pub const fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// Whether the proof carried a nonce made over the current epoch, so that it cannot have
    /// been used before this epoch began.
    #[must_use]
    pub const fn recent_nonce(&self) -> bool {
        self.recent_nonce
    }
}

/// What a gate does with a proof that was not used before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReplayUse {
    /// Records it: nobody else accepts it any more.
    #[default]
    Consume,
    /// Only looks whether it was recorded, because a second gate behind this
    /// one consumes it. Alone it stops no replay.
    CheckOnly,
}

/// The answer "this was new" of a replay log to one [`ReplayQuery`]: "and is
/// recorded now", or, to a gate that only looks, "and still is".
#[derive(Debug)]
pub struct Recorded {
    query: ReplayQuery,
    replay: ReplayUse,
}

impl Recorded {
    /// For replay logs only: the record did not exist, and does now.
    #[must_use]
    pub const fn assertion(query: ReplayQuery) -> Self {
        Self {
            query,
            replay: ReplayUse::Consume,
        }
    }

    /// For replay logs only: the record did not exist, and nothing was stored.
    #[must_use]
    pub const fn looked_up(query: ReplayQuery) -> Self {
        Self {
            query,
            replay: ReplayUse::CheckOnly,
        }
    }

    /// The query this answers.
    #[must_use]
    pub const fn query(&self) -> &ReplayQuery {
        &self.query
    }

    /// Whether the proof is used up now.
    #[must_use]
    pub const fn replay(&self) -> ReplayUse {
        self.replay
    }
}

impl ReplayHashKey {
    /// The key for a log that several nodes share. Such a log hashes each
    /// record once more, under a secret that lives as long as its records do, so
    /// that nodes whose secrets differ or are being exchanged still agree.
    #[must_use]
    pub fn for_shared_log() -> Self {
        Self::new(b"keybound replay log, first hash.")
    }

    /// A key over 256 secret bits.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The record of a DPoP proof.
    pub(crate) fn query_for_proof(
        &self,
        jkt: Jkt,
        jti: &str,
        times: (UnixTime, UnixTime),
        recent_nonce: bool,
    ) -> ReplayQuery {
        let (key, _) = self.hash(&[b"proof\0", jkt.as_bytes(), jti.as_bytes()]);
        ReplayQuery {
            key,
            sender: first_u64(jkt.as_bytes()),
            issued_at: times.0,
            expires_at: times.1,
            recent_nonce,
        }
    }

    /// The record of a client assertion.
    pub(crate) fn query_for_assertion(
        &self,
        client_id: &str,
        jti: &str,
        expires_at: UnixTime,
    ) -> ReplayQuery {
        let (client, sender) = self.hash(&[b"client\0", client_id.as_bytes()]);
        // The client's hash has a fixed length, so client id and `jti` cannot flow into each other.
        let (key, _) = self.hash(&[b"assertion\0", &client.to_be_bytes(), jti.as_bytes()]);
        ReplayQuery {
            key,
            sender,
            issued_at: UnixTime::from_secs(0),
            expires_at,
            recent_nonce: true,
        }
    }

    fn hash(&self, parts: &[&[u8]]) -> (u128, u64) {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        let tag = context.sign();
        let bytes = tag.as_ref();
        let key = bytes
            .first_chunk::<16>()
            .map_or(0, |chunk| u128::from_be_bytes(*chunk));
        (
            key,
            bytes
                .last_chunk::<8>()
                .map_or(0, |chunk| u64::from_be_bytes(*chunk)),
        )
    }
}

fn first_u64(bytes: &[u8; 32]) -> u64 {
    bytes
        .first_chunk::<8>()
        .map_or(0, |chunk| u64::from_be_bytes(*chunk))
}

impl fmt::Debug for ReplayHashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplayHashKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::ReplayHashKey;
    use crate::jose::Jkt;
    use crate::time::UnixTime;

    #[test]
    fn sc_083_the_name_space_is_per_key_and_per_secret() {
        let a: Jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
            .parse()
            .unwrap();
        let b: Jkt = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
            .parse()
            .unwrap();
        let times = (UnixTime::from_secs(1), UnixTime::from_secs(61));
        let key = ReplayHashKey::new(&[1; 32]);
        let of = |key: &ReplayHashKey, jkt, jti| key.query_for_proof(jkt, jti, times, false).key();
        assert_ne!(of(&key, a, "x"), of(&key, b, "x"));
        assert_ne!(of(&key, a, "x"), of(&key, a, "y"));
        assert_ne!(of(&key, a, "x"), of(&ReplayHashKey::new(&[2; 32]), a, "x"));
        assert_eq!(of(&key, a, "x"), of(&key, a, "x"));
    }

    /// SC-094: nodes of two releases share a log during a rolling upgrade. Whoever changes this value
    /// lets a proof be used once under each format, unless both are written for one window.
    #[test]
    fn sc_094_the_format_of_shared_records_does_not_change() {
        let jkt: Jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
            .parse()
            .unwrap();
        let times = (UnixTime::from_secs(1), UnixTime::from_secs(61));
        let key = ReplayHashKey::for_shared_log();
        let query = key.query_for_proof(jkt, "e1j3V_bKic8-LAEB", times, false);
        assert_eq!(query.key(), 0xfe48_08a5_54c4_35c4_162a_a4df_8d44_02d8);
    }

    #[test]
    fn client_and_jti_do_not_flow_into_each_other() {
        let key = ReplayHashKey::new(&[1; 32]);
        let of = |client, jti| {
            key.query_for_assertion(client, jti, UnixTime::from_secs(1))
                .key()
        };
        assert_ne!(of("ab", "c"), of("a", "bc"));
        let sender = |client, jti| {
            key.query_for_assertion(client, jti, UnixTime::from_secs(1))
                .sender()
        };
        assert_eq!(sender("a", "1"), sender("a", "2"));
        assert_ne!(sender("a", "1"), sender("b", "1"));
    }
}
