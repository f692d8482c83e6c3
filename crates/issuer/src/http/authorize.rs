//! `GET /authorize` (RFC 6749 section 4.1.1, RFC 9126 section 4, RFC 9207): from a request to a
//! code.
//!
//! What is wrong before client and redirect URI are known is said on the spot; everything after
//! goes to the client by redirect, with `iss`. Answers are 303: a person's browser never repeats
//! a body to somebody else (RFC 9700 section 4.12).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use keybound_control::{KeptChange, KeptKind, KeptRef};
use keybound_proto::base64url;
use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;
use keybound_proto::time::UnixTime;
use keybound_proto::token::artefact;
use keybound_proto::wire::{self, Role};
use serde::{Deserialize, Serialize};

use super::answer::{self, Call, Refusal};
use super::people;
use super::pushed::REQUEST_URI;
use crate::config::{Approval, AuthorizationConfig};
use crate::flow::authorization::{self, AuthorizationRequest, Redirect};
use crate::flow::client::Client;
use crate::flow::code::Code;
use crate::flow::form::Form;
use crate::random;
use crate::state::{Core, unavailable};

/// A request that may be put before a person, and the client it is from.
#[derive(Debug)]
struct Asked {
    request: AuthorizationRequest,
    /// The pushed request, to be used up by the answer.
    pushed: Option<KeptChange>,
}

/// What went wrong, and whether the client is to hear of it.
enum Stop {
    /// Not by redirect: nobody knows where to.
    Here(Rejection),
    /// By redirect.
    There {
        rejection: Rejection,
        redirect: Redirect,
        state: Option<String>,
    },
}

impl<R: Into<Rejection>> From<R> for Stop {
    fn from(rejection: R) -> Self {
        Self::Here(rejection.into())
    }
}

/// A pushed request that was answered.
#[derive(Serialize, Deserialize)]
struct Answered {
    answered: bool,
}

/// Answers an authorization request.
pub(super) async fn handle(State(core): State<Arc<Core>>, request: Request) -> Response<Body> {
    let call = Call::of(request.headers(), "/authorize");
    let query = request.uri().query().unwrap_or_default().to_owned();
    match authorize(&core, query.as_bytes()).await {
        Ok(response) => response,
        Err(Stop::Here(rejection)) => answer::refuse(&core, &call, Refusal::from(rejection)).await,
        Err(Stop::There {
            rejection,
            redirect,
            state,
        }) => refuse_there(&core, &call, &rejection, &redirect, state.as_deref()),
    }
}

async fn authorize(core: &Core, query: &[u8]) -> Result<Response<Body>, Stop> {
    let now = core.trusted_now()?;
    let config = core.authorization().ok_or(Cause::RouteUnknown)?;
    let form = Form::parse(query)?;
    let asked = asked(core, config, &form, now).await?;
    if let Some(change) = asked.pushed {
        let used_up = core.store().change_kept(change).await;
        if !used_up.map_err(|error| unavailable(&error))? {
            return Err(Cause::AuthorizationRequestUri.into());
        }
    }
    let answer = match &config.approval {
        Approval::Automatic { identity } => give_code(core, &asked.request, identity, now).await,
        Approval::Person => people::ask(core, asked.request, now).await,
    };
    Ok(answer?)
}

/// Finds the request, pushed or in the query.
async fn asked(
    core: &Core,
    config: &AuthorizationConfig,
    form: &Form<'_>,
    now: UnixTime,
) -> Result<Asked, Stop> {
    let missing = || Rejection::new(Cause::ParameterInvalid).expected("client_id: a value");
    let client_id = form.value("client_id").ok_or_else(missing)?;
    let client = core.clients().find(client_id).await?;
    let client = client.ok_or(Cause::ClientUnknown)?;
    if let Some(uri) = form.value("request_uri") {
        return pushed(core, &client, uri, now).await;
    }
    if config.pushed_only || client.pushed_only {
        let unpushed = Rejection::new(Cause::ParameterInvalid).expected("request_uri: a value");
        return Err(unpushed.into());
    }
    let redirect = Redirect::find(form, &client)?;
    let judged = authorization::judge(form, &client, redirect.clone(), core.resources(), None);
    match judged {
        Ok(request) => Ok(Asked {
            request,
            pushed: None,
        }),
        Err(rejection) => Err(Stop::There {
            rejection,
            redirect,
            state: form.value("state").map(str::to_owned),
        }),
    }
}

/// A pushed request: of this client, not used, not expired (RFC 9126 section 4).
async fn pushed(core: &Core, client: &Client, uri: &str, now: UnixTime) -> Result<Asked, Stop> {
    let id = uri.strip_prefix(REQUEST_URI).unwrap_or_default();
    let name = KeptRef::of(KeptKind::AuthorizationRequest, id);
    let kept = core.store().kept(name, now).await;
    let kept = kept.map_err(|error| unavailable(&error))?;
    let kept = kept.ok_or(Cause::AuthorizationRequestUri)?;
    let request: AuthorizationRequest = serde_json::from_str(&kept.document)
        .map_err(|_| Rejection::new(Cause::AuthorizationRequestUri).got("one that was used"))?;
    if request.client_id != client.id {
        return Err(Rejection::new(Cause::AuthorizationRequestUri)
            .got("another client's")
            .into());
    }
    let answered = serde_json::to_string(&Answered { answered: true });
    Ok(Asked {
        request,
        pushed: Some(KeptChange {
            kept: name,
            version: kept.version,
            document: answered.map_err(|_| Cause::StoreUnavailable)?,
        }),
    })
}

/// Gives the code: the person named by `identity` allowed all of the request.
pub(super) async fn give_code(
    core: &Core,
    request: &AuthorizationRequest,
    identity: &str,
    now: UnixTime,
) -> Result<Response<Body>, Rejection> {
    let config = core.authorization().ok_or(Cause::RouteUnknown)?;
    let store = core.store();
    let text = base64url::encode(&random::bytes::<32>()?);
    let code = Code {
        client_id: request.client_id.clone(),
        redirect_uri: request.redirect_uri.clone(),
        redirect_uri_sent: request.redirect_uri_sent,
        code_challenge: request.code_challenge.clone(),
        entitlement: request.entitlement(identity),
        grant_id: artefact::grant_id(&random::bytes()?),
        used: false,
    };
    let document = serde_json::to_string(&code).map_err(|_| Cause::StoreUnavailable)?;
    let name = KeptRef::of(KeptKind::Code, &text);
    let kept = store.keep(name, document, now.plus(config.code_ttl)).await;
    kept.map_err(|error| unavailable(&error))?;
    let parameters = [("code", text.as_str())];
    let to = location(
        core,
        &request.redirect_uri,
        &parameters,
        request.state.as_deref(),
    );
    Ok(see_other(&to))
}

/// Tells the client that the person said no.
pub(super) fn denied(core: &Core, request: &AuthorizationRequest) -> Response<Body> {
    let parameters = [
        ("error", "access_denied"),
        ("error_description", "the person said no"),
    ];
    let state = request.state.as_deref();
    see_other(&location(core, &request.redirect_uri, &parameters, state))
}

fn refuse_there(
    core: &Core,
    call: &Call,
    rejection: &Rejection,
    redirect: &Redirect,
    state: Option<&str>,
) -> Response<Body> {
    tracing::info!(
        request_id = call.request_id,
        endpoint = call.endpoint,
        cause = rejection.cause().id(),
        reason = %rejection,
        "refused"
    );
    core.metrics().refused(rejection.cause());
    let (_, error) = wire::status_and_error(rejection.cause(), Role::AuthorizationServer);
    let description = rejection.cause().summary();
    let parameters = [("error", error), ("error_description", description)];
    see_other(&location(core, redirect.uri(), &parameters, state))
}

/// The client's redirect URI with our answer added to its query (RFC 6749 section 4.1.2), and
/// `iss` (RFC 9207).
fn location(
    core: &Core,
    redirect_uri: &str,
    parameters: &[(&str, &str)],
    state: Option<&str>,
) -> String {
    let mut added = form_urlencoded::Serializer::new(String::new());
    added.extend_pairs(parameters);
    if let Some(state) = state {
        added.append_pair("state", state);
    }
    added.append_pair("iss", core.config().url.as_str());
    let separator = if redirect_uri.contains('?') { '&' } else { '?' };
    format!("{redirect_uri}{separator}{}", added.finish())
}

pub(super) fn see_other(location: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    answer::set(&mut response, header::LOCATION, Some(location.to_owned()));
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    response
}
