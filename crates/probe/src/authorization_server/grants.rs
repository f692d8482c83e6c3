//! Grants beside `client_credentials`: refresh (AS-05), a pushed authorization
//! request (AS-06), and grants that turn one token into another (AS-07).
//!
//! Each is asked where the server and the client have it: a good request of
//! the grant is the control, and without it nothing is concluded.

use keybound_holder::Secret;

use super::checks::{AS_05, AS_06, AS_07};
use super::reply::{Issued, Reply};
use super::site::{Site, token};
use crate::answer::Outcome;
use crate::check::{Case, Decision};
use crate::draft::{Draft, Form, ProofLines, unique};
use crate::proof_cases::Strangers;
use crate::session::{Attempt, Expect, Moment, Session};
use crate::verdict::{Severity, Verdict};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ASSERTION: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

const REFRESH_WITHOUT_PROOF: Case = Case::without_cause(
    &AS_05,
    "without-proof",
    "a refresh by the client without a proof",
);
const REFRESH_OTHER_KEY: Case = Case::without_cause(
    &AS_05,
    "other-key",
    "a refresh by the client with a proof by another key",
);
const REFRESH_WITHOUT_CLIENT: Case = Case::without_cause(
    &AS_05,
    "without-client",
    "a refresh with the right proof and without client authentication",
)
.severity(Severity::Critical);
const PUSHED: Case = Case::without_cause(
    &AS_06,
    "pushed-other-key",
    "a pushed authorization request whose `dpop_jkt` is another key's than its proof's",
);
const EXCHANGED: Case = Case::without_cause(
    &AS_07,
    "token-exchange",
    "token exchange of a bound token without a proof",
);
const ASSERTED: Case = Case::without_cause(
    &AS_07,
    "jwt-bearer",
    "the grant `jwt-bearer` with a bound token as assertion, without a proof",
);

/// What a case of these grants is asked with.
pub(super) struct Given<'a> {
    /// A refresh token of the client, from a code or device flow.
    pub(super) refresh_token: Option<&'a Secret>,
    /// A registered redirect URI of the client.
    pub(super) redirect_uri: Option<&'a str>,
}

pub(super) async fn ask(
    site: &Site,
    session: &mut Session<'_>,
    strangers: &Strangers,
    (given, first): (&Given<'_>, Option<&Issued>),
) {
    let own = first.and_then(|issued| issued.refresh_token.as_ref());
    match own.or(given.refresh_token) {
        Some(token) => refresh(site, session, strangers, token.clone()).await,
        None => {
            let reason = "the server gives no refresh token for this grant, and none was given";
            for case in [
                &REFRESH_WITHOUT_PROOF,
                &REFRESH_OTHER_KEY,
                &REFRESH_WITHOUT_CLIENT,
            ] {
                session.conclude(case, Decision::not_applicable(reason));
            }
        }
    }
    pushed(site, session, strangers, given.redirect_uri).await;
    exchanged(&EXCHANGED, EXCHANGE, site, session, first).await;
    exchanged(&ASSERTED, ASSERTION, site, session, first).await;
}

/// A request of another grant, good in every respect.
fn good(site: &Site, parameters: &[(&str, &str)], moment: &Moment) -> Draft {
    let mut form = Form::default();
    for (name, value) in parameters {
        form.add(name, value);
    }
    site.with_proof(&site.client, &site.key, form, moment)
}

async fn refresh(
    site: &Site,
    session: &mut Session<'_>,
    strangers: &Strangers,
    refresh_token: Secret,
) {
    let mut current = refresh_token;
    let stranger = &strangers.key;
    type Change<'c> = &'c (dyn Fn(&mut Draft) + Send + Sync);
    let without_proof: Change<'_> = &|draft| draft.proof_lines = ProofLines::None;
    let other_key: Change<'_> = &|draft| draft.on_proof(|proof| proof.of_key(stranger));
    let without_client: Change<'_> = &|draft| {
        draft.credentials.clear();
        draft.on_form(|form| {
            form.assertion = None;
            form.remove("client_assertion_type");
            form.add("client_id", &site.client.id);
        });
    };
    let theirs = stranger.public_key().thumbprint().to_string();
    type Judge<'j> = &'j (dyn Fn(&Issued) -> Decision + Send + Sync);
    let bound: Judge<'_> = &still_bound;
    let rebound: Judge<'_> = &|issued| match issued.jkt() {
        Some(jkt) if jkt == theirs => Decision::of(
            Verdict::Enforced,
            "bound to the key of the new proof: the client's authentication holds the refresh token",
        ),
        Some(_) => Decision::of(Verdict::NotEnforced, "bound to a key that was not proven"),
        None => still_bound(issued),
    };
    let any: Judge<'_> = &|_| {
        Decision::of(
            Verdict::NotEnforced,
            "a token was issued to an unknown client",
        )
    };
    for (case, change, judge) in [
        (&REFRESH_WITHOUT_PROOF, without_proof, bound),
        (&REFRESH_OTHER_KEY, other_key, rebound),
        (&REFRESH_WITHOUT_CLIENT, without_client, any),
    ] {
        if session.options.excludes(&case.id()) {
            continue;
        }
        // Servers that rotate refresh tokens take each once.
        if let Err(attempt) = refreshed(site, session, &mut current, &|_| {}).await {
            let reason = "the client's refresh token is not taken";
            session.conclude(case, Decision::not_applicable(reason).got(attempt.got()));
            continue;
        }
        let decision = match refreshed(site, session, &mut current, change).await {
            Ok(Some(issued)) => judge(&issued),
            Ok(None) => Decision::not_applicable("nothing was sent"),
            Err(attempt) if attempt.outcome == Outcome::Refused => {
                match refreshed(site, session, &mut current, &|_| {}).await {
                    Ok(_) => refused(),
                    Err(_) => Decision::inconclusive("good refreshes are refused as well now"),
                }
                .got(attempt.got())
            }
            Err(attempt) => Decision::inconclusive("no answer that decides").got(attempt.got()),
        };
        session.conclude(case, decision);
    }
}

async fn refreshed(
    site: &Site,
    session: &mut Session<'_>,
    current: &mut Secret,
    change: &(dyn Fn(&mut Draft) + Send + Sync),
) -> Result<Option<Issued>, Box<Attempt>> {
    let refresh_token = current.clone();
    let issued = token(session, |moment| {
        let parameters = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose()),
        ];
        let mut draft = good(site, &parameters, moment);
        change(&mut draft);
        draft
    })
    .await?;
    if let Some(next) = issued
        .as_ref()
        .and_then(|issued| issued.refresh_token.clone())
    {
        *current = next;
    }
    Ok(issued)
}

fn still_bound(issued: &Issued) -> Decision {
    if issued.is_bound() {
        Decision::of(Verdict::Enforced, "what is issued is still bound")
    } else {
        Decision::of(Verdict::NotEnforced, "what is issued is bound to nothing")
    }
}

fn refused() -> Decision {
    Decision::of(
        Verdict::Enforced,
        "refused, while the same request without the defect is served before and after",
    )
}

async fn pushed(
    site: &Site,
    session: &mut Session<'_>,
    strangers: &Strangers,
    redirect_uri: Option<&str>,
) {
    if session.options.excludes(&PUSHED.id()) {
        return;
    }
    let endpoint = site
        .metadata
        .endpoint("pushed_authorization_request_endpoint");
    let (endpoint, redirect_uri) = match (endpoint, redirect_uri) {
        (None, _) => {
            let reason = "the metadata names no endpoint for pushed requests";
            session.conclude(&PUSHED, Decision::not_applicable(reason));
            return;
        }
        (Some(_), None) => {
            let reason = "needs a client with a redirect URI";
            session.conclude(&PUSHED, Decision::not_applicable(reason));
            return;
        }
        (Some(endpoint), Some(redirect_uri)) => (endpoint, redirect_uri),
    };
    let draft = |jkt: &str, moment: &Moment| {
        let parameters = [
            ("response_type", "code"),
            ("client_id", site.client.id.as_str()),
            ("redirect_uri", redirect_uri),
            ("code_challenge_method", "S256"),
            ("dpop_jkt", jkt),
        ];
        let mut draft = good(site, &parameters, moment);
        // 43 characters that no verifier hashes to: the request is never carried further.
        draft.on_form(|form| form.add("code_challenge", &format!("{:A<43}", unique())));
        draft.url = endpoint.clone();
        draft.on_proof(|proof| proof.claim("htu", endpoint.without_query()));
        draft
    };
    let own = site.jkt();
    let theirs = strangers.key.public_key().thumbprint().to_string();
    let mut replies = Vec::new();
    for jkt in [&own, &theirs, &own] {
        let request = draft(jkt, &session.moment());
        let attempt = session.send(&request, &[], Expect::Served).await;
        replies.push((Reply::of(&attempt), attempt.got()));
    }
    let got = replies.get(1).map(|(_, got)| got.clone());
    let mut replies = replies.into_iter();
    let mut next = || replies.next().map_or(Reply::Unsent, |(reply, _)| reply);
    let decision = match (next(), next(), next()) {
        (Reply::Done(_), Reply::Done(_), _) => Decision::of(
            Verdict::NotEnforced,
            "the request was taken: the code will be bound to a key that was not proven",
        ),
        (Reply::Done(_), Reply::Refused, Reply::Done(_)) => refused(),
        (Reply::Unsent, ..) => Decision::not_applicable("nothing was sent"),
        (Reply::Refused, ..) => {
            Decision::not_applicable("the client may not push authorization requests")
        }
        _ => Decision::inconclusive("good pushed requests are not always taken"),
    };
    session.conclude(&PUSHED, decision.got(got.unwrap_or_default()));
}

async fn exchanged(
    case: &Case,
    grant: &str,
    site: &Site,
    session: &mut Session<'_>,
    first: Option<&Issued>,
) {
    if session.options.excludes(&case.id()) {
        return;
    }
    let listed = site.metadata.lists("grant_types_supported", grant);
    let (Some(first), Some(true)) = (first, listed) else {
        let reason = "the metadata does not name the grant";
        session.conclude(case, Decision::not_applicable(reason));
        return;
    };
    let subject = first.token.expose();
    let mut parameters = vec![("grant_type", grant)];
    if grant == EXCHANGE {
        parameters.push(("subject_token", subject));
        parameters.push(("subject_token_type", ACCESS_TOKEN));
    } else {
        parameters.push(("assertion", subject));
    }
    if let Some(resource) = &site.resource {
        parameters.push((site.resource_parameter, resource));
    }
    let with_proof = |moment: &Moment| good(site, &parameters, moment);
    if let Err(attempt) = token(session, with_proof).await {
        let reason = "the client may not use the grant with its own token";
        session.conclude(case, Decision::not_applicable(reason).got(attempt.got()));
        return;
    }
    let without = |moment: &Moment| {
        let mut draft = good(site, &parameters, moment);
        draft.proof_lines = ProofLines::None;
        draft
    };
    let decision = match token(session, without).await {
        Ok(Some(issued)) => still_bound(&issued),
        Ok(None) => Decision::not_applicable("nothing was sent"),
        Err(attempt) if attempt.outcome == Outcome::Refused => {
            match token(session, with_proof).await {
                Ok(_) => refused(),
                Err(_) => Decision::inconclusive("good requests are refused as well now"),
            }
            .got(attempt.got())
        }
        Err(attempt) => Decision::inconclusive("no answer that decides").got(attempt.got()),
    };
    session.conclude(case, decision);
}
