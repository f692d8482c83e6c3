//! Deny before allow, by the ids of the catalogue of attacks.

mod jwk;
mod jws;
mod signature;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeySize, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
    },
};

use super::*;

/// A key pair made for one test.
#[derive(Debug)]
enum TestKey {
    Ec(EcdsaKeyPair, Curve),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl TestKey {
    fn p256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self::Ec(pair, Curve::P256)
    }

    fn p384() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        Self::Ec(pair, Curve::P384)
    }

    fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    fn public(&self) -> PublicKey {
        match self {
            Self::Ec(pair, curve) => PublicKey::from_ec_point(*curve, pair.public_key().as_ref()),
            Self::Ed25519(pair) => PublicKey::from_ed25519(pair.public_key().as_ref()),
            Self::Rsa(pair) => {
                let parts: PublicKeyComponents<Vec<u8>> = pair.public_key().into();
                PublicKey::from_rsa(&parts.n, &parts.e)
            }
        }
        .unwrap()
    }

    fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ec(pair, _) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Rsa(pair) => {
                let padding: &'static dyn aws_lc_rs::signature::RsaEncoding =
                    if algorithm == Algorithm::Ps256 {
                        &RSA_PSS_SHA256
                    } else {
                        &RSA_PKCS1_SHA256
                    };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature)
                    .unwrap();
                signature
            }
        }
    }

    /// A compact JWS over the two JSON texts.
    fn jws(&self, algorithm: Algorithm, header: &str, payload: &str) -> String {
        let input = SigningInput::new(header, payload);
        let signature = self.sign(algorithm, input.bytes());
        input.attach(&signature)
    }
}

/// Every algorithm with a key that fits it.
fn one_key_per_algorithm() -> Vec<(Algorithm, TestKey)> {
    vec![
        (Algorithm::Es256, TestKey::p256()),
        (Algorithm::EdDsa, TestKey::ed25519()),
        (Algorithm::Es384, TestKey::p384()),
        (Algorithm::Ps256, TestKey::rsa()),
        (Algorithm::Rs256, TestKey::rsa()),
    ]
}

#[test]
fn sc_013_algorithm_sets_hold_what_they_name() {
    assert_eq!(AlgorithmSet::of(&[]).to_string(), "");
    assert!(AlgorithmSet::of(&[]).is_empty());
    for set in [AlgorithmSet::PROOF_DEFAULT, AlgorithmSet::TOKEN_DEFAULT] {
        assert_eq!(set.to_string(), "ES256 EdDSA");
        for refused in [Algorithm::Es384, Algorithm::Ps256, Algorithm::Rs256] {
            assert!(!set.contains(refused), "{refused}");
        }
    }
    assert_eq!(
        AlgorithmSet::FOREIGN_TOKEN_DEFAULT.to_string(),
        "ES256 EdDSA PS256 RS256"
    );
    assert_eq!(
        AlgorithmSet::ALL.to_string(),
        "ES256 EdDSA ES384 PS256 RS256"
    );
    for algorithm in Algorithm::ALL {
        let only = AlgorithmSet::of(&[algorithm]);
        assert_eq!(only.iter().collect::<Vec<_>>(), [algorithm]);
        assert_eq!(std::iter::once(algorithm).collect::<AlgorithmSet>(), only);
        assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
    }
}

#[test]
fn thumbprints_have_one_spelling() {
    let jkt = TestKey::p256().public().thumbprint();
    let text = jkt.to_string();
    assert_eq!(text.parse(), Ok(jkt));
    assert_eq!(Jkt::from_uri(&jkt.to_uri()), Ok(jkt));
    for other in [
        format!("{text}="),
        format!(" {text}"),
        text[..42].to_owned(),
        format!("{text}A"),
        String::new(),
    ] {
        assert_eq!(other.parse::<Jkt>(), Err(JktError), "{other}");
    }
    assert_eq!(Jkt::from_uri(&text), Err(JktError));
    assert_eq!(
        Jkt::from_uri(&jkt.to_uri().replace("sha-256", "sha-512")),
        Err(JktError)
    );
}

#[test]
fn debug_output_holds_no_token_text() {
    let key = TestKey::ed25519();
    let text = key.jws(
        Algorithm::EdDsa,
        r#"{"alg":"EdDSA","jwk":{"d":"private-part"}}"#,
        r#"{"sub":"somebody"}"#,
    );
    let jws = Jws::parse(text.as_bytes(), 8192).unwrap();
    let shown = format!(
        "{jws:?} {:?} {:?} {:?} {:?}",
        jws.header().unwrap(),
        jws.claims().unwrap(),
        jws.header_object().unwrap(),
        SigningInput::new("{}", "{}")
    );
    let signature = text.rsplit('.').next().unwrap();
    for secret in ["private-part", "somebody", signature, &text[..20]] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

/// A signer whose key is away, or which gives what it was told to.
#[derive(Debug)]
struct FakeSigner {
    key: PublicKey,
    answer: Result<Vec<u8>, SignError>,
}

impl Signer for FakeSigner {
    fn algorithm(&self) -> Algorithm {
        self.key.default_algorithm()
    }

    fn public_key(&self) -> &PublicKey {
        &self.key
    }

    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.answer.clone()
    }
}

#[test]
fn a_signer_that_cannot_sign_gives_no_token() {
    let error = SignError::new("the token was removed");
    let mut signer = FakeSigner {
        key: TestKey::p256().public(),
        answer: Err(error.clone()),
    };
    let input = SigningInput::new("{}", "{}");
    assert_eq!(input.clone().sign(&signer), Err(error.clone()));
    assert_eq!(
        error.to_string(),
        "the key could not sign: the token was removed"
    );
    signer.answer = Ok(vec![0xfb, 0xff]);
    assert_eq!(input.sign(&signer), Ok("e30.e30.-_8".to_owned()));
}
