//! Parameters of token requests (AS-14).

use http::Method;
use keybound_proto::Cause;
use keybound_proto::uri::HttpUrl;

use super::checks::AS_14;
use super::client::Known;
use super::reply::{Issued, Reply};
use super::site::{Site, token};
use crate::answer::Outcome;
use crate::check::{Case, Decision};
use crate::draft::{Draft, form_encoded};
use crate::session::Session;
use crate::verdict::{Severity, Verdict};

const UNKNOWN_GRANT: Case = Case::new(
    &AS_14,
    "grant-unknown",
    "a grant type nobody knows",
    Cause::GrantUnsupported,
);
const NO_GRANT: Case = Case::new(
    &AS_14,
    "grant-absent",
    "no grant type",
    Cause::GrantUnsupported,
);
const NOT_ALLOWED: Case = Case::new(
    &AS_14,
    "grant-not-allowed",
    "a good token request of a client that may not use the grant",
    Cause::ClientGrantRefused,
)
.severity(Severity::High);
const TWICE: Case = Case::new(
    &AS_14,
    "parameter-twice",
    "`grant_type` twice",
    Cause::ParameterInvalid,
)
.severity(Severity::Low);
const QUERY: Case = Case::new(
    &AS_14,
    "query",
    "the parameters, client authentication among them, in the query instead of the body",
    Cause::ParameterInvalid,
);
const GET: Case = Case::new(
    &AS_14,
    "get",
    "the token request with GET, its parameters in the query",
    Cause::MethodNotAllowed,
)
.also(&[404, 405, 501]);
const RESOURCE: Case = Case::new(
    &AS_14,
    "resource-unknown",
    "a resource nobody knows",
    Cause::ResourceInvalid,
);
const SCOPE: Case = Case::new(
    &AS_14,
    "scope-beyond",
    "a scope nobody may have",
    Cause::ScopeInvalid,
);

/// No scope and no resource of anybody.
const NOBODYS_SCOPE: &str = "keybound-probe.unknown";
const NOBODYS_RESOURCE: &str = "https://unknown.example/keybound-probe";

/// `without_grant` is a client that may not use `client_credentials`; `first` a good token.
pub(super) async fn ask(
    site: &Site,
    session: &mut Session<'_>,
    without_grant: Option<&Known>,
    first: Option<&Issued>,
) {
    session
        .must_refuse(&UNKNOWN_GRANT, |draft, _| {
            draft.on_form(|form| form.set("grant_type", "urn:example:keybound-probe:unknown"));
        })
        .await;
    session
        .must_refuse(&NO_GRANT, |draft, _| {
            draft.on_form(|form| form.remove("grant_type"));
        })
        .await;
    session
        .must_refuse(&TWICE, |draft, _| {
            draft.on_form(|form| form.add("grant_type", "client_credentials"));
        })
        .await;
    session
        .must_refuse(&QUERY, |draft, _| into_query(draft))
        .await;
    session
        .must_refuse(&GET, |draft, _| {
            into_query(draft);
            draft.method = Method::GET;
            draft.form = None;
            draft.on_proof(|proof| proof.claim("htm", "GET"));
        })
        .await;
    not_allowed(site, session, without_grant).await;
    resource(session, first).await;
    scope(session).await;
}

/// Moves the parameters from the body to the query. The proof stays good: `htu` has no query.
fn into_query(draft: &mut Draft) {
    let mut pairs = Vec::new();
    draft.on_form(|form| {
        pairs = std::mem::take(&mut form.parameters);
        if let Some(assertion) = form.assertion.take() {
            let text = assertion.seal().unwrap_or_default();
            pairs.push(("client_assertion".to_owned(), text));
        }
    });
    let query: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", form_encoded(name), form_encoded(value)))
        .collect();
    let url = format!("{}?{}", draft.url.without_query(), query.join("&"));
    if let Ok(url) = HttpUrl::parse(&url) {
        draft.url = url;
    }
}

async fn not_allowed(site: &Site, session: &mut Session<'_>, client: Option<&Known>) {
    if session.options.excludes(&NOT_ALLOWED.id()) {
        return;
    }
    let Some(client) = client else {
        let reason = "needs a client that may not use `client_credentials`";
        session.conclude(&NOT_ALLOWED, Decision::not_applicable(reason));
        return;
    };
    // That it is known shows where it needs no grant.
    if let Some(endpoint) = site.metadata.endpoint("introspection_endpoint") {
        let nothing = [("token", "nothing")];
        let (reply, attempt) = site.ask(session, &endpoint, client, &nothing).await;
        if !matches!(reply, Reply::Done(_) | Reply::Unsent) {
            let reason = "the client without the grant cannot authenticate elsewhere either";
            session.conclude(
                &NOT_ALLOWED,
                Decision::inconclusive(reason).got(attempt.got()),
            );
            return;
        }
    }
    session
        .must_refuse(&NOT_ALLOWED, |draft, moment| {
            draft.credentials.clear();
            client.authenticate(draft, &site.audience, moment.now);
        })
        .await;
}

/// RFC 8707 section 2: a resource that cannot be served is refused, not passed over. A server
/// that knows no resources at all passes over every one.
async fn resource(session: &mut Session<'_>, first: Option<&Issued>) {
    let honoured = |issued: &Issued, asked: &str| {
        let audience = issued.audience();
        audience.is_some_and(|audience| audience.contains(&asked))
    };
    let asked = session.good().form.and_then(|form| {
        let found = form
            .parameters
            .into_iter()
            .find(|(name, _)| name == "resource");
        found.map(|(_, value)| value)
    });
    let knows = matches!((first, &asked), (Some(first), Some(asked)) if honoured(first, asked));
    let judge = |issued: &Issued| {
        if knows || honoured(issued, NOBODYS_RESOURCE) {
            Decision::of(Verdict::NotEnforced, "a token was issued nevertheless")
        } else {
            Decision::not_applicable("the server does not look at `resource`")
        }
    };
    with_parameter(&RESOURCE, session, ("resource", NOBODYS_RESOURCE), judge).await;
}

/// RFC 6749 section 3.3: a server may give less than was asked for, and then says what it gave, in the
/// answer or at least in the token.
async fn scope(session: &mut Session<'_>) {
    let in_token = |issued: &Issued| {
        let claims = issued.claims.as_ref()?;
        let scope = claims.get("scope").and_then(serde_json::Value::as_str);
        Some(scope.unwrap_or_default().to_owned())
    };
    let judge = |issued: &Issued| match &issued.scope.clone().or_else(|| in_token(issued)) {
        None => Decision::of(
            Verdict::NotEnforced,
            "a token was issued, and the answer names no other scope than the one asked for",
        ),
        Some(scope) if scope.split(' ').any(|one| one == NOBODYS_SCOPE) => {
            Decision::of(Verdict::NotEnforced, "the scope was granted")
        }
        Some(scope) if !scope.trim().is_empty() => Decision::of(
            Verdict::NotEnforced,
            "a token was issued with scopes that were not asked for",
        ),
        Some(_) => Decision::of(Verdict::Enforced, "a token without any scope was issued"),
    };
    with_parameter(&SCOPE, session, ("scope", NOBODYS_SCOPE), judge).await;
}

/// A good request with another value of one parameter; `judge` decides when a token is issued.
async fn with_parameter(
    case: &Case,
    session: &mut Session<'_>,
    (name, value): (&str, &str),
    judge: impl Fn(&Issued) -> Decision,
) {
    if session.options.excludes(&case.id()) {
        return;
    }
    if let Some(decision) = session.before().await {
        session.conclude(case, decision);
        return;
    }
    let mut draft = session.good();
    draft.on_form(|form| form.set(name, value));
    let decision = match token(session, |_| draft.clone()).await {
        Ok(None) => Decision::not_applicable("nothing was sent"),
        Ok(Some(issued)) => judge(&issued),
        Err(attempt) => match &attempt.outcome {
            Outcome::Refused => match session.before().await {
                None => Decision::of(
                    Verdict::Enforced,
                    "refused, while the same request without it is served before and after",
                ),
                Some(decision) => decision,
            },
            Outcome::Unclear(reason) => Decision::inconclusive(reason.to_string()),
            Outcome::Served | Outcome::NonceWanted(_) => {
                Decision::inconclusive("no answer that decides")
            }
        }
        .got(attempt.got())
        .evidence(vec![attempt.exchange]),
    };
    session.conclude(case, decision);
}
