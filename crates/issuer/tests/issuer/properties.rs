//! The parsers of outside bytes: nothing panics, and what is accepted has one
//! reading.

use keybound_issuer::IssuerConfig;
use keybound_issuer::flow::credentials;
use keybound_issuer::flow::form::Form;
use keybound_issuer::flow::registration;
use keybound_issuer::flow::scope::Scopes;
use keybound_proto::verify::HeaderField;
use proptest::prelude::*;

use crate::world::encode;

const ALGORITHMS: keybound_proto::jose::AlgorithmSet = IssuerConfig::DEFAULT_ASSERTION_ALGORITHMS;

/// Bytes that look like a form often enough to get past the first check.
fn form_like() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(
        prop_oneof![
            Just(b'&'),
            Just(b'='),
            Just(b'%'),
            Just(b'+'),
            Just(b'a'),
            Just(b'4'),
            Just(b'f'),
            any::<u8>(),
        ],
        0..200,
    )
}

proptest! {
    #[test]
    fn a_form_gives_back_what_was_encoded(
        pairs in proptest::collection::btree_map("[a-z_]{1,16}", "[^\\p{Cc}]{1,40}", 0..16)
    ) {
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let body = encode(&pairs);
        let form = Form::parse(body.as_bytes()).unwrap();
        for (name, value) in pairs {
            prop_assert_eq!(form.value(name), Some(value));
        }
    }

    #[test]
    fn no_form_panics_and_no_name_has_two_values(body in form_like()) {
        if let Ok(form) = Form::parse(&body) {
            for name in ["a", "4", "f", "aa", "="] {
                prop_assert!(form.values(name).count() <= 1);
            }
        }
    }

    #[test]
    fn scopes_are_what_they_print(text in ".{0,200}") {
        if let Ok(scopes) = Scopes::parse(&text) {
            prop_assert_eq!(Scopes::parse(&scopes.to_string()).ok(), Some(scopes));
        }
    }

    #[test]
    fn no_registration_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let certificates = registration::CertificateOffer { asked_for: true, has_anchors: true };
        let offer = registration::Offer { certificates, authorization: true };
        if let Ok(metadata) = registration::judge(&body, &Scopes::default(), ALGORITHMS, offer) {
            prop_assert!(metadata.scopes.is_empty());
        }
    }

    #[test]
    fn no_authorization_header_panics(value in proptest::collection::vec(any::<u8>(), 0..100), basic in any::<bool>()) {
        let form = Form::parse(b"").unwrap();
        let value = if basic { [b"Basic ".as_slice(), &value].concat() } else { value };
        // What is taken names a client; everything else is a refusal.
        if let Ok(presented) = credentials::read(HeaderField::One(&value), &form) {
            prop_assert!(!presented.client_id().is_empty());
        }
    }
}
