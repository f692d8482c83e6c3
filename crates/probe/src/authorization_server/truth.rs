//! What the metadata claims, beside what is so (AS-01).

use keybound_proto::jose::Algorithm;
use keybound_proto::uri::{HttpUrl, Scheme};

use super::checks::AS_01;
use super::client::new_key;
use super::metadata::Metadata;
use super::site::{Site, token};
use crate::answer::Outcome;
use crate::check::{Case, Decision};
use crate::draft::printable;
use crate::report::{Finding, Label};
use crate::session::Session;
use crate::verdict::{Severity, Verdict};

const PROOF_ALGORITHMS: &str = "dpop_signing_alg_values_supported";
const ASSERTION_ALGORITHMS: &str = "token_endpoint_auth_signing_alg_values_supported";

const ISSUER: Case = Case::without_cause(
    &AS_01,
    "issuer",
    "nothing beyond the metadata: `issuer` is to be the identifier it was looked up for",
)
.severity(Severity::Medium);
const NAMED: Case = Case::without_cause(
    &AS_01,
    "proof-algorithms",
    "nothing beyond the metadata: algorithms of proofs are to be asymmetric",
)
.severity(Severity::Medium);
const ASSERTIONS: Case = Case::without_cause(
    &AS_01,
    "assertion-algorithms",
    "nothing beyond the metadata: algorithms of client assertions are not to have `none`",
)
.severity(Severity::Medium);
const ENDPOINTS: Case = Case::without_cause(
    &AS_01,
    "endpoints",
    "nothing beyond the metadata: endpoints are to be URLs, and with TLS where the issuer has it",
)
.severity(Severity::Medium);
const ACCEPTED: Case = Case::without_cause(
    &AS_01,
    "algorithms-accepted",
    "good token requests with proofs of each algorithm the metadata names",
)
.severity(Severity::Note);

/// Algorithms that software makes keys of within no time.
const TRIED: [Algorithm; 3] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Es384];

pub(super) async fn ask(site: &Site, session: &mut Session<'_>) -> Vec<Label> {
    let metadata = &site.metadata;
    document(metadata, session);
    let mut labels = algorithms(site, session).await;
    labels.extend(claims(site, &session.findings));
    labels
}

fn document(metadata: &Metadata, session: &mut Session<'_>) {
    let own = metadata.text("issuer").unwrap_or_default();
    let decision = if own == metadata.issuer.as_str() {
        Decision::of(Verdict::Enforced, "the document speaks for this issuer")
    } else {
        let reason = "the document speaks for another issuer, or for none";
        Decision::of(Verdict::NotEnforced, reason)
    };
    session.conclude(&ISSUER, decision.got(printable(own.as_bytes())));
    for (case, member, symmetric) in [
        (&NAMED, PROOF_ALGORITHMS, true),
        (&ASSERTIONS, ASSERTION_ALGORITHMS, false),
    ] {
        let decision = match metadata.list(member) {
            None => Decision::not_applicable(format!("there is no `{member}`")),
            Some(names) => listed(&names, symmetric),
        };
        session.conclude(case, decision);
    }
    let wrong: Vec<String> = endpoints(metadata)
        .filter(|(_, url)| !is_sound(&metadata.issuer, url))
        .map(|(member, _)| member.to_owned())
        .collect();
    let decision = if wrong.is_empty() {
        Decision::of(
            Verdict::Enforced,
            "every endpoint is a URL of the right kind",
        )
    } else {
        let reason = format!("no URL, or one without TLS: {}", wrong.join(", "));
        Decision::of(Verdict::NotEnforced, reason)
    };
    session.conclude(&ENDPOINTS, decision);
}

/// `HS256` is an algorithm of client assertions (`client_secret_jwt`), never of proofs.
fn listed(names: &[&str], symmetric_is_wrong: bool) -> Decision {
    let is_wrong = |name: &&&str| {
        name.eq_ignore_ascii_case("none") || (symmetric_is_wrong && name.starts_with("HS"))
    };
    let wrong: Vec<&str> = names.iter().filter(is_wrong).copied().collect();
    let got = printable(names.join(" ").as_bytes());
    if wrong.is_empty() {
        Decision::of(Verdict::Enforced, "none of them is to be wondered at").got(got)
    } else {
        let wrong = printable(wrong.join(" ").as_bytes());
        Decision::of(Verdict::NotEnforced, format!("it names {wrong}")).got(got)
    }
}

fn endpoints(metadata: &Metadata) -> impl Iterator<Item = (&str, &str)> {
    metadata.document.iter().filter_map(|(member, value)| {
        let names_url = member.ends_with("_endpoint") || member == "jwks_uri";
        names_url.then_some((member.as_str(), value.as_str().unwrap_or_default()))
    })
}

fn is_sound(issuer: &HttpUrl, url: &str) -> bool {
    HttpUrl::parse(url).is_ok_and(|url| {
        issuer.origin().scheme() == Scheme::Http || url.origin().scheme() == Scheme::Https
    })
}

/// Asks for a token with a key of each algorithm, named or not.
async fn algorithms(site: &Site, session: &mut Session<'_>) -> Vec<Label> {
    let mut labels = Vec::new();
    if session.options.excludes(&ACCEPTED.id()) {
        return labels;
    }
    let Some(names) = site.metadata.list(PROOF_ALGORITHMS) else {
        let reason = format!("there is no `{PROOF_ALGORITHMS}`");
        session.conclude(&ACCEPTED, Decision::not_applicable(reason));
        return labels;
    };
    let mut refused = Vec::new();
    for algorithm in TRIED {
        let named = names.iter().any(|name| is_name_of(name, algorithm));
        let (Ok(key), None) = (new_key(algorithm), session.before().await) else {
            continue;
        };
        let request = |moment: &_| site.request(&site.client, &key, moment);
        let (served, seen) = match token(session, request).await {
            Ok(None) => continue,
            Ok(Some(_)) => (true, "a proof of it is accepted".to_owned()),
            Err(attempt) if attempt.outcome == Outcome::Refused => (
                false,
                format!("a proof of it is refused: {}", attempt.got()),
            ),
            Err(_) => continue,
        };
        if named && !served {
            refused.push(algorithm.name());
        }
        labels.push(Label {
            source: PROOF_ALGORITHMS.to_owned(),
            claim: format!(
                "{} is {}",
                algorithm.name(),
                if named { "named" } else { "not named" }
            ),
            seen,
            agrees: Some(named == served),
        });
    }
    let decision = if labels.is_empty() {
        Decision::not_applicable("no algorithm it names could be tried")
    } else if refused.is_empty() {
        Decision::of(Verdict::Enforced, "every algorithm it names is accepted")
    } else {
        let reason = format!("named and refused: {}", refused.join(", "));
        Decision::of(Verdict::NotEnforced, reason)
    };
    session.conclude(&ACCEPTED, decision);
    labels
}

/// RFC 9864 names the curve, RFC 8037 did not.
fn is_name_of(name: &str, algorithm: Algorithm) -> bool {
    name == algorithm.name() || (algorithm == Algorithm::EdDsa && name == "Ed25519")
}

/// Other claims, and what the run saw of them.
fn claims(site: &Site, findings: &[Finding]) -> Vec<Label> {
    let metadata = &site.metadata;
    let verdict = |id: &str| {
        let finding = findings.iter().find(|finding| finding.id == id)?;
        Some(finding.verdict)
    };
    let mut labels = Vec::new();
    let mut claim = |member: &str, claim: String, seen: String, agrees: Option<bool>| {
        labels.push(Label {
            source: member.to_owned(),
            claim,
            seen,
            agrees,
        });
    };
    let bound = verdict("AS-03.confirmation");
    claim(
        PROOF_ALGORITHMS,
        match metadata.list(PROOF_ALGORITHMS) {
            Some(_) => "tokens can be bound by DPoP".to_owned(),
            None => "nothing is said about DPoP".to_owned(),
        },
        match bound {
            Some(Verdict::Enforced) => "tokens are bound to the proof's key".to_owned(),
            Some(Verdict::NotEnforced) => "tokens are not bound to the proof's key".to_owned(),
            _ => "not seen".to_owned(),
        },
        match bound {
            Some(Verdict::Enforced) => Some(metadata.list(PROOF_ALGORITHMS).is_some()),
            Some(Verdict::NotEnforced) => Some(metadata.list(PROOF_ALGORITHMS).is_none()),
            _ => None,
        },
    );
    if let Some(said) = site.client.said_bound {
        let served = match verdict("AS-02.without-proof") {
            Some(Verdict::Enforced) => Some(false),
            Some(Verdict::NotEnforced) => Some(true),
            _ => None,
        };
        let seen = match served {
            Some(false) => "requests without a proof are refused",
            Some(true) => "requests without a proof are served",
            None => "not seen",
        };
        claim(
            "client registration",
            format!("`dpop_bound_access_tokens` is {said}"),
            seen.to_owned(),
            served.map(|served| served != said),
        );
    }
    for (member, case) in [
        ("introspection_endpoint", "AS-08.cnf"),
        ("revocation_endpoint", "AS-09.own-token"),
    ] {
        if metadata.endpoint(member).is_some() {
            let (seen, agrees) = match verdict(case) {
                Some(Verdict::Enforced) => ("it does what it is for", Some(true)),
                Some(Verdict::NotEnforced) => ("it does not do what it is for", Some(false)),
                _ => ("not seen", None),
            };
            claim(member, "it is there".to_owned(), seen.to_owned(), agrees);
        }
    }
    for member in [
        "tls_client_certificate_bound_access_tokens",
        "mtls_endpoint_aliases",
    ] {
        if let Some(value) = metadata.document.get(member) {
            let text = crate::draft::abridged(&value.to_string());
            claim(member, text, "not asked".to_owned(), None);
        }
    }
    labels
}
