//! Why a holder could not get a token or send a request. One variant per
//! cause, each with what to do next. Nothing here carries a token, a proof or
//! a secret; texts from servers are cut and reduced to printable ASCII.
//! Answers of a resource server are not errors: see [`crate::Response`].

use std::time::Duration;

/// Why the holder stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HolderError {
    /// A part of the request that its signature must cover is not ASCII text.
    #[error("`{component}` of the request cannot be signed; send ASCII on one line")]
    Uncoverable {
        /// The component's name.
        component: String,
    },
    /// The key's algorithm is not among those the issuer takes for proofs.
    #[error(
        "the issuer takes proofs signed with {supported}, the key signs with {algorithm}; \
         make a key for one of these algorithms"
    )]
    AlgorithmUnsupported {
        /// The key's algorithm.
        algorithm: &'static str,
        /// What `dpop_signing_alg_values_supported` says.
        supported: String,
    },
    /// No random numbers.
    #[error("the cryptographic backend gave no random numbers")]
    Backend,
    /// Metadata names an endpoint that credentials must not be sent to.
    #[error(
        "the metadata of `{issuer}` names the endpoint `{endpoint}`, which is neither on the \
         issuer's own origin nor protected by https like the issuer; correct the issuer's metadata"
    )]
    EndpointRefused {
        /// The issuer asked.
        issuer: String,
        /// The endpoint as the metadata has it.
        endpoint: String,
    },
    /// A URL that would carry credentials over the network in clear.
    #[error("`{url}` is neither https nor on this machine, use https")]
    InsecureUrl {
        /// The URL without its query.
        url: String,
    },
    /// The single flight ended without a result, as when the runtime stops.
    #[error("getting a token was interrupted, try again")]
    Interrupted,
    /// Metadata speaks for another issuer (RFC 8414 section 3.3).
    #[error(
        "the metadata at `{url}` is of the issuer `{got}`, expected exactly `{expected}`; \
         configure the issuer as its metadata spells it, if that is the one you trust"
    )]
    IssuerMismatch {
        /// Where the metadata came from.
        url: String,
        /// The configured issuer.
        expected: String,
        /// What the metadata says.
        got: String,
    },
    /// An issuer identifier that cannot be one (RFC 8414 section 2).
    #[error("the issuer `{issuer}` must be an https URL (or http on this machine) without a query")]
    IssuerUnusable {
        /// The configured issuer.
        issuer: String,
    },
    /// No metadata document at any of the well-known places.
    #[error("`{origin}` publishes no metadata at {tried}; check the URL")]
    MetadataMissing {
        /// The server asked.
        origin: String,
        /// The URLs tried.
        tried: String,
    },
    /// The server asked for a nonce again after it had been given its own.
    #[error("`{url}` refused the nonce it had just given; its nodes may not share a nonce secret")]
    NonceLoop {
        /// The token endpoint.
        url: String,
    },
    /// The token would not have been bound; it was dropped.
    #[error(
        "the issuer answered with a token of type `{token_type}` instead of `DPoP`, which anybody \
         could use, and it was dropped; set `dpop_bound_access_tokens` for this client at the issuer"
    )]
    NotBound {
        /// The `token_type` of the answer.
        token_type: String,
    },
    /// A redirect, which is never followed with credentials.
    #[error("`{url}` redirects to {target}; redirects are not followed, use the final URL")]
    Redirected {
        /// The URL asked.
        url: String,
        /// The origin named, if it can be told.
        target: String,
    },
    /// Issuer or registration endpoint said no.
    #[error("`{url}` refused with status {status}: {error}{description}")]
    Refused {
        /// The endpoint.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The OAuth error code, or `no error code`.
        error: String,
        /// `, ` and the server's description, or nothing.
        description: String,
    },
    /// The caller set a field that only the holder may set.
    #[error("the field `{name}` is set by the holder, remove it from the request")]
    ReservedHeader {
        /// The field's name.
        name: &'static str,
    },
    /// An answer that cannot be used.
    #[error("`{url}` gave an unusable answer: {reason}")]
    ResponseInvalid {
        /// The URL asked.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The document speaks for another resource (RFC 9728 section 3.3).
    #[error("the metadata at `{url}` is of the resource `{got}`, which is not `{expected}`")]
    ResourceMismatch {
        /// Where the metadata came from.
        url: String,
        /// The resource asked about.
        expected: String,
        /// What the metadata says.
        got: String,
    },
    /// The key cannot sign now.
    #[error("the key could not sign")]
    Signing {
        /// The signer's reason.
        #[source]
        source: keybound_proto::jose::SignError,
    },
    /// The server answered that it cannot serve now (429 or 5xx).
    #[error("`{url}` cannot serve now (status {status}), try again later")]
    Unavailable {
        /// The URL asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
    /// No answer at all.
    #[error("no answer from `{url}`")]
    Unreachable {
        /// The URL asked.
        url: String,
        /// What happened.
        #[source]
        source: Failure,
    },
    /// The HTTP library would send another URL than the one written.
    #[error(
        "`{url}` would not be sent as it is written (dot segments or an unusual host), \
         write it in its normal form"
    )]
    UrlRewritten {
        /// The URL without its query.
        url: String,
    },
}

impl HolderError {
    /// Whether the same call may succeed later without any change.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Interrupted | Self::Unavailable { .. } | Self::Unreachable { .. }
        )
    }

    /// How long the server asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// How an exchange failed before a whole answer had arrived.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No connection: nobody listens, the name is unknown, TLS failed.
    #[error("no connection: {0}")]
    Connect(String),
    /// The exchange broke off.
    #[error("{0}")]
    Exchange(String),
    /// Nothing came in time.
    #[error("no answer in time")]
    Timeout,
}

/// A server's own words, fit for an error message.
pub(crate) fn printable(text: &str) -> String {
    const LONGEST: usize = 200;
    text.chars()
        .take(LONGEST)
        .map(|c| if (' '..='~').contains(&c) { c } else { '?' })
        .collect()
}
