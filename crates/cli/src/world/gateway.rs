//! The gateway: guard, routes, the revocations it follows and the events it
//! delivers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keybound_custody::SoftwareKey;
use keybound_edge::gateway::{
    CorsConfig, Enforcement, Gateway, GatewayConfig, IdentityForm, RouteConfig, UpstreamTimeouts,
};
use keybound_edge::listener::Bound;
use keybound_edge::signals::{FollowConfig, Follower, deliver_events};
use keybound_edge::spool::{Spool, SpoolConfig};
use keybound_guard::{
    EventSink, Guard, GuardConfig, IssuerConfig, MethodScopes, NonceRule, ReplayConfig, ReplayMode,
    Route,
};
use keybound_holder::{ClientAuthentication, Holder, HolderConfig, Timeouts};
use keybound_proto::jose::{Algorithm, PublicKey, Signer};
use keybound_proto::time::Clock;
use keybound_proto::token::Leniency;
use keybound_proto::uri::Origin;
use keybound_proto::verify::ReplayUse;

use super::{Manner, World, front};
use crate::config::model::{
    EnforcementMode, IdentityName, OptionalClaim, ReplayModeName, RouteReplay,
};
use crate::config::secret::make_private_directory;
use crate::config::settings::{
    GatewayControlSettings, GatewayIssuerSettings, GatewaySettings, RouteSettings,
};
use crate::failure::{Failure, chain};

/// Starts the gateway on its socket. Answers with the public key of its
/// assertions.
pub(super) fn start(
    world: &mut World,
    settings: GatewaySettings,
    sockets: Vec<Bound>,
    manner: Manner,
    clock: &Arc<dyn Clock>,
) -> Result<Option<PublicKey>, Failure> {
    let node = settings
        .control
        .as_ref()
        .map_or("gateway-1", |control| control.client_id.as_str())
        .to_owned();
    // Without the state of an earlier run nothing was accepted before, so a
    // strict replay log has no time before its start to be careful about.
    let first_run = !settings.state_dir.exists();
    let assertion_key = assertion_key(&settings)?;
    let spool = Spool::open(
        &SpoolConfig::new(settings.state_dir.join("spool"), node.as_str()),
        Arc::clone(clock),
    )
    .map_err(|error| Failure::lifecycle(chain(&error)))?;
    let guard = Guard::new(
        guard_config(&settings, &node, first_run),
        Arc::clone(clock),
        Arc::new(spool.clone()),
    )
    .map_err(|error| Failure::config(chain(&error)))?;
    let sink: Arc<dyn EventSink> = Arc::new(spool.clone());
    front::watch(world, "gateway", &settings.front, (sink, &node), clock);
    let public = assertion_key.as_ref().map(|key| key.public_key().clone());
    let config = gateway_config(&settings, assertion_key, manner);
    let gateway = Gateway::new(config, guard.clone(), Arc::clone(clock))
        .map_err(|error| Failure::config(chain(&error)))?;
    let (ready, measured) = (gateway.clone(), gateway.clone());
    world.ready_when(move || ready.readiness());
    world.measure(move || measured.metrics());
    if let Some(control) = &settings.control {
        follow(
            world,
            control,
            &settings.state_dir,
            &node,
            (&guard, &spool),
            clock,
        )?;
    }
    if let Some(file) = settings.nonce_secret_file.clone() {
        let guard = guard.clone();
        super::nonces::follow(world, file, move |current, also| {
            guard.set_nonce_secrets(**current, also.iter().map(|secret| **secret).collect());
        });
    }
    let maintained = guard;
    world.work_every(MAINTAIN_EVERY, move || {
        let guard = maintained.clone();
        async move { guard.maintain().await }
    });
    for route in &settings.routes {
        warn_of_missing_upstream(world, route.upstream.clone(), route.path.clone());
    }
    for socket in sockets {
        world.serve(socket, gateway.service());
    }
    Ok(public)
}

fn guard_config(settings: &GatewaySettings, node: &str, first_run: bool) -> GuardConfig {
    let issuers = settings.issuers.iter().map(issuer_config).collect();
    let mut config = GuardConfig::new(node, issuers, *settings.nonce_secret);
    config.profile = settings.profile;
    config.trust_domains.clone_from(&settings.trust_domains);
    config.workloads = settings.workloads.clone();
    config.replay = ReplayConfig {
        mode: match settings.replay_mode {
            ReplayModeName::Strict => ReplayMode::Strict,
            ReplayModeName::BestEffort => ReplayMode::BestEffort,
        },
        capacity: settings.replay_capacity,
        per_sender: settings.replay_per_key,
        first_run,
    };
    config.shared_replay.clone_from(&settings.shared_replay);
    config.nonce_also = settings.nonce_also.iter().map(|secret| **secret).collect();
    config.revocation_max_age = settings.control.as_ref().map(|control| control.max_age);
    config
}

fn issuer_config(settings: &GatewayIssuerSettings) -> IssuerConfig {
    let lacks = |claim| settings.may_lack.contains(&claim);
    let mut config = IssuerConfig::new(settings.url.clone());
    config.algorithms = settings.algorithms;
    config.jwks_uri.clone_from(&settings.jwks_uri);
    config.jwks_origins.clone_from(&settings.jwks_origins);
    config.lenient = Leniency {
        missing_jti: lacks(OptionalClaim::Jti),
        missing_client_id: lacks(OptionalClaim::ClientId),
        missing_kid: lacks(OptionalClaim::Kid),
        missing_type: lacks(OptionalClaim::Typ),
        missing_audience: lacks(OptionalClaim::Aud),
        missing_expiry: lacks(OptionalClaim::Exp),
        missing_subject: lacks(OptionalClaim::Sub),
    };
    config.audience.clone_from(&settings.audience);
    config.methods = settings.binding_methods;
    config.jwks.clone_from(&settings.jwks);
    config.scope_claim = settings.scope_claim.clone().into();
    config.status.clone_from(&settings.status);
    config.introspection.clone_from(&settings.introspection);
    config
}

fn gateway_config(
    settings: &GatewaySettings,
    key: Option<Arc<dyn Signer>>,
    manner: Manner,
) -> GatewayConfig {
    GatewayConfig {
        url: settings.url.clone(),
        issuers: settings
            .issuers
            .iter()
            .map(|issuer| issuer.url.clone())
            .collect(),
        proof_algorithms: settings.profile.proof_algorithms,
        routes: settings
            .routes
            .iter()
            .map(|route| route_config(route, manner))
            .collect(),
        assertion_key: key,
        cors: cors(&settings.cors_origins),
        identity_fields: Vec::new(),
        timeouts: UpstreamTimeouts {
            head: Duration::from_secs(settings.upstream_timeout),
            ..UpstreamTimeouts::default()
        },
        error_detail: manner.error_detail,
    }
}

fn cors(origins: &[Origin]) -> Option<CorsConfig> {
    (!origins.is_empty()).then(|| CorsConfig {
        origins: origins.to_vec(),
        request_fields: Vec::new(),
        max_age: Duration::from_secs(600),
    })
}

fn route_config(settings: &RouteSettings, manner: Manner) -> RouteConfig {
    let mut check = Route::new(&settings.path, &settings.resource);
    check.error_detail = manner.error_detail;
    check.own_audience = settings.own_resource;
    check.issuers = (!settings.issuers.is_empty()).then(|| settings.issuers.clone());
    check.methods = settings.binding_methods;
    check.identities.clone_from(&settings.identities);
    check.nonce = if settings.nonce {
        NonceRule::Everybody
    } else {
        NonceRule::Nobody
    };
    check.replay = match settings.replay {
        RouteReplay::Consume => ReplayUse::Consume,
        RouteReplay::CheckOnly => ReplayUse::CheckOnly,
    };
    check.cover_content = settings.cover_content;
    check.scopes = settings
        .scopes
        .iter()
        .fold(MethodScopes::default(), |all, (method, scopes)| {
            all.with(method, scopes.iter().cloned())
        });
    let mut config = RouteConfig::new(settings.path.as_str(), settings.upstream.clone(), check);
    // The gate behind this one needs what it is to use up.
    config.forward_credentials = settings.replay == RouteReplay::CheckOnly;
    config.enforcement = match settings.enforcement {
        EnforcementMode::Off => Enforcement::Off,
        EnforcementMode::Require => Enforcement::Require,
    };
    config.agents.clone_from(&settings.agents);
    config.signed_body_bytes = settings.max_signed_body_bytes;
    config.identity = match settings.identity {
        IdentityName::Assertion => IdentityForm::Assertion,
        IdentityName::AssertionPerRequest => IdentityForm::AssertionPerRequest,
        IdentityName::Headers => IdentityForm::Headers,
        IdentityName::None => IdentityForm::None,
    };
    config
}

/// The key that signs assertions: the one named, or one of the gateway's own,
/// made at its first start and kept with its state.
fn assertion_key(settings: &GatewaySettings) -> Result<Option<Arc<dyn Signer>>, Failure> {
    if let Some(key) = &settings.assertion_key {
        return Ok(Some(Arc::clone(key)));
    }
    make_private_directory(&settings.state_dir).map_err(|error| {
        Failure::lifecycle(format!(
            "cannot make `{}`: {error}",
            settings.state_dir.display()
        ))
        .next("make it writable for this user, or set `state_dir` in `[gateway]`")
    })?;
    let path = settings.state_dir.join("assertion.pem");
    let key = if path.exists() {
        SoftwareKey::load(&path).map_err(|error| Failure::lifecycle(chain(&error)))?
    } else {
        let made = crate::commands::key::generate(Algorithm::Es256)?;
        made.create(&path)
            .map_err(|error| Failure::lifecycle(chain(&error)))?;
        made
    };
    Ok(Some(Arc::new(key)))
}

/// Follows revocations and delivers events.
fn follow(
    world: &mut World,
    control: &GatewayControlSettings,
    state_dir: &Path,
    node: &str,
    (guard, spool): (&Guard, &Spool),
    clock: &Arc<dyn Clock>,
) -> Result<(), Failure> {
    let holder = holder(control, clock)?;
    let config = FollowConfig::new(control.url.clone(), state_dir.to_owned(), node);
    let follower = Follower::open(
        config,
        holder.clone(),
        guard.clone(),
        Arc::new(spool.clone()),
        Arc::clone(clock),
    )
    .map_err(|error| Failure::lifecycle(chain(&error)))?;
    let (status, measured) = (follower.status(), follower.status());
    world.ready_when(move || vec![status.check()]);
    world.measure(move || measured.metrics());
    world.work(follower.run(world.shutdown.clone()));
    let (spool, origin, shutdown) = (spool.clone(), control.url.clone(), world.shutdown.clone());
    world.work(async move { deliver_events(&spool, &holder, &origin, shutdown).await });
    Ok(())
}

/// The gateway as a client of its own.
fn holder(control: &GatewayControlSettings, clock: &Arc<dyn Clock>) -> Result<Holder, Failure> {
    let config = HolderConfig {
        issuer: control.issuer.clone(),
        client_id: control.client_id.clone(),
        authentication: ClientAuthentication::PrivateKeyJwtWithKid {
            key: Arc::clone(&control.key),
            kid: control.key.public_key().thumbprint().to_string(),
        },
        proof_key: Arc::clone(&control.key),
        resource: Some(format!("{}/", control.url)),
        scope: Some("keybound:gateway".to_owned()),
        timeouts: Timeouts::default(),
    };
    Holder::new(config, Arc::clone(clock)).map_err(|error| Failure::config(chain(&error)))
}

/// An upstream that nobody answers at is worth a word at start; requests get
/// 502 until it is there.
fn warn_of_missing_upstream(world: &mut World, upstream: Origin, path: String) {
    world.work(async move {
        // Give an upstream that starts beside the gateway a moment.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let address = format!("{}:{}", upstream.host(), upstream.port());
        let connect = tokio::net::TcpStream::connect(address);
        let reached = tokio::time::timeout(Duration::from_secs(2), connect).await;
        if !matches!(reached, Ok(Ok(_))) {
            tracing::warn!(
                route = %path,
                upstream = %upstream,
                "nobody answers at the upstream; requests get 502 until it runs there"
            );
        }
    });
}

const MAINTAIN_EVERY: Duration = Duration::from_secs(5);
