//! From cause to wire: the one place that knows status codes and error codes.
//!
//! tower, axum, the gateway and the issuer all answer through [`answer`], so the
//! same refusal looks the same everywhere. A caller learns the standard error, a
//! fixed text and the request id (RFC 9449 sections 5, 7.1, 8, 9; RFC 6750
//! section 3; RFC 6749 section 5.2). Which check failed is said only where an
//! operator set [`ErrorDetail::Full`].
//!
//! This module sends nothing.

use crate::binding::{BindingMethod, BindingMethods};
use crate::cause::Cause;
use crate::jose::AlgorithmSet;
use crate::json_text::ObjectText;
use crate::rejection::Rejection;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An authorization server's endpoint: 400 and 401 with a JSON error.
    AuthorizationServer,
    /// A resource server: 401 with a challenge.
    ResourceServer,
}

/// How much a refusal explains to the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorDetail {
    /// Cause id, expected and got as well. For development only.
    Full,
    /// The standard error and a fixed text.
    #[default]
    Minimal,
}

/// What an answer says beside the refusal.
#[derive(Clone, Copy, Debug)]
pub struct AnswerContext<'a> {
    /// Who answers.
    pub role: Role,
    /// How tokens may be bound here: the scheme of the challenge.
    pub methods: BindingMethods,
    /// Proof algorithms taken here: `algs` of the challenge.
    pub algorithms: AlgorithmSet,
    /// URL of the resource's metadata (RFC 9728 section 5.1), for the challenge.
    pub resource_metadata: Option<&'a str>,
    /// Scopes the request needs, for `insufficient_scope`.
    pub scope: Option<&'a str>,
    /// A fresh nonce to offer. Given where nonces are required; always for a nonce challenge.
    pub nonce: Option<&'a str>,
    /// The id under which logs and events know the request.
    pub request_id: &'a str,
    /// How much to explain.
    pub detail: ErrorDetail,
}

/// An HTTP answer, not yet in any framework's terms. The body is JSON; answers are
/// never to be cached (`Cache-Control: no-store`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// `WWW-Authenticate`, for 401 and insufficient scope.
    pub challenge: Option<String>,
    /// `DPoP-Nonce`.
    pub dpop_nonce: Option<String>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u32>,
    /// The body's media type: `application/json`, or `application/problem+json` (RFC 9457).
    pub content_type: &'static str,
    /// The JSON body.
    pub body: String,
}

/// Turns a refusal into an HTTP answer.
#[must_use]
pub fn answer(rejection: &Rejection, context: &AnswerContext<'_>) -> Answer {
    let kind = kind(rejection.cause(), context.role);
    let (status, error) = kind.status_and_error(context.role);
    Answer {
        status,
        challenge: challenge(kind, error, context),
        dpop_nonce: context.nonce.map(str::to_owned),
        retry_after: kind.retry_after(),
        content_type: kind.content_type(),
        body: body(rejection, kind, error, context),
    }
}

/// The error code a cause becomes at a resource server or authorization server, for
/// documentation and tests: status and `error`.
#[must_use]
pub fn status_and_error(cause: Cause, role: Role) -> (u16, &'static str) {
    kind(cause, role).status_and_error(role)
}

/// The groups of wire behaviour.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// No credentials: a challenge without an error (RFC 6750 section 3.1).
    Challenge,
    GrantNotSupported,
    InsufficientScope,
    InvalidAuthorizationDetails,
    InvalidClient,
    InvalidClientMetadata,
    InvalidGrant,
    InvalidProof,
    InvalidRequest,
    InvalidRequestUri,
    InvalidScope,
    /// An HTTP message signature is missing or not acceptable.
    InvalidSignature,
    InvalidTarget,
    InvalidToken,
    /// Plain HTTP: status, error word.
    Plain(u16, &'static str),
    TooMany,
    Unauthorized,
    Unavailable,
    UnsupportedResponseType,
    UseNonce,
    /// A workload's credentials: 400, a problem document (RFC 9457), no challenge.
    WorkloadProblem,
}

/// Every cause, by name: a new one does not compile until somebody decides what it says.
#[expect(
    clippy::too_many_lines,
    reason = "one exhaustive match over the registry"
)]
fn kind(cause: Cause, role: Role) -> Kind {
    match cause {
        Cause::AuthorizationAbsent => Kind::Challenge,
        Cause::AuthorizationMalformed | Cause::AuthorizationMultiple | Cause::ParameterInvalid => {
            Kind::InvalidRequest
        }
        Cause::ClientBindingRequired
        | Cause::DpopAbsent
        | Cause::DpopAlgUnacceptable
        | Cause::DpopAthAbsent
        | Cause::DpopAthMismatch
        | Cause::DpopCritical
        | Cause::DpopHtmInvalid
        | Cause::DpopHtmMismatch
        | Cause::DpopHtuInvalid
        | Cause::DpopHtuMismatch
        | Cause::DpopIatFuture
        | Cause::DpopIatInvalid
        | Cause::DpopIatPast
        | Cause::DpopJtiInvalid
        | Cause::DpopJwkAbsent
        | Cause::DpopJwkInvalid
        | Cause::DpopJwkMismatch
        | Cause::DpopJwkPrivate
        | Cause::DpopMalformed
        | Cause::DpopMultiple
        | Cause::DpopNonceInvalid
        | Cause::DpopReplayed
        | Cause::DpopSignatureInvalid
        | Cause::DpopSize
        | Cause::DpopTyp => Kind::InvalidProof,
        Cause::DpopNonceAbsent | Cause::DpopNonceStale | Cause::ReplayEpoch => Kind::UseNonce,
        // A resource server does not tell a lock from a bad token; an authorization
        // server, which was given none, refuses the client (RFC 6749 section 5.2).
        Cause::IdentityLocked | Cause::KeyLocked => match role {
            Role::AuthorizationServer => Kind::Unauthorized,
            Role::ResourceServer => Kind::InvalidToken,
        },
        // A certificate authenticates a client (RFC 8705 section 2) or confirms a token (section 3).
        Cause::CertificateAbsent
        | Cause::CertificateExpired
        | Cause::CertificateInvalid
        | Cause::CertificateMismatch
        | Cause::CertificateNotYetValid
        | Cause::CertificatePurpose
        | Cause::CertificateRevoked
        | Cause::CertificateStatusUnknown
        | Cause::CertificateSubject
        | Cause::CertificateUnregistered
        | Cause::CertificateUntrusted => match role {
            Role::AuthorizationServer => Kind::InvalidClient,
            Role::ResourceServer => Kind::InvalidToken,
        },
        Cause::HttpsigAbsent
        | Cause::HttpsigAlgorithm
        | Cause::HttpsigComponent
        | Cause::HttpsigCoverage
        | Cause::HttpsigCreatedFuture
        | Cause::HttpsigCreatedPast
        | Cause::HttpsigExpired
        | Cause::HttpsigKey
        | Cause::HttpsigKeyUnknown
        | Cause::HttpsigLifetime
        | Cause::HttpsigMalformed
        | Cause::HttpsigMultiple
        | Cause::HttpsigParameter
        | Cause::HttpsigReplayed
        | Cause::HttpsigSignatureInvalid
        | Cause::HttpsigSize => Kind::InvalidSignature,
        Cause::DigestAbsent
        | Cause::DigestAlgorithm
        | Cause::DigestMalformed
        | Cause::DigestMismatch => Kind::InvalidRequest,
        Cause::TokenAlgUnacceptable
        | Cause::TokenAudienceMismatch
        | Cause::TokenClaimInvalid
        | Cause::TokenCnfInvalid
        | Cause::TokenCnfUnsupported
        | Cause::TokenCritical
        | Cause::TokenExpired
        | Cause::TokenInactive
        | Cause::TokenIssuerUnknown
        | Cause::TokenKeyMismatch
        | Cause::TokenKeyUnknown
        | Cause::TokenMalformed
        | Cause::TokenMethodMismatch
        | Cause::TokenMethodRefused
        | Cause::TokenNotYetValid
        | Cause::TokenRevoked
        | Cause::TokenSchemeDowngrade
        | Cause::TokenSignatureInvalid
        | Cause::TokenSize
        | Cause::TokenStatusInvalid
        | Cause::TokenStatusSuspended
        | Cause::TokenStatusUnknown
        | Cause::TokenTyp
        | Cause::TokenUnbound => Kind::InvalidToken,
        Cause::JwtSvidAudience
        | Cause::JwtSvidClaim
        | Cause::JwtSvidHeader
        | Cause::JwtSvidMalformed
        | Cause::JwtSvidSignature
        | Cause::JwtSvidTime
        | Cause::SpiffeTrustDomain
        | Cause::X509SvidChain
        | Cause::X509SvidId
        | Cause::X509SvidUsage => match role {
            Role::AuthorizationServer => Kind::InvalidClient,
            Role::ResourceServer => Kind::WorkloadProblem,
        },
        Cause::WorkloadResponseUnsigned => Kind::Plain(501, "not_implemented"),
        Cause::WorkloadResponseNonce
        | Cause::WorkloadSignatureAudience
        | Cause::WitAbsent
        | Cause::WitAlgUnacceptable
        | Cause::WitClaimInvalid
        | Cause::WitConfirmationInvalid
        | Cause::WitCritical
        | Cause::WitExpired
        | Cause::WitIssuerRefused
        | Cause::WitKeyUnknown
        | Cause::WitLifetime
        | Cause::WitMalformed
        | Cause::WitMultiple
        | Cause::WitNotYetValid
        | Cause::WitSignatureInvalid
        | Cause::WitSize
        | Cause::WitSubjectInvalid
        | Cause::WitTrustDomainUnknown
        | Cause::WitTyp
        | Cause::WptAbsent
        | Cause::WptAlgUnacceptable
        | Cause::WptAlgMismatch
        | Cause::WptAth
        | Cause::WptAudience
        | Cause::WptClaimInvalid
        | Cause::WptCritical
        | Cause::WptExpired
        | Cause::WptLifetime
        | Cause::WptMalformed
        | Cause::WptMultiple
        | Cause::WptNotYetValid
        | Cause::WptOth
        | Cause::WptReplayed
        | Cause::WptSignatureInvalid
        | Cause::WptSize
        | Cause::WptTth
        | Cause::WptTyp
        | Cause::WptWth => Kind::WorkloadProblem,
        Cause::WorkloadIdentityRefused => Kind::Plain(403, "access_denied"),
        Cause::ScopeInsufficient => Kind::InsufficientScope,
        Cause::IntrospectionBusy
        | Cause::IntrospectionInvalid
        | Cause::IntrospectionUnavailable
        | Cause::IssuerClock
        | Cause::KeysUnavailable
        | Cause::ReplayFull
        | Cause::ReplayUnavailable
        | Cause::RevocationStale
        | Cause::StatusListInvalid
        | Cause::StatusListUnavailable
        | Cause::StoreUnavailable
        | Cause::HttpsigEpoch
        | Cause::WptEpoch => Kind::Unavailable,
        Cause::IntrospectionFlood | Cause::ReplayFlood => Kind::TooMany,
        Cause::AssertionAudience
        | Cause::AssertionClaim
        | Cause::AssertionExpired
        | Cause::AssertionMalformed
        | Cause::AssertionNotYetValid
        | Cause::AssertionReplayed
        | Cause::AssertionSignature
        | Cause::ClientAuthenticationAbsent
        | Cause::ClientAuthenticationMethod
        | Cause::ClientSecretMismatch
        | Cause::ClientUnknown => Kind::InvalidClient,
        Cause::ClientAuthenticationMultiple
        | Cause::ClientCertificateRequired
        | Cause::ExchangeActorToken
        | Cause::ExchangeBinding
        | Cause::ExchangeDelegationRefused
        | Cause::ExchangeDepth
        | Cause::ExchangeSubjectToken
        | Cause::ExchangeSubjectUnproven => Kind::InvalidRequest,
        Cause::ClientGrantRefused => Kind::Unauthorized,
        Cause::AuthorizationDetails => Kind::InvalidAuthorizationDetails,
        Cause::AuthorizationKey => Kind::InvalidProof,
        Cause::AuthorizationRedirect => Kind::InvalidRequest,
        Cause::AuthorizationRequestUri => Kind::InvalidRequestUri,
        Cause::AuthorizationResponseType => Kind::UnsupportedResponseType,
        Cause::GrantInvalid
        | Cause::GrantKeyMismatch
        | Cause::GrantReused
        | Cause::GrantVerifier => Kind::InvalidGrant,
        Cause::GrantUnsupported => Kind::GrantNotSupported,
        Cause::ResourceInvalid => Kind::InvalidTarget,
        Cause::ScopeInvalid => Kind::InvalidScope,
        Cause::RegistrationMetadata => Kind::InvalidClientMetadata,
        Cause::RegistrationTokenInvalid => Kind::InvalidToken,
        Cause::RegistrationClosed => Kind::Plain(403, "access_denied"),
        Cause::BodyTimeout => Kind::Plain(408, "request_timeout"),
        Cause::BodyTooLarge => Kind::Plain(413, "content_too_large"),
        Cause::CertificateHeaderInvalid
        | Cause::ConnectionHeader
        | Cause::Framing
        | Cause::TargetAmbiguous
        | Cause::UpgradeRefused => Kind::InvalidRequest,
        Cause::HeaderTooLarge => Kind::Plain(431, "request_header_fields_too_large"),
        Cause::HostMisdirected => Kind::Plain(421, "misdirected_request"),
        Cause::MethodNotAllowed => Kind::Plain(405, "method_not_allowed"),
        Cause::OriginForeign => Kind::Plain(403, "access_denied"),
        Cause::RouteUnknown => Kind::Plain(404, "not_found"),
        Cause::TargetTooLong => Kind::Plain(414, "uri_too_long"),
        Cause::UpstreamTimeout => Kind::Plain(504, "gateway_timeout"),
        Cause::UpstreamUnreachable => Kind::Plain(502, "bad_gateway"),
    }
}

impl Kind {
    const fn status_and_error(self, role: Role) -> (u16, &'static str) {
        let resource_server = matches!(role, Role::ResourceServer);
        match self {
            Self::Challenge => (401, "unauthorized"),
            Self::GrantNotSupported => (400, "unsupported_grant_type"),
            Self::InsufficientScope => (403, "insufficient_scope"),
            Self::InvalidAuthorizationDetails => (400, "invalid_authorization_details"),
            Self::InvalidClient => (401, "invalid_client"),
            Self::InvalidClientMetadata => (400, "invalid_client_metadata"),
            Self::InvalidGrant => (400, "invalid_grant"),
            Self::InvalidProof => (
                if resource_server { 401 } else { 400 },
                "invalid_dpop_proof",
            ),
            Self::InvalidRequest => (400, "invalid_request"),
            Self::InvalidRequestUri => (400, "invalid_request_uri"),
            Self::InvalidScope => (400, "invalid_scope"),
            Self::InvalidSignature if resource_server => (401, "invalid_token"),
            Self::InvalidSignature => (400, "invalid_request"),
            Self::InvalidTarget => (400, "invalid_target"),
            Self::InvalidToken => (401, "invalid_token"),
            Self::Plain(status, error) => (status, error),
            Self::TooMany => (429, "slow_down"),
            Self::Unauthorized => (400, "unauthorized_client"),
            Self::Unavailable => (503, "temporarily_unavailable"),
            Self::UnsupportedResponseType => (400, "unsupported_response_type"),
            Self::UseNonce => (if resource_server { 401 } else { 400 }, "use_dpop_nonce"),
            Self::WorkloadProblem => (400, "invalid_request"),
        }
    }

    /// Fixed texts: they say what the standard error already says, never which check failed.
    const fn text(self) -> &'static str {
        match self {
            Self::Challenge => "a bound access token and proof of its key are required",
            Self::GrantNotSupported => "the grant type is not supported",
            Self::InsufficientScope => "the access token lacks a scope",
            Self::InvalidAuthorizationDetails => "the authorization details are not acceptable",
            Self::InvalidClient => "client authentication failed",
            Self::InvalidClientMetadata => "the client metadata is not acceptable",
            Self::InvalidGrant => "the grant is not acceptable",
            Self::InvalidProof => "the DPoP proof is missing or not acceptable",
            Self::InvalidRequest => "the request is malformed",
            Self::InvalidRequestUri => "the request URI is not acceptable",
            Self::InvalidScope => "the scope is not acceptable",
            Self::InvalidSignature => "the HTTP signature is missing or not acceptable",
            Self::InvalidTarget => "the resource is not acceptable",
            Self::InvalidToken => "the access token is not acceptable",
            Self::Plain(..) => "the request cannot be served",
            Self::TooMany => "too many requests",
            Self::Unauthorized => "the client may not do this",
            Self::Unavailable => "temporarily unable to check the request",
            Self::UnsupportedResponseType => "the response type is not supported",
            Self::UseNonce => "a server nonce is required in the DPoP proof",
            Self::WorkloadProblem => "the workload's credentials are not acceptable",
        }
    }

    const fn content_type(self) -> &'static str {
        if matches!(self, Self::WorkloadProblem) {
            "application/problem+json"
        } else {
            "application/json"
        }
    }

    const fn retry_after(self) -> Option<u32> {
        match self {
            Self::TooMany | Self::Unavailable => Some(1),
            Self::Challenge
            | Self::GrantNotSupported
            | Self::InsufficientScope
            | Self::InvalidAuthorizationDetails
            | Self::InvalidClient
            | Self::InvalidClientMetadata
            | Self::InvalidGrant
            | Self::InvalidProof
            | Self::InvalidRequest
            | Self::InvalidRequestUri
            | Self::InvalidScope
            | Self::InvalidSignature
            | Self::InvalidTarget
            | Self::InvalidToken
            | Self::Plain(..)
            | Self::Unauthorized
            | Self::UnsupportedResponseType
            | Self::UseNonce
            | Self::WorkloadProblem => None,
        }
    }
}

/// RFC 9449 section 7.1: scheme `DPoP` with `error` and `algs`, on routes that take it; RFC 9728 section 5.1 adds
/// `resource_metadata`. An authorization server challenges for client authentication
/// (RFC 6749 section 5.2) and for the initial access token of registration.
fn challenge(kind: Kind, error: &str, context: &AnswerContext<'_>) -> Option<String> {
    match (context.role, kind) {
        (Role::AuthorizationServer, Kind::InvalidClient) => {
            Some("Basic realm=\"issuer\"".to_owned())
        }
        (Role::AuthorizationServer, Kind::InvalidToken) => Some(format!(
            "Bearer error=\"{error}\", error_description=\"{}\"",
            kind.text()
        )),
        (
            Role::ResourceServer,
            Kind::Challenge
            | Kind::InsufficientScope
            | Kind::InvalidProof
            | Kind::InvalidSignature
            | Kind::InvalidToken
            | Kind::UseNonce,
        ) => Some(token_challenge(kind, error, context)),
        (Role::AuthorizationServer | Role::ResourceServer, _) => None,
    }
}

/// The scheme in which a token would be taken: RFC 9449's wherever it is, as most clients know it.
/// A token bound by certificate alone comes as `Bearer` (RFC 8705 section 3).
const fn scheme(methods: BindingMethods) -> &'static str {
    if methods.contains(BindingMethod::Dpop) {
        "DPoP"
    } else if methods.contains(BindingMethod::HttpSignature) {
        "HTTPSig"
    } else if methods.contains(BindingMethod::Mtls) {
        "Bearer"
    } else {
        "DPoP"
    }
}

fn token_challenge(kind: Kind, error: &str, context: &AnswerContext<'_>) -> String {
    let scheme = scheme(context.methods);
    let mut challenge = format!("{scheme} ");
    let mut parameter = |name: &str, value: &str| {
        if !challenge.ends_with(' ') {
            challenge.push_str(", ");
        }
        challenge.push_str(name);
        challenge.push_str("=\"");
        challenge.extend(
            value
                .chars()
                .filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\')),
        );
        challenge.push('"');
    };
    if kind != Kind::Challenge {
        parameter("error", error);
        parameter("error_description", kind.text());
    }
    if let (Kind::InsufficientScope, Some(scope)) = (kind, context.scope) {
        parameter("scope", scope);
    }
    if scheme == "DPoP" {
        parameter("algs", &context.algorithms.to_string());
    }
    if let Some(url) = context.resource_metadata {
        parameter("resource_metadata", url);
    }
    challenge
}

/// RFC 9457 section 3.1; the members of an OAuth error stand beside its own, so that a reader of
/// either finds what it knows.
fn problem(kind: Kind, error: &str, context: &AnswerContext<'_>) -> ObjectText {
    let (status, _) = kind.status_and_error(context.role);
    ObjectText::new()
        .string("type", "about:blank")
        .string("title", "Bad Request")
        .unsigned("status", status.into())
        .string("detail", kind.text())
        .string("error", error)
        .string("request_id", context.request_id)
}

fn body(rejection: &Rejection, kind: Kind, error: &str, context: &AnswerContext<'_>) -> String {
    let text = if kind == Kind::WorkloadProblem {
        problem(kind, error, context)
    } else {
        ObjectText::new()
            .string("error", error)
            .string("error_description", kind.text())
            .string("request_id", context.request_id)
    };
    if context.detail == ErrorDetail::Minimal {
        return text.finish();
    }
    let cause = rejection.cause();
    let detail = rejection.detail();
    let skew = detail.clock_skew.map(|seconds| seconds.to_string());
    text.string("cause", cause.id())
        .string("summary", cause.summary())
        .string("next_step", cause.next_step())
        .optional_string("expected", detail.expected.as_deref())
        .optional_string("got", detail.got.as_deref())
        .optional_string("clock_skew", skew.as_deref())
        .finish()
}
