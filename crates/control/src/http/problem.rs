//! Errors of the admin API: `application/problem+json` (RFC 9457).
//!
//! `type` is a stable URN, `cause` the id of the check registry where one fits,
//! `request_id` what logs and events know the request by. Refusals of
//! credentials keep status, challenge and nonce of RFC 9449 section 7.1 and get
//! this body beside them; which check failed is said only where an operator
//! set `error_detail = "full"`.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use keybound_guard::respond;
use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;
use keybound_proto::wire::{self, Answer, ErrorDetail, Role};

use super::call::Call;
use crate::error::StoreError;

/// Seconds after which a temporary failure may be tried again.
const RETRY_AFTER: &str = "2";

/// An error that is about to be answered.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    /// Last part of `type`.
    name: &'static str,
    title: &'static str,
    detail: String,
    cause: Option<Cause>,
}

impl Problem {
    /// The request cannot be understood or asks for something impossible.
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            name: "parameter",
            title: "The request is not acceptable",
            detail: detail.into(),
            cause: Some(Cause::ParameterInvalid),
        }
    }

    /// What the request names does not exist, or not for this caller.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            name: "not-found",
            title: "Not found",
            detail: detail.into(),
            cause: None,
        }
    }

    /// What the request wants contradicts what is.
    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self {
            status: StatusCode::CONFLICT,
            name: "conflict",
            title: "Not possible",
            detail: detail.into(),
            cause: None,
        }
    }

    /// A refusal that is not about credentials, by its cause.
    pub(super) fn of(cause: Cause) -> Self {
        let (status, error) = wire::status_and_error(cause, Role::ResourceServer);
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            name: error,
            title: "Refused",
            detail: format!("{}; {}", cause.summary(), cause.next_step()),
            cause: Some(cause),
        }
    }

    /// The store said no. Never a success: what was asked for is not stored.
    pub(super) fn store(error: &StoreError) -> Self {
        let temporary = error.is_temporary();
        if matches!(error, StoreError::Invalid { .. }) {
            return Self::invalid(error.to_string());
        }
        tracing::error!(%error, "the store refused");
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            name: "store",
            title: "The store cannot be used",
            // The file's path is for the operator's log.
            detail: String::from(if temporary {
                "nothing was changed; try again later"
            } else {
                "nothing was changed; an operator must look at the log"
            }),
            cause: Some(Cause::StoreUnavailable),
        }
    }

    pub(super) fn respond(&self, call: &Call) -> Response<Body> {
        let cause = self.cause.map(Cause::id);
        let mut response = Response::new(Body::from(body(
            &Text {
                status: self.status,
                name: self.name,
                title: self.title,
                detail: &self.detail,
                cause,
            },
            call,
        )));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        finish(response)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::store(&error)
    }
}

/// The guard's answer with a problem as its body.
pub(super) fn refused(
    answer: &Answer,
    rejection: &Rejection,
    detail: ErrorDetail,
    call: &Call,
) -> Response<Body> {
    let (_, error) = wire::status_and_error(rejection.cause(), Role::ResourceServer);
    let (explained, cause) = match detail {
        ErrorDetail::Full => (rejection.to_string(), Some(rejection.cause().id())),
        ErrorDetail::Minimal => (
            String::from("the token or its proof is not acceptable here; the log knows why"),
            None,
        ),
    };
    let response = respond::response(answer);
    let text = Text {
        status: response.status(),
        name: error,
        title: "Refused",
        detail: &explained,
        cause,
    };
    let body = Body::from(body(&text, call));
    finish(response.map(|_| body))
}

/// Members of a problem.
struct Text<'a> {
    status: StatusCode,
    name: &'a str,
    title: &'a str,
    detail: &'a str,
    cause: Option<&'a str>,
}

fn body(text: &Text<'_>, call: &Call) -> String {
    let mut problem = serde_json::json!({
        "type": format!("urn:keybound:problem:{}", text.name),
        "title": text.title,
        "status": text.status.as_u16(),
        "detail": text.detail,
        "request_id": call.request_id(),
    });
    if let (Some(cause), Some(members)) = (text.cause, problem.as_object_mut()) {
        members.insert(String::from("cause"), cause.into());
    }
    problem.to_string()
}

fn finish(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    response
}
