//! Registration (AS-15): RFC 7591.
//!
//! The registration the run began with is the control before, the one of the
//! second client the control after.

use keybound_holder::Secret;
use keybound_proto::Cause;
use keybound_proto::base64url;
use keybound_proto::uri::HttpUrl;
use serde_json::{Value, json};

use super::checks::AS_15;
use super::client::{Known, Wanted, client_key, document, register, registration};
use super::reply::Reply;
use super::site::Site;
use super::{Client, endpoints, identification};
use crate::check::{Case, Decision};
use crate::draft::{Draft, unique};
use crate::session::{Expect, Session};
use crate::verdict::{Severity, Verdict};

const NO_TOKEN: Case = Case::new(
    &AS_15,
    "token-absent",
    "a good registration without the initial access token",
    Cause::RegistrationTokenInvalid,
)
.severity(Severity::High);
const WRONG_TOKEN: Case = Case::new(
    &AS_15,
    "token-wrong",
    "a good registration with another initial access token",
    Cause::RegistrationTokenInvalid,
)
.severity(Severity::High);
const PRIVATE: Case = metadata_case(
    "key-private",
    "a registration whose `jwks` has the private member `d`",
);
const SYMMETRIC: Case = metadata_case(
    "key-symmetric",
    "a registration whose `jwks` has a symmetric key",
);
const NO_KEYS: Case = metadata_case(
    "keys-absent",
    "a registration for `private_key_jwt` without keys",
)
.severity(Severity::Low);
const BOTH: Case = metadata_case(
    "jwks-and-jwks-uri",
    "a registration with `jwks` and a `jwks_uri` on the server's own loopback address",
);
const NOT_JSON: Case =
    metadata_case("not-json", "a registration that is no JSON").severity(Severity::Note);

const fn metadata_case(name: &'static str, sent: &'static str) -> Case {
    Case::new(&AS_15, name, sent, Cause::RegistrationMetadata)
}

/// Asks, and says which second client there is afterwards: one with a secret where the server
/// has such clients.
pub(super) async fn ask(client: &Client, site: &Site, session: &mut Session<'_>) -> Option<Known> {
    let cases = [
        &NO_TOKEN,
        &WRONG_TOKEN,
        &PRIVATE,
        &SYMMETRIC,
        &NO_KEYS,
        &BOTH,
        &NOT_JSON,
    ];
    let endpoint = site.metadata.endpoint("registration_endpoint");
    let (Client::Register(initial), Some(endpoint)) = (client, endpoint) else {
        for case in cases {
            let reason = "the probe is a client already and registers none";
            session.conclude(case, Decision::not_applicable(reason));
        }
        return None;
    };
    let of_second = identification::BY_SECRET.iter().chain([&endpoints::OTHERS]);
    let mut wanted = cases.into_iter().chain(of_second);
    if wanted.all(|case| session.options.excludes(&case.id())) {
        return None;
    }
    let mut refusals = Vec::new();
    for (case, draft) in bad(&endpoint, initial.as_ref(), site) {
        if session.options.excludes(&case.id()) {
            continue;
        }
        let attempt = session.send(&draft, case.also, Expect::Refused).await;
        let decision = match Reply::of(&attempt) {
            Reply::Done(body) => {
                left_there(session, body.get("client_id").and_then(Value::as_str));
                Decision::of(Verdict::NotEnforced, "a client was registered")
            }
            Reply::Refused => Decision::of(
                Verdict::Enforced,
                "refused, while good registrations are served before and after",
            ),
            Reply::Unsent => Decision::not_applicable("nothing was sent"),
            Reply::Unclear(reason) => Decision::inconclusive(reason),
        };
        let decision = decision.got(attempt.got()).evidence(vec![attempt.exchange]);
        refusals.push((case, decision));
    }
    let second = second(site, session, initial.as_ref()).await;
    for (case, mut decision) in refusals {
        if second.is_none() && decision.verdict == Verdict::Enforced {
            decision.verdict = Verdict::Inconclusive;
            "the server refuses good registrations as well now".clone_into(&mut decision.reason);
        }
        session.conclude(case, decision);
    }
    if initial.is_none() {
        for case in [&NO_TOKEN, &WRONG_TOKEN] {
            let reason = "the server lets everybody register";
            session.conclude(case, Decision::not_applicable(reason));
        }
    }
    second
}

/// A good registration after the bad ones, which is the control.
async fn second(site: &Site, session: &mut Session<'_>, initial: Option<&Secret>) -> Option<Known> {
    let member = "token_endpoint_auth_methods_supported";
    // RFC 8414 section 2: without a list, the method is `client_secret_basic`.
    let wanted = match site.metadata.lists(member, "client_secret_basic") {
        Some(false) => Wanted::Key,
        Some(true) | None => Wanted::Secret,
    };
    let scope = site.scope.as_deref();
    let made = register(session, &site.metadata, initial, wanted, scope).await;
    if let Ok(client) = &made
        && !session.options.dry_run
    {
        left_there(session, Some(&client.id));
    }
    made.ok()
}

/// Says that there is a client more at the server now.
fn left_there(session: &mut Session<'_>, id: Option<&str>) {
    let id = crate::draft::printable(id.unwrap_or("of unknown id").as_bytes());
    session.warnings.push(format!(
        "a further client `{id}` was registered for this run and is left there"
    ));
}

/// The bad registrations, each with one defect.
fn bad(endpoint: &HttpUrl, initial: Option<&Secret>, site: &Site) -> Vec<(&'static Case, Draft)> {
    let Ok(key) = client_key(&site.metadata) else {
        return Vec::new();
    };
    let good = || document(Some(&key), site.scope.as_deref());
    let with = |document: &Value| registration(endpoint, initial, document);
    let mut drafts: Vec<(&'static Case, Draft)> = Vec::new();
    if initial.is_some() {
        let wrong = Secret::new(unique());
        drafts.push((&NO_TOKEN, registration(endpoint, None, &good())));
        drafts.push((&WRONG_TOKEN, registration(endpoint, Some(&wrong), &good())));
    }
    let made_up = base64url::encode(&[7; 32]);
    let mut private = good();
    if let Some(Value::Object(jwk)) = private.pointer_mut("/jwks/keys/0") {
        jwk.insert("d".to_owned(), json!(made_up));
    }
    drafts.push((&PRIVATE, with(&private)));
    let mut symmetric = good();
    if let Some(jwk) = symmetric.pointer_mut("/jwks/keys/0") {
        *jwk = json!({"kty": "oct", "k": made_up});
    }
    drafts.push((&SYMMETRIC, with(&symmetric)));
    let mut keyless = good();
    if let Some(members) = keyless.as_object_mut() {
        members.remove("jwks");
    }
    drafts.push((&NO_KEYS, with(&keyless)));
    let mut both = good();
    if let Some(members) = both.as_object_mut() {
        members.insert("jwks_uri".to_owned(), json!("http://127.0.0.1:9/jwks"));
    }
    drafts.push((&BOTH, with(&both)));
    let mut text = with(&good());
    text.body = bytes::Bytes::from_static(b"client_name=keybound+probe");
    drafts.push((&NOT_JSON, text));
    drafts
}
