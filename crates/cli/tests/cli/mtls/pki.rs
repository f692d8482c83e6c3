//! Authorities and certificates, made by the `openssl` program in the folder `pki` of a home.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use keybound_proto::certificate::PeerCertificate;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::program::{Home, text};

/// One certificate to make.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The authority's name; none for a self-signed one.
    pub(crate) by: Option<&'a str>,
    /// Such as `/O=Example/CN=batch`.
    pub(crate) subject: &'a str,
    /// Lines of extensions.
    pub(crate) extensions: &'a str,
    /// Whose key it gets; its own by default.
    pub(crate) key_of: Option<&'a str>,
    /// From when to when, as `date` understands it.
    pub(crate) validity: [&'a str; 2],
}

pub(crate) const IN_FORCE: [&str; 2] = ["1 day ago", "2 days"];
pub(crate) const CLIENT: &str = "extendedKeyUsage=clientAuth\nbasicConstraints=critical,CA:false\n";
pub(crate) const AUTHORITY: &str =
    "basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\n";
/// The names of the client `batch`, one of each kind.
pub(crate) const NAMES: &str = "subjectAltName=DNS:batch.example.com,URI:spiffe://example.com/batch,IP:192.0.2.7,email:batch@example.com\n";
/// Its subject.
pub(crate) const SUBJECT: &str = "/O=Example, Inc./CN=batch";

const CONFIG: &str = "
[ca]
default_ca = here
[here]
database = index.txt
new_certs_dir = .
rand_serial = yes
crlnumber = crlnumber
default_crl_days = 2
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[any]
organizationName = optional
commonName = optional
[req]
distinguished_name = nobody
[nobody]
";

impl Wanted<'_> {
    /// A client's certificate of the authority `ca`.
    pub(crate) const fn client(subject: &str) -> Wanted<'_> {
        Wanted {
            by: Some("ca"),
            subject,
            extensions: CLIENT,
            key_of: None,
            validity: IN_FORCE,
        }
    }
}

/// The folder and one authority, `ca`.
pub(crate) fn begin(home: &Home) {
    fs::create_dir(home.path("pki")).expect("makes the folder");
    home.write("pki/openssl.cnf", CONFIG);
    home.write("pki/index.txt", "");
    home.write("pki/crlnumber", "01\n");
    authority(home, "ca", "/CN=our clients");
    let server = Wanted {
        extensions: "subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n",
        ..Wanted::client("/CN=localhost")
    };
    make(home, "server", server);
}

/// A self-signed authority.
pub(crate) fn authority(home: &Home, name: &str, subject: &str) {
    let wanted = Wanted {
        by: None,
        extensions: AUTHORITY,
        ..Wanted::client(subject)
    };
    make(home, name, wanted);
}

/// Makes `pki/NAME.pem` and, unless it has the key of another, `pki/NAME.key`.
pub(crate) fn make(home: &Home, name: &str, wanted: Wanted<'_>) {
    let owner = wanted.key_of.unwrap_or(name);
    let key = format!("{owner}.key");
    if !home.path(&format!("pki/{key}")).exists() {
        let curve = "ec_paramgen_curve:P-256";
        openssl(
            home,
            &[
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                curve,
                "-out",
                &key,
            ],
        );
    }
    let (request, extensions) = (format!("{name}.csr"), format!("{name}.ext"));
    home.write(&format!("pki/{extensions}"), wanted.extensions);
    let subject = ["-subj", wanted.subject, "-out", &request];
    openssl(
        home,
        &[
            &["req", "-new", "-config", "openssl.cnf", "-key", &key],
            &subject[..],
        ]
        .concat(),
    );
    let [from, until] = wanted.validity.map(date);
    let authority = wanted
        .by
        .map(|by| [format!("{by}.pem"), format!("{by}.key")]);
    let signer = match &authority {
        Some([certificate, key]) => vec!["-cert", certificate, "-keyfile", key],
        None => vec!["-selfsign", "-keyfile", &key],
    };
    let certificate = format!("{name}.pem");
    let fixed = [
        "ca",
        "-batch",
        "-notext",
        "-preserveDN",
        "-config",
        "openssl.cnf",
        "-startdate",
        &from,
        "-enddate",
        &until,
        "-extfile",
        &extensions,
        "-in",
        &request,
        "-out",
        &certificate,
    ];
    openssl(home, &[&fixed[..], &signer].concat());
}

/// `pki/NAME.pem` with other certificates behind its own.
pub(crate) fn bundle(home: &Home, name: &str, members: &[&str]) {
    let read = |member: &&str| fs::read_to_string(file(home, member, "pem")).expect("reads");
    let text: String = members.iter().map(read).collect();
    home.write(&format!("pki/{name}.pem"), &text);
}

/// Revokes a certificate of the authority `ca`, in `pki/ca.crl`.
pub(crate) fn revoke(home: &Home, name: &str) {
    let by = [
        "ca",
        "-config",
        "openssl.cnf",
        "-cert",
        "ca.pem",
        "-keyfile",
        "ca.key",
    ];
    let certificate = format!("{name}.pem");
    openssl(home, &[&by[..], &["-revoke", &certificate]].concat());
    openssl(home, &[&by[..], &["-gencrl", "-out", "ca.crl"]].concat());
}

pub(crate) fn file(home: &Home, name: &str, end: &str) -> PathBuf {
    home.path(&format!("pki/{name}.{end}"))
}

pub(crate) fn read(home: &Home, name: &str) -> PeerCertificate {
    let der = CertificateDer::from_pem_file(file(home, name, "pem")).expect("a certificate");
    PeerCertificate::from_der(&der, Vec::new()).expect("is well formed")
}

/// `x5t#S256`.
pub(crate) fn thumbprint(home: &Home, name: &str) -> String {
    read(home, name).thumbprint().to_string()
}

/// A moment relative to now, as certificates write it.
fn date(relative: &str) -> String {
    let output = Command::new("date")
        .args(["-u", "+%Y%m%d%H%M%SZ", "-d", relative])
        .output()
        .expect("runs date");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn openssl(home: &Home, arguments: &[&str]) {
    let output = Command::new("openssl")
        .current_dir(text(&home.path("pki")))
        .args(arguments)
        .output()
        .expect("openssl is installed (`apt-get install openssl`)");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}
