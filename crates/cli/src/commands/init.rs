//! `keybound init`: a configuration that `keybound serve` starts from, with
//! the keys and secrets it names. Refuses to overwrite anything.
//!
//! ```text
//! DIR/keybound.toml          the configuration
//! DIR/admin.toml             the operator's profile, for lock, unlock, events
//! DIR/secrets/               mode 0700
//!   kek nonce.key            32 random bytes each
//!   admin.pem gateway-1.pem  private keys
//! DIR/clients/*.jwks.json    the public halves
//! DIR/data/                  the database and the gateway's state
//! ```

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use keybound_proto::base64url;
use keybound_proto::jose::{Algorithm, Signer};
use schemars::JsonSchema;
use serde::Serialize;

use crate::commands::key;
use crate::config::secret::{make_private_directory, random32, write_private};
use crate::context::Context;
use crate::exit::{Exit, codes};
use crate::failure::{Failure, Outcome};
use crate::input::unwritable;
use crate::output::{Report, ink, styled};
use crate::profile::{ADMIN_PROFILE, ProfileFile};
use crate::world::ports::Ports;

/// Arguments of `keybound init`.
#[derive(Debug, Args)]
#[command(after_help = codes(&[Exit::Success, Exit::Usage]))]
pub(crate) struct InitArguments {
    /// The directory to write into; made when missing
    #[arg(default_value = ".")]
    directory: PathBuf,

    /// Where requests that pass the gateway go
    #[arg(long, value_name = "ORIGIN", default_value = "http://127.0.0.1:8080")]
    upstream: String,

    /// First of the four ports
    #[arg(long, value_name = "N", default_value_t = Ports::DEFAULT_BASE)]
    port_base: u16,
}

/// The answer of `keybound init`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Initialized {
    /// The configuration file.
    config: PathBuf,
    /// The operator's profile.
    profile: PathBuf,
    /// Every file that was written.
    files: Vec<PathBuf>,
    #[serde(skip)]
    in_place: bool,
}

pub(crate) fn run(arguments: &InitArguments, context: &Context) -> Outcome {
    let ports = Ports::from_base(arguments.port_base)?;
    check_upstream(&arguments.upstream)?;
    let directory = &arguments.directory;
    refuse_to_overwrite(directory)?;
    for inner in ["", "secrets", "clients", "data"] {
        let path = directory.join(inner);
        make_private_directory(&path).map_err(|error| unwritable(&path, &error))?;
    }
    write_keys(directory)?;
    write_profile(directory, &ports)?;
    // The configuration comes last, so that one that exists is complete.
    let config = directory.join(CONFIG);
    write(
        &config,
        configuration(&ports, &arguments.upstream).as_bytes(),
    )?;
    context.output.report(&Initialized {
        config,
        profile: directory.join(ADMIN_PROFILE),
        files: FILES.iter().map(|file| directory.join(file)).collect(),
        in_place: directory == Path::new("."),
    })?;
    Ok(Exit::Success)
}

fn check_upstream(upstream: &str) -> Result<(), Failure> {
    keybound_proto::uri::Origin::parse(upstream)
        .map(drop)
        .map_err(|error| {
            Failure::usage(format!("`{upstream}` is no origin: {error}"))
                .next("write scheme, host and port, like `http://127.0.0.1:8080`")
        })
}

fn refuse_to_overwrite(directory: &Path) -> Result<(), Failure> {
    let existing = FILES
        .iter()
        .map(|file| directory.join(file))
        .find(|path| path.exists());
    match existing {
        None => Ok(()),
        Some(path) => Err(Failure::usage(format!(
            "`{}` exists already; nothing was written",
            path.display()
        ))
        .next("name another directory, or move that file away")),
    }
}

fn write_keys(directory: &Path) -> Result<(), Failure> {
    for secret in [KEK, NONCE_KEY] {
        let bytes =
            random32().ok_or_else(|| Failure::internal("this machine gives no random bytes"))?;
        let line = zeroize::Zeroizing::new(format!("{}\n", base64url::encode(bytes.as_slice())));
        write(&directory.join(secret), line.as_bytes())?;
    }
    for (private, public) in [(ADMIN_KEY, ADMIN_JWKS), (GATEWAY_KEY, GATEWAY_JWKS)] {
        let made = key::generate(Algorithm::Es256)?;
        key::create(&made, &directory.join(private))?;
        write(
            &directory.join(public),
            key::jwks(made.public_key()).as_bytes(),
        )?;
    }
    Ok(())
}

fn write_profile(directory: &Path, ports: &Ports) -> Result<(), Failure> {
    ProfileFile {
        issuer: ports.issuer_url(),
        client_id: "admin".to_owned(),
        key: format!("file:{ADMIN_KEY}"),
        resource: Some(format!("{}/", ports.control_url())),
        scope: None,
        token_request: None,
        control: Some(ports.control_url()),
    }
    .write(&directory.join(ADMIN_PROFILE))
}

fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    write_private(path, content).map_err(|error| unwritable(path, &error))
}

/// The configuration, with comments for who edits it next.
fn configuration(ports: &Ports, upstream: &str) -> String {
    let (issuer, gateway, control) = (ports.issuer_url(), ports.gateway_url(), ports.control_url());
    let management = ports.management();
    let (issuer_listen, gateway_listen, control_listen) =
        (ports.issuer(), ports.gateway(), ports.control());
    format!(
        r#"# Keybound. Every key, its meaning and its default: docs/reference/config.md.
# Check changes with `keybound config validate`. Paths start from this directory.

[store]
url = "sqlite:data/keybound.db"
key_encryption_key_file = "{KEK}"        # encrypts signing keys at rest; keep a copy apart from the database

[issuer]
url = "{issuer}"             # the issuer identifier; https once it leaves this machine
listen = "{issuer_listen}"

[issuer.registration]
mode = "closed"                          # open | token | closed

# The operator: lock, unlock, events (profile: {ADMIN_PROFILE}).
[[issuer.client]]
id = "admin"
auth = "private_key_jwt"
jwks = "{ADMIN_JWKS}"
scopes = ["keybound:read", "keybound:respond"]
resources = ["{control}/"]

# The gateway's own client: it follows revocations and delivers its events.
[[issuer.client]]
id = "gateway-1"
auth = "private_key_jwt"
jwks = "{GATEWAY_JWKS}"
scopes = ["keybound:gateway"]
resources = ["{control}/"]

# A caller of your API. Make its key where it runs, and put the public half here:
#   keybound key new --out my-service.pem
#   keybound key show my-service.pem --jwks > clients/my-service.jwks.json
# [[issuer.client]]
# id = "my-service"
# auth = "private_key_jwt"
# jwks = "clients/my-service.jwks.json"
# scopes = ["api:read"]
# resources = ["{gateway}/"]

[gateway]
url = "{gateway}"            # the public origin callers use: the base of every htu
listen = "{gateway_listen}"
nonce_secret_file = "{NONCE_KEY}"
state_dir = "data/gateway"

[gateway.control]
url = "{control}"
client_id = "gateway-1"
key = "file:{GATEWAY_KEY}"

[[gateway.issuer]]
url = "{issuer}"

[[gateway.route]]
path = "/"
upstream = "{upstream}"
enforcement = "require"                  # off | require
# scopes = {{ GET = ["api:read"], POST = ["api:write"] }}

[control]
listen = "{control_listen}"

[management]
listen = "{management}"             # /livez /readyz /metrics
"#
    )
}

impl Report for Initialized {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        for file in &self.files {
            writeln!(out, "{} {}", styled(ink::GOOD, "wrote"), file.display())?;
        }
        let config = self.config.display();
        let serve = if self.in_place {
            "keybound serve".to_owned()
        } else {
            format!("keybound serve --config {config}")
        };
        writeln!(out, "\n{}", styled(ink::BOLD, "next"))?;
        let steps = [
            (serve, "starts issuer, gateway and control on loopback"),
            (
                format!("keybound events tail --profile {}", self.profile.display()),
                "shows what happens",
            ),
        ];
        let width = steps.iter().map(|(step, _)| step.len()).max().unwrap_or(0);
        for (step, meaning) in steps {
            let step = styled(ink::COPY, format_args!("{step:<width$}"));
            writeln!(out, "  {step}  {}", styled(ink::DIM, meaning))?;
        }
        writeln!(
            out,
            "\nAdd your callers as `[[issuer.client]]` in {config}, which says how."
        )
    }
}

const CONFIG: &str = "keybound.toml";
const KEK: &str = "secrets/kek";
const NONCE_KEY: &str = "secrets/nonce.key";
const ADMIN_KEY: &str = "secrets/admin.pem";
const GATEWAY_KEY: &str = "secrets/gateway-1.pem";
const ADMIN_JWKS: &str = "clients/admin.jwks.json";
const GATEWAY_JWKS: &str = "clients/gateway-1.jwks.json";
const FILES: [&str; 8] = [
    CONFIG,
    ADMIN_PROFILE,
    KEK,
    NONCE_KEY,
    ADMIN_KEY,
    ADMIN_JWKS,
    GATEWAY_KEY,
    GATEWAY_JWKS,
];
