//! The order of the checks, enforced by types.
//!
//! ```text
//! Received ──begin──▶ Unkeyed ──with_token──▶ Unjudged ──judge──▶ Unredeemed ──redeem──▶ Verified
//!  headers    form,     wants    issuer,        wants   revocation,   wants     replay
//!             proof     a        audience,      a view  scope         a record  insert
//!             claims    token    ath, cnf,
//!                                signature
//! ```
//!
//! Each state is named for what it still wants and is consumed by the step that
//! gives it. A check's success is a value the next step takes, so a skipped check
//! does not compile. The proof's signature comes after its key was found to be
//! the token's, so strangers with throw-away keys cost no curve arithmetic, and
//! the replay log is written last, so nothing is written for a request that fails.
//!
//! This module does no I/O: keys, revocations and the replay log are asked by the
//! caller, whose answers come back as [`AccessToken`], [`NotRevoked`] and
//! [`Recorded`]. It does not decide enforcement modes; see [`Permitted`].
//!
//! [`AccessToken`]: crate::token::AccessToken

mod possession;
mod presented;
mod proof_only;
mod replay;
mod request;
mod token_request;
mod workload;

pub use self::possession::{CertificateRule, Possession};
pub use self::presented::{HeaderField, Message, Presented};
pub use self::proof_only::{ProofPresented, UnredeemedProof, begin_proof};
pub use self::replay::{Recorded, ReplayHashKey, ReplayQuery, ReplayUse};
pub use self::request::{
    NotRevoked, Received, Requirements, RevocationQuery, Unjudged, Unkeyed, Unredeemed, Verified,
};
pub use self::token_request::{
    SignedTokenRequest, TOKEN_REQUEST_WINDOW, TokenRequestKeys, begin_signed_request,
};
pub use self::workload::{WorkloadPolicy, WorkloadReceived, with_svid};

use crate::dpop::ProofWindow;
use crate::jose::AlgorithmSet;
use crate::signature::agent::VerifiedAgent;

/// What a server takes in proofs and tokens, whatever the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Algorithms taken in proofs.
    pub proof_algorithms: AlgorithmSet,
    /// How old and how far ahead a proof may be.
    pub window: ProofWindow,
    /// The largest access token, in bytes.
    pub max_token_bytes: usize,
    /// The largest proof, in bytes.
    pub max_proof_bytes: usize,
    /// Whether tokens that are no JWTs are taken: only where their issuer can be asked.
    pub opaque_tokens: bool,
}

impl Default for Profile {
    /// ES256 and EdDSA, 60 s back, 10 s ahead, 8 KiB each, JWTs only.
    fn default() -> Self {
        Self {
            proof_algorithms: AlgorithmSet::PROOF_DEFAULT,
            window: ProofWindow::default(),
            max_token_bytes: 8192,
            max_proof_bytes: 8192,
            opaque_tokens: false,
        }
    }
}

/// What a gateway may forward, and nothing else.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one a request, moved a few times; a box would be one more allocation a request"
)]
pub enum Permitted {
    /// No token, but the signature of an agent that an operator welcomes on this route.
    Agent(Box<VerifiedAgent>),
    /// A bound token, with possession proven for this request.
    Bound(Verified),
    /// A verified token that is not bound, on a route that still takes such tokens.
    Unbound(Exemption),
    /// A route without enforcement: credentials were not read.
    Unchecked(RouteOff),
}

/// A verified, unbound token on a route that an operator lets take them. The
/// enforcement modes `observe` and `prefer` will make it; `require` never does.
#[derive(Debug)]
pub struct Exemption {
    #[expect(
        dead_code,
        reason = "only `observe` and `prefer`, which follow, make one"
    )]
    never: std::convert::Infallible,
}

/// An operator's decision that a route is not enforced.
#[derive(Debug)]
pub struct RouteOff(());

impl RouteOff {
    /// The route's configuration says `enforcement = "off"`.
    #[must_use]
    pub const fn operator_decision() -> Self {
        Self(())
    }
}
