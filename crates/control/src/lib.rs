//! The control plane: the store with everything that must not be forgotten, the
//! event log, locks and revocations, Shared Signals, and the admin API.
//!
//! Start at [`Store`]. The issuer records every token there before its client
//! hears of it; operators lock and revoke through the admin API; gates follow
//! the signals that each lock and revocation writes.
//!
//! This crate opens no socket, reads no environment and no clock of its own.

#![deny(missing_docs)]

pub use crate::error::StoreError;
pub use crate::http::{ControlConfig, GATEWAY_SCOPE, READ_SCOPE, RESPOND_SCOPE, router};
pub use crate::set_signer::SetSigner;
pub use crate::store::clients::{ClientCredential, ClientRecord, ClientSource, RegisterOutcome};
pub use crate::store::events::{
    BrokenChain, EventFilter, EventPage, MAX_DELIVERY, MAX_EVENTS, StoredEvent,
};
pub use crate::store::grants::{
    ExchangeUse, GrantRecord, GrantUse, NewRefreshToken, RefreshState, RefreshToken,
};
pub use crate::store::issuance::{Issuance, IssuanceOutcome, Lineage, SpendOutcome};
pub use crate::store::kept::{Kept, KeptChange, KeptKind, KeptRef, LogInLink};
pub use crate::store::signals::{MAX_SIGNALS, PendingSignal, SignalPage, StreamRecord};
pub use crate::store::signing_keys::{KeyPurpose, StoredKey};
pub use crate::store::tokens::{TokenRecord, TokenRef};
pub use crate::store::uses::OneTimeUse;
pub use crate::store::withhold::{
    LockOutcome, LockRecord, LockState, RevokeOutcome, UnlockOutcome,
};
pub use crate::store::{Store, StoreOptions};

mod error;
mod http;
mod set_signer;
mod store;
