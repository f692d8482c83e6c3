//! Authorization servers that are flaky, or no authorization servers at all.

use std::sync::Arc;
use std::time::Duration;

use keybound_probe::{
    AuthorizationServer, Client, NoAnswer, Options, ProbeError, Report, Silent, Verdict,
};
use keybound_proto::uri::HttpUrl;
use keybound_testkit::{Act, Hostile, Turn, World, answer};

use super::{count, options};

/// The world's issuer, reached through this server, as a client that registers itself.
async fn through(world: &World, server: &Hostile) -> Result<Report, ProbeError> {
    let options = Options {
        connect_to: Some(server.address),
        timeout: Duration::from_secs(5),
        ..options()
    };
    let key = Arc::<_>::clone(&world.agent.proof_key);
    let issuer = HttpUrl::parse(&world.issuer).expect("a URL");
    let mut target = AuthorizationServer::new(issuer, Client::Register(None), key);
    target.resource = Some(format!("{}/", world.gateway));
    target.probe(&options, &world.timing(), &Silent).await
}

#[tokio::test]
async fn one_good_token_request_in_three_fails() {
    let world = World::start().await;
    for status in ["500 Internal Server Error", "401 Unauthorized"] {
        let flaky = move |turn: Turn| {
            // The first of all is served, or there would be nothing to begin with.
            let token = turn.request.starts_with("POST /token ") && turn.number > 3;
            match turn.good {
                Some(good) if token && good % 3 == 0 => Act::Answer(answer(status, "", "")),
                _ => turn.pass(),
            }
        };
        let server = Hostile::before(&world.issuer, flaky).await;
        let report = through(&world, &server).await.expect("a report");
        assert_eq!(count(&report, Verdict::NotEnforced), 0, "{status}");
        assert_eq!(count(&report, Verdict::Enforced), 0, "{status}");
        assert!(count(&report, Verdict::Inconclusive) > 20, "{status}");
        assert_eq!(report.grade, '?');
    }
}

#[tokio::test]
async fn pages_instead_of_metadata() {
    let world = World::start().await;
    let page = answer(
        "200 OK",
        "content-type: text/html\r\n",
        "<html>Log in</html>",
    );
    let server = Hostile::before(&world.issuer, move |_| Act::Answer(page.clone())).await;
    let error = through(&world, &server).await.expect_err("no report");
    assert!(matches!(error, ProbeError::Document { .. }), "{error:?}");
    assert!(error.next_step().contains("issuer identifier"), "{error}");
}

#[tokio::test]
async fn an_issuer_that_closes() {
    let world = World::start().await;
    let server = Hostile::before(&world.issuer, |_| Act::Close(Vec::new())).await;
    let error = through(&world, &server).await.expect_err("no report");
    assert!(
        matches!(error, ProbeError::NoAnswer(NoAnswer::Broken(_))),
        "{error:?}"
    );
}
