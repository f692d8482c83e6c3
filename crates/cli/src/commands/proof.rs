//! `keybound proof new|verify|explain`: DPoP proofs (RFC 9449) by hand.

mod checks;
mod explain;

use std::io::{self, Write};

use clap::{Args, Subcommand};
use keybound_proto::base64url;
use keybound_proto::dpop::{self, ProofRequest};
use keybound_proto::jose::Signer;
use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;
use keybound_proto::uri::HttpUrl;
use schemars::JsonSchema;
use serde::Serialize;

use crate::commands::key;
use crate::config::duration;
use crate::context::Context;
use crate::exit::{Exit, codes};
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::output::Report;

pub(crate) use explain::Explanation;

/// What to do with proofs.
#[derive(Debug, Subcommand)]
pub(crate) enum ProofCommand {
    /// Sign a proof for one request
    #[command(after_help = codes(&[Exit::Success, Exit::Authentication, Exit::NotFound]))]
    New(NewArguments),
    /// Check a proof; the exit code says whether it holds
    #[command(after_help = codes(&[Exit::Success, Exit::Findings]))]
    Verify(CheckArguments),
    /// Run each check of a proof and say in plain words which fails and why
    #[command(after_help = codes(&[Exit::Success, Exit::Findings]))]
    Explain(CheckArguments),
}

/// Arguments of `keybound proof new`.
#[derive(Debug, Args)]
pub(crate) struct NewArguments {
    /// The request's method, as it will be sent
    method: String,

    /// The request's URL; query and fragment are left out of the proof
    url: String,

    /// The key to sign with: `file:PATH`, or a path
    #[arg(long, short)]
    key: String,

    /// The access token the proof is for: `-` or `@file`
    #[arg(long, value_name = "INPUT")]
    token: Option<Input>,

    /// The server's nonce
    #[arg(long, allow_hyphen_values = true)]
    nonce: Option<String>,

    /// The Unix time to put into the proof, in seconds [default: now]
    #[arg(long, value_name = "SECONDS")]
    iat: Option<u64>,
}

/// Arguments of `keybound proof verify` and `keybound proof explain`.
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// The proof: `-` or `@file`
    #[arg(default_value = "-")]
    proof: Input,

    /// The method of the request the proof came with
    #[arg(long, short = 'X')]
    method: Option<String>,

    /// The URL of the request the proof came with
    #[arg(long, short)]
    url: Option<String>,

    /// The access token of that request: `-` or `@file`
    #[arg(long, value_name = "INPUT")]
    token: Option<Input>,

    /// The nonce the server had given
    #[arg(long, allow_hyphen_values = true)]
    nonce: Option<String>,

    /// When the proof was received, as Unix time in seconds [default: now]
    #[arg(long, value_name = "SECONDS")]
    at: Option<u64>,

    /// How far back the server lets `iat` lie
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = window)]
    past: u64,

    /// How far ahead the server lets `iat` lie
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = window)]
    ahead: u64,
}

/// The answer of `keybound proof new`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct NewProof {
    /// The proof, for the `DPoP` header of exactly one request.
    proof: String,
    /// Thumbprint of the key it is signed with.
    jkt: String,
}

pub(crate) fn run(command: &ProofCommand, context: &Context) -> Outcome {
    match command {
        ProofCommand::New(arguments) => new(arguments, context),
        ProofCommand::Verify(arguments) => explain::verify(arguments, context),
        ProofCommand::Explain(arguments) => explain::explain(arguments, context),
    }
}

fn new(arguments: &NewArguments, context: &Context) -> Outcome {
    let key = key::open(&arguments.key)?;
    let url = HttpUrl::parse(&arguments.url).map_err(|error| {
        Failure::usage(format!(
            "`{}` is no http or https URL: {error}",
            arguments.url
        ))
    })?;
    let token = arguments.token.as_ref().map(Input::read).transpose()?;
    let hash = token.as_ref().map(|text| TokenHash::of(text.as_bytes()));
    let jti = random_text()?;
    let request = ProofRequest {
        method: &arguments.method,
        htu: url.without_query(),
        iat: arguments
            .iat
            .map_or_else(|| context.clock.now(), UnixTime::from_secs),
        jti: &jti,
        ath: hash.as_ref(),
        nonce: arguments.nonce.as_deref(),
        content_digest: None,
    };
    let proof = dpop::signing_input(&request, key.public_key(), key.algorithm())
        .sign(&key)
        .map_err(|error| Failure::authentication(error.to_string()))?;
    context.output.report(&NewProof {
        proof,
        jkt: key.public_key().thumbprint().to_string(),
    })?;
    context
        .output
        .note("good for one request; a second use is refused as a replay");
    Ok(Exit::Success)
}

/// 128 random bits as text, for a `jti`.
pub(crate) fn random_text() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Failure::internal("this machine gives no random bytes"))?;
    Ok(base64url::encode(&bytes))
}

fn window(text: &str) -> Result<u64, String> {
    duration::parse(text).ok_or_else(|| "write a duration like `60s` or `5m`".to_owned())
}

impl Report for NewProof {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.proof)
    }
}
