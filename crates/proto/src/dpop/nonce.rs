//! Stateless server nonces (RFC 9449 sections 8 and 9).
//!
//! A nonce is `base64url(time (8 bytes) || HMAC-SHA-256(secret, role || epoch || time)[..16])`.
//! Every node with the same secret makes and takes the same nonces without
//! talking; nobody else can make one. A nonce is good for its lifetime and may
//! be used by several requests: it proves recency, the replay log proves
//! singularity. The two roles have separate spaces (section 9), and a nonce made
//! over another epoch is unknown.
//!
//! This module does not decide who needs a nonce; see [`NoncePolicy`].

use std::fmt;

use aws_lc_rs::{constant_time, hmac};

use crate::base64url;
use crate::cause::Cause;
use crate::rejection::Rejection;
use crate::time::UnixTime;

/// Which kind of server gives the nonce. The two never take each other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceRole {
    /// The token endpoint and its neighbours (RFC 9449 section 8).
    AuthorizationServer,
    /// Resource servers and gateways (RFC 9449 section 9).
    ResourceServer,
}

/// Makes and checks nonces of one role and epoch.
pub struct NonceKey {
    key: hmac::Key,
    /// Secrets whose nonces are taken too, while nodes go from one to another.
    others: Vec<hmac::Key>,
    role: NonceRole,
    epoch: u64,
    lifetime: u64,
}

/// What a server asks of nonces for one request.
#[derive(Clone, Copy, Debug)]
pub struct NoncePolicy<'a> {
    /// Checks whatever nonce is presented, required or not.
    pub key: &'a NonceKey,
    /// Whether a proof without a nonce is refused. A function of route, client and
    /// mode, never of what the proof carries.
    pub required: bool,
}

/// Says that a nonce was made by this key and is recent. Made only by [`NonceKey`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecentNonce(());

const TIME_BYTES: usize = 8;
const TAG_BYTES: usize = 16;
const NONCE_BYTES: usize = TIME_BYTES + TAG_BYTES;

/// Seconds a nonce may come from another node whose clock is ahead.
const NODE_SKEW: u64 = 10;

impl NonceKey {
    /// A key for one role. `epoch` names the run whose nonces are taken (0 where
    /// runs do not matter), `lifetime` is in seconds.
    #[must_use]
    pub fn new(secret: &[u8; 32], role: NonceRole, epoch: u64, lifetime: u64) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            others: Vec::new(),
            role,
            epoch,
            lifetime,
        }
    }

    /// The same key, which also takes nonces made with these secrets. It makes
    /// none with them.
    #[must_use]
    pub fn also_taking<'s>(mut self, secrets: impl IntoIterator<Item = &'s [u8; 32]>) -> Self {
        let keys = secrets.into_iter();
        self.others
            .extend(keys.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret)));
        self
    }

    /// A nonce made now. Characters are those of base64url, a subset of NQCHAR.
    #[must_use]
    pub fn issue(&self, now: UnixTime) -> String {
        let mut bytes = Vec::with_capacity(NONCE_BYTES);
        bytes.extend_from_slice(&now.as_secs().to_be_bytes());
        bytes.extend_from_slice(&self.tag(&self.key, now));
        base64url::encode(&bytes)
    }

    /// Takes a nonce this key made within its lifetime.
    pub(crate) fn check(&self, nonce: &str, now: UnixTime) -> Result<RecentNonce, Rejection> {
        let stale = || Rejection::new(Cause::DpopNonceStale);
        let bytes: [u8; NONCE_BYTES] =
            base64url::decode_exact(nonce.as_bytes()).map_err(|_| stale())?;
        let (time, tag) = bytes.split_first_chunk::<TIME_BYTES>().ok_or_else(stale)?;
        let made = UnixTime::from_secs(u64::from_be_bytes(*time));
        let is_ours =
            |key| constant_time::verify_slices_are_equal(&self.tag(key, made), tag).is_ok();
        if !std::iter::once(&self.key).chain(&self.others).any(is_ours) {
            return Err(stale());
        }
        if made > now.plus(NODE_SKEW) || now.seconds_since(made) > self.lifetime {
            return Err(stale().expected(format!("a nonce at most {} s old", self.lifetime)));
        }
        Ok(RecentNonce(()))
    }

    fn tag(&self, key: &hmac::Key, made: UnixTime) -> [u8; TAG_BYTES] {
        let role: u8 = match self.role {
            NonceRole::AuthorizationServer => b'A',
            NonceRole::ResourceServer => b'R',
        };
        let mut context = hmac::Context::with_key(key);
        context.update(&[role]);
        context.update(&self.epoch.to_be_bytes());
        context.update(&made.as_secs().to_be_bytes());
        let full = context.sign();
        let mut tag = [0; TAG_BYTES];
        for (to, from) in tag.iter_mut().zip(full.as_ref()) {
            *to = *from;
        }
        tag
    }
}

impl fmt::Debug for NonceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NonceKey")
            .field("role", &self.role)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{NonceKey, NonceRole};
    use crate::time::UnixTime;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn key(secret: u8, role: NonceRole, epoch: u64) -> NonceKey {
        NonceKey::new(&[secret; 32], role, epoch, 300)
    }

    #[test]
    fn sc_097_foreign_expired_and_garbled_nonces_are_stale() {
        let ours = key(1, NonceRole::ResourceServer, 7);
        for other in [
            key(2, NonceRole::ResourceServer, 7),
            key(1, NonceRole::AuthorizationServer, 7),
            key(1, NonceRole::ResourceServer, 8),
        ] {
            assert!(ours.check(&other.issue(NOW), NOW).is_err());
        }
        let nonce = ours.issue(NOW);
        assert!(ours.check(&nonce, NOW.plus(301)).is_err());
        assert!(ours.check(&nonce, NOW.minus(11)).is_err());
        for garbled in [
            "",
            "x",
            "=",
            &nonce[1..],
            &format!("{nonce}A"),
            &nonce.to_lowercase(),
        ] {
            assert!(ours.check(garbled, NOW).is_err(), "{garbled}");
        }
    }

    #[test]
    fn sc_100_two_nodes_with_one_secret_agree() {
        let (a, b) = (
            key(1, NonceRole::ResourceServer, 0),
            key(1, NonceRole::ResourceServer, 0),
        );
        for age in [0, 1, 299, 300] {
            assert!(b.check(&a.issue(NOW), NOW.plus(age)).is_ok());
        }
        assert!(b.check(&a.issue(NOW.plus(10)), NOW).is_ok());
    }

    #[test]
    fn sc_100_nodes_in_the_middle_of_a_rotation_agree() {
        let role = NonceRole::ResourceServer;
        let ring = |current: u8, others: &[u8]| {
            let others: Vec<_> = others.iter().map(|secret| [*secret; 32]).collect();
            key(current, role, 7).also_taking(&others)
        };
        // The new secret is added everywhere, then made the current one, then
        // the old one is taken away. Neighbouring steps exist side by side.
        let steps = [ring(1, &[]), ring(1, &[2]), ring(2, &[1]), ring(2, &[])];
        for pair in steps.windows(2) {
            for (here, there) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
                assert!(there.check(&here.issue(NOW), NOW).is_ok());
            }
        }
        assert!(steps[0].check(&steps[3].issue(NOW), NOW).is_err());
        assert!(steps[3].check(&steps[0].issue(NOW), NOW).is_err());
        let issuer = key(2, NonceRole::AuthorizationServer, 7).also_taking(&[[1; 32]]);
        assert!(
            issuer.check(&steps[1].issue(NOW), NOW).is_err(),
            "spaces stay separate"
        );
        assert!(
            issuer.check(&steps[2].issue(NOW), NOW).is_err(),
            "spaces stay separate"
        );
    }

    #[test]
    fn sc_099_nonces_use_allowed_characters_only() {
        for offset in 0..64 {
            let nonce = key(3, NonceRole::AuthorizationServer, 0).issue(NOW.plus(offset));
            assert!(
                nonce
                    .bytes()
                    .all(|b| b == 0x21 || (0x23..=0x5b).contains(&b) || (0x5d..=0x7e).contains(&b))
            );
        }
    }
}
