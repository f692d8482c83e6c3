//! Credentials for the probe of a resource server, got from its issuer.
//!
//! [`IssuerAccess`] becomes a client of an authorization server as the probe of
//! that server does, and gets whatever tokens it gives: the good one, and those
//! a resource server should refuse. It also revokes (RFC 7009), for the latency
//! of revocation.
//!
//! What this does not do: it judges nothing. A token the issuer does not give
//! is left out, and the cases that need it say so.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use keybound_holder::Secret;
use keybound_proto::jose::Signer;

use crate::Silent;
use crate::answer::Outcome;
use crate::authorization_server::client::{Known, Wanted, register};
use crate::authorization_server::reply::{Issued, Reply};
use crate::authorization_server::site::{SUCCESS, Site, token};
use crate::authorization_server::{AuthorizationServer, Client};
use crate::credentials::{BoundToken, Credentials};
use crate::draft::{Draft, ProofLines};
use crate::error::ProbeError;
use crate::options::Options;
use crate::resource_server::{Revoker, strangers};
use crate::session::{Attempt, Moment, Session};
use crate::timing::Timing;

/// Other audiences that are tried at most.
const AUDIENCES: usize = 3;

/// A client of an issuer that gets tokens for the probe of a resource server.
pub struct IssuerAccess {
    site: Site,
    /// A second client where the probe registers itself; otherwise the same one.
    other: Known,
    other_key: Arc<dyn Signer>,
    /// `resource` of the server's own settings: an audience beside the target's.
    second_resource: Option<String>,
    options: Options,
    timing: Arc<dyn Timing>,
    asked: Mutex<Asked>,
}

/// What the last good token was asked for with.
#[derive(Clone)]
struct Asked {
    resource: Option<String>,
    scope: Option<String>,
    audience: String,
}

impl fmt::Debug for IssuerAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerAccess")
            .field("issuer", &self.site.metadata.issuer.as_str())
            .field("client_id", &self.site.client.id)
            .finish_non_exhaustive()
    }
}

impl IssuerAccess {
    /// Finds the issuer and becomes a client of it: two clients, where it registers itself.
    ///
    /// [`Options::connect_to`] says where the target is and does not apply here.
    ///
    /// # Errors
    /// [`ProbeError`] when there is no metadata, or the client cannot be registered.
    pub async fn open(
        server: &AuthorizationServer,
        options: &Options,
        timing: &Arc<dyn Timing>,
    ) -> Result<Self, ProbeError> {
        let mut options = options.clone();
        options.connect_to = None;
        let (site, _) = Site::find(server, &options, timing, &Silent).await?;
        let mut access = Self {
            other: site.client.clone(),
            other_key: strangers(server.key.algorithm())?.key,
            second_resource: server.resource.clone(),
            asked: Mutex::new(Asked {
                resource: server.resource.clone(),
                scope: server.scope.clone(),
                audience: site.audience.clone(),
            }),
            site,
            options,
            timing: Arc::clone(timing),
        };
        if let Client::Register(initial) = &server.client {
            let wanted = match access.site.client.key() {
                Some(_) => Wanted::Key,
                None => Wanted::Secret,
            };
            let mut session = access.session(&access.site)?;
            let scope = server.scope.as_deref();
            let metadata = &access.site.metadata;
            // One client is enough for everything but the token of another one.
            let second = register(&mut session, metadata, initial.as_ref(), wanted, scope).await;
            drop(session);
            if let Ok(second) = second {
                access.other = second;
            }
        }
        Ok(access)
    }

    /// Whether [`Credentials::other`] is the token of another client; otherwise it is the same
    /// client's, bound to another key.
    #[must_use]
    pub fn has_two_clients(&self) -> bool {
        self.other.id != self.site.client.id
    }

    /// Ids of the clients this registered, which are left at the issuer.
    #[must_use]
    pub fn client_ids(&self) -> Vec<&str> {
        let mut ids = vec![self.site.client.id.as_str()];
        if self.has_two_clients() {
            ids.push(&self.other.id);
        }
        ids
    }

    /// Tokens for a resource: the good one, and whatever else the issuer gives.
    ///
    /// `lesser_scope` is there only when `scope` is given and the issuer grants the client other
    /// scopes as well: it has those and not the ones the target needs. `other_audience` is there
    /// only when both tokens can be read and have no audience in common.
    ///
    /// # Errors
    /// [`ProbeError::CredentialsRefused`] when the issuer gives no bound token.
    pub async fn credentials(
        &self,
        resource: &str,
        scope: Option<&str>,
    ) -> Result<Credentials, ProbeError> {
        let (site, bound) = self.good(resource, scope).await?;
        let key = Arc::clone(&site.key);
        let Some(bound) = bound else {
            let token = Secret::new("the-token-that-would-be-issued");
            return Ok(Credentials::new(BoundToken { token, key }));
        };
        let mut session = self.session(&site)?;
        let mut credentials = Credentials::new(BoundToken {
            token: bound.token.clone(),
            key,
        });
        let others = |moment: &Moment| site.request(&self.other, &self.other_key, moment);
        credentials.other = self.issued(&mut session, others).await.map(|issued| {
            let key = Arc::clone(&self.other_key);
            BoundToken {
                token: issued.token,
                key,
            }
        });
        let unproven = |moment: &Moment| {
            let mut draft = site.good(moment);
            draft.proof_lines = ProofLines::None;
            draft
        };
        credentials.unbound = self
            .issued(&mut session, unproven)
            .await
            .filter(|issued| !issued.is_bound())
            .map(|issued| issued.token);
        credentials.other_audience = self.elsewhere(&site, &mut session, &bound).await;
        credentials.lesser_scope = self.lesser(&site, &mut session).await;
        Ok(credentials)
    }

    /// A good token. Servers that take their token endpoint only as audience of assertions are
    /// asked again with it.
    async fn good(
        &self,
        resource: &str,
        scope: Option<&str>,
    ) -> Result<(Site, Option<Issued>), ProbeError> {
        let mut site = self.asked_site();
        site.resource = Some(resource.to_owned());
        site.scope = scope.map(str::to_owned);
        let mut made = self.first(&site).await?;
        if let Err(attempt) = &made
            && attempt.outcome == Outcome::Refused
            && site.client.key().is_some()
        {
            let endpoint = site.metadata.token_endpoint.without_query().to_owned();
            let own = std::mem::replace(&mut site.audience, endpoint);
            match self.first(&site).await? {
                Ok(issued) => made = Ok(issued),
                Err(_) => site.audience = own,
            }
        }
        let issued = made.map_err(|attempt| refused(&site, &attempt))?;
        if let Ok(mut asked) = self.asked.lock() {
            *asked = Asked {
                resource: site.resource.clone(),
                scope: site.scope.clone(),
                audience: site.audience.clone(),
            };
        }
        Ok((site, issued))
    }

    async fn first(&self, site: &Site) -> Result<Result<Option<Issued>, Box<Attempt>>, ProbeError> {
        let mut session = self.session(site)?;
        Ok(token(&mut session, |moment| site.good(moment)).await)
    }

    /// A token that may not be given.
    async fn issued(
        &self,
        session: &mut Session<'_>,
        draft: impl Fn(&Moment) -> Draft,
    ) -> Option<Issued> {
        token(session, draft).await.ok().flatten()
    }

    /// A token of the same key that has no audience in common with the good one.
    async fn elsewhere(
        &self,
        site: &Site,
        session: &mut Session<'_>,
        bound: &Issued,
    ) -> Option<Secret> {
        let own = bound.audience()?;
        let named = site
            .metadata
            .list("protected_resources")
            .unwrap_or_default();
        let mut tried: Vec<Option<&str>> = Vec::new();
        tried.extend(self.second_resource.as_deref().map(Some));
        tried.extend(named.into_iter().map(Some));
        tried.retain(|resource| *resource != site.resource.as_deref());
        tried.truncate(AUDIENCES);
        tried.push(None);
        for resource in tried {
            let mut there = site.clone();
            there.resource = resource.map(str::to_owned);
            // Scopes belong to resources; the other one may not have these.
            there.scope = None;
            let other = self.issued(session, |moment| there.good(moment)).await;
            if let Some(other) = other
                && let Some(audience) = other.audience()
                && !audience.is_empty()
                && !audience.iter().any(|one| own.contains(one))
            {
                return Some(other.token);
            }
        }
        None
    }

    /// A token with every scope the client may have but those the target needs.
    async fn lesser(&self, site: &Site, session: &mut Session<'_>) -> Option<Secret> {
        let needed: Vec<&str> = site.scope.as_deref()?.split(' ').collect();
        let mut everything = site.clone();
        everything.scope = None;
        let all = self
            .issued(session, |moment| everything.good(moment))
            .await?;
        let granted = all.granted()?;
        let rest: Vec<&str> = granted
            .split(' ')
            .filter(|scope| !scope.is_empty() && !needed.contains(scope))
            .collect();
        if rest.is_empty() {
            return None;
        }
        let mut lesser = site.clone();
        lesser.scope = Some(rest.join(" "));
        let issued = self.issued(session, |moment| lesser.good(moment)).await?;
        let granted = issued.granted()?;
        let has_needed = granted.split(' ').any(|scope| needed.contains(&scope));
        (!has_needed).then_some(issued.token)
    }

    /// The server, asked as the last good token was asked for.
    fn asked_site(&self) -> Site {
        let mut site = self.site.clone();
        if let Ok(asked) = self.asked.lock() {
            site.resource.clone_from(&asked.resource);
            site.scope.clone_from(&asked.scope);
            site.audience.clone_from(&asked.audience);
        }
        site
    }

    fn session<'s>(&self, site: &'s Site) -> Result<Session<'s>, ProbeError> {
        let control = Box::new(|moment: &Moment| site.good(moment));
        Session::new(&self.options, &self.timing, SUCCESS, control, &Silent)
            .map_err(ProbeError::Input)
    }
}

impl Revoker for IssuerAccess {
    fn fresh(&self) -> Pin<Box<dyn Future<Output = Result<Secret, String>> + Send + '_>> {
        Box::pin(async {
            let site = self.asked_site();
            let issued = self.first(&site).await;
            issued
                .map_err(|error| error.to_string())?
                .map_err(|attempt| format!("the issuer gives no token: {}", attempt.got()))?
                .map(|issued| issued.token)
                .ok_or_else(|| "nothing was sent".to_owned())
        })
    }

    fn revoke<'a>(
        &'a self,
        token: &'a Secret,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(async {
            let site = self.asked_site();
            let endpoint = site
                .metadata
                .endpoint("revocation_endpoint")
                .ok_or_else(|| "the issuer's metadata names no revocation endpoint".to_owned())?;
            let mut session = self.session(&site).map_err(|error| error.to_string())?;
            let parameters = [
                ("token", token.expose()),
                ("token_type_hint", "access_token"),
            ];
            let (reply, attempt) = site
                .ask(&mut session, &endpoint, &site.client, &parameters)
                .await;
            match reply {
                Reply::Done(_) => Ok(()),
                Reply::Refused => Err(format!("the issuer does not revoke: {}", attempt.got())),
                Reply::Unsent => Err("nothing was sent".to_owned()),
                Reply::Unclear(reason) => Err(reason),
            }
        })
    }
}

fn refused(site: &Site, attempt: &Attempt) -> ProbeError {
    ProbeError::CredentialsRefused {
        url: site.metadata.token_endpoint.without_query().to_owned(),
        got: attempt.got(),
        next: "check the client, and the resource and scope asked for".to_owned(),
    }
}
