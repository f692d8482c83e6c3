//! Authorities, certificates and revocation lists, made once by the `openssl` program in a
//! temporary folder. Validity is around the world's clock, which stands in 2023; what a real
//! client checks by the real clock lasts longer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use keybound_edge::listener::tls::{ClientCertificates, ClientTrust, TlsConfig};
use tempfile::TempDir;

/// Before the world's clock.
pub(crate) const PAST: &str = "20230101000000Z";
/// After the world's clock, and still before the real one.
pub(crate) const SOON: &str = "20231201000000Z";
/// After the real clock.
pub(crate) const FAR: &str = "20900101000000Z";
/// `SOON` in seconds.
pub(crate) const SOON_SECONDS: u64 = 1_701_388_800;

/// The files.
pub(crate) struct Pki {
    root: TempDir,
}

/// The one PKI of this test program.
pub(crate) static PKI: LazyLock<Pki> = LazyLock::new(Pki::make);

const CONFIG: &str = "
[ca]
default_ca = here
[here]
dir = .
database = index.txt
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
rand_serial = yes
crlnumber = crlnumber
default_md = sha256
policy = any
unique_subject = no
default_crl_days = 30
[any]
commonName = optional
[req]
distinguished_name = nobody
[nobody]
[authority]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[constrained]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
nameConstraints = critical,permitted;DNS:good.example
[constrained-uri]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
nameConstraints = critical,permitted;URI:good.example
[server]
subjectAltName = DNS:localhost,DNS:other.localhost,IP:127.0.0.1
extendedKeyUsage = serverAuth
[client]
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
[server-only]
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
[wildcard]
extendedKeyUsage = clientAuth
subjectAltName = DNS:*.evil.example
[spiffe]
extendedKeyUsage = clientAuth
subjectAltName = URI:spiffe://evil.example/agent
[good-name]
extendedKeyUsage = clientAuth
subjectAltName = DNS:a.good.example
";

impl Pki {
    fn make() -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        let pki = Self { root };
        for (name, section, until) in [
            ("first", "authority", FAR),
            ("second", "authority", FAR),
            ("fleeting", "authority", SOON),
            ("gone", "authority", "20230601000000Z"),
            ("constrained", "constrained", FAR),
            ("constrained-uri", "constrained-uri", FAR),
        ] {
            pki.authority(name, section, until);
        }
        pki.intermediate();
        pki.issue("first", "server", "localhost", PAST, FAR);
        pki.issue("first", "client", "owner", PAST, FAR);
        pki.issue("first", "client", "another", PAST, FAR);
        pki.issue("first", "client", "revoked", PAST, FAR);
        pki.issue("first", "client", "short", PAST, SOON);
        pki.issue("first", "client", "ended", PAST, "20230601000000Z");
        pki.issue("first", "client", "future", SOON, FAR);
        pki.issue("first", "server-only", "misused", PAST, FAR);
        pki.issue("first", "authority", "as-authority", PAST, FAR);
        pki.issue("second", "client", "stranger", PAST, FAR);
        pki.issue("second", "client", "victim", PAST, FAR);
        pki.issue("fleeting", "client", "fleeting-client", PAST, FAR);
        pki.issue("middle", "client", "below", PAST, FAR);
        pki.issue("constrained", "wildcard", "wildcard", PAST, FAR);
        pki.issue("constrained", "good-name", "good-name", PAST, FAR);
        pki.issue("constrained-uri", "spiffe", "spiffe", PAST, FAR);
        pki.authority("alone", "client", FAR);
        pki.authority("huge", "huge", FAR);
        pki.revocation_lists();
        pki
    }

    /// A file: `pki.file("first/owner.pem")`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A file of this content.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, content).expect("writes");
        path
    }

    /// A listener's configuration with the server's certificate.
    pub(crate) fn config(&self, clients: ClientCertificates) -> TlsConfig {
        TlsConfig {
            certificate: self.file("first/localhost.pem"),
            key: self.file("first/localhost.key"),
            clients,
            http2: true,
        }
    }

    /// Certificates of an authority's.
    pub(crate) fn trust(&self, authority: &str, crls: &[&str]) -> ClientTrust {
        ClientTrust::Authorities {
            ca: self.file(&format!("{authority}/ca.pem")),
            crls: crls.iter().map(|name| self.file(name)).collect(),
        }
    }

    fn authority(&self, name: &str, section: &str, until: &str) {
        let folder = self.folder(name);
        new_key(&folder, "ca", name);
        openssl(
            &folder,
            &[
                "ca",
                "-batch",
                "-notext",
                "-config",
                "ca.conf",
                "-selfsign",
                "-keyfile",
                "ca.key",
                "-in",
                "ca.csr",
                "-startdate",
                PAST,
                "-enddate",
                until,
                "-extensions",
                section,
                "-out",
                "ca.pem",
            ],
        );
    }

    /// An authority below the first.
    fn intermediate(&self) {
        let folder = self.folder("middle");
        new_key(&folder, "ca", "middle");
        let request = folder.join("ca.csr");
        let made = folder.join("ca.pem");
        self.sign("first", "authority", &request, &made, PAST, FAR);
    }

    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.file(name);
        fs::create_dir(&folder).expect("a folder");
        let names: Vec<String> = (0..1_200).map(|n| format!("DNS:n{n}.example")).collect();
        let huge = format!("[huge]\nsubjectAltName = {}\n", names.join(","));
        fs::write(folder.join("ca.conf"), format!("{CONFIG}{huge}")).expect("writes");
        fs::write(folder.join("index.txt"), "").expect("writes");
        fs::write(folder.join("crlnumber"), "01\n").expect("writes");
        folder
    }

    fn issue(&self, authority: &str, section: &str, name: &str, from: &str, until: &str) {
        let folder = self.file(authority);
        new_key(&folder, name, name);
        let request = folder.join(format!("{name}.csr"));
        let made = folder.join(format!("{name}.pem"));
        self.sign(authority, section, &request, &made, from, until);
    }

    fn sign(
        &self,
        authority: &str,
        section: &str,
        request: &Path,
        made: &Path,
        from: &str,
        until: &str,
    ) {
        openssl(
            &self.file(authority),
            &[
                "ca",
                "-batch",
                "-notext",
                "-config",
                "ca.conf",
                "-in",
                text(request),
                "-out",
                text(made),
                "-startdate",
                from,
                "-enddate",
                until,
                "-extensions",
                section,
            ],
        );
    }

    fn revocation_lists(&self) {
        let first = self.file("first");
        let list = |folder: &Path, name: &str, next: &str| {
            let out = folder.join(name);
            let arguments = [
                "ca",
                "-config",
                "ca.conf",
                "-gencrl",
                "-crl_lastupdate",
                PAST,
                "-crl_nextupdate",
                next,
                "-out",
                text(&out),
            ];
            openssl(folder, &arguments);
        };
        list(&first, "empty.crl", FAR);
        openssl(
            &first,
            &["ca", "-config", "ca.conf", "-revoke", "revoked.pem"],
        );
        list(&first, "current.crl", FAR);
        list(&first, "short.crl", SOON);
        list(&first, "old.crl", "20230601000000Z");
        openssl(
            &first,
            &[
                "crl",
                "-in",
                "current.crl",
                "-outform",
                "DER",
                "-out",
                "current.der",
            ],
        );
        openssl(
            &first,
            &["ca", "-config", "ca.conf", "-revoke", "owner.pem"],
        );
        list(&first, "later.crl", FAR);
        list(&self.file("second"), "second.crl", FAR);
    }
}

fn new_key(folder: &Path, name: &str, common: &str) {
    let (key, request) = (format!("{name}.key"), format!("{name}.csr"));
    let subject = format!("/CN={common}");
    openssl(
        folder,
        &[
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-noenc",
            "-keyout",
            &key,
            "-out",
            &request,
            "-subj",
            &subject,
        ],
    );
}

/// Runs `openssl`, which has to be installed for these tests.
pub(crate) fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("openssl is installed (`apt-get install openssl`)");
    assert!(
        output.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("is text")
}
