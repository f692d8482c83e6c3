//! Authorization servers: does the issuer bind what it issues, and keep it bound?

//!
//! The probe becomes a client of the server, by registration or as one that is
//! known, and asks for tokens by `client_credentials`. Every good token request
//! carries a fresh client assertion and a fresh proof, so a defect stands alone.
//!
//! What this does not do: it has no browser and no user, so the authorization
//! endpoint is asked as far as a pushed request goes.

mod assertions;
mod checks;
pub(crate) mod client;
mod endpoints;
mod grants;
mod identification;
mod issued;
pub(crate) mod metadata;
mod parameters;
mod proofs;
mod registrations;
pub(crate) mod reply;
pub(crate) mod site;
mod truth;

use std::fmt;
use std::sync::Arc;

use keybound_holder::Secret;
use keybound_proto::jose::Signer;
use keybound_proto::uri::HttpUrl;

use self::client::Known;
use self::reply::Issued;
use self::site::{SUCCESS, Site};
use crate::Progress;
use crate::answer::{Outcome, Unclear};
use crate::error::ProbeError;
use crate::options::Options;
use crate::proof_cases::Strangers;
use crate::report::{Label, Measure, Report, SCHEMA, TargetKind};
use crate::resource_server::strangers;
use crate::session::{Attempt, Moment, Session};
use crate::timing::Timing;
use crate::transport::NoAnswer;

/// How the probe is known to the server.
#[derive(Clone)]
pub enum Client {
    /// It registers itself (RFC 7591), with this initial access token if the server wants one.
    Register(Option<Secret>),
    /// `private_key_jwt` (RFC 7523) with this key.
    PrivateKeyJwt(String, Arc<dyn Signer>),
    /// `client_secret_basic` (RFC 6749 section 2.3.1).
    Secret(String, Secret),
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Register(_) => "Register(..)",
            Self::PrivateKeyJwt(..) => "PrivateKeyJwt(..)",
            Self::Secret(..) => "Secret(..)",
        })
    }
}

/// How a token request names what the token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceParameter {
    /// `resource` (RFC 8707).
    Resource,
    /// `audience`, as servers do that are older than the standard.
    Audience,
}

impl ResourceParameter {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Audience => "audience",
        }
    }
}

/// An authorization server to probe.
#[derive(Clone, Debug)]
pub struct AuthorizationServer {
    /// The issuer identifier; everything else comes from its metadata.
    pub issuer: HttpUrl,
    /// How the probe is known to it.
    pub client: Client,
    /// Proof keys: the owner's.
    pub key: Arc<dyn Signer>,
    /// What the tokens are for (RFC 8707 section 2).
    pub resource: Option<String>,
    /// The parameter that names it.
    pub resource_parameter: ResourceParameter,
    /// `scope` of token requests.
    pub scope: Option<String>,
    /// A refresh token of the client, for the checks of refreshing.
    pub refresh_token: Option<Secret>,
    /// A registered redirect URI of the client, for the checks of pushed requests.
    pub redirect_uri: Option<String>,
    /// A client that may not use `client_credentials`.
    pub without_grant: Option<Client>,
}

impl AuthorizationServer {
    /// A server asked for tokens without `resource` and `scope`.
    #[must_use]
    pub const fn new(issuer: HttpUrl, client: Client, key: Arc<dyn Signer>) -> Self {
        Self {
            issuer,
            client,
            key,
            resource: None,
            resource_parameter: ResourceParameter::Resource,
            scope: None,
            refresh_token: None,
            redirect_uri: None,
            without_grant: None,
        }
    }

    /// Runs the check list.
    ///
    /// # Errors
    /// [`ProbeError`] when there is no metadata, or no good token request could be made at all.
    pub async fn probe(
        &self,
        options: &Options,
        timing: &Arc<dyn Timing>,
        progress: &(dyn Progress + Sync),
    ) -> Result<Report, ProbeError> {
        let (mut site, mut requests) = Site::find(self, options, timing, progress).await?;
        let mut warnings = self.warnings(options, &site);
        let mut report = self.run(&site, (options, timing, progress), requests).await;
        if let Err(ProbeError::CredentialsRefused { .. }) = &report
            && site.client.key().is_some()
        {
            // RFC 7523 section 3 leaves the audience of assertions to the server.
            requests += 1;
            site.metadata
                .token_endpoint
                .without_query()
                .clone_into(&mut site.audience);
            let second = self.run(&site, (options, timing, progress), requests).await;
            if second.is_ok() {
                let taken = "client assertions are taken with the token endpoint as audience only";
                warnings.push(taken.to_owned());
                report = second;
            }
        }
        let mut report = report?;
        report.warnings.extend(warnings);
        Ok(report)
    }

    /// One run as this client, with this audience of assertions.
    async fn run(
        &self,
        site: &Site,
        (options, timing, progress): (&Options, &Arc<dyn Timing>, &(dyn Progress + Sync)),
        requests: u32,
    ) -> Result<Report, ProbeError> {
        let control = Box::new(|moment: &Moment| site.good(moment));
        let mut session =
            Session::new(options, timing, SUCCESS, control, progress).map_err(ProbeError::Input)?;
        session.requests = requests;
        let strangers = strangers(self.key.algorithm())?;
        let mut measures = Vec::new();
        let first = match session.first_control().await {
            Ok(first) => Some(first),
            Err(attempt) => {
                refused(site, &attempt)?;
                None
            }
        };
        if let Some(first) = &first
            && let Some(skew) = session.measured_skew(first)
        {
            measures.push(Measure {
                name: "clock_skew".to_owned(),
                value: Some(skew as f64),
                unit: "s".to_owned(),
                text: format!(
                    "the server's clock is {}",
                    crate::session::skew_in_words(skew)
                ),
            });
        }
        let issued = first
            .as_ref()
            .and_then(|first| Issued::of(first.answer.as_ref()?));
        let asked = (&strangers, issued.as_ref());
        let mut labels = self.ask(site, &mut session, asked, &mut measures).await;
        session.doubt();
        session.doubt_numbers(&mut measures, &mut labels);
        let mut report = Report {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kind: TargetKind::AuthorizationServer,
            target: self.issuer.as_str().to_owned(),
            started_at: session.started_at(),
            seconds: session.elapsed(),
            requests: session.requests,
            grade: '?',
            summary: crate::Summary::default(),
            measures,
            labels,
            baseline: false,
            warnings: session.warnings,
            findings: session.findings,
        };
        report.conclude();
        Ok(report)
    }

    async fn ask(
        &self,
        site: &Site,
        session: &mut Session<'_>,
        (strangers, first): (&Strangers, Option<&Issued>),
        measures: &mut Vec<Measure>,
    ) -> Vec<Label> {
        measures.extend(first.and_then(lifetime));
        issued::ask(site, session, strangers, first).await;
        let second = registrations::ask(&self.client, site, session).await;
        identification::ask(site, session, second.as_ref()).await;
        assertions::ask(site, session, strangers).await;
        proofs::ask(session, strangers, measures).await;
        let given = grants::Given {
            refresh_token: self.refresh_token.as_ref(),
            redirect_uri: self.redirect_uri.as_deref(),
        };
        grants::ask(site, session, strangers, (&given, first)).await;
        endpoints::ask(site, session, second.as_ref(), measures).await;
        let without_grant = self.without_grant.as_ref().and_then(Known::given);
        parameters::ask(site, session, without_grant.as_ref(), first).await;
        truth::ask(site, session).await
    }

    /// What the user has to know about how the probe came to be a client.
    fn warnings(&self, options: &Options, site: &Site) -> Vec<String> {
        let mut warnings = Vec::new();
        if options.dry_run {
            let assumed = "nothing was fetched, so the endpoints shown are assumed";
            warnings.push(assumed.to_owned());
        } else if matches!(self.client, Client::Register(_)) {
            warnings.push(format!(
                "the client `{}` was registered for this run and is left there",
                crate::draft::printable(site.client.id.as_bytes())
            ));
        }
        warnings
    }
}

/// How long what was issued lives, as the answer says.
fn lifetime(issued: &Issued) -> Option<Measure> {
    let seconds = issued.lifetime?;
    Some(Measure {
        name: "token_lifetime".to_owned(),
        value: Some(seconds as f64),
        unit: "s".to_owned(),
        text: format!("tokens live for {seconds} s"),
    })
}

/// The error of a first control that was refused for good; nothing when the server is merely odd.
fn refused(site: &Site, attempt: &Attempt) -> Result<(), ProbeError> {
    match &attempt.outcome {
        Outcome::Refused => Err(ProbeError::CredentialsRefused {
            url: site.metadata.token_endpoint.without_query().to_owned(),
            got: attempt.got(),
            next: "check the client's id and key or secret, that it may use `client_credentials`, \
                   and the resource and scope asked for"
                .to_owned(),
        }),
        Outcome::Unclear(Unclear::Transport(error)) if !matches!(error, NoAnswer::TimedOut(_)) => {
            Err(error.clone().into())
        }
        Outcome::Served | Outcome::NonceWanted(_) | Outcome::Unclear(_) => Ok(()),
    }
}
