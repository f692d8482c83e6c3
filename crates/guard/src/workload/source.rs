//! Getting one bundle from where it is configured to come from.

use keybound_proto::workload::api::{self, BundleKind};
use keybound_proto::workload::{KeyUse, TrustBundle};

use super::{BundleSource, TrustBundleError, TrustDomainConfig, WorkloadApi, WorkloadApiError};
use crate::fetch::{FetchError, Fetcher, MAX_DOCUMENT_BYTES};

/// Fetches and reads the bundle once.
pub(super) async fn load(
    config: &TrustDomainConfig,
    fetcher: &Fetcher,
) -> Result<TrustBundle, TrustBundleError> {
    let document = match &config.source {
        BundleSource::Endpoint(url) => fetcher.get(url).await.map_err(TrustBundleError::Fetch)?,
        BundleSource::File(path) => {
            let text = tokio::fs::read(path)
                .await
                .map_err(|error| TrustBundleError::File(error.kind().to_string()))?;
            if text.len() > MAX_DOCUMENT_BYTES {
                return Err(TrustBundleError::Fetch(FetchError::TooLarge {
                    limit: MAX_DOCUMENT_BYTES,
                }));
            }
            text
        }
        BundleSource::WorkloadApi(socket) => {
            return from_api(config, &WorkloadApi::new(socket)).await;
        }
    };
    TrustBundle::parse(&document, config.rules.profile).map_err(TrustBundleError::Unusable)
}

/// What the Workload API has of the domain's certificates and keys. A server without one of the
/// profiles says so (`Unimplemented`); without any there is no bundle.
async fn from_api(
    config: &TrustDomainConfig,
    api: &WorkloadApi,
) -> Result<TrustBundle, TrustBundleError> {
    let domain = &config.rules.trust_domain;
    let mut bundle = TrustBundle::default();
    let mut missing = WorkloadApiError::Missing;
    let mut found = false;
    for (path, kind, purpose) in [
        (api::method::FETCH_X509_BUNDLES, BundleKind::X509, None),
        (
            api::method::FETCH_WIT_BUNDLES,
            BundleKind::Keys,
            Some(KeyUse::IdentityToken),
        ),
        (
            api::method::FETCH_JWT_BUNDLES,
            BundleKind::Keys,
            Some(KeyUse::Jwt),
        ),
    ] {
        let message = match api.first_message(path, &[]).await {
            Ok(message) => message,
            // 12: the server does not have this profile.
            Err(WorkloadApiError::Status(12)) => {
                missing = WorkloadApiError::Status(12);
                continue;
            }
            Err(error) => return Err(TrustBundleError::Api(error)),
        };
        let Ok(part) = api::read_bundle(&message, kind, domain) else {
            continue;
        };
        found = true;
        match purpose {
            Some(purpose) => bundle
                .add_keys(part, purpose)
                .map_err(TrustBundleError::Unusable)?,
            None => api::split_certificates(part)
                .map_err(|error| TrustBundleError::Api(error.into()))?
                .into_iter()
                .for_each(|der| bundle.add_authority(der)),
        }
    }
    if found {
        Ok(bundle)
    } else {
        Err(TrustBundleError::Api(missing))
    }
}
