//! The store through its public face; damage and full disks reach inside.

use std::path::Path;
use std::sync::Arc;

use keybound_proto::jose::Jkt;
use keybound_proto::signal::Subject;
use keybound_proto::time::{ManualClock, UnixTime};
use keybound_proto::token::TokenHash;
use zeroize::Zeroizing;

use super::issuance::{Issuance, IssuanceOutcome, Lineage};
use super::uses::OneTimeUse;
use super::{Store, StoreOptions};

mod clients;
mod damage;
mod events;
mod full;
mod grants;
mod issuance;
mod keys;
mod signals;
mod withhold;

pub(crate) const NOW: u64 = 1_700_000_000;
pub(crate) const ISSUER: &str = "https://auth.example.com";

/// A store in memory and its clock.
pub(crate) fn memory() -> (Store, ManualClock) {
    let clock = ManualClock::at(NOW);
    let store = Store::in_memory(Arc::new(clock.clone())).unwrap();
    (store, clock)
}

pub(crate) fn options(clock: &ManualClock) -> StoreOptions {
    StoreOptions {
        kek: Some(Zeroizing::new([7; 32])),
        node: "control".to_owned(),
        clock: Arc::new(clock.clone()),
    }
}

pub(crate) fn open(file: &Path) -> Store {
    Store::open(file, options(&ManualClock::at(NOW))).unwrap()
}

pub(crate) fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs)
}

pub(crate) fn jkt(number: u8) -> Jkt {
    Jkt::from_bytes([number; 32])
}

pub(crate) fn hash(number: u64) -> TokenHash {
    TokenHash::of(&number.to_be_bytes())
}

pub(crate) fn token_id(number: u64) -> String {
    format!("tok_{number:022}")
}

pub(crate) fn token_subject(number: u64) -> Subject {
    Subject::Token {
        issuer: ISSUER.to_owned(),
        token_id: token_id(number),
    }
}

pub(crate) fn identity(name: &str) -> Subject {
    Subject::Identity {
        issuer: ISSUER.to_owned(),
        subject: name.to_owned(),
    }
}

pub(crate) fn once(key: u128) -> OneTimeUse {
    OneTimeUse {
        key,
        sender: 1,
        expires_at: at(NOW + 61),
    }
}

/// An issuance like any other, with one-time values of its own.
pub(crate) fn issuance(number: u64) -> Issuance {
    Issuance {
        token_hash: hash(number),
        token_id: Some(token_id(number)),
        issuer: ISSUER.to_owned(),
        client_id: "agent-1".to_owned(),
        identity: "agent-1".to_owned(),
        jkt: Some(jkt(1)),
        certificate: None,
        confirmation: None,
        binding: "dpop",
        audience: vec!["https://api.example.com/".to_owned()],
        scope: "approvals:read".to_owned(),
        issued_at: at(NOW),
        expires_at: at(NOW + 300),
        proof: Some(once(u128::from(number))),
        assertion: Some(once(u128::from(number) << 64)),
        lineage: Lineage::default(),
        request_id: Some(format!("req-{number}")),
    }
}

pub(crate) async fn record(store: &Store, number: u64) {
    let outcome = store.record_issuance(issuance(number)).await.unwrap();
    assert!(
        matches!(outcome, IssuanceOutcome::Recorded(_)),
        "{outcome:?}"
    );
}
