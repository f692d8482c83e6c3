//! The proof of a request to an endpoint of the issuer (RFC 9449 sections 5 and 10.1).

use axum::http::request::Parts;
use axum::http::{HeaderName, Method};
use keybound_proto::dpop::NoncePolicy;
use keybound_proto::rejection::Rejection;
use keybound_proto::time::UnixTime;
use keybound_proto::uri::Htu;
use keybound_proto::verify::{HeaderField, ProofPresented, UnredeemedProof, begin_proof};

use super::authenticate;
use crate::flow::client::Client;
use crate::state::Core;

/// The request header of a proof.
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// Whether a request brings a DPoP proof, good or not.
pub(super) fn is_sent(parts: &Parts) -> bool {
    authenticate::field(&parts.headers, &DPOP) != HeaderField::Absent
}

/// The proof of a POST to `target`, verified; `None` where none was sent. A proof that is sent
/// always counts.
pub(super) fn proof(
    core: &Core,
    parts: &Parts,
    target: &Htu,
    client: &Client,
    now: UnixTime,
) -> Result<Option<UnredeemedProof>, Rejection> {
    let proof = authenticate::field(&parts.headers, &DPOP);
    if proof == HeaderField::Absent {
        return Ok(None);
    }
    let presented = ProofPresented {
        method: Method::POST.as_str(),
        target,
        proof,
    };
    let key = core.nonces();
    let nonces = NoncePolicy {
        key: &key,
        required: core.needs_nonce(client),
    };
    begin_proof(&core.config().profile, &presented, &nonces, now).map(Some)
}
