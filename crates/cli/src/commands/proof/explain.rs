//! What the checks of a proof found, in plain words.

use std::io::{self, Write};

use keybound_proto::dpop::ProofWindow;
use keybound_proto::time::UnixTime;
use keybound_proto::uri::{HttpUrl, Htu};
use schemars::JsonSchema;
use serde::Serialize;

use super::CheckArguments;
use super::checks::{self, Check, Claims, Expected, Verdict};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::moment;
use crate::output::{Report, ink, styled};

/// The answer of `keybound proof verify` and `keybound proof explain`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Explanation {
    /// Whether no check failed. A check that was not asked for does not count.
    ok: bool,
    /// The id of the first failure, as a server would name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    /// What the proof says of itself; nothing of it is trusted.
    proof: ProofFacts,
    /// Every check, in the order of a server.
    checks: Vec<CheckReport>,
    #[serde(skip)]
    now: u64,
    #[serde(skip)]
    brief: bool,
}

/// What a proof says of itself.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProofFacts {
    /// The type in the header.
    #[serde(skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
    /// The signature algorithm in the header.
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    /// Thumbprint of the key in the proof.
    #[serde(skip_serializing_if = "Option::is_none")]
    jkt: Option<String>,
    /// The method it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    htm: Option<String>,
    /// The URL it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    htu: Option<String>,
    /// When it was made, Unix time in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
    /// Its identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    /// Hash of the access token it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
    /// The server nonce it carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
}

/// How one check went.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CheckReport {
    /// `form`, `method`, `url`, `age`, `nonce`, `token`, `key` or `signature`.
    name: &'static str,
    /// `holds`, `fails` or `skipped`.
    verdict: &'static str,
    /// What that means.
    says: String,
    /// The id of the cause, of a check that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    /// The text that asks for the check.
    #[serde(skip_serializing_if = "Option::is_none")]
    section: Option<&'static str>,
    /// What would have been accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    /// What came instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    got: Option<String>,
    /// Seconds the maker's clock is ahead of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_skew: Option<i64>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'static str>,
}

pub(super) fn verify(arguments: &CheckArguments, context: &Context) -> Outcome {
    answer(arguments, context, true)
}

pub(super) fn explain(arguments: &CheckArguments, context: &Context) -> Outcome {
    answer(arguments, context, false)
}

fn answer(arguments: &CheckArguments, context: &Context, brief: bool) -> Outcome {
    if arguments.proof == Input::Stdin && arguments.token == Some(Input::Stdin) {
        return Err(
            Failure::usage("proof and token cannot both come from standard input")
                .next("put one into a file and name it `@file`"),
        );
    }
    let proof = arguments.proof.read()?;
    let token = arguments.token.as_ref().map(Input::read).transpose()?;
    let target = arguments.url.as_deref().map(target).transpose()?;
    let now = arguments
        .at
        .map_or_else(|| context.clock.now(), UnixTime::from_secs);
    let expected = Expected {
        method: arguments.method.as_deref(),
        target: target.as_ref(),
        token: token.as_ref().map(|text| text.as_str()),
        nonce: arguments.nonce.as_deref(),
        now,
        window: ProofWindow {
            past: arguments.past,
            ahead: arguments.ahead,
        },
    };
    let (claims, checks) = checks::run(&proof, &expected);
    let explanation = Explanation::of(claims, &checks, now.as_secs(), brief);
    context.output.report(&explanation)?;
    Ok(if explanation.ok {
        Exit::Success
    } else {
        Exit::Findings
    })
}

/// The address a server would compare `htu` with.
fn target(url: &str) -> Result<Htu, Failure> {
    let bad = |error: String| Failure::usage(format!("`{url}` is no http or https URL: {error}"));
    let url = HttpUrl::parse(url).map_err(|error| bad(error.to_string()))?;
    Htu::parse(url.without_query()).map_err(|error| bad(error.to_string()))
}

impl Explanation {
    fn of(claims: Claims, checks: &[Check], now: u64, brief: bool) -> Self {
        let checks: Vec<CheckReport> = checks
            .iter()
            .map(|check| CheckReport::of(check, &claims, now))
            .collect();
        let cause = checks.iter().find_map(|check| check.cause);
        Self {
            ok: cause.is_none(),
            cause,
            proof: ProofFacts::of(claims),
            checks,
            now,
            brief,
        }
    }
}

impl ProofFacts {
    fn of(claims: Claims) -> Self {
        Self {
            typ: claims.typ,
            alg: claims.alg,
            jkt: claims.jkt,
            htm: claims.htm,
            htu: claims.htu,
            iat: claims.iat,
            jti: claims.jti,
            ath: claims.ath,
            nonce: claims.nonce,
        }
    }
}

impl CheckReport {
    fn of(check: &Check, claims: &Claims, now: u64) -> Self {
        let mut report = Self {
            name: check.name,
            verdict: "holds",
            says: String::new(),
            cause: None,
            section: None,
            expected: None,
            got: None,
            clock_skew: None,
            next: None,
        };
        match &check.verdict {
            Verdict::Holds => report.says = holds(check.name, claims, now),
            Verdict::Skipped(why) => {
                report.verdict = "skipped";
                (*why).clone_into(&mut report.says);
            }
            Verdict::Fails(rejection) => {
                let (cause, detail) = (rejection.cause(), rejection.detail());
                report.verdict = "fails";
                cause.summary().clone_into(&mut report.says);
                report.cause = Some(cause.id());
                report.section = Some(cause.section());
                report.expected = detail.expected;
                report.got = detail.got;
                report.clock_skew = detail.clock_skew;
                report.next = Some(cause.next_step());
            }
        }
        report
    }
}

/// What a check that holds tells.
fn holds(name: &str, claims: &Claims, now: u64) -> String {
    let said = |claim: &Option<String>| claim.clone().unwrap_or_default();
    match name {
        "form" => format!("one dpop+jwt, {}, with a public key", said(&claims.alg)),
        "method" => format!("made for {}", said(&claims.htm)),
        "url" => format!("made for {}", said(&claims.htu)),
        "age" => format!("made {}", moment::relative(claims.iat.unwrap_or(0), now)),
        "nonce" => "carries the nonce the server gave".to_owned(),
        "token" => "made for this very access token (ath)".to_owned(),
        "key" => "signed with the key the token is bound to (cnf.jkt)".to_owned(),
        _ => "verifies with the key in the proof".to_owned(),
    }
}

impl Report for Explanation {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.brief {
            return self.verdict(out);
        }
        self.facts(out)?;
        for check in &self.checks {
            check.line(out)?;
        }
        writeln!(out)?;
        self.verdict(out)
    }
}

impl Explanation {
    fn facts(&self, out: &mut dyn Write) -> io::Result<()> {
        let proof = &self.proof;
        let made = proof.iat.map(|iat| {
            format!(
                "{} ({})",
                moment::rfc3339(iat),
                moment::relative(iat, self.now)
            )
        });
        let request = match (&proof.htm, &proof.htu) {
            (Some(method), Some(url)) => Some(format!("{method} {url}")),
            _ => None,
        };
        let rows = [
            ("for", request),
            ("key", proof.jkt.clone()),
            ("made", made),
            ("jti", proof.jti.clone()),
        ];
        for (name, value) in rows {
            if let Some(value) = value {
                writeln!(
                    out,
                    "{}  {value}",
                    styled(ink::DIM, format_args!("{name:>9}"))
                )?;
            }
        }
        writeln!(out)
    }

    fn skipped(&self) -> impl Iterator<Item = &str> {
        self.checks
            .iter()
            .filter(|check| check.verdict == "skipped")
            .map(|check| check.name)
    }

    fn verdict(&self, out: &mut dyn Write) -> io::Result<()> {
        match self.checks.iter().find(|check| check.cause.is_some()) {
            None => {
                let skipped: Vec<&str> = self.skipped().collect();
                let rest = if skipped.is_empty() {
                    String::new()
                } else {
                    format!("; not checked: {}", skipped.join(", "))
                };
                writeln!(out, "{} no check fails{rest}", styled(ink::GOOD, "holds:"))
            }
            Some(first) => {
                let cause = first.cause.unwrap_or_default();
                writeln!(
                    out,
                    "{} {} ({cause})",
                    styled(ink::BAD, "refused:"),
                    first.says
                )
            }
        }
    }
}

impl CheckReport {
    fn line(&self, out: &mut dyn Write) -> io::Result<()> {
        let mark = match self.verdict {
            "holds" => styled(ink::GOOD, "✓"),
            "fails" => styled(ink::BAD, "✗"),
            _ => styled(ink::DIM, "·"),
        };
        let says = if self.verdict == "skipped" {
            styled(ink::DIM, format_args!("not checked: {}", self.says))
        } else {
            self.says.clone()
        };
        writeln!(out, "{mark} {:<10} {says}", self.name)?;
        let details = [
            (
                "cause",
                self.cause
                    .map(|cause| format!("{cause}  ({})", self.section.unwrap_or_default())),
            ),
            ("expected", self.expected.clone()),
            ("got", self.got.clone()),
            (
                "skew",
                self.clock_skew.map(|seconds| format!("{seconds} s")),
            ),
            ("next", self.next.map(str::to_owned)),
        ];
        for (name, value) in details {
            if let Some(value) = value {
                writeln!(
                    out,
                    "             {} {value}",
                    styled(ink::DIM, format_args!("{name:<9}"))
                )?;
            }
        }
        Ok(())
    }
}
