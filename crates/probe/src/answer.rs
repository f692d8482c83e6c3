//! What an answer says, read without wishful thinking.
//!
//! A refusal counts only when it is one: a server that limits the rate,
//! redirects, fails or does not know the path has not enforced anything.

use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::Value;

use crate::draft::{abridged, printable};
use crate::transport::{Answer, NoAnswer};

/// What came back for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The request was carried out.
    Served,
    /// The server refused the request as such: 400, 401, 403 or a status the case names.
    Refused,
    /// The server wants a nonce in the proof, and said which.
    NonceWanted(String),
    /// Neither, and why.
    Unclear(Unclear),
}

/// Why an answer proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unclear {
    #[error("the server limits the rate ({status}){}", asked(*.wait))]
    RateLimited { status: u16, wait: Option<Duration> },
    #[error("the server redirects to `{0}`; the probe follows no redirect with credentials")]
    Redirected(String),
    #[error("the server failed ({0})")]
    ServerError(u16),
    #[error("the server answered {0}, which is neither success nor refusal")]
    OtherStatus(u16),
    #[error("the answer lacks the text `{0}` that successful answers have")]
    CanaryMissing(String),
    #[error(
        "the answer is HTML, perhaps a log-in page; name a text that only good answers have with \
         `--canary`"
    )]
    Html,
    #[error("the answer is no JSON document")]
    NotJson,
    #[error("{0}")]
    Transport(#[from] NoAnswer),
    #[error("{0}")]
    Local(String),
}

/// What makes an answer a success, beyond its status.
#[derive(Clone, Debug, Default)]
pub(crate) struct Success {
    /// Text the body of a successful answer has.
    pub(crate) canary: Option<String>,
    /// Member a JSON answer must have, for example `access_token`.
    pub(crate) member: Option<&'static str>,
    /// Good answers are HTML, and requests without credentials are refused.
    pub(crate) html: bool,
}

fn asked(wait: Option<Duration>) -> String {
    wait.map_or_else(String::new, |wait| {
        format!(" and asks to wait {} s", wait.as_secs())
    })
}

impl Answer {
    /// Reads the answer. `also` are statuses that refuse here, beside 400, 401 and 403.
    pub(crate) fn outcome(&self, success: &Success, also: &[u16]) -> Outcome {
        let status = self.status.as_u16();
        if self.status.is_success() {
            return self.success(success);
        }
        if let Some(nonce) = self.nonce_challenge() {
            return Outcome::NonceWanted(nonce);
        }
        if matches!(status, 400 | 401 | 403) || also.contains(&status) {
            return Outcome::Refused;
        }
        let wait = self.retry_after();
        Outcome::Unclear(match self.status {
            StatusCode::TOO_MANY_REQUESTS => Unclear::RateLimited { status, wait },
            StatusCode::SERVICE_UNAVAILABLE if wait.is_some() => {
                Unclear::RateLimited { status, wait }
            }
            _ if self.status.is_redirection() => {
                Unclear::Redirected(abridged(&self.text(LOCATION)))
            }
            _ if self.status.is_server_error() => Unclear::ServerError(status),
            _ => Unclear::OtherStatus(status),
        })
    }

    fn success(&self, success: &Success) -> Outcome {
        if let Some(canary) = &success.canary
            && !String::from_utf8_lossy(&self.body).contains(canary.as_str())
        {
            return Outcome::Unclear(Unclear::CanaryMissing(canary.clone()));
        }
        match success.member {
            None if self.is_html() && success.canary.is_none() && !success.html => {
                Outcome::Unclear(Unclear::Html)
            }
            None => Outcome::Served,
            Some(_) if self.is_html() => Outcome::Unclear(Unclear::Html),
            Some(member) => match self.json() {
                Some(Value::Object(object)) if object.contains_key(member) => Outcome::Served,
                Some(_) | None => Outcome::Unclear(Unclear::NotJson),
            },
        }
    }

    /// The `DPoP-Nonce` of the answer (RFC 9449 section 8.1).
    pub(crate) fn nonce(&self) -> Option<String> {
        let value = self.headers.get("dpop-nonce")?.to_str().ok()?;
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// The nonce, if the answer asks for the request to be repeated with it: in the challenge of a
    /// resource server (section 9) or the body of an authorization server (section 8).
    fn nonce_challenge(&self) -> Option<String> {
        let asks = match self.status {
            StatusCode::UNAUTHORIZED => self.challenge().contains("use_dpop_nonce"),
            StatusCode::BAD_REQUEST => self.error().as_deref() == Some("use_dpop_nonce"),
            _ => false,
        };
        if asks { self.nonce() } else { None }
    }

    /// All challenges, joined.
    pub(crate) fn challenge(&self) -> String {
        let values: Vec<String> = self
            .headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .map(|value| printable(value.as_bytes()))
            .collect();
        values.join(", ")
    }

    /// `error` of a JSON body (RFC 6749 section 5.2).
    pub(crate) fn error(&self) -> Option<String> {
        let body = self.json()?;
        let error = body.get("error")?.as_str()?;
        Some(printable(error.as_bytes()))
    }

    /// The body, if it is JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Whether this is a page for people, by its type or, where that says nothing, its beginning.
    pub(crate) fn is_html(&self) -> bool {
        let kind = self.text(CONTENT_TYPE).to_ascii_lowercase();
        if kind.starts_with("text/html") || kind.starts_with("application/xhtml") {
            return self.status != StatusCode::NO_CONTENT;
        }
        let start = self.body.trim_ascii_start();
        (kind.is_empty() || kind.starts_with("text/plain"))
            && [b"<!doctype html".as_slice(), b"<html"].iter().any(|tag| {
                start
                    .get(..tag.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(tag))
            })
    }

    /// How long to wait, in seconds or until a date (RFC 9110 section 10.2.3).
    fn retry_after(&self) -> Option<Duration> {
        let text = self.text(RETRY_AFTER);
        if let Ok(seconds) = text.trim().parse() {
            return Some(Duration::from_secs(seconds));
        }
        let until = keybound_holder::date::parse(&text)?;
        let now = keybound_holder::date::parse(&self.text(DATE))?;
        Some(Duration::from_secs(until.saturating_sub(now)))
    }

    /// One header field as text for people.
    pub(crate) fn text(&self, name: http::HeaderName) -> String {
        self.headers
            .get(name)
            .map(|value| printable(value.as_bytes()))
            .unwrap_or_default()
    }

    /// The answer in one line.
    pub(crate) fn shown(&self) -> String {
        let mut line = self.status.as_u16().to_string();
        let challenge = self.challenge();
        if !challenge.is_empty() {
            line.push_str(&format!(" {}", abridged(&challenge)));
        } else if let Some(error) = self.error() {
            line.push_str(&format!(" {error}"));
        }
        line
    }
}
