//! The files of a TLS listener, read and judged before any of them is used.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use keybound_proto::certificate::PeerCertificate;
use keybound_proto::time::UnixTime;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use super::client::{Authorities, Authority};
use super::{ClientCertificates, ClientTrust, TlsConfig, TlsError};

/// No honest certificate or key file is larger.
const FILE_BYTES: u64 = 1024 * 1024;
/// Revocation lists of large authorities are.
const CRL_BYTES: u64 = 64 * 1024 * 1024;

/// What the files hold.
pub(super) struct Loaded {
    /// Tells whether anything has changed since.
    pub(super) fingerprint: [u8; 32],
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    /// The last second of the server's certificate.
    pub(super) not_after: UnixTime,
    pub(super) authorities: Option<Authorities>,
}

/// The one cryptographic backend, handed over explicitly.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

impl Loaded {
    /// Reads every file that the configuration names.
    pub(super) fn read(config: &TlsConfig, now: UnixTime) -> Result<Self, TlsError> {
        let mut digest = Context::new(&SHA256);
        let certificate = read(&config.certificate, FILE_BYTES, &mut digest)?;
        let chain = certificates(&config.certificate, &certificate)?;
        let not_after = chain
            .first()
            .and_then(|leaf| PeerCertificate::from_der(leaf, Vec::new()).ok())
            .map(|leaf| leaf.not_after())
            .ok_or_else(|| TlsError::CertificateInvalid {
                path: config.certificate.clone(),
            })?;
        let key = key(&config.key, &mut digest)?;
        let authorities = match &config.clients {
            ClientCertificates::Optional(ClientTrust::Authorities { ca, crls })
            | ClientCertificates::Required(ClientTrust::Authorities { ca, crls }) => {
                let authorities = authorities(ca, &mut digest, now)?;
                let crls = revocation_lists(crls, &authorities, &mut digest, now)?;
                Some(Authorities::new(ca.clone(), authorities, crls))
            }
            _ => None,
        };
        Ok(Self {
            fingerprint: finish(digest),
            chain,
            key,
            not_after,
            authorities,
        })
    }
}

fn finish(digest: Context) -> [u8; 32] {
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest.finish().as_ref());
    fingerprint
}

/// The whole content of a file, within a limit.
fn read(path: &Path, limit: u64, digest: &mut Context) -> Result<Vec<u8>, TlsError> {
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    content(file, path, limit, digest)
}

fn content(file: File, path: &Path, limit: u64, digest: &mut Context) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(path, error))?;
    if bytes.len() as u64 > limit {
        let path = path.to_owned();
        return Err(TlsError::TooLarge { path, limit });
    }
    digest.update(&(bytes.len() as u64).to_be_bytes());
    digest.update(&bytes);
    Ok(bytes)
}

fn unreadable(path: &Path, error: io::Error) -> TlsError {
    TlsError::Unreadable {
        path: path.to_owned(),
        source: Arc::new(error),
    }
}

/// One or more certificates in PEM.
fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let missing = || TlsError::CertificateMissing {
        path: path.to_owned(),
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|_| missing())?;
    if found.is_empty() {
        return Err(missing());
    }
    Ok(found)
}

/// The private key, from a file that only its owner can read.
fn key(path: &PathBuf, digest: &mut Context) -> Result<PrivateKeyDer<'static>, TlsError> {
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    // SECURITY: the mode of the opened file counts; the name may meanwhile lead elsewhere.
    let metadata = file.metadata().map_err(|error| unreadable(path, error))?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        let path = path.clone();
        return Err(TlsError::KeyExposed { path, mode });
    }
    let pem = zeroize::Zeroizing::new(content(file, path, FILE_BYTES, digest)?);
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| TlsError::KeyMissing { path: path.clone() })
}

/// Authorities that are in force or will be; none left is an error.
fn authorities(
    path: &Path,
    digest: &mut Context,
    now: UnixTime,
) -> Result<Vec<Authority>, TlsError> {
    let pem = read(path, FILE_BYTES, digest)?;
    let invalid = || TlsError::AuthorityInvalid {
        path: path.to_owned(),
    };
    let mut authorities = Vec::new();
    for certificate in certificates(path, &pem)? {
        let facts = PeerCertificate::from_der(&certificate, Vec::new()).map_err(|_| invalid())?;
        let not_after = facts.not_after();
        if now > not_after {
            tracing::warn!(
                file = %path.display(),
                thumbprint = %facts.thumbprint(),
                "an authority has expired and is left out"
            );
            continue;
        }
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).map_err(|_| invalid())?;
        let anchor = roots.roots.pop().ok_or_else(invalid)?;
        authorities.push(Authority {
            anchor,
            not_before: facts.not_before(),
            not_after,
        });
    }
    if authorities.is_empty() {
        let path = path.to_owned();
        return Err(TlsError::AuthoritiesExpired { path });
    }
    Ok(authorities)
}

/// Revocation lists that are readable, understood and current.
fn revocation_lists(
    paths: &[PathBuf],
    authorities: &[Authority],
    digest: &mut Context,
    now: UnixTime,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.roots = authorities.iter().map(|one| one.anchor.clone()).collect();
    let roots = Arc::new(roots);
    let mut all = Vec::new();
    for path in paths {
        let bytes = read(path, CRL_BYTES, digest)?;
        let invalid = || TlsError::RevocationListInvalid { path: path.clone() };
        let lists: Vec<CertificateRevocationListDer<'static>> = if bytes.first() == Some(&0x30) {
            vec![bytes.into()]
        } else {
            let lists: Result<Vec<_>, _> =
                CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
            lists.map_err(|_| invalid())?
        };
        if lists.is_empty() {
            return Err(invalid());
        }
        for list in &lists {
            check_list(path, list, &roots, now)?;
        }
        all.extend(lists);
    }
    Ok(all)
}

fn check_list(
    path: &Path,
    list: &CertificateRevocationListDer<'static>,
    roots: &Arc<rustls::RootCertStore>,
    now: UnixTime,
) -> Result<(), TlsError> {
    let path = path.to_owned();
    let Ok(([], parsed)) = CertificateRevocationList::from_der(list) else {
        return Err(TlsError::RevocationListInvalid { path });
    };
    let next = parsed.next_update().map(|time| time.timestamp());
    match next.and_then(|next| u64::try_from(next).ok()) {
        None => return Err(TlsError::RevocationListInvalid { path }),
        Some(next) if next < now.as_secs() => return Err(TlsError::RevocationListExpired { path }),
        Some(_) => {}
    }
    // What path validation does not understand of a list shows here.
    WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider())
        .with_crls([list.clone()])
        .build()
        .map(|_| ())
        .map_err(|_| TlsError::RevocationListInvalid { path })
}
