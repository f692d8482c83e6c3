//! Compact JWS (RFC 7515 section 7.1) with one accepted byte form.

use std::fmt;

use super::{Algorithm, BadSignature, PublicKey, SignatureValid};
use crate::{
    base64url::{self, Base64UrlError},
    json::{JsonError, Object},
};

/// The longest accepted `kid`, in bytes.
pub const MAX_KID_BYTES: usize = 256;

/// Why a text is not an acceptable compact JWS. It holds nothing of the input.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JwsError {
    /// `alg` names nothing that could be verified here.
    Algorithm(AlgorithmFault),
    /// The header has `crit`: no extension is understood (RFC 7515 section 4.1.11).
    Critical,
    /// Header, payload or signature is empty; so a payload may not be detached.
    EmptySegment,
    /// A segment is not canonical base64url.
    Encoding(Base64UrlError),
    /// The header is not one strict JSON object.
    HeaderJson(JsonError),
    /// A header member has the wrong JSON type or is too long.
    HeaderMember {
        /// The member's name.
        member: &'static str,
    },
    /// Not three segments: not a compact JWS, perhaps a JWE.
    NotThreeSegments,
    /// The payload is not one strict JSON object.
    PayloadJson(JsonError),
    /// Longer than the caller allows.
    TooLarge,
    /// The header has `b64` (RFC 7797): payloads are always encoded.
    UnencodedPayload,
}

impl fmt::Display for JwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Algorithm(fault) => fault.fmt(f),
            Self::Critical => f.write_str("the header demands extensions with `crit`"),
            Self::EmptySegment => f.write_str("a segment of the JWS is empty"),
            Self::Encoding(error) => write!(f, "the JWS has {error}"),
            Self::HeaderJson(error) => write!(f, "the JWS header is not acceptable: {error}"),
            Self::HeaderMember { member } => {
                write!(
                    f,
                    "the header member `{member}` has the wrong type or length"
                )
            }
            Self::NotThreeSegments => {
                f.write_str("not a compact JWS, which has three segments separated by `.`")
            }
            Self::PayloadJson(error) => write!(f, "the JWS payload is not acceptable: {error}"),
            Self::TooLarge => f.write_str("the JWS is too long"),
            Self::UnencodedPayload => f.write_str("the header has `b64`, which is not supported"),
        }
    }
}

impl std::error::Error for JwsError {}

/// Why an `alg` is no [`Algorithm`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AlgorithmFault {
    /// The member is missing or not a string.
    Missing,
    /// `none`, in any case: the text is not signed.
    None,
    /// A MAC (`HS256` and its like), whose key the verifier would share.
    Symmetric,
    /// No algorithm of this crate.
    Unknown,
}

impl fmt::Display for AlgorithmFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the header has no `alg` string",
            Self::None => "`alg` is `none`, so nothing is signed",
            Self::Symmetric => "`alg` is a MAC; sign with an asymmetric algorithm",
            Self::Unknown => "`alg` is not a supported algorithm",
        })
    }
}

/// A compact JWS of good form. Nothing about it is verified yet.
///
/// `Debug` shows sizes only.
pub struct Jws<'a> {
    text: &'a [u8],
    signing_input: &'a [u8],
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Splits and decodes `text`.
    ///
    /// The size is checked before anything else, and nothing is allocated
    /// before the number of segments is known.
    ///
    /// # Errors
    /// [`JwsError::TooLarge`], [`JwsError::NotThreeSegments`],
    /// [`JwsError::EmptySegment`] or [`JwsError::Encoding`].
    ///
    /// ```
    /// use keybound_proto::jose::{Jws, JwsError};
    ///
    /// assert_eq!(Jws::parse(b"e30.e30", 8192).err(), Some(JwsError::NotThreeSegments));
    /// assert_eq!(Jws::parse(b"e30.e30.", 8192).err(), Some(JwsError::EmptySegment));
    /// assert!(Jws::parse(b"e30.e30.AA", 8192).is_ok());
    /// ```
    pub fn parse(text: &'a [u8], max_bytes: usize) -> Result<Self, JwsError> {
        if text.len() > max_bytes {
            return Err(JwsError::TooLarge);
        }
        // From both ends: the payload, often the longest segment, is looked through once.
        let (signing_input, signature) = split_at_last_dot(text)?;
        let (header, payload) = split_at_first_dot(signing_input)?;
        if payload.contains(&b'.') {
            return Err(JwsError::NotThreeSegments);
        }
        Ok(Self {
            text,
            signing_input,
            header: decode(header)?,
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }

    /// The text as it came.
    #[must_use]
    pub const fn text(&self) -> &'a [u8] {
        self.text
    }

    /// What the signature is over: header and payload as they were encoded.
    #[must_use]
    pub const fn signing_input(&self) -> &'a [u8] {
        self.signing_input
    }

    /// Reads the header and refuses what no profile of ours accepts.
    ///
    /// This parses the JSON on each call.
    ///
    /// # Errors
    /// [`JwsError::HeaderJson`], [`JwsError::HeaderMember`],
    /// [`JwsError::Critical`] or [`JwsError::UnencodedPayload`]. Whether `alg`
    /// is acceptable shows in [`Header::alg`], so that `typ` can be judged first.
    pub fn header(&self) -> Result<Header<'_>, JwsError> {
        Header::new(self.header_object()?)
    }

    /// The header's members without judgement, for explaining a refusal.
    ///
    /// # Errors
    /// [`JwsError::HeaderJson`]
    pub fn header_object(&self) -> Result<Object<'_>, JwsError> {
        Object::parse(&self.header).map_err(JwsError::HeaderJson)
    }

    /// The decoded header, for comparing with another.
    pub(crate) fn decoded_header(&self) -> &[u8] {
        &self.header
    }

    /// Reads the payload as a claims set. Call [`Jws::verify`] before trusting any of it.
    ///
    /// # Errors
    /// [`JwsError::PayloadJson`]
    pub fn claims(&self) -> Result<Object<'_>, JwsError> {
        Object::parse(&self.payload).map_err(JwsError::PayloadJson)
    }

    /// The decoded payload, which need not be JSON.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Verifies the signature with `key` and `algorithm`, which the caller has
    /// chosen by its own rules from what the header asks for.
    ///
    /// # Errors
    /// [`BadSignature`], also when `algorithm` does not fit `key`.
    pub fn verify(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
    ) -> Result<SignatureValid, BadSignature> {
        key.verify(algorithm, self.signing_input, &self.signature)
    }
}

impl fmt::Debug for Jws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jws")
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

/// The members of a JOSE header that this crate acts on (RFC 7515 section 4.1).
///
/// Members not named here, `jku`, `x5u` and `x5c` among them, are ignored: no
/// key is ever fetched because a header says so.
pub struct Header<'j> {
    object: Object<'j>,
    algorithm: Result<Algorithm, AlgorithmFault>,
}

impl<'j> Header<'j> {
    fn new(object: Object<'j>) -> Result<Self, JwsError> {
        if object.contains("crit") {
            return Err(JwsError::Critical);
        }
        if object.contains("b64") {
            return Err(JwsError::UnencodedPayload);
        }
        let wrong = |member| move |_| JwsError::HeaderMember { member };
        object.string("typ").map_err(wrong("typ"))?;
        object.object("jwk").map_err(wrong("jwk"))?;
        let kid = object.string("kid").map_err(wrong("kid"))?;
        if kid.is_some_and(|kid| kid.len() > MAX_KID_BYTES) {
            return Err(JwsError::HeaderMember { member: "kid" });
        }
        let algorithm = algorithm(&object);
        Ok(Self { object, algorithm })
    }

    /// The `typ`, to be compared by the caller (RFC 8725 section 3.11).
    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        self.member("typ")
    }

    /// The `alg`, which still has to be in the caller's allow-list and fit the key.
    ///
    /// # Errors
    /// [`JwsError::Algorithm`] when it is none that this crate verifies.
    pub fn alg(&self) -> Result<Algorithm, JwsError> {
        self.algorithm.map_err(JwsError::Algorithm)
    }

    /// The `kid`, at most [`MAX_KID_BYTES`] long. It is a hint, never a path or a query.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.member("kid")
    }

    /// The `jwk`, for [`PublicKey::from_jwk_object`].
    #[must_use]
    pub fn jwk(&self) -> Option<&Object<'j>> {
        self.object.get("jwk")?.as_object()
    }

    fn member(&self, name: &str) -> Option<&str> {
        self.object.get(name)?.as_str()
    }
}

impl fmt::Debug for Header<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("typ", &self.typ())
            .field("alg", &self.algorithm)
            .field("kid", &self.kid())
            .finish_non_exhaustive()
    }
}

fn split_at_first_dot(text: &[u8]) -> Result<(&[u8], &[u8]), JwsError> {
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    match (parts.next(), parts.next()) {
        (Some(before), Some(after)) => Ok((before, after)),
        _ => Err(JwsError::NotThreeSegments),
    }
}

fn split_at_last_dot(text: &[u8]) -> Result<(&[u8], &[u8]), JwsError> {
    let mut parts = text.rsplitn(2, |byte| *byte == b'.');
    match (parts.next(), parts.next()) {
        (Some(after), Some(before)) => Ok((before, after)),
        _ => Err(JwsError::NotThreeSegments),
    }
}

fn decode(segment: &[u8]) -> Result<Vec<u8>, JwsError> {
    if segment.is_empty() {
        return Err(JwsError::EmptySegment);
    }
    base64url::decode(segment).map_err(JwsError::Encoding)
}

fn algorithm(header: &Object<'_>) -> Result<Algorithm, AlgorithmFault> {
    let Ok(Some(name)) = header.string("alg") else {
        return Err(AlgorithmFault::Missing);
    };
    Algorithm::from_name(name).ok_or_else(|| {
        if name.eq_ignore_ascii_case("none") {
            AlgorithmFault::None
        } else if matches!(name, "HS256" | "HS384" | "HS512") {
            AlgorithmFault::Symmetric
        } else {
            AlgorithmFault::Unknown
        }
    })
}
