//! A certificate somebody makes who knows another one: same subject, same
//! extensions, a key of his own, signed by himself (RFC 5280 section 4.1).
//!
//! Only the outer structure is read and written; what the fields say is copied
//! as it stands. Nothing here verifies anything.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::transport::ClientIdentity;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// `[0] EXPLICIT INTEGER 2`: version 3.
const VERSION_3: &[u8] = &[VERSION, 3, INTEGER, 1, 2];
/// ecdsa-with-SHA256 (RFC 5758 section 3.2).
const ECDSA_SHA256: &[u8] = &[SEQUENCE, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// id-ecPublicKey on secp256r1 (RFC 5480 section 2.1.1).
const EC_P256: &[u8] = &[
    SEQUENCE, 19, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3,
    1, 7,
];

/// A self-signed certificate with the subject of this one, and its key.
///
/// # Errors
/// What cannot be read or made, in words.
pub(super) fn same_subject(certificate: &CertificateDer<'_>) -> Result<ClientIdentity, String> {
    let unreadable = || "the client certificate is no X.509 certificate".to_owned();
    let original = Original::read(certificate.as_ref()).ok_or_else(unreadable)?;
    let unable = |_| "no key could be made".to_owned();
    let random = SystemRandom::new();
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).map_err(unable)?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref())
        .map_err(|_| "no key could be made".to_owned())?;
    let content = original.to_be_signed(pair.public_key().as_ref());
    let signature = pair.sign(&random, &content).map_err(unable)?;
    let parts = [
        content,
        ECDSA_SHA256.to_vec(),
        bit_string(signature.as_ref()),
    ];
    Ok(ClientIdentity {
        chain: vec![CertificateDer::from(tagged(SEQUENCE, &parts.concat()))],
        key: PrivatePkcs8KeyDer::from(document.as_ref().to_vec()).into(),
    })
}

/// The fields that are copied, each with its tag and length.
struct Original<'a> {
    serial: &'a [u8],
    validity: &'a [u8],
    subject: &'a [u8],
    extensions: &'a [u8],
}

impl<'a> Original<'a> {
    fn read(der: &'a [u8]) -> Option<Self> {
        let (_, certificate, _) = element(der).filter(|(tag, ..)| *tag == SEQUENCE)?;
        let (_, mut fields, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
        if fields.first() == Some(&VERSION) {
            fields = whole(fields)?.1;
        }
        let (serial, rest) = whole(fields)?;
        let (_signature, rest) = whole(rest)?;
        let (_issuer, rest) = whole(rest)?;
        let (validity, rest) = whole(rest)?;
        let (subject, rest) = whole(rest)?;
        let (_key, mut rest) = whole(rest)?;
        let mut extensions: &[u8] = &[];
        while !rest.is_empty() {
            let (field, after) = whole(rest)?;
            if field.first() == Some(&EXTENSIONS) {
                extensions = field;
            }
            rest = after;
        }
        Some(Self {
            serial,
            validity,
            subject,
            extensions,
        })
    }

    fn to_be_signed(&self, point: &[u8]) -> Vec<u8> {
        let key = tagged(SEQUENCE, &[EC_P256, &bit_string(point)].concat());
        let fields = [
            VERSION_3,
            self.serial,
            ECDSA_SHA256,
            self.subject,
            self.validity,
            self.subject,
            &key,
            self.extensions,
        ];
        tagged(SEQUENCE, &fields.concat())
    }
}

/// Tag, content, and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        let (bytes, rest) = rest.split_at_checked(count).filter(|_| count <= 3)?;
        let length = bytes
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte));
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The first element with tag and length, and what follows.
fn whole(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, _, rest) = element(der)?;
    der.split_at_checked(der.len() - rest.len())
}

fn bit_string(bytes: &[u8]) -> Vec<u8> {
    tagged(BIT_STRING, &[&[0], bytes].concat())
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = length
        .iter()
        .position(|byte| *byte != 0)
        .and_then(|first| length.get(first..))
        .unwrap_or(&[0]);
    let mut der = vec![tag];
    match significant {
        [short] if *short < 0x80 => der.push(*short),
        long => {
            der.push(0x80 | u8::try_from(long.len()).unwrap_or(0x7f));
            der.extend_from_slice(long);
        }
    }
    der.extend_from_slice(content);
    der
}
