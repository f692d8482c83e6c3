//! What a driver was told, and whether the store still knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use keybound_control::{
    Issuance, IssuanceOutcome, Lineage, LockState, OneTimeUse, Store, StoreError, StoreOptions,
    TokenRef,
};
use keybound_proto::jose::Jkt;
use keybound_proto::signal::Subject;
use keybound_proto::time::{Clock, UnixTime};
use keybound_proto::token::TokenHash;
use zeroize::Zeroizing;

use crate::Failure;

/// A clock that stands still: nothing may expire between a crash and the question.
#[derive(Debug)]
struct Noon;

const NOON: u64 = 1_700_000_000;

impl Clock for Noon {
    fn now_millis(&self) -> u64 {
        NOON * 1000
    }
}

/// Opens the store as both parts do.
pub(crate) fn open(file: &Path) -> Result<Store, StoreError> {
    let options = StoreOptions {
        kek: Some(Zeroizing::new([7; 32])),
        node: "issuer".to_owned(),
        clock: Arc::new(Noon),
    };
    Store::open(file, options)
}

/// The issuance with this number; its proof is its own.
pub(crate) fn issuance(number: u64) -> Issuance {
    let once = |salt: u64| OneTimeUse {
        key: u128::from(number) << 64 | u128::from(salt),
        sender: number,
        expires_at: UnixTime::from_secs(NOON + 60),
    };
    Issuance {
        token_hash: hash(number),
        token_id: Some(format!("tok_{number:022}")),
        issuer: "https://auth.example.com".to_owned(),
        client_id: "agent-1".to_owned(),
        identity: "agent-1".to_owned(),
        jkt: Some(Jkt::from_bytes([1; 32])),
        certificate: None,
        confirmation: None,
        binding: "dpop",
        audience: vec!["https://api.example.com/".to_owned()],
        scope: "approvals:read".to_owned(),
        issued_at: UnixTime::from_secs(NOON),
        expires_at: UnixTime::from_secs(NOON + 300),
        proof: Some(once(1)),
        assertion: Some(once(2)),
        lineage: Lineage::default(),
        request_id: None,
    }
}

pub(crate) fn hash(number: u64) -> TokenHash {
    TokenHash::of(&number.to_be_bytes())
}

pub(crate) fn key(number: u64) -> Subject {
    Subject::Key(jkt(number))
}

fn jkt(number: u64) -> Jkt {
    let mut bytes = [9; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Jkt::from_bytes(bytes)
}

/// Everything that was confirmed, over all runs on one store.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    tokens: BTreeSet<u64>,
    revoked: BTreeSet<u64>,
    /// Locked keys; `false` once an unlock was begun, so that both answers are right.
    locked: BTreeMap<u64, bool>,
    unlocked: BTreeSet<u64>,
}

impl Ledger {
    /// Takes one line of a driver; see `driver`.
    pub(crate) fn take(&mut self, line: &str) -> Result<(), Failure> {
        let (what, number) = line.split_once(' ').ok_or("a line without a number")?;
        let number = number.parse()?;
        match what {
            "issued" => drop(self.tokens.insert(number)),
            "revoked" => drop(self.revoked.insert(number)),
            "locked" => drop(self.locked.insert(number, true)),
            "unlocking" => drop(self.locked.insert(number, false)),
            "unlocked" => {
                self.locked.remove(&number);
                self.unlocked.insert(number);
            }
            _ => return Err(format!("a line that is not understood: `{line}`").into()),
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.tokens.len() + self.revoked.len() + self.locked.len() + self.unlocked.len()
    }

    /// Opens the store and asks for everything.
    pub(crate) async fn verify(&self, file: &Path) -> Result<(), Failure> {
        let store = open(file)?;
        self.verify_tokens(&store).await?;
        self.verify_locks(&store).await?;
        if let Some(broken) = store.verify_events().await? {
            return Err(format!("a chain of events is broken: {broken:?}").into());
        }
        self.verify_spent(&store).await
    }

    async fn verify_tokens(&self, store: &Store) -> Result<(), Failure> {
        for number in &self.tokens {
            let Some(token) = store.token(TokenRef::Hash(hash(*number))).await? else {
                return Err(format!("token {number} was issued and is not known").into());
            };
            let revoked = token
                .withheld
                .is_some_and(|hold| hold.state == LockState::Revoked);
            if !revoked && self.revoked.contains(number) {
                return Err(format!("token {number} was revoked and is not").into());
            }
        }
        Ok(())
    }

    async fn verify_locks(&self, store: &Store) -> Result<(), Failure> {
        let locks = store.locks().await?;
        let listed = |number: u64| locks.iter().any(|lock| lock.subject == key(number));
        for (number, certain) in &self.locked {
            let refused = store.locked_party("", "", &[jkt(*number)]).is_some();
            if *certain && !(refused && listed(*number)) {
                return Err(format!("key {number} was locked and is not").into());
            }
        }
        match self.unlocked.iter().find(|number| listed(**number)) {
            Some(number) => Err(format!("key {number} was unlocked and is locked").into()),
            None => Ok(()),
        }
    }

    /// The proof of a confirmed token is spent.
    async fn verify_spent(&self, store: &Store) -> Result<(), Failure> {
        for number in self.tokens.iter().rev().take(5) {
            let copied = Issuance {
                token_hash: hash(u64::MAX - number),
                assertion: None,
                ..issuance(*number)
            };
            let outcome = store.record_issuance(copied).await?;
            if !matches!(outcome, IssuanceOutcome::ProofReplayed) {
                return Err(
                    format!("the proof of token {number} gave another: {outcome:?}").into(),
                );
            }
        }
        Ok(())
    }
}
