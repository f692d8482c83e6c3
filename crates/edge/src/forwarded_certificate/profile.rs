//! What each terminator's fields are called and how they are read.

use std::fmt;

use http::{HeaderMap, HeaderName};
use keybound_proto::certificate::{CertificateThumbprint, PeerCertificate};
use quick_cache::sync::Cache;

use super::{ForwardedCertificate, forms, xfcc};

/// What Caddy sends when a placeholder has no value: its own name.
const CADDY_NOTHING: &str = ":{http.request.tls.client.certificate_der_base64}:";

const CLIENT_CERT: &str = "client-cert";
const CLIENT_CERT_CHAIN: &str = "client-cert-chain";
const XFCC: &str = "x-forwarded-client-cert";
const NGINX_CERT: &str = "x-ssl-client-escaped-cert";
const NGINX_VERIFY: &str = "x-ssl-client-verify";
const TRAEFIK: &str = "x-forwarded-tls-client-cert";
const ALB: &str = "x-amzn-mtls-clientcert";
const ALB_LEAF: &str = "x-amzn-mtls-clientcert-leaf";
const CLOUDFRONT_HASH: &str = "cloudfront-viewer-cert-sha256";
const CLOUDFRONT_PRESENT: &str = "cloudfront-viewer-cert-present";
const CLOUDFLARE_VERIFIED: &str = "cf-cert-verified";
const CLOUDFLARE_REVOKED: &str = "cf-cert-revoked";

/// The form in which a terminator hands certificates on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateProfile {
    /// AWS Application Load Balancer, mutual TLS passthrough: `X-Amzn-Mtls-Clientcert`,
    /// percent-encoded PEM of the chain, which the balancer did not verify.
    AwsAlbPassthrough,
    /// AWS Application Load Balancer, mutual TLS verify: `X-Amzn-Mtls-Clientcert-Leaf`,
    /// percent-encoded PEM.
    AwsAlbVerify,
    /// AWS CloudFront: `CloudFront-Viewer-Cert-Sha256`, the hash alone.
    AwsCloudFront,
    /// Caddy: RFC 9440, where a client without certificate shows as an unfilled placeholder.
    Caddy,
    /// Cloudflare: RFC 9440 by a transform rule, with `Cf-Cert-Verified` and `Cf-Cert-Revoked`
    /// of the managed transform.
    Cloudflare,
    /// Envoy: the last element of `X-Forwarded-Client-Cert`.
    Envoy,
    /// HAProxy: RFC 9440.
    HaProxy,
    /// nginx, and Apache httpd told to say the same: `X-Ssl-Client-Escaped-Cert`,
    /// percent-encoded PEM, and `X-Ssl-Client-Verify`.
    Nginx,
    /// `Client-Cert` and `Client-Cert-Chain` of RFC 9440.
    Rfc9440,
    /// Traefik: `X-Forwarded-Tls-Client-Cert`, base64 of leaf and chain separated by commas.
    Traefik,
}

/// What is wrong with a terminator's fields. Holds nothing of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// Not a certificate in strict DER, or a chain that is too long.
    #[error("not a certificate, or more of them than are accepted")]
    Certificate,
    /// Fields that say different things.
    #[error("the fields contradict each other")]
    Contradiction,
    /// Not the profile's form.
    #[error("not the form of the profile")]
    Encoding,
    /// A field that has to accompany another is missing.
    #[error("a field that belongs to the others is missing")]
    Incomplete,
    /// A field, or a part of it, that may come once came more often.
    #[error("a field came more than once")]
    Repeated,
    /// The terminator did not verify the chain.
    #[error("the terminator did not verify the certificate's chain")]
    Unverified,
}

type Known = Cache<Box<[u8]>, PeerCertificate>;

impl CertificateProfile {
    /// Every profile.
    pub const ALL: [Self; 10] = [
        Self::AwsAlbPassthrough,
        Self::AwsAlbVerify,
        Self::AwsCloudFront,
        Self::Caddy,
        Self::Cloudflare,
        Self::Envoy,
        Self::HaProxy,
        Self::Nginx,
        Self::Rfc9440,
        Self::Traefik,
    ];

    /// The name in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AwsAlbPassthrough => "aws-alb-passthrough",
            Self::AwsAlbVerify => "aws-alb-verify",
            Self::AwsCloudFront => "aws-cloudfront",
            Self::Caddy => "caddy",
            Self::Cloudflare => "cloudflare",
            Self::Envoy => "envoy",
            Self::HaProxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Rfc9440 => "rfc9440",
            Self::Traefik => "traefik",
        }
    }

    /// Whether the terminator hands on certificates without having looked at their chain.
    #[must_use]
    pub const fn never_verifies(self) -> bool {
        matches!(self, Self::AwsAlbPassthrough)
    }

    /// The fields that are read, in lower case.
    #[must_use]
    pub const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::AwsAlbPassthrough => &[ALB],
            Self::AwsAlbVerify => &[ALB_LEAF],
            Self::AwsCloudFront => &[CLOUDFRONT_HASH, CLOUDFRONT_PRESENT],
            Self::Caddy | Self::HaProxy | Self::Rfc9440 => &[CLIENT_CERT, CLIENT_CERT_CHAIN],
            Self::Cloudflare => &[
                CLIENT_CERT,
                CLIENT_CERT_CHAIN,
                CLOUDFLARE_VERIFIED,
                CLOUDFLARE_REVOKED,
            ],
            Self::Envoy => &[XFCC],
            Self::Nginx => &[NGINX_CERT, NGINX_VERIFY],
            Self::Traefik => &[TRAEFIK],
        }
    }

    pub(super) fn reads(self, name: &HeaderName) -> bool {
        self.fields().contains(&name.as_str())
    }

    pub(super) fn read(
        self,
        headers: &HeaderMap,
        unverified: bool,
        known: &Known,
    ) -> Result<ForwardedCertificate, HeaderFault> {
        match self {
            Self::AwsAlbPassthrough if !unverified => match one(headers, ALB)? {
                Some(_) => Err(HeaderFault::Unverified),
                None => Ok(ForwardedCertificate::Absent),
            },
            Self::AwsAlbPassthrough => escaped(one(headers, ALB)?, known),
            Self::AwsAlbVerify => escaped(one(headers, ALB_LEAF)?, known),
            Self::AwsCloudFront => cloudfront(headers),
            Self::Caddy if one(headers, CLIENT_CERT)? == Some(CADDY_NOTHING) => {
                match headers.contains_key(CLIENT_CERT_CHAIN) {
                    true => Err(HeaderFault::Contradiction),
                    false => Ok(ForwardedCertificate::Absent),
                }
            }
            Self::Caddy | Self::HaProxy | Self::Rfc9440 => rfc9440(headers, known),
            Self::Cloudflare => cloudflare(headers, unverified, known),
            Self::Envoy => envoy(headers, known),
            Self::Nginx => nginx(headers, unverified, known),
            Self::Traefik => traefik(one(headers, TRAEFIK)?, known),
        }
    }
}

impl fmt::Display for CertificateProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The one line of a field, without surrounding white space.
fn one<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, HeaderFault> {
    let mut lines = headers.get_all(name).iter();
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        return Err(HeaderFault::Repeated);
    }
    let text = line.to_str().map_err(|_| HeaderFault::Encoding)?;
    Ok(Some(text.trim_ascii()))
}

/// The certificate that these exact texts stood for before, or that `read` finds now.
fn remembered(
    texts: &[&str],
    known: &Known,
    read: impl FnOnce() -> Result<Vec<Vec<u8>>, HeaderFault>,
) -> Result<ForwardedCertificate, HeaderFault> {
    let key = texts.join("\n");
    if let Some(certificate) = known.get(key.as_bytes()) {
        return Ok(ForwardedCertificate::Whole(certificate));
    }
    let certificate = certificate(read()?)?;
    known.insert(key.into_bytes().into(), certificate.clone());
    Ok(ForwardedCertificate::Whole(certificate))
}

fn certificate(mut chain: Vec<Vec<u8>>) -> Result<PeerCertificate, HeaderFault> {
    if chain.is_empty() {
        return Err(HeaderFault::Incomplete);
    }
    let leaf = chain.remove(0);
    PeerCertificate::from_der(&leaf, chain).map_err(|_| HeaderFault::Certificate)
}

fn rfc9440(headers: &HeaderMap, known: &Known) -> Result<ForwardedCertificate, HeaderFault> {
    let chain: Vec<&str> = headers
        .get_all(CLIENT_CERT_CHAIN)
        .iter()
        .map(|line| line.to_str().map_err(|_| HeaderFault::Encoding))
        .collect::<Result<_, _>>()?;
    let Some(leaf) = one(headers, CLIENT_CERT)? else {
        return match chain.is_empty() {
            true => Ok(ForwardedCertificate::Absent),
            false => Err(HeaderFault::Incomplete),
        };
    };
    let texts: Vec<&str> = std::iter::once(leaf).chain(chain.iter().copied()).collect();
    remembered(&texts, known, || {
        let mut certificates = vec![forms::byte_sequence(leaf)?];
        for member in chain.iter().flat_map(|line| line.split(',')) {
            certificates.push(forms::byte_sequence(member.trim_ascii())?);
        }
        Ok(certificates)
    })
}

fn cloudflare(
    headers: &HeaderMap,
    unverified: bool,
    known: &Known,
) -> Result<ForwardedCertificate, HeaderFault> {
    let found = rfc9440(headers, known)?;
    if found == ForwardedCertificate::Absent {
        return Ok(found);
    }
    let verified = truth(one(headers, CLOUDFLARE_VERIFIED)?)?;
    // A revoked certificate is also not a verified one.
    let is_revoked = truth(one(headers, CLOUDFLARE_REVOKED)?)?;
    if is_revoked || !(verified || unverified) {
        return Err(HeaderFault::Unverified);
    }
    Ok(found)
}

fn truth(text: Option<&str>) -> Result<bool, HeaderFault> {
    match text {
        Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(_) => Err(HeaderFault::Encoding),
        None => Err(HeaderFault::Incomplete),
    }
}

fn nginx(
    headers: &HeaderMap,
    unverified: bool,
    known: &Known,
) -> Result<ForwardedCertificate, HeaderFault> {
    let certificate = one(headers, NGINX_CERT)?.filter(|text| !text.is_empty());
    match (one(headers, NGINX_VERIFY)?, certificate) {
        (None | Some("NONE"), None) => Ok(ForwardedCertificate::Absent),
        (Some("NONE"), Some(_)) => Err(HeaderFault::Contradiction),
        (None, Some(_)) | (Some("SUCCESS"), None) => Err(HeaderFault::Incomplete),
        (Some("SUCCESS"), certificate) => escaped(certificate, known),
        (Some(verdict), certificate) if verdict == "GENEROUS" || verdict.starts_with("FAILED") => {
            match certificate {
                Some(_) if unverified => escaped(certificate, known),
                _ => Err(HeaderFault::Unverified),
            }
        }
        (Some(_), _) => Err(HeaderFault::Encoding),
    }
}

fn escaped(text: Option<&str>, known: &Known) -> Result<ForwardedCertificate, HeaderFault> {
    match text {
        None => Ok(ForwardedCertificate::Absent),
        Some(text) => remembered(&[text], known, || forms::escaped_pem(text)),
    }
}

fn traefik(text: Option<&str>, known: &Known) -> Result<ForwardedCertificate, HeaderFault> {
    let Some(text) = text else {
        return Ok(ForwardedCertificate::Absent);
    };
    remembered(&[text], known, || {
        // Older releases escape the whole value.
        let plain = forms::percent_decoded(text)?;
        plain.split(',').map(forms::base64).collect()
    })
}

fn cloudfront(headers: &HeaderMap) -> Result<ForwardedCertificate, HeaderFault> {
    let hash = one(headers, CLOUDFRONT_HASH)?.filter(|text| !text.is_empty());
    match (one(headers, CLOUDFRONT_PRESENT)?, hash) {
        (None | Some("0"), None) => Ok(ForwardedCertificate::Absent),
        (Some("1"), Some(hash)) => {
            let digest = forms::sha256_hex(hash)?;
            let thumbprint = CertificateThumbprint::from_bytes(digest);
            Ok(ForwardedCertificate::Thumbprint(thumbprint))
        }
        (Some("0"), Some(_)) => Err(HeaderFault::Contradiction),
        (Some("1"), None) | (None, Some(_)) => Err(HeaderFault::Incomplete),
        (Some(_), _) => Err(HeaderFault::Encoding),
    }
}

fn envoy(headers: &HeaderMap, known: &Known) -> Result<ForwardedCertificate, HeaderFault> {
    let lines: Vec<&str> = headers
        .get_all(XFCC)
        .iter()
        .map(|line| line.to_str().map_err(|_| HeaderFault::Encoding))
        .collect::<Result<_, _>>()?;
    let Some(last) = lines.last() else {
        return Ok(ForwardedCertificate::Absent);
    };
    if let Some(certificate) = known.get(last.as_bytes()) {
        return Ok(ForwardedCertificate::Whole(certificate));
    }
    let element = xfcc::last_element(&lines)?;
    if element.certificates.is_empty() {
        let digest = element.hash.ok_or(HeaderFault::Incomplete)?;
        let thumbprint = CertificateThumbprint::from_bytes(digest);
        return Ok(ForwardedCertificate::Thumbprint(thumbprint));
    }
    let certificate = certificate(element.certificates)?;
    if element
        .hash
        .is_some_and(|hash| hash != *certificate.thumbprint().as_bytes())
    {
        return Err(HeaderFault::Contradiction);
    }
    known.insert(last.as_bytes().into(), certificate.clone());
    Ok(ForwardedCertificate::Whole(certificate))
}
