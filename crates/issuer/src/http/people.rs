//! People: logging in by a single-use link, and deciding about requests.
//!
//! There are no passwords. `keybound login` makes a link with the operator's key; whoever opens it
//! and confirms has a session in that browser, of the identity that asked. A session is a random
//! cookie, kept as SHA-256. Forms are taken from pages of this origin only: the cookie is not sent
//! with requests of other sites (`SameSite=Lax`), and `Origin`, where it is sent, has to be ours.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keybound_control::{KeptChange, KeptKind, KeptRef, LogInLink};
use keybound_proto::base64url;
use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;
use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;
use keybound_proto::uri::Scheme;
use serde::{Deserialize, Serialize};

use super::answer::{self, Call};
use super::authorize;
use super::body;
use crate::flow::authorization::AuthorizationRequest;
use crate::flow::form::Form;
use crate::flow::metadata;
use crate::flow::page::{self, Page};
use crate::random;
use crate::state::{Core, unavailable};

/// How long a person stays logged in, in seconds.
const SESSION_TTL: u64 = 8 * 3600;
/// How long a person has to decide, in seconds.
const DECISION_TTL: u64 = 600;

/// A person who is logged in.
#[derive(Serialize, Deserialize)]
struct Session {
    identity: String,
    ended: bool,
}

/// A request that waits for a person, or that was decided.
#[derive(Serialize, Deserialize)]
struct Pending {
    request: AuthorizationRequest,
    decided: bool,
}

/// Keeps a request until a person has decided, and sends the browser to where that is done.
pub(super) async fn ask(
    core: &Core,
    request: AuthorizationRequest,
    now: UnixTime,
) -> Result<Response<Body>, Rejection> {
    let id = base64url::encode(&random::bytes::<32>()?);
    let pending = Pending {
        request,
        decided: false,
    };
    let document = serde_json::to_string(&pending).map_err(|_| Cause::StoreUnavailable)?;
    let name = KeptRef::of(KeptKind::Authorization, &id);
    let kept = core
        .store()
        .keep(name, document, now.plus(DECISION_TTL))
        .await;
    kept.map_err(|error| unavailable(&error))?;
    Ok(authorize::see_other(&format!(
        "{}/consent?id={id}",
        base(core)
    )))
}

/// `GET /consent`: the question.
pub(super) async fn question(State(core): State<Arc<Core>>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let outcome = show_question(&core, &parts).await;
    outcome.unwrap_or_else(|rejection| trouble(&parts, &rejection))
}

async fn show_question(core: &Core, parts: &Parts) -> Result<Response<Body>, Rejection> {
    let now = core.trusted_now()?;
    let query = parts.uri.query().unwrap_or_default();
    let form = Form::parse(query.as_bytes())?;
    let id = form.value("id").unwrap_or_default();
    let Some((pending, _)) = pending(core, id, now).await? else {
        return Ok(over());
    };
    let Some((session, _)) = session(core, &parts.headers, now).await? else {
        return Ok(answer_page(StatusCode::UNAUTHORIZED, &page::log_in_first()));
    };
    let client = core.clients().find(&pending.request.client_id).await?;
    let Some(client) = client else {
        return Ok(over());
    };
    let config = core.config();
    let lasts = page::duration(&client, config.access_ttl, config.refresh.ttl);
    let identity = &session.identity;
    let page = page::consent(base(core), id, identity, &client, &pending.request, &lasts);
    Ok(answer_page(StatusCode::OK, &page))
}

/// `POST /consent`: the answer.
pub(super) async fn decide(State(core): State<Arc<Core>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let outcome = take_decision(&core, &parts, body).await;
    outcome.unwrap_or_else(|rejection| trouble(&parts, &rejection))
}

async fn take_decision(
    core: &Core,
    parts: &Parts,
    body: Body,
) -> Result<Response<Body>, Rejection> {
    let now = core.trusted_now()?;
    own_origin(core, &parts.headers)?;
    let body = body::read(parts, body, body::FORM).await?;
    let form = Form::parse(&body)?;
    let Some((session, _)) = session(core, &parts.headers, now).await? else {
        return Ok(answer_page(StatusCode::UNAUTHORIZED, &page::log_in_first()));
    };
    let id = form.value("id").unwrap_or_default();
    let Some((pending, change)) = pending(core, id, now).await? else {
        return Ok(over());
    };
    let allowed = match form.value("decision") {
        Some("allow") => true,
        Some("deny") => false,
        _ => {
            return Err(Rejection::new(Cause::ParameterInvalid).expected("decision: allow or deny"));
        }
    };
    let decided = core.store().change_kept(change).await;
    if !decided.map_err(|error| unavailable(&error))? {
        return Ok(over());
    }
    let (client_id, identity) = (
        pending.request.client_id.as_str(),
        session.identity.as_str(),
    );
    tracing::info!(client_id, identity, allowed, "a person decided");
    if allowed {
        authorize::give_code(core, &pending.request, &session.identity, now).await
    } else {
        Ok(authorize::denied(core, &pending.request))
    }
}

/// `GET /login`: asks whoever opened a link, or says who is logged in.
pub(super) async fn log_in(State(core): State<Arc<Core>>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let outcome = show_log_in(&core, &parts).await;
    outcome.unwrap_or_else(|rejection| trouble(&parts, &rejection))
}

async fn show_log_in(core: &Core, parts: &Parts) -> Result<Response<Body>, Rejection> {
    let now = core.now();
    let query = parts.uri.query().unwrap_or_default();
    let form = Form::parse(query.as_bytes())?;
    let Some(link) = form.value("link") else {
        let page = match session(core, &parts.headers, now).await? {
            Some((session, _)) => page::logged_in(base(core), &session.identity),
            None => page::log_in_first(),
        };
        return Ok(answer_page(StatusCode::OK, &page));
    };
    let Some((found, _)) = self::link(core, link, now).await? else {
        return Ok(used_up());
    };
    let page = page::log_in(base(core), link, &found.identity);
    Ok(answer_page(StatusCode::OK, &page))
}

/// `POST /login`: uses the link up.
pub(super) async fn confirm(State(core): State<Arc<Core>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let outcome = begin_session(&core, &parts, body).await;
    outcome.unwrap_or_else(|rejection| trouble(&parts, &rejection))
}

async fn begin_session(
    core: &Core,
    parts: &Parts,
    body: Body,
) -> Result<Response<Body>, Rejection> {
    let now = core.now();
    own_origin(core, &parts.headers)?;
    let body = body::read(parts, body, body::FORM).await?;
    let form = Form::parse(&body)?;
    let Some((found, change)) = link(core, form.value("link").unwrap_or_default(), now).await?
    else {
        return Ok(used_up());
    };
    let used = core.store().change_kept(change).await;
    if !used.map_err(|error| unavailable(&error))? {
        return Ok(used_up());
    }
    let secret = base64url::encode(&random::bytes::<32>()?);
    let session = Session {
        identity: found.identity,
        ended: false,
    };
    let document = serde_json::to_string(&session).map_err(|_| Cause::StoreUnavailable)?;
    let name = KeptRef::of(KeptKind::Session, &secret);
    let kept = core
        .store()
        .keep(name, document, now.plus(SESSION_TTL))
        .await;
    kept.map_err(|error| unavailable(&error))?;
    tracing::info!(identity = session.identity, "a person logged in");
    let page = page::logged_in(base(core), &session.identity);
    let mut response = answer_page(StatusCode::OK, &page);
    answer::set(
        &mut response,
        header::SET_COOKIE,
        Some(cookie(core, &secret, SESSION_TTL)),
    );
    Ok(response)
}

/// `POST /logout`.
pub(super) async fn log_out(State(core): State<Arc<Core>>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let outcome = end_session(&core, &parts).await;
    outcome.unwrap_or_else(|rejection| trouble(&parts, &rejection))
}

async fn end_session(core: &Core, parts: &Parts) -> Result<Response<Body>, Rejection> {
    own_origin(core, &parts.headers)?;
    if let Some((_, change)) = session(core, &parts.headers, core.now()).await? {
        let ended = core.store().change_kept(change).await;
        ended.map_err(|error| unavailable(&error))?;
    }
    let text = "This browser is not logged in any more.";
    let mut response = answer_page(StatusCode::OK, &page::notice("Logged out", text));
    answer::set(&mut response, header::SET_COOKIE, Some(cookie(core, "", 0)));
    Ok(response)
}

/// A document and the change that takes it.
type Found<T> = Option<(T, KeptChange)>;

/// The document of this name, and the change that `takes` it.
async fn find<T: for<'de> Deserialize<'de> + Serialize>(
    core: &Core,
    name: KeptRef,
    now: UnixTime,
    takes: impl FnOnce(T) -> T,
) -> Result<Found<T>, Rejection> {
    let kept = core.store().kept(name, now).await;
    let Some(kept) = kept.map_err(|error| unavailable(&error))? else {
        return Ok(None);
    };
    let read = || serde_json::from_str::<T>(&kept.document).map_err(|_| Cause::StoreUnavailable);
    let change = KeptChange {
        kept: name,
        version: kept.version,
        document: serde_json::to_string(&takes(read()?)).map_err(|_| Cause::StoreUnavailable)?,
    };
    Ok(Some((read()?, change)))
}

async fn session(
    core: &Core,
    headers: &HeaderMap,
    now: UnixTime,
) -> Result<Found<Session>, Rejection> {
    let Some(secret) = session_cookie(core, headers) else {
        return Ok(None);
    };
    let name = KeptRef::of(KeptKind::Session, secret);
    let found = find(core, name, now, |session: Session| Session {
        ended: true,
        ..session
    });
    let found = found.await?.filter(|(session, _)| !session.ended);
    // A locked identity decides nothing.
    let issuer = core.config().url.as_str();
    Ok(found.filter(|(session, _)| {
        core.store()
            .locked_party(issuer, &session.identity, &[])
            .is_none()
    }))
}

async fn pending(core: &Core, id: &str, now: UnixTime) -> Result<Found<Pending>, Rejection> {
    let name = KeptRef::of(KeptKind::Authorization, id);
    let found = find(core, name, now, |pending: Pending| Pending {
        decided: true,
        ..pending
    });
    Ok(found.await?.filter(|(pending, _)| !pending.decided))
}

async fn link(core: &Core, secret: &str, now: UnixTime) -> Result<Found<LogInLink>, Rejection> {
    let name = KeptRef::of(KeptKind::LogIn, secret);
    let found = find(core, name, now, |link: LogInLink| LogInLink {
        used: true,
        ..link
    });
    Ok(found.await?.filter(|(link, _)| !link.used))
}

/// The name of the session's cookie. Under HTTPS its prefix keeps other hosts of the domain from
/// setting it (RFC 6265bis section 4.1.3).
fn cookie_name(core: &Core) -> &'static str {
    if core.config().url.origin().scheme() == Scheme::Https {
        "__Host-keybound_session"
    } else {
        "keybound_session"
    }
}

fn cookie(core: &Core, value: &str, age: u64) -> String {
    let secure = if core.config().url.origin().scheme() == Scheme::Https {
        "; Secure"
    } else {
        ""
    };
    let name = cookie_name(core);
    format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}")
}

fn session_cookie<'h>(core: &Core, headers: &'h HeaderMap) -> Option<&'h str> {
    let name = cookie_name(core);
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(known, _)| *known == name)
        .map(|(_, value)| value);
    // Two of them: somebody else may have set one.
    match (found.next(), found.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

/// A form has to come from one of our pages.
fn own_origin(core: &Core, headers: &HeaderMap) -> Result<(), Rejection> {
    let own = core.config().url.origin().as_str();
    match headers.get(header::ORIGIN) {
        Some(origin) if origin.as_bytes() == own.as_bytes() => Ok(()),
        // Browsers send it with every POST; without it, this is not one.
        Some(_) | None => Err(Rejection::new(Cause::OriginForeign).expected(own)),
    }
}

fn base(core: &Core) -> &str {
    metadata::base_path(&core.config().url)
}

fn over() -> Response<Body> {
    let text = "It was decided already, or it took too long. Start again in the program that sent \
                you here.";
    let page = page::notice("This request is over", text);
    answer_page(StatusCode::GONE, &page)
}

fn used_up() -> Response<Body> {
    let text = "A link works once, for five minutes. Run keybound login again.";
    let page = page::notice("This link is used up", text);
    answer_page(StatusCode::GONE, &page)
}

/// A refusal, for a person.
fn trouble(parts: &Parts, rejection: &Rejection) -> Response<Body> {
    let call = Call::of(&parts.headers, "/login");
    tracing::info!(
        request_id = call.request_id,
        cause = rejection.cause().id(),
        reason = %rejection,
        "refused"
    );
    let role = keybound_proto::wire::Role::AuthorizationServer;
    let (status, _) = keybound_proto::wire::status_and_error(rejection.cause(), role);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let text = format!(
        "{}. The log has it under {}.",
        rejection.cause().summary(),
        call.request_id
    );
    answer_page(status, &page::notice("This did not work", &text))
}

/// Answers with a page: not cached, not framed, no scripts, forms to us and to where they lead.
fn answer_page(status: StatusCode, page: &Page) -> Response<Body> {
    let mut response = Response::new(Body::from(page.html.clone()));
    *response.status_mut() = status;
    let leads_to = page.leads_to.as_deref().unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; form-action 'self' {leads_to}; \
         frame-ancestors 'none'; base-uri 'none'",
        style_hash()
    );
    answer::set(&mut response, header::CONTENT_SECURITY_POLICY, Some(policy));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        // With `no-referrer` a browser sends `Origin: null` with our own forms.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// SHA-256 of the style, as policies name it.
fn style_hash() -> String {
    STANDARD.encode(TokenHash::of(page::STYLE.as_bytes()).as_bytes())
}
