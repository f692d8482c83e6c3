//! Keys made here and by another tool, and what is refused.

use super::*;

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa];

#[test]
fn rsa_keys_are_not_generated() {
    for algorithm in [Algorithm::Ps256, Algorithm::Rs256] {
        let error = SoftwareKey::generate(algorithm).expect_err("an RSA algorithm");
        assert!(matches!(error, GenerateKeyError::Unsupported(_)));
    }
}

#[test]
fn damaged_and_foreign_structures_are_refused() {
    let key = SoftwareKey::generate(Algorithm::Es256).expect("a key");
    let der = key.to_pkcs8_der().expect("its encoding");
    for cut in [0, 1, 2, 10, 40, der.len() - 1] {
        let error = SoftwareKey::from_pkcs8_der(&der[..cut]).expect_err("a cut key");
        assert_eq!(error, ParseKeyError::Damaged, "cut at {cut}");
    }
    let mut longer = der.to_vec();
    longer.push(0);
    assert!(SoftwareKey::from_pkcs8_der(&longer).is_err());

    // A valid structure whose algorithm is rsaEncryption.
    let rsa = [
        0x30, 0x14, 0x02, 0x01, 0x00, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d,
        0x01, 0x01, 0x01, 0x05, 0x00, 0x04, 0x00,
    ];
    let error = SoftwareKey::from_pkcs8_der(&rsa).expect_err("an RSA key");
    assert_eq!(error, ParseKeyError::Unsupported);
}

#[test]
fn a_public_half_of_another_key_is_refused() {
    let (a, b) = (
        SoftwareKey::generate(Algorithm::Es256).expect("a key"),
        SoftwareKey::generate(Algorithm::Es256).expect("another key"),
    );
    let mut der = a.to_pkcs8_der().expect("its encoding").to_vec();
    let other = b.to_pkcs8_der().expect("its encoding");
    // The point is the last 64 bytes of the structure.
    let from = der.len() - 64;
    der[from..].copy_from_slice(&other[from..]);
    let error = SoftwareKey::from_pkcs8_der(&der).expect_err("a mixed key");
    assert_eq!(error, ParseKeyError::Damaged);
}

#[test]
fn pem_keeps_the_key() {
    for algorithm in ALGORITHMS {
        let key = SoftwareKey::generate(algorithm).expect("a key");
        let text = key.to_pkcs8_pem().expect("its text");
        let again = SoftwareKey::from_pkcs8_pem(&text).expect("own text");
        assert_eq!(again.algorithm(), algorithm);
        let jkt = again.public_key().thumbprint();
        assert_eq!(jkt, key.public_key().thumbprint());
        let signature = again.sign(b"message").expect("a signature");
        let public = key.public_key();
        assert!(public.verify(algorithm, b"message", &signature).is_ok());
        assert!(public.verify(algorithm, b"massage", &signature).is_err());
    }
}

#[test]
fn the_ed25519_key_of_rfc_8410_is_read() {
    // RFC 8410 section 10.3: one key without and one with its public half.
    for text in [
        "-----BEGIN PRIVATE KEY-----\n\
         MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
         -----END PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\n\
         MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
         oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB\n\
         Z9w7lshQhqowtrbLDFw4rXAxZuE=\n\
         -----END PRIVATE KEY-----\n",
    ] {
        let key = SoftwareKey::from_pkcs8_pem(text).expect("the key of the RFC");
        let jwk = key.public_key().to_jwk();
        // The public key of RFC 8410 section 10.1 in base64url.
        assert!(
            jwk.contains("Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE"),
            "{jwk}"
        );
    }
}

#[test]
fn debug_shows_the_thumbprint_and_nothing_private() {
    for algorithm in ALGORITHMS {
        let key = SoftwareKey::generate(algorithm).expect("a key");
        let jkt = key.public_key().thumbprint();
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("SoftwareKey {{ jkt: {jkt:?}, .. }}"));
    }
}
