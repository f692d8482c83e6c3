//! From DER to owned facts, by x509-parser, with what it lets slip refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey as X509Key;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

use super::peer::{CertificateError, CertificateUsage};
use super::{DistinguishedName, MAX_NAMES, SpkiThumbprint, der};
use crate::jose::{Curve, PublicKey};
use crate::time::UnixTime;

/// Everything a certificate says that is used here.
pub(super) struct Facts {
    pub(super) spki: SpkiThumbprint,
    pub(super) key: Option<PublicKey>,
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
    pub(super) subject_der: Vec<u8>,
    pub(super) subject: DistinguishedName,
    pub(super) usage: CertificateUsage,
    pub(super) names: Names,
}

/// Subject alternative names (RFC 5280 section 4.2.1.6).
#[derive(Default)]
pub(super) struct Names {
    pub(super) dns: Vec<String>,
    pub(super) emails: Vec<String>,
    pub(super) ips: Vec<IpAddr>,
    pub(super) uris: Vec<String>,
}

pub(super) fn facts(bytes: &[u8]) -> Result<Facts, CertificateError> {
    if !der::is_one_strict_element(bytes) {
        return Err(CertificateError::Malformed);
    }
    let (rest, certificate) =
        X509Certificate::from_der(bytes).map_err(|_| CertificateError::Malformed)?;
    if !rest.is_empty() {
        return Err(CertificateError::Malformed);
    }
    // SECURITY: with two extensions of one kind, two readers can see two identities.
    certificate
        .extensions_map()
        .map_err(|_| CertificateError::Malformed)?;
    let (names, usage) = extensions(certificate.extensions())?;
    let subject = certificate.subject();
    Ok(Facts {
        spki: SpkiThumbprint::of(certificate.public_key().raw),
        key: public_key(certificate.public_key()),
        not_before: time(certificate.validity().not_before.timestamp()),
        not_after: time(certificate.validity().not_after.timestamp()),
        subject_der: subject.as_raw().to_vec(),
        subject: distinguished_name(subject).ok_or(CertificateError::Malformed)?,
        usage,
        names,
    })
}

/// A time before 1970 counts as 1970: no certificate was for use before.
fn time(seconds: i64) -> UnixTime {
    UnixTime::from_secs(u64::try_from(seconds).unwrap_or(0))
}

fn distinguished_name(name: &X509Name<'_>) -> Option<DistinguishedName> {
    // The parser hands out values without their head; DER has one way to write it.
    let element = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
        let value = attribute.attr_value();
        let tag = u8::try_from(value.tag().0).ok().filter(|tag| *tag < 31)?;
        let head = if value.header.is_constructed() {
            0x20
        } else {
            0
        };
        let class = u8::try_from(value.class() as usize).ok()?.checked_shl(6)?;
        let mut element = vec![class | head | tag];
        match u16::try_from(value.data.len()).ok()?.to_be_bytes() {
            [0, low @ 0..=0x7f] => element.push(low),
            [0, low] => element.extend([0x81, low]),
            [high, low] => element.extend([0x82, high, low]),
        }
        element.extend_from_slice(value.data);
        Some((attribute.attr_type().to_id_string(), element))
    };
    let relative = name
        .iter()
        .map(|set| set.iter().map(element).collect::<Option<Vec<_>>>())
        .collect::<Option<Vec<_>>>()?;
    DistinguishedName::from_relative(relative)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "extensions that say nothing about identity or use are left alone"
)]
fn extensions(
    extensions: &[X509Extension<'_>],
) -> Result<(Names, CertificateUsage), CertificateError> {
    let mut names = Names::default();
    let mut usage = CertificateUsage::default();
    for extension in extensions {
        let known = extension.parsed_extension();
        match known {
            ParsedExtension::ParseError { .. } => return Err(CertificateError::Malformed),
            ParsedExtension::SubjectAlternativeName(alternative) => {
                names = read_names(&alternative.general_names)?;
            }
            ParsedExtension::BasicConstraints(constraints) => usage.is_ca = constraints.ca,
            ParsedExtension::KeyUsage(key) => {
                usage.key_usage_is_critical = Some(extension.critical);
                usage.digital_signature = key.digital_signature();
                usage.signs_certificates = key.key_cert_sign();
                usage.signs_revocation_lists = key.crl_sign();
            }
            ParsedExtension::ExtendedKeyUsage(purposes) => {
                usage.client_purpose = Some(purposes.client_auth);
                usage.server_purpose = Some(purposes.server_auth);
            }
            _ => continue,
        }
        // SECURITY: what is read for identity and use has one byte form, trailing bytes included.
        if !der::is_one_strict_element(extension.value) {
            return Err(CertificateError::Malformed);
        }
    }
    Ok((names, usage))
}

fn read_names(general: &[GeneralName<'_>]) -> Result<Names, CertificateError> {
    if general.len() > MAX_NAMES {
        return Err(CertificateError::TooManyNames);
    }
    let mut names = Names::default();
    for name in general {
        match name {
            GeneralName::DNSName(text) => names.dns.push(ascii(text)?),
            GeneralName::RFC822Name(text) => names.emails.push(ascii(text)?),
            GeneralName::URI(text) => names.uris.push(ascii(text)?),
            GeneralName::IPAddress(bytes) => names.ips.push(ip(bytes)?),
            GeneralName::Invalid(..) => return Err(CertificateError::Malformed),
            // Not among the names clients are known by (RFC 8705 section 2.1.2).
            GeneralName::DirectoryName(_)
            | GeneralName::EDIPartyName(_)
            | GeneralName::OtherName(..)
            | GeneralName::RegisteredID(_)
            | GeneralName::X400Address(_) => {}
        }
    }
    Ok(names)
}

/// `IA5String` without spaces and control characters: NUL has cut names short before.
fn ascii(text: &str) -> Result<String, CertificateError> {
    let graphic = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    graphic
        .then(|| text.to_owned())
        .ok_or(CertificateError::Malformed)
}

fn ip(bytes: &[u8]) -> Result<IpAddr, CertificateError> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Ok(Ipv4Addr::from(four).into());
    }
    <[u8; 16]>::try_from(bytes)
        .map(|sixteen| Ipv6Addr::from(sixteen).into())
        .map_err(|_| CertificateError::Malformed)
}

/// The key, where it is of a kind and size JOSE has here.
fn public_key(info: &SubjectPublicKeyInfo<'_>) -> Option<PublicKey> {
    let algorithm = info.algorithm.algorithm.to_id_string();
    let bits = info.subject_public_key.data.as_ref();
    match algorithm.as_str() {
        EC_PUBLIC_KEY => {
            let curve = info.algorithm.parameters()?.as_oid().ok()?.to_id_string();
            let curve = match curve.as_str() {
                P_256 => Curve::P256,
                P_384 => Curve::P384,
                _ => return None,
            };
            PublicKey::from_ec_point(curve, bits).ok()
        }
        ED25519 => PublicKey::from_ed25519(bits).ok(),
        RSA => match info.parsed().ok()? {
            X509Key::RSA(key) => {
                let number = |bytes: &'_ [u8]| match bytes {
                    [0, rest @ ..] => rest.to_vec(),
                    whole => whole.to_vec(),
                };
                PublicKey::from_rsa(&number(key.modulus), &number(key.exponent)).ok()
            }
            X509Key::DSA(_)
            | X509Key::EC(_)
            | X509Key::GostR3410(_)
            | X509Key::GostR3410_2012(_)
            | X509Key::Unknown(_) => None,
        },
        _ => None,
    }
}

const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";
const P_256: &str = "1.2.840.10045.3.1.7";
const P_384: &str = "1.3.132.0.34";
const ED25519: &str = "1.3.101.112";
const RSA: &str = "1.2.840.113549.1.1.1";
