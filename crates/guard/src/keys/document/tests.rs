use keybound_custody::SoftwareKey;
use keybound_proto::jose::Signer as _;
use proptest::prelude::*;

use super::*;

fn jwk(kid: &str, algorithm: Algorithm) -> String {
    let key = SoftwareKey::generate(algorithm).unwrap();
    key.public_key().to_jwk_with(kid, algorithm)
}

fn set(keys: &[String]) -> Result<KeySet, DocumentError> {
    KeySet::parse(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes())
}

fn query(kid: Option<&str>, algorithm: Algorithm) -> TokenQuery {
    TokenQuery {
        issuer: "https://auth.example.com".into(),
        kid: kid.map(str::to_owned),
        algorithm,
    }
}

#[test]
fn documents_that_are_no_key_set_are_refused() {
    for text in [
        "",
        "<!doctype html><html></html>",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":["x"]}"#,
        r#"{"keys":[],"keys":[]}"#,
    ] {
        assert_eq!(
            KeySet::parse(text.as_bytes()).unwrap_err(),
            DocumentError::Malformed,
            "{text}"
        );
    }
}

#[test]
fn repeated_kid_is_refused() {
    let keys = [jwk("a", Algorithm::Es256), jwk("a", Algorithm::EdDsa)];
    assert_eq!(set(&keys).unwrap_err(), DocumentError::DuplicateKeyId);
}

#[test]
fn too_many_keys_are_refused() {
    let keys: Vec<_> = (0..=MAX_KEYS)
        .map(|n| jwk(&n.to_string(), Algorithm::EdDsa))
        .collect();
    assert_eq!(set(&keys).unwrap_err(), DocumentError::TooManyKeys);
    assert_eq!(set(&keys[1..]).unwrap().len(), MAX_KEYS);
}

#[test]
fn keys_for_other_purposes_are_left_out() {
    let good = jwk("a", Algorithm::Es256);
    let change = |from: &str, to: &str| {
        assert!(good.contains(from), "{good}");
        good.replace(from, to)
    };
    let others = [
        change(r#""use":"sig""#, r#""use":"enc""#),
        change(r#""use":"sig""#, r#""key_ops":["sign"]"#),
        change(r#""alg":"ES256""#, r#""alg":"ECDH-ES""#),
        change(r#""kty":"EC""#, r#""kty":"AKP""#),
        change(r#""use":"sig""#, r#""use":"sig","d":"AAAA""#),
        r#"{"kty":"oct","k":"AAAA","kid":"a"}"#.to_owned(),
        r#"{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"a"}"#.to_owned(),
    ];
    assert!(set(&others).unwrap().is_empty());
    // The same id twice is no conflict while only one of the keys is usable.
    let mixed = [others.as_slice(), &[good]].concat();
    assert_eq!(set(&mixed).unwrap().len(), 1);
}

#[test]
fn key_is_found_by_kid_and_fitting_algorithm_only() {
    let set = set(&[jwk("a", Algorithm::Es256), jwk("b", Algorithm::EdDsa)]).unwrap();
    let found = |kid, algorithm| set.candidates(&query(kid, algorithm)).len();
    assert_eq!(found(Some("c"), Algorithm::Es256), 0);
    assert_eq!(found(Some("a"), Algorithm::EdDsa), 0);
    assert_eq!(found(Some("a"), Algorithm::Ps256), 0);
    assert_eq!(found(Some("../a"), Algorithm::Es256), 0);
    assert_eq!(found(Some("a"), Algorithm::Es256), 1);
    assert_eq!(found(None, Algorithm::EdDsa), 1);
    assert_eq!(found(None, Algorithm::Rs256), 0);
}

/// A key whose `alg` its own kind cannot do is good for nothing, not for both.
#[test]
fn a_key_has_to_fit_its_alg_and_its_kind() {
    let torn = jwk("a", Algorithm::Es256).replace(r#""alg":"ES256""#, r#""alg":"EdDSA""#);
    let set = set(&[torn]).unwrap();
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        assert!(set.candidates(&query(Some("a"), algorithm)).is_empty());
        assert!(set.candidates(&query(None, algorithm)).is_empty());
    }
}

#[test]
fn keys_with_an_empty_or_overlong_id_are_left_out() {
    let (overlong, longest) = ("k".repeat(MAX_KID_BYTES + 1), "k".repeat(MAX_KID_BYTES));
    for kid in ["", &overlong] {
        assert!(set(&[jwk(kid, Algorithm::EdDsa)]).unwrap().is_empty());
    }
    let set = set(&[jwk(&longest, Algorithm::EdDsa)]).unwrap();
    assert!(!set.is_empty());
    assert_eq!(
        set.candidates(&query(Some(&longest), Algorithm::EdDsa))
            .len(),
        1
    );
}

#[test]
fn sc_241_metadata_of_another_issuer_is_refused() {
    let issuer = HttpUrl::parse("https://auth.example.com/a").unwrap();
    let read = |document: &str, listed: &[Origin]| jwks_uri(document.as_bytes(), &issuer, listed);
    for other in [
        "https://auth.example.com/a/",
        "https://auth.example.com",
        "https://AUTH.example.com/a",
    ] {
        let document =
            format!(r#"{{"issuer":"{other}","jwks_uri":"https://auth.example.com/jwks"}}"#);
        let error = read(&document, &[]).unwrap_err();
        assert!(
            matches!(error, DocumentError::IssuerMismatch { .. }),
            "{other}"
        );
    }
    let foreign =
        r#"{"issuer":"https://auth.example.com/a","jwks_uri":"https://keys.example.com/j"}"#;
    let error = read(foreign, &[]).unwrap_err();
    assert_eq!(
        error,
        DocumentError::JwksUriForeign("https://keys.example.com".into())
    );
    for lacking in [
        r#"{"issuer":"https://auth.example.com/a"}"#,
        r#"{"issuer":"https://auth.example.com/a","jwks_uri":"file:///etc/passwd"}"#,
    ] {
        assert_eq!(read(lacking, &[]).unwrap_err(), DocumentError::JwksUri);
    }
    assert_eq!(read("<html>", &[]).unwrap_err(), DocumentError::Malformed);
    let listed = [Origin::parse("https://keys.example.com").unwrap()];
    assert_eq!(
        read(foreign, &listed).unwrap().as_str(),
        "https://keys.example.com/j"
    );
}

#[test]
fn well_known_part_is_inserted_for_oauth_and_appended_for_oidc() {
    let urls = |issuer: &str| -> Vec<String> {
        let urls = metadata_urls(&HttpUrl::parse(issuer).unwrap());
        urls.iter().map(|url| url.as_str().to_owned()).collect()
    };
    assert_eq!(
        urls("https://a.example"),
        [
            "https://a.example/.well-known/oauth-authorization-server",
            "https://a.example/.well-known/openid-configuration",
        ]
    );
    assert_eq!(
        urls("https://a.example:8443/t/1/"),
        [
            "https://a.example:8443/.well-known/oauth-authorization-server/t/1",
            "https://a.example:8443/t/1/.well-known/openid-configuration",
        ]
    );
}

proptest! {
    /// Whatever a server answers, it is read or refused, never a panic.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,200}") {
        let issuer = HttpUrl::parse("https://auth.example.com").unwrap();
        for document in [bytes, text.clone().into_bytes(), format!("{{\"keys\":[{text}]}}").into_bytes()] {
            let _ = KeySet::parse(&document);
            prop_assert!(jwks_uri(&document, &issuer, &[]).is_err());
        }
    }
}
