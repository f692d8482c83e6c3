//! Finding clients: those of the configuration are in memory, registered ones
//! come from the store, and their keys are parsed once per stored record.
//!
//! A client that has left the configuration is gone, although the store still
//! knows its record. What a client may do is [`crate::flow`]'s business.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use keybound_control::{ClientCredential, ClientRecord, ClientSource, Store};
use keybound_proto::cause::Cause;
use keybound_proto::certificate::{ClientName, RegisteredCertificates, TrustAnchors};
use keybound_proto::jose::AlgorithmSet;
use keybound_proto::json::Object;
use keybound_proto::rejection::Rejection;
use keybound_proto::token::CertificateRenewal;

use crate::flow::client::{
    Binding, CertificateUse, Client, Credential, GrantType, RequestSigning, Sight,
};
use crate::flow::keys::ClientKeys;
use crate::flow::scope::Scopes;
use crate::flow::secret::SecretDigest;
use crate::state::unavailable;

/// How many registered clients are kept parsed.
const MAX_PARSED: usize = 4096;

/// All clients of one issuer.
pub(crate) struct Clients {
    configured: HashMap<String, Arc<Client>>,
    store: Store,
    algorithms: AlgorithmSet,
    /// Who may vouch for registered clients.
    anchors: Option<Arc<TrustAnchors>>,
    parsed: RwLock<HashMap<String, Parsed>>,
}

/// A client and the stored record it was made from.
struct Parsed {
    record: Arc<ClientRecord>,
    client: Arc<Client>,
}

impl Clients {
    pub(crate) fn new(
        configured: Vec<Client>,
        store: Store,
        algorithms: AlgorithmSet,
        anchors: Option<Arc<TrustAnchors>>,
    ) -> Self {
        let configured = configured
            .into_iter()
            .map(|client| (client.id.clone(), Arc::new(client)))
            .collect();
        Self {
            configured,
            store,
            algorithms,
            anchors,
            parsed: RwLock::default(),
        }
    }

    /// The client of this id; `None` where there is none.
    ///
    /// # Errors
    /// [`Cause::StoreUnavailable`]: the client must be refused, not taken for unknown.
    pub(crate) async fn find(&self, id: &str) -> Result<Option<Arc<Client>>, Rejection> {
        if let Some(client) = self.configured.get(id) {
            return Ok(Some(Arc::clone(client)));
        }
        let record = self
            .store
            .client(id)
            .await
            .map_err(|error| unavailable(&error))?;
        match record {
            Some(record) if record.source == ClientSource::Registered => {
                self.parsed(record).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn parsed(&self, record: Arc<ClientRecord>) -> Result<Arc<Client>, Rejection> {
        let known = self.parsed.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(parsed) = known.get(&record.client_id)
            && Arc::ptr_eq(&parsed.record, &record)
        {
            return Ok(Arc::clone(&parsed.client));
        }
        drop(known);
        let client = Arc::new(self.parse(&record)?);
        let mut known = self.parsed.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_PARSED {
            known.clear();
        }
        let parsed = Parsed {
            client: Arc::clone(&client),
            record: Arc::clone(&record),
        };
        known.insert(record.client_id.clone(), parsed);
        Ok(client)
    }

    fn parse(&self, record: &ClientRecord) -> Result<Client, Rejection> {
        let unusable = |what: &str| {
            tracing::error!(
                client_id = record.client_id,
                what,
                "stored client cannot be used"
            );
            Rejection::new(Cause::ClientUnknown).expected("a record this release can use")
        };
        let credential = match &record.credential {
            ClientCredential::ClientSecretBasic { sha256 } => Credential::Secret(
                SecretDigest::from_hex(sha256).ok_or_else(|| unusable("secret"))?,
            ),
            ClientCredential::None => Credential::Public,
            ClientCredential::PrivateKeyJwt { jwks } => Object::parse(jwks.as_bytes())
                .ok()
                .and_then(|jwks| ClientKeys::read(&jwks, self.algorithms).ok())
                .map(Credential::Keys)
                .ok_or_else(|| unusable("keys"))?,
            ClientCredential::SelfSignedTlsClientAuth { jwks } => Object::parse(jwks.as_bytes())
                .ok()
                .and_then(|jwks| RegisteredCertificates::read(&jwks).ok())
                .map(Credential::SelfSigned)
                .ok_or_else(|| unusable("certificates"))?,
            ClientCredential::TlsClientAuth { member, value } => Credential::Certificate {
                name: ClientName::read(member, value).map_err(|_| unusable("name"))?,
                anchors: self
                    .anchors
                    .clone()
                    .ok_or_else(|| unusable("authorities"))?,
            },
        };
        let scopes = record.scopes.iter().map(String::as_str);
        Ok(Client {
            id: record.client_id.clone(),
            identity: record.identity.clone(),
            credential,
            grants: record
                .grants
                .iter()
                .filter_map(|name| GrantType::from_name(name))
                .collect(),
            scopes: Scopes::from_tokens(scopes).map_err(|_| unusable("scopes"))?,
            resources: record.resources.clone(),
            // A registered client is bound whatever its record says: only the
            // configuration can exempt one.
            binding: Binding::Required,
            certificate: CertificateUse {
                required: record.certificate_bound,
                sufficient: record.certificate_bound && !record.dpop_bound,
                renewal: CertificateRenewal::Refused,
            },
            signing: RequestSigning::Refused,
            nonce_required: false,
            sight: Sight::Own,
            redirect_uris: record.redirect_uris.clone(),
            pushed_only: false,
            name: record.name.clone(),
            registered_itself: true,
            may_act: None,
        })
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients")
            .field("configured", &self.configured.len())
            .finish_non_exhaustive()
    }
}
