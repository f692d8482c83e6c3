//! Servers that are good now and bad then.

use std::sync::Arc;

use keybound_probe::{Report, Silent, Timing, Verdict};
use keybound_proto::time::ManualClock;
use keybound_testkit::{Act, Hostile, Turn, TurnedClock, World, answer};

use super::{count, options, probe, target, through, undecided};

/// In front of a strict gateway: every third good request gets this instead.
async fn every_third(instead: fn() -> Act) -> Report {
    let world = World::start().await;
    let flaky = move |turn: Turn| match turn.good {
        Some(good) if good % 3 == 0 => instead(),
        _ => turn.pass(),
    };
    let server = Hostile::before(&world.gateway, flaky).await;
    let report = through(&world, &server).await;
    assert!(server.requests() <= 1000);
    report
}

#[tokio::test]
async fn one_good_request_in_three_fails() {
    let report = every_third(|| Act::Answer(answer("500 Internal Server Error", "", ""))).await;
    undecided(&report, "good requests and served the next");
    let window = report.measures.iter();
    let mut window = window.filter(|measure| measure.name.starts_with("replay_window"));
    assert!(window.all(|measure| measure.value.is_none()));
    assert!(report.labels.iter().all(|label| label.agrees.is_none()));
}

#[tokio::test]
async fn one_good_request_in_three_is_refused() {
    let refusal = || {
        let challenge = "www-authenticate: DPoP error=\"invalid_token\"\r\n";
        Act::Answer(answer("401 Unauthorized", challenge, ""))
    };
    let report = every_third(refusal).await;
    undecided(&report, "a refusal proves nothing here");
    assert!(
        report
            .measures
            .iter()
            .all(|measure| measure.name == "clock_skew" || measure.value.is_none()),
        "{:?}",
        report.measures
    );
}

#[tokio::test]
async fn one_good_request_in_three_meets_a_broken_connection() {
    let report = every_third(|| Act::Close(Vec::new())).await;
    undecided(&report, "good requests and served the next");
}

#[tokio::test]
async fn a_connection_closed_without_a_word_after_each_answer_changes_nothing() {
    let world = World::start().await;
    let server = Hostile::before(&world.gateway, |turn| Act::Close(turn.answer)).await;
    let report = through(&world, &server).await;
    for finding in &report.findings {
        // One request may meet the first close; from then on no connection is kept.
        assert_ne!(finding.verdict, Verdict::NotEnforced, "{finding:?}");
    }
    assert!(
        count(&report, Verdict::Enforced) > 70,
        "{:?}",
        report.summary
    );
    assert!(report.summary.inconclusive <= 2, "{:?}", report.summary);
}

#[tokio::test]
async fn a_server_that_begins_to_refuse_everything_ends_the_run() {
    let world = World::start().await;
    let tired = |turn: Turn| {
        if turn.number > 60 {
            Act::Answer(answer("401 Unauthorized", "www-authenticate: DPoP\r\n", ""))
        } else {
            turn.pass()
        }
    };
    let server = Hostile::before(&world.gateway, tired).await;
    let report = through(&world, &server).await;
    assert_eq!(count(&report, Verdict::NotEnforced), 0);
    assert!(report.requests < 70, "{} requests", report.requests);
    // What was decided between good requests that were served is true, and stands.
    let at = |id: &str| {
        let finding = report.findings.iter().find(|finding| finding.id == id);
        finding.expect("a finding").verdict
    };
    assert_eq!(at("RS-01.without-proof"), Verdict::Enforced);
    assert_eq!(at("RS-20.error-code"), Verdict::Inconclusive);
    assert_eq!(at("RS-20.metadata-agrees"), Verdict::Inconclusive);
    assert!(count(&report, Verdict::Inconclusive) > 40);
    assert_eq!(report.grade, '?');
    let warnings = report.warnings.join("; ");
    assert!(warnings.contains("the run ended early"), "{warnings}");
}

#[tokio::test]
async fn an_open_server_that_begins_to_refuse_everything_is_not_called_strict() {
    let tired = |turn: Turn| {
        if turn.number > 60 {
            Act::Answer(answer("401 Unauthorized", "www-authenticate: DPoP\r\n", ""))
        } else {
            Act::Answer(answer("200 OK", "", "{}"))
        }
    };
    let server = Hostile::alone(tired).await;
    let report = probe(&server).await.expect("a report");
    // An OPTIONS or a spelling that is to be served is; nothing that is to be refused was.
    for finding in &report.findings {
        let asks_for_refusal = finding.cause.is_some();
        assert!(
            !asks_for_refusal || finding.verdict != Verdict::Enforced,
            "{}: {}",
            finding.id,
            finding.reason
        );
    }
    assert_eq!(report.grade, 'F');
    let warnings = report.warnings.join("; ");
    assert!(warnings.contains("--canary"), "{warnings}");
}

#[tokio::test]
async fn a_limit_that_says_how_long_to_wait_is_waited_for() {
    let world = World::start().await;
    let limited = |turn: Turn| match turn.number % 6 {
        0 => Act::Answer(answer("429 Too Many Requests", "retry-after: 1\r\n", "")),
        3 => Act::Answer(answer("503 Service Unavailable", "retry-after: 1\r\n", "")),
        _ => turn.pass(),
    };
    let server = Hostile::before(&world.gateway, limited).await;
    let report = through(&world, &server).await;
    // Requests that may be sent once only meet the limit now and then, and stay open.
    assert_eq!(count(&report, Verdict::NotEnforced), 0);
    assert!(
        count(&report, Verdict::Enforced) > 40,
        "{:?}",
        report.summary
    );
    let limits = "the server limits the rate";
    for finding in &report.findings {
        if finding.verdict == Verdict::Inconclusive {
            let told = finding.reason.contains(limits)
                || finding.got.contains("429")
                || finding.got.contains("503")
                || finding.got.contains("lost")
                || finding.got.contains("without an answer");
            assert!(told, "{}: {} ({})", finding.id, finding.reason, finding.got);
        }
    }
}

#[tokio::test]
async fn a_limit_without_end_ends_the_run() {
    for (fields, told) in [
        ("", "the server limits the rate (429)"),
        ("retry-after: 1\r\n", "and asks to wait 1 s"),
        ("retry-after: 3600\r\n", "and asks to wait 3600 s"),
        (
            "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 09:49:37 GMT\r\n",
            "and asks to wait 3600 s",
        ),
    ] {
        let refusal = answer("429 Too Many Requests", fields, "");
        let server = Hostile::alone(move |_| Act::Answer(refusal.clone())).await;
        let report = probe(&server).await.expect("a report");
        undecided(&report, told);
        assert!(report.requests <= 8, "{} requests", report.requests);
        assert!(report.seconds < 60.0, "{} s", report.seconds);
    }
}

#[tokio::test]
async fn a_limit_after_a_while_casts_no_doubt_on_what_was_decided() {
    let world = World::start().await;
    let limited = |turn: Turn| {
        if turn.number > 60 {
            Act::Answer(answer("429 Too Many Requests", "", ""))
        } else {
            turn.pass()
        }
    };
    let server = Hostile::before(&world.gateway, limited).await;
    let report = through(&world, &server).await;
    assert_eq!(count(&report, Verdict::NotEnforced), 0);
    assert!(count(&report, Verdict::Enforced) > 10);
    assert!(count(&report, Verdict::Inconclusive) > 40);
    assert!(report.requests < 80, "{} requests", report.requests);
}

#[tokio::test]
async fn a_run_has_a_longest_time() {
    let clock = ManualClock::at(1_800_000_000);
    let (turned, timing) = (clock.clone(), TurnedClock(clock));
    let timing: Arc<dyn Timing> = Arc::new(timing);
    // Each answer takes two minutes of the run's clock.
    let server = Hostile::alone(move |_| {
        turned.advance_secs(120);
        Act::Answer(answer("200 OK", "", "{}"))
    })
    .await;
    let target = target(&server.origin());
    let report = target.probe(&options(), &timing, &Silent).await;
    let report = report.expect("a report");
    assert!(report.requests <= 31, "{} requests", report.requests);
    let warnings = report.warnings.join("; ");
    assert!(
        warnings.contains("the run takes longer than 3600 s"),
        "{warnings}"
    );
    assert!(count(&report, Verdict::Inconclusive) > 30);
}

#[tokio::test]
async fn a_run_has_a_greatest_number_of_requests() {
    let world = World::start().await;
    let mut options = options();
    options.timeout = std::time::Duration::from_secs(5);
    options.max_requests = 20;
    let run = world.probed().await;
    let report = run.probe(&options, &world.timing(), &Silent).await;
    let report = report.expect("a report");
    assert_eq!(report.requests, 20);
    assert_eq!(count(&report, Verdict::NotEnforced), 0);
    assert!(count(&report, Verdict::Enforced) > 2);
    assert!(count(&report, Verdict::Inconclusive) > 40);
    let open = report.findings.iter();
    let mut open = open.filter(|finding| finding.verdict == Verdict::Inconclusive);
    assert!(open.any(|finding| finding.reason.contains("limit of 20 requests")));
}
