//! The examples printed in RFC 7515, 7638, 8037, 9278 and 9449, read from
//! `vectors/rfc` at the root of the repository.

use std::path::Path;

use keybound_proto::{
    base64url,
    jose::{Algorithm, AlgorithmFault, Jkt, Jws, JwsError, PublicKey},
    json::{Object, Value, quote},
};

fn file(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../vectors/rfc")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The vectors of a file, found by the section they come from.
fn vector<'o>(document: &'o Object<'_>, source: &str) -> &'o Object<'o> {
    document
        .array("vectors")
        .unwrap()
        .unwrap()
        .iter()
        .filter_map(Value::as_object)
        .find(|vector| vector.string("source") == Ok(Some(source)))
        .unwrap_or_else(|| panic!("no vector of {source}"))
}

/// A printed key as text; the private member `d` only if asked for.
fn jwk(object: &Object<'_>, private: bool) -> String {
    let members: Vec<String> = object
        .iter()
        .filter(|(name, _)| private || *name != "d")
        .map(|(name, value)| format!("{}:{}", quote(name), quote(value.as_str().unwrap())))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// Verifies one printed JWS after having seen it refused in every altered form.
fn check_jws(source: &str, algorithm: Algorithm) -> Vec<u8> {
    let bytes = file("rfc7515_8037_jws.json");
    let document = Object::parse(&bytes).unwrap();
    let vector = vector(&document, source);
    let printed = vector.object("jwk").unwrap().unwrap();
    assert!(
        PublicKey::from_jwk(jwk(printed, true).as_bytes()).is_err(),
        "the private key is refused as a public one"
    );
    let key = PublicKey::from_jwk(jwk(printed, false).as_bytes()).unwrap();
    let text = vector.string("jws").unwrap().unwrap();

    for at in (0..text.len())
        .step_by(7)
        .filter(|at| text.as_bytes()[*at] != b'.')
    {
        let mut altered = text.as_bytes().to_vec();
        altered[at] = if altered[at] == b'A' { b'Q' } else { b'A' };
        let refused =
            Jws::parse(&altered, 8192).map_or(true, |jws| jws.verify(algorithm, &key).is_err());
        assert!(refused, "{source} altered at {at}");
    }

    let jws = Jws::parse(text.as_bytes(), 8192).unwrap();
    assert_eq!(jws.header().unwrap().alg(), Ok(algorithm));
    assert!(jws.verify(algorithm, &key).is_ok());
    jws.payload().to_vec()
}

#[test]
fn rfc_7515_a_3_es256() {
    let payload = check_jws("RFC 7515 A.3", Algorithm::Es256);
    let claims = Object::parse(&payload).unwrap();
    assert_eq!(claims.string("iss"), Ok(Some("joe")));
    assert_eq!(claims.unsigned("exp"), Ok(Some(1_300_819_380)));
}

#[test]
fn rfc_8037_a_4_eddsa() {
    let payload = check_jws("RFC 8037 A.4", Algorithm::EdDsa);
    assert_eq!(payload, b"Example of Ed25519 signing");
}

#[test]
fn rfc_7515_a_5_is_unsigned() {
    // The one example of the RFC without a signature.
    let text = b"eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";
    assert_eq!(Jws::parse(text, 8192).err(), Some(JwsError::EmptySegment));
    let signed = [&text[..], b"AA"].concat();
    let jws = Jws::parse(&signed, 8192).unwrap();
    assert_eq!(
        jws.header().unwrap().alg(),
        Err(JwsError::Algorithm(AlgorithmFault::None))
    );
}

#[test]
fn rfc_7638_and_8037_thumbprints() {
    let bytes = file("rfc7638_9278_8037_thumbprints.json");
    let document = Object::parse(&bytes).unwrap();
    for source in ["RFC 7638 s3.1", "RFC 8037 A.3"] {
        let vector = vector(&document, source);
        let text = jwk(vector.object("jwk").unwrap().unwrap(), true);
        let key = PublicKey::from_jwk(text.as_bytes()).unwrap();
        let hash_input = vector.string("hash_input").unwrap().unwrap();
        let thumbprint = vector.string("sha256_b64url").unwrap().unwrap();
        assert_eq!(key.to_jwk(), hash_input, "{source}");
        assert_eq!(key.thumbprint().to_string(), thumbprint, "{source}");
        if let Some(hex) = vector.string("sha256_hex").unwrap() {
            let digest = base64url::decode(thumbprint.as_bytes()).unwrap();
            let shown: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(shown, hex);
        }
    }
}

#[test]
fn rfc_9278_thumbprint_uri() {
    let bytes = file("rfc7638_9278_8037_thumbprints.json");
    let document = Object::parse(&bytes).unwrap();
    let uri = vector(&document, "RFC 9278 s6")
        .string("jwk_thumbprint_uri")
        .unwrap()
        .unwrap();
    let jkt = Jkt::from_uri(uri).unwrap();
    assert_eq!(jkt.to_uri(), uri);
    assert_eq!(
        jkt.to_string(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
}

#[test]
fn rfc_9449_proofs() {
    let bytes = file("rfc9449_dpop.json");
    let document = Object::parse(&bytes).unwrap();
    let proofs = document.array("proofs").unwrap().unwrap();
    assert_eq!(proofs.len(), 3);
    for proof in proofs.iter().filter_map(Value::as_object) {
        let text = proof.string("jwt").unwrap().unwrap();
        let jws = Jws::parse(text.as_bytes(), 8192).unwrap();
        let header = jws.header().unwrap();
        assert_eq!(header.typ(), Some("dpop+jwt"));
        let key = PublicKey::from_jwk_object(header.jwk().unwrap()).unwrap();
        assert_eq!(
            Some(key.thumbprint().to_string().as_str()),
            proof.string("jkt").unwrap()
        );
        assert_eq!(
            std::str::from_utf8(jws.payload()).ok(),
            proof.string("payload_raw").unwrap()
        );
        assert!(jws.verify(Algorithm::Es384, &key).is_err());
        assert!(jws.verify(Algorithm::Es256, &key).is_ok());
    }
    // The key that signed the token is not printed, so only its form is checked.
    let token = document.object("bound_access_token_jwt").unwrap().unwrap();
    let text = token.string("jwt").unwrap().unwrap();
    let jws = Jws::parse(text.as_bytes(), 8192).unwrap();
    assert_eq!(jws.header().unwrap().kid(), Some("BeALkb"));
    let claims = jws.claims().unwrap();
    let cnf = claims.object("cnf").unwrap().unwrap();
    assert_eq!(cnf.string("jkt"), document.string("jkt"));
}
