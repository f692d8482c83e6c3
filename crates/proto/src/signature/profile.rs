//! Policies that other documents define on top of RFC 9421.
//!
//! Each function gives [`SignatureRules`]; what only the profile's own
//! credentials can say (the key, an audience, a nonce of a request) is checked
//! by whoever knows them.

use super::algorithm::SignatureAlgorithms;
use super::rules::{Cover, InlineKeySource, Select, SignatureRules};
use crate::dpop::ProofWindow;

/// The authorization scheme of draft-richer-oauth-httpsig-03 section 6, compared without regard
/// to case.
pub const HTTPSIG_SCHEME: &str = "HTTPSig";

/// The `token_type` of that draft.
pub const HTTPSIG_TOKEN_TYPE: &str = "httpsig";

/// The tag of a signature that presents a token.
pub const PRESENTATION_TAG: &str = "httpsig-oauth";

/// The tag of a signature that asks for a token.
pub const TOKEN_REQUEST_TAG: &str = "httpsig-oauth-token-request";

/// Presenting a token under the scheme `HTTPSig` (draft-richer-oauth-httpsig-03 sections 6
/// and 7): method, URL and token covered, the digest too where there is one, `created` and
/// `nonce`, and no parameter that names a key, because the token does.
///
/// Where the token names its key by thumbprint only (`cnf.jkt`), the key comes in
/// `Signature-Key`, which is covered. The draft does not have this; see `docs/spec/choices.md`.
///
/// ```
/// use keybound_proto::signature::{HttpSignature, SignatureAlgorithms, SignedRequest, profile};
/// use keybound_proto::{Rejection, dpop::ProofWindow, jose::PublicKey, time::UnixTime};
///
/// fn check(request: SignedRequest<'_>, key: &PublicKey, now: UnixTime) -> Result<(), Rejection> {
///     let rules = profile::presentation(ProofWindow::default(), SignatureAlgorithms::CURVES);
///     let signature = HttpSignature::read(&rules, request, now)?;
///     // Here a caller compares the nonce's record, and keeps the digest for the body.
///     signature.verify(key).map(|_| ())
/// }
/// ```
#[must_use]
pub const fn presentation(
    window: ProofWindow,
    algorithms: SignatureAlgorithms,
) -> SignatureRules<'static> {
    SignatureRules {
        select: Select::Tag(PRESENTATION_TAG),
        cover: const {
            &[
                Cover::always("@method"),
                Cover::always("@target-uri"),
                Cover::always("authorization"),
                Cover::if_present("content-digest"),
            ]
        },
        require: &["created", "nonce"],
        forbid: &["alg", "keyid", "pub"],
        window,
        max_lifetime: None,
        algorithms,
        inline_key: InlineKeySource::SignatureKey,
        max_bytes: 8192,
    }
}

/// How a client says which key a token shall be bound to (draft-richer-oauth-httpsig-03
/// section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyIntroduction {
    /// `keyid` names a registered key.
    Preregistered,
    /// `alg` and `pub` bring the key.
    Runtime,
}

/// Asking for a token (draft-richer-oauth-httpsig-03 section 3.3): method, URL and digest covered,
/// the client's authentication too, and the key named in one of two ways.
#[must_use]
pub const fn token_request(
    introduction: KeyIntroduction,
    window: ProofWindow,
    algorithms: SignatureAlgorithms,
) -> SignatureRules<'static> {
    let (require, forbid, inline_key): (&[&str], &[&str], _) = match introduction {
        KeyIntroduction::Preregistered => (
            &["created", "nonce", "keyid"],
            &["alg", "pub"],
            InlineKeySource::None,
        ),
        KeyIntroduction::Runtime => (
            &["created", "nonce", "alg", "pub"],
            &["keyid"],
            InlineKeySource::Parameters,
        ),
    };
    SignatureRules {
        select: Select::Tag(TOKEN_REQUEST_TAG),
        cover: const {
            &[
                Cover::always("@method"),
                Cover::always("@target-uri"),
                Cover::always("content-digest"),
                Cover::if_present("authorization"),
            ]
        },
        require,
        forbid,
        window,
        max_lifetime: None,
        algorithms,
        inline_key,
        max_bytes: 8192,
    }
}

/// Requests of FAPI 2.0 HTTP Signatures (draft): method, URL and token covered, the DPoP proof
/// and the digest where they are there. `has_content` asks for a digest.
#[must_use]
pub const fn fapi_request(
    has_content: bool,
    window: ProofWindow,
    algorithms: SignatureAlgorithms,
) -> SignatureRules<'static> {
    let cover: &[Cover<'_>] = if has_content {
        const {
            &[
                Cover::always("@method"),
                Cover::always("@target-uri"),
                Cover::always("authorization"),
                Cover::if_present("dpop"),
                Cover::always("content-digest"),
            ]
        }
    } else {
        const {
            &[
                Cover::always("@method"),
                Cover::always("@target-uri"),
                Cover::always("authorization"),
                Cover::if_present("dpop"),
                Cover::if_present("content-digest"),
            ]
        }
    };
    SignatureRules {
        select: Select::Tag("fapi-2-request"),
        cover,
        require: &["created"],
        forbid: &[],
        window,
        max_lifetime: None,
        algorithms,
        inline_key: InlineKeySource::None,
        max_bytes: 8192,
    }
}

/// Responses of FAPI 2.0 HTTP Signatures (draft): status and digest, and of the request method,
/// URL, digest and signature.
#[must_use]
pub const fn fapi_response(
    window: ProofWindow,
    algorithms: SignatureAlgorithms,
) -> SignatureRules<'static> {
    SignatureRules {
        select: Select::Tag("fapi-2-response"),
        cover: const {
            &[
                Cover::always("@status"),
                Cover::if_present("content-digest"),
                Cover::always("@method").of_request(),
                Cover::always("@target-uri").of_request(),
                Cover::if_present("content-digest").of_request(),
                Cover::if_present("signature").of_request(),
                Cover::if_present("signature-input").of_request(),
            ]
        },
        require: &["created"],
        forbid: &[],
        window,
        max_lifetime: None,
        algorithms,
        inline_key: InlineKeySource::None,
        max_bytes: 8192,
    }
}

/// The tag of WIMSE signatures, on requests and responses.
pub const WIMSE_TAG: &str = "wimse-workload-to-workload";

/// Requests of the WIMSE HTTP signature profile (draft-ietf-wimse-http-signature): method,
/// request target and identity token covered, and where they are there content type, digest,
/// access token and transaction token; `created`, `expires`, `nonce`, `wimse-aud`.
///
/// The caller compares `wimse-aud` with its own URL ([`super::HttpSignature::text_parameter`]),
/// and answers `wimse-sign-response` ([`super::HttpSignature::flag_parameter`]).
#[must_use]
pub const fn wimse_request(
    window: ProofWindow,
    max_lifetime: u64,
    algorithms: SignatureAlgorithms,
) -> SignatureRules<'static> {
    SignatureRules {
        cover: const {
            &[
                Cover::always("@method"),
                Cover::always("@request-target"),
                Cover::always("workload-identity-token"),
                Cover::if_present("content-type"),
                Cover::if_present("content-digest"),
                Cover::if_present("authorization"),
                Cover::if_present("txn-token"),
            ]
        },
        require: &["created", "expires", "nonce", "wimse-aud"],
        ..wimse(window, max_lifetime, algorithms)
    }
}

/// Responses of the same profile: status, the request's method and target, identity token, and
/// where they are there content type and digest; `wimse-req-nonce`, which the caller compares
/// with the nonce it sent.
#[must_use]
pub const fn wimse_response(
    window: ProofWindow,
    max_lifetime: u64,
    algorithms: SignatureAlgorithms,
) -> SignatureRules<'static> {
    SignatureRules {
        cover: const {
            &[
                Cover::always("@status"),
                Cover::always("@method").of_request(),
                Cover::always("@request-target").of_request(),
                Cover::always("workload-identity-token"),
                Cover::if_present("content-type"),
                Cover::if_present("content-digest"),
            ]
        },
        require: &["created", "expires", "nonce", "wimse-req-nonce"],
        ..wimse(window, max_lifetime, algorithms)
    }
}

/// What both directions have in common. Not enough on its own: it covers nothing.
const fn wimse(
    window: ProofWindow,
    max_lifetime: u64,
    algorithms: SignatureAlgorithms,
) -> SignatureRules<'static> {
    SignatureRules {
        select: Select::Tag(WIMSE_TAG),
        cover: &[],
        require: &[],
        forbid: &["alg", "keyid"],
        window,
        max_lifetime: Some(max_lifetime),
        algorithms,
        inline_key: InlineKeySource::None,
        max_bytes: 8192,
    }
}
