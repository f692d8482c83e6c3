//! Sending upstream: one function, and it wants a [`Permitted`].

use http::{Method, Request, Response, Uri, Version};
use keybound_guard::RequestFacts;
use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;
use keybound_proto::uri::Htu;
use keybound_proto::verify::{HeaderField, Message, Permitted, Presented, Verified};
use tokio::sync::watch;

use super::assertion::{Audience, Target, set_agent, set_identity};
use super::config::IdentityForm;
use super::headers::{set_forwarding, strip_request, strip_response};
use super::metered::Metered;
use super::service::Facts;
use super::stream::{GatewayBody, Permission};
use super::upstream::UpstreamError;
use super::{Inner, Route};
use crate::body::RequestBody;

/// What goes along with a permitted request.
pub(super) struct Passage<'a> {
    pub(super) route: &'a Route,
    pub(super) facts: &'a Facts,
    /// The checked target, on routes that are enforced.
    pub(super) target: Option<&'a Htu>,
    /// Changes of the revocation view since before the check, on routes that are enforced.
    pub(super) changes: Option<watch::Receiver<u64>>,
}

impl Inner {
    /// Forwards a request whose permission is proven. The path and query go as received.
    pub(super) async fn forward(
        &self,
        permitted: Permitted,
        passage: Passage<'_>,
        request: Request<RequestBody>,
    ) -> Result<Response<GatewayBody>, Rejection> {
        let route = passage.route;
        let method = request.method().clone();
        let mut upstream_request = self.prepare(&passage, request);
        let mut permission = None;
        if let Permitted::Agent(agent) = &permitted
            && route.identity != IdentityForm::None
        {
            set_agent(upstream_request.headers_mut(), agent)?;
        }
        if let Permitted::Bound(caller) = &permitted {
            self.identify(caller, &passage, &mut upstream_request)?;
            permission = passage.changes.map(|changes| {
                let view = self.guard.revocations().clone();
                Permission::new(caller, view, changes, self.clock.clone())
            });
        }
        let (response, lease) = route
            .upstream
            .send(upstream_request)
            .await
            .map_err(|error| refusal_of(&error))?;
        let ended = permission.as_mut().and_then(Permission::has_ended);
        if let (Some(cause), Permitted::Bound(caller)) = (ended, &permitted) {
            let place = (route, passage.facts, passage.target);
            return Err(self.refuse_late(caller, cause, &method, place));
        }
        let (mut head, incoming) = response.into_parts();
        strip_response(&mut head.headers);
        head.version = Version::HTTP_11;
        head.extensions.clear();
        Ok(Response::from_parts(
            head,
            GatewayBody::upstream(incoming, lease, permission),
        ))
    }

    /// A refusal after the check: the token was withheld while the upstream made its answer. It
    /// leaves the same event as one that the check itself found.
    fn refuse_late(
        &self,
        caller: &Verified,
        cause: Cause,
        method: &Method,
        (route, facts, target): (&Route, &Facts, Option<&Htu>),
    ) -> Rejection {
        let Some(target) = target else {
            return Rejection::new(cause);
        };
        let presented = Presented {
            method: method.as_str(),
            target,
            authorization: HeaderField::Absent,
            proof: HeaderField::Absent,
            message: Message::default(),
        };
        let peer = facts.peer.map(|peer| peer.to_string());
        let recorded = RequestFacts {
            request_id: Some(facts.request_id()),
            peer: peer.as_deref(),
        };
        self.guard
            .refuse_late(caller, cause, &presented, &route.check, &recorded)
    }

    /// The request for the upstream, without anybody's identity.
    fn prepare(&self, passage: &Passage<'_>, request: Request<RequestBody>) -> Request<Metered> {
        let (mut head, body) = request.into_parts();
        strip_request(
            &mut head.headers,
            passage.route.forward_credentials,
            &self.identity_fields,
        );
        let authority = &passage.route.upstream.authority;
        set_forwarding(
            &mut head.headers,
            &self.public,
            authority,
            passage.facts.peer,
        );
        let mut upstream_request = Request::new(Metered::new(body));
        *upstream_request.method_mut() = head.method;
        if let Some(target) = head.uri.path_and_query() {
            *upstream_request.uri_mut() = Uri::from(target.clone());
        }
        *upstream_request.headers_mut() = head.headers;
        upstream_request
    }

    fn identify(
        &self,
        caller: &Verified,
        passage: &Passage<'_>,
        request: &mut Request<Metered>,
    ) -> Result<(), Rejection> {
        let route = passage.route;
        let audience = Audience {
            origin: &route.upstream_origin,
            number: route.upstream_number,
        };
        let method = request.method().clone();
        let htu = passage.target.map_or("", Htu::as_str);
        let target = Target {
            method: method.as_str(),
            htu,
        };
        let assertions = self.assertions.as_ref();
        let headers = request.headers_mut();
        set_identity(
            headers,
            route.identity,
            assertions,
            caller,
            (audience, target),
        )
        .map_err(|error| {
            tracing::error!(%error, "cannot tell the upstream who calls");
            Rejection::new(Cause::KeysUnavailable).got("the gateway's assertion key")
        })
    }
}

/// What the client is told when there is no answer to forward.
fn refusal_of(error: &UpstreamError) -> Rejection {
    let cause = match error {
        UpstreamError::ConnectTimeout | UpstreamError::HeadTimeout => Cause::UpstreamTimeout,
        UpstreamError::Connect(_) | UpstreamError::Exchange(_) | UpstreamError::UnaskedUpgrade => {
            Cause::UpstreamUnreachable
        }
        UpstreamError::RequestBody(body) => return body.rejection(),
    };
    Rejection::new(cause).got(error.to_string())
}
