//! Public keys as JSON (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).
//!
//! Every key has one accepted description of its required members, so that it
//! has one thumbprint: coordinates of full length, no leading zeros in RSA
//! numbers, canonical base64url.
//!
//! `use`, `key_ops`, `alg` and `kid` are not looked at here: whoever selects a
//! key from a set does that.

use std::fmt;

use super::{
    Curve, PublicKey,
    key::{Material, UNCOMPRESSED},
    rsa,
};
use crate::{
    base64url,
    json::{JsonError, Object},
};

/// Why a JWK is not an acceptable public key. It holds nothing of the input.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JwkError {
    /// The text is not one strict JSON object.
    Json(JsonError),
    /// A required member has the wrong type, length or encoding.
    Malformed {
        /// The member's name.
        member: &'static str,
    },
    /// A required member is missing.
    Missing {
        /// The member's name.
        member: &'static str,
    },
    /// The coordinates are not those of a point on the named curve.
    NotOnCurve,
    /// A member that only a private key has: `d`, `p`, `q`, `dp`, `dq`, `qi`,
    /// `oth` or `k`. Whoever sent it has disclosed the key.
    PrivateMember,
    /// A key for a MAC or a symmetric cipher (`kty` is `oct`).
    Symmetric,
    /// A key type or curve other than EC P-256 and P-384, OKP Ed25519, RSA.
    Unsupported,
    /// A key that proves nothing: Ed25519 of small order or not canonical, RSA
    /// with a modulus outside of 2048 to 4096 bits or an exponent that is even,
    /// 1 or beyond 32 bits.
    WeakKey,
}

impl fmt::Display for JwkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "the JWK is not acceptable JSON: {error}"),
            Self::Malformed { member } => write!(f, "the JWK member `{member}` is malformed"),
            Self::Missing { member } => write!(f, "the JWK has no `{member}`"),
            Self::NotOnCurve => f.write_str("the JWK is not a point on its curve"),
            Self::PrivateMember => {
                f.write_str("the JWK discloses a private key; send the public members only")
            }
            Self::Symmetric => f.write_str("the JWK is a symmetric key"),
            Self::Unsupported => {
                f.write_str("the JWK is of an unsupported type or curve; use EC P-256, EC P-384, OKP Ed25519 or RSA")
            }
            Self::WeakKey => f.write_str("the JWK is a weak key"),
        }
    }
}

impl std::error::Error for JwkError {}

impl From<JsonError> for JwkError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

/// Reads and validates the key that `object` describes.
pub(super) fn read(object: &Object<'_>) -> Result<PublicKey, JwkError> {
    let kty = text(object, "kty")?;
    if kty == "oct" {
        return Err(JwkError::Symmetric);
    }
    if PRIVATE_MEMBERS.iter().any(|name| object.contains(name)) {
        return Err(JwkError::PrivateMember);
    }
    match kty {
        "EC" => read_ec(object),
        "OKP" => read_okp(object),
        "RSA" => read_rsa(object),
        _ => Err(JwkError::Unsupported),
    }
}

/// The JWK of `material` as RFC 7638 section 3.3 hashes it.
pub(super) fn canonical(material: &Material) -> String {
    let mut jwk = Canonical(String::with_capacity(160));
    match material {
        Material::Ec { curve, parsed } => {
            let point = parsed.as_ref();
            let coordinates = point.strip_prefix(&[UNCOMPRESSED]).unwrap_or(point);
            let (x, y) = coordinates
                .split_at_checked(curve.coordinate_bytes())
                .unwrap_or((coordinates, &[]));
            jwk.push("{\"crv\":\"").push(curve.name());
            jwk.push("\",\"kty\":\"EC\",\"x\":\"").encode(x);
            jwk.push("\",\"y\":\"").encode(y);
        }
        Material::Ed25519 { parsed } => {
            jwk.push("{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"")
                .encode(parsed.as_ref());
        }
        Material::Rsa { n, e, .. } => {
            jwk.push("{\"e\":\"").encode(e);
            jwk.push("\",\"kty\":\"RSA\",\"n\":\"").encode(n);
        }
    }
    jwk.push("\"}");
    jwk.0
}

struct Canonical(String);

impl Canonical {
    fn push(&mut self, text: &str) -> &mut Self {
        self.0.push_str(text);
        self
    }

    fn encode(&mut self, bytes: &[u8]) -> &mut Self {
        base64url::encode_onto(bytes, &mut self.0);
        self
    }
}

/// Members of RFC 7518 sections 6.2.2, 6.3.2 and 6.4, and RFC 8037 section 2,
/// that belong to private or symmetric keys.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// `0x04` and two coordinates of P-384, the longest point there is here.
const MAX_POINT_BYTES: usize = 97;

fn read_ec(object: &Object<'_>) -> Result<PublicKey, JwkError> {
    let curve = match text(object, "crv")? {
        "P-256" => Curve::P256,
        "P-384" => Curve::P384,
        _ => return Err(JwkError::Unsupported),
    };
    let size = curve.coordinate_bytes();
    let mut buffer = [UNCOMPRESSED; MAX_POINT_BYTES];
    let (_, coordinates) = buffer.split_at_mut(1);
    let (x, rest) = coordinates.split_at_mut(size);
    let (y, _) = rest.split_at_mut(size);
    fill(object, "x", x)?;
    fill(object, "y", y)?;
    let point = buffer
        .get(..size.saturating_mul(2).saturating_add(1))
        .ok_or(JwkError::Malformed { member: "x" })?;
    PublicKey::from_ec_point(curve, point)
}

fn read_okp(object: &Object<'_>) -> Result<PublicKey, JwkError> {
    if text(object, "crv")? != "Ed25519" {
        return Err(JwkError::Unsupported);
    }
    let mut encoded = [0; 32];
    fill(object, "x", &mut encoded)?;
    PublicKey::from_ed25519(&encoded)
}

fn read_rsa(object: &Object<'_>) -> Result<PublicKey, JwkError> {
    let mut n = [0; rsa::MAX_MODULUS_BYTES];
    let mut e = [0; rsa::MAX_EXPONENT_BYTES];
    let n = number(object, "n", &mut n)?;
    let e = number(object, "e", &mut e)?;
    PublicKey::from_rsa(n, e)
}

fn text<'o>(object: &'o Object<'_>, member: &'static str) -> Result<&'o str, JwkError> {
    object
        .string(member)
        .map_err(|_| JwkError::Malformed { member })?
        .ok_or(JwkError::Missing { member })
}

/// Decodes a coordinate, which must fill `out` (RFC 7518 section 6.2.1.2).
fn fill(object: &Object<'_>, member: &'static str, out: &mut [u8]) -> Result<(), JwkError> {
    match base64url::decode_into(text(object, member)?.as_bytes(), out) {
        Ok(written) if written == out.len() => Ok(()),
        Ok(_) | Err(_) => Err(JwkError::Malformed { member }),
    }
}

/// Decodes an RSA number into the front of `out`; one that does not fit is out of range.
fn number<'b>(
    object: &Object<'_>,
    member: &'static str,
    out: &'b mut [u8],
) -> Result<&'b [u8], JwkError> {
    let malformed = JwkError::Malformed { member };
    let encoded = text(object, member)?.as_bytes();
    // RFC 4648 section 4: four characters stand for three bytes.
    if encoded.len() > out.len().saturating_mul(4).div_ceil(3) {
        return Err(JwkError::WeakKey);
    }
    let written = base64url::decode_into(encoded, out).map_err(|_| malformed)?;
    out.get(..written).ok_or(malformed)
}
