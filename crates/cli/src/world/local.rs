//! Everything on loopback without a configuration: the settings of `dev` and
//! `demo`, with keys that are made in a directory at the first start.
//!
//! The same parts as `serve` starts, told the same things; only registration is
//! open, refusals explain themselves, and there is a demo API to protect.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keybound_custody::SoftwareKey;
use keybound_guard::status::StatusConfig;
use keybound_issuer::config::{
    Approval, AuthorizationConfig, ClientAuthentication, ClientConfig, ErrorDetail, GrantType,
    IssuerConfig, NonceConfig, RefreshConfig, RegistrationConfig, RegistrationMode, ResourceConfig,
    Rotation, Sight,
};
use keybound_proto::binding::{BindingMethod, BindingMethods};
use keybound_proto::jose::{Algorithm, AlgorithmSet, Signer};
use keybound_proto::uri::{HttpUrl, Origin};
use keybound_proto::verify::{Profile, WorkloadPolicy};

use super::ports::Ports;
use super::upstream::DemoUpstream;
use crate::commands::key;
use crate::config::model::{EnforcementMode, IdentityName, ReplayModeName, RouteReplay};
use crate::config::secret::{
    Secret32, make_private_directory, random32, read_secret32, write_private,
};
use crate::config::settings::{
    ControlSettings, FrontSettings, GatewayControlSettings, GatewayIssuerSettings, GatewaySettings,
    IssuerSettings, RouteSettings, Settings, StoreSettings,
};
use crate::failure::{Failure, chain};
use crate::input::unwritable;
use crate::profile::{ADMIN_PROFILE, ProfileFile};

/// Where everything listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) issuer: SocketAddr,
    pub(crate) gateway: SocketAddr,
    pub(crate) control: SocketAddr,
    pub(crate) management: SocketAddr,
    pub(crate) upstream: SocketAddr,
}

/// Everything on loopback, before it starts.
#[derive(Debug)]
pub(crate) struct Local {
    /// What starts.
    pub(crate) settings: Settings,
    /// The API behind the gateway.
    pub(crate) upstream: DemoUpstream,
}

/// The keys and secrets of a directory.
struct Keys {
    kek: Secret32,
    nonce: Secret32,
    admin: Arc<SoftwareKey>,
    gateway: Arc<SoftwareKey>,
}

/// The scopes of the demo approvals.
/// In whose name `/authorize` allows every request.
const DEMO_USER: &str = "demo-user";
pub(crate) const APPROVALS_SCOPES: [&str; 2] = ["approvals:read", "approvals:write"];
/// The scope of the demo reports.
pub(crate) const REPORTS_SCOPE: &str = "reports:read";

impl Addresses {
    /// The usual ports from a base on.
    pub(crate) const fn from_ports(ports: &Ports) -> Self {
        Self {
            issuer: ports.issuer(),
            gateway: ports.gateway(),
            control: ports.control(),
            management: ports.management(),
            upstream: ports.upstream(),
        }
    }

    /// The issuer identifier.
    pub(crate) fn issuer_url(&self) -> String {
        format!("http://{}", self.issuer)
    }

    /// The gateway's origin.
    pub(crate) fn gateway_url(&self) -> String {
        format!("http://{}", self.gateway)
    }

    /// Control's origin.
    pub(crate) fn control_url(&self) -> String {
        format!("http://{}", self.control)
    }

    /// The audience of the approvals.
    pub(crate) fn approvals_resource(&self) -> String {
        format!("http://{}/", self.gateway)
    }

    /// The audience of the reports.
    pub(crate) fn reports_resource(&self) -> String {
        format!("http://{}/reports", self.gateway)
    }

    fn control_resource(&self) -> String {
        format!("http://{}/", self.control)
    }
}

impl Local {
    /// Makes or reads the keys of a directory and puts the settings together.
    pub(crate) fn prepare(directory: &Path, addresses: &Addresses) -> Result<Self, Failure> {
        make_private_directory(directory).map_err(|error| unwritable(directory, &error))?;
        let keys = Keys::open(&directory.join("keys"))?;
        let settings = Settings {
            store: Some(StoreSettings {
                path: directory.join("keybound.db"),
                key_encryption_key: keys.kek.clone(),
            }),
            issuer: Some(IssuerSettings {
                front: FrontSettings::plain(addresses.issuer),
                config: issuer(addresses, &keys)?,
                nonce_secret_file: None,
                cors_origins: Vec::new(),
            }),
            gateway: Some(gateway(addresses, &keys, directory)?),
            control: Some(ControlSettings {
                listen: addresses.control,
                url: origin(&addresses.control_url())?,
                issuer: url(&addresses.issuer_url())?,
            }),
            management: Some(addresses.management),
        };
        let upstream = DemoUpstream::new(addresses.upstream, &addresses.gateway_url());
        Ok(Self { settings, upstream })
    }
}

/// Writes the operator's profile into the directory of a world that runs, and
/// answers with its path. It names the ports, which may be others than last
/// time; so it is written only once the directory is known to be this world's.
pub(crate) fn write_profile(directory: &Path, addresses: &Addresses) -> Result<PathBuf, Failure> {
    let path = directory.join(ADMIN_PROFILE);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(unwritable(&path, &error));
        }
        _ => {}
    }
    let profile = ProfileFile {
        issuer: addresses.issuer_url(),
        client_id: "admin".to_owned(),
        key: "file:keys/admin.pem".to_owned(),
        resource: Some(addresses.control_resource()),
        scope: None,
        token_request: None,
        control: Some(addresses.control_url()),
    };
    profile.write(&path)?;
    Ok(path)
}

impl Keys {
    fn open(directory: &Path) -> Result<Self, Failure> {
        make_private_directory(directory).map_err(|error| unwritable(directory, &error))?;
        Ok(Self {
            kek: secret(&directory.join("kek"))?,
            nonce: secret(&directory.join("nonce.key"))?,
            admin: own_key(&directory.join("admin.pem"))?,
            gateway: own_key(&directory.join("gateway-1.pem"))?,
        })
    }
}

fn secret(path: &Path) -> Result<Secret32, Failure> {
    if !path.exists() {
        let bytes =
            random32().ok_or_else(|| Failure::internal("this machine gives no random bytes"))?;
        let line = zeroize::Zeroizing::new(format!(
            "{}\n",
            keybound_proto::base64url::encode(bytes.as_slice())
        ));
        write_private(path, line.as_bytes()).map_err(|error| unwritable(path, &error))?;
    }
    read_secret32(path).map_err(|error| Failure::config(error.to_string()))
}

fn own_key(path: &Path) -> Result<Arc<SoftwareKey>, Failure> {
    if path.exists() {
        return key::load(path).map(Arc::new);
    }
    let made = key::generate(Algorithm::Es256)?;
    made.create(path)
        .map_err(|error| Failure::config(chain(&error)))?;
    Ok(Arc::new(made))
}

fn issuer(addresses: &Addresses, keys: &Keys) -> Result<IssuerConfig, Failure> {
    let approvals = APPROVALS_SCOPES.map(str::to_owned).to_vec();
    let reports = vec![REPORTS_SCOPE.to_owned()];
    let control = crate::config::validate::CONTROL_SCOPES
        .map(str::to_owned)
        .to_vec();
    let resource = |identifier: String, scopes: &[String]| ResourceConfig {
        identifier,
        scopes: scopes.to_vec(),
    };
    let nonce_secret =
        random32().ok_or_else(|| Failure::internal("this machine gives no random bytes"))?;
    Ok(IssuerConfig {
        url: url(&addresses.issuer_url())?,
        node: "issuer-1".to_owned(),
        access_ttl: 300,
        refresh: RefreshConfig::default(),
        authorization: Some(AuthorizationConfig {
            code_ttl: 60,
            request_ttl: 90,
            pushed_only: false,
            approval: Approval::Automatic {
                identity: DEMO_USER.to_owned(),
            },
        }),
        signing_algorithm: Algorithm::Es256,
        rotation: Rotation {
            every: 30 * 86_400,
            overlap: 86_400,
        },
        clients: vec![
            client(
                "admin",
                &keys.admin,
                &["keybound:read", "keybound:respond"],
                addresses,
            ),
            client("gateway-1", &keys.gateway, &["keybound:gateway"], addresses),
        ],
        resources: vec![
            resource(addresses.approvals_resource(), &approvals),
            resource(addresses.reports_resource(), &reports),
            resource(addresses.control_resource(), &control),
        ],
        delegations: Vec::new(),
        registration: RegistrationConfig {
            mode: RegistrationMode::Open,
            resources: vec![addresses.approvals_resource(), addresses.reports_resource()],
            scopes: [approvals, reports].concat(),
            client_anchors: None,
            max_clients: 10_000,
        },
        certificates: None,
        profile: Profile::default(),
        assertion_algorithms: IssuerConfig::DEFAULT_ASSERTION_ALGORITHMS,
        nonce: NonceConfig {
            secret: nonce_secret,
            also: Vec::new(),
            lifetime: 300,
            required: false,
        },
        error_detail: ErrorDetail::Full,
        cors_origins: Vec::new(),
    })
}

fn client(id: &str, key: &SoftwareKey, scopes: &[&str], addresses: &Addresses) -> ClientConfig {
    ClientConfig {
        id: id.to_owned(),
        identity: None,
        authentication: ClientAuthentication::PrivateKeyJwt {
            jwks: key::jwks(key.public_key()),
        },
        grants: vec![GrantType::ClientCredentials],
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        resources: vec![addresses.control_resource()],
        unconstrained: None,
        certificate: keybound_issuer::config::CertificateUse::default(),
        signing: keybound_issuer::config::RequestSigningConfig::Refused,
        nonce: false,
        sight: Sight::Own,
        redirect_uris: Vec::new(),
        pushed_only: false,
        may_act: None,
    }
}

fn gateway(
    addresses: &Addresses,
    keys: &Keys,
    directory: &Path,
) -> Result<GatewaySettings, Failure> {
    let key: Arc<dyn Signer> = Arc::<SoftwareKey>::clone(&keys.gateway);
    Ok(GatewaySettings {
        url: origin(&addresses.gateway_url())?,
        front: FrontSettings::plain(addresses.gateway),
        resource: addresses.approvals_resource(),
        replay_mode: ReplayModeName::Strict,
        replay_capacity: 1_000_000,
        replay_per_key: 50_000,
        nonce_secret: keys.nonce.clone(),
        nonce_also: Vec::new(),
        nonce_secret_file: None,
        shared_replay: None,
        state_dir: directory.join("gateway"),
        max_body_bytes: 16 * 1024 * 1024,
        upstream_timeout: 60,
        cors_origins: Vec::new(),
        assertion_key: None,
        profile: Profile::default(),
        control: Some(GatewayControlSettings {
            url: origin(&addresses.control_url())?,
            client_id: "gateway-1".to_owned(),
            key,
            issuer: url(&addresses.issuer_url())?,
            max_age: 60,
        }),
        issuers: vec![GatewayIssuerSettings {
            url: url(&addresses.issuer_url())?,
            algorithms: AlgorithmSet::TOKEN_DEFAULT,
            binding_methods: BindingMethods::ALL,
            audience: None,
            jwks: None,
            scope_claim: "scope".to_owned(),
            status: StatusConfig::default(),
            introspection: None,
            jwks_uri: None,
            jwks_origins: Vec::new(),
            may_lack: Vec::new(),
        }],
        trust_domains: Vec::new(),
        workloads: WorkloadPolicy::default(),
        routes: vec![
            route(
                addresses,
                "/approvals",
                addresses.approvals_resource(),
                &[("GET", APPROVALS_SCOPES[0]), ("POST", APPROVALS_SCOPES[1])],
            )?,
            route(
                addresses,
                "/reports",
                addresses.reports_resource(),
                &[("GET", REPORTS_SCOPE)],
            )?,
        ],
    })
}

fn route(
    addresses: &Addresses,
    path: &str,
    resource: String,
    scopes: &[(&str, &str)],
) -> Result<RouteSettings, Failure> {
    let by_method =
        |(method, scope): &(&str, &str)| ((*method).to_owned(), vec![(*scope).to_owned()]);
    Ok(RouteSettings {
        path: path.to_owned(),
        upstream: origin(&format!("http://{}", addresses.upstream))?,
        enforcement: EnforcementMode::Require,
        resource,
        own_resource: true,
        issuers: Vec::new(),
        binding_methods: BindingMethods::of(&[BindingMethod::Dpop]),
        scopes: scopes.iter().map(by_method).collect::<BTreeMap<_, _>>(),
        nonce: false,
        replay: RouteReplay::Consume,
        identity: IdentityName::Assertion,
        agents: Vec::new(),
        cover_content: false,
        max_signed_body_bytes: 1024 * 1024,
        identities: Vec::new(),
    })
}

fn url(text: &str) -> Result<HttpUrl, Failure> {
    HttpUrl::parse(text).map_err(|error| Failure::internal(format!("`{text}`: {error}")))
}

fn origin(text: &str) -> Result<Origin, Failure> {
    Origin::parse(text).map_err(|error| Failure::internal(format!("`{text}`: {error}")))
}
