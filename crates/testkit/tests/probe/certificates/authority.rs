//! Certificates of a test authority.

use keybound_probe::ClientIdentity;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SerialNumber, string,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

pub(super) struct Authority {
    pub(super) certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

pub(super) struct Client {
    pub(super) identity: ClientIdentity,
    pub(super) key: KeyPair,
    name: &'static str,
}

impl Authority {
    pub(super) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "authority");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self {
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    pub(super) fn client(&self, name: &'static str) -> Client {
        let key = KeyPair::generate().expect("a key");
        let identity = self.identity(name, 1, &key);
        Client {
            identity,
            key,
            name,
        }
    }

    /// Another certificate of the same name and key.
    pub(super) fn renewed(&self, client: &Client) -> ClientIdentity {
        self.identity(client.name, 2, &client.key)
    }

    fn identity(&self, name: &'static str, serial: u64, key: &KeyPair) -> ClientIdentity {
        let host = string::Ia5String::try_from("localhost").expect("a name");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.subject_alt_names = vec![rcgen::SanType::DnsName(host)];
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(serial));
        let certificate = params.signed_by(key, &self.issuer).expect("a certificate");
        ClientIdentity {
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        }
    }
}
