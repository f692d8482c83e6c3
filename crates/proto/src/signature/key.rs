//! Keys that a message carries itself.
//!
//! `Signature-Key` (draft-hardt-httpbis-signature-key-04), scheme `hwk`: a
//! public key as parameters named as in a JWK. And the parameter `pub` with
//! `alg` (draft-richer-oauth-httpsig-03 sections 4 and 5), as `cnf.htsk` has
//! them too.
//!
//! Such a key says nothing about its owner. The schemes that name one
//! (`jwks_uri`, `jwt`, `jkt-jwt`, `x509`) are not taken.

use super::algorithm::SignatureAlgorithm;
use crate::base64url;
use crate::cause::Cause;
use crate::fields::FieldLines;
use crate::jose::{Curve, JwkError, PublicKey};
use crate::json;
use crate::rejection::Rejection;
use crate::structured::{Dictionary, Item};

/// The field's name in lower case.
pub const SIGNATURE_KEY: &str = "signature-key";

/// The largest `Signature-Key` that is read: an RSA key of 4096 bits and its neighbours.
const MAX_FIELD_BYTES: usize = 4096;

/// The most members of `Signature-Key`.
const MAX_MEMBERS: usize = 8;

/// The members a key of scheme `hwk` is made of, by type.
const MEMBERS: [&str; 6] = ["crv", "e", "kty", "n", "x", "y"];

/// The member of `Signature-Key` with this label, if the field is there.
///
/// # Errors
/// `httpsig.key`
pub(super) fn of_label(
    fields: &dyn FieldLines,
    label: &str,
) -> Result<Option<PublicKey>, Rejection> {
    let lines = fields.lines(SIGNATURE_KEY);
    if lines.is_empty() {
        return Ok(None);
    }
    if lines.iter().map(|line| line.len()).sum::<usize>() > MAX_FIELD_BYTES {
        return Err(Rejection::new(Cause::HttpsigKey).got("too many bytes"));
    }
    let dictionary = Dictionary::parse(&lines, MAX_MEMBERS)
        .map_err(|error| Rejection::new(Cause::HttpsigKey).got(error.to_string()))?;
    if dictionary.is_repeated() {
        return Err(Rejection::new(Cause::HttpsigKey).got("a label twice"));
    }
    let member = dictionary.get(label).ok_or_else(|| {
        Rejection::new(Cause::HttpsigKey).expected("a key with the signature's label")
    })?;
    let item = member
        .as_item()
        .ok_or_else(|| Rejection::new(Cause::HttpsigKey).expected("a scheme"))?;
    inline(item).map(Some)
}

fn inline(item: &Item) -> Result<PublicKey, Rejection> {
    match item.value.as_token() {
        Some("hwk") => {}
        scheme => {
            return Err(Rejection::new(Cause::HttpsigKey)
                .expected("hwk")
                .got(scheme.unwrap_or("no scheme")));
        }
    }
    if item.parameters.is_repeated() {
        return Err(Rejection::new(Cause::HttpsigKey).got("a parameter twice"));
    }
    let mut jwk = Vec::new();
    for (name, value) in item.parameters.iter() {
        let text = value.as_string();
        let known = MEMBERS.contains(&name);
        match text {
            Some(text) if known => jwk.push(format!("\"{name}\":{}", json::quote(text))),
            // `alg` must not be there; a private member must never be passed over.
            _ => return Err(Rejection::new(Cause::HttpsigKey).got(name)),
        }
    }
    let text = format!("{{{}}}", jwk.join(","));
    PublicKey::from_jwk(text.as_bytes())
        .map_err(|error| Rejection::new(Cause::HttpsigKey).got(error.to_string()))
}

/// The value of `Signature-Key` for this key and label, scheme `hwk`.
#[must_use]
pub fn signature_key(label: &str, key: &PublicKey) -> String {
    let jwk = key.to_jwk();
    let mut text = format!("{label}=hwk");
    if let Ok(object) = json::Object::parse(jwk.as_bytes()) {
        for (name, value) in object.iter() {
            if let Some(value) = value.as_str() {
                text.push_str(&format!(";{name}=\"{value}\""));
            }
        }
    }
    text
}

/// Reads a key in the form of `pub` (draft-richer-oauth-httpsig-03 section 4): an uncompressed
/// point or an encoded Ed25519 point, as the algorithm says.
///
/// # Errors
/// [`JwkError`]; [`JwkError::Unsupported`] for algorithms that have no such form.
pub fn runtime_key(algorithm: SignatureAlgorithm, bytes: &[u8]) -> Result<PublicKey, JwkError> {
    match algorithm {
        SignatureAlgorithm::EcdsaP256Sha256 => PublicKey::from_ec_point(Curve::P256, bytes),
        SignatureAlgorithm::EcdsaP384Sha384 => PublicKey::from_ec_point(Curve::P384, bytes),
        SignatureAlgorithm::Ed25519 => PublicKey::from_ed25519(bytes),
        SignatureAlgorithm::HmacSha256
        | SignatureAlgorithm::RsaPssSha256
        | SignatureAlgorithm::RsaPssSha512
        | SignatureAlgorithm::RsaV15Sha256 => Err(JwkError::Unsupported),
    }
}

/// A key as the parameters `alg` and `pub`, which [`runtime_key`] reads; `None` for kinds of keys
/// that have no such form.
#[must_use]
pub fn runtime_parameters(key: &PublicKey) -> Option<(SignatureAlgorithm, Vec<u8>)> {
    let jwk = key.to_jwk();
    let jwk = json::Object::parse(jwk.as_bytes()).ok()?;
    let coordinate = |name: &str| {
        let text = jwk.string(name).ok().flatten()?;
        base64url::decode(text.as_bytes()).ok()
    };
    let algorithm = SignatureAlgorithm::of_key(key);
    let bytes = match algorithm {
        SignatureAlgorithm::Ed25519 => coordinate("x")?,
        SignatureAlgorithm::EcdsaP256Sha256 | SignatureAlgorithm::EcdsaP384Sha384 => {
            [vec![4], coordinate("x")?, coordinate("y")?].concat()
        }
        SignatureAlgorithm::HmacSha256
        | SignatureAlgorithm::RsaPssSha256
        | SignatureAlgorithm::RsaPssSha512
        | SignatureAlgorithm::RsaV15Sha256 => return None,
    };
    Some((algorithm, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OKP: &str =
        r#"sig1=hwk;kty="OKP";crv="Ed25519";x="JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs""#;

    fn read(value: &str) -> Result<Option<PublicKey>, Cause> {
        let fields: &[(&str, &[u8])] = &[(SIGNATURE_KEY, value.as_bytes())];
        of_label(&fields, "sig1").map_err(|rejection| rejection.cause())
    }

    #[test]
    fn what_is_no_public_key_of_this_label_is_refused() {
        for refused in [
            "",
            "(",
            "sig1",
            "sig1=1",
            "sig1=(hwk)",
            "sig1=hwk",
            r#"sig1="hwk";kty="OKP""#,
            r#"sig1=jwt;jwt="a.b.c""#,
            r#"sig1=jwks_uri;id="https://evil.example";kid="1""#,
            &OKP.replace("sig1", "sig2"),
            &format!("{OKP}, {OKP}"),
            &format!("{OKP};alg=\"EdDSA\""),
            &format!("{OKP};d=\"AQEB\""),
            &format!("{OKP};k=\"AQEB\""),
            &format!("{OKP};kid=\"1\""),
            &format!("{OKP};y=1"),
            &format!("{OKP};x=\"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs\""),
            &OKP.replace("\"JrQ", ":JrQ"),
            &OKP.replace("D0bs", "D0bs="),
            &OKP.replace("OKP\"", "oct\""),
            &format!("{OKP}, sig2=hwk;x=\"{}\"", "A".repeat(4096)),
        ] {
            assert_eq!(read(refused), Err(Cause::HttpsigKey), "{refused}");
        }
    }

    #[test]
    fn a_key_is_written_as_it_is_read() {
        let key = read(OKP).unwrap().unwrap();
        assert_eq!(
            key.thumbprint().to_string(),
            "poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U"
        );
        let written = signature_key("sig1", &key);
        assert_eq!(read(&written), Ok(Some(key)));
        assert_eq!(of_label(&(), "sig1").unwrap(), None);
    }

    #[test]
    fn a_runtime_key_has_the_form_of_its_algorithm() {
        let encoded = [9; 32];
        assert!(runtime_key(SignatureAlgorithm::RsaPssSha512, &encoded).is_err());
        assert!(runtime_key(SignatureAlgorithm::HmacSha256, &encoded).is_err());
        assert!(runtime_key(SignatureAlgorithm::EcdsaP256Sha256, &encoded).is_err());
        assert!(runtime_key(SignatureAlgorithm::Ed25519, &[0; 32]).is_err());
        assert!(runtime_key(SignatureAlgorithm::Ed25519, &[9; 33]).is_err());
        assert!(runtime_key(SignatureAlgorithm::Ed25519, &encoded).is_ok());
    }
}
