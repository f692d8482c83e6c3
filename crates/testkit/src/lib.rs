//! A whole Keybound in one process: issuer, control plane and gateway behind real
//! loopback sockets, with a clock that only the test moves.
//!
//! [`World`] starts the parts, [`ProofDraft`] makes proofs good and bad, and
//! [`send`] talks HTTP to the byte, refusing answers with header fields nobody
//! allowed. Nothing here is published, and no product crate imports it.

#![expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    reason = "a test harness stops the test when its own footing is wrong"
)]

mod draft;
mod hostile;
mod http;
mod lenient;
mod probing;
#[cfg(unix)]
mod workload_api;
mod world;

pub use self::draft::{AssertionDraft, ProofDraft, sign_with};
pub use self::hostile::{Act, Hostile, Turn, answer};
pub use self::http::{Answer, FormRequest, RawConnection, send};
pub use self::lenient::{Exchanged, Fault, Faulty, Lenient};
pub use self::probing::{TurnedClock, WorldRevoker};
#[cfg(unix)]
pub use self::workload_api::{ApiAnswer, FakeWorkloadApi};
pub use self::world::{Agent, RecordedRequest, Upstream, World, WorldOptions};
