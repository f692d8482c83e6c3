//! The ports of everything on loopback: a base and the four after it.

use std::net::{Ipv4Addr, SocketAddr};

use crate::failure::Failure;

/// The addresses of issuer, gateway, control, management and demo upstream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    base: u16,
}

impl Ports {
    /// The issuer's port when nothing else is said.
    pub(crate) const DEFAULT_BASE: u16 = 9400;

    /// The ports from a base on.
    pub(crate) fn from_base(base: u16) -> Result<Self, Failure> {
        let last = base.checked_add(4);
        if base < 1 || last.is_none() {
            return Err(
                Failure::usage(format!("`{base}` leaves no room for five ports"))
                    .next("choose a --port-base from 1 to 65531"),
            );
        }
        Ok(Self { base })
    }

    /// Where the issuer listens.
    pub(crate) const fn issuer(&self) -> SocketAddr {
        self.at(0)
    }

    /// Where the gateway listens.
    pub(crate) const fn gateway(&self) -> SocketAddr {
        self.at(1)
    }

    /// Where control listens.
    pub(crate) const fn control(&self) -> SocketAddr {
        self.at(2)
    }

    /// Where health and metrics are.
    pub(crate) const fn management(&self) -> SocketAddr {
        self.at(3)
    }

    /// Where the demo upstream listens.
    pub(crate) const fn upstream(&self) -> SocketAddr {
        self.at(4)
    }

    /// The issuer identifier.
    pub(crate) fn issuer_url(&self) -> String {
        format!("http://{}", self.issuer())
    }

    /// The gateway's public origin.
    pub(crate) fn gateway_url(&self) -> String {
        format!("http://{}", self.gateway())
    }

    /// Control's origin.
    pub(crate) fn control_url(&self) -> String {
        format!("http://{}", self.control())
    }

    const fn at(&self, offset: u16) -> SocketAddr {
        SocketAddr::new(
            std::net::IpAddr::V4(Ipv4Addr::LOCALHOST),
            self.base + offset,
        )
    }
}
