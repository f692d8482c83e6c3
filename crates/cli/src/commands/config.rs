//! `keybound config validate|show|schema`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;

use crate::config::problem::{Problem, ProblemDocument};
use crate::config::show::EffectiveConfig;
use crate::config::{self, ConfigError, Loaded};
use crate::context::Context;
use crate::exit::{Exit, codes};
use crate::failure::{Failure, Outcome};
use crate::output::{Report, ink, styled};

/// What to do with a configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check a configuration and the files it names, without the network
    #[command(after_help = codes(&[Exit::Success, Exit::Usage]))]
    Validate(WhichConfig),
    /// Print the effective values and where each came from
    #[command(after_help = codes(&[Exit::Success, Exit::Usage]))]
    Show(WhichConfig),
    /// Print the JSON Schema of the configuration
    Schema,
}

/// Which configuration.
#[derive(Debug, Clone, Args)]
pub(crate) struct WhichConfig {
    /// The configuration file [default: KEYBOUND_CONFIG, KEYBOUND_CONFIG_TOML, then
    /// /etc/keybound/keybound.toml, ~/.config/keybound/config.toml, ./keybound.toml]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// The answer of `keybound config validate`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Validation {
    /// Whether the configuration can be used.
    ok: bool,
    /// The file that was read, or the variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// What keeps it from being used.
    problems: Vec<ProblemDocument>,
    /// What does not, and is worth knowing.
    warnings: Vec<ProblemDocument>,
    #[serde(skip)]
    lines: Vec<String>,
    #[serde(skip)]
    listeners: Vec<String>,
}

pub(crate) fn run(command: &ConfigCommand, context: &Context) -> Outcome {
    match command {
        ConfigCommand::Validate(which) => validate(which, context),
        ConfigCommand::Show(which) => {
            let loaded = load(which, context)?;
            context.output.report(&EffectiveConfig::of(&loaded))?;
            Ok(Exit::Success)
        }
        ConfigCommand::Schema => {
            let schema = serde_json::to_string_pretty(&config::schema());
            context.output.text(schema.unwrap_or_default())?;
            Ok(Exit::Success)
        }
    }
}

/// Finds and reads the configuration a command names.
pub(crate) fn load(which: &WhichConfig, context: &Context) -> Result<Loaded, Failure> {
    Ok(config::load(which.config.as_deref(), &context.environment)?)
}

fn validate(which: &WhichConfig, context: &Context) -> Outcome {
    let checked = config::load(which.config.as_deref(), &context.environment)
        .and_then(|loaded| config::validate::validate(&loaded).map(|valid| (loaded, valid)));
    let (name, problems) = match checked {
        Ok((loaded, (settings, warnings))) => {
            let listeners = settings.listeners();
            let listeners = listeners
                .iter()
                .map(|(key, address)| format!("{key} = {address}"))
                .collect();
            let validation = Validation::new(&loaded.name, &[], &warnings, listeners);
            context.output.report(&validation)?;
            return Ok(Exit::Success);
        }
        Err(ConfigError::Invalid { name, problems }) if context.output.is_json() => {
            (name, problems)
        }
        Err(error) => return Err(error.into()),
    };
    context
        .output
        .report(&Validation::new(&name, &problems, &[], Vec::new()))?;
    Ok(Exit::Usage)
}

impl Validation {
    fn new(name: &str, problems: &[Problem], warnings: &[Problem], listeners: Vec<String>) -> Self {
        let documents =
            |list: &[Problem]| list.iter().map(|problem| problem.document(name)).collect();
        Self {
            ok: problems.is_empty(),
            file: Some(name.to_owned()),
            problems: documents(problems),
            warnings: documents(warnings),
            lines: warnings.iter().map(|warning| warning.line(name)).collect(),
            listeners,
        }
    }
}

impl Report for Validation {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        for line in &self.lines {
            writeln!(out, "{} {line}", styled(ink::CARE, "warning:"))?;
        }
        let file = self.file.as_deref().unwrap_or_default();
        writeln!(out, "{} {file}", styled(ink::GOOD, "valid"))?;
        for listener in &self.listeners {
            writeln!(out, "  {listener}")?;
        }
        Ok(())
    }
}
