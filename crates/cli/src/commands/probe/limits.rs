//! Limits of a run as flags, and how TLS is spoken.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use keybound_probe::{ClientIdentity, Level, Options, TlsOptions};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::failure::Failure;
use crate::input::unreadable;

/// Limits of a run.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct Limits {
    /// Checks or cases to run, for example `RS-06` or `RS-06.at-once` [default: all]
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(super) only: Vec<String>,

    /// Checks or cases to leave out
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(super) skip: Vec<String>,

    /// How much to ask
    #[arg(long, value_enum, default_value_t = LevelName::Full)]
    level: LevelName,

    /// Requests a second at most; 0 for as fast as the target answers
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = rate)]
    pub(super) rate: f64,

    /// Requests in all at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(super) max_requests: u32,

    /// Seconds to wait for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(super) timeout: u64,

    /// Connect to this address instead of those the name resolves to: one node of many
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) connect_to: Option<SocketAddr>,

    /// Certificates of the authorities to trust instead of the system's, PEM
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,

    /// Client certificate and those between it and its authority, PEM
    #[arg(long, value_name = "FILE", requires = "client_cert_key")]
    client_cert: Option<PathBuf>,

    /// Key of the client certificate, PEM
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_cert_key: Option<PathBuf>,

    /// Say what would be sent, and send nothing
    #[arg(long)]
    pub(super) dry_run: bool,

    /// The target is mine, or I may test it: do not ask
    #[arg(long, visible_alias = "yes")]
    pub(super) target_owner_ok: bool,
}

/// How much to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LevelName {
    /// Without what takes minutes: late replays
    Quick,
    /// Everything
    Full,
}

impl Limits {
    /// The limits as the library takes them. Reads the files of TLS.
    pub(super) fn options(&self) -> Result<Options, Failure> {
        Ok(Options {
            level: match self.level {
                LevelName::Quick => Level::Quick,
                LevelName::Full => Level::Full,
            },
            rate: self.rate,
            max_requests: self.max_requests,
            timeout: Duration::from_secs(self.timeout.max(1)),
            only: self.only.clone(),
            skip: self.skip.clone(),
            dry_run: false,
            connect_to: self.connect_to,
            tls: self.tls()?,
            ..Options::default()
        })
    }

    fn tls(&self) -> Result<TlsOptions, Failure> {
        let authorities = match &self.ca_cert {
            Some(path) => certificates(path)?,
            None => Vec::new(),
        };
        let identity = identity(self.client_cert.as_deref(), self.client_cert_key.as_deref())?;
        Ok(TlsOptions {
            authorities,
            identity,
        })
    }
}

/// A client certificate with its chain and its key, where both are named.
fn identity(
    chain: Option<&Path>,
    key: Option<&Path>,
) -> Result<Option<Arc<ClientIdentity>>, Failure> {
    let (Some(chain), Some(key)) = (chain, key) else {
        return Ok(None);
    };
    Ok(Some(Arc::new(ClientIdentity {
        chain: certificates(chain)?,
        key: private_key(key)?,
    })))
}

/// The certificates of a PEM file; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let pem = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(
            Failure::usage(format!("`{}` holds no certificate", path.display()))
                .next("give a PEM file with `-----BEGIN CERTIFICATE-----`"),
        ),
        Err(error) => Err(Failure::usage(format!(
            "`{}` is no PEM file of certificates: {error}",
            path.display()
        ))),
    }
}

pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Failure> {
    let pem = zeroize::Zeroizing::new(read(path)?);
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        Failure::usage(format!("`{}` holds no private key", path.display()))
            .next("give a PEM file with `-----BEGIN PRIVATE KEY-----`")
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| unreadable(&format!("`{}`", path.display()), &error))
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate: &f64| rate.is_finite() && *rate >= 0.0)
        .ok_or_else(|| "write a number like `10` or `0.5`".to_owned())
}
