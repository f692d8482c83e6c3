use super::{
    CertificateError, ClientName, PeerCertificate, RegisteredCertificates,
    RegisteredCertificatesError, TrustAnchorError, TrustAnchors,
};
use crate::base64url;
use crate::cause::Cause;
use crate::jose::PublicKey;
use crate::json::Object;
use crate::time::UnixTime;
use serde_json::Value;

fn load(name: &str) -> Value {
    let path = format!("{}/../../vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    base64url::decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().into_iter().flatten();
    list.map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Form, validity at the vector's moment, the path, and what the client registered.
fn read(vector: &Value) -> Result<PeerCertificate, Cause> {
    let list = |name: &str| -> Vec<_> {
        let list = vector[name].as_array().into_iter().flatten();
        list.map(bytes).collect()
    };
    let now = UnixTime::from_secs(vector["now"].as_u64().unwrap());
    let peer = PeerCertificate::from_der(&bytes(&vector["certificate"]), list("chain"))?;
    peer.check_time(now)?;
    let registered = &vector["registered"];
    if vector["anchors"].is_array() {
        let anchors = TrustAnchors::from_der(list("anchors").iter().map(Vec::as_slice)).unwrap();
        let lists = list("crls");
        let lists = lists.iter().map(Vec::as_slice);
        let anchors = anchors.with_revocation_lists(lists).unwrap();
        let trusted = anchors.verify_client(&peer, now)?;
        let (member, value) = registered.as_object().unwrap().iter().next().unwrap();
        let name = ClientName::read(member, value.as_str().unwrap()).unwrap();
        assert_eq!(
            ClientName::read(name.member(), &name.value()),
            Ok(name.clone())
        );
        name.check(&trusted).map_err(|refused| refused.cause())?;
    } else if registered["jwks"].is_object() {
        let jwks = registered["jwks"].to_string();
        let read = |text: &str| {
            RegisteredCertificates::read(&Object::parse(text.as_bytes()).unwrap()).unwrap()
        };
        // What is stored means the same as what was registered.
        let registered = read(&read(&jwks).to_jwks());
        registered.check(&peer).map_err(|refused| refused.cause())?;
    }
    Ok(peer)
}

#[test]
fn every_certificate_vector_is_read_as_expected() {
    let file = load("certificates.json");
    let vectors = file["vectors"].as_array().unwrap();
    assert!(vectors.len() > 15, "only {} vectors", vectors.len());
    for vector in vectors {
        let result = read(vector);
        let id = result.as_ref().map_or_else(|cause| cause.id(), |_| "ok");
        assert_eq!(id, vector["expect"].as_str().unwrap(), "{}", vector["id"]);
        let Ok(peer) = result else { continue };
        if let Some(subject) = vector["subject"].as_str() {
            assert_eq!(peer.subject().to_string(), subject);
        }
        let names = &vector["names"];
        if !vector["registered"].is_null() {
            continue;
        }
        assert_eq!(peer.dns_names(), texts(&names["dns"]));
        assert_eq!(peer.uris(), texts(&names["uri"]));
        assert_eq!(peer.emails(), texts(&names["email"]));
        let ips: Vec<_> = peer
            .ip_addresses()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(ips, texts(&names["ip"]));
        let agent = load("keys.json")["keys"][0]["jkt"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(peer.jkt().map(|jkt| jkt.to_string()), Some(agent));
    }
}

#[test]
fn the_certificate_of_rfc_8705_appendix_a_has_its_thumbprint_and_its_key() {
    let file = load("rfc/rfc8705_mtls.json");
    let standard = file["certificate_der_b64"].as_str().unwrap();
    let text = standard
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_");
    let der = base64url::decode(text.as_bytes()).unwrap();
    let peer = PeerCertificate::from_der(&der, Vec::new()).unwrap();
    assert_eq!(
        peer.thumbprint().to_string(),
        file["cnf"]["x5t#S256"].as_str().unwrap()
    );
    let jwk = &file["jwk"];
    let members = format!(
        r#"{{"kty":{},"crv":{},"x":{},"y":{}}}"#,
        jwk["kty"], jwk["crv"], jwk["x"], jwk["y"]
    );
    let key = PublicKey::from_jwk(members.as_bytes()).unwrap();
    assert_eq!(peer.public_key(), Some(&key));
    assert_eq!(peer.subject().to_string(), "CN=mtls");
    // It was in force from 2018-10-18 to 2022-05-02.
    let at = |seconds| peer.check_time(UnixTime::from_secs(seconds)).map(|_| ());
    assert_eq!(at(1_539_866_228), Err(Cause::CertificateNotYetValid));
    assert_eq!(at(1_539_866_229), Ok(()));
    assert_eq!(at(1_651_495_029), Ok(()));
    assert_eq!(at(1_651_495_030), Err(Cause::CertificateExpired));
}

/// SC-164: what stands elsewhere in the chain says nothing about the peer.
#[test]
fn sc_164_identity_comes_from_the_end_entity_certificate() {
    let file = load("certificates.json");
    let find = |id: &str| {
        let vectors = file["vectors"].as_array().unwrap();
        bytes(&vectors.iter().find(|vector| vector["id"] == id).unwrap()["certificate"])
    };
    let (attacker, victim) = (find("certificate-hidden-name"), find("certificate-names"));
    let peer = PeerCertificate::from_der(&attacker, vec![victim.clone()]).unwrap();
    let alone = PeerCertificate::from_der(&victim, Vec::new()).unwrap();
    assert_ne!(peer.thumbprint(), alone.thumbprint());
    assert!(peer.uris().is_empty() && peer.dns_names().is_empty());
    assert_eq!(peer.intermediates(), [victim]);
}

#[test]
fn a_certificate_changed_anywhere_is_another_one_or_none() {
    let file = load("certificates.json");
    let good = bytes(&file["vectors"].as_array().unwrap().last().unwrap()["certificate"]);
    let original = PeerCertificate::from_der(&good, Vec::new()).unwrap();
    for position in 0..good.len() {
        let mut changed = good.clone();
        changed[position] ^= 1;
        if let Ok(peer) = PeerCertificate::from_der(&changed, Vec::new()) {
            assert_ne!(peer.thumbprint(), original.thumbprint());
        }
    }
}

#[test]
fn nothing_but_public_facts_is_shown() {
    let error = PeerCertificate::from_der(b"secret", Vec::new()).unwrap_err();
    assert_eq!(error, CertificateError::Malformed);
    assert!(!format!("{error:?} {error}").contains("secret"));
}

#[test]
fn a_registration_that_says_nothing_is_none() {
    let read = |text: &str| RegisteredCertificates::read(&Object::parse(text.as_bytes()).unwrap());
    let key = load("keys.json")["keys"][0]["jwk"].clone();
    let mut public = key.clone();
    public.as_object_mut().unwrap().remove("d");
    let mut other = public.clone();
    let file = load("rfc/rfc8705_mtls.json");
    other["x5c"] = file["jwk"]["x5c"].clone();
    let set = |key: &Value| format!(r#"{{"keys":[{key}]}}"#);
    for set in [
        "{}".to_owned(),
        r#"{"keys":[]}"#.to_owned(),
        r#"{"keys":["x"]}"#.to_owned(),
    ] {
        assert_eq!(read(&set).err(), Some(RegisteredCertificatesError::Set));
    }
    let many = format!(r#"{{"keys":[{}]}}"#, vec![public.to_string(); 9].join(","));
    assert_eq!(read(&many).err(), Some(RegisteredCertificatesError::Set));
    assert!(matches!(
        read(&set(&key)),
        Err(RegisteredCertificatesError::Key(_))
    ));
    let certificate = Some(RegisteredCertificatesError::Certificate);
    assert_eq!(
        read(&set(&other)).err(),
        certificate,
        "another key's certificate"
    );
    other["x5c"] = serde_json::json!([]);
    assert_eq!(read(&set(&other)).err(), certificate);
    assert!(read(&set(&public)).is_ok());
}

#[test]
fn anchors_are_authorities() {
    let file = load("certificates.json");
    let vectors = file["vectors"].as_array().unwrap();
    let leaf = bytes(&vectors.last().unwrap()["certificate"]);
    let read = |der: &[u8]| TrustAnchors::from_der([der]).err();
    assert_eq!(read(&leaf), Some(TrustAnchorError::NotAnAuthority));
    assert_eq!(read(b"x"), Some(TrustAnchorError::Malformed));
    assert_eq!(
        TrustAnchors::from_pem(b"").err(),
        Some(TrustAnchorError::Empty)
    );
    let find = |id: &str| vectors.iter().find(|vector| vector["id"] == id).unwrap();
    let expired = bytes(&find("path-anchor-expired")["anchors"][0]);
    let anchors = TrustAnchors::from_der([expired.as_slice()]).unwrap();
    let now = UnixTime::from_secs(find("path-anchor-expired")["now"].as_u64().unwrap());
    assert_eq!(anchors.check_time(now), Err(TrustAnchorError::Expired));
    assert_eq!(anchors.check_time(now.minus(86_400)), Ok(()));
    let list = anchors.with_revocation_lists([&b"x"[..]]).err();
    assert_eq!(list, Some(TrustAnchorError::RevocationList));
}
