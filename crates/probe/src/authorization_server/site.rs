//! The server as one run knows it: where, as whom, with which key, for what.

use std::sync::Arc;

use http::Method;
use keybound_proto::jose::Signer;
use keybound_proto::uri::HttpUrl;

use super::client::Known;
use super::metadata::Metadata;
use super::reply::{Issued, Reply};
use super::{AuthorizationServer, Client};
use crate::Progress;
use crate::answer::{Outcome, Success};
use crate::draft::{Draft, Form};
use crate::error::ProbeError;
use crate::options::Options;
use crate::session::{Attempt, Expect, Moment, Session};
use crate::timing::Timing;

/// What a good answer of the token endpoint has.
pub(crate) const SUCCESS: Success = Success {
    canary: None,
    member: Some("access_token"),
    html: false,
};

/// Everything a good token request is made of.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) metadata: Metadata,
    pub(crate) client: Known,
    /// Whether the probe registered the client, asking for bound tokens only.
    pub(crate) registered: bool,
    /// Proof key.
    pub(crate) key: Arc<dyn Signer>,
    pub(crate) resource: Option<String>,
    /// The parameter that names it.
    pub(crate) resource_parameter: &'static str,
    pub(crate) scope: Option<String>,
    /// `aud` of client assertions: the issuer, or the token endpoint for servers that take
    /// nothing else.
    pub(crate) audience: String,
}

impl Site {
    /// Finds the server and becomes a client of it. Says how many requests that took.
    ///
    /// # Errors
    /// [`ProbeError`] when there is no metadata or the client cannot be registered.
    pub(crate) async fn find(
        server: &AuthorizationServer,
        options: &Options,
        timing: &Arc<dyn Timing>,
        progress: &(dyn Progress + Sync),
    ) -> Result<(Self, u32), ProbeError> {
        let nothing = Box::new(|_: &Moment| Draft::new(Method::GET, &server.issuer));
        let mut session = Session::new(options, timing, Success::default(), nothing, progress)
            .map_err(ProbeError::Input)?;
        let metadata = Metadata::fetch(&mut session, &server.issuer).await?;
        let scope = server.scope.as_deref();
        let client = Known::resolve(&server.client, &metadata, scope, &mut session).await?;
        let site = Self {
            audience: audience(&metadata, &server.issuer),
            metadata,
            client,
            registered: matches!(server.client, Client::Register(_)),
            key: Arc::clone(&server.key),
            resource: server.resource.clone(),
            resource_parameter: server.resource_parameter.name(),
            scope: server.scope.clone(),
        };
        Ok((site, session.requests))
    }

    /// A good token request at this moment, with a fresh assertion and a fresh proof.
    pub(crate) fn good(&self, moment: &Moment) -> Draft {
        self.request(&self.client, &self.key, moment)
    }

    /// The same of another client or with another proof key.
    pub(crate) fn request(&self, client: &Known, key: &Arc<dyn Signer>, moment: &Moment) -> Draft {
        let mut form = Form::default();
        form.add("grant_type", "client_credentials");
        if let Some(resource) = &self.resource {
            form.add(self.resource_parameter, resource);
        }
        if let Some(scope) = &self.scope {
            form.add("scope", scope);
        }
        self.with_proof(client, key, form, moment)
    }

    /// A request to the token endpoint with this form, authenticated and proven.
    pub(crate) fn with_proof(
        &self,
        client: &Known,
        key: &Arc<dyn Signer>,
        form: Form,
        moment: &Moment,
    ) -> Draft {
        let mut draft = Draft::new(Method::POST, &self.metadata.token_endpoint);
        draft.form = Some(form);
        draft.header("accept", "application/json");
        client.authenticate(&mut draft, &self.audience, moment.now);
        draft.prove(key, moment.now);
        if let Some(nonce) = &moment.nonce {
            draft.on_proof(|proof| proof.claim("nonce", nonce.as_str()));
        }
        draft
    }

    /// The thumbprint of the proof key.
    pub(crate) fn jkt(&self) -> String {
        self.key.public_key().thumbprint().to_string()
    }

    /// Sends a form to another endpoint and reads what came.
    pub(crate) async fn ask(
        &self,
        session: &mut Session<'_>,
        endpoint: &HttpUrl,
        client: &Known,
        parameters: &[(&str, &str)],
    ) -> (Reply, Attempt) {
        let now = session.moment().now;
        let mut draft = client.form(endpoint, &self.audience, now);
        draft.on_form(|form| {
            for (name, value) in parameters {
                form.add(name, value);
            }
        });
        let attempt = session.send(&draft, &[], Expect::Served).await;
        (Reply::of(&attempt), attempt)
    }
}

/// A token, asked for like the controls; nothing in a dry run.
///
/// # Errors
/// The attempt that brought none.
pub(crate) async fn token(
    session: &mut Session<'_>,
    draft: impl Fn(&Moment) -> Draft,
) -> Result<Option<Issued>, Box<Attempt>> {
    let attempt = session
        .send_retrying(|session| draft(&session.moment()), &[], Expect::Served)
        .await;
    match (&attempt.outcome, &attempt.answer) {
        (Outcome::Served, Some(answer)) => match Issued::of(answer) {
            Some(issued) => Ok(Some(issued)),
            None => Err(Box::new(attempt)),
        },
        (Outcome::Served, None) => Ok(None),
        _ => Err(Box::new(attempt)),
    }
}

/// The issuer's own spelling of its identifier, where it differs in a final slash only: an
/// assertion for anybody else must not reach this server.
fn audience(metadata: &Metadata, issuer: &HttpUrl) -> String {
    let given = issuer.as_str();
    let own = metadata.text("issuer").unwrap_or(given);
    let same = own.trim_end_matches('/') == given.trim_end_matches('/');
    if same { own } else { given }.to_owned()
}
