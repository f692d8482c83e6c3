//! Signed requests: what the signature covers, how long it is good, and by whom (SG-01 to SG-03).

use std::sync::Arc;

use bytes::Bytes;
use keybound_proto::jose::Signer;

use super::{Made, SignatureProfile, Signatures};
use crate::check::{Case, Decision};
use crate::draft::Draft;
use crate::resource_server::checks;
use crate::resource_server::{ResourceServer, twice};
use crate::session::{Expect, Moment, Session};
use crate::verdict::{Severity, Verdict};

/// A case that changes the signatures of a good request.
struct SignatureDefect {
    case: Case,
    /// Only where one of these components is covered; empty for always.
    covers: &'static [&'static str],
    change: fn(&mut Signatures, &Moment, &Arc<dyn Signer>),
}

const fn defect(
    case: Case,
    covers: &'static [&'static str],
    change: fn(&mut Signatures, &Moment, &Arc<dyn Signer>),
) -> SignatureDefect {
    SignatureDefect {
        case,
        covers,
        change,
    }
}

const TARGET: &[&str] = &["@target-uri", "@path", "@request-target"];
const QUERY: &[&str] = &["@target-uri", "@query", "@request-target"];

const REPLAYED: Case = Case::without_cause(
    &checks::SG_02,
    "replayed",
    "a served request again, byte by byte",
);
const NONCE_REUSED: Case = Case::without_cause(
    &checks::SG_02,
    "nonce-reused",
    "another signature with the `nonce` of a served one",
);
const BODY: Case = Case::without_cause(
    &checks::SG_01,
    "body-changed",
    "another body under the digest and signature of the first",
);

static DEFECTS: &[SignatureDefect] = &[
    defect(
        Case::without_cause(&checks::SG_01, "absent", "no signature at all"),
        &[],
        |signatures, _, _| signatures.drafts.clear(),
    ),
    defect(
        Case::without_cause(
            &checks::SG_01,
            "method-uncovered",
            "a signature that does not cover the method",
        ),
        &["@method"],
        |signatures, _, _| without(signatures, &["@method"]),
    ),
    defect(
        Case::without_cause(
            &checks::SG_01,
            "target-uncovered",
            "a signature that does not cover path and query",
        ),
        TARGET,
        |signatures, _, _| {
            without(
                signatures,
                &["@target-uri", "@request-target", "@path", "@query"],
            );
        },
    ),
    defect(
        Case::without_cause(
            &checks::SG_01,
            "query-uncovered",
            "a signature that covers the path and not the query",
        ),
        QUERY,
        |signatures, _, _| {
            without(signatures, &["@target-uri", "@request-target", "@query"]);
            signatures.on_first(|draft| {
                if !draft.components.iter().any(|name| name == "@path") {
                    draft.components.insert(0, "@path".to_owned());
                }
            });
        },
    ),
    defect(
        Case::without_cause(
            &checks::SG_01,
            "authorization-uncovered",
            "a signature that does not cover the token",
        ),
        &["authorization"],
        |signatures, _, _| without(signatures, &["authorization"]),
    ),
    defect(
        Case::without_cause(
            &checks::SG_01,
            "digest-uncovered",
            "a signature that does not cover the digest of the body",
        ),
        &["content-digest"],
        |signatures, _, _| without(signatures, &["content-digest"]),
    ),
    defect(
        Case::without_cause(
            &checks::SG_01,
            "method-other",
            "a signature over another method",
        ),
        &["@method"],
        |signatures, _, _| signatures.on_first(|draft| draft.method = Some(http::Method::PATCH)),
    ),
    defect(
        Case::without_cause(&checks::SG_01, "path-other", "a signature over another path"),
        TARGET,
        |signatures, _, _| signatures.on_first(|draft| draft.path = Some("/other".to_owned())),
    ),
    defect(
        Case::without_cause(
            &checks::SG_02,
            "created-old",
            "a signature that was created an hour ago",
        ),
        &[],
        |signatures, moment, _| created(signatures, moment.now.minus(3600).as_secs()),
    ),
    defect(
        Case::without_cause(
            &checks::SG_02,
            "created-future",
            "a signature that will be created in an hour",
        ),
        &[],
        |signatures, moment, _| created(signatures, moment.now.plus(3600).as_secs()),
    ),
    defect(
        Case::without_cause(
            &checks::SG_02,
            "created-absent",
            "a signature without `created`",
        ),
        &[],
        |signatures, _, _| signatures.on_first(|draft| draft.created = None),
    ),
    defect(
        Case::without_cause(
            &checks::SG_02,
            "expired",
            "a signature created twenty seconds ago that expired ten seconds ago",
        ),
        &[],
        |signatures, moment, _| {
            signatures.on_first(|draft| {
                draft.created = Some(moment.now.minus(20).as_secs());
                draft.expires = Some(moment.now.minus(10).as_secs());
            });
        },
    ),
    defect(
        Case::without_cause(
            &checks::SG_03,
            "other-key",
            "a signature by another key",
        ),
        &[],
        |signatures, _, stranger| signatures.on_first(|draft| draft.signer = Arc::clone(stranger)),
    ),
    defect(
        Case::without_cause(
            &checks::SG_03,
            "signature-flipped",
            "a signature with one bit flipped",
        ),
        &[],
        |signatures, _, _| signatures.on_first(|draft| draft.made = Made::Flipped),
    ),
    defect(
        Case::without_cause(
            &checks::SG_03,
            "hmac-public-key",
            "an HMAC keyed with the public key, and `alg` `hmac-sha256`",
        ),
        &[],
        |signatures, _, _| {
            signatures.on_first(|draft| {
                draft.made = Made::HmacOfPublicKey;
                draft.algorithm = Some("hmac-sha256".to_owned());
            });
        },
    ),
    defect(
        Case::without_cause(
            &checks::SG_03,
            "alg-other",
            "a good signature whose `alg` is not that of its key",
        )
        .severity(Severity::Medium),
        &[],
        |signatures, _, _| {
            signatures.on_first(|draft| draft.algorithm = Some("rsa-pss-sha512".to_owned()));
        },
    ),
    defect(
        Case::without_cause(
            &checks::SG_03,
            "label-other",
            "a signature whose label is not the one of its parameters",
        )
        .severity(Severity::Medium),
        &[],
        |signatures, _, _| signatures.label = Some("other".to_owned()),
    ),
    defect(
        Case::without_cause(
            &checks::SG_03,
            "label-twice",
            "a stranger's signature that covers nothing, and a good one, under one label",
        )
        .severity(Severity::Medium),
        &[],
        |signatures, _, stranger| with_stranger(signatures, stranger, false),
    ),
    defect(
        Case::without_cause(
            &checks::SG_03,
            "two-signatures",
            "a stranger's signature that covers nothing under the good one's label, and the good one \
             under another",
        )
        .severity(Severity::Medium),
        &[],
        |signatures, _, stranger| with_stranger(signatures, stranger, true),
    ),
];

fn without(signatures: &mut Signatures, names: &[&str]) {
    signatures.on_first(|draft| {
        draft
            .components
            .retain(|name| !names.contains(&name.as_str()))
    });
}

/// Moves `created`, and `expires` with it.
fn created(signatures: &mut Signatures, seconds: u64) {
    signatures.on_first(|draft| {
        let lifetime = draft
            .expires
            .zip(draft.created)
            .map(|(expires, created)| expires.saturating_sub(created));
        draft.created = Some(seconds);
        draft.expires = lifetime.map(|lifetime| seconds.saturating_add(lifetime));
    });
}

fn with_stranger(signatures: &mut Signatures, stranger: &Arc<dyn Signer>, moved: bool) {
    let Some(mut foreign) = signatures.drafts.first().cloned() else {
        return;
    };
    foreign.signer = Arc::clone(stranger);
    foreign.components.clear();
    if moved {
        signatures.on_first(|draft| draft.label = format!("{}-other", draft.label));
    }
    signatures.drafts.insert(0, foreign);
}

/// Asks what a target that takes signed requests makes of bad ones.
pub(crate) async fn ask(
    server: &ResourceServer,
    session: &mut Session<'_>,
    stranger: &Arc<dyn Signer>,
) {
    let Some(profile) = &server.signatures else {
        let reason = "the target is not said to take HTTP message signatures";
        let all = DEFECTS.iter().map(|defect| &defect.case);
        for case in all.chain([&REPLAYED, &NONCE_REUSED, &BODY]) {
            session.conclude(case, Decision::not_applicable(reason));
        }
        return;
    };
    for defect in DEFECTS {
        if !concerns(defect, profile, server) {
            let reason = "a good signature does not cover this either";
            session.conclude(&defect.case, Decision::not_applicable(reason));
            continue;
        }
        session
            .must_refuse(&defect.case, |draft, moment| {
                (defect.change)(&mut draft.signatures, moment, stranger);
            })
            .await;
    }
    body(server, profile, session).await;
    twice(&REPLAYED, session, None).await;
    nonce(profile, session).await;
}

fn concerns(defect: &SignatureDefect, profile: &SignatureProfile, server: &ResourceServer) -> bool {
    let covered = |name: &&str| {
        profile.components.iter().any(|held| held == name)
            && (*name != "content-digest" || !server.body.is_empty())
    };
    defect.covers.is_empty() || defect.covers.iter().any(covered)
}

async fn body(server: &ResourceServer, profile: &SignatureProfile, session: &mut Session<'_>) {
    let covered = profile
        .components
        .iter()
        .any(|name| name == "content-digest");
    if server.body.is_empty() || !covered {
        let reason = "the request has no body whose digest is covered";
        session.conclude(&BODY, Decision::not_applicable(reason));
        return;
    }
    let own = server.body.clone();
    session
        .must_refuse(&BODY, |draft, _| {
            draft.signatures.digest_of = Some(own.clone());
            draft.body = changed(&own);
        })
        .await;
}

/// The body with a space more, which JSON and forms bear.
fn changed(body: &Bytes) -> Bytes {
    let mut bytes = body.to_vec();
    bytes.push(b' ');
    Bytes::from(bytes)
}

async fn nonce(profile: &SignatureProfile, session: &mut Session<'_>) {
    if !profile.has_nonce {
        let reason = "good signatures have no nonce";
        session.conclude(&NONCE_REUSED, Decision::not_applicable(reason));
        return;
    }
    if session.options.excludes(&NONCE_REUSED.id()) {
        return;
    }
    let first = session.good();
    let served = session.send(&first, &[], Expect::Served).await;
    if served.outcome != crate::answer::Outcome::Served {
        let decision = Decision::inconclusive("the first of the two was not served");
        session.conclude(&NONCE_REUSED, decision.got(served.got()));
        return;
    }
    let used = nonce_of(&first);
    let again = |draft: &mut Draft, moment: &Moment| {
        // A second later, so that not even a cache of whole signatures knows it.
        created(&mut draft.signatures, moment.now.minus(1).as_secs());
        let used = used.clone();
        draft.signatures.on_first(|draft| draft.nonce = used);
    };
    let mut decision = session.refusal(&NONCE_REUSED, &again).await;
    if decision.verdict == Verdict::NotEnforced {
        decision.reason = "two signatures with one nonce were accepted".to_owned();
    }
    session.conclude(&NONCE_REUSED, decision);
}

fn nonce_of(draft: &Draft) -> Option<String> {
    draft.signatures.drafts.first()?.nonce.clone()
}
