//! DPoP proofs (RFC 9449): what a proof says, how one is made, nonces, and the
//! time in which a proof is taken.
//!
//! This module does not know access tokens, replay logs or HTTP; the order in
//! which a server checks is in [`crate::verify`].

mod nonce;
pub(crate) mod proof;

pub use self::nonce::{NonceKey, NoncePolicy, NonceRole};
pub(crate) use self::proof::Proof;
pub use self::proof::{DELEGATE_JKT, ProofRequest, lending_input, signing_input};

use crate::cause::Cause;
use crate::rejection::Rejection;
use crate::time::UnixTime;

/// The JWT type of a proof (RFC 9449 section 4.2).
pub const PROOF_TYPE: &str = "dpop+jwt";

/// The longest `jti` that is taken, in bytes. RFC 9449 section 11.1 asks for a limit.
pub const MAX_JTI_BYTES: usize = 256;

/// How far a proof's `iat` may be from now, in seconds (RFC 9449 section 4.3 (11)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofWindow {
    /// Seconds a proof may be old. Both ends are accepted.
    pub past: u64,
    /// Seconds a proof may be ahead of our clock.
    pub ahead: u64,
}

impl Default for ProofWindow {
    /// 60 seconds back, 10 ahead: FAPI 2.0 asks for 10 s ahead to be taken, 60 s refused.
    fn default() -> Self {
        Self {
            past: 60,
            ahead: 10,
        }
    }
}

impl ProofWindow {
    /// The first second at which a proof made at `iat` is no longer taken.
    #[must_use]
    pub fn end(self, iat: UnixTime) -> UnixTime {
        iat.plus(self.past).plus(1)
    }

    /// Refuses what lies outside the window, naming the skew.
    pub(crate) fn check(self, iat: UnixTime, now: UnixTime) -> Result<FreshProof, Rejection> {
        if iat > now.plus(self.ahead) {
            return Err(Rejection::new(Cause::DpopIatFuture)
                .expected(format!("at most {} s ahead", self.ahead))
                .clock_skew(signed_seconds(iat, now)));
        }
        if now >= self.end(iat) {
            return Err(Rejection::new(Cause::DpopIatPast)
                .expected(format!("at most {} s old", self.past))
                .clock_skew(signed_seconds(iat, now)));
        }
        Ok(FreshProof(()))
    }
}

/// Says that `iat` was inside the window. Made only by [`ProofWindow::check`].
#[derive(Debug)]
pub(crate) struct FreshProof(());

/// `a - b` in seconds, clamped to the range of `i64`.
fn signed_seconds(a: UnixTime, b: UnixTime) -> i64 {
    let clamp = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    if a >= b {
        clamp(a.seconds_since(b))
    } else {
        clamp(b.seconds_since(a)).saturating_neg()
    }
}
