//! Client authentication by certificate (RFC 8705 section 2): what a client is registered for,
//! compared with what its connection showed.
//!
//! `tls_client_auth` wants a path to an anchor and exactly one name ([`ClientName`]);
//! `self_signed_tls_client_auth` wants one of the registered certificates or keys
//! ([`RegisteredCertificates`]). Both look at the end-entity certificate alone.
//!
//! Names are compared whole: a wildcard matches nothing, and so does a part of a name.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{
    CertificateError, CertificateThumbprint, DistinguishedName, DistinguishedNameError,
    PeerCertificate, TrustedCertificate,
};
use crate::cause::Cause;
use crate::jose::{JwkError, PublicKey};
use crate::json::{Object, Value, quote};
use crate::rejection::Rejection;

/// The one name a client of `tls_client_auth` is known by (RFC 8705 section 2.1.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientName {
    /// `tls_client_auth_subject_dn`
    SubjectDn(DistinguishedName),
    /// `tls_client_auth_san_dns`
    SanDns(String),
    /// `tls_client_auth_san_email`
    SanEmail(String),
    /// `tls_client_auth_san_ip`
    SanIp(IpAddr),
    /// `tls_client_auth_san_uri`
    SanUri(String),
}

/// Why a text is not the name it is registered as.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientNameError {
    /// Not RFC 4514 text.
    Dn(DistinguishedNameError),
    /// Not an IP address.
    Ip,
    /// Empty, not ASCII, with spaces or control characters, or a wildcard.
    Text,
    /// No such member.
    Member,
}

impl ClientName {
    /// The names of the five members, of which a client has exactly one.
    pub const MEMBERS: [&str; 5] = [
        "tls_client_auth_subject_dn",
        "tls_client_auth_san_dns",
        "tls_client_auth_san_uri",
        "tls_client_auth_san_ip",
        "tls_client_auth_san_email",
    ];

    /// Reads the value of the member with this name.
    ///
    /// # Errors
    /// [`ClientNameError`]
    ///
    /// ```
    /// use keybound_proto::certificate::ClientName;
    ///
    /// let name = ClientName::read("tls_client_auth_san_ip", "2001:DB8::1").unwrap();
    /// assert_eq!(name.value(), "2001:db8::1");
    /// assert!(ClientName::read("tls_client_auth_san_dns", "*.example.com").is_err());
    /// ```
    pub fn read(member: &str, value: &str) -> Result<Self, ClientNameError> {
        match member {
            "tls_client_auth_subject_dn" => value
                .parse()
                .map(Self::SubjectDn)
                .map_err(ClientNameError::Dn),
            "tls_client_auth_san_dns" if value.contains('*') => Err(ClientNameError::Text),
            "tls_client_auth_san_dns" => text(value).map(Self::SanDns),
            "tls_client_auth_san_uri" => text(value).map(Self::SanUri),
            "tls_client_auth_san_email" => text(value).map(Self::SanEmail),
            "tls_client_auth_san_ip" => value
                .parse()
                .map(Self::SanIp)
                .map_err(|_| ClientNameError::Ip),
            _ => Err(ClientNameError::Member),
        }
    }

    /// The member this name is registered as.
    #[must_use]
    pub const fn member(&self) -> &'static str {
        match self {
            Self::SubjectDn(_) => "tls_client_auth_subject_dn",
            Self::SanDns(_) => "tls_client_auth_san_dns",
            Self::SanEmail(_) => "tls_client_auth_san_email",
            Self::SanIp(_) => "tls_client_auth_san_ip",
            Self::SanUri(_) => "tls_client_auth_san_uri",
        }
    }

    /// The member's value.
    #[must_use]
    pub fn value(&self) -> String {
        match self {
            Self::SubjectDn(name) => name.to_string(),
            Self::SanDns(text) | Self::SanEmail(text) | Self::SanUri(text) => text.clone(),
            Self::SanIp(address) => address.to_string(),
        }
    }

    /// Whether the certificate has the name.
    ///
    /// # Errors
    /// [`Cause::CertificateSubject`]
    pub fn check(&self, trusted: &TrustedCertificate) -> Result<NameMatches, Rejection> {
        let certificate = trusted.certificate();
        let has = match self {
            Self::SubjectDn(name) => certificate.subject().matches(name),
            Self::SanDns(name) => {
                let mut names = certificate.dns_names().iter();
                names.any(|found| found.eq_ignore_ascii_case(name))
            }
            Self::SanEmail(name) => certificate
                .emails()
                .iter()
                .any(|found| same_mailbox(found, name)),
            Self::SanIp(address) => certificate.ip_addresses().contains(address),
            Self::SanUri(name) => certificate.uris().contains(name),
        };
        if has {
            return Ok(NameMatches(()));
        }
        Err(Rejection::new(Cause::CertificateSubject)
            .expected(format!("{} {}", self.member(), self.value()))
            .got(certificate.subject().to_string()))
    }
}

/// The witness that a trusted certificate has the registered name.
#[derive(Debug)]
pub struct NameMatches(());

/// The certificates and keys a client of `self_signed_tls_client_auth` registered as a JWK Set
/// (RFC 8705 section 2.2.2).
#[derive(Clone, Debug)]
pub struct RegisteredCertificates(Vec<Entry>);

#[derive(Clone, Debug)]
struct Entry {
    key: PublicKey,
    /// With `x5c` only this certificate counts, without it every certificate of the key.
    certificate: Option<PeerCertificate>,
}

/// The witness that the certificate is a registered one.
#[derive(Debug)]
pub struct CertificateRegistered(());

/// Why a JWK Set does not register certificates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RegisteredCertificatesError {
    /// `x5c` is malformed or belongs to another key.
    Certificate,
    /// One of its keys.
    Key(JwkError),
    /// No array `keys` with one to [`RegisteredCertificates::MAX`] objects.
    Set,
}

impl RegisteredCertificates {
    /// How many keys one client may have.
    pub const MAX: usize = 8;

    /// Reads a JWK Set. Where a JWK has `x5c`, its first certificate is the registered one, and
    /// must be of the JWK's key.
    ///
    /// # Errors
    /// [`RegisteredCertificatesError`]
    pub fn read(jwks: &Object<'_>) -> Result<Self, RegisteredCertificatesError> {
        let Some(Value::Array(keys)) = jwks.get("keys") else {
            return Err(RegisteredCertificatesError::Set);
        };
        if keys.is_empty() || keys.len() > Self::MAX {
            return Err(RegisteredCertificatesError::Set);
        }
        keys.iter()
            .map(Entry::read)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The set as JSON: public members, and `x5c` where there was one.
    #[must_use]
    pub fn to_jwks(&self) -> String {
        let keys: Vec<_> = self.0.iter().map(Entry::to_jwk).collect();
        format!("{{\"keys\":[{}]}}", keys.join(","))
    }

    /// Whether this certificate is registered, itself or by its key.
    ///
    /// # Errors
    /// [`Cause::CertificateUnregistered`]
    pub fn check(&self, presented: &PeerCertificate) -> Result<CertificateRegistered, Rejection> {
        let is_registered = self.0.iter().any(|entry| match &entry.certificate {
            Some(certificate) => certificate == presented,
            None => presented.public_key() == Some(&entry.key),
        });
        if is_registered {
            return Ok(CertificateRegistered(()));
        }
        Err(Rejection::new(Cause::CertificateUnregistered).got(presented.thumbprint().to_string()))
    }

    /// The thumbprints of the certificates registered as such, for people who look.
    pub fn thumbprints(&self) -> impl Iterator<Item = CertificateThumbprint> {
        let certificates = self.0.iter().filter_map(|entry| entry.certificate.as_ref());
        certificates.map(PeerCertificate::thumbprint)
    }
}

impl Entry {
    fn read(value: &Value<'_>) -> Result<Self, RegisteredCertificatesError> {
        let Value::Object(jwk) = value else {
            return Err(RegisteredCertificatesError::Set);
        };
        let key = PublicKey::from_jwk_object(jwk).map_err(RegisteredCertificatesError::Key)?;
        let certificate = match jwk.strings("x5c") {
            Ok(None) => None,
            Ok(Some(chain)) => {
                let first = chain
                    .first()
                    .ok_or(RegisteredCertificatesError::Certificate)?;
                let of_this_key = certificate(first)
                    .ok()
                    .filter(|certificate| certificate.public_key() == Some(&key));
                Some(of_this_key.ok_or(RegisteredCertificatesError::Certificate)?)
            }
            Err(_) => return Err(RegisteredCertificatesError::Certificate),
        };
        Ok(Self { key, certificate })
    }

    fn to_jwk(&self) -> String {
        let mut jwk = self.key.to_jwk();
        if let Some(certificate) = &self.certificate {
            jwk.pop();
            let x5c = quote(&STANDARD.encode(certificate.der()));
            jwk.push_str(&format!(",\"x5c\":[{x5c}]}}"));
        }
        jwk
    }
}

/// RFC 7517 section 4.7: base64 with padding, not base64url.
fn certificate(text: &str) -> Result<PeerCertificate, CertificateError> {
    let der = STANDARD
        .decode(text)
        .map_err(|_| CertificateError::Malformed)?;
    PeerCertificate::from_der(&der, Vec::new())
}

fn text(value: &str) -> Result<String, ClientNameError> {
    let graphic = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic());
    graphic
        .then(|| value.to_owned())
        .ok_or(ClientNameError::Text)
}

/// RFC 5280 section 7.5: the host without regard to case, the local part exactly.
fn same_mailbox(left: &str, right: &str) -> bool {
    match (left.rsplit_once('@'), right.rsplit_once('@')) {
        (Some((left, left_host)), Some((right, right_host))) => {
            left == right && left_host.eq_ignore_ascii_case(right_host)
        }
        (Some(_) | None, None) | (None, Some(_)) => false,
    }
}

impl fmt::Display for ClientNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dn(error) => error.fmt(f),
            Self::Ip => f.write_str("not an IP address"),
            Self::Member => f.write_str("no such member"),
            Self::Text => f.write_str(
                "a name is printable ASCII without spaces, and a host name has no wildcard",
            ),
        }
    }
}

impl std::error::Error for ClientNameError {}

impl fmt::Display for RegisteredCertificatesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate => f.write_str(
                "`x5c` is an array of base64 DER whose first certificate is of the JWK's key",
            ),
            Self::Key(error) => error.fmt(f),
            Self::Set => f.write_str("a JWK Set has an array `keys` of one to eight objects"),
        }
    }
}

impl std::error::Error for RegisteredCertificatesError {}
