//! The operator's side of control: its admin API, spoken with bound tokens of
//! the operator's own profile.
//!
//! Refusals of control are RFC 9457 documents; their cause and request id are
//! passed on.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::{HeaderMap, HeaderValue, Method, header};
use keybound_holder::{Request, Response};
use keybound_proto::Cause;
use keybound_proto::uri::HttpUrl;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::client::{Client, Identity, failure};
use crate::commands::request::encoded;
use crate::context::Context;
use crate::failure::Failure;
use crate::profile::Profile;

/// Who the operator is.
#[derive(Debug, Clone, Args)]
pub(crate) struct OperatorArguments {
    /// The operator's profile [default: KEYBOUND_PROFILE, then that of `keybound dev`]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Operator")]
    pub(crate) profile: Option<PathBuf>,

    /// Seconds to wait for an answer
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        default_value_t = 30,
        help_heading = "Operator"
    )]
    pub(crate) timeout: u64,
}

/// An operator at a control plane.
#[derive(Debug)]
pub(crate) struct Operator {
    client: Client,
    base: String,
}

/// A refusal (RFC 9457), as far as it is of use here.
#[derive(Debug, Default, Deserialize)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
    cause: Option<String>,
    request_id: Option<String>,
}

impl Operator {
    /// The operator the arguments, the environment or `keybound dev` name.
    pub(crate) fn new(arguments: &OperatorArguments, context: &Context) -> Result<Self, Failure> {
        let profile = Profile::operator(arguments.profile.as_deref(), context)?;
        Self::of_profile(profile, arguments.timeout, context)
    }

    /// The operator of a profile.
    pub(crate) fn of_profile(
        profile: Profile,
        timeout: u64,
        context: &Context,
    ) -> Result<Self, Failure> {
        let shown = profile.path.display();
        let Some(control) = profile.file.control.clone() else {
            return Err(
                Failure::config(format!("the profile `{shown}` names no `control`"))
                    .next("add `control = \"http://127.0.0.1:9402\"`, or name another profile"),
            );
        };
        let base = control.trim_end_matches('/').to_owned();
        let identity = Identity {
            profile: None,
            scope: None,
            resource: Some(
                profile
                    .file
                    .resource
                    .clone()
                    .unwrap_or_else(|| format!("{base}/")),
            ),
            timeout,
        };
        Ok(Self {
            client: Client::of_profile(profile, &identity, context)?,
            base,
        })
    }

    /// Asks, and reads the answer.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.answer(self.request(Method::GET, path, None)?, None)
            .await
    }

    /// Asks for something that may take as long as `within`.
    pub(crate) async fn wait<T: DeserializeOwned>(
        &self,
        path: &str,
        within: Duration,
    ) -> Result<T, Failure> {
        self.answer(self.request(Method::GET, path, None)?, Some(within))
            .await
    }

    /// Sends a JSON document.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        document: &serde_json::Value,
    ) -> Result<T, Failure> {
        self.answer(self.request(Method::POST, path, Some(document))?, None)
            .await
    }

    /// Removes something.
    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.answer(self.request(Method::DELETE, path, None)?, None)
            .await
    }

    /// Origin of the control plane.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        document: Option<&serde_json::Value>,
    ) -> Result<Request, Failure> {
        let address = format!("{}{path}", self.base);
        let url = HttpUrl::parse(&address).map_err(|error| {
            Failure::config(format!(
                "the profile's `control` makes no address of `{address}`: {error}"
            ))
        })?;
        let mut headers = HeaderMap::new();
        let body = document.map(ToString::to_string).unwrap_or_default();
        if document.is_some() {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        Ok(Request {
            method,
            url,
            headers,
            body: body.into(),
        })
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: Request,
        within: Option<Duration>,
    ) -> Result<T, Failure> {
        let holder = &self.client.holder;
        let response = match within {
            Some(limit) => holder.send_within(request, limit).await,
            None => holder.send(request).await,
        }
        .map_err(failure)?;
        if !response.status.is_success() {
            return Err(refusal(&response));
        }
        serde_json::from_slice(&response.body)
            .map_err(|error| Failure::server(format!("control gave an unusable answer: {error}")))
    }
}

/// A path segment of anything.
pub(crate) fn segment(text: &str) -> String {
    encoded(text)
}

fn refusal(response: &Response) -> Failure {
    let problem: Problem = serde_json::from_slice(&response.body).unwrap_or_default();
    let header = |name: &str| {
        response
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let said = problem
        .detail
        .or(problem.title)
        .unwrap_or_else(|| response.status.to_string());
    let cause = problem.cause.as_deref().and_then(Cause::from_id);
    let message = match &problem.cause {
        Some(id) => format!("control refused: {said} ({id})"),
        None => format!("control refused: {said}"),
    };
    let failure = Failure::of_status(response.status.as_u16(), message)
        .request_id(problem.request_id.or_else(|| header("x-request-id")));
    match cause {
        Some(cause) => failure.next(cause.next_step()),
        None => failure,
    }
}
