//! `POST /register` (RFC 7591 section 3).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use keybound_control::{ClientRecord, RegisterOutcome};
use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;
use keybound_proto::verify::HeaderField;

use super::answer::{self, Call, Refusal};
use super::authenticate;
use super::body;
use crate::config::RegistrationMode;
use crate::flow::registration::{self, CertificateOffer, NewClient, Offer};
use crate::flow::secret::{SecretDigest, SecretMatches};
use crate::random;
use crate::state::{Core, unavailable};

/// Who was let in.
#[derive(Debug)]
enum Admitted {
    /// Anybody is.
    Anybody,
    /// The holder of the initial access token.
    Holder {
        /// That its token is the right one.
        _matches: SecretMatches,
    },
}

/// Answers a registration request.
pub(super) async fn handle(State(core): State<Arc<Core>>, request: Request) -> Response<Body> {
    let call = Call::of(request.headers(), "/register");
    match register(&core, &call, request).await {
        Ok(body) => answer::json(StatusCode::CREATED, body),
        Err(refusal) => answer::refuse(&core, &call, refusal).await,
    }
}

async fn register(core: &Core, call: &Call, request: Request) -> Result<String, Refusal> {
    let now = core.trusted_now()?;
    let config = core.config();
    let admitted = admit(&config.registration.mode, request.headers())?;
    let (parts, body) = request.into_parts();
    let body = body::read(&parts, body, body::REGISTRATION).await?;
    let metadata = registration::judge(
        &body,
        core.registration_scopes(),
        config.assertion_algorithms,
        Offer {
            certificates: CertificateOffer {
                asked_for: config.certificates.is_some(),
                has_anchors: config.registration.client_anchors.is_some(),
            },
            authorization: config.authorization.is_some(),
        },
    )?;
    let new = NewClient::make(
        metadata,
        &config.registration.resources,
        &random::bytes()?,
        &random::bytes()?,
        now,
    );
    let answer = new.answer();
    store(core, new.into_record()).await?;
    tracing::info!(request_id = call.request_id, ?admitted, "client registered");
    Ok(answer)
}

/// Checks the initial access token before anything in the body is read.
fn admit(mode: &RegistrationMode, headers: &HeaderMap) -> Result<Admitted, Rejection> {
    match mode {
        RegistrationMode::Closed => Err(Cause::RegistrationClosed.into()),
        RegistrationMode::Open => Ok(Admitted::Anybody),
        RegistrationMode::Token(digest) => check(digest, headers)
            .map(|matches| Admitted::Holder { _matches: matches })
            .ok_or_else(|| Cause::RegistrationTokenInvalid.into()),
    }
}

fn check(digest: &SecretDigest, headers: &HeaderMap) -> Option<SecretMatches> {
    let HeaderField::One(value) = authenticate::field(headers, &header::AUTHORIZATION) else {
        return None;
    };
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| digest.check(token))?
}

async fn store(core: &Core, record: ClientRecord) -> Result<(), Refusal> {
    let limit = core.config().registration.max_clients;
    match core.store().register_client(record, Some(limit)).await {
        Ok(RegisterOutcome::Registered) => Ok(()),
        Ok(RegisterOutcome::LimitReached) => Err(Rejection::new(Cause::RegistrationClosed)
            .expected(format!("fewer than {limit} registered clients"))
            .into()),
        // 128 random bits that are taken are no chance, they are a fault.
        Ok(RegisterOutcome::Exists) => Err(Cause::StoreUnavailable.into()),
        Err(error) => Err(unavailable(&error).into()),
    }
}
