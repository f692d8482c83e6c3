//! The client of the SPIFFE Workload API against a server that speaks its protocol.

use std::sync::Arc;

use keybound_guard::workload::{WorkloadApi, WorkloadApiError};
use keybound_proto::workload::TrustDomain;
use keybound_proto::workload::api::{
    ApiError, BundleKind, MAX_MESSAGE_BYTES, method, read_bundle, write_field,
};
use keybound_testkit::{ApiAnswer, FakeWorkloadApi};

/// Field 1 or 2 of a response: a trust domain and its bundle.
pub(crate) fn bundles(number: u8, domain: &str, bundle: &[u8]) -> Vec<u8> {
    let mut entry = Vec::new();
    write_field(&mut entry, 1, domain.as_bytes());
    write_field(&mut entry, 2, bundle);
    let mut message = Vec::new();
    write_field(&mut message, number, &entry);
    message
}

#[tokio::test]
async fn a_server_that_gives_nothing_is_told_from_one_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = WorkloadApi::new(&folder.path().join("none.sock"));
    let outcome = nobody.first_message(method::FETCH_X509_BUNDLES, &[]).await;
    assert_eq!(outcome, Err(WorkloadApiError::Unreachable));

    let server = FakeWorkloadApi::start(folder.path());
    let api = WorkloadApi::new(server.socket());
    let outcome = api.first_message(method::FETCH_WIT_BUNDLES, &[]).await;
    assert_eq!(outcome, Err(WorkloadApiError::Status(12)));
    // PermissionDenied: this process has no identity.
    server.answer(method::FETCH_WIT_BUNDLES, ApiAnswer::Status(7));
    let outcome = api.first_message(method::FETCH_WIT_BUNDLES, &[]).await;
    assert_eq!(outcome, Err(WorkloadApiError::Status(7)));
    let long = vec![0; MAX_MESSAGE_BYTES + 1];
    server.answer(method::FETCH_WIT_BUNDLES, ApiAnswer::Message(long));
    let outcome = api.first_message(method::FETCH_WIT_BUNDLES, &[]).await;
    assert_eq!(outcome, Err(WorkloadApiError::Message(ApiError::TooLong)));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let server = FakeWorkloadApi::start(folder.path());
    server.answer(method::FETCH_X509_SVID, ApiAnswer::Silence);
    let api = WorkloadApi::new(server.socket());
    let outcome = api.first_message(method::FETCH_X509_SVID, &[]).await;
    assert_eq!(outcome, Err(WorkloadApiError::TimedOut));
}

#[tokio::test]
async fn the_first_message_of_an_open_stream_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let server = Arc::new(FakeWorkloadApi::start(folder.path()));
    let large = vec![7; 200_000];
    let message = bundles(2, "spiffe://example.org", &large);
    server.answer(method::FETCH_X509_BUNDLES, ApiAnswer::Message(message));
    let api = WorkloadApi::new(server.socket());
    let message = api.first_message(method::FETCH_X509_BUNDLES, b"").await;
    let message = message.unwrap();
    let domain = TrustDomain::parse("spiffe://example.org").unwrap();
    assert_eq!(
        read_bundle(&message, BundleKind::X509, &domain),
        Ok(large.as_slice())
    );
    let calls = server.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].0, method::FETCH_X509_BUNDLES);
    assert!(calls[0].1.is_empty());
}
