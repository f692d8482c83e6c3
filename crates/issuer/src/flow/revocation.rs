//! Revocation (RFC 7009): which token, if any, a request revokes.
//!
//! A client revokes its own tokens only. What is unknown needs no revoking and
//! is answered like a success (RFC 7009 section 2.2). `token_type_hint` is
//! ignored: there is one kind of token, found by its hash whatever the hint.
//!
//! This module does not revoke; the store does, durably, with the signal that
//! tells the gates.

use keybound_control::{TokenRecord, TokenRef};
use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;

use super::client::Client;

/// Decides what is to be revoked; `None` for nothing.
///
/// # Errors
/// [`Cause::ParameterInvalid`] for a token of another client: RFC 7009
/// section 2.1 has such a request refused, and the caller, who holds the token,
/// learns nothing from that.
pub fn decide(
    caller: &Client,
    record: Option<&TokenRecord>,
) -> Result<Option<TokenRef>, Rejection> {
    match record {
        None => Ok(None),
        Some(record) if record.client_id == caller.id => {
            Ok(Some(TokenRef::Hash(record.token_hash)))
        }
        Some(_) => Err(Rejection::new(Cause::ParameterInvalid)
            .expected("a token issued to this client")
            .got("a token of another client")),
    }
}
