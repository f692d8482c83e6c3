//! Grants that stand for something the store keeps: authorization codes and refresh tokens.
//!
//! Each is read, judged by [`crate::flow`], and handed to [`TokenRequest::issue`], whose one
//! transaction uses it up, if it is still what was judged. Until then nothing changes: a nonce
//! challenge, a wrong key or a wrong verifier cost the client nothing. The one write on the way
//! of a refusal is the revocation of a grant whose code or token came twice.

use axum::body::Body;
use axum::http::Response;
use keybound_control::{GrantRecord, GrantUse, KeptChange, KeptKind, KeptRef, RefreshToken};
use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;
use keybound_proto::token::{TokenHash, artefact};
use keybound_proto::verify::UnredeemedProof;

use super::token::{Award, Refresh, TokenRequest};
use crate::flow::client::GrantType;
use crate::flow::code::Code;
use crate::flow::grant::Entitlement;
use crate::flow::refresh::{self, Usable};
use crate::state::unavailable;

impl TokenRequest<'_> {
    /// `authorization_code` (RFC 6749 section 4.1.3).
    pub(super) async fn redeem_code(&self) -> Result<Response<Body>, Rejection> {
        let text = self.parameter("code")?;
        let name = KeptRef::of(KeptKind::Code, text);
        let kept = self.core.store().kept(name, self.now).await;
        let kept = kept.map_err(|error| unavailable(&error))?;
        let kept = kept.ok_or(Cause::GrantInvalid)?;
        let code: Code =
            serde_json::from_str(&kept.document).map_err(|_| Cause::StoreUnavailable)?;
        if let Err(rejection) = code.check(self.form, self.client()) {
            if rejection.cause() == Cause::GrantReused {
                self.revoke_grant_of(&code).await?;
            }
            return Err(rejection);
        }
        let proof = self.prove()?;
        let grant_id = code.grant_id.clone();
        let known = self.core.resources();
        let mut grant = code.entitlement.narrow(self.form, known, Some(&grant_id))?;
        // A revocation of the grant is remembered as long as the grant would have lasted.
        grant.not_after = Some(self.now.plus(self.core.config().refresh.ttl));
        let entitlement = code.entitlement.clone();
        let change = KeptChange {
            kept: name,
            version: kept.version,
            document: serde_json::to_string(&code.into_used())
                .map_err(|_| Cause::StoreUnavailable)?,
        };
        let award = Award {
            grant,
            grant_use: Some(GrantUse::Kept(change)),
            refresh: if self.client().grants.contains(&GrantType::RefreshToken) {
                Refresh::First {
                    grant_id,
                    entitlement,
                }
            } else {
                Refresh::No
            },
        };
        self.issue(award, proof.as_ref()).await
    }

    /// `refresh_token` (RFC 6749 section 6).
    pub(super) async fn refresh(&self) -> Result<Response<Body>, Rejection> {
        let token = self.refresh_token_presented().await?;
        let proof = self.prove()?;
        let usable = self.judge_refresh(&token, proof.as_ref()).await?;
        let entitlement = entitlement(&token.grant)?;
        let known = self.core.resources();
        let mut grant = entitlement.narrow(self.form, known, Some(&token.grant.grant_id))?;
        grant.not_after = Some(token.grant.expires_at);
        let rotates = self.core.config().refresh.rotates;
        let award = Award {
            grant,
            grant_use: Some(match usable {
                Usable::ForTheNext if !rotates => GrantUse::Repeated {
                    presented: token.hash,
                },
                Usable::ForTheNext | Usable::Again => GrantUse::Refresh {
                    presented: token.hash,
                    state: token.state,
                },
            }),
            refresh: if rotates {
                Refresh::Next(Box::new(token.grant))
            } else {
                Refresh::No
            },
        };
        self.issue(award, proof.as_ref()).await
    }

    async fn refresh_token_presented(&self) -> Result<RefreshToken, Rejection> {
        let text = self.parameter("refresh_token")?;
        // What has not the form was not made here: no question to the store.
        if artefact::parse(text) != Ok(artefact::Kind::Refresh) {
            return Err(Cause::GrantInvalid.into());
        }
        let hash = TokenHash::of(text.as_bytes());
        let found = self.core.store().refresh_token(hash, self.now).await;
        let found = found.map_err(|error| unavailable(&error))?;
        found.ok_or_else(|| Cause::GrantInvalid.into())
    }

    async fn judge_refresh(
        &self,
        token: &RefreshToken,
        proof: Option<&UnredeemedProof>,
    ) -> Result<Usable, Rejection> {
        let proven = proof.map(UnredeemedProof::jkt);
        let overlap = self.core.config().refresh.overlap;
        let judged = refresh::judge(token, self.client(), proven, overlap, self.now);
        if let Err(rejection) = &judged
            && rejection.cause() == Cause::GrantReused
        {
            self.revoke(token.grant.clone()).await?;
        }
        judged
    }

    /// Revokes what came of a code: its grant's handle is the ancestor of all of it, also where
    /// no refresh token was given and so no grant is recorded.
    async fn revoke_grant_of(&self, code: &Code) -> Result<(), Rejection> {
        self.revoke(GrantRecord {
            grant_id: code.grant_id.clone(),
            issuer: self.core.config().url.as_str().to_owned(),
            client_id: code.client_id.clone(),
            identity: code.entitlement.identity.clone(),
            document: String::new(),
            created_at: self.now,
            expires_at: self.now.plus(self.core.config().refresh.ttl),
        })
        .await
    }

    async fn revoke(&self, grant: GrantRecord) -> Result<(), Rejection> {
        let reason = Some("its code or refresh token was used twice");
        let revoked = self
            .core
            .store()
            .revoke_grant(grant, "issuer", reason)
            .await;
        revoked.map(drop).map_err(|error| unavailable(&error))
    }

    fn parameter(&self, name: &str) -> Result<&str, Rejection> {
        let missing =
            || Rejection::new(Cause::ParameterInvalid).expected(format!("{name}: a value"));
        self.form.value(name).ok_or_else(missing)
    }
}

fn entitlement(grant: &GrantRecord) -> Result<Entitlement, Rejection> {
    serde_json::from_str(&grant.document).map_err(|_| Cause::StoreUnavailable.into())
}
