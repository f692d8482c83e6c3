//! Client authentication beside the assertion itself (AS-13).

use keybound_holder::Secret;
use keybound_proto::Cause;

use super::checks::AS_13;
use super::client::{Authentication, Known, basic, client_key};
use super::site::Site;
use crate::check::{Case, Decision};
use crate::draft::{Draft, unique};
use crate::session::{Moment, Session};
use crate::verdict::Severity;

const ABSENT: Case = Case::new(
    &AS_13,
    "absent",
    "a good token request without client authentication",
    Cause::ClientAuthenticationAbsent,
);
const ID_ONLY: Case = Case::new(
    &AS_13,
    "id-only",
    "a good token request with `client_id` in place of client authentication",
    Cause::ClientAuthenticationAbsent,
);
const UNKNOWN: Case = Case::new(
    &AS_13,
    "unknown-client",
    "a good token request of a client that does not exist",
    Cause::ClientUnknown,
);
const TWO: Case = Case::new(
    &AS_13,
    "two-methods",
    "a good client assertion and a client secret in one request",
    Cause::ClientAuthenticationMultiple,
)
.severity(Severity::Low);
const OTHER_METHOD: Case = Case::new(
    &AS_13,
    "other-method",
    "the client by another method than it is registered for",
    Cause::ClientAuthenticationMethod,
);
const POST: Case = Case::new(
    &AS_13,
    "secret-in-body",
    "the right secret in the body, for a client registered for the Authorization field",
    Cause::ClientAuthenticationMethod,
)
.severity(Severity::Low);
const WRONG_SECRET: Case = Case::new(
    &AS_13,
    "wrong-secret",
    "the client with a secret that is not its own",
    Cause::ClientSecretMismatch,
);
const TRUNCATED: Case = Case::new(
    &AS_13,
    "secret-truncated",
    "the client with its secret but for the last character",
    Cause::ClientSecretMismatch,
);
const LOOSE: Case = Case::new(
    &AS_13,
    "basic-malformed",
    "the right secret, with characters after it that Base64 does not have",
    Cause::AuthorizationMalformed,
)
.severity(Severity::Low);
const TWO_FIELDS: Case = Case::new(
    &AS_13,
    "two-fields",
    "two Authorization fields, the second with a wrong secret",
    Cause::AuthorizationMultiple,
)
.severity(Severity::Low);

/// The cases that need a client with a secret.
pub(super) const BY_SECRET: &[Case] = &[WRONG_SECRET, TRUNCATED, LOOSE, TWO_FIELDS, POST];

/// `second` is a client that authenticates by secret, where the run's own does not.
pub(super) async fn ask(site: &Site, session: &mut Session<'_>, second: Option<&Known>) {
    session.must_refuse(&ABSENT, |draft, _| bare(draft)).await;
    session
        .must_refuse(&ID_ONLY, |draft, _| {
            bare(draft);
            draft.on_form(|form| form.add("client_id", &site.client.id));
        })
        .await;
    session
        .must_refuse(&UNKNOWN, |draft, moment| {
            let nobody = Known {
                id: unique(),
                authentication: site.client.authentication.clone(),
                said_bound: None,
            };
            bare(draft);
            nobody.authenticate(draft, &site.audience, moment.now);
        })
        .await;
    methods(site, session).await;
    match with_secret(&site.client).or_else(|| second.and_then(with_secret)) {
        Some((client, secret)) => secrets(site, session, client, secret).await,
        None => {
            for case in BY_SECRET {
                let reason = "needs a client that authenticates by secret";
                session.conclude(case, Decision::not_applicable(reason));
            }
        }
    }
}

fn with_secret(client: &Known) -> Option<(&Known, &Secret)> {
    match &client.authentication {
        Authentication::Key(..) => None,
        Authentication::Secret(secret) => Some((client, secret)),
    }
}

async fn methods(site: &Site, session: &mut Session<'_>) {
    let made_up = unique();
    match &site.client.authentication {
        Authentication::Key(..) => {
            session
                .must_refuse(&TWO, |draft, _| {
                    draft.credentials = vec![basic(&site.client.id, &made_up)];
                })
                .await;
            session
                .must_refuse(&OTHER_METHOD, |draft, _| {
                    bare(draft);
                    draft.credentials = vec![basic(&site.client.id, &made_up)];
                })
                .await;
        }
        Authentication::Secret(secret) => {
            session
                .must_refuse(&TWO, |draft, _| {
                    draft.on_form(|form| {
                        form.add("client_id", &site.client.id);
                        form.add("client_secret", secret.expose());
                    });
                })
                .await;
            let Ok(key) = client_key(&site.metadata) else {
                return;
            };
            let by_key = Known {
                id: site.client.id.clone(),
                authentication: Authentication::Key(key, None),
                said_bound: None,
            };
            session
                .must_refuse(&OTHER_METHOD, |draft, moment| {
                    bare(draft);
                    by_key.authenticate(draft, &site.audience, moment.now);
                })
                .await;
        }
    }
}

/// A client with a secret; another one than the run's own is asked for a token first.
async fn secrets(site: &Site, session: &mut Session<'_>, client: &Known, secret: &Secret) {
    let as_client = |draft: &mut Draft, moment: &Moment| {
        bare(draft);
        client.authenticate(draft, &site.audience, moment.now);
    };
    let right = secret.expose();
    let mut shorter = right.to_owned();
    shorter.pop();
    let wrong = unique();
    for (case, other) in [(&WRONG_SECRET, &wrong), (&TRUNCATED, &shorter)] {
        must_refuse_as(case, session, &as_client, |draft| {
            draft.credentials = vec![basic(&client.id, other)];
        })
        .await;
    }
    must_refuse_as(&LOOSE, session, &as_client, |draft| {
        for credential in &mut draft.credentials {
            credential.token.push('!');
        }
    })
    .await;
    must_refuse_as(&TWO_FIELDS, session, &as_client, |draft| {
        draft.credentials.push(basic(&client.id, &wrong));
    })
    .await;
    must_refuse_as(&POST, session, &as_client, |draft| {
        bare(draft);
        draft.on_form(|form| {
            form.add("client_id", &client.id);
            form.add("client_secret", right);
        });
    })
    .await;
}

/// A defect of a request of another client, which is served without it.
async fn must_refuse_as(
    case: &Case,
    session: &mut Session<'_>,
    client: &(impl Fn(&mut Draft, &Moment) + Send + Sync),
    defect: impl Fn(&mut Draft) + Send + Sync,
) {
    let now = session.moment();
    session
        .must_refuse_beside(case, |draft| client(draft, &now), |draft, _| defect(draft))
        .await;
}

/// Takes the client authentication out.
fn bare(draft: &mut Draft) {
    draft.credentials.clear();
    draft.on_form(|form| {
        form.assertion = None;
        form.remove("client_assertion_type");
    });
}
