//! What servers have said that later requests need: the latest nonce per
//! origin and role (RFC 9449 section 8.2 and 9) and how far each server's
//! clock is from ours.
//!
//! Both are kept per origin, so that no server can choose the nonce or the
//! time of a proof made for another one. Nothing here is trusted: a wrong
//! value makes the server that sent it refuse us.

use std::collections::HashMap;

use http::HeaderMap;
use http::header::{AGE, DATE};
use keybound_proto::dpop::NonceRole;
use keybound_proto::time::UnixTime;
use keybound_proto::uri::Origin;
use parking_lot::Mutex;

use crate::date;

/// Servers remembered at a time; the one longest unheard is forgotten first.
const MAX_SERVERS: usize = 256;
/// The longest nonce kept, in bytes.
const MAX_NONCE_BYTES: usize = 512;
/// Differences up to this are network and rounding, in seconds.
const NEGLIGIBLE_SKEW: i64 = 2;
/// A larger difference is taken for a broken `Date`, in seconds: 24 hours.
const MAX_SKEW: i64 = 86_400;

#[derive(Debug, Default)]
pub(crate) struct ServerMemory {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    servers: HashMap<Origin, Server>,
    turn: u64,
}

#[derive(Debug, Default)]
struct Server {
    authorization_nonce: Option<String>,
    resource_nonce: Option<String>,
    skew: i64,
    /// Whether an implausible `Date` has been reported.
    implausible: bool,
    last_heard: u64,
}

/// When an exchange took place by our clock, in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

impl ServerMemory {
    /// Keeps what an answer says, whatever its status. Returns the nonce it
    /// carried.
    pub(crate) fn learn(
        &self,
        origin: &Origin,
        role: NonceRole,
        headers: &HeaderMap,
        span: Span,
    ) -> Option<String> {
        let nonce = nonce_of(headers);
        let skew = skew_of(headers, span);
        if nonce.is_none() && skew.is_none() {
            return None;
        }
        let mut table = self.table.lock();
        let server = table.server(origin);
        match skew {
            Some(Skew::Seconds(skew)) => server.follow(origin, skew),
            Some(Skew::Implausible(skew)) => server.report_implausible(origin, skew),
            None => {}
        }
        if nonce.is_some() {
            server.nonce(role).clone_from(&nonce);
        }
        nonce
    }

    /// The latest nonce of a server in a role.
    pub(crate) fn nonce(&self, origin: &Origin, role: NonceRole) -> Option<String> {
        let mut table = self.table.lock();
        table.servers.get_mut(origin)?.nonce(role).clone()
    }

    /// Seconds the server's clock is ahead of ours.
    pub(crate) fn skew(&self, origin: &Origin) -> i64 {
        let table = self.table.lock();
        table.servers.get(origin).map_or(0, |server| server.skew)
    }

    /// The present by the server's clock.
    pub(crate) fn server_time(&self, origin: &Origin, now: UnixTime) -> UnixTime {
        let skew = self.skew(origin);
        if skew < 0 {
            now.minus(skew.unsigned_abs())
        } else {
            now.plus(skew.unsigned_abs())
        }
    }
}

impl Table {
    fn server(&mut self, origin: &Origin) -> &mut Server {
        self.turn += 1;
        if self.servers.len() >= MAX_SERVERS && !self.servers.contains_key(origin) {
            let oldest = self.servers.iter().min_by_key(|(_, s)| s.last_heard);
            if let Some(oldest) = oldest.map(|(origin, _)| origin.clone()) {
                self.servers.remove(&oldest);
            }
        }
        let server = self.servers.entry(origin.clone()).or_default();
        server.last_heard = self.turn;
        server
    }
}

impl Server {
    fn nonce(&mut self, role: NonceRole) -> &mut Option<String> {
        match role {
            NonceRole::AuthorizationServer => &mut self.authorization_nonce,
            NonceRole::ResourceServer => &mut self.resource_nonce,
        }
    }

    fn follow(&mut self, origin: &Origin, skew: i64) {
        if (skew - self.skew).abs() > NEGLIGIBLE_SKEW {
            tracing::warn!(
                server = %origin,
                skew,
                "this machine's clock differs from the server's; proofs are dated by the server's"
            );
        }
        self.skew = skew;
        self.implausible = false;
    }

    fn report_implausible(&mut self, origin: &Origin, skew: i64) {
        if !self.implausible {
            tracing::warn!(
                server = %origin,
                skew,
                "this machine's clock differs from the server's by more than a day; not followed"
            );
        }
        self.implausible = true;
    }
}

/// How far a server's clock is ahead, in seconds.
enum Skew {
    Seconds(i64),
    /// More than [`MAX_SKEW`] either way.
    Implausible(i64),
}

/// The one `DPoP-Nonce` of an answer, if it is well formed (RFC 9449 section
/// 8.1: NQCHAR). Several fields name no nonce.
fn nonce_of(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all("dpop-nonce").iter();
    let nonce = values.next()?.to_str().ok()?;
    let allowed = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    let well_formed = (1..=MAX_NONCE_BYTES).contains(&nonce.len()) && nonce.bytes().all(allowed);
    (well_formed && values.next().is_none()).then(|| nonce.to_owned())
}

/// How far the server's clock is ahead, in whole seconds, by its `Date`. An
/// answer from a cache (`Age`) tells nothing about now.
fn skew_of(headers: &HeaderMap, span: Span) -> Option<Skew> {
    if headers.contains_key(AGE) {
        return None;
    }
    let date = date::parse(headers.get(DATE)?.to_str().ok()?)?;
    // `Date` has whole seconds: its middle is compared with the nearest moment of the
    // exchange, which of a long poll may be anywhere between its ends.
    let server = date.checked_mul(1000)?.checked_add(500)?;
    let nearest = server.max(span.sent).min(span.received);
    let skew = i64::try_from(server)
        .ok()?
        .checked_sub(i64::try_from(nearest).ok()?)?
        .div_euclid(1000);
    Some(if skew.abs() > MAX_SKEW {
        Skew::Implausible(skew)
    } else if skew.abs() > NEGLIGIBLE_SKEW {
        Skew::Seconds(skew)
    } else {
        Skew::Seconds(0)
    })
}

#[cfg(test)]
mod tests;
