//! What refusals say, and what the target says of itself (RS-20, label against behaviour).

use http::Method;
use keybound_proto::uri::HttpUrl;
use serde_json::Value;

use super::{ResourceServer, checks};
use crate::answer::Outcome;
use crate::check::{Case, Decision};
use crate::draft::{Draft, ProofLines, abridged};
use crate::report::{Finding, Label};
use crate::session::{Attempt, Expect, Session};
use crate::transport::Answer;
use crate::verdict::Verdict;

const CHALLENGE: Case = Case::without_cause(
    &checks::RS_20,
    "challenge",
    "no token, to see the challenge",
);
const ERROR_CODE: Case = Case::without_cause(
    &checks::RS_20,
    "error-code",
    "a proof that is no JWT, to see the error code",
);
const METADATA: Case = Case::without_cause(
    &checks::RS_20,
    "metadata-agrees",
    "the protected resource metadata, compared with what was seen",
);

pub(super) async fn ask(_server: &ResourceServer, session: &mut Session<'_>) {
    shape(&CHALLENGE, session, bare, |attempt| {
        let (status, challenge) = status_and_challenge(attempt);
        if status != 401 {
            return Some(format!("the status is {status}, not 401"));
        }
        if !has_scheme(&challenge, "dpop") {
            return Some("there is no `WWW-Authenticate: DPoP` challenge".to_owned());
        }
        (!challenge.contains("algs=")).then(|| "the challenge does not name `algs`".to_owned())
    })
    .await;
    shape(&ERROR_CODE, session, not_a_proof, |attempt| {
        let (status, challenge) = status_and_challenge(attempt);
        if status != 401 {
            return Some(format!("the status is {status}, not 401"));
        }
        (!challenge.contains("error=\"invalid_dpop_proof\""))
            .then(|| "the challenge does not say `error=\"invalid_dpop_proof\"`".to_owned())
    })
    .await;
}

fn bare(draft: &mut Draft) {
    draft.credentials.clear();
    draft.proof_lines = ProofLines::None;
}

fn not_a_proof(draft: &mut Draft) {
    draft.proof_lines = ProofLines::Raw("not-a-proof".to_owned());
}

/// A refusal whose form is judged; whether it is refused at all, other checks have asked.
async fn shape(
    case: &Case,
    session: &mut Session<'_>,
    defect: fn(&mut Draft),
    lacks: fn(&Attempt) -> Option<String>,
) {
    if session.options.excludes(&case.id()) {
        return;
    }
    if let Some(decision) = session.before().await {
        session.conclude(case, decision);
        return;
    }
    let attempt = session
        .send_retrying(
            |session| {
                let mut draft = session.good();
                defect(&mut draft);
                draft
            },
            &[],
            Expect::Refused,
        )
        .await;
    let got = attempt.got();
    let decision = match &attempt.outcome {
        Outcome::Served => {
            Decision::not_applicable("the request was not refused; see RS-04 and RS-12")
        }
        Outcome::Unclear(reason) => Decision::inconclusive(reason.to_string()),
        Outcome::Refused | Outcome::NonceWanted(_) if session.options.dry_run => {
            Decision::of(Verdict::Enforced, "")
        }
        Outcome::Refused | Outcome::NonceWanted(_) => match lacks(&attempt) {
            None => Decision::of(
                Verdict::Enforced,
                "the refusal has the form of the standard",
            ),
            Some(lack) => Decision::of(Verdict::NotEnforced, lack),
        },
    };
    session.conclude(case, decision.got(got).evidence(vec![attempt.exchange]));
}

fn status_and_challenge(attempt: &Attempt) -> (u16, String) {
    attempt
        .answer
        .as_ref()
        .map_or((0, String::new()), |answer| {
            (answer.status.as_u16(), answer.challenge())
        })
}

fn has_scheme(challenge: &str, scheme: &str) -> bool {
    challenge.split(',').any(|part| {
        part.trim_start()
            .split(' ')
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case(scheme))
    })
}

/// Claims of challenge and metadata (RFC 9728) beside what was seen.
pub(super) async fn labels(
    server: &ResourceServer,
    session: &mut Session<'_>,
    first: Option<&Attempt>,
) -> Vec<Label> {
    if first.is_none() || session.options.excludes(&METADATA.id()) {
        return Vec::new();
    }
    let (source, document) = match metadata(server, session).await {
        Ok(found) => found,
        Err(decision) => {
            session.conclude(&METADATA, decision);
            return Vec::new();
        }
    };
    let labels = compare(&source, &document, server, &session.findings);
    // What RS-01 found stands there; a label beside it is no second finding.
    let wrong: Vec<&str> = labels
        .iter()
        .skip(1)
        .filter(|label| label.agrees == Some(false))
        .map(|label| label.claim.as_str())
        .collect();
    let decision = if wrong.is_empty() {
        Decision::of(Verdict::Enforced, "what the metadata claims was seen")
    } else {
        Decision::of(
            Verdict::NotEnforced,
            format!("claimed, but not what was seen: {}", wrong.join("; ")),
        )
    };
    session.conclude(&METADATA, decision.got(source));
    labels
}

/// The document and where it is. That there is none is for a 404 to say, or an answer that is no
/// JSON, and not for a target that does not answer.
pub(crate) async fn metadata(
    server: &ResourceServer,
    session: &mut Session<'_>,
) -> Result<(String, Value), Decision> {
    let origin = server.url.origin_as_given();
    let path = server.url.path().trim_end_matches('/');
    let mut places = vec![format!(
        "{origin}/.well-known/oauth-protected-resource{path}"
    )];
    if !path.is_empty() {
        places.push(format!("{origin}/.well-known/oauth-protected-resource"));
    }
    let mut decision =
        Decision::not_applicable("the target publishes no protected resource metadata (RFC 9728)");
    for place in places {
        let Ok(url) = HttpUrl::parse(&place) else {
            continue;
        };
        let draft = Draft::new(Method::GET, &url);
        let attempt = session.send(&draft, &[], Expect::Served).await;
        let status = attempt.answer.as_ref().map(|answer| answer.status);
        if status.is_some_and(|status| status.is_success())
            && let Some(document @ Value::Object(_)) =
                attempt.answer.as_ref().and_then(Answer::json)
        {
            return Ok((place, document));
        }
        let failed = status.is_none_or(|status| status.is_server_error() || status == 429);
        if failed && !session.options.dry_run {
            let reason = "whether the target publishes metadata is not known";
            decision = Decision::inconclusive(reason)
                .got(attempt.got())
                .evidence(vec![attempt.exchange]);
        }
    }
    Err(decision)
}

fn compare(
    source: &str,
    document: &Value,
    server: &ResourceServer,
    findings: &[Finding],
) -> Vec<Label> {
    let mut labels = Vec::new();
    let bearer = verdict_of(findings, "RS-01.without-proof");
    let claims_required =
        document.get("dpop_bound_access_tokens_required") == Some(&Value::Bool(true));
    labels.push(Label {
        source: source.to_owned(),
        claim: format!("dpop_bound_access_tokens_required: {claims_required}"),
        seen: match bearer {
            Some(Verdict::Enforced) => "a bound token is refused as Bearer",
            Some(Verdict::NotEnforced) => "a bound token passes as Bearer",
            _ => "not decided",
        }
        .to_owned(),
        agrees: match bearer {
            Some(Verdict::NotEnforced) if claims_required => Some(false),
            Some(Verdict::Enforced) if claims_required => Some(true),
            _ => None,
        },
    });
    if let Some(listed) = document
        .get("dpop_signing_alg_values_supported")
        .and_then(Value::as_array)
    {
        let used = server.credentials.bound.key.algorithm().name();
        let names: Vec<&str> = listed.iter().filter_map(Value::as_str).collect();
        let symmetric = names
            .iter()
            .any(|name| *name == "none" || name.starts_with("HS"));
        labels.push(Label {
            source: source.to_owned(),
            claim: format!(
                "dpop_signing_alg_values_supported: {}",
                abridged(&names.join(" "))
            ),
            seen: if symmetric {
                "lists an algorithm that proves nothing".to_owned()
            } else {
                format!("proofs with {used} are accepted")
            },
            agrees: Some(
                !symmetric
                    && (names.contains(&used) || (used == "EdDSA" && names.contains(&"Ed25519"))),
            ),
        });
    }
    if let Some(resource) = document.get("resource").and_then(Value::as_str) {
        let covers = server
            .url
            .as_str()
            .starts_with(resource.trim_end_matches('/'));
        labels.push(Label {
            source: source.to_owned(),
            claim: format!("resource: {}", abridged(resource)),
            seen: format!("good requests are served at {}", server.url.without_query()),
            agrees: Some(covers),
        });
    }
    labels
}

fn verdict_of(findings: &[Finding], id: &str) -> Option<Verdict> {
    findings
        .iter()
        .find(|finding| finding.id == id)
        .map(|finding| finding.verdict)
}
