//! The ways into issuer and gateway: without TLS, with TLS, behind a terminator.

use std::sync::Arc;

use keybound_edge::forwarded_certificate::{
    CertificateHeaderConfig, CertificateHeaders, CertificateProfile, PeerNetwork,
};
use keybound_edge::listener::tls::{ClientCertificates, ClientTrust, Tls, TlsConfig, TlsError};
use keybound_proto::time::Clock;

use super::checker::Checker;
use crate::clock::SystemClock;
use crate::config::model::{
    CertificateHeaderSection, CertificateProfileName, ClientCertificatesName, TlsSection,
};
use crate::config::settings::{FrontSettings, TlsSettings};
use crate::failure::chain;

/// What one section says of its listeners.
pub(super) struct Sections<'a> {
    pub(super) listen: &'a str,
    pub(super) unsafe_plain_off_loopback: bool,
    pub(super) tls: Option<&'a TlsSection>,
    pub(super) certificate_header: Option<&'a CertificateHeaderSection>,
}

pub(super) fn check(
    checker: &mut Checker<'_>,
    name: &str,
    sections: &Sections<'_>,
) -> Option<FrontSettings> {
    let plain = plain(checker, name, sections);
    let tls = match sections.tls {
        Some(section) => with_tls(checker, name, section).map(Some),
        None => Some(None),
    };
    let certificate_headers = match sections.certificate_header {
        Some(section) => headers(checker, name, section).map(Some),
        None => Some(None),
    };
    let required = sections
        .tls
        .is_some_and(|tls| tls.client_certificates == ClientCertificatesName::Required);
    if required && sections.listen != "none" {
        let message = format!(
            "clients of `{name}.tls` need a certificate, those of `{name}.listen` ({}) do not",
            sections.listen
        );
        let key = format!("{name}.listen");
        checker.warning(
            &key,
            message,
            "write `listen = \"none\"` to close the other way in",
        );
    }
    Some(FrontSettings {
        plain: plain?,
        unsafe_plain_off_loopback: sections.unsafe_plain_off_loopback,
        tls: tls?,
        certificate_headers: certificate_headers?,
    })
}

/// The listener without TLS; `Some(None)` where there is none.
#[expect(
    clippy::option_option,
    reason = "the outer level is a problem that was noted, the inner one a listener that is off"
)]
fn plain(
    checker: &mut Checker<'_>,
    name: &str,
    sections: &Sections<'_>,
) -> Option<Option<std::net::SocketAddr>> {
    let key = format!("{name}.listen");
    if sections.listen == "none" {
        if sections.tls.is_none() {
            let message = format!("`[{name}]` would listen nowhere");
            let help = format!("add `[{name}.tls]`, or give `listen` an address");
            checker.problem(&key, message, Some(&help));
            return None;
        }
        return Some(None);
    }
    if sections.unsafe_plain_off_loopback {
        let address = checker.address(&key, sections.listen)?;
        if !address.ip().to_canonical().is_loopback() {
            let message = format!("`{key}` is off loopback without TLS: tokens travel readable");
            checker.warning(&key, message, &format!("serve TLS with `[{name}.tls]`"));
        }
        return Some(Some(address));
    }
    checker.listen(&key, sections.listen).map(Some)
}

fn with_tls(checker: &mut Checker<'_>, name: &str, section: &TlsSection) -> Option<TlsSettings> {
    let key = |member: &str| format!("{name}.tls.{member}");
    let listen = checker.address(
        &key("listen"),
        section.listen.as_deref().unwrap_or_default(),
    );
    let file = |path: &str| checker.loaded().resolve(path);
    let trust = match &section.client_ca {
        None => ClientTrust::Possession,
        Some(ca) => ClientTrust::Authorities {
            ca: file(ca),
            crls: section.client_crl.iter().map(|path| file(path)).collect(),
        },
    };
    let config = TlsConfig {
        certificate: file(&section.certificate),
        key: file(&section.key),
        clients: match section.client_certificates {
            ClientCertificatesName::None => ClientCertificates::None,
            ClientCertificatesName::Optional => ClientCertificates::Optional(trust),
            ClientCertificatesName::Required => ClientCertificates::Required(trust),
        },
        http2: true,
    };
    let asks = section.client_certificates != ClientCertificatesName::None;
    let has_files = section.client_ca.is_some() || !section.client_crl.is_empty();
    if !asks && has_files {
        let message = format!("`{name}.tls` has authorities for certificates it does not ask for");
        let help = "write `client_certificates = \"optional\"` or `\"required\"`";
        checker.problem(&key("client_certificates"), message, Some(help));
        return None;
    }
    if section.client_ca.is_none() && !section.client_crl.is_empty() {
        let message = format!(
            "`{}` without `client_ca` would revoke nothing",
            key("client_crl")
        );
        checker.problem(&key("client_crl"), message, Some("add `client_ca`"));
        return None;
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    match Tls::load(config.clone(), clock) {
        Ok(tls) => Some(TlsSettings {
            listen: listen?,
            tls,
        }),
        Err(error) => {
            let key = key(member(&error, &config));
            checker.problem(&key, format!("`{key}`: {}", chain(&error)), None);
            None
        }
    }
}

/// The key whose file an error is about.
fn member(error: &TlsError, config: &TlsConfig) -> &'static str {
    let path = error.path();
    let trust = match &config.clients {
        ClientCertificates::None => None,
        ClientCertificates::Optional(trust) | ClientCertificates::Required(trust) => Some(trust),
    };
    match trust {
        Some(ClientTrust::Authorities { ca, .. }) if path == Some(ca) => "client_ca",
        Some(ClientTrust::Authorities { crls, .. }) if crls.iter().any(|crl| path == Some(crl)) => {
            "client_crl"
        }
        _ if path == Some(&config.key) => "key",
        _ => "certificate",
    }
}

fn headers(
    checker: &mut Checker<'_>,
    name: &str,
    section: &CertificateHeaderSection,
) -> Option<CertificateHeaders> {
    let key = |member: &str| format!("{name}.certificate_header.{member}");
    let profile = profile(section.profile);
    if section.peers.is_empty() {
        let message = format!(
            "`{}` is empty, so no terminator would be believed",
            key("peers")
        );
        let help = "write the terminators' addresses, such as `[\"127.0.0.1/32\"]`";
        checker.problem(&key("peers"), message, Some(help));
        return None;
    }
    let mut peers = Vec::new();
    for (position, text) in section.peers.iter().enumerate() {
        match text.parse::<PeerNetwork>() {
            Ok(network) => peers.push(network),
            Err(error) => {
                let key = key(&format!("peers[{position}]"));
                checker.problem(&key, format!("`{key}` is `{text}`: {error}"), None);
            }
        }
    }
    if profile.never_verifies() && !section.unverified {
        let message = format!("profile `{profile}` hands on certificates that nobody has verified");
        let help = "write `unverified = true` where possession of the key is enough, or have the balancer verify";
        checker.problem(&key("unverified"), message, Some(help));
        return None;
    }
    if peers.len() < section.peers.len() {
        return None;
    }
    let config = CertificateHeaderConfig {
        profile,
        peers,
        unverified: section.unverified,
    };
    Some(CertificateHeaders::new(config, Arc::new(SystemClock)))
}

const fn profile(name: CertificateProfileName) -> CertificateProfile {
    match name {
        CertificateProfileName::AwsAlbPassthrough => CertificateProfile::AwsAlbPassthrough,
        CertificateProfileName::AwsAlbVerify => CertificateProfile::AwsAlbVerify,
        CertificateProfileName::AwsCloudFront => CertificateProfile::AwsCloudFront,
        CertificateProfileName::Caddy => CertificateProfile::Caddy,
        CertificateProfileName::Cloudflare => CertificateProfile::Cloudflare,
        CertificateProfileName::Envoy => CertificateProfile::Envoy,
        CertificateProfileName::HaProxy => CertificateProfile::HaProxy,
        CertificateProfileName::Nginx => CertificateProfile::Nginx,
        CertificateProfileName::Rfc9440 => CertificateProfile::Rfc9440,
        CertificateProfileName::Traefik => CertificateProfile::Traefik,
    }
}
