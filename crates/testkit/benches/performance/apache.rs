//! The peer of the gateway: Apache with mod_oauth2, which checks DPoP proofs in front of the same
//! upstream. Needs the Debian packages `apache2` and `libapache2-mod-oauth2`; runs from a directory
//! of its own.
//!
//! Unlike ours it lives in real time, so its tokens and proofs are made at the moment of the run,
//! before the measured time begins. Its replay cache holds 1,000 entries, as it comes, and is full
//! when the measurement begins.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use keybound_custody::SoftwareKey;
use keybound_proto::jose::{Algorithm, Signer};
use tempfile::TempDir;

use crate::load::Server;

/// What installs the peer.
pub(crate) const INSTALL: &str = "apt-get install apache2 libapache2-mod-oauth2";

const PROGRAM: &str = "/usr/sbin/apache2";
const MODULES: &str = "/usr/lib/apache2/modules";
/// In the order in which they must be loaded.
const LOADED: [(&str, &str); 8] = [
    ("mpm_event_module", "mod_mpm_event.so"),
    ("authn_core_module", "mod_authn_core.so"),
    ("authz_core_module", "mod_authz_core.so"),
    ("authz_user_module", "mod_authz_user.so"),
    ("socache_shmcb_module", "mod_socache_shmcb.so"),
    ("proxy_module", "mod_proxy.so"),
    ("proxy_http_module", "mod_proxy_http.so"),
    ("oauth2_module", "mod_oauth2.so"),
];

/// A running Apache, and the directory it runs from.
pub(crate) struct Apache {
    pub(crate) server: Server,
    pub(crate) origin: String,
    _directory: TempDir,
}

/// Whether both packages are there.
pub(crate) fn is_installed() -> bool {
    Path::new(PROGRAM).exists() && Path::new(MODULES).join("mod_oauth2.so").exists()
}

impl Apache {
    /// Starts it in front of `upstream`, for tokens that `issuer` signs.
    pub(crate) fn start(upstream: &str, issuer: &SoftwareKey) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let address = free_address();
        let file = directory.path().join("apache.conf");
        std::fs::write(
            &file,
            configuration(directory.path(), address, upstream, issuer),
        )
        .expect("a writable directory");
        let child = Command::new(PROGRAM)
            .args(["-D", "FOREGROUND", "-f"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Apache starts");
        let server = Server::of(child, address);
        wait_for(address, directory.path());
        Self {
            server,
            origin: format!("http://{address}"),
            _directory: directory,
        }
    }
}

fn configuration(
    directory: &Path,
    address: SocketAddr,
    upstream: &str,
    issuer: &SoftwareKey,
) -> String {
    let mut text = String::new();
    for (module, file) in LOADED {
        let _ = writeln!(text, "LoadModule {module} {MODULES}/{file}");
    }
    let root = directory.display();
    // A JWK in a directive is a quoted text with its quotes escaped.
    let jwk = issuer.public_key().to_jwk_with("kb-1", Algorithm::Es256);
    let jwk = jwk.replace('"', "\\\"");
    let _ = write!(
        text,
        "ServerRoot {root}\n\
         ServerName {address}\n\
         Listen {address}\n\
         PidFile {root}/apache.pid\n\
         ErrorLog {root}/error.log\n\
         LogLevel error\n\
         DefaultRuntimeDir {root}\n\
         ServerLimit 1\n\
         StartServers 1\n\
         ThreadsPerChild 64\n\
         MaxRequestWorkers 64\n\
         KeepAlive On\n\
         MaxKeepAliveRequests 0\n\
         KeepAliveTimeout 60\n\
         <Location />\n\
         AuthType oauth2\n\
         OAuth2AcceptTokenIn header name=Authorization&type=DPoP\n\
         OAuth2TokenVerify jwk \"{jwk}\" type=dpop&verify.exp=required&dpop.iat.slack.before=300&dpop.iat.slack.after=300\n\
         Require valid-user\n\
         ProxyPass {upstream}/ keepalive=On\n\
         </Location>\n"
    );
    text
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    listener.local_addr().expect("an address")
}

fn wait_for(address: SocketAddr, directory: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(address).is_err() {
        let log = std::fs::read_to_string(directory.join("error.log")).unwrap_or_default();
        assert!(
            Instant::now() < deadline,
            "Apache does not become ready: {log}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
