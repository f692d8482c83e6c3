//! Further client certificates, for cases that need more than the token's own.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use keybound_probe::{ClientIdentity, OtherCertificates};

use super::limits::{certificates, private_key};
use crate::failure::Failure;

/// Client certificates a target that binds tokens to certificates should not take.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Client certificates")]
pub(super) struct CertificateArguments {
    /// Certificate of another client by the same authority, PEM
    #[arg(long, value_name = "FILE", requires_all = ["other_client_cert_key", "client_cert"])]
    other_client_cert: Option<PathBuf>,

    /// Key of that certificate, PEM
    #[arg(long, value_name = "FILE", requires = "other_client_cert")]
    other_client_cert_key: Option<PathBuf>,

    /// Newer certificate of the key of `--client-cert`, PEM
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    renewed_client_cert: Option<PathBuf>,
}

impl CertificateArguments {
    /// Reads the files. `own` is the client identity of the run.
    pub(super) fn read(&self, own: Option<&ClientIdentity>) -> Result<OtherCertificates, Failure> {
        let mut read = OtherCertificates::default();
        if let (Some(chain), Some(key)) = (&self.other_client_cert, &self.other_client_cert_key) {
            read.other = Some(Arc::new(ClientIdentity {
                chain: certificates(chain)?,
                key: private_key(key)?,
            }));
        }
        if let (Some(chain), Some(own)) = (&self.renewed_client_cert, own) {
            read.renewed = Some(Arc::new(ClientIdentity {
                chain: certificates(chain)?,
                key: own.key.clone_key(),
            }));
        }
        Ok(read)
    }
}
