//! The story, step by step. Each function is a chapter.

use http::Method;
use keybound_custody::SoftwareKey;
use keybound_holder::{BoundToken, SignedHeaders};
use keybound_proto::Cause;
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::uri::HttpUrl;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::agent::{Agent, prove};
use super::forgery::edited;
use super::teller::{Expected, Teller};
use super::wire::{Raw, Seen, Wire};
use crate::commands::key;
use crate::context::Context;
use crate::failure::Failure;
use crate::operator::Operator;
use crate::world::local::Addresses;

/// Where the story plays.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) addresses: &'a Addresses,
    pub(super) operator: &'a Operator,
    pub(super) context: &'a Context,
}

/// What the thief has.
struct Loot<'a> {
    wire: &'a Wire,
    token: &'a str,
    captured: &'a str,
    own_key: SoftwareKey,
    approvals: &'a str,
}

/// Tells the whole story.
pub(super) async fn tell(stage: &Stage<'_>, teller: &mut Teller) -> Result<(), Failure> {
    let wire = Wire::new()?;
    let approvals = format!("{}/approvals", stage.addresses.gateway_url());
    let url = HttpUrl::parse(&approvals).map_err(|error| Failure::internal(error.to_string()))?;

    teller.chapter("An agent with a fresh key")?;
    let agent = Agent::introduce(&url, &stage.context.clock).await?;
    let (token, token_id) = token(&agent, teller).await?;
    let captured = approve(&agent, &wire, &url, teller).await?;

    let loot = Loot {
        wire: &wire,
        token: token.expose(),
        captured: &captured.dpop,
        own_key: key::generate(Algorithm::Es256)?,
        approvals: &approvals,
    };
    teller.chapter("A thief finds the token in a log")?;
    with_the_token(stage, &loot, teller).await?;
    teller.chapter("The thief captures a whole request, proof and all")?;
    with_the_proof(stage, &loot, teller).await?;
    with_more_proofs(&agent, &loot, teller).await?;

    teller.chapter("The agent was never disturbed")?;
    let proof = agent.prove(&Method::GET, &approvals, token.expose())?;
    let seen = wire
        .send(
            Raw::new(Method::GET, &approvals)
                .token("DPoP", token.expose())
                .proof(proof),
        )
        .await?;
    teller.request(
        "owner-still-served",
        "the agent reads the approvals with a fresh proof",
        Expected::OK,
        &seen,
    )?;

    teller.chapter("The operator revokes the token")?;
    let revoked_at = revoke(stage, &token_id, teller).await?;
    refused_at_the_gateway(&agent, &loot, revoked_at, teller).await?;
    event_log(stage, &token_id, teller).await
}

/// The agent's token, and its handle.
async fn token(agent: &Agent, teller: &mut Teller) -> Result<(BoundToken, String), Failure> {
    let token = agent.token().await?;
    let claims = claims(token.expose());
    let bound_to = claims
        .pointer("/cnf/jkt")
        .and_then(Value::as_str)
        .unwrap_or("nothing")
        .to_owned();
    let token_id = claims
        .get("jti")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let expected = format!("a token bound to {}", agent.jkt());
    let got = format!("a token bound to {bound_to}");
    let ok = expected == got && token_id.starts_with("tok_");
    let tried = format!("the agent registers, proves its key, and asks for a token ({token_id})");
    teller.step("token-issued", tried, (expected, got), None, ok)?;
    Ok((token, token_id))
}

async fn approve(
    agent: &Agent,
    wire: &Wire,
    url: &HttpUrl,
    teller: &mut Teller,
) -> Result<SignedHeaders, Failure> {
    let signed = agent.sign(&Method::POST, url).await?;
    let mut raw = Raw::new(Method::POST, url.as_str())
        .proof(signed.dpop.as_str())
        .json(json!({ "id": "1", "decision": "approve" }));
    raw.authorization = Some(signed.authorization.clone());
    let seen = wire.send(raw).await?;
    let state = seen
        .body
        .get("state")
        .and_then(Value::as_str)
        .unwrap_or("undecided");
    let expected = "200, request 1 is approved".to_owned();
    let got = format!("{}, request 1 is {state}", seen.status);
    let ok = expected == got;
    let tried = "the agent approves request 1: token, fresh proof, POST /approvals";
    teller.step("owner-approves", tried, (expected, got), seen.cause, ok)?;
    Ok(signed)
}

/// The thief has the token and nothing else.
async fn with_the_token(
    stage: &Stage<'_>,
    loot: &Loot<'_>,
    teller: &mut Teller,
) -> Result<(), Failure> {
    let get = || Raw::new(Method::GET, loot.approvals);
    let seen = loot.wire.send(get().token("Bearer", loot.token)).await?;
    let expected = Expected::refused(Cause::TokenSchemeDowngrade);
    teller.request("as-bearer", "send it as Bearer", expected, &seen)?;

    let seen = loot.wire.send(get().token("DPoP", loot.token)).await?;
    let expected = Expected::refused(Cause::DpopAbsent);
    teller.request(
        "no-proof",
        "send it as DPoP, without a proof",
        expected,
        &seen,
    )?;

    let now = stage.context.clock.now();
    let proof = prove(&loot.own_key, &Method::GET, loot.approvals, loot.token, now)?;
    let seen = loot
        .wire
        .send(get().token("DPoP", loot.token).proof(proof))
        .await?;
    let expected = Expected::refused(Cause::TokenKeyMismatch);
    teller.request(
        "own-key",
        "sign a proof with a key of one's own",
        expected,
        &seen,
    )?;

    let jkt = loot.own_key.public_key().thumbprint().to_string();
    let forged = edited(loot.token, |claims| claims["cnf"]["jkt"] = jkt.into())?;
    let proof = prove(&loot.own_key, &Method::GET, loot.approvals, &forged, now)?;
    let seen = loot
        .wire
        .send(get().token("DPoP", &forged).proof(proof))
        .await?;
    let expected = Expected::refused(Cause::TokenSignatureInvalid);
    teller.request(
        "edited-token",
        "edit the token so that it names that key",
        expected,
        &seen,
    )?;

    let reports = stage.addresses.reports_resource();
    let proof = prove(&loot.own_key, &Method::GET, &reports, loot.token, now)?;
    let seen = loot
        .wire
        .send(
            Raw::new(Method::GET, &reports)
                .token("DPoP", loot.token)
                .proof(proof),
        )
        .await?;
    let expected = Expected::refused(Cause::TokenAudienceMismatch);
    teller.request(
        "other-resource",
        "take the token to another resource, /reports",
        expected,
        &seen,
    )
}

/// The thief also has the proof that went with the approval.
async fn with_the_proof(
    stage: &Stage<'_>,
    loot: &Loot<'_>,
    teller: &mut Teller,
) -> Result<(), Failure> {
    let sent = |method: Method, url| {
        Raw::new(method, url)
            .token("DPoP", loot.token)
            .proof(loot.captured)
    };
    let decision = json!({ "id": "2", "decision": "approve" });
    let seen = loot
        .wire
        .send(sent(Method::POST, loot.approvals).json(decision.clone()))
        .await?;
    let expected = Expected::refused(Cause::DpopReplayed);
    teller.request(
        "captured-proof-again",
        "send the captured request again, to approve request 2",
        expected,
        &seen,
    )?;

    let other_path = format!("{}/2", loot.approvals);
    let seen = loot
        .wire
        .send(sent(Method::POST, &other_path).json(decision.clone()))
        .await?;
    let expected = Expected::refused(Cause::DpopHtuMismatch);
    teller.request(
        "other-path",
        "use its proof on another path, /approvals/2",
        expected,
        &seen,
    )?;

    let seen = loot.wire.send(sent(Method::GET, loot.approvals)).await?;
    let expected = Expected::refused(Cause::DpopHtmMismatch);
    teller.request(
        "other-method",
        "use its proof with another method, GET",
        expected,
        &seen,
    )?;

    let other_host = format!("{}/v1/locks", stage.addresses.control_url());
    let seen = loot
        .wire
        .send(sent(Method::POST, &other_host).json(decision.clone()))
        .await?;
    let expected = Expected::refused(Cause::DpopHtuMismatch);
    teller.request(
        "other-host",
        "use its proof at another host, the control plane",
        expected,
        &seen,
    )?;

    let claimed = sent(Method::POST, loot.approvals)
        .json(decision.clone())
        .host("api.example.com");
    let seen = loot.wire.send(claimed).await?;
    let expected = Expected {
        status: 421,
        cause: Some(Cause::HostMisdirected),
    };
    teller.request(
        "claimed-host",
        "say another host in the Host header",
        expected,
        &seen,
    )?;

    let fresh = edited(loot.captured, |claims| {
        claims["jti"] = "never-seen-before".into()
    })?;
    let raw = Raw::new(Method::POST, loot.approvals)
        .token("DPoP", loot.token)
        .proof(fresh)
        .json(decision);
    let seen = loot.wire.send(raw).await?;
    let expected = Expected::refused(Cause::DpopSignatureInvalid);
    teller.request(
        "edited-proof",
        "edit the proof so that it looks unused",
        expected,
        &seen,
    )
}

/// The thief finds proofs of the agent that were never used.
async fn with_more_proofs(
    agent: &Agent,
    loot: &Loot<'_>,
    teller: &mut Teller,
) -> Result<(), Failure> {
    let get = |proof| {
        Raw::new(Method::GET, loot.approvals)
            .token("DPoP", loot.token)
            .proof(proof)
    };
    let old = agent.proof_of(300, &Method::GET, loot.approvals, loot.token)?;
    let seen = loot.wire.send(get(old)).await?;
    let expected = Expected::refused(Cause::DpopIatPast);
    teller.request(
        "old-proof",
        "use a proof the agent made five minutes ago and never sent",
        expected,
        &seen,
    )?;

    let other = agent.another_token().await?;
    let proof = agent.prove(&Method::GET, loot.approvals, other.expose())?;
    let seen = loot.wire.send(get(proof)).await?;
    let expected = Expected::refused(Cause::DpopAthMismatch);
    teller.request(
        "proof-for-another-token",
        "use a fresh proof the agent made for another of its tokens",
        expected,
        &seen,
    )
}

/// Revokes; answers with the moment the operator pressed the button.
async fn revoke(
    stage: &Stage<'_>,
    token_id: &str,
    teller: &mut Teller,
) -> Result<Instant, Failure> {
    let pressed = Instant::now();
    let document = json!({ "token_id": token_id, "reason": "found in a log" });
    let answer: Result<Value, Failure> = stage.operator.post("/v1/tokens/revoke", &document).await;
    let got = match &answer {
        Ok(_) => "revoked".to_owned(),
        Err(failure) => failure.message().to_owned(),
    };
    let tried = format!("the operator revokes {token_id} at the control plane");
    teller.step(
        "revoked",
        tried,
        ("revoked".to_owned(), got),
        None,
        answer.is_ok(),
    )?;
    Ok(pressed)
}

/// Even the owner, with the right key and fresh proofs, is refused.
async fn refused_at_the_gateway(
    agent: &Agent,
    loot: &Loot<'_>,
    pressed: Instant,
    teller: &mut Teller,
) -> Result<(), Failure> {
    let (seen, took) = loop {
        let proof = agent.prove(&Method::GET, loot.approvals, loot.token)?;
        let raw = Raw::new(Method::GET, loot.approvals)
            .token("DPoP", loot.token)
            .proof(proof);
        let seen: Seen = loot.wire.send(raw).await?;
        let took = pressed.elapsed();
        if seen.status != 200 || took > LOCK_REACHES_WITHIN * 5 {
            break (seen, took);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    let refused = Expected::refused(Cause::TokenRevoked);
    let is_refused =
        seen.status == refused.status && seen.cause.as_deref() == Some(Cause::TokenRevoked.id());
    let expected = format!(
        "401 {} within {} ms",
        Cause::TokenRevoked.id(),
        LOCK_REACHES_WITHIN.as_millis()
    );
    let cause = seen.cause.as_deref().unwrap_or("no cause");
    let got = format!(
        "{} {cause} after {:.0} ms",
        seen.status,
        took.as_secs_f64() * 1_000.0
    );
    let ok = is_refused && took <= LOCK_REACHES_WITHIN;
    let tried = "the agent itself sends a request with the right key and a fresh proof";
    teller.step("owner-refused", tried, (expected, got), seen.cause, ok)
}

/// Every attempt with the genuine token stands in the event log.
async fn event_log(stage: &Stage<'_>, token_id: &str, teller: &mut Teller) -> Result<(), Failure> {
    let wanted: Vec<(&str, String)> = teller
        .refusals()
        .filter(|(name, _)| !WITHOUT_A_GENUINE_TOKEN.contains(name))
        .map(|(name, cause)| (name, cause.to_owned()))
        .collect();
    let deadline = Instant::now() + EVENTS_ARRIVE_WITHIN;
    let missing = loop {
        let path = format!("/v1/events?after=0&limit=500&kind=request_refused&token_id={token_id}");
        let page: Value = stage.operator.get(&path).await?;
        let missing = not_recorded(&wanted, &page);
        if missing.is_empty() || Instant::now() > deadline {
            break missing;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let expected = format!("all {} attempts with the token", wanted.len());
    let got = if missing.is_empty() {
        expected.clone()
    } else {
        format!("missing: {}", missing.join(", "))
    };
    let ok = missing.is_empty();
    teller.step(
        "event-log",
        "look for the attempts in the event log",
        (expected, got),
        None,
        ok,
    )
}

/// The steps whose cause is missing from the log. Two steps with one cause need
/// two events.
fn not_recorded(wanted: &[(&str, String)], page: &Value) -> Vec<String> {
    let events = page
        .get("events")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let mut recorded: Vec<String> = events
        .iter()
        .filter_map(|event| {
            event
                .get("cause")
                .and_then(Value::as_str)
                .map(str::to_owned)
        })
        .collect();
    let mut missing = Vec::new();
    for (name, cause) in wanted {
        match recorded.iter().position(|found| found == cause) {
            Some(position) => drop(recorded.swap_remove(position)),
            None => missing.push(format!("{name} ({cause})")),
        }
    }
    missing
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap_or_default();
    let bytes = keybound_proto::base64url::decode(payload.as_bytes()).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// A changed token is no genuine one; a misdirected request is turned away
/// before its token is read; and control, which had never seen the token, does
/// not spend a signature check on it for a proof that fits another host. Such
/// attempts are counted, not attributed.
const WITHOUT_A_GENUINE_TOKEN: [&str; 3] = ["edited-token", "claimed-host", "other-host"];
/// What the product promises for a lock to reach every gate.
const LOCK_REACHES_WITHIN: Duration = Duration::from_secs(1);
const EVENTS_ARRIVE_WITHIN: Duration = Duration::from_secs(10);
