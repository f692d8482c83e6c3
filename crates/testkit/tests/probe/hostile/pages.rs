//! Servers that answer people: redirects, log-in pages, and texts made for terminals.

use keybound_probe::{ProbeError, Report, Silent, Verdict};
use keybound_testkit::{Act, Hostile, Turn, World, answer};

use super::{count, options, probe, target, through, timing, undecided};

const PAGE: &str = "<!DOCTYPE html><title>Log in</title><form>…</form>";

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Hostile::alone(|_| Act::Answer(answer("200 OK", "", "{}"))).await;
    for status in [
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        for location in ["/login".to_owned(), format!("{}/login", elsewhere.origin())] {
            let redirect = answer(status, &format!("location: {location}\r\n"), "");
            let server = Hostile::alone(move |turn: Turn| {
                assert!(!turn.request.contains("/login"), "{}", turn.request);
                Act::Answer(redirect.clone())
            })
            .await;
            let report = probe(&server).await.expect("a report");
            undecided(&report, &format!("the server redirects to `{location}`"));
            assert!(report.requests <= 4, "{} requests", report.requests);
        }
    }
    assert_eq!(elsewhere.connections(), 0, "something went to another host");
}

#[tokio::test]
async fn a_redirect_instead_of_a_refusal_proves_nothing() {
    let world = World::start().await;
    let redirect = |turn: Turn| {
        if turn.answer.starts_with(b"HTTP/1.1 4") {
            Act::Answer(answer("302 Found", "location: /login\r\n", ""))
        } else {
            turn.pass()
        }
    };
    let server = Hostile::before(&world.gateway, redirect).await;
    let report = through(&world, &server).await;
    assert_eq!(
        count(&report, Verdict::NotEnforced),
        0,
        "{:?}",
        report.summary
    );
    refusals_are_open(&report, "the server redirects");
}

/// What would have been a refusal is open, for this reason.
fn refusals_are_open(report: &Report, reason: &str) {
    for id in ["RS-01.without-proof", "RS-02.absent", "RS-03.other-key"] {
        let finding = report.findings.iter().find(|finding| finding.id == id);
        let finding = finding.expect("a finding");
        assert_eq!(finding.verdict, Verdict::Inconclusive, "{id}");
        assert!(finding.reason.contains(reason), "{id}: {}", finding.reason);
    }
}

#[tokio::test]
async fn a_log_in_page_is_no_success() {
    for fields in [
        "content-type: text/html; charset=utf-8\r\n",
        "content-type: text/plain\r\n",
        "",
    ] {
        let page = answer("200 OK", fields, PAGE);
        let server = Hostile::alone(move |_| Act::Answer(page.clone())).await;
        let report = probe(&server).await.expect("a report");
        undecided(&report, "the answer is HTML");
        undecided(&report, "--canary");
        let mut with_canary = target(&server.origin());
        with_canary.canary = Some("\"approvals\"".to_owned());
        let report = with_canary.probe(&options(), &timing(), &Silent).await;
        undecided(&report.expect("a report"), "lacks the text");
    }
}

#[tokio::test]
async fn a_log_in_page_instead_of_a_refusal_proves_nothing() {
    let world = World::start().await;
    let html = "content-type: text/html\r\n";
    let page = move |turn: Turn| {
        if turn.answer.starts_with(b"HTTP/1.1 4") {
            Act::Answer(answer("200 OK", html, PAGE))
        } else {
            turn.pass()
        }
    };
    let server = Hostile::before(&world.gateway, page).await;
    let report = through(&world, &server).await;
    assert_eq!(
        count(&report, Verdict::NotEnforced),
        0,
        "{:?}",
        report.summary
    );
    refusals_are_open(&report, "the answer is HTML");
}

#[tokio::test]
async fn pages_behind_a_strict_check_are_judged() {
    let world = World::start().await;
    let html = "content-type: text/html\r\n";
    let pages = move |turn: Turn| match turn.good {
        Some(_) => Act::Answer(answer("200 OK", html, "<html>approvals</html>")),
        None => turn.pass(),
    };
    let server = Hostile::before(&world.gateway, pages).await;
    let report = through(&world, &server).await;
    assert_eq!(count(&report, Verdict::NotEnforced), 0);
    assert_eq!(
        count(&report, Verdict::Inconclusive),
        0,
        "{:?}",
        report.warnings
    );
    assert_eq!(report.grade, 'A');
}

#[tokio::test]
async fn other_statuses_prove_nothing() {
    for (status, told) in [
        ("404 Not Found", "404, which is neither success nor refusal"),
        ("418 I'm a teapot", "418, which is neither"),
        ("500 Internal Server Error", "the server failed (500)"),
        ("502 Bad Gateway", "the server failed (502)"),
    ] {
        let other = answer(status, "", "");
        let server = Hostile::alone(move |_| Act::Answer(other.clone())).await;
        let report = probe(&server).await.expect("a report");
        undecided(&report, told);
        assert!(report.requests <= 4, "{} requests", report.requests);
    }
}

/// Red, clear screen, window title, and a right-to-left override.
const DRIVING: &str = "\u{1b}[31m\u{1b}[2J\u{9b}2J\u{1b}]0;title\u{7}\u{202e}";

#[tokio::test]
async fn no_text_of_a_server_drives_a_terminal() {
    let world = World::start().await;
    let escaped = DRIVING
        .replace('\u{1b}', "\\u001b")
        .replace('\u{7}', "\\u0007");
    let driving = move |turn: Turn| {
        if turn.request.contains("/.well-known/") {
            let document = format!(
                "{{\"resource\": \"http://x/{escaped}\", \
                 \"dpop_signing_alg_values_supported\": [\"{escaped}\"]}}"
            );
            return Act::Answer(answer("200 OK", "", &document));
        }
        if turn.answer.starts_with(b"HTTP/1.1 4") {
            let challenge = "www-authenticate: DPoP realm=\"\u{9b}2J\u{202e}\"\r\n";
            let body = format!("{{\"error\": \"{escaped}\"}}{DRIVING}");
            return Act::Answer(answer("401 Unauthorized", challenge, &body));
        }
        turn.pass()
    };
    let server = Hostile::before(&world.gateway, driving).await;
    let report = through(&world, &server).await;
    assert!(!report.labels.is_empty());
    tame(&serde_json::to_value(&report).expect("JSON"));

    let refusal = answer(
        "401 Unauthorized",
        "www-authenticate: DPoP realm=\"\u{9b}2J\u{202e}\"\r\n",
        "",
    );
    let server = Hostile::alone(move |_| Act::Answer(refusal.clone())).await;
    let error = probe(&server).await.expect_err("an error");
    assert!(matches!(error, ProbeError::CredentialsRefused { .. }));
    tame(&serde_json::Value::String(error.to_string()));
}

fn tame(value: &serde_json::Value) {
    match value {
        serde_json::Value::String(text) => {
            let wild = |c: char| c.is_control() || c == '\u{202e}';
            assert!(!text.contains(wild), "{text:?}");
        }
        serde_json::Value::Array(values) => values.iter().for_each(tame),
        serde_json::Value::Object(members) => members.values().for_each(tame),
        _ => {}
    }
}
