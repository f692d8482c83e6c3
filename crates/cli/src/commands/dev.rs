//! `keybound dev`: everything on loopback with no configuration. Stays up,
//! open to try by hand, and prints the next commands to copy.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use keybound_proto::wire::ErrorDetail;
use schemars::JsonSchema;
use serde::Serialize;
use tracing::level_filters::LevelFilter;

use super::serve::ended;
use crate::context::{Context, shown};
use crate::exit::{Exit, codes};
use crate::failure::{Failure, Outcome};
use crate::output::{Report, ink, styled};
use crate::world::local::{Addresses, Local, write_profile};
use crate::world::ports::Ports;
use crate::world::sockets::Sockets;
use crate::world::stop::StopSignals;
use crate::world::{Manner, World, logging};

/// Arguments of `keybound dev`.
#[derive(Debug, Args)]
#[command(after_help = codes(&[Exit::Success, Exit::Usage, Exit::Lifecycle]))]
pub(crate) struct DevArguments {
    /// Where keys, database and events are kept [default: ~/.local/share/keybound/dev]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// First of the five ports: issuer, gateway, control, management, demo API
    #[arg(long, value_name = "N", default_value_t = Ports::DEFAULT_BASE)]
    port_base: u16,
}

/// What `keybound dev` prints once everything is ready.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DevAddresses {
    /// The issuer identifier.
    issuer: String,
    /// The gateway's origin.
    gateway: String,
    /// The admin API's origin.
    control: String,
    /// Health and metrics.
    management: String,
    /// The API behind the gateway.
    upstream: String,
    /// The operator's profile.
    profile: PathBuf,
    /// Where keys, database and events are kept.
    data_dir: PathBuf,
    #[serde(skip)]
    shown_directory: String,
    #[serde(skip)]
    is_default: bool,
}

pub(crate) fn run(arguments: &DevArguments, context: &Context) -> Outcome {
    let ports = Ports::from_base(arguments.port_base)?;
    let default = context.dev_directory();
    let directory = match &arguments.data_dir {
        Some(directory) => directory.clone(),
        None => default?,
    };
    logging::start(context, LevelFilter::WARN);
    context.serve(async {
        let stop = StopSignals::listen()?;
        let addresses = Addresses::from_ports(&ports);
        let local = Local::prepare(&directory, &addresses)?;
        let mut sockets = Sockets::bind(&local.settings, ErrorDetail::Full).await?;
        sockets.bind_upstream(addresses.upstream).await?;
        let manner = Manner {
            error_detail: ErrorDetail::Full,
        };
        let mut world = World::start(
            local.settings,
            sockets,
            Some(local.upstream),
            manner,
            &context.clock,
        )
        .await?;
        if let Err(late) = world.ready_within(READY_WITHIN).await {
            world.drain(Duration::ZERO).await;
            return Err(Failure::lifecycle(format!(
                "not ready after {} s: {late}",
                READY_WITHIN.as_secs()
            )));
        }
        context.output.report(&DevAddresses {
            issuer: addresses.issuer_url(),
            gateway: addresses.gateway_url(),
            control: addresses.control_url(),
            management: format!("http://{}", addresses.management),
            upstream: format!("http://{}", addresses.upstream),
            profile: write_profile(&directory, &addresses)?,
            shown_directory: shown(&directory, &context.environment),
            data_dir: directory.clone(),
            is_default: arguments.data_dir.is_none(),
        })?;
        ended(
            world
                .run_until(stop.first(context.output, || false), DRAIN)
                .await,
        )
    })
}

impl Report for DevAddresses {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "{}",
            styled(
                ink::BOLD,
                "keybound dev: everything on loopback, until you press Ctrl-C"
            )
        )?;
        writeln!(out)?;
        let places = [
            ("issuer", &self.issuer, "anyone here may register a client"),
            (
                "gateway",
                &self.gateway,
                "/approvals and /reports, for bound tokens only",
            ),
            ("control", &self.control, "locks, revocation, events"),
            ("health", &self.management, "/readyz?verbose and /metrics"),
        ];
        for (name, url, about) in places {
            writeln!(out, "  {name:<9} {:<24} {}", url, styled(ink::DIM, about))?;
        }
        writeln!(out, "  {:<9} {}", "data", self.shown_directory)?;
        writeln!(out, "\n{}", styled(ink::BOLD, "Try, in another terminal"))?;
        for (about, command) in self.commands() {
            writeln!(out, "  {}", styled(ink::DIM, format_args!("# {about}")))?;
            writeln!(out, "  {}", styled(ink::COPY, command))?;
        }
        Ok(())
    }
}

impl DevAddresses {
    /// The next commands to copy.
    fn commands(&self) -> [(&'static str, String); 6] {
        let approvals = format!("{}/approvals", self.gateway);
        let operator = if self.is_default {
            String::new()
        } else {
            format!(" --profile {}", self.profile.display())
        };
        [
            (
                "a key is made, a token obtained, the request signed: 200",
                format!("keybound request GET {approvals}"),
            ),
            (
                "decide something with it",
                format!("keybound request POST {approvals} id=1 decision=approve"),
            ),
            (
                "the same kind of token, stolen and sent by somebody without the key: 401",
                format!(
                    "curl -i -H \"Authorization: Bearer $(keybound token get --raw {approvals})\" {approvals}"
                ),
            ),
            (
                "see the attempt, and whatever comes next",
                format!("keybound events tail{operator}"),
            ),
            (
                "stop one token everywhere (events show its handle)",
                format!("keybound lock token tok_…{operator}"),
            ),
            (
                "stop a key, with every token it has or could get (its thumbprint is the jkt)",
                format!("keybound lock key JKT{operator}"),
            ),
        ]
    }
}

const READY_WITHIN: Duration = Duration::from_secs(10);
const DRAIN: Duration = Duration::from_secs(5);
