//! Answers of endpoints, read: tokens of the token endpoint, documents of the
//! others.

use keybound_holder::Secret;
use keybound_proto::base64url;
use serde_json::{Map, Value};

use crate::answer::{Outcome, Unclear};
use crate::error::ProbeError;
use crate::session::Attempt;
use crate::transport::Answer;

/// The answer; nothing in a dry run.
///
/// # Errors
/// Why there is none.
pub(crate) fn answered(attempt: Attempt) -> Result<Option<Answer>, ProbeError> {
    match (attempt.answer, attempt.outcome) {
        (Some(answer), _) => Ok(Some(answer)),
        (None, Outcome::Unclear(Unclear::Transport(error))) => Err(error.into()),
        (None, Outcome::Unclear(reason)) => Err(ProbeError::Input(reason.to_string())),
        (None, Outcome::Served | Outcome::Refused | Outcome::NonceWanted(_)) => Ok(None),
    }
}

/// What an endpoint that issues no tokens made of a request. Not `Debug`: the body of a
/// registration has a secret.
pub(crate) enum Reply {
    /// It carried it out; the body where it is a JSON object.
    Done(Map<String, Value>),
    /// It refused it.
    Refused,
    /// Neither, and why.
    Unclear(String),
    /// Nothing was sent: a dry run.
    Unsent,
}

impl Reply {
    /// Reads the answer of an attempt.
    pub(crate) fn of(attempt: &Attempt) -> Self {
        let Some(answer) = &attempt.answer else {
            return match &attempt.outcome {
                Outcome::Unclear(reason) => Self::Unclear(reason.to_string()),
                Outcome::Served | Outcome::Refused | Outcome::NonceWanted(_) => Self::Unsent,
            };
        };
        if answer.status.is_success() {
            return match answer.json() {
                _ if answer.is_html() => Self::Unclear(Unclear::Html.to_string()),
                Some(Value::Object(body)) => Self::Done(body),
                _ if answer.body.is_empty() => Self::Done(Map::new()),
                _ => Self::Unclear(Unclear::NotJson.to_string()),
            };
        }
        match &attempt.outcome {
            Outcome::Refused => Self::Refused,
            Outcome::Unclear(reason) => Self::Unclear(reason.to_string()),
            Outcome::Served | Outcome::NonceWanted(_) => Self::Unclear(answer.shown()),
        }
    }
}

/// A token as it was issued (RFC 6749 section 5.1).
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) token: Secret,
    /// `token_type`.
    pub(crate) label: Option<String>,
    /// `scope`.
    pub(crate) scope: Option<String>,
    /// `expires_in`, in seconds.
    pub(crate) lifetime: Option<u64>,
    pub(crate) refresh_token: Option<Secret>,
    /// The token's claims, where it is a JWT.
    pub(crate) claims: Option<Map<String, Value>>,
}

impl Issued {
    /// Reads an answer of the token endpoint.
    pub(crate) fn of(answer: &Answer) -> Option<Self> {
        let body = answer.json()?;
        let text = |member: &str| body.get(member).and_then(Value::as_str);
        let token = text("access_token")?;
        Some(Self {
            token: Secret::new(token),
            label: text("token_type").map(str::to_owned),
            scope: text("scope").map(str::to_owned),
            lifetime: body.get("expires_in").and_then(Value::as_u64),
            refresh_token: text("refresh_token").map(Secret::new),
            claims: claims(token),
        })
    }

    /// Whether `token_type` is `DPoP` (RFC 9449 section 5).
    pub(crate) fn is_labelled_bound(&self) -> bool {
        let label = self.label.as_deref().unwrap_or_default();
        label.eq_ignore_ascii_case("DPoP")
    }

    /// The scopes of the token, as the answer or the token says.
    pub(crate) fn granted(&self) -> Option<&str> {
        let claimed = || self.claims.as_ref()?.get("scope")?.as_str();
        self.scope.as_deref().or_else(claimed)
    }

    /// `cnf.jkt` of the token, where it is a JWT that has one.
    pub(crate) fn jkt(&self) -> Option<&str> {
        jkt(self.claims.as_ref()?)
    }

    /// Whether the token says that it is bound, as far as can be seen from here.
    pub(crate) fn is_bound(&self) -> bool {
        match &self.claims {
            Some(claims) => claims.get("cnf").is_some_and(Value::is_object),
            None => self.is_labelled_bound(),
        }
    }

    /// `aud` of the token; nothing where it is opaque.
    pub(crate) fn audience(&self) -> Option<Vec<&str>> {
        match self.claims.as_ref()?.get("aud")? {
            Value::String(only) => Some(vec![only]),
            Value::Array(several) => Some(several.iter().filter_map(Value::as_str).collect()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
        }
    }
}

/// `cnf.jkt` among claims (RFC 9449 section 6.1).
pub(crate) fn jkt(claims: &Map<String, Value>) -> Option<&str> {
    claims.get("cnf")?.get("jkt")?.as_str()
}

fn claims(token: &str) -> Option<Map<String, Value>> {
    let mut parts = token.split('.');
    let (_, payload) = (parts.next()?, parts.next()?);
    let bytes = base64url::decode(payload.as_bytes()).ok()?;
    serde_json::from_slice(&bytes).ok()
}
