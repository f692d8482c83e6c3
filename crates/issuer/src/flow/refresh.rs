//! Refresh tokens (RFC 6749 section 6): whether one may be used in the state it is in.
//!
//! They are bound for every client, public or not, and rotate: each is used once, for the next.
//! The one exception is a lost answer, see [`judge`]. Where rotation is off (FAPI 2.0 section
//! 5.3.2.1) a token stays until its grant ends.

use keybound_control::{RefreshState, RefreshToken};
use keybound_proto::cause::Cause;
use keybound_proto::jose::Jkt;
use keybound_proto::rejection::Rejection;
use keybound_proto::time::UnixTime;

use super::client::Client;

/// What using a refresh token comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usable {
    /// It is used, and the next one takes its place.
    ForTheNext,
    /// Its answer was lost: the next one takes the place of the successor nobody used.
    Again,
}

/// Whether the client may use the token, with the key that was proven in this request.
///
/// # Errors
/// [`Cause::GrantInvalid`] for another client's; [`Cause::GrantKeyMismatch`] for another key
/// while nobody has used it: nothing changes then, because whoever lacks the key must not be
/// able to end the grant. [`Cause::GrantReused`] for a token that was used before, unless the
/// same key comes back within `overlap` seconds and its successor is unused: the grant has to be
/// revoked.
pub fn judge(
    token: &RefreshToken,
    client: &Client,
    proven: Option<Jkt>,
    overlap: u64,
    now: UnixTime,
) -> Result<Usable, Rejection> {
    if token.grant.client_id != client.id {
        return Err(Rejection::new(Cause::GrantInvalid).got("a refresh token of another client"));
    }
    let same_key = token.jkt.is_none() || token.jkt == proven;
    match token.state {
        RefreshState::Unused if same_key => Ok(Usable::ForTheNext),
        RefreshState::Unused => Err(mismatch(token.jkt, proven)),
        RefreshState::Used { at } if same_key && now < at.plus(overlap) => Ok(Usable::Again),
        RefreshState::Used { .. } | RefreshState::Past => Err(Cause::GrantReused.into()),
    }
}

fn mismatch(bound_to: Option<Jkt>, proven: Option<Jkt>) -> Rejection {
    let text = |jkt: Option<Jkt>| jkt.map_or_else(|| "no key".to_owned(), |jkt| jkt.to_string());
    Rejection::new(Cause::GrantKeyMismatch)
        .expected(text(bound_to))
        .got(text(proven))
}

#[cfg(test)]
mod tests {
    use keybound_control::{GrantRecord, RefreshState, RefreshToken};
    use keybound_proto::cause::Cause;
    use keybound_proto::jose::Jkt;
    use keybound_proto::time::UnixTime;
    use keybound_proto::token::TokenHash;

    use super::{Usable, judge};
    use crate::flow::client::Client;
    use crate::flow::client::tests::client;

    fn token(state: RefreshState) -> RefreshToken {
        RefreshToken {
            hash: TokenHash::of(b"kbr_"),
            jkt: Some(Jkt::from_bytes([1; 32])),
            state,
            grant: GrantRecord {
                grant_id: "grt_1".to_owned(),
                issuer: "https://auth.example.com".to_owned(),
                client_id: "a".to_owned(),
                identity: "person".to_owned(),
                document: "{}".to_owned(),
                created_at: UnixTime::from_secs(0),
                expires_at: UnixTime::from_secs(1_000_000),
            },
        }
    }

    fn outcome(state: RefreshState, key: Option<u8>, now: u64) -> Result<Usable, Cause> {
        let proven = key.map(|byte| Jkt::from_bytes([byte; 32]));
        let now = UnixTime::from_secs(now);
        judge(&token(state), &client(), proven, 60, now).map_err(|rejection| rejection.cause())
    }

    const USED: RefreshState = RefreshState::Used {
        at: UnixTime::from_secs(1000),
    };

    #[test]
    fn sc_137_sc_138_another_key_or_none_changes_nothing() {
        for key in [None, Some(2)] {
            let refused = outcome(RefreshState::Unused, key, 1000);
            assert_eq!(refused, Err(Cause::GrantKeyMismatch));
        }
    }

    #[test]
    fn sc_140_sc_142_reuse_is_told_from_a_lost_answer() {
        assert_eq!(outcome(USED, Some(2), 1001), Err(Cause::GrantReused));
        assert_eq!(outcome(USED, None, 1001), Err(Cause::GrantReused));
        assert_eq!(outcome(USED, Some(1), 1060), Err(Cause::GrantReused));
        assert_eq!(
            outcome(RefreshState::Past, Some(1), 1001),
            Err(Cause::GrantReused)
        );
        assert_eq!(outcome(USED, Some(1), 1059), Ok(Usable::Again));
        assert_eq!(
            outcome(RefreshState::Unused, Some(1), 1001),
            Ok(Usable::ForTheNext)
        );
    }

    #[test]
    fn sc_144_another_clients_token_is_unknown() {
        let other = Client {
            id: "b".to_owned(),
            ..client()
        };
        let proven = Some(Jkt::from_bytes([1; 32]));
        let refused = judge(
            &token(RefreshState::Past),
            &other,
            proven,
            60,
            UnixTime::from_secs(1),
        );
        let cause = refused.unwrap_err().cause();
        assert_eq!(cause, Cause::GrantInvalid, "and its grant is not revoked");
    }
}
