//! Resource servers: does the API check possession on every request?
//!
//! The order of asking is from what a thief tries first to what matters least,
//! so that a run that is cut short has decided what counts.

mod binding;
mod certificates;
pub(crate) mod checks;
mod outbound;
mod places;
pub(crate) mod presentation;
pub(crate) mod refusals;
pub(crate) mod replay;
mod revocation;
mod tokens;
pub(crate) mod window;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method};
use keybound_custody::SoftwareKey;
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::time::UnixTime;
use keybound_proto::uri::HttpUrl;

pub use self::outbound::Callback;
pub(crate) use self::replay::twice;
use crate::answer::{Outcome, Success, Unclear};
use crate::check::{Case, Decision};
use crate::credentials::{Credentials, TokenIssuer};
use crate::draft::{Draft, ProofLines};
use crate::error::ProbeError;
use crate::jwt::JwtDraft;
use crate::options::Options;
use crate::proof_cases::{DEFECTS, Strangers};
use crate::report::{Measure, Report, SCHEMA, TargetKind};
use crate::session::{Attempt, Expect, Moment, Session, skew_in_words};
use crate::signatures::{self, SignatureProfile};
use crate::timing::Timing;
use crate::verdict::Severity;
use crate::{Level, Progress};

pub use self::binding::Binding;
pub use self::certificates::OtherCertificates;

/// Somebody who can revoke a token and get another one like it.
pub trait Revoker: Send + Sync + fmt::Debug {
    /// A fresh token, bound to the same key as the one the probe has and good for the same target.
    fn fresh(
        &self,
    ) -> Pin<Box<dyn Future<Output = Result<keybound_holder::Secret, String>> + Send + '_>>;
    /// Revokes it (RFC 7009); resolves when the server has acknowledged that.
    fn revoke<'a>(
        &'a self,
        token: &'a keybound_holder::Secret,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;
}

/// A resource server to probe.
#[derive(Clone, Debug)]
pub struct ResourceServer {
    /// Where good requests are served.
    pub url: HttpUrl,
    /// With this method. Safe by default: `GET`.
    pub method: Method,
    /// Further header fields of every request, for example `accept`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body of every request.
    pub body: bytes::Bytes,
    /// Text that only a successful answer has.
    pub canary: Option<String>,
    /// Other origins the same API is said to listen on: `https://api-internal.example:8443`.
    pub other_origins: Vec<HttpUrl>,
    /// Addresses of single nodes behind the name, where the name service does not tell them.
    pub nodes: Vec<SocketAddr>,
    /// What may be presented.
    pub credentials: Credentials,
    /// For the latency of revocation.
    pub revoker: Option<Arc<dyn Revoker>>,
    /// For requests that a proof makes the target send.
    pub callback: Option<Arc<dyn Callback>>,
    /// What the token is bound to, where its `cnf` does not say: opaque tokens.
    pub bound_to: Option<Binding>,
    /// How requests are signed, where the target takes HTTP message signatures by the token's key.
    pub signatures: Option<SignatureProfile>,
    /// For cases that need more client certificates than the one in [`crate::TlsOptions`].
    pub certificates: OtherCertificates,
}

impl ResourceServer {
    /// A target reached with `GET`.
    #[must_use]
    pub const fn new(url: HttpUrl, credentials: Credentials) -> Self {
        Self {
            url,
            method: Method::GET,
            headers: Vec::new(),
            body: bytes::Bytes::new(),
            canary: None,
            other_origins: Vec::new(),
            nodes: Vec::new(),
            credentials,
            revoker: None,
            callback: None,
            bound_to: None,
            signatures: None,
            certificates: OtherCertificates {
                other: None,
                renewed: None,
            },
        }
    }

    /// What a good request shows besides the token.
    pub(crate) fn binding(&self) -> Binding {
        let token = &self.credentials.bound.token;
        self.bound_to
            .unwrap_or_else(|| Binding::of_token(token.expose()))
    }

    /// Runs the check list.
    ///
    /// # Errors
    /// [`ProbeError`] when no good request could be made at all: nothing listens, TLS fails, or the
    /// credentials are refused. A target that merely behaves oddly gets a report.
    pub async fn probe(
        &self,
        options: &Options,
        timing: &Arc<dyn Timing>,
        progress: &(dyn Progress + Sync),
    ) -> Result<Report, ProbeError> {
        self.probe_as(TargetKind::ResourceServer, options, timing, progress)
            .await
    }

    pub(crate) async fn probe_as(
        &self,
        kind: TargetKind,
        options: &Options,
        timing: &Arc<dyn Timing>,
        progress: &(dyn Progress + Sync),
    ) -> Result<Report, ProbeError> {
        let success = Success {
            canary: self.canary.clone(),
            member: None,
            html: false,
        };
        let control = Box::new(|moment: &Moment| self.good(moment));
        let mut session =
            Session::new(options, timing, success, control, progress).map_err(ProbeError::Input)?;
        let strangers = self.strangers()?;
        let mut measures = Vec::new();

        let first = match self.first(&mut session).await {
            Ok(first) => Some(first),
            Err(attempt) => {
                self.refused(&attempt)?;
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
                text: format!("the target's clock is {}", skew_in_words(skew)),
            });
        }
        self.ask(&mut session, &strangers, &mut measures).await;
        let mut labels = refusals::labels(self, &mut session, first.as_ref()).await;
        session.doubt();
        session.doubt_numbers(&mut measures, &mut labels);
        if session.found("RS-04.absent") {
            session.warnings.push(
                "requests without any token are answered with success: if those answers are not \
                 what a good request gets, name a text that only good answers have with `--canary`"
                    .to_owned(),
            );
        }
        let mut report = Report {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kind,
            target: self.url.as_str().to_owned(),
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

    /// The first control. Good answers of some targets are pages for people; they count as served
    /// only where a request without credentials is refused, since a log-in page would be its answer.
    async fn first(&self, session: &mut Session<'_>) -> Result<Attempt, Box<Attempt>> {
        let first = session.first_control().await;
        let page = |attempt: &Attempt| attempt.outcome == Outcome::Unclear(Unclear::Html);
        if !first.as_ref().is_err_and(|attempt| page(attempt)) {
            return first;
        }
        let mut bare = session.good();
        bare.credentials.clear();
        bare.proof_lines = ProofLines::None;
        let attempt = session.send(&bare, &[], Expect::Refused).await;
        if attempt.outcome != Outcome::Refused {
            return first;
        }
        session.success.html = true;
        session.forget_failures();
        session.first_control().await
    }

    async fn ask(
        &self,
        session: &mut Session<'_>,
        strangers: &Strangers,
        measures: &mut Vec<Measure>,
    ) {
        certificates::ask(self, session).await;
        signatures::ask(self, session, &strangers.key).await;
        if !self.has_proof() {
            self.ask_without_proofs(session, measures).await;
            return;
        }
        // A server may demand nonces at times only, as after a start, or of old proofs only. So what
        // it does with a wrong one is asked while it demands them of good requests.
        let demanded = session.nonce_required();
        if demanded {
            replay::ask_nonce(&checks::RS_14, session, measures, true).await;
        }
        presentation::ask(self, session, strangers).await;
        replay::ask(self, session, measures).await;
        defects(session, strangers).await;
        outbound::ask(self, session).await;
        window::ask(&checks::RS_13, session, measures).await;
        if !demanded {
            replay::ask_nonce(&checks::RS_14, session, measures, false).await;
        }
        places::ask(self, session).await;
        tokens::ask(self, session).await;
        revocation::ask(self, session, measures).await;
        if session.options.level == Level::Full {
            replay::ask_late(self, session, measures).await;
        }
        refusals::ask(self, session).await;
    }

    /// Whether a good request has a proof: where nothing else binds the token, or both do.
    fn has_proof(&self) -> bool {
        match &self.signatures {
            Some(profile) => profile.scheme.eq_ignore_ascii_case("DPoP"),
            None => self.binding().has_proof(),
        }
    }

    /// What concerns the token alone: no proof is sent.
    async fn ask_without_proofs(&self, session: &mut Session<'_>, measures: &mut Vec<Measure>) {
        presentation::ask_without_proofs(self, session).await;
        for defect in DEFECTS {
            let reason =
                "good requests have no proof: a certificate or a signature binds the token";
            let decision = Decision::not_applicable(reason);
            session.conclude(&defect.case(defect.check), decision);
        }
        tokens::ask(self, session).await;
        revocation::ask(self, session, measures).await;
    }

    /// A good token of the issuer whose key was given, bound to what the token at hand is bound to.
    pub(crate) fn minted(&self, issuer: &TokenIssuer, now: UnixTime) -> JwtDraft {
        let bound = &self.credentials.bound;
        let mut token = issuer.token(bound.key.as_ref(), now);
        if let Some(confirmation) = binding::confirmation(bound.token.expose()) {
            token.claim("cnf", confirmation);
        }
        token
    }

    /// A good request at this moment.
    pub(crate) fn good(&self, moment: &Moment) -> Draft {
        let bound = &self.credentials.bound;
        let mut draft = Draft::new(self.method.clone(), &self.url);
        draft.headers.clone_from(&self.headers);
        draft.body = self.body.clone();
        if self.has_proof() {
            draft.prove(&bound.key, moment.now);
        }
        let scheme = self
            .signatures
            .as_ref()
            .map(|profile| profile.scheme.as_str());
        let scheme = scheme.unwrap_or_else(|| self.binding().scheme());
        draft.present(scheme, bound.token.expose());
        if let Some(profile) = &self.signatures {
            draft.signatures.drafts = vec![profile.draft(&bound.key, moment.now)];
        }
        if let Some(nonce) = &moment.nonce {
            draft.on_proof(|proof| proof.claim("nonce", nonce.as_str()));
        }
        draft
    }

    fn strangers(&self) -> Result<Strangers, ProbeError> {
        strangers(self.credentials.bound.key.algorithm())
    }

    /// The error of a first control that was refused for good; nothing when the target is merely odd.
    fn refused(&self, attempt: &Attempt) -> Result<(), ProbeError> {
        use crate::transport::NoAnswer;
        match &attempt.outcome {
            Outcome::Refused => Err(ProbeError::CredentialsRefused {
                url: self.url.without_query().to_owned(),
                got: attempt.got(),
                next:
                    "check that the token is meant for this URL, has not expired, and is bound to \
                       the key given; `keybound token inspect` shows all three"
                        .to_owned(),
            }),
            Outcome::Unclear(Unclear::Transport(error))
                if !matches!(error, NoAnswer::TimedOut(_)) =>
            {
                Err(error.clone().into())
            }
            Outcome::Served | Outcome::NonceWanted(_) | Outcome::Unclear(_) => Ok(()),
        }
    }
}

/// The case that tells whether a proof is looked at where none is demanded.
const NO_JWT: &str = "RS-12.not-a-jwt";

/// Proofs with one defect each. A target that demands no proof is asked first whether it looks at one
/// at all, since then the rest would only say the same.
async fn defects(session: &mut Session<'_>, strangers: &Strangers) {
    let is_first = |case: &Case| case.id() == NO_JWT;
    let demands_none = session.found("RS-02.absent");
    for first in [true, false] {
        for defect in DEFECTS {
            let case = defect.case(defect.check);
            if (demands_none && is_first(&case)) != first {
                continue;
            }
            let shown = defect.unless.filter(|id| session.found(id));
            // Who may forge a proof is asked all the same: other lists than this one rest on it.
            let implied = case.check.severity != Severity::Critical;
            let unlooked = demands_none && implied && session.found(NO_JWT);
            let unlooked = unlooked.then_some(NO_JWT);
            if let Some(shown) = shown.or(unlooked) {
                let reason = format!("{shown} shows the same already");
                session.conclude(&case, Decision::not_applicable(reason));
                continue;
            }
            session
                .must_refuse(&case, |draft, _| (defect.change)(draft, strangers))
                .await;
        }
    }
}

/// A stranger's key of the same algorithm, where software can make one.
pub(crate) fn strangers(algorithm: Algorithm) -> Result<Strangers, ProbeError> {
    let made = SoftwareKey::generate(algorithm)
        .or_else(|_| SoftwareKey::generate(Algorithm::Es256))
        .map_err(|error| ProbeError::Input(error.to_string()))?;
    let key: Arc<dyn Signer> = Arc::new(made);
    Ok(Strangers { key })
}
