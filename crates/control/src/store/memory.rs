//! What the writer keeps in memory beside the file, and how a transaction that
//! does not commit is taken back from it.
//!
//! Every change pushes its reverse onto one undo list; a savepoint or a whole
//! transaction that fails pops the list to where it began. What other threads
//! may see is collected separately and handed out only after the commit.
//!
//! Not here: SQL, and the published copies (`super::shared`).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use keybound_proto::signal::Subject;
use keybound_proto::time::UnixTime;

use super::terms::Occurrence;
use super::uses::{LiveUses, OneTimeUse, UseLimits};
use super::withheld_set::{Hold, WithheldSet};

/// Tokens per entry of [`Memory::token_chunks`].
const CHUNK: i64 = 1024;

/// The writer's state beside the file.
#[derive(Debug)]
pub(super) struct Memory {
    proofs: LiveUses,
    assertions: LiveUses,
    withheld: WithheldSet,
    heads: HashMap<Arc<ChainName>, Head>,
    /// Chains whose row is behind [`Self::heads`].
    dirty_heads: Vec<Arc<ChainName>>,
    /// First number and latest spent value of each run of tokens, oldest first:
    /// tells from where on rows must be read back at the next open.
    token_chunks: VecDeque<TokenChunk>,
    undo: Vec<Undo>,
    news: News,
}

/// Which hash chain an event belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ChainName {
    /// Who delivers it; empty for this machine.
    pub(super) reporter: String,
    /// Which node says it saw the event.
    pub(super) node: String,
}

/// The end of one hash chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) sequence: u64,
    pub(super) chain: [u8; 32],
}

/// What a commit makes known to others.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) holds: Vec<(Subject, Option<Hold>)>,
    pub(super) clients: Vec<String>,
    pub(super) terms: Vec<Occurrence>,
    pub(super) last_event: Option<u64>,
    pub(super) last_signal: Option<u64>,
    /// `iat` of the latest token.
    pub(super) last_issued: Option<UnixTime>,
}

/// A point to return to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    undo: usize,
    holds: usize,
    clients: usize,
    terms: usize,
    last_event: Option<u64>,
    last_signal: Option<u64>,
}

#[derive(Debug)]
struct TokenChunk {
    first: i64,
    spent_until: UnixTime,
}

#[derive(Debug)]
enum Undo {
    Assertion(OneTimeUse),
    Head(Arc<ChainName>, Option<Head>),
    Hold(Subject, Option<Hold>),
    Proof(OneTimeUse),
}

impl Memory {
    pub(super) fn new(limits: UseLimits) -> Self {
        Self {
            proofs: LiveUses::new(limits),
            assertions: LiveUses::new(limits),
            withheld: WithheldSet::default(),
            heads: HashMap::new(),
            dirty_heads: Vec::new(),
            token_chunks: VecDeque::new(),
            undo: Vec::new(),
            news: News::default(),
        }
    }

    pub(super) fn proofs(&self) -> &LiveUses {
        &self.proofs
    }

    pub(super) fn assertions(&self) -> &LiveUses {
        &self.assertions
    }

    pub(super) fn withheld(&self) -> &WithheldSet {
        &self.withheld
    }

    pub(super) fn head(&self, name: &ChainName) -> Option<&Head> {
        self.heads.get(name)
    }

    pub(super) fn spend_proof(&mut self, spend: &OneTimeUse) {
        self.proofs.insert(spend);
        self.undo.push(Undo::Proof(*spend));
    }

    pub(super) fn spend_assertion(&mut self, spend: &OneTimeUse) {
        self.assertions.insert(spend);
        self.undo.push(Undo::Assertion(*spend));
    }

    pub(super) fn hold(&mut self, subject: &Subject, hold: Option<Hold>) {
        let before = self.withheld.put(subject, hold);
        self.undo.push(Undo::Hold(subject.clone(), before));
        self.news.holds.push((subject.clone(), hold));
    }

    /// The chain has a new end, an event with these terms.
    pub(super) fn advance_head(&mut self, name: &Arc<ChainName>, head: Head, terms: &[i64]) {
        let sequence = head.sequence;
        let occurrences = terms.iter().map(|term| (*term, sequence));
        self.news.terms.extend(occurrences);
        self.news.last_event = Some(head.sequence);
        let before = match self.heads.get_mut(name) {
            Some(current) => Some(std::mem::replace(current, head)),
            None => self.heads.insert(Arc::clone(name), head),
        };
        if !self.dirty_heads.contains(name) {
            self.dirty_heads.push(Arc::clone(name));
        }
        self.undo.push(Undo::Head(Arc::clone(name), before));
    }

    pub(super) fn signalled(&mut self, sequence: u64) {
        self.news.last_signal = Some(sequence);
    }

    pub(super) fn client_changed(&mut self, client_id: &str) {
        self.news.clients.push(client_id.to_owned());
    }

    /// Heads whose rows must be written with this transaction.
    pub(super) fn dirty_heads(&self) -> impl Iterator<Item = (&ChainName, &Head)> {
        self.dirty_heads
            .iter()
            .filter_map(|name| Some((name.as_ref(), self.heads.get(name)?)))
    }

    /// Notes that the token `number`, issued at `issued_at`, spent values that live until
    /// `spent_until`. Called last, so it needs no way back.
    pub(super) fn note_token(&mut self, number: i64, issued_at: UnixTime, spent_until: UnixTime) {
        self.news.last_issued = self.news.last_issued.max(Some(issued_at));
        match self.token_chunks.back_mut() {
            Some(chunk) if number < chunk.first.saturating_add(CHUNK) => {
                chunk.spent_until = chunk.spent_until.max(spent_until);
            }
            _ => self.token_chunks.push_back(TokenChunk {
                first: number,
                spent_until,
            }),
        }
    }

    /// Forgets what has expired; returns the first token number that may still
    /// carry a live value, `None` when none is known to.
    pub(super) fn sweep(&mut self, now: UnixTime) -> Option<i64> {
        self.proofs.sweep(now);
        self.assertions.sweep(now);
        while self
            .token_chunks
            .front()
            .is_some_and(|chunk| chunk.spent_until < now)
        {
            self.token_chunks.pop_front();
        }
        self.token_chunks.front().map(|chunk| chunk.first)
    }

    /// Where terms occur in the transaction that is open.
    pub(super) fn occurrences(&self, term: i64) -> impl Iterator<Item = u64> {
        let occurrences = self.news.terms.iter();
        occurrences.filter_map(move |(other, sequence)| (*other == term).then_some(*sequence))
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            undo: self.undo.len(),
            holds: self.news.holds.len(),
            clients: self.news.clients.len(),
            terms: self.news.terms.len(),
            last_event: self.news.last_event,
            last_signal: self.news.last_signal,
        }
    }

    /// Takes back everything since `mark`.
    pub(super) fn return_to(&mut self, mark: Mark) {
        while self.undo.len() > mark.undo {
            let Some(undo) = self.undo.pop() else { break };
            self.take_back(undo);
        }
        self.news.holds.truncate(mark.holds);
        self.news.clients.truncate(mark.clients);
        self.news.terms.truncate(mark.terms);
        self.news.last_event = mark.last_event;
        self.news.last_signal = mark.last_signal;
    }

    /// Takes back everything since the last commit.
    pub(super) fn return_to_start(&mut self) {
        while let Some(undo) = self.undo.pop() {
            self.take_back(undo);
        }
        self.dirty_heads.clear();
        self.news = News::default();
    }

    /// The transaction is durable: nothing can be taken back any more.
    pub(super) fn committed(&mut self) -> News {
        self.undo.clear();
        self.dirty_heads.clear();
        std::mem::take(&mut self.news)
    }

    fn take_back(&mut self, undo: Undo) {
        match undo {
            Undo::Assertion(spend) => self.assertions.forget(&spend),
            Undo::Head(name, Some(head)) => {
                self.heads.insert(name, head);
            }
            Undo::Head(name, None) => {
                self.heads.remove(&name);
            }
            Undo::Hold(subject, hold) => {
                self.withheld.put(&subject, hold);
            }
            Undo::Proof(spend) => self.proofs.forget(&spend),
        }
    }
}
