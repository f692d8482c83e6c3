//! Base64url, JSON, JWK and JWS.

use keybound_proto::{
    base64url,
    jose::{Algorithm, Jkt, Jws, PublicKey},
    json::{MAX_DEPTH, MAX_MEMBERS, MAX_VALUES, Object, Value},
    token::TokenHash,
};

/// Accepted texts are the one spelling of what they stand for.
pub(crate) fn encodings(input: &[u8]) -> bool {
    let decoded = base64url::decode(input);
    if let Ok(bytes) = &decoded {
        assert_eq!(base64url::encode(bytes).as_bytes(), input);
    }
    if let Ok(bytes) = base64url::decode_exact::<32>(input) {
        assert_eq!(decoded.as_deref(), Ok(&bytes[..]));
    }
    if let Ok(text) = std::str::from_utf8(input) {
        if let Ok(jkt) = text.parse::<Jkt>() {
            assert_eq!(jkt.to_string(), text);
        }
        if let Ok(jkt) = Jkt::from_uri(text) {
            assert_eq!(jkt.to_uri(), text);
            return true;
        }
        if let Some(hash) = TokenHash::from_hex(text) {
            // Operators paste either case; the value is what is compared.
            assert_eq!(hash.to_hex(), text.to_ascii_lowercase());
        }
        if let Some(hash) = TokenHash::from_ath(text) {
            assert_eq!(hash.to_ath(), text);
        }
    }
    decoded.is_ok()
}

/// Accepted documents keep to every limit.
pub(crate) fn json(input: &[u8]) -> bool {
    let Ok(object) = Object::parse(input) else {
        return false;
    };
    let mut values = 1;
    check_object(&object, 1, &mut values);
    assert!(values <= MAX_VALUES);
    true
}

fn check_object(object: &Object<'_>, depth: usize, values: &mut usize) {
    assert!(depth <= MAX_DEPTH);
    assert!(object.len() <= MAX_MEMBERS);
    for (position, (name, value)) in object.iter().enumerate() {
        let earlier = object.iter().take(position);
        assert!(earlier.into_iter().all(|(other, _)| other != name));
        check_value(value, depth, values);
    }
}

fn check_value(value: &Value<'_>, depth: usize, values: &mut usize) {
    *values += 1;
    match value {
        Value::Object(object) => check_object(object, depth + 1, values),
        Value::Array(elements) => {
            assert!(depth < MAX_DEPTH);
            for element in elements {
                check_value(element, depth + 1, values);
            }
        }
        Value::Float(number) => assert!(number.is_finite()),
        Value::Null | Value::Bool(_) | Value::Unsigned(_) | Value::Signed(_) | Value::String(_) => {
        }
    }
}

/// An accepted key is the same key again after it was written, and verifies no junk.
pub(crate) fn jwk(input: &[u8]) -> bool {
    let Ok(key) = PublicKey::from_jwk(input) else {
        return false;
    };
    let again = PublicKey::from_jwk(key.to_jwk().as_bytes()).expect("a written key is readable");
    assert_eq!(again.thumbprint(), key.thumbprint());
    assert_eq!(again.to_jwk(), key.to_jwk());
    assert!(key.supports(key.default_algorithm()));
    for algorithm in Algorithm::ALL {
        for length in [0, 64, 96, 256, 512] {
            let junk = key.verify(algorithm, input, &vec![0; length]);
            assert!(junk.is_err(), "a signature of zeros is valid");
        }
    }
    true
}

/// An accepted text is the only spelling of its three segments, and nobody has signed it.
pub(crate) fn jws(input: &[u8]) -> bool {
    let Ok(jws) = Jws::parse(input, 8192) else {
        return false;
    };
    let payload = base64url::encode(jws.payload());
    let dot = jws.signing_input().len() - payload.len() - 1;
    assert_eq!(
        &jws.signing_input()[dot..],
        format!(".{payload}").as_bytes()
    );
    let _ = jws.claims();
    let Ok(header) = jws.header() else {
        return false;
    };
    let _ = header.typ();
    if let Some(kid) = header.kid() {
        assert!(kid.len() <= 256);
    }
    let key = header.jwk().map(PublicKey::from_jwk_object);
    match (header.alg(), key) {
        // The text may carry the key that signed it, as a proof does.
        (Ok(algorithm), Some(Ok(key))) => {
            let valid = jws.verify(algorithm, &key).is_ok();
            assert!(!valid || key.supports(algorithm));
            valid
        }
        _ => false,
    }
}
