//! Which request the proof is compared with, and other ways in (RS-15, RS-16, RS-18, RS-19).

use http::Method;
use keybound_proto::Cause;
use keybound_proto::uri::HttpUrl;

use super::{ResourceServer, checks};
use crate::answer::{Outcome, Unclear};
use crate::check::{Case, Decision};
use crate::draft::{Draft, ProofLines};
use crate::proof_cases::other_host;
use crate::session::{Attempt, Expect, Session};
use crate::transport::NoAnswer;
use crate::verdict::{Severity, Verdict};

const QUERY: Case = Case::without_cause(
    &checks::RS_15,
    "htu-query-ignored",
    "a proof whose `htu` has a query and a fragment the request has not",
)
.severity(Severity::Note);
const UPPER_CASE: Case = Case::without_cause(
    &checks::RS_15,
    "htu-case-ignored",
    "a proof whose `htu` has scheme and host in upper case",
)
.severity(Severity::Note);
const DEFAULT_PORT: Case = Case::without_cause(
    &checks::RS_15,
    "htu-default-port",
    "a proof whose `htu` names the scheme's default port",
)
.severity(Severity::Note);
const UNRESERVED: Case = Case::without_cause(
    &checks::RS_15,
    "htu-unreserved-escape",
    "a proof whose `htu` escapes an unreserved character of the path",
)
.severity(Severity::Note);
const EXTRA: Case = Case::without_cause(
    &checks::RS_15,
    "extra-members",
    "a proof with header parameters and claims nobody knows",
)
.severity(Severity::Note);
const FORWARDED: Case = Case::new(
    &checks::RS_15,
    "forwarded-spoofed",
    "a proof for another host, with header fields that say the request came for that host",
    Cause::DpopHtuMismatch,
);
const HOST: Case = Case::new(
    &checks::RS_15,
    "host-spoofed",
    "a proof for another host, with a `Host` of that name",
    Cause::HostMisdirected,
)
.also(&[404, 421]);
const DOT_SEGMENTS: Case = Case::new(
    &checks::RS_15,
    "dot-segments",
    "a request target with dot segments, and a proof for what remains of it",
    Cause::TargetAmbiguous,
)
.also(&[404])
.severity(Severity::Low);
const CONNECTION: Case = Case::new(
    &checks::RS_15,
    "connection-names-dpop",
    "a `Connection` header field that has proxies remove `DPoP`",
    Cause::ConnectionHeader,
)
.severity(Severity::Low);
const OVERRIDE: Case = Case::new(
    &checks::RS_08,
    "method-override",
    "a proof for HEAD, with header fields that ask to treat the request as HEAD",
    Cause::DpopHtmMismatch,
)
.severity(Severity::Medium);
const BODY: Case = Case::without_cause(
    &checks::RS_16,
    "changed",
    "another body under a proof of the same kind",
);
const HTTP2: Case = Case::without_cause(
    &checks::RS_18,
    "http2",
    "the token without a proof over HTTP/2",
);
const ORIGINS: Case = Case::without_cause(
    &checks::RS_18,
    "other-origins",
    "the token without a proof at every other origin named",
);
const HEAD: Case =
    Case::without_cause(&checks::RS_19, "head", "HEAD without a proof").also(&[404, 405, 501]);
const OPTIONS: Case = Case::without_cause(
    &checks::RS_19,
    "options",
    "OPTIONS without token and proof, as a browser asks before a call",
);
const UPGRADE: Case = Case::without_cause(
    &checks::RS_19,
    "websocket",
    "an upgrade to WebSocket without a proof",
)
.also(&[404, 405, 421, 426, 501]);

pub(super) async fn ask(server: &ResourceServer, session: &mut Session<'_>) {
    spellings(server, session).await;
    spoofed(session).await;
    another_reading(session).await;
    body(server, session).await;
    http2(session).await;
    origins(server, session).await;
    methods(server, session).await;
}

/// What RFC 9449 and RFC 3986 say is the same URL.
async fn spellings(server: &ResourceServer, session: &mut Session<'_>) {
    session
        .must_serve(&QUERY, |draft, _| {
            set_htu(draft, |url| format!("{url}?probe=1#part"));
        })
        .await;
    session
        .must_serve(&UPPER_CASE, |draft, _| {
            let origin = draft.url.origin_as_given().to_owned();
            set_htu(draft, |url| {
                url.replacen(&origin, &origin.to_ascii_uppercase(), 1)
            });
        })
        .await;
    if server.url.origin().port() == server.url.origin().scheme().default_port() {
        let with_port = format!(
            "{}:{}",
            server.url.origin_as_given(),
            server.url.origin().port()
        );
        session
            .must_serve(&DEFAULT_PORT, |draft, _| {
                let origin = draft.url.origin_as_given().to_owned();
                set_htu(draft, |url| url.replacen(&origin, &with_port, 1));
            })
            .await;
    } else {
        let reason = "the target's port is not the scheme's default";
        session.conclude(&DEFAULT_PORT, Decision::not_applicable(reason));
    }
    if let Some(escaped) = with_escape(&server.url) {
        session
            .must_serve(&UNRESERVED, |draft, _| set_htu(draft, |_| escaped.clone()))
            .await;
    } else {
        let reason = "the path has no letter to escape";
        session.conclude(&UNRESERVED, Decision::not_applicable(reason));
    }
    session
        .must_serve(&EXTRA, |draft, _| {
            draft.on_proof(|proof| {
                proof.member("x-unknown", "ignored");
                proof.claim("x-unknown", "ignored");
            });
        })
        .await;
}

/// What a sender says about its own request: worth asking only where the request counts at all.
async fn spoofed(session: &mut Session<'_>) {
    if session.found("RS-02.absent") && session.found("RS-12.not-a-jwt") {
        for case in [&FORWARDED, &OVERRIDE, &HOST] {
            let reason = "RS-12.not-a-jwt shows already that proofs are not looked at";
            session.conclude(case, Decision::not_applicable(reason));
        }
        return;
    }
    if session.found("RS-08.htu-host") {
        let reason = "RS-08.htu-host shows already that the host is not compared";
        session.conclude(&FORWARDED, Decision::not_applicable(reason));
    } else {
        let beside = |draft: &mut Draft| {
            draft.header("x-forwarded-host", "other.example");
            draft.header("x-forwarded-proto", "https");
            draft.header("forwarded", "host=other.example;proto=https");
            draft.header("x-original-host", "other.example");
        };
        session
            .must_refuse_beside(&FORWARDED, beside, |draft, _| for_other_host(draft))
            .await;
    }
    if session.found("RS-08.htm-other") {
        let reason = "RS-08.htm-other shows already that the method is not compared";
        session.conclude(&OVERRIDE, Decision::not_applicable(reason));
    } else {
        let beside = |draft: &mut Draft| {
            draft.header("x-http-method-override", "HEAD");
            draft.header("x-http-method", "HEAD");
            draft.header("x-method-override", "HEAD");
        };
        session
            .must_refuse_beside(&OVERRIDE, beside, |draft, _| {
                draft.on_proof(|proof| proof.claim("htm", "HEAD"));
            })
            .await;
    }
    session
        .must_refuse(&HOST, |draft, _| {
            for_other_host(draft);
            let other = other_host(draft.url.origin_as_given());
            let authority = other
                .split_once("://")
                .map_or("other.example", |(_, rest)| rest);
            draft.header("host", authority);
        })
        .await;
}

/// Requests that two components may read differently.
async fn another_reading(session: &mut Session<'_>) {
    session
        .must_refuse(&DOT_SEGMENTS, |draft, _| {
            let path = draft.url.path().to_owned();
            draft.target = Some(format!("/x/..{path}"));
        })
        .await;
    session
        .must_refuse(&CONNECTION, |draft, _| {
            draft.header("connection", "close, DPoP");
        })
        .await;
}

/// DPoP does not cover bodies, so this informs and never counts against the target.
async fn body(server: &ResourceServer, session: &mut Session<'_>) {
    if server.body.is_empty() {
        let reason = "the request has no body";
        session.conclude(&BODY, Decision::not_applicable(reason));
        return;
    }
    let reason = "a DPoP proof does not cover the body (RFC 9449 section 11.7), and the target claims no more";
    session.conclude(&BODY, Decision::not_applicable(reason));
}

/// The check behind HTTP/2 as behind HTTP/1.1.
async fn http2(session: &mut Session<'_>) {
    if session.options.excludes(&HTTP2.id()) {
        return;
    }
    if let Some(decision) = session.before().await {
        session.conclude(&HTTP2, decision);
        return;
    }
    let good = session.good();
    let control = session.send_http2(&good).await;
    match control.outcome {
        Outcome::Served => {}
        Outcome::Unclear(Unclear::Transport(NoAnswer::Broken(_) | NoAnswer::Tls(..))) => {
            let reason = "the target speaks no HTTP/2";
            session.conclude(&HTTP2, Decision::not_applicable(reason));
            return;
        }
        Outcome::Refused | Outcome::NonceWanted(_) | Outcome::Unclear(_) => {
            let decision = Decision::inconclusive("a good request is not served over HTTP/2");
            session.conclude(&HTTP2, decision.got(control.got()));
            return;
        }
    }
    let mut bare = session.good();
    bare.proof_lines = ProofLines::None;
    let attempt = session.send_http2(&bare).await;
    let got = attempt.got();
    let decision = match attempt.outcome {
        Outcome::Served => Decision::of(Verdict::NotEnforced, "served over HTTP/2 without a proof"),
        Outcome::Unclear(reason) => Decision::inconclusive(reason.to_string()),
        Outcome::Refused | Outcome::NonceWanted(_) => {
            let good = session.good();
            if session.send_http2(&good).await.outcome == Outcome::Served {
                let reason = "refused, while a good request is served over HTTP/2 before and after";
                Decision::of(Verdict::Enforced, reason)
            } else {
                Decision::inconclusive("refused, but so are good requests over HTTP/2 now")
            }
        }
    };
    session.conclude(&HTTP2, decision.got(got).evidence(vec![attempt.exchange]));
}

/// The same API at other addresses the user named.
async fn origins(server: &ResourceServer, session: &mut Session<'_>) {
    if server.other_origins.is_empty() {
        let reason = "no other origin was named";
        session.conclude(&ORIGINS, Decision::not_applicable(reason));
        return;
    }
    if session.options.excludes(&ORIGINS.id()) {
        return;
    }
    if let Some(decision) = session.before().await {
        session.conclude(&ORIGINS, decision);
        return;
    }
    let url = server.url.clone();
    let origins = server.other_origins.clone();
    let mut worst: Option<Decision> = None;
    for origin in origins {
        let moved = url
            .as_str()
            .replacen(url.origin_as_given(), origin.origin_as_given(), 1);
        let Ok(moved) = HttpUrl::parse(&moved) else {
            continue;
        };
        let decision = at_origin(session, &moved).await;
        let graver = |held: &Decision| rank(decision.verdict) > rank(held.verdict);
        if worst.as_ref().is_none_or(graver) {
            worst = Some(decision);
        }
    }
    if let Some(decision) = worst {
        session.conclude(&ORIGINS, decision);
    }
}

/// A request without a proof at another address. A refusal there shows something only when a good
/// request is served there, with a proof for the public URL or for that address.
async fn at_origin(session: &mut Session<'_>, url: &HttpUrl) -> Decision {
    let attempt = elsewhere(session, url, Expect::Refused, |draft| {
        draft.proof_lines = ProofLines::None;
    })
    .await;
    let got = format!("{}: {}", url.origin_as_given(), attempt.got());
    let decision = match attempt.outcome {
        Outcome::Served => Decision::of(Verdict::NotEnforced, "served there without a proof"),
        Outcome::Unclear(reason) => Decision::inconclusive(reason.to_string()),
        Outcome::Refused | Outcome::NonceWanted(_) => {
            let mut good = elsewhere(session, url, Expect::Served, |_| {}).await;
            if good.outcome != Outcome::Served {
                good = elsewhere(session, url, Expect::Served, |draft| {
                    let here = draft.url.without_query().to_owned();
                    draft.on_proof(|proof| proof.claim("htu", here));
                })
                .await;
            }
            if good.outcome == Outcome::Served {
                Decision::of(
                    Verdict::Enforced,
                    "refused there, while a good request is served there",
                )
            } else {
                Decision::inconclusive(
                    "no good request is served there, so a refusal shows nothing",
                )
            }
        }
    };
    decision.got(got).evidence(vec![attempt.exchange])
}

/// A good request sent to another address, changed; its proof stays one for the public URL.
async fn elsewhere(
    session: &mut Session<'_>,
    url: &HttpUrl,
    expect: Expect,
    change: impl Fn(&mut Draft) + Send + Sync,
) -> Attempt {
    session
        .send_retrying(
            |session| {
                let mut draft = session.good();
                draft.url = url.clone();
                change(&mut draft);
                draft
            },
            ORIGINS.also,
            expect,
        )
        .await
}

pub(super) const fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::NotEnforced => 3,
        Verdict::Inconclusive => 2,
        Verdict::Enforced => 1,
        Verdict::NotApplicable => 0,
    }
}

async fn methods(server: &ResourceServer, session: &mut Session<'_>) {
    if session.found("RS-02.absent") {
        for case in [&HEAD, &UPGRADE] {
            let reason = "RS-02 shows already that no proof is needed";
            session.conclude(case, Decision::not_applicable(reason));
        }
    } else if server.method == Method::GET {
        let head = |draft: &mut Draft| {
            draft.method = Method::HEAD;
            draft.on_proof(|proof| proof.claim("htm", "HEAD"));
        };
        session
            .must_refuse_beside(&HEAD, head, |draft, _| {
                draft.proof_lines = ProofLines::None;
            })
            .await;
        let upgrade = |draft: &mut Draft| {
            draft.header("connection", "Upgrade");
            draft.header("upgrade", "websocket");
            draft.header("sec-websocket-version", "13");
            draft.header("sec-websocket-key", "a2V5Ym91bmQtcHJvYmUtMTY=");
        };
        session
            .must_refuse_beside(&UPGRADE, upgrade, |draft, _| {
                draft.proof_lines = ProofLines::None;
            })
            .await;
    } else {
        for case in [&HEAD, &UPGRADE] {
            let reason = "asked only where the request is a GET";
            session.conclude(case, Decision::not_applicable(reason));
        }
    }
    options(session).await;
}

/// Browsers ask without credentials, and may be answered; with content they may not.
async fn options(session: &mut Session<'_>) {
    if session.options.excludes(&OPTIONS.id()) {
        return;
    }
    if let Some(decision) = session.before().await {
        session.conclude(&OPTIONS, decision);
        return;
    }
    let attempt = session
        .send_retrying(
            |session| {
                let mut draft = session.good();
                draft.method = Method::OPTIONS;
                draft.credentials.clear();
                draft.proof_lines = ProofLines::None;
                draft
            },
            &[404, 405, 501],
            Expect::Refused,
        )
        .await;
    let got = attempt.got();
    let empty = attempt
        .answer
        .as_ref()
        .is_none_or(|answer| answer.body.len() < 256);
    let decision = match &attempt.outcome {
        Outcome::Served if empty => Decision::of(Verdict::Enforced, "answered without content"),
        Outcome::Served => {
            Decision::inconclusive("answered with content; see whether it is protected")
        }
        Outcome::Refused | Outcome::NonceWanted(_) => match session.before().await {
            None => Decision::of(Verdict::Enforced, "refused, while good requests are served"),
            Some(decision) => decision,
        },
        Outcome::Unclear(reason) => Decision::inconclusive(reason.to_string()),
    };
    session.conclude(&OPTIONS, decision.got(got).evidence(vec![attempt.exchange]));
}

fn set_htu(draft: &mut Draft, make: impl FnOnce(&str) -> String) {
    let url = draft.url.without_query().to_owned();
    draft.on_proof(|proof| proof.claim("htu", make(&url)));
}

fn for_other_host(draft: &mut Draft) {
    let origin = draft.url.origin_as_given().to_owned();
    let other = other_host(&origin);
    set_htu(draft, |url| url.replacen(&origin, &other, 1));
}

/// The URL with its path's last letter escaped.
fn with_escape(url: &HttpUrl) -> Option<String> {
    let text = url.without_query();
    let last = text.chars().last().filter(char::is_ascii_alphanumeric)?;
    (url.path().len() > 1).then(|| {
        let kept = text.strip_suffix(last).unwrap_or(text);
        format!("{kept}%{:02X}", u32::from(last))
    })
}
