use super::*;

const MESSAGE: &[u8] = b"header.payload";

fn valid(key: &PublicKey, algorithm: Algorithm, signature: &[u8]) -> bool {
    key.verify(algorithm, MESSAGE, signature).is_ok()
}

#[test]
fn sc_040_one_bit_anywhere() {
    for (algorithm, key) in one_key_per_algorithm() {
        let public = key.public();
        let signature = key.sign(algorithm, MESSAGE);
        for bit in (0..signature.len() * 8).step_by(13) {
            let mut forged = signature.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(!valid(&public, algorithm, &forged), "{algorithm} bit {bit}");
        }
        for bit in 0..MESSAGE.len() * 8 {
            let mut message = MESSAGE.to_vec();
            message[bit / 8] ^= 1 << (bit % 8);
            assert!(public.verify(algorithm, &message, &signature).is_err());
        }
        assert!(valid(&public, algorithm, &signature), "{algorithm}");
    }
}

#[test]
fn sc_040_a_bit_of_each_segment_or_anothers_key() {
    let key = TestKey::p256();
    let text = key.jws(Algorithm::Es256, r#"{"alg":"ES256"}"#, r#"{"jti":"a"}"#);
    let dots: Vec<_> = text.match_indices('.').map(|(at, _)| at).collect();
    for at in [dots[0] - 3, dots[1] - 3, dots[1] + 3] {
        let mut forged = text.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let jws = Jws::parse(&forged, 8192).unwrap();
        assert_eq!(
            jws.verify(Algorithm::Es256, &key.public()).err(),
            Some(BadSignature)
        );
    }
    let jws = Jws::parse(text.as_bytes(), 8192).unwrap();
    let stranger = TestKey::p256().public();
    assert!(jws.verify(Algorithm::Es256, &stranger).is_err());
    assert!(jws.verify(Algorithm::Es256, &key.public()).is_ok());
}

#[test]
fn sc_012_the_algorithm_must_fit_the_key() {
    for (algorithm, key) in one_key_per_algorithm() {
        let public = key.public();
        let signature = key.sign(algorithm, MESSAGE);
        for other in Algorithm::ALL {
            if other != algorithm {
                assert!(!valid(&public, other, &signature), "{algorithm} as {other}");
            }
        }
    }
}

/// A signature made with one padding is not valid as the other one.
#[test]
fn sc_027_rsa_paddings_are_not_swapped() {
    let key = TestKey::rsa();
    let public = key.public();
    let pkcs1 = key.sign(Algorithm::Rs256, MESSAGE);
    let pss = key.sign(Algorithm::Ps256, MESSAGE);
    assert!(!valid(&public, Algorithm::Ps256, &pkcs1));
    assert!(!valid(&public, Algorithm::Rs256, &pss));
    assert!(valid(&public, Algorithm::Rs256, &pkcs1));
    assert!(valid(&public, Algorithm::Ps256, &pss));
    // The second verification uses the key parsed by the first one.
    assert!(valid(&public, Algorithm::Ps256, &pss));
}

#[test]
fn sc_023_zero_and_boundary_values() {
    // The order of P-256's base point.
    let order: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let mut before = order;
    before[31] -= 1;
    let mut one = [0; 32];
    one[31] = 1;
    let values = [[0; 32], one, before, order, [0xff; 32]];
    let key = TestKey::p256().public();
    for r in values {
        for s in values {
            let signature = [r, s].concat();
            assert!(!valid(&key, Algorithm::Es256, &signature));
        }
    }
    let key = TestKey::p384().public();
    assert!(!valid(&key, Algorithm::Es384, &[0; 96]));
    let key = TestKey::ed25519().public();
    assert!(!valid(&key, Algorithm::EdDsa, &[0; 64]));
    let key = TestKey::rsa().public();
    for fill in [0, 1, 0xff] {
        assert!(!valid(&key, Algorithm::Rs256, &[fill; 256]));
        assert!(!valid(&key, Algorithm::Ps256, &[fill; 256]));
    }
}

#[test]
fn sc_024_signatures_have_one_length() {
    for (algorithm, key) in one_key_per_algorithm() {
        let public = key.public();
        let signature = key.sign(algorithm, MESSAGE);
        let length = match algorithm {
            Algorithm::Es256 | Algorithm::EdDsa => 64,
            Algorithm::Es384 => 96,
            Algorithm::Ps256 | Algorithm::Rs256 => 256,
        };
        assert_eq!(signature.len(), length);
        assert!(!valid(&public, algorithm, &[]));
        assert!(!valid(&public, algorithm, &signature[1..]));
        assert!(!valid(&public, algorithm, &signature[..length - 1]));
        assert!(!valid(&public, algorithm, &[&signature[..], &[0]].concat()));
        assert!(!valid(&public, algorithm, &[&[0], &signature[..]].concat()));
    }
}

#[test]
fn sc_024_der_is_not_the_form_of_jws() {
    use aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;

    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let public = PublicKey::from_ec_point(Curve::P256, pair.public_key().as_ref()).unwrap();
    let der = pair.sign(&SystemRandom::new(), MESSAGE).unwrap();
    assert!(!valid(&public, Algorithm::Es256, der.as_ref()));
}

/// With the neutral element as key and `R`, and `S` = 0, the backend finds any
/// message signed. The key is refused at import; an `R` of small order at verification.
#[test]
fn sc_026_the_signature_that_needs_no_key() {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    let mut identity = [0; 32];
    identity[0] = 1;
    let signature = [identity, [0; 32]].concat();
    let backend = UnparsedPublicKey::new(&ED25519, identity);
    assert!(
        backend.verify(MESSAGE, &signature).is_ok(),
        "the backend has become strict; our check may go when all backends are"
    );
    assert_eq!(
        PublicKey::from_ed25519(&identity).unwrap_err(),
        JwkError::WeakKey
    );
    assert!(!valid(
        &TestKey::ed25519().public(),
        Algorithm::EdDsa,
        &signature
    ));
}

/// RFC 8032 section 5.1.7: `S` must be below the order, or every signature has a twin.
#[test]
fn sc_026_a_scalar_beyond_the_order() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let key = TestKey::ed25519();
    let mut signature = key.sign(Algorithm::EdDsa, MESSAGE);
    assert!(valid(&key.public(), Algorithm::EdDsa, &signature));
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert!(!valid(&key.public(), Algorithm::EdDsa, &signature));
}

#[test]
fn clones_share_the_parsed_key() {
    let key = TestKey::rsa();
    let public = key.public();
    let clone = public.clone();
    assert!(valid(
        &clone,
        Algorithm::Ps256,
        &key.sign(Algorithm::Ps256, MESSAGE)
    ));
    assert_eq!(clone, public);
    assert!(format!("{public:?}").contains(&public.thumbprint().to_string()));
}

/// ECDSA signatures come in pairs: whoever sees one can make the other without
/// the key. Both are valid, so nothing may be recorded by signature or text.
#[test]
fn sc_025_the_twin_of_a_signature_is_valid() {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let key = TestKey::p256();
    let signature = key.sign(Algorithm::Es256, MESSAGE);
    let mut twin = signature.clone();
    let mut borrow = 0;
    for (byte, order) in twin[32..].iter_mut().zip(ORDER).rev() {
        let difference = i16::from(order) - i16::from(*byte) - borrow;
        borrow = i16::from(difference < 0);
        *byte = difference.rem_euclid(256) as u8;
    }
    assert_ne!(twin, signature);
    assert!(valid(&key.public(), Algorithm::Es256, &twin));
}

/// Project Wycheproof's vectors for `rsa-pss-sha512` of RFC 9421 section 3.3.1, and for its
/// neighbour with a shorter salt, which is another algorithm. That set refuses one vector
/// because its salt has 64 bytes ("s_len changed to 64"), so that one is valid here.
#[test]
fn sc_027_rsa_pss_sha512() {
    use wycheproof::TestResult;
    use wycheproof::rsa_pss_verify::{TestName, TestSet};

    let judge = |set| {
        let (mut accepted, mut refused, mut surprises) = (0, 0, Vec::new());
        for group in TestSet::load(set).unwrap().test_groups {
            let strip = |number: &[u8]| {
                let zeros = number.iter().take_while(|byte| **byte == 0).count();
                number[zeros..].to_vec()
            };
            let key = PublicKey::from_rsa(&strip(&group.key.n), &strip(&group.key.e)).unwrap();
            for test in group.tests {
                let valid = key.verify_rsa_pss_sha512(&test.msg, &test.sig).is_ok();
                if valid {
                    accepted += 1;
                } else {
                    refused += 1;
                }
                if valid != (test.result == TestResult::Valid) {
                    surprises.push(test.tc_id);
                }
            }
        }
        (accepted, refused, surprises)
    };
    let (accepted, refused, surprises) = judge(TestName::RsaPss4096Sha512Mgf1SaltLen64);
    assert!(surprises.is_empty(), "{surprises:?}");
    assert!(accepted > 40 && refused > 40, "{accepted} and {refused}");
    let (accepted, ..) = judge(TestName::RsaPss4096Sha512Mgf1SaltLen32);
    assert!(
        accepted <= 1,
        "{accepted} signatures with a salt of 32 bytes"
    );
}
