//! Every form of a report, from real runs.

use std::sync::Arc;

use keybound_probe::baseline::Baseline;
use keybound_probe::output::{self, Style};
use keybound_probe::{Options, Report, Silent, is_id};
use keybound_proto::Cause;
use keybound_testkit::{Exchanged, Faulty, Lenient, World};

/// The report of a server behind this fault, and the token that was shown to it.
async fn probed(lenient: &Lenient, world: &World) -> (Report, String) {
    let options = Options {
        rate: 0.0,
        connect_to: Some(lenient.address),
        ..Options::default()
    };
    let server = world.probed().await;
    let report = server
        .probe(&options, &world.timing(), &Silent)
        .await
        .expect("a report");
    (report, server.credentials.bound.token.expose().to_owned())
}

fn forms(report: &Report) -> [(&'static str, String); 6] {
    let style = Style {
        verbose: true,
        ..Style::default()
    };
    [
        ("table", output::table(report, style)),
        ("json", output::json(report)),
        ("junit", output::junit(report)),
        ("sarif", output::sarif(report)),
        ("markdown", output::markdown(report)),
        ("html", output::html(report)),
    ]
}

#[tokio::test]
async fn every_form_names_what_is_not_enforced() {
    let world = Arc::new(World::start().await);
    let lenient = Lenient::start(&world.gateway, Some(Cause::TokenSchemeDowngrade)).await;
    let (mut report, _) = probed(&lenient, &world).await;
    assert_eq!((report.grade, report.exit_code()), ('F', 1));
    for (form, text) in forms(&report) {
        assert!(text.contains("RS-01.without-proof"), "{form}");
        assert!(
            text.contains("leaves the proof out"),
            "{form} says why it matters"
        );
    }
    for finding in &report.findings {
        assert!(is_id(&finding.id), "{}", finding.id);
    }
    let read: Report = serde_json::from_str(&output::json(&report)).expect("a report");
    assert_eq!(output::html(&read), output::html(&report));

    let baseline = Baseline::parse(&Baseline::from_report(&report)).expect("a baseline");
    baseline.apply(&mut report, world.timing().now());
    assert_eq!((report.grade, report.exit_code()), ('F', 0));
}

/// A target that sends every credential back, in the header fields and the body of its refusals.
fn echo(exchanged: &Exchanged<'_>) -> Faulty {
    if exchanged.status() != "401" {
        return Faulty::Unchanged;
    }
    let credential = exchanged.header("authorization").unwrap_or("nothing");
    let token = credential.rsplit(' ').next().unwrap_or_default();
    Faulty::Other(format!(
        "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: DPoP error=\"{token}\"\r\n\
         content-length: 0\r\n\r\n{{\"error\":\"{token}\"}}"
    ))
}

#[tokio::test]
async fn no_form_shows_a_token_not_even_one_that_the_target_sends_back() {
    let world = Arc::new(World::start().await);
    let lenient = Lenient::with(&world.gateway, echo).await;
    let (report, token) = probed(&lenient, &world).await;
    let refusal = report
        .findings
        .iter()
        .find(|finding| finding.id == "RS-02.absent")
        .expect("a refusal");
    assert!(refusal.got.contains("(token, SHA-256"), "{}", refusal.got);
    let beginning = &token[..40];
    for (form, text) in forms(&report) {
        assert!(!text.contains(beginning), "{form} shows the token");
        let compact = text
            .split(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c))
            .find(|word| word.starts_with("eyJ") && word.matches('.').count() == 2);
        assert_eq!(compact, None, "{form} shows a JWT");
    }
}
