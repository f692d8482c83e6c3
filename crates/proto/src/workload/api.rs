//! Messages of the SPIFFE Workload API: protocol buffers within gRPC frames, as far
//! as a client of certificates, identity tokens and bundles needs them.
//!
//! The API is gRPC over a UNIX socket (SPIFFE Workload API section 4). Every request
//! carries the metadata [`SECURITY_HEADER`]; each response of a stream is one frame:
//! a byte that says "not compressed", the length, the message. [`Frames`] cuts a
//! stream of bytes into messages, and the `read_…` functions read them. Fields that
//! are not known are skipped, as protocol buffers ask.
//!
//! This module opens no socket. Private keys it reads are held in memory that is
//! wiped, and never shown.

use std::fmt;

use zeroize::Zeroizing;

use super::{IdentifierError, SpiffeId, TrustDomain};

/// The metadata every request must carry, so that a browser cannot be made to send one.
pub const SECURITY_HEADER: (&str, &str) = ("workload.spiffe.io", "true");

/// The paths of the methods.
pub mod method {
    /// A stream of X.509-SVIDs, with their keys.
    pub const FETCH_X509_SVID: &str = "/SpiffeWorkloadAPI/FetchX509SVID";
    /// A stream of X.509 bundles.
    pub const FETCH_X509_BUNDLES: &str = "/SpiffeWorkloadAPI/FetchX509Bundles";
    /// One JWT-SVID.
    pub const FETCH_JWT_SVID: &str = "/SpiffeWorkloadAPI/FetchJWTSVID";
    /// A stream of JWT bundles.
    pub const FETCH_JWT_BUNDLES: &str = "/SpiffeWorkloadAPI/FetchJWTBundles";
    /// A stream of WIT-SVIDs, with their keys.
    pub const FETCH_WIT_SVID: &str = "/SpiffeWorkloadAPI/FetchWITSVID";
    /// A stream of WIT bundles.
    pub const FETCH_WIT_BUNDLES: &str = "/SpiffeWorkloadAPI/FetchWITBundles";
}

/// The largest message that is taken, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// Why bytes are no message of the Workload API. It holds nothing of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// The frame says that the message is compressed, which nobody asked for.
    Compressed,
    /// A name of a trust domain or workload is none.
    Identifier(IdentifierError),
    /// Not protocol buffers, or a field of another type.
    Malformed,
    /// The message lacks what it is sent for.
    Missing,
    /// Longer than [`MAX_MESSAGE_BYTES`].
    TooLong,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compressed => f.write_str("the message is compressed"),
            Self::Identifier(error) => write!(f, "the message has no valid name: {error}"),
            Self::Malformed => f.write_str("the message is malformed"),
            Self::Missing => f.write_str("the message lacks an identity, a key or a bundle"),
            Self::TooLong => write!(f, "the message is longer than {MAX_MESSAGE_BYTES} bytes"),
        }
    }
}

impl std::error::Error for ApiError {}

/// One X.509-SVID with its key.
pub struct X509SvidMessage {
    /// Whose it is.
    pub spiffe_id: SpiffeId,
    /// The certificate and what leads up to the authority, each in DER, one after the other.
    pub chain: Vec<u8>,
    /// The private key, PKCS#8 in DER.
    pub key: Zeroizing<Vec<u8>>,
    /// The trust domain's authorities in DER, one after the other.
    pub bundle: Vec<u8>,
    /// Which of several identities this is, in the operator's words.
    pub hint: String,
}

impl fmt::Debug for X509SvidMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509SvidMessage")
            .field("spiffe_id", &self.spiffe_id)
            .field("hint", &self.hint)
            .finish_non_exhaustive()
    }
}

/// One WIT-SVID with its key.
pub struct WitSvidMessage {
    /// Whose it is.
    pub spiffe_id: SpiffeId,
    /// The identity token.
    pub token: Zeroizing<String>,
    /// The private key as a JWK.
    pub key: Zeroizing<String>,
    /// Which of several identities this is, in the operator's words.
    pub hint: String,
}

impl fmt::Debug for WitSvidMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WitSvidMessage")
            .field("spiffe_id", &self.spiffe_id)
            .field("hint", &self.hint)
            .finish_non_exhaustive()
    }
}

/// `X509SVIDResponse`: every identity of the workload, the default one first.
///
/// # Errors
/// [`ApiError`]; a response without any identity is [`ApiError::Missing`].
pub fn read_x509_svids(message: &[u8]) -> Result<Vec<X509SvidMessage>, ApiError> {
    let mut svids = Vec::new();
    for (number, value) in fields(message) {
        if number == 1 {
            svids.push(x509_svid(value?.bytes()?)?);
        } else {
            value?;
        }
    }
    non_empty(svids)
}

fn x509_svid(message: &[u8]) -> Result<X509SvidMessage, ApiError> {
    let [id, chain, key, bundle, hint] = members(message)?;
    if chain.is_empty() || key.is_empty() || bundle.is_empty() {
        return Err(ApiError::Missing);
    }
    Ok(X509SvidMessage {
        spiffe_id: spiffe_id(id)?,
        chain: chain.to_vec(),
        key: Zeroizing::new(key.to_vec()),
        bundle: bundle.to_vec(),
        hint: text(hint)?.to_owned(),
    })
}

/// `JWTSVIDResponse`: identity and token of each, the default one first.
///
/// # Errors
/// [`ApiError`]
pub fn read_jwt_svids(message: &[u8]) -> Result<Vec<(SpiffeId, Zeroizing<String>)>, ApiError> {
    let mut svids = Vec::new();
    for (number, value) in fields(message) {
        let value = value?;
        if number == 1 {
            let [id, token] = members(value.bytes()?)?;
            svids.push((spiffe_id(id)?, Zeroizing::new(text(token)?.to_owned())));
        }
    }
    non_empty(svids)
}

/// `WITSVIDResponse`: every identity of the workload, the default one first.
///
/// # Errors
/// [`ApiError`]
pub fn read_wit_svids(message: &[u8]) -> Result<Vec<WitSvidMessage>, ApiError> {
    let mut svids = Vec::new();
    for (number, value) in fields(message) {
        let value = value?;
        if number == 1 {
            let [id, token, key, hint] = members(value.bytes()?)?;
            svids.push(WitSvidMessage {
                spiffe_id: spiffe_id(id)?,
                token: Zeroizing::new(text(token)?.to_owned()),
                key: Zeroizing::new(text(key)?.to_owned()),
                hint: text(hint)?.to_owned(),
            });
        }
    }
    non_empty(svids)
}

/// The bundle of one trust domain out of a map of them: for X.509 the authorities in DER, one
/// after the other (`X509BundlesResponse`, field 2), else a JWK set (`JWTBundlesResponse` and
/// `WITBundlesResponse`, field 1).
///
/// # Errors
/// [`ApiError`]; [`ApiError::Missing`] if the trust domain has none.
pub fn read_bundle<'m>(
    message: &'m [u8],
    kind: BundleKind,
    domain: &TrustDomain,
) -> Result<&'m [u8], ApiError> {
    let wanted = match kind {
        BundleKind::Keys => 1,
        BundleKind::X509 => 2,
    };
    let mut found = None;
    for (number, value) in fields(message) {
        let value = value?;
        if number != wanted {
            continue;
        }
        let [name, bundle] = members(value.bytes()?)?;
        let named = TrustDomain::parse(text(name)?).map_err(ApiError::Identifier)?;
        if named == *domain && found.replace(bundle).is_some() {
            return Err(ApiError::Malformed);
        }
    }
    found.ok_or(ApiError::Missing)
}

/// Cuts certificates that stand one after the other, each in DER.
///
/// # Errors
/// [`ApiError::Malformed`] for anything else, or more than [`MAX_CERTIFICATES`].
pub fn split_certificates(mut rest: &[u8]) -> Result<Vec<Vec<u8>>, ApiError> {
    let mut certificates = Vec::new();
    while !rest.is_empty() {
        let length = der_length(rest).ok_or(ApiError::Malformed)?;
        let (certificate, after) = rest.split_at_checked(length).ok_or(ApiError::Malformed)?;
        if certificates.len() >= MAX_CERTIFICATES {
            return Err(ApiError::Malformed);
        }
        certificates.push(certificate.to_vec());
        rest = after;
    }
    Ok(certificates)
}

/// The most certificates in one chain or bundle.
pub const MAX_CERTIFICATES: usize = 64;

/// How long the SEQUENCE at the beginning is, its head included (X.690 section 8.1.3).
fn der_length(der: &[u8]) -> Option<usize> {
    let (head, rest) = der.split_first_chunk::<2>()?;
    let [0x30, first] = head else {
        return None;
    };
    if *first < 0x80 {
        return usize::from(*first).checked_add(2);
    }
    let count = usize::from(first & 0x7f);
    if !(1..=3).contains(&count) {
        return None;
    }
    let length = rest
        .get(..count)?
        .iter()
        .fold(0_usize, |length, byte| (length << 8) | usize::from(*byte));
    length.checked_add(count)?.checked_add(2)
}

/// What a response with bundles holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleKind {
    /// JWK sets: JWT or WIT bundles.
    Keys,
    /// Certificates in DER.
    X509,
}

/// `JWTSVIDRequest` for one audience.
#[must_use]
pub fn jwt_svid_request(audience: &str) -> Vec<u8> {
    let mut message = Vec::new();
    write_field(&mut message, 1, audience.as_bytes());
    message
}

/// Writes one field of bytes or text.
pub fn write_field(message: &mut Vec<u8>, number: u8, value: &[u8]) {
    message.push((number << 3) | LENGTH_DELIMITED);
    let mut length = value.len();
    while length >= 0x80 {
        message.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    message.push(length as u8);
    message.extend_from_slice(value);
}

/// A message as one gRPC frame.
#[must_use]
pub fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut frame = vec![0];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    frame
}

/// Cuts the bytes of a gRPC stream into messages.
#[derive(Default)]
pub struct Frames {
    pending: Zeroizing<Vec<u8>>,
}

impl Frames {
    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// [`ApiError::TooLong`] once more waits than one message may have.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() > MAX_MESSAGE_BYTES.saturating_add(HEAD) {
            return Err(ApiError::TooLong);
        }
        Ok(())
    }

    /// The next complete message, if there is one.
    ///
    /// # Errors
    /// [`ApiError::Compressed`], [`ApiError::TooLong`]
    pub fn next_message(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, ApiError> {
        let Some(([compressed, length @ ..], rest)) = self.pending.split_first_chunk::<HEAD>()
        else {
            return Ok(None);
        };
        if *compressed != 0 {
            return Err(ApiError::Compressed);
        }
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_MESSAGE_BYTES {
            return Err(ApiError::TooLong);
        }
        let Some((message, rest)) = rest.split_at_checked(length) else {
            return Ok(None);
        };
        let message = Zeroizing::new(message.to_vec());
        self.pending = Zeroizing::new(rest.to_vec());
        Ok(Some(message))
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames")
            .field("pending", &self.pending.len())
            .finish()
    }
}

/// The head of a frame: whether it is compressed, and the length.
const HEAD: usize = 5;

const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const LENGTH_DELIMITED: u8 = 2;
const FIXED_32: u8 = 5;

fn non_empty<T>(list: Vec<T>) -> Result<Vec<T>, ApiError> {
    if list.is_empty() {
        Err(ApiError::Missing)
    } else {
        Ok(list)
    }
}

fn spiffe_id(bytes: &[u8]) -> Result<SpiffeId, ApiError> {
    SpiffeId::parse(text(bytes)?).map_err(ApiError::Identifier)
}

fn text(bytes: &[u8]) -> Result<&str, ApiError> {
    std::str::from_utf8(bytes).map_err(|_| ApiError::Malformed)
}

/// Fields 1 to N of a message, all of bytes or text; the last of repeated ones, empty if absent.
fn members<const N: usize>(message: &[u8]) -> Result<[&[u8]; N], ApiError> {
    let mut members = [&[][..]; N];
    for (number, value) in fields(message) {
        let value = value?;
        let slot = usize::try_from(number)
            .ok()
            .and_then(|number| number.checked_sub(1))
            .and_then(|index| members.get_mut(index));
        if let Some(slot) = slot {
            *slot = value.bytes()?;
        }
    }
    Ok(members)
}

enum Field<'m> {
    Bytes(&'m [u8]),
    Number,
}

impl<'m> Field<'m> {
    const fn bytes(&self) -> Result<&'m [u8], ApiError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number => Err(ApiError::Malformed),
        }
    }
}

/// The fields of a message with their numbers; ends after the first malformed one.
fn fields(message: &[u8]) -> impl Iterator<Item = (u64, Result<Field<'_>, ApiError>)> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some((number, field, after)) = field(rest) {
            rest = after;
            Some((number, Ok(field)))
        } else {
            rest = &[];
            Some((0, Err(ApiError::Malformed)))
        }
    })
}

fn field(message: &[u8]) -> Option<(u64, Field<'_>, &[u8])> {
    let (key, rest) = varint(message)?;
    let number = key >> 3;
    let kind = u8::try_from(key & 7).ok()?;
    let skip = |count: usize| rest.split_at_checked(count).map(|(_, rest)| rest);
    let (field, rest) = match kind {
        VARINT => (Field::Number, varint(rest)?.1),
        FIXED_64 => (Field::Number, skip(8)?),
        FIXED_32 => (Field::Number, skip(4)?),
        LENGTH_DELIMITED => {
            let (length, rest) = varint(rest)?;
            let (bytes, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            (Field::Bytes(bytes), rest)
        }
        _ => return None,
    };
    (number > 0).then_some((number, field, rest))
}

/// A number of at most 64 bits, seven in each byte, the lowest first.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    let mut rest = bytes;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        rest = after;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some((value, rest));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{
        ApiError, BundleKind, Frames, frame, read_bundle, read_jwt_svids, read_wit_svids,
        read_x509_svids, split_certificates, write_field,
    };
    use crate::workload::TrustDomain;

    fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
        let mut message = Vec::new();
        for (number, value) in fields {
            write_field(&mut message, *number, value);
        }
        message
    }

    const ID: &[u8] = b"spiffe://example.org/pay";

    #[test]
    fn what_is_no_response_is_refused() {
        for malformed in [
            &[0x0a][..],
            &[0x0a, 5, 1],
            &[0x0b, 1],
            &[0x00, 0],
            &[
                0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
            ],
            &[0x08, 1],
        ] {
            assert_eq!(read_x509_svids(malformed).unwrap_err(), ApiError::Malformed);
        }
        assert_eq!(read_x509_svids(b"").unwrap_err(), ApiError::Missing);
        let without_key = message(&[(1, ID), (2, b"chain"), (4, b"bundle")]);
        let response = message(&[(1, &without_key)]);
        assert_eq!(read_x509_svids(&response).unwrap_err(), ApiError::Missing);
        let nobody = message(&[(1, b"example.org"), (2, b"c"), (3, b"k"), (4, b"b")]);
        let response = message(&[(1, &nobody)]);
        assert!(matches!(
            read_x509_svids(&response),
            Err(ApiError::Identifier(_))
        ));
    }

    #[test]
    fn responses_are_read_and_their_keys_not_shown() {
        let long = vec![7; 300];
        let svid = message(&[
            (1, ID),
            (2, &long),
            (3, b"secret"),
            (4, b"bundle"),
            (5, b"main"),
            (9, b"new"),
        ]);
        let response = message(&[(1, &svid), (2, b"crl"), (1, &svid)]);
        let svids = read_x509_svids(&response).unwrap();
        assert_eq!(svids.len(), 2);
        assert_eq!(svids[0].spiffe_id.as_str().as_bytes(), ID);
        assert_eq!(svids[0].chain, long);
        assert_eq!((&**svids[0].key, &*svids[0].hint), (&b"secret"[..], "main"));
        assert!(!format!("{svids:?}").contains("115"), "{svids:?}");

        let svid = message(&[(1, ID), (2, b"a.b.c"), (3, b"{}")]);
        let svids = read_wit_svids(&message(&[(1, &svid)])).unwrap();
        assert_eq!((&**svids[0].token, &**svids[0].key), ("a.b.c", "{}"));
        let svids = read_jwt_svids(&message(&[(1, &svid)])).unwrap();
        assert_eq!(&**svids[0].1, "a.b.c");
    }

    #[test]
    fn a_bundle_is_that_of_the_trust_domain_asked_for() {
        let domain = TrustDomain::parse("spiffe://example.org").unwrap();
        let entry = |name: &str, bundle: &[u8]| message(&[(1, name.as_bytes()), (2, bundle)]);
        let (ours, other) = (
            entry("spiffe://example.org", b"ours"),
            entry("spiffe://example.net", b"other"),
        );
        let keys = message(&[(1, &other), (1, &ours)]);
        assert_eq!(
            read_bundle(&keys, BundleKind::Keys, &domain).unwrap(),
            b"ours"
        );
        assert_eq!(
            read_bundle(&keys, BundleKind::X509, &domain),
            Err(ApiError::Missing)
        );
        let twice = message(&[(1, &ours), (1, &ours)]);
        assert_eq!(
            read_bundle(&twice, BundleKind::Keys, &domain),
            Err(ApiError::Malformed)
        );
        let nobody = message(&[(1, &entry("example.org", b"x"))]);
        assert!(matches!(
            read_bundle(&nobody, BundleKind::Keys, &domain),
            Err(ApiError::Identifier(_))
        ));
        let certificates = message(&[(1, b"crl"), (2, &ours)]);
        assert_eq!(
            read_bundle(&certificates, BundleKind::X509, &domain).unwrap(),
            b"ours"
        );
    }

    #[test]
    fn certificates_are_cut_where_they_end() {
        let short = [0x30, 2, 1, 2];
        let long = [&[0x30, 0x82, 1, 0][..], &[7; 256]].concat();
        let both = [&short[..], &long, &short].concat();
        let cut = split_certificates(&both).unwrap();
        assert_eq!(cut, [short.to_vec(), long.clone(), short.to_vec()]);
        assert!(split_certificates(b"").unwrap().is_empty());
        for malformed in [
            &long[..100],
            &[0x31, 0],
            &[0x30],
            &[0x30, 0x80],
            &[0x30, 0x84, 0, 0, 0, 1, 7],
            &[0x30, 0, 1],
        ] {
            assert_eq!(split_certificates(malformed), Err(ApiError::Malformed));
        }
        assert!(split_certificates(&[0x30, 0].repeat(65)).is_err());
    }

    #[test]
    fn frames_come_out_however_the_bytes_come_in() {
        let stream = [frame(b"one"), frame(b""), frame(&[7; 200])].concat();
        for step in [1, 3, 7, stream.len()] {
            let mut frames = Frames::default();
            let mut messages = Vec::new();
            for chunk in stream.chunks(step) {
                frames.push(chunk).unwrap();
                while let Some(message) = frames.next_message().unwrap() {
                    messages.push(message.to_vec());
                }
            }
            assert_eq!(messages, [b"one".to_vec(), Vec::new(), vec![7; 200]]);
        }
        let mut frames = Frames::default();
        frames.push(&[1, 0, 0, 0, 0]).unwrap();
        assert_eq!(frames.next_message().unwrap_err(), ApiError::Compressed);
        let mut frames = Frames::default();
        frames.push(&[0, 0xff, 0, 0, 0]).unwrap();
        assert_eq!(frames.next_message().unwrap_err(), ApiError::TooLong);
    }
}
