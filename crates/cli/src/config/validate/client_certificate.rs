//! A client's certificate: its name, who may vouch for it, and what it means for tokens.

use std::sync::Arc;

use keybound_issuer::config::{CertificateRenewal, CertificateUse, ClientAuthentication};
use keybound_proto::certificate::{ClientName, TrustAnchors};
use keybound_proto::time::Clock as _;
use keybound_proto::workload::SpiffeId;

use super::checker::Checker;
use crate::clock::SystemClock;
use crate::config::model::{CertificateBindingName, ClientAuth, ClientBinding, ClientSection};

/// `tls_client_auth`: exactly one name, and authorities of the client's own.
pub(super) fn by_name(
    checker: &mut Checker<'_>,
    key: &str,
    section: &ClientSection,
) -> Option<ClientAuthentication> {
    let [(member, value)] = names(section)[..] else {
        let message = format!("`{key}` needs exactly one of the five `tls_client_auth_…` names");
        let help = "write for example `tls_client_auth_san_dns = \"batch.example.com\"`";
        checker.problem(&format!("{key}.auth"), message, Some(help));
        return None;
    };
    let name = match ClientName::read(member, value) {
        Ok(name) => name,
        Err(error) => {
            let place = format!("{key}.{member}");
            checker.problem(&place, format!("`{place}`: {error}"), None);
            return None;
        }
    };
    let Some(file) = &section.client_ca else {
        let message = format!("`{key}` authenticates with tls_client_auth without `client_ca`");
        let help = "name the file of the authority that signs this client's certificates";
        checker.problem(&format!("{key}.auth"), message, Some(help));
        return None;
    };
    let anchors = with_lists(checker, key, file, &section.client_crl)?;
    Some(ClientAuthentication::TlsClientAuth { name, anchors })
}

/// Reads authorities; a file that is missing, empty or has an expired one is a problem.
pub(super) fn anchors(
    checker: &mut Checker<'_>,
    key: &str,
    file: &str,
) -> Option<Arc<TrustAnchors>> {
    read(checker, key, file).map(Arc::new)
}

fn read(checker: &mut Checker<'_>, key: &str, file: &str) -> Option<TrustAnchors> {
    let text = checker.text(key, file)?;
    let in_force = |anchors: TrustAnchors| {
        anchors.check_time(SystemClock.now())?;
        Ok(anchors)
    };
    match TrustAnchors::from_pem(text.as_bytes()).and_then(in_force) {
        Ok(anchors) => Some(anchors),
        Err(error) => {
            checker.problem(key, format!("`{key}`: `{file}`: {error}"), None);
            None
        }
    }
}

fn with_lists(
    checker: &mut Checker<'_>,
    key: &str,
    file: &str,
    lists: &[String],
) -> Option<Arc<TrustAnchors>> {
    let mut anchors = read(checker, &format!("{key}.client_ca"), file)?;
    for (position, list) in lists.iter().enumerate() {
        let place = format!("{key}.client_crl[{position}]");
        let text = checker.text(&place, list)?;
        anchors = match anchors.with_revocation_lists_pem(text.as_bytes()) {
            Ok(anchors) => anchors,
            Err(error) => {
                checker.problem(&place, format!("`{place}`: `{list}`: {error}"), None);
                return None;
            }
        };
    }
    Some(Arc::new(anchors))
}

/// Keys of `tls_client_auth` at a client that authenticates otherwise would look like a check
/// that is not made.
pub(super) fn check_stray(checker: &mut Checker<'_>, key: &str, section: &ClientSection) {
    if section.auth == ClientAuth::TlsClientAuth {
        return;
    }
    let named = names(section).first().map(|(member, _)| *member);
    let stray = named
        .or_else(|| section.client_ca.as_ref().map(|_| "client_ca"))
        .or_else(|| section.client_crl.first().map(|_| "client_crl"));
    if let Some(member) = stray {
        let message = format!("`{key}.{member}` belongs to `auth = \"tls_client_auth\"`");
        checker.problem(&format!("{key}.{member}"), message, None);
    }
}

/// What a certificate means for the client's tokens.
pub(super) fn usage(
    checker: &mut Checker<'_>,
    key: &str,
    section: &ClientSection,
) -> Option<CertificateUse> {
    let required = section.tls_client_certificate_bound_access_tokens;
    let listed = section.binding_methods.as_deref();
    let has = |method| listed.is_some_and(|methods| methods.contains(&method));
    let sufficient = listed.map_or(required, |_| has(ClientBinding::Mtls));
    let only_mtls =
        has(ClientBinding::Mtls) && !has(ClientBinding::Dpop) && !has(ClientBinding::Httpsig);
    let is_bound = required || sufficient;
    if !is_bound && section.certificate_binding != CertificateBindingName::Certificate {
        let place = format!("{key}.certificate_binding");
        let message =
            format!("`{place}` is about tokens bound to a certificate; this client has none");
        let help = "write `tls_client_certificate_bound_access_tokens = true`";
        checker.problem(&place, message, Some(help));
        return None;
    }
    Some(CertificateUse {
        required: required || only_mtls,
        sufficient,
        renewal: renewal(checker, key, section)?,
    })
}

/// Which renewed certificates the client's tokens are good with.
fn renewal(
    checker: &mut Checker<'_>,
    key: &str,
    section: &ClientSection,
) -> Option<CertificateRenewal> {
    let by_id = section.certificate_binding == CertificateBindingName::SpiffeId;
    if let (Some(_), false) = (&section.certificate_renewal_window, by_id) {
        let place = format!("{key}.certificate_renewal_window");
        let message = format!("`{place}` belongs to `certificate_binding = \"spiffe_id\"`");
        checker.problem(&place, message, None);
        return None;
    }
    match section.certificate_binding {
        CertificateBindingName::Certificate => Some(CertificateRenewal::Refused),
        CertificateBindingName::PublicKey => Some(CertificateRenewal::SamePublicKey),
        CertificateBindingName::SpiffeId => {
            let uri = section.tls_client_auth_san_uri.as_deref();
            let is_known = section.auth == ClientAuth::TlsClientAuth
                && uri.is_some_and(|uri| SpiffeId::parse(uri).is_ok());
            if !is_known {
                let place = format!("{key}.certificate_binding");
                let message = format!("`{place}` needs a client that is known by its SPIFFE ID");
                let help = "write `auth = \"tls_client_auth\"` and `tls_client_auth_san_uri = \"spiffe://…\"`";
                checker.problem(&place, message, Some(help));
                return None;
            }
            let window = section.certificate_renewal_window.as_deref();
            let place = format!("{key}.certificate_renewal_window");
            let window = checker.duration(&place, window.unwrap_or("1h"), 1..=3600)?;
            Some(CertificateRenewal::SameSpiffeId { window })
        }
    }
}

fn names(section: &ClientSection) -> Vec<(&'static str, &str)> {
    let values = [
        &section.tls_client_auth_subject_dn,
        &section.tls_client_auth_san_dns,
        &section.tls_client_auth_san_uri,
        &section.tls_client_auth_san_ip,
        &section.tls_client_auth_san_email,
    ];
    let pairs = ClientName::MEMBERS.into_iter().zip(values);
    pairs
        .filter_map(|(member, value)| Some((member, value.as_deref()?)))
        .collect()
}
