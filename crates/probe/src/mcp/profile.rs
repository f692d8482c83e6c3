//! The fifteen checks of the protocol's DPoP profile (SEP-1932), by their ids.
//!
//! None asks anything of its own: each rests on cases of the resource server's
//! list, on the measured window, or on the authorization server's metadata,
//! and says on which.

use crate::authorization_server::metadata::Metadata;
use crate::check::{Case, Check, Decision};
use crate::draft::{abridged, printable};
use crate::report::{Exchange, Finding, Report};
use crate::verdict::{Severity, Verdict};

/// What is known of the authorization server.
pub(super) enum Asked {
    /// What it says about itself.
    Metadata(Box<Metadata>),
    /// There is none to ask, and why.
    Not(String),
    /// It did not answer usefully, and how.
    Failed(String),
}

/// Seconds that `iat` may be off: five minutes, and the two that a measurement may be off.
const LONGEST: f64 = 302.0;
/// Cases whose refusals are answers to a defective proof.
const PROOFS: [&str; 7] = [
    "RS-02", "RS-03", "RS-08", "RS-09", "RS-10", "RS-11", "RS-12",
];

/// On what a check rests.
enum Basis {
    /// It concerns clients.
    Client,
    /// On these checks or cases of the list.
    Cases(&'static [&'static str]),
    /// On the measured window.
    Window,
    /// On the form of every refusal of a defective proof.
    Refusals,
    /// On the authorization server's metadata.
    Metadata(fn(&Metadata) -> Decision),
    /// On token requests, which are not made here.
    TokenRequests,
}

struct Rule {
    check: Check,
    sent: &'static str,
    basis: Basis,
}

macro_rules! rules {
    ($($id:literal $severity:ident $title:literal, $sent:literal, $fix:literal, $basis:expr;)+) => {
        static RULES: &[Rule] = &[$(Rule {
            check: Check {
                id: $id,
                title: $title,
                severity: Severity::$severity,
                section: "MCP DPoP profile (SEP-1932)",
                attack: "a stolen token is spent at an MCP server without its key",
                why: "MCP servers act for people with their tokens; the profile says what makes a stolen one useless",
                fix: $fix,
            },
            sent: $sent,
            basis: $basis,
        }),+];
    };
}

rules! {
    "sep-1932-client-dpop-auth-scheme" High "client sends the scheme `DPoP`", "nothing: this concerns clients",
        "send bound tokens as `DPoP`", Basis::Client;
    "sep-1932-client-fresh-proof" High "client makes a fresh proof for every request", "nothing: this concerns clients",
        "make a new proof for each request", Basis::Client;
    "sep-1932-client-token-request-proof" High "client sends a proof with token requests", "nothing: this concerns clients",
        "send a proof to the token endpoint", Basis::Client;
    "sep-1932-client-as-nonce" Medium "client answers nonce challenges of the issuer", "nothing: this concerns clients",
        "repeat the token request with the nonce", Basis::Client;
    "sep-1932-client-rs-nonce" Medium "client answers nonce challenges of the server", "nothing: this concerns clients",
        "repeat the request with the nonce", Basis::Client;
    "sep-1932-server-validate-proof" Critical "server validates proofs", "requests whose token is not proven, or whose proof has one defect",
        "validate proofs as RFC 9449 section 4.3 asks, and refuse bound tokens under `Bearer`",
        Basis::Cases(&["RS-01", "RS-02", "RS-03", "RS-08", "RS-09", "RS-10", "RS-11", "RS-12"]);
    "sep-1932-server-iat-window" Medium "server accepts `iat` within five minutes at most", "proofs older and newer than five minutes",
        "accept `iat` at most five minutes from now", Basis::Window;
    "sep-1932-server-reject-401" Low "server refuses with 401 and a DPoP challenge", "defective proofs, to see the refusal",
        "answer 401 with `WWW-Authenticate: DPoP`", Basis::Refusals;
    "sep-1932-server-nonce" Medium "server's nonces are worth something", "proofs without and with wrong nonces",
        "refuse proofs without the demanded nonce, and with one this server did not make recently",
        Basis::Cases(&["RS-14"]);
    "sep-1932-server-audience-validation" Critical "server checks the audience of tokens", "a token for another audience",
        "accept only tokens whose `aud` names this server", Basis::Cases(&["RS-05.other-audience"]);
    "sep-1932-asymmetric-alg-only" Critical "only asymmetric algorithms", "proofs with `none`, with HMAC, and with a symmetric key",
        "take asymmetric algorithms from an allow-list only",
        Basis::Cases(&["RS-11.alg-none", "RS-11.alg-none-capital", "RS-11.hs256-public-key", "RS-11.jwk-symmetric"]);
    "sep-1932-as-metadata-alg-values" Low "issuer lists its proof algorithms", "the authorization server's metadata",
        "publish `dpop_signing_alg_values_supported`", Basis::Metadata(listed);
    "sep-1932-as-no-none-alg" High "issuer lists no symmetric algorithm", "the authorization server's metadata",
        "list asymmetric algorithms only", Basis::Metadata(asymmetric);
    "sep-1932-as-dpop-bound-enforcement" High "issuer refuses token requests without a proof", "nothing: token requests are the issuer's probe",
        "refuse token requests without a proof from clients with `dpop_bound_access_tokens`", Basis::TokenRequests;
    "sep-1932-as-token-binding" Critical "issuer binds tokens", "nothing: token requests are the issuer's probe",
        "put `cnf.jkt` into tokens and answer with `token_type` `DPoP`", Basis::TokenRequests;
}

/// The fifteen findings, resting on those of the report.
pub(super) fn findings(report: &Report, asked: &Asked) -> Vec<Finding> {
    let of_rule = |rule: &'static Rule| {
        let case = Case::without_cause(&rule.check, "", rule.sent);
        let mut finding = case.finding(rule.decide(report, asked));
        rule.check.id.clone_into(&mut finding.id);
        finding
    };
    RULES.iter().map(of_rule).collect()
}

/// The ids of the checks that rest on the authorization server's metadata.
pub(super) fn of_issuer() -> impl Iterator<Item = &'static str> {
    let of_issuer = |rule: &&Rule| matches!(rule.basis, Basis::Metadata(_));
    RULES.iter().filter(of_issuer).map(|rule| rule.check.id)
}

impl Rule {
    fn decide(&self, report: &Report, asked: &Asked) -> Decision {
        match (&self.basis, asked) {
            (Basis::Client, _) => Decision::not_applicable(
                "concerns clients; recorded traffic of one can be judged (`keybound probe har`)",
            ),
            (Basis::Cases(ids), _) => resting_on(report, ids),
            (Basis::Window, _) => window(report),
            (Basis::Refusals, _) => refusals(report),
            (Basis::Metadata(read), Asked::Metadata(metadata)) => read(metadata).got(&metadata.url),
            (Basis::Metadata(_), Asked::Not(reason)) => Decision::not_applicable(reason),
            (Basis::Metadata(_), Asked::Failed(reason)) => {
                Decision::inconclusive(printable(reason.as_bytes()))
            }
            (Basis::TokenRequests, _) => Decision::not_applicable(
                "takes token requests; `keybound probe as` makes them (AS-02, AS-03)",
            ),
        }
    }
}

/// The worst of these cases. Those of little weight are not what the profile asks.
fn resting_on(report: &Report, ids: &[&str]) -> Decision {
    let named = |finding: &&Finding| {
        let is = |id: &&str| finding.id == *id || finding.check == *id;
        finding.severity >= Severity::Medium && ids.iter().any(is)
    };
    let all: Vec<&Finding> = report.findings.iter().filter(named).collect();
    let with = |verdict: Verdict| -> Vec<&str> {
        let of = all.iter().filter(|finding| finding.verdict == verdict);
        of.map(|finding| finding.id.as_str()).collect()
    };
    let list = ids.join(", ");
    for (verdict, words) in [
        (Verdict::NotEnforced, "not enforced"),
        (Verdict::Inconclusive, "inconclusive"),
    ] {
        let found = with(verdict);
        if !found.is_empty() {
            let reason = format!("rests on {list}; {words}: {}", found.join(", "));
            return Decision::of(verdict, reason);
        }
    }
    let enforced = with(Verdict::Enforced).len();
    if enforced > 0 {
        let reason = format!("rests on {list}; each of the {enforced} cases asked is enforced");
        return Decision::of(Verdict::Enforced, reason);
    }
    let first = all.first().map(|finding| finding.reason.as_str());
    let reason = first.unwrap_or("none of its cases was asked");
    Decision::not_applicable(format!("rests on {list}; {reason}"))
}

/// The measured window against the five minutes of the profile, which no nonce stretches.
fn window(report: &Report) -> Decision {
    let mut seen = Vec::new();
    let mut within = true;
    for (id, name, word) in [
        ("RS-13.iat-past", "replay_window_past", "old"),
        ("RS-13.iat-future", "replay_window_future", "early"),
    ] {
        let finding = report.findings.iter().find(|finding| finding.id == id);
        let Some(finding) = finding else {
            return Decision::not_applicable(format!("rests on {id}, which was not asked"));
        };
        if matches!(
            finding.verdict,
            Verdict::Inconclusive | Verdict::NotApplicable
        ) {
            return Decision::of(
                finding.verdict,
                format!("rests on {id}; {}", finding.reason),
            );
        }
        let measure = report.measures.iter().find(|measure| measure.name == name);
        match measure.and_then(|measure| measure.value) {
            Some(seconds) => {
                within &= seconds <= LONGEST;
                seen.push(format!("up to {seconds} s {word}"));
            }
            None => {
                within = false;
                seen.push(format!("even an hour {word}"));
            }
        }
    }
    let reason = format!("rests on RS-13; proofs are accepted {}", seen.join(" and "));
    let verdict = if within {
        Verdict::Enforced
    } else {
        Verdict::NotEnforced
    };
    Decision::of(verdict, reason)
}

/// Whether each defective proof was answered with 401 and a DPoP challenge.
fn refusals(report: &Report) -> Decision {
    let refused = report.findings.iter().filter(|finding| {
        finding.verdict == Verdict::Enforced && PROOFS.contains(&finding.check.as_str())
    });
    let (mut looked, mut other) = (0_u32, Vec::new());
    for finding in refused {
        let Some(exchange) = finding.evidence.first() else {
            continue;
        };
        // Too large is refused before anything is read.
        if matches!(exchange.status, None | Some(413 | 431)) {
            continue;
        }
        looked += 1;
        if exchange.status != Some(401) || !challenged(exchange) {
            other.push(finding.id.as_str());
        }
    }
    let on = format!("rests on the refusals of {}", PROOFS.join(", "));
    if looked == 0 {
        return Decision::inconclusive(format!("{on}; none was seen"));
    }
    if other.is_empty() {
        let reason = format!("{on}; each of {looked} was 401 with a DPoP challenge");
        return Decision::of(Verdict::Enforced, reason);
    }
    let reason = format!(
        "{on}; others than 401 with a DPoP challenge: {}",
        other.join(", ")
    );
    Decision::of(Verdict::NotEnforced, reason)
}

/// Whether a challenge of the scheme `DPoP` is among those of the answer, or may have been cut off.
fn challenged(exchange: &Exchange) -> bool {
    let fields = exchange.answer.iter();
    let mut challenges = fields.filter(|(name, _)| name == "www-authenticate");
    challenges.any(|(_, value)| {
        value.ends_with('…')
            || value.split(',').any(|part| {
                let scheme = part.trim_start().split(' ').next();
                scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("dpop"))
            })
    })
}

fn algorithms(metadata: &Metadata) -> Vec<&str> {
    metadata
        .list("dpop_signing_alg_values_supported")
        .unwrap_or_default()
}

fn listed(metadata: &Metadata) -> Decision {
    let names = algorithms(metadata);
    if names.is_empty() {
        let reason = "the metadata has no `dpop_signing_alg_values_supported`";
        return Decision::of(Verdict::NotEnforced, reason);
    }
    let reason = format!("the metadata lists {}", abridged(&names.join(" ")));
    Decision::of(Verdict::Enforced, reason)
}

fn asymmetric(metadata: &Metadata) -> Decision {
    let names = algorithms(metadata);
    if names.is_empty() {
        return Decision::not_applicable("the metadata lists no algorithms");
    }
    let proves_nothing = |name: &&&str| {
        name.eq_ignore_ascii_case("none") || name.to_ascii_uppercase().starts_with("HS")
    };
    let wrong: Vec<&str> = names.iter().filter(proves_nothing).copied().collect();
    if wrong.is_empty() {
        return Decision::of(Verdict::Enforced, "each algorithm listed is asymmetric");
    }
    let reason = format!("the metadata lists {}", abridged(&wrong.join(" ")));
    Decision::of(Verdict::NotEnforced, reason)
}
