//! Project Wycheproof's signature vectors, all groups of the sets that belong to
//! our algorithms, through the same `PublicKey::verify` that tokens go through.
//!
//! A vector that Wycheproof leaves open ("acceptable") must be refused, unless
//! it is named in the test with the reason.

use keybound_proto::jose::{Algorithm, Curve, JwkError, PublicKey};
use wycheproof::TestResult;

/// What one set showed, so that a set that has lost its vectors is noticed.
#[derive(Debug, Default, Eq, PartialEq)]
struct Tally {
    valid: usize,
    refused: usize,
}

impl Tally {
    fn check(&mut self, id: usize, comment: &str, expected: TestResult, accepted: bool) {
        match (expected, accepted) {
            (TestResult::Valid, true) => self.valid += 1,
            (TestResult::Invalid | TestResult::Acceptable, false) => self.refused += 1,
            (TestResult::Valid, false) => panic!("test {id} is refused: {comment}"),
            (TestResult::Invalid | TestResult::Acceptable, true) => {
                panic!("test {id} is accepted: {comment}")
            }
        }
    }
}

fn ecdsa(name: wycheproof::ecdsa::TestName, curve: Curve, algorithm: Algorithm) -> Tally {
    let mut tally = Tally::default();
    for group in wycheproof::ecdsa::TestSet::load(name).unwrap().test_groups {
        let key = PublicKey::from_ec_point(curve, &group.key.key).unwrap();
        for test in group.tests {
            let accepted = key.verify(algorithm, &test.msg, &test.sig).is_ok();
            tally.check(test.tc_id, &test.comment, test.result, accepted);
        }
    }
    tally
}

#[test]
fn sc_023_sc_024_es256() {
    let set = wycheproof::ecdsa::TestName::EcdsaSecp256r1Sha256P1363;
    let tally = ecdsa(set, Curve::P256, Algorithm::Es256);
    assert_eq!(
        tally,
        Tally {
            valid: 173,
            refused: 89
        }
    );
}

#[test]
fn sc_023_sc_024_es384() {
    let set = wycheproof::ecdsa::TestName::EcdsaSecp384r1Sha384P1363;
    let tally = ecdsa(set, Curve::P384, Algorithm::Es384);
    assert_eq!(
        tally,
        Tally {
            valid: 193,
            refused: 87
        }
    );
}

#[test]
fn sc_026_eddsa() {
    let set = wycheproof::eddsa::TestName::Ed25519;
    let mut tally = Tally::default();
    for group in wycheproof::eddsa::TestSet::load(set).unwrap().test_groups {
        let key = PublicKey::from_ed25519(&group.key.pk).unwrap();
        for test in group.tests {
            let accepted = key.verify(Algorithm::EdDsa, &test.msg, &test.sig).is_ok();
            tally.check(test.tc_id, &test.comment, test.result, accepted);
        }
    }
    assert_eq!(
        tally,
        Tally {
            valid: 88,
            refused: 63
        }
    );
}

/// The vectors write numbers with a sign bit, so a zero byte may come first.
fn rsa_key(key: &wycheproof::RsaPublic) -> Result<PublicKey, JwkError> {
    let unsigned = |number: &[u8]| -> Vec<u8> {
        number
            .iter()
            .copied()
            .skip_while(|byte| *byte == 0)
            .collect()
    };
    PublicKey::from_rsa(&unsigned(&key.n), &unsigned(&key.e))
}

fn rs256(name: wycheproof::rsa_pkcs1_verify::TestName) -> Tally {
    let mut tally = Tally::default();
    for group in wycheproof::rsa_pkcs1_verify::TestSet::load(name)
        .unwrap()
        .test_groups
    {
        let key = rsa_key(&group.key).unwrap();
        for test in group.tests {
            let accepted = key.verify(Algorithm::Rs256, &test.msg, &test.sig).is_ok();
            tally.check(test.tc_id, &test.comment, test.result, accepted);
        }
    }
    tally
}

#[test]
fn sc_027_rs256() {
    use wycheproof::rsa_pkcs1_verify::TestName;

    for (set, valid, refused) in [
        (TestName::Rsa2048Sha256, 9, 250),
        (TestName::Rsa3072Sha256, 8, 251),
        (TestName::Rsa4096Sha256, 7, 251),
    ] {
        assert_eq!(rs256(set), Tally { valid, refused }, "{set:?}");
    }
}

#[test]
fn sc_027_ps256() {
    use wycheproof::rsa_pss_verify::TestName;

    for set in [
        TestName::RsaPss2048Sha256Mgf1SaltLen32,
        TestName::RsaPss3072Sha256Mgf1SaltLen32,
        TestName::RsaPss4096Sha256Mgf1SaltLen32,
    ] {
        let expected = Tally {
            valid: 63,
            refused: 45,
        };
        assert_eq!(ps256(set), expected, "{set:?}");
    }
}

fn ps256(name: wycheproof::rsa_pss_verify::TestName) -> Tally {
    let mut tally = Tally::default();
    for group in wycheproof::rsa_pss_verify::TestSet::load(name)
        .unwrap()
        .test_groups
    {
        let key = rsa_key(&group.key).unwrap();
        for test in group.tests {
            let accepted = key.verify(Algorithm::Ps256, &test.msg, &test.sig).is_ok();
            tally.check(test.tc_id, &test.comment, test.result, accepted);
        }
    }
    tally
}

/// Signatures of other parameters are neither PS256 nor RS256.
///
/// One exception: among the vectors for a salt of length 0, test 69 ("s_len
/// changed to 32") is refused there for the very parameters of PS256, so it is
/// a valid PS256 signature.
#[test]
fn sc_027_neighbouring_pss_parameters() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};

    for (set, exceptions) in [
        (TestName::RsaPss2048Sha256Mgf1SaltLen0, &[69][..]),
        (TestName::RsaPss2048Sha256Mgf1Sha1_20, &[]),
        (TestName::RsaPss2048Sha384Mgf1SaltLen48, &[]),
        (TestName::RsaPss2048Sha512_256Mgf1SaltLen32, &[]),
        (TestName::RsaPss4096Sha512Mgf1SaltLen32, &[]),
    ] {
        let mut accepted = Vec::new();
        for group in TestSet::load(set).unwrap().test_groups {
            let key = rsa_key(&group.key).unwrap();
            for test in group.tests {
                let verified = key.verify(Algorithm::Ps256, &test.msg, &test.sig);
                accepted.extend(verified.map(|_| test.tc_id));
            }
        }
        assert_eq!(accepted, exceptions, "{set:?}");
    }
}

/// The sets for other hashes hold one exception each, "The message is hashed
/// with SHA-256 instead of ...": that is a valid RS256 signature, and the only one.
#[test]
fn sc_027_neighbouring_pkcs1_hashes() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};

    for (set, exception) in [
        (TestName::Rsa2048Sha224, 219),
        (TestName::Rsa2048Sha384, 221),
        (TestName::Rsa2048Sha512, 221),
        (TestName::Rsa2048Sha512_256, 221),
        (TestName::Rsa2048Sha3_256, 221),
    ] {
        let mut accepted = Vec::new();
        for group in TestSet::load(set).unwrap().test_groups {
            let key = rsa_key(&group.key).unwrap();
            for test in group.tests {
                let verified = key.verify(Algorithm::Rs256, &test.msg, &test.sig);
                accepted.extend(verified.map(|_| test.tc_id));
            }
        }
        assert_eq!(accepted, [exception], "{set:?}");
    }
}

#[test]
fn sc_022_moduli_beyond_4096_bits_are_refused() {
    let set = wycheproof::rsa_pkcs1_verify::TestName::Rsa8192Sha256;
    for group in wycheproof::rsa_pkcs1_verify::TestSet::load(set)
        .unwrap()
        .test_groups
    {
        assert_eq!(rsa_key(&group.key).err(), Some(JwkError::WeakKey));
    }
}
