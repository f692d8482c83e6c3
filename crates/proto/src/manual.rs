//! Essays: how token systems failed before, what here stops each failure, and
//! why the defaults are what they are.
//!
//! # Known attacks, and what stops them
//!
//! **The check that was not called.** Verifiers have shipped with a replay cache
//! that nothing consulted, a thumbprint that was computed and dropped, a
//! middleware that looked at the scheme instead of the token. Here a check's
//! success is a value: [`Verified`] holds the witnesses of time, audience, `ath`,
//! key, signature, scope and replay record, and there is no other way to make
//! one. Removing a check leaves a field without a value, which does not compile.
//!
//! **The token that was presented as Bearer.** A bound token is refused under the
//! `Bearer` scheme because the refusal hangs on the token's `cnf`, never on the
//! scheme the sender chose ([`Cause::TokenSchemeDowngrade`]).
//!
//! **The confirmation nobody knew.** A `cnf` that names a method this verifier
//! cannot check makes the token unusable, not unbound
//! ([`token::Confirmation`], [`Cause::TokenCnfUnsupported`]).
//!
//! **The same proof in another spelling.** Replay records keyed by the proof's
//! text or its signature miss a re-encoded or re-signed copy. The record is a
//! keyed hash of thumbprint and `jti` ([`ReplayQuery`]); neither base64 spelling,
//! signature nor letter case of `htu` is part of it.
//!
//! **The record that died too early.** A record must outlive the proof, future
//! `iat` included. [`ReplayQuery::expires_at`] is computed from `iat` and the same
//! window that accepts the proof ([`ProofWindow::end`]).
//!
//! **The honest proof burnt by a stranger.** If a proof is recorded before the
//! token is verified, a stranger can fill the log and burn other people's proofs.
//! The record is the last step, and only [`Unredeemed`] can ask for it.
//!
//! **The stranger's expensive signature.** Signatures come after the comparison of
//! `cnf.jkt`, so only somebody who names a known token and its key costs curve
//! arithmetic.
//!
//! **The URL that was read twice.** `htu` is compared on parsed forms by RFC 3986
//! alone ([`uri::Htu`]): no trailing slash is dropped, `%2F` is no slash, and the
//! base comes from configuration, never from a header.
//!
//! **The JSON that said two things.** Members given twice, also through escapes,
//! are refused at every depth ([`json`]); base64url has one spelling
//! ([`base64url`]); a claim of the wrong type is a fault, never "absent".
//!
//! **The key that signs for everybody.** Ed25519 points of small order verify
//! signatures nobody made. They are refused as keys, and as `R`
//! ([`jose::PublicKey`]).
//!
//! **The unrecorded token.** A token whose record was lost cannot be revoked.
//! [`token::Minted`] keeps its text until the store hands over
//! [`token::IssuanceRecorded`].
//!
//! # Defaults, and why
//!
//! *60 seconds back, 10 ahead.* Long enough for honest clocks, short enough that
//! the log stays small. FAPI 2.0 wants 10 seconds ahead accepted and 60 refused.
//!
//! *ES256 and EdDSA for proofs.* The sender chooses the proof's algorithm, and
//! ES384 costs a verifier three times as much. Others are there by configuration.
//!
//! *No leeway on `exp`.* Tokens live for minutes and renew early; leeway would only
//! lengthen the life of a stolen one.
//!
//! *Fixed texts on the wire.* A thief learns from "the nonce was right but the key
//! was wrong". The operator reads the cause id in the event instead.
//!
//! [`Cause::TokenCnfUnsupported`]: crate::Cause::TokenCnfUnsupported
//! [`Cause::TokenSchemeDowngrade`]: crate::Cause::TokenSchemeDowngrade
//! [`ProofWindow::end`]: crate::dpop::ProofWindow::end
//! [`ReplayQuery`]: crate::verify::ReplayQuery
//! [`ReplayQuery::expires_at`]: crate::verify::ReplayQuery::expires_at
//! [`Unredeemed`]: crate::verify::Unredeemed
//! [`Verified`]: crate::verify::Verified
//! [`base64url`]: crate::base64url
//! [`jose::PublicKey`]: crate::jose::PublicKey
//! [`json`]: crate::json
//! [`token::Confirmation`]: crate::token::Confirmation
//! [`token::IssuanceRecorded`]: crate::token::IssuanceRecorded
//! [`token::Minted`]: crate::token::Minted
//! [`uri::Htu`]: crate::uri::Htu
