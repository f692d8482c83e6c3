//! What a shared store must be able to do. Implemented for Redis and
//! PostgreSQL; the rules about epochs, clocks and time limits are the
//! [`SharedLog`](super::SharedLog)'s and the same for all.

use std::fmt;
use std::future::Future;

/// A place where records are kept for several nodes.
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// What is opened.
    type Session: Session;

    /// Connects, sets up what is missing, and learns in which run the store is.
    fn open(
        &self,
        opening: &Opening,
    ) -> impl Future<Output = Result<(Self::Session, Facts), StoreError>> + Send;
}

/// Connections to one run of a store.
///
/// A session never outlives its run: when a server behind it is another one, was
/// restarted, or has lost its records, every later answer is an error.
pub trait Session: Send + Sync + 'static {
    /// Records a key for so many seconds, in one atomic step with looking.
    fn insert(
        &self,
        key: u128,
        lifetime: u64,
    ) -> impl Future<Output = Result<Answer, StoreError>> + Send;

    /// Whether a key is recorded.
    fn look(&self, key: u128) -> impl Future<Output = Result<Answer, StoreError>> + Send;

    /// Asks whether everything is as it was when the session was opened, and does
    /// the store's housekeeping. Answers with the store's clock, Unix seconds.
    fn probe(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Ends when a connection is lost.
    fn closed(&self) -> impl Future<Output = ()> + Send;
}

/// What a node brings along.
#[derive(Clone, Copy)]
pub struct Opening {
    /// Whether the run's epoch matters.
    pub strict: bool,
    /// The longest time a record is kept, seconds.
    pub longest: u64,
    /// The longest time between two of this node's questions while it opens a session, seconds.
    pub slack: u64,
    /// Random bytes, taken if this node is the first in a run.
    pub random: [u8; 32],
    /// Random bytes, taken if this node is the first ever.
    pub secret: [u8; 32],
}

/// What is known of a run.
#[derive(Clone, Copy)]
pub struct Facts {
    /// Names the run; the same for every node. 0 where runs do not matter.
    pub epoch: u64,
    /// When the run began at the latest, the store's clock, Unix seconds.
    pub began: u64,
    /// Whether an answer of "recorded" may be forgotten by a fail-over.
    pub replicated: bool,
    /// Under which records are hashed. Lives in the store, as long as its records.
    pub secret: [u8; 32],
    /// The store's clock, Unix seconds.
    pub now: u64,
}

/// What a store says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it was not recorded before.
    pub new: bool,
    /// The store's clock, Unix seconds.
    pub now: u64,
}

/// Why a store gives no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It is in another run than when the session was opened.
    #[error("its records were lost or it was restarted")]
    Epoch,
    /// It has no room.
    #[error("it has no room left")]
    Full,
    /// It cannot be reached, does not answer, or answers with an error.
    #[error("{0}")]
    Lost(String),
    /// It is set up in a way that would lose records.
    #[error("{0}")]
    Unfit(String),
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening")
            .field("strict", &self.strict)
            .field("longest", &self.longest)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("epoch", &self.epoch)
            .field("began", &self.began)
            .field("replicated", &self.replicated)
            .finish_non_exhaustive()
    }
}
