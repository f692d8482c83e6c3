//! Networks in CIDR notation (RFC 4632, RFC 4291 section 2.3).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerNetwork {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Bits are set behind the prefix, so that it is not clear which network is meant.
    #[error("the address has bits set behind its prefix")]
    HostBits,
    /// Not an address, or not a prefix length of its family.
    #[error("not an address, or an address and a prefix length, such as `10.1.0.0/16`")]
    Malformed,
}

impl PeerNetwork {
    /// Whether the address is in the network. An IPv4 address inside IPv6 is the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                same_prefix(&ours.octets(), &theirs.octets(), self.prefix)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                same_prefix(&ours.octets(), &theirs.octets(), self.prefix)
            }
            _ => false,
        }
    }
}

fn same_prefix(one: &[u8], other: &[u8], prefix: u8) -> bool {
    one.iter().zip(other).enumerate().all(|(index, (a, b))| {
        let mask = mask(index, prefix);
        a & mask == b & mask
    })
}

/// The bits of one byte that belong to the network.
fn mask(index: usize, prefix: u8) -> u8 {
    match usize::from(prefix).saturating_sub(index * 8) {
        0 => 0,
        bits @ 1..=7 => 0xff << (8 - bits),
        _ => 0xff,
    }
}

impl FromStr for PeerNetwork {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Malformed)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match length {
            None => longest,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| NetworkError::Malformed)?
            }
            Some(_) => return Err(NetworkError::Malformed),
        };
        if prefix > longest {
            return Err(NetworkError::Malformed);
        }
        let network = Self { address, prefix };
        if network.has_host_bits() {
            return Err(NetworkError::HostBits);
        }
        Ok(network)
    }
}

impl PeerNetwork {
    fn has_host_bits(&self) -> bool {
        let set = |octets: &[u8]| {
            let mut bytes = octets.iter().enumerate();
            bytes.any(|(index, byte)| byte & !mask(index, self.prefix) != 0)
        };
        match self.address {
            IpAddr::V4(address) => set(&address.octets()),
            IpAddr::V6(address) => set(&address.octets()),
        }
    }
}

impl fmt::Display for PeerNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Result<PeerNetwork, NetworkError> {
        text.parse()
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "localhost",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0/8",
            "::/129",
            "*",
            "10.0.0.0/8 ",
            "10.0.0.0/8/8",
            "/8",
        ] {
            assert_eq!(network(text), Err(NetworkError::Malformed), "{text}");
        }
        for text in ["10.0.0.1/8", "127.0.0.1/31", "fe80::1/64", "0.0.0.1/0"] {
            assert_eq!(network(text), Err(NetworkError::HostBits), "{text}");
        }
    }

    #[test]
    fn an_address_is_in_its_networks_and_in_no_other() {
        for (text, inside, outside) in [
            ("127.0.0.1/32", "127.0.0.1", "127.0.0.2"),
            ("127.0.0.1", "::ffff:127.0.0.1", "::1"),
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.128.0.0/9", "10.128.0.1", "10.127.255.255"),
            ("192.168.1.64/26", "192.168.1.127", "192.168.1.128"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::1", "::1", "127.0.0.1"),
        ] {
            let network = network(text).expect(text);
            let address = |text: &str| text.parse().expect("an address");
            assert!(network.contains(address(inside)), "{text} {inside}");
            assert!(!network.contains(address(outside)), "{text} {outside}");
        }
    }
}
