//! Revocation (RFC 7009): which token or grant, if any, a request revokes.
//!
//! A client revokes its own only. What is unknown needs no revoking and is answered like a
//! success (RFC 7009 section 2.2). `token_type_hint` is ignored: what a token is shows in its
//! form. Revoking a refresh token ends its grant, and with it every token that descends from it
//! (RFC 7009 section 2.1).
//!
//! A public client proves nothing about itself, so what is bound to a key is revoked only with
//! proof of that key; whoever found a token could else end its owner's work. No standard
//! defines this.
//!
//! This module does not revoke; the store does, durably, with the signal that
//! tells the gates.

use keybound_control::{GrantRecord, RefreshToken, TokenRecord, TokenRef};
use keybound_proto::cause::Cause;
use keybound_proto::jose::Jkt;
use keybound_proto::rejection::Rejection;

use super::client::Client;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Revoker<'a> {
    /// The client.
    pub client: &'a Client,
    /// Whether it proved who it is.
    pub proven: bool,
    /// The key of a proof that came with the request.
    pub key: Option<Jkt>,
}

/// Decides which access token is to be revoked; `None` for nothing.
///
/// # Errors
/// [`Cause::ParameterInvalid`] for a token of another client: RFC 7009
/// section 2.1 has such a request refused, and the caller, who holds the token,
/// learns nothing from that. [`Cause::DpopAbsent`] or [`Cause::GrantKeyMismatch`] for a public
/// client without proof of the token's key.
pub fn decide(
    revoker: &Revoker<'_>,
    record: Option<&TokenRecord>,
) -> Result<Option<TokenRef>, Rejection> {
    let Some(record) = record else {
        return Ok(None);
    };
    revoker.check(&record.client_id, record.jkt)?;
    Ok(Some(TokenRef::Hash(record.token_hash)))
}

/// Decides which grant is to be revoked by its refresh token; `None` for nothing.
///
/// # Errors
/// As [`decide`].
pub fn decide_refresh(
    revoker: &Revoker<'_>,
    found: Option<RefreshToken>,
) -> Result<Option<GrantRecord>, Rejection> {
    let Some(found) = found else {
        return Ok(None);
    };
    revoker.check(&found.grant.client_id, found.jkt)?;
    Ok(Some(found.grant))
}

impl Revoker<'_> {
    fn check(&self, client_id: &str, bound_to: Option<Jkt>) -> Result<(), Rejection> {
        if client_id != self.client.id {
            return Err(Rejection::new(Cause::ParameterInvalid)
                .expected("a token issued to this client")
                .got("a token of another client"));
        }
        if self.proven {
            return Ok(());
        }
        match self.key {
            None => Err(Cause::DpopAbsent.into()),
            Some(key) if bound_to == Some(key) => Ok(()),
            Some(_) => Err(Cause::GrantKeyMismatch.into()),
        }
    }
}
