//! Client authentication (RFC 6749 section 2.3): which method a request uses,
//! and whether it succeeds.
//!
//! One method per request: `client_secret_basic` (RFC 6749 section 2.3.1),
//! `private_key_jwt` (RFC 7523 section 2.2), or `tls_client_auth` and
//! `self_signed_tls_client_auth` (RFC 8705 section 2), whose requests carry
//! `client_id` and nothing else. A secret in the body is refused as a method
//! nobody is registered for, and query parameters are refused before anything is
//! read. A certificate is a fact of the connection; no header is believed.
//!
//! Success is an [`Authenticated`] value. A verified assertion is single use,
//! but its use is *recorded* by the store, in the transaction of whatever the
//! request does; [`Authenticated::assertion`] says what to record.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keybound_proto::cause::Cause;
use keybound_proto::certificate::{
    CertificateInForce, CertificateRegistered, NameMatches, PeerCertificate,
};
use keybound_proto::rejection::Rejection;
use keybound_proto::time::UnixTime;
use keybound_proto::token::assertion::{
    ASSERTION_TYPE, AssertionRules, UnverifiedAssertion, VerifiedAssertion,
};
use keybound_proto::verify::HeaderField;

use super::client::{Client, Credential};
use super::form::{self, Form};
use super::keys::ClientKeys;
use super::secret::{SecretDigest, SecretMatches};

/// The furthest an assertion's `exp` may lie ahead, in seconds. Its use is
/// remembered until then.
const MAX_ASSERTION_LIFETIME: u64 = 600;
/// The longest client id and secret, in bytes after decoding.
const MAX_CREDENTIAL_BYTES: usize = 256;

/// What a request offers as authentication. Nothing of it is verified.
pub enum Presented<'a> {
    /// A signed assertion.
    Assertion(UnverifiedAssertion<'a>),
    /// An id alone: the connection's certificate has to do.
    Connection {
        /// `client_id`.
        client_id: &'a str,
    },
    /// An id and a secret.
    Secret {
        /// `client_id`.
        client_id: String,
        /// The secret as presented.
        secret: zeroize::Zeroizing<String>,
    },
}

/// What the assertion checks need to know.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// This issuer's identifier: the only acceptable `aud`.
    pub issuer: &'a str,
    /// Seconds `iat` and `nbf` may be ahead of our clock.
    pub ahead: u64,
    /// The end-entity certificate of the connection's handshake, if the client has one.
    pub certificate: Option<&'a PeerCertificate>,
}

/// A client that proved who it is. Only [`Presented::authenticate`] makes it.
#[derive(Debug)]
pub struct Authenticated {
    client: Arc<Client>,
    evidence: Evidence,
}

#[derive(Debug)]
enum Evidence {
    Assertion(VerifiedAssertion),
    Certificate {
        _in_force: CertificateInForce,
        _proven: CertificateProven,
    },
    /// None: whoever knows the id may say it is the client.
    Public,
    Secret(SecretMatches),
}

#[derive(Debug)]
enum CertificateProven {
    Name { _name: NameMatches },
    Registered { _registered: CertificateRegistered },
}

/// Finds the one authentication method of a request.
///
/// # Errors
/// [`Cause::ClientAuthenticationAbsent`], [`Cause::ClientAuthenticationMultiple`],
/// [`Cause::ClientAuthenticationMethod`] for a method that is never accepted,
/// [`Cause::AuthorizationMultiple`] or [`Cause::AuthorizationMalformed`] for the
/// header, and what reading the assertion's form finds.
pub fn read<'f>(
    authorization: HeaderField<'_>,
    form: &'f Form<'_>,
) -> Result<Presented<'f>, Rejection> {
    let basic = match authorization {
        HeaderField::Absent => None,
        HeaderField::One(value) => Some(value),
        HeaderField::Many => return Err(Cause::AuthorizationMultiple.into()),
    };
    let methods = [
        basic.is_some(),
        form.value("client_secret").is_some(),
        form.value("client_assertion").is_some() || form.value("client_assertion_type").is_some(),
    ];
    if methods.into_iter().filter(|used| *used).count() > 1 {
        return Err(Cause::ClientAuthenticationMultiple.into());
    }
    let presented = match (basic, form.value("client_assertion")) {
        (Some(value), _) => read_basic(value)?,
        (None, Some(text)) => read_assertion(text, form)?,
        (None, None) if form.value("client_secret").is_some() => {
            return Err(Rejection::new(Cause::ClientAuthenticationMethod)
                .expected("client_secret_basic or private_key_jwt")
                .got("client_secret_post"));
        }
        (None, None) => match form.value("client_id") {
            Some(client_id) if !methods[2] => Presented::Connection { client_id },
            Some(_) | None => return Err(Cause::ClientAuthenticationAbsent.into()),
        },
    };
    match form.value("client_id") {
        Some(id) if id != presented.client_id() => Err(Rejection::new(Cause::ParameterInvalid)
            .expected("the client_id that authenticates")
            .got("another client_id")),
        _ => Ok(presented),
    }
}

impl Presented<'_> {
    /// Who the request says it comes from.
    #[must_use]
    pub fn client_id(&self) -> &str {
        match self {
            Self::Assertion(assertion) => assertion.client_id(),
            Self::Connection { client_id } => client_id,
            Self::Secret { client_id, .. } => client_id,
        }
    }

    /// Checks the authentication against the client of that id; `None` where
    /// there is no such client.
    ///
    /// # Errors
    /// [`Cause::ClientUnknown`], [`Cause::ClientAuthenticationMethod`] where the
    /// client is registered for another method, [`Cause::ClientSecretMismatch`],
    /// [`Cause::ClientAuthenticationAbsent`] where an id came alone, or the causes
    /// of assertions and certificates.
    pub fn authenticate(
        self,
        client: Option<Arc<Client>>,
        rules: Rules<'_>,
        now: UnixTime,
    ) -> Result<Authenticated, Rejection> {
        if matches!(self, Self::Connection { .. })
            && rules.certificate.is_none()
            && !is_public(client.as_deref())
        {
            return Err(without_anything(client.as_deref()).into());
        }
        let Some(client) = client else {
            self.spend_the_time_of_a_check();
            return Err(Cause::ClientUnknown.into());
        };
        let evidence = match (self, &client.credential) {
            (Self::Secret { secret, .. }, Credential::Secret(digest)) => Evidence::Secret(
                digest
                    .check(secret.as_bytes())
                    .ok_or(Cause::ClientSecretMismatch)?,
            ),
            (Self::Assertion(assertion), Credential::Keys(keys)) => {
                Evidence::Assertion(verify(&assertion, keys, rules, now)?)
            }
            (Self::Connection { .. }, Credential::Public) => Evidence::Public,
            (Self::Connection { .. }, Credential::Certificate { name, anchors }) => {
                let presented = rules.certificate.ok_or(Cause::CertificateAbsent)?;
                let in_force = presented.check_time(now)?;
                let trusted = anchors.verify_client(presented, now)?;
                let name = name.check(&trusted)?;
                Evidence::Certificate {
                    _in_force: in_force,
                    _proven: CertificateProven::Name { _name: name },
                }
            }
            (Self::Connection { .. }, Credential::SelfSigned(registered)) => {
                let presented = rules.certificate.ok_or(Cause::CertificateAbsent)?;
                let in_force = presented.check_time(now)?;
                let registered = registered.check(presented)?;
                Evidence::Certificate {
                    _in_force: in_force,
                    _proven: CertificateProven::Registered {
                        _registered: registered,
                    },
                }
            }
            (presented, credential) => {
                return Err(other_method(credential.method(), presented.method()));
            }
        };
        Ok(Authenticated { client, evidence })
    }

    const fn method(&self) -> &'static str {
        match self {
            Self::Assertion(_) => "private_key_jwt",
            Self::Connection { .. } => "a client certificate",
            Self::Secret { .. } => "client_secret_basic",
        }
    }

    /// An unknown client costs what a wrong secret costs.
    fn spend_the_time_of_a_check(&self) {
        if let Self::Secret { secret, .. } = self {
            let _ = SecretDigest::from_bytes([0; 32]).check(secret.as_bytes());
        }
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("method", &self.method())
            .field("client_id", &self.client_id())
            .finish()
    }
}

impl Authenticated {
    /// The client.
    #[must_use]
    pub const fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// The assertion whose use has to be recorded, where one was used.
    #[must_use]
    pub const fn assertion(&self) -> Option<&VerifiedAssertion> {
        match &self.evidence {
            Evidence::Assertion(assertion) => Some(assertion),
            Evidence::Certificate { .. } | Evidence::Public | Evidence::Secret(_) => None,
        }
    }

    /// Whether the client proved who it is. A public client only says so, and what it asks for
    /// has to be proven by something else.
    #[must_use]
    pub const fn is_proven(&self) -> bool {
        !matches!(self.evidence, Evidence::Public)
    }
}

fn is_public(client: Option<&Client>) -> bool {
    client.is_some_and(|client| matches!(client.credential, Credential::Public))
}

/// Neither certificate nor anything else: what is missing depends on the client.
fn without_anything(client: Option<&Client>) -> Cause {
    match client.map(|client| &client.credential) {
        Some(Credential::Certificate { .. } | Credential::SelfSigned(_)) => {
            Cause::CertificateAbsent
        }
        Some(Credential::Keys(_) | Credential::Public | Credential::Secret(_)) | None => {
            Cause::ClientAuthenticationAbsent
        }
    }
}

fn read_assertion<'f>(text: &'f str, form: &Form<'_>) -> Result<Presented<'f>, Rejection> {
    if form.value("client_assertion_type") != Some(ASSERTION_TYPE) {
        return Err(Rejection::new(Cause::AssertionMalformed)
            .expected(format!("client_assertion_type {ASSERTION_TYPE}")));
    }
    UnverifiedAssertion::parse(text).map(Presented::Assertion)
}

/// Basic credentials: base64 of two form-encoded halves (RFC 6749 section 2.3.1).
fn read_basic(value: &[u8]) -> Result<Presented<'static>, Rejection> {
    let malformed = || Rejection::new(Cause::AuthorizationMalformed).expected("Basic credentials");
    let text = std::str::from_utf8(value).map_err(|_| malformed())?;
    let (scheme, encoded) = text.split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(other_method(
            "client_secret_basic or private_key_jwt",
            "another scheme",
        ));
    }
    if encoded.len() > MAX_CREDENTIAL_BYTES * 8 {
        return Err(malformed());
    }
    let decoded = zeroize::Zeroizing::new(
        STANDARD
            .decode(encoded.trim_start_matches(' '))
            .map_err(|_| malformed())?,
    );
    let mut halves = decoded.splitn(2, |byte| *byte == b':');
    let id = halves.next().ok_or_else(malformed)?;
    let secret = halves.next().ok_or_else(malformed)?;
    let id = form::decode(id, MAX_CREDENTIAL_BYTES).map_err(|_| malformed())?;
    let secret = form::decode(secret, MAX_CREDENTIAL_BYTES).map_err(|_| malformed())?;
    if id.is_empty() {
        return Err(malformed());
    }
    Ok(Presented::Secret {
        client_id: id.into_owned(),
        secret: zeroize::Zeroizing::new(secret.into_owned()),
    })
}

fn verify(
    assertion: &UnverifiedAssertion<'_>,
    keys: &ClientKeys,
    rules: Rules<'_>,
    now: UnixTime,
) -> Result<VerifiedAssertion, Rejection> {
    let rules = AssertionRules {
        issuer: rules.issuer,
        algorithms: keys.algorithms,
        max_lifetime: MAX_ASSERTION_LIFETIME,
        ahead: rules.ahead,
    };
    assertion.verify(&keys.keys, &rules, now)
}

fn other_method(expected: &str, got: &str) -> Rejection {
    Rejection::new(Cause::ClientAuthenticationMethod)
        .expected(expected)
        .got(got)
}
