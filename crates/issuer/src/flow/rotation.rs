//! When signing keys are made, published, used and removed.
//!
//! A key's life: published, then (after the overlap) used for signing, then
//! retired when its successor takes over, then removed from the JWKS when the
//! last token it signed can no longer live. So no verifier ever meets a token
//! whose key was published only after the token.
//!
//! Everything here is arithmetic on times that are passed in; keys are made and
//! stored by the shell.

use keybound_proto::jose::Algorithm;
use keybound_proto::time::UnixTime;

/// How long a removed key outlives the last token it can have signed: room for
/// verifiers whose clocks run behind.
const REMOVAL_MARGIN: u64 = 300;

/// How often keys change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// How long one key signs, in seconds.
    pub every: u64,
    /// How long a key is published before it signs, in seconds. Must be longer
    /// than verifiers cache the JWKS.
    pub overlap: u64,
}

/// The times of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTimes {
    /// Listed in the JWKS from here on.
    pub publish_at: UnixTime,
    /// Signs from here on.
    pub active_from: UnixTime,
    /// Signs no longer from here on.
    pub retire_at: UnixTime,
    /// Gone from the JWKS from here on.
    pub remove_at: UnixTime,
}

impl KeyTimes {
    /// Whether the key may sign at `now`.
    #[must_use]
    pub fn signs(&self, now: UnixTime) -> bool {
        self.active_from <= now && now < self.retire_at
    }

    /// Whether the key is listed in the JWKS at `now`.
    #[must_use]
    pub fn is_published(&self, now: UnixTime) -> bool {
        self.publish_at <= now && now < self.remove_at
    }
}

/// The times of the key to make now; `None` while the present keys suffice.
///
/// The first key signs at once: nobody can have cached a JWKS without it. So
/// does a key made after all others have retired (the issuer was down for
/// longer than the overlap), because refusing to issue would help nobody.
#[must_use]
pub fn successor(
    rotation: Rotation,
    access_ttl: u64,
    algorithm: Algorithm,
    keys: &[(Algorithm, KeyTimes)],
    now: UnixTime,
) -> Option<KeyTimes> {
    let suffices = keys
        .iter()
        .any(|(known, times)| *known == algorithm && now < times.retire_at.minus(rotation.overlap));
    if suffices {
        return None;
    }
    let covered_until = keys
        .iter()
        .map(|(_, times)| times.retire_at)
        .max()
        .filter(|until| *until > now);
    let active_from = covered_until.map_or(now, |until| until.min(now.plus(rotation.overlap)));
    let retire_at = active_from.plus(rotation.every);
    Some(KeyTimes {
        publish_at: now,
        active_from,
        retire_at,
        remove_at: retire_at.plus(access_ttl).plus(REMOVAL_MARGIN),
    })
}

/// The key that signs at `now`: of those that may, the one that began last.
#[must_use]
pub fn signing<K>(keys: &[K], times: impl Fn(&K) -> KeyTimes, now: UnixTime) -> Option<&K> {
    keys.iter()
        .filter(|key| times(key).signs(now))
        .max_by_key(|key| times(key).active_from)
}

#[cfg(test)]
mod tests {
    use super::{KeyTimes, Rotation, signing, successor};
    use keybound_proto::jose::Algorithm;
    use keybound_proto::time::UnixTime;

    const ROTATION: Rotation = Rotation {
        every: 10_000,
        overlap: 1_000,
    };

    fn next(keys: &[(Algorithm, KeyTimes)], now: u64) -> Option<KeyTimes> {
        successor(
            ROTATION,
            300,
            Algorithm::Es256,
            keys,
            UnixTime::from_secs(now),
        )
    }

    fn seconds(times: KeyTimes) -> [u64; 4] {
        [
            times.publish_at,
            times.active_from,
            times.retire_at,
            times.remove_at,
        ]
        .map(UnixTime::as_secs)
    }

    #[test]
    fn the_first_key_signs_at_once_and_outlives_its_last_token() {
        let first = next(&[], 50_000).unwrap();
        assert_eq!(seconds(first), [50_000, 50_000, 60_000, 60_600]);
    }

    #[test]
    fn a_successor_is_published_before_it_signs_and_without_a_gap() {
        let first = next(&[], 50_000).unwrap();
        let keys = [(Algorithm::Es256, first)];
        assert_eq!(next(&keys, 58_999), None);
        let second = next(&keys, 59_000).unwrap();
        assert_eq!(seconds(second)[..2], [59_000, 60_000]);
        let both = [(Algorithm::Es256, first), (Algorithm::Es256, second)];
        assert_eq!(next(&both, 59_001), None);
        for now in 59_000..61_000 {
            let now = UnixTime::from_secs(now);
            let key = signing(&both, |(_, times)| *times, now).unwrap();
            assert!(key.1.is_published(now));
        }
    }

    #[test]
    fn a_late_start_never_leaves_the_issuer_without_a_key() {
        let first = next(&[], 50_000).unwrap();
        let keys = [(Algorithm::Es256, first)];
        assert_eq!(next(&keys, 59_900).unwrap().active_from.as_secs(), 60_000);
        assert_eq!(next(&keys, 99_000).unwrap().active_from.as_secs(), 99_000);
    }

    #[test]
    fn another_algorithm_is_published_first_too() {
        let old = next(&[], 50_000).unwrap();
        let keys = [(Algorithm::EdDsa, old)];
        let new = next(&keys, 51_000).unwrap();
        assert_eq!(new.active_from.as_secs(), 52_000);
        let both = [(Algorithm::EdDsa, old), (Algorithm::Es256, new)];
        let at = |now| {
            signing(&both, |(_, times)| *times, UnixTime::from_secs(now))
                .unwrap()
                .0
        };
        assert_eq!(at(51_999), Algorithm::EdDsa);
        assert_eq!(at(52_000), Algorithm::Es256);
    }
}
