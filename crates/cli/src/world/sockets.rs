//! The listening sockets, bound all at once and before anything else.

use std::net::SocketAddr;

use keybound_edge::listener::{BindError, Bound, Listener, ListenerConfig, ListenerKind};
use keybound_proto::uri::{HttpUrl, Origin};
use keybound_proto::wire::ErrorDetail;

use crate::config::settings::{FrontSettings, Settings};
use crate::failure::{Failure, chain};

/// The bound sockets; none of them serves yet.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    pub(crate) issuer: Vec<Bound>,
    pub(crate) gateway: Vec<Bound>,
    pub(crate) control: Option<Bound>,
    pub(crate) management: Option<Bound>,
    pub(crate) upstream: Option<Bound>,
}

impl Sockets {
    /// Binds what the settings have, each for its public origin.
    pub(crate) async fn bind(
        settings: &Settings,
        error_detail: ErrorDetail,
    ) -> Result<Self, Failure> {
        let mut sockets = Self::default();
        let listener = |addr, kind, origin: &Origin| {
            let mut config = ListenerConfig::new(addr, kind, vec![origin.clone()]);
            config.error_detail = error_detail;
            config
        };
        if let Some(issuer) = &settings.issuer {
            let origin = issuer.config.url.origin();
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let mut config = listener(any, ListenerKind::Issuer, origin);
            config.web_origins.clone_from(&issuer.cors_origins);
            let alias = issuer.config.certificates.as_ref();
            let alias = alias.and_then(|certificates| certificates.alias.as_ref());
            let alias = alias.map(HttpUrl::origin);
            sockets.issuer = bind_front(&issuer.front, &config, alias).await?;
        }
        if let Some(gateway) = &settings.gateway {
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let mut config = listener(any, ListenerKind::Gateway, &gateway.url);
            config.web_origins.clone_from(&gateway.cors_origins);
            config.limits.body_bytes = gateway.max_body_bytes;
            sockets.gateway = bind_front(&gateway.front, &config, None).await?;
        }
        if let Some(control) = &settings.control {
            let config = listener(control.listen, ListenerKind::Control, &control.url);
            sockets.control = Some(bind(config).await?);
        }
        if let Some(listen) = settings.management {
            let origins = loopback_origins(listen);
            let config = ListenerConfig::new(listen, ListenerKind::Management, origins);
            sockets.management = Some(bind(config).await?);
        }
        Ok(sockets)
    }

    /// Binds the demo upstream.
    pub(crate) async fn bind_upstream(&mut self, listen: SocketAddr) -> Result<(), Failure> {
        let origins = loopback_origins(listen);
        let config = ListenerConfig::new(listen, ListenerKind::DemoUpstream, origins);
        self.upstream = Some(bind(config).await?);
        Ok(())
    }
}

/// Finds `COUNT` free ports on loopback. They are free when this returns; the
/// program that takes one in between makes the bind fail, which says so.
pub(crate) async fn free_ports<const COUNT: usize>() -> Result<[SocketAddr; COUNT], Failure> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut held = Vec::with_capacity(COUNT);
    let mut found = [any; COUNT];
    for address in &mut found {
        let socket = tokio::net::TcpListener::bind(any).await.map_err(no_port)?;
        *address = socket.local_addr().map_err(no_port)?;
        held.push(socket);
    }
    Ok(found)
}

/// Binds every way into issuer or gateway, the one with TLS last. What is checked of requests is
/// the same for all, but for the origin of the one with TLS where that has its own.
async fn bind_front(
    front: &FrontSettings,
    common: &ListenerConfig,
    tls_origin: Option<&Origin>,
) -> Result<Vec<Bound>, Failure> {
    let mut bound = Vec::new();
    if let Some(addr) = front.plain {
        let mut config = common.clone();
        config.addr = addr;
        config.unsafe_plain_off_loopback = front.unsafe_plain_off_loopback;
        config
            .certificate_headers
            .clone_from(&front.certificate_headers);
        bound.push(bind(config).await?);
    }
    if let Some(with) = &front.tls {
        let mut config = common.clone();
        config.addr = with.listen;
        config.tls = Some(with.tls.clone());
        if let Some(origin) = tls_origin {
            config.origins = vec![origin.clone()];
        }
        config
            .certificate_headers
            .clone_from(&front.certificate_headers);
        bound.push(bind(config).await?);
    }
    Ok(bound)
}

async fn bind(config: ListenerConfig) -> Result<Bound, Failure> {
    Listener::bind(config).await.map_err(|error| {
        let failure = Failure::lifecycle(chain(&error));
        match error {
            BindError::InUse { addr, .. } => failure.next(format!(
                "see who listens there with `ss -ltnp 'sport = :{}'`, or choose other ports: `keybound dev --port-base {}`",
                addr.port(),
                other_base(addr.port())
            )),
            _ => failure,
        }
    })
}

/// A base that is clear of the occupied port.
const fn other_base(port: u16) -> u16 {
    if port < 60_000 {
        (port / 100 + 1) * 100
    } else {
        9_500
    }
}

/// The origins a listener without a public URL is reached by.
fn loopback_origins(listen: SocketAddr) -> Vec<Origin> {
    let named = format!("http://localhost:{}", listen.port());
    [format!("http://{listen}"), named]
        .iter()
        .filter_map(|text| Origin::parse(text).ok())
        .collect()
}

fn no_port(error: std::io::Error) -> Failure {
    Failure::lifecycle(format!("there is no free port on loopback: {error}"))
}
