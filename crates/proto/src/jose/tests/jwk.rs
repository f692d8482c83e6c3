use super::*;
use crate::{base64url::encode, json::JsonError};

const P256_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const P256_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const ED25519_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// 2^256 - 2^224 + 2^192 + 2^96 - 1.
const P256_PRIME: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
];

fn ec(x: &str, y: &str) -> String {
    format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#)
}

fn refused(jwk: &str) -> JwkError {
    PublicKey::from_jwk(jwk.as_bytes()).expect_err(jwk)
}

#[test]
fn sc_010_symmetric_keys() {
    assert_eq!(refused(r#"{"kty":"oct","k":"AAAA"}"#), JwkError::Symmetric);
    assert_eq!(refused(r#"{"kty":"oct"}"#), JwkError::Symmetric);
}

#[test]
fn sc_014_private_members() {
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        for value in ["\"secret-part\"", "null", "\"\"", "[]"] {
            for public in [
                format!(r#""kty":"EC","crv":"P-256","x":"{P256_X}","y":"{P256_Y}""#),
                format!(r#""kty":"OKP","crv":"Ed25519","x":"{ED25519_X}""#),
                r#""kty":"RSA","n":"AQAB","e":"AQAB""#.to_owned(),
                r#""kty":"EC""#.to_owned(),
            ] {
                let error = refused(&format!(r#"{{{public},"{member}":{value}}}"#));
                assert_eq!(error, JwkError::PrivateMember, "{member} {value}");
                assert!(!error.to_string().contains("secret-part"));
            }
        }
    }
    // A name hidden behind an escape is the same name.
    let escaped = ec(P256_X, P256_Y).replace("\"kty\"", "\"\\u0064\":\"AA\",\"kty\"");
    assert_eq!(refused(&escaped), JwkError::PrivateMember);
}

#[test]
fn sc_015_missing_or_mistyped_members() {
    assert_eq!(refused("{}"), JwkError::Missing { member: "kty" });
    assert_eq!(
        refused(r#"{"kty":null}"#),
        JwkError::Malformed { member: "kty" }
    );
    assert_eq!(
        refused(r#"{"kty":["EC"]}"#),
        JwkError::Malformed { member: "kty" }
    );
    for (jwk, member) in [
        (r#"{"kty":"EC"}"#, "crv"),
        (r#"{"kty":"EC","crv":"P-256"}"#, "x"),
        (
            &format!(r#"{{"kty":"EC","crv":"P-256","x":"{P256_X}"}}"#),
            "y",
        ),
        (r#"{"kty":"OKP"}"#, "crv"),
        (r#"{"kty":"OKP","crv":"Ed25519"}"#, "x"),
        (r#"{"kty":"RSA","e":"AQAB"}"#, "n"),
    ] {
        assert_eq!(refused(jwk), JwkError::Missing { member }, "{jwk}");
    }
    assert_eq!(
        refused(r#"{"kty":"EC","crv":"P-256","x":1,"y":2}"#),
        JwkError::Malformed { member: "x" }
    );
    for text in ["null", "[]", "\"{}\"", "", "1"] {
        assert!(matches!(refused(text), JwkError::Json(_)), "{text}");
    }
    assert_eq!(
        refused(r#"{"kty":"EC","kty":"EC"}"#),
        JwkError::Json(JsonError::DuplicateMember)
    );
}

#[test]
fn unsupported_types_and_curves() {
    for jwk in [
        r#"{"kty":"ec"}"#,
        r#"{"kty":"EC","crv":"P-521"}"#,
        r#"{"kty":"EC","crv":"secp256k1"}"#,
        r#"{"kty":"EC","crv":"p-256"}"#,
        r#"{"kty":"EC","crv":"Ed25519"}"#,
        r#"{"kty":"OKP","crv":"P-256"}"#,
        r#"{"kty":"OKP","crv":"Ed448"}"#,
        r#"{"kty":"OKP","crv":"X25519"}"#,
        r#"{"kty":"AKP"}"#,
        r#"{"kty":""}"#,
    ] {
        assert_eq!(refused(jwk), JwkError::Unsupported, "{jwk}");
    }
}

#[test]
fn sc_020_points_that_are_not_on_the_curve() {
    let zero = encode(&[0; 32]);
    let prime = encode(&P256_PRIME);
    let all_ones = encode(&[0xff; 32]);
    for (x, y) in [
        (P256_X, P256_X),
        (P256_Y, P256_X),
        (&zero, &zero),
        (&zero, P256_Y),
        (P256_X, &zero),
        (&prime, P256_Y),
        (P256_X, &prime),
        (&all_ones, &all_ones),
    ] {
        assert_eq!(refused(&ec(x, y)), JwkError::NotOnCurve, "{x} {y}");
    }
    // The coordinates of one curve under the name of another.
    assert_eq!(
        refused(&ec(P256_X, P256_Y).replace("P-256", "P-384")),
        JwkError::Malformed { member: "x" }
    );
    let p384 = TestKey::p384().public().to_jwk();
    assert_eq!(
        refused(&p384.replace("P-384", "P-256")),
        JwkError::Malformed { member: "x" }
    );

    for point in [&[][..], &[0], &[4], &[4; 64], &[4; 66], &[2; 33]] {
        assert_eq!(
            PublicKey::from_ec_point(Curve::P256, point).unwrap_err(),
            JwkError::Malformed { member: "x" }
        );
    }
    // A good point behind the marks of the compressed and hybrid forms.
    let coordinates = [P256_X, P256_Y].map(|text| crate::base64url::decode(text.as_bytes()));
    let coordinates = coordinates.map(Result::unwrap).concat();
    for mark in [0, 2, 3, 5, 6, 7] {
        let point = [&[mark], &coordinates[..]].concat();
        assert_eq!(
            PublicKey::from_ec_point(Curve::P256, &point).unwrap_err(),
            JwkError::Malformed { member: "x" }
        );
    }
    assert!(PublicKey::from_ec_point(Curve::P256, &[&[4], &coordinates[..]].concat()).is_ok());
}

/// P-256 has a point with x = 0, whose x could also be written as the prime.
#[test]
fn sc_020_a_coordinate_beyond_the_prime() {
    let y = "ZkhceA4vg9ckM71dhKBrtlQcKvMdrocXKL-FahdPk_Q";
    assert_eq!(refused(&ec(&encode(&P256_PRIME), y)), JwkError::NotOnCurve);
    assert!(PublicKey::from_jwk(ec(&encode(&[0; 32]), y).as_bytes()).is_ok());
}

#[test]
fn coordinates_have_one_length_and_one_spelling() {
    let x = crate::base64url::decode(P256_X.as_bytes()).unwrap();
    let long = encode(&[&[0][..], &x].concat());
    let short = encode(&x[1..]);
    let padded = format!("{P256_X}=");
    for other in [&long, &short, &padded, "", "A", &P256_X.replace('f', "+")] {
        for jwk in [ec(other, P256_Y), ec(P256_Y, other)] {
            assert!(
                matches!(refused(&jwk), JwkError::Malformed { .. }),
                "{other}"
            );
        }
        let okp = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{other}"}}"#);
        assert_eq!(refused(&okp), JwkError::Malformed { member: "x" });
    }
}

#[test]
fn sc_022_rsa_keys_outside_of_the_range() {
    let rsa = |n: &[u8], e: &str| format!(r#"{{"kty":"RSA","n":"{}","e":"{e}"}}"#, encode(n));
    let mut n = vec![0x5b; 256];
    n[0] = 0x80;
    for (jwk, cause) in [
        (rsa(&n[..128], "AQAB"), JwkError::WeakKey),
        (rsa(&[0x81; 513], "AQAB"), JwkError::WeakKey),
        (rsa(&[0x81; 2048], "AQAB"), JwkError::WeakKey),
        (rsa(&[0x81; 20_000], "AQAB"), JwkError::WeakKey),
        (
            rsa(&[&[0], &n[..]].concat(), "AQAB"),
            JwkError::Malformed { member: "n" },
        ),
        (rsa(&n, "AAEAAQ"), JwkError::Malformed { member: "e" }),
        (rsa(&n, ""), JwkError::Malformed { member: "e" }),
        (rsa(&n, "AQ"), JwkError::WeakKey),
        (rsa(&n, "Ag"), JwkError::WeakKey),
        (rsa(&n, "AQAAAAE"), JwkError::WeakKey),
        (rsa(&n, "AQAB="), JwkError::Malformed { member: "e" }),
    ] {
        assert_eq!(refused(&jwk), cause, "{jwk}");
    }
    for bytes in [256, 300, 512] {
        let mut n = vec![0x5b; bytes];
        n[0] = 0x80;
        let key = PublicKey::from_jwk(rsa(&n, "AQAB").as_bytes()).unwrap();
        assert_eq!(
            key.to_jwk(),
            format!(r#"{{"e":"AQAB","kty":"RSA","n":"{}"}}"#, encode(&n))
        );
    }
}

#[test]
fn sc_026_ed25519_points_of_small_order() {
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    };
    for encoded in [
        // The eight points in their canonical encodings.
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        // The same points with the wrong sign of x = 0, or y beyond the prime.
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        // Not reduced, whatever its order.
        "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ] {
        let encoded = hex(encoded);
        assert_eq!(
            PublicKey::from_ed25519(&encoded).unwrap_err(),
            JwkError::WeakKey
        );
        let jwk = format!(
            r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#,
            encode(&encoded)
        );
        assert_eq!(refused(&jwk), JwkError::WeakKey);
    }
    // The base point has y = 4/5, and the largest reduced y is not refused as such.
    let base = hex("5866666666666666666666666666666666666666666666666666666666666666");
    assert!(PublicKey::from_ed25519(&base).is_ok());
    let high = hex("ebffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
    assert!(PublicKey::from_ed25519(&high).is_ok());
    for length in [0, 31, 33, 44] {
        assert_eq!(
            PublicKey::from_ed25519(&vec![0x58; length]).unwrap_err(),
            JwkError::Malformed { member: "x" }
        );
    }
}

#[test]
fn sc_016_extra_members_do_not_change_the_key() {
    for (algorithm, key) in one_key_per_algorithm() {
        let key = key.public();
        let plain = PublicKey::from_jwk(key.to_jwk().as_bytes()).unwrap();
        let extra = key.to_jwk_with("a \"quoted\" kid", algorithm).replace(
            "\"kty\"",
            r#""x5c":["AA"],"x5u":"https://evil.example","ext":true,"kty""#,
        );
        let extra = PublicKey::from_jwk(extra.as_bytes()).unwrap();
        assert_eq!(plain.thumbprint(), key.thumbprint());
        assert_eq!(extra.thumbprint(), key.thumbprint());
        assert_eq!(extra, plain);
    }
}

#[test]
fn published_keys_say_how_to_use_them() {
    let jwk = format!(r#"{{"crv":"P-256","kty":"EC","x":"{P256_X}","y":"{P256_Y}"}}"#);
    let key = PublicKey::from_jwk(jwk.as_bytes()).unwrap();
    assert_eq!(key.to_jwk(), jwk);
    assert_eq!(
        key.to_jwk_with("kb-1", Algorithm::Es256),
        format!(
            r#"{{"crv":"P-256","kty":"EC","x":"{P256_X}","y":"{P256_Y}","alg":"ES256","kid":"kb-1","use":"sig"}}"#
        )
    );
}

#[test]
fn keys_fit_their_algorithms_only() {
    for (algorithm, key) in one_key_per_algorithm() {
        let key = key.public();
        for other in Algorithm::ALL {
            let rsa = |algorithm| matches!(algorithm, Algorithm::Ps256 | Algorithm::Rs256);
            let fits = other == algorithm || (rsa(other) && rsa(algorithm));
            assert_eq!(key.supports(other), fits, "{algorithm} {other}");
        }
        assert!(key.supports(key.default_algorithm()));
    }
}
