use super::super::clients::{ClientCredential, ClientRecord, ClientSource, RegisterOutcome};
use super::*;

fn client(id: &str, source: ClientSource) -> ClientRecord {
    ClientRecord {
        client_id: id.to_owned(),
        identity: id.to_owned(),
        name: None,
        credential: ClientCredential::ClientSecretBasic {
            sha256: hash(1).to_hex(),
        },
        grants: vec!["client_credentials".to_owned()],
        scopes: vec!["approvals:read".to_owned()],
        resources: vec!["https://api.example.com/".to_owned()],
        dpop_bound: true,
        certificate_bound: false,
        redirect_uris: Vec::new(),
        source,
        created_at: NOW,
    }
}

#[tokio::test]
async fn registration_takes_over_no_id_and_keeps_to_its_limit() {
    let (store, _) = memory();
    let configured = client("a", ClientSource::Configured);
    store
        .upsert_configured_client(configured.clone())
        .await
        .unwrap();
    let register = |id| store.register_client(client(id, ClientSource::Registered), Some(1));
    assert_eq!(register("a").await.unwrap(), RegisterOutcome::Exists);
    assert_eq!(*store.client("a").await.unwrap().unwrap(), configured);
    assert_eq!(register("b").await.unwrap(), RegisterOutcome::Registered);
    assert_eq!(register("c").await.unwrap(), RegisterOutcome::LimitReached);
    assert_eq!(store.client("c").await.unwrap(), None);
}

#[tokio::test]
async fn an_oversized_record_is_refused() {
    let (store, _) = memory();
    let huge = ClientRecord {
        credential: ClientCredential::PrivateKeyJwt {
            jwks: "x".repeat(65 * 1024),
        },
        ..client("a", ClientSource::Registered)
    };
    assert!(store.register_client(huge, None).await.is_err());
}

#[tokio::test]
async fn a_changed_configuration_is_seen_at_once_and_an_unchanged_one_writes_nothing() {
    let (store, _) = memory();
    let record = client("a", ClientSource::Configured);
    store
        .upsert_configured_client(record.clone())
        .await
        .unwrap();
    store.client("a").await.unwrap();
    let later = ClientRecord {
        created_at: NOW + 5,
        ..record.clone()
    };
    store.upsert_configured_client(later).await.unwrap();
    assert_eq!(store.last_event(), 1);
    let changed = ClientRecord {
        scopes: vec![],
        ..record
    };
    store
        .upsert_configured_client(changed.clone())
        .await
        .unwrap();
    assert_eq!(*store.client("a").await.unwrap().unwrap(), changed);
}

#[test]
fn credentials_do_not_show() {
    let shown = format!("{:?}", client("a", ClientSource::Registered));
    assert!(!shown.contains(&hash(1).to_hex()), "{shown}");
}
