//! `keybound lock|unlock token|key|identity VALUE`: refused at every gate
//! until released.

use std::borrow::Cow;
use std::io::{self, Write};

use clap::{Args, Subcommand};
use keybound_proto::certificate::PeerCertificate;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::context::Context;
use crate::exit::{Exit, codes};
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::operator::{Operator, OperatorArguments, segment};
use crate::output::{Report, ink, styled};

/// Arguments of `keybound lock`.
#[derive(Debug, Args)]
#[command(after_help = codes(LOCK_CODES))]
pub(crate) struct LockArguments {
    #[command(subcommand)]
    subject: Subject,

    /// Why, for the record
    #[arg(long, global = true)]
    reason: Option<String>,

    #[command(flatten)]
    operator: OperatorArguments,
}

/// Arguments of `keybound unlock`.
#[derive(Debug, Args)]
#[command(after_help = codes(LOCK_CODES))]
pub(crate) struct UnlockArguments {
    #[command(subcommand)]
    subject: Subject,

    #[command(flatten)]
    operator: OperatorArguments,
}

/// What a lock is on.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Subject {
    /// One token
    Token {
        /// Its handle `tok_…`, or `sha256:` and the hash of its text
        // Base64url may begin with a hyphen, and so may a subject.
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// A key or a client certificate, with every token bound to it
    Key {
        /// The key's thumbprint (jkt), the certificate's (x5t#S256), or `@` and a certificate's PEM
        /// file: that locks its key, and so every certificate of the key
        // Base64url may begin with a hyphen, and so may a subject.
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// An identity, with every token about it
    Identity {
        /// The `sub` of its tokens
        // Base64url may begin with a hyphen, and so may a subject.
        #[arg(allow_hyphen_values = true)]
        value: String,

        /// The issuer of those tokens [default: the control plane's own]
        #[arg(long, value_name = "URL")]
        issuer: Option<String>,
    },
}

/// The answer of `keybound lock` and `keybound unlock`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LockAnswer {
    /// Whether the subject is locked now.
    locked: bool,
    /// `token`, `key` or `identity`.
    kind: &'static str,
    /// The handle, thumbprint or subject.
    value: String,
    /// What control recorded.
    record: Value,
}

const LOCK_CODES: &[Exit] = &[
    Exit::Authentication,
    Exit::NotFound,
    Exit::Refused,
    Exit::Unreachable,
    Exit::Server,
];

pub(crate) fn lock(arguments: &LockArguments, context: &Context) -> Outcome {
    let (kind, value, issuer) = arguments.subject.parts()?;
    let value = &*value;
    let mut document = serde_json::json!({ "kind": kind, "value": value });
    for (name, text) in [("reason", arguments.reason.as_deref()), ("issuer", issuer)] {
        if let Some(text) = text {
            document[name] = text.into();
        }
    }
    let record = context.block_on(async {
        let operator = Operator::new(&arguments.operator, context)?;
        operator.post("/v1/locks", &document).await
    })?;
    answer(true, kind, value, record, context)
}

pub(crate) fn unlock(arguments: &UnlockArguments, context: &Context) -> Outcome {
    let (kind, value, issuer) = arguments.subject.parts()?;
    let value = &*value;
    let query = issuer
        .map(|issuer| format!("?issuer={}", segment(issuer)))
        .unwrap_or_default();
    let path = format!("/v1/locks/{kind}/{}{query}", segment(value));
    let record = context.block_on(async {
        let operator = Operator::new(&arguments.operator, context)?;
        operator.delete(&path).await
    })?;
    answer(false, kind, value, record, context)
}

fn answer(
    locked: bool,
    kind: &'static str,
    value: &str,
    record: Value,
    context: &Context,
) -> Outcome {
    context.output.report(&LockAnswer {
        locked,
        kind,
        value: value.to_owned(),
        record,
    })?;
    if locked {
        context.output.note(format_args!(
            "release it with `keybound unlock {kind} {value}`"
        ));
    }
    Ok(Exit::Success)
}

impl Subject {
    fn parts(&self) -> Result<(&'static str, Cow<'_, str>, Option<&str>), Failure> {
        Ok(match self {
            Self::Token { value } => ("token", value.into(), None),
            Self::Key { value } => ("key", thumbprint(value)?, None),
            Self::Identity { value, issuer } => ("identity", value.into(), issuer.as_deref()),
        })
    }
}

/// A thumbprint as given, or that of the key of a certificate in a file; of the certificate
/// itself where its kind of key has none.
fn thumbprint(value: &str) -> Result<Cow<'_, str>, Failure> {
    if !value.starts_with('@') {
        return Ok(value.into());
    }
    let pem = value
        .parse::<Input>()
        .map_err(Failure::usage)?
        .read_bytes()?;
    let unusable = || {
        Failure::usage(format!("`{value}` holds no certificate that can be read"))
            .next("give the client's certificate as PEM, its own before any other")
    };
    let leaf = CertificateDer::from_pem_slice(&pem).map_err(|_| unusable())?;
    let certificate = PeerCertificate::from_der(&leaf, Vec::new()).map_err(|_| unusable())?;
    let name = certificate
        .jkt()
        .unwrap_or_else(|| certificate.thumbprint().as_key());
    Ok(name.to_string().into())
}

impl Report for LockAnswer {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        let (style, state) = if self.locked {
            (ink::BAD, "locked")
        } else {
            (ink::GOOD, "unlocked")
        };
        writeln!(out, "{} {} {}", styled(style, state), self.kind, self.value)
    }
}
