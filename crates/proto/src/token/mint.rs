//! Minting access tokens, so that binding cannot be forgotten.
//!
//! Three values stand between a request and a token in a client's hands. A
//! [`Binding`] says whom the token is bound to, and its usual form holds a
//! [`SenderConstraint`] that only a verified proof makes. An [`UnsignedToken`]
//! becomes a [`Minted`] one by a signature made wherever the key lives. And a
//! `Minted` token gives its text away only against [`IssuanceRecorded`], which the
//! store makes after the commit: no token works that no record knows.
//!
//! This module does not decide who may have a token.

use std::fmt;

use super::{ACCESS_TOKEN_TYPE, Delegation, RENEWAL, Renewal, SpiffeRenewal, TokenHash};
use crate::base64url;
use crate::certificate::{CertificateInForce, CertificateThumbprint, PeerCertificate};
use crate::jose::{Algorithm, Jkt, PublicKey, SigningInput};
use crate::json_text::ObjectText;
use crate::signature::profile::HTTPSIG_TOKEN_TYPE;
use crate::time::UnixTime;

/// The claims of a token to be minted (RFC 9068 section 2.2).
#[derive(Clone, Debug)]
pub struct AccessTokenClaims<'a> {
    /// `iss`: the issuer identifier.
    pub issuer: &'a str,
    /// `sub`: the identity.
    pub subject: &'a str,
    /// `client_id`.
    pub client_id: &'a str,
    /// `aud`: one string when there is one, else an array.
    pub audience: &'a [String],
    /// `scope`: names separated by single spaces; left out when empty.
    pub scope: &'a str,
    /// `jti`: the handle, `tok_…`.
    pub token_id: &'a str,
    /// `iat`, also `nbf`.
    pub issued_at: UnixTime,
    /// `exp`.
    pub expires_at: UnixTime,
    /// Actors and ancestors.
    pub delegation: &'a Delegation,
}

/// Whom a token is bound to.
#[derive(Clone, Debug)]
pub enum Binding {
    /// To the key whose possession was proven.
    Constrained(SenderConstraint),
    /// To nobody, because an operator exempted the client.
    Unconstrained(danger::Unconstrained),
}

impl Binding {
    /// The key that locks and records know the token by: the proven key, or that of the
    /// certificate. `None` where unbound, or where a certificate's kind of key is not known.
    #[must_use]
    pub fn jkt(&self) -> Option<Jkt> {
        match self {
            Self::Constrained(constraint) => constraint.jkt(),
            Self::Unconstrained(_) => None,
        }
    }

    /// The certificate the token is bound to, if it is.
    #[must_use]
    pub fn certificate(&self) -> Option<CertificateThumbprint> {
        match self {
            Self::Constrained(constraint) => constraint.certificate(),
            Self::Unconstrained(_) => None,
        }
    }

    /// The token type the client is told: `DPoP` for every token that needs a proof (RFC 9449
    /// section 5), `httpsig` where the proof is a signature over the request
    /// (draft-richer-oauth-httpsig-03), `Bearer` for one bound by certificate alone (RFC 8705 section 3).
    #[must_use]
    pub const fn token_type(&self) -> &'static str {
        match self {
            Self::Constrained(SenderConstraint::HttpSignature(_)) => HTTPSIG_TOKEN_TYPE,
            Self::Constrained(constraint) if constraint.needs_proof() => "DPoP",
            Self::Constrained(_) | Self::Unconstrained(_) => "Bearer",
        }
    }

    /// The name of the method, or of both, in records and metrics.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Constrained(constraint) => constraint.method(),
            Self::Unconstrained(_) => "none",
        }
    }

    /// The `cnf` of the token where it says more than the thumbprint of the key.
    #[must_use]
    pub fn further_confirmation(&self) -> Option<String> {
        match self {
            Self::Constrained(SenderConstraint::Dpop(_)) | Self::Unconstrained(_) => None,
            Self::Constrained(constraint) => Some(constraint.confirmation()),
        }
    }

    /// The `cnf` of the token; `None` where unbound.
    #[must_use]
    pub fn confirmation(&self) -> Option<String> {
        match self {
            Self::Constrained(constraint) => Some(constraint.confirmation()),
            Self::Unconstrained(_) => None,
        }
    }
}

/// The witness that possession of a key was proven. Only verification makes one:
///
/// ```compile_fail
/// use keybound_proto::jose::Jkt;
/// use keybound_proto::token::{ProvenKey, SenderConstraint};
/// let jkt: Jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".parse().unwrap();
/// let forged = SenderConstraint::Dpop(ProvenKey(jkt));
/// ```
///
/// The thumbprint alone is public and proves nothing:
///
/// ```
/// use keybound_proto::jose::Jkt;
/// use keybound_proto::token::SenderConstraint;
/// let jkt: Jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".parse().unwrap();
/// let same = |constraint: &SenderConstraint| constraint.jkt() == Some(jkt);
/// # let _ = same;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SenderConstraint {
    /// Proven by a DPoP proof (RFC 9449).
    #[expect(
        private_interfaces,
        reason = "nobody outside this crate may make the witness"
    )]
    Dpop(ProvenKey),
    /// Proven by a signature over the token request (draft-richer-oauth-httpsig-03).
    HttpSignature(ProvenSigner),
    /// Proven by the TLS handshake with a client certificate (RFC 8705 section 3).
    Mtls(ProvenCertificate),
    /// Both, and every request has to prove both.
    #[expect(
        private_interfaces,
        reason = "nobody outside this crate may make the witness"
    )]
    Both(ProvenKey, ProvenCertificate),
}

/// A key whose possession was proven by a signature over the request at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProvenKey(Jkt);

impl ProvenKey {
    /// Made only where a signature was just verified with this key.
    pub(crate) const fn assertion(jkt: Jkt) -> Self {
        Self(jkt)
    }
}

/// A key whose possession was proven by a signature over the request at hand, and how the token
/// names it. Only verification makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenSigner {
    jkt: Jkt,
    /// The member of `cnf`, and its value as JSON.
    member: (&'static str, String),
    certificate: Option<ProvenCertificate>,
}

impl ProvenSigner {
    /// A registered key: `cnf.jwk`, with the one algorithm it is for.
    pub(crate) fn preregistered(key: &PublicKey) -> Self {
        let algorithm = match key.default_algorithm() {
            // The name that says the curve as well (RFC 9864 section 2).
            Algorithm::EdDsa => "Ed25519",
            other @ (Algorithm::Es256 | Algorithm::Es384 | Algorithm::Ps256 | Algorithm::Rs256) => {
                other.name()
            }
        };
        let jwk = key.to_jwk();
        let members = jwk.trim_start_matches('{');
        Self {
            jkt: key.thumbprint(),
            member: ("jwk", format!("{{\"alg\":\"{algorithm}\",{members}")),
            certificate: None,
        }
    }

    /// A key that came with the request: `cnf.htsk`.
    pub(crate) fn runtime(key: &PublicKey, algorithm: &str, point: &[u8]) -> Self {
        let htsk = ObjectText::new()
            .string("alg", algorithm)
            .string("pub", &base64url::encode(point))
            .finish();
        Self {
            jkt: key.thumbprint(),
            member: ("htsk", htsk),
            certificate: None,
        }
    }

    fn members(&self) -> ObjectText {
        let (name, value) = &self.member;
        let cnf = ObjectText::new().raw(name, value);
        match &self.certificate {
            Some(certificate) => certificate.members(cnf),
            None => cnf,
        }
    }
}

/// A certificate in force, whose key's possession the TLS handshake of this request's
/// connection proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenCertificate {
    certificate: PeerCertificate,
    renewal: Option<Renewal>,
}

/// Which other certificates may stand in for the one a token is bound to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CertificateRenewal {
    /// None (RFC 8705 section 3): a renewed certificate needs a new token.
    #[default]
    Refused,
    /// Every certificate of the same public key.
    SamePublicKey,
    /// Those its trust domain issues to the same SPIFFE ID, until so many seconds after the token.
    SameSpiffeId {
        /// Seconds.
        window: u64,
    },
}

impl ProvenCertificate {
    /// For servers that terminate TLS, and for whoever was told by one it trusts: `certificate`
    /// is the end-entity certificate of the handshake of the connection this request came on.
    #[must_use]
    pub fn assertion(certificate: &PeerCertificate, _: CertificateInForce) -> Self {
        Self {
            certificate: certificate.clone(),
            renewal: None,
        }
    }

    /// The same, and the token, issued at that time, will say which renewed certificates may stand
    /// in. A certificate without exactly one SPIFFE ID has none that stand in by it.
    #[must_use]
    pub fn with_renewal(self, renewal: CertificateRenewal, issued_at: UnixTime) -> Self {
        let renewal = match renewal {
            CertificateRenewal::Refused => None,
            CertificateRenewal::SamePublicKey => {
                Some(Renewal::PublicKey(self.certificate.spki_thumbprint()))
            }
            CertificateRenewal::SameSpiffeId { window } => {
                let until = issued_at.plus(window);
                SpiffeRenewal::after(&self.certificate, until).map(Renewal::SpiffeId)
            }
        };
        Self { renewal, ..self }
    }

    /// The certificate.
    #[must_use]
    pub const fn certificate(&self) -> &PeerCertificate {
        &self.certificate
    }

    fn members(&self, cnf: ObjectText) -> ObjectText {
        let thumbprint = self.certificate.thumbprint().to_string();
        let cnf = cnf.string("x5t#S256", &thumbprint);
        match &self.renewal {
            None => cnf,
            Some(renewal) => cnf.raw(RENEWAL, &renewal.to_json()),
        }
    }
}

impl SenderConstraint {
    /// Bound to the certificate alone.
    #[must_use]
    pub const fn to_certificate(certificate: ProvenCertificate) -> Self {
        Self::Mtls(certificate)
    }

    /// Bound to the certificate as well.
    #[must_use]
    pub fn and_certificate(self, certificate: ProvenCertificate) -> Self {
        match self {
            Self::Dpop(key) | Self::Both(key, _) => Self::Both(key, certificate),
            Self::HttpSignature(signer) => Self::HttpSignature(ProvenSigner {
                certificate: Some(certificate),
                ..signer
            }),
            Self::Mtls(_) => Self::Mtls(certificate),
        }
    }

    /// The thumbprint of the proven key; of the certificate's key where no other was proven.
    #[must_use]
    pub fn jkt(&self) -> Option<Jkt> {
        match self {
            Self::Dpop(key) | Self::Both(key, _) => Some(key.0),
            Self::HttpSignature(signer) => Some(signer.jkt),
            Self::Mtls(proven) => proven.certificate.jkt(),
        }
    }

    /// The thumbprint of the certificate, if bound to one.
    #[must_use]
    pub fn certificate(&self) -> Option<CertificateThumbprint> {
        match self {
            Self::Dpop(_) => None,
            Self::HttpSignature(signer) => {
                let certificate = signer.certificate.as_ref()?;
                Some(certificate.certificate.thumbprint())
            }
            Self::Mtls(proven) | Self::Both(_, proven) => Some(proven.certificate.thumbprint()),
        }
    }

    /// Whether requests with the token need a proof by a key, beside a certificate or alone.
    #[must_use]
    pub const fn needs_proof(&self) -> bool {
        match self {
            Self::Dpop(_) | Self::HttpSignature(_) | Self::Both(..) => true,
            Self::Mtls(_) => false,
        }
    }

    /// The name of the method, or of both.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Dpop(_) => "dpop",
            Self::HttpSignature(signer) if signer.certificate.is_some() => "httpsig mtls",
            Self::HttpSignature(_) => "httpsig",
            Self::Mtls(_) => "mtls",
            Self::Both(..) => "dpop mtls",
        }
    }

    /// `cnf` (RFC 7800 section 3.1): everything it names has to be proven.
    fn confirmation(&self) -> String {
        let jkt = |key: &ProvenKey| ObjectText::new().string("jkt", &key.0.to_string());
        match self {
            Self::Dpop(key) => jkt(key),
            Self::HttpSignature(signer) => signer.members(),
            Self::Mtls(certificate) => certificate.members(ObjectText::new()),
            Self::Both(key, certificate) => certificate.members(jkt(key)),
        }
        .finish()
    }
}

/// Choices that give protection away. Each is a named type, so that a search for
/// `danger` finds every place that makes one.
pub mod danger {
    /// An operator's explicit, recorded decision that one client gets bearer tokens.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Unconstrained {
        client_id: String,
    }

    impl Unconstrained {
        /// The client's configuration says `unconstrained = true`.
        #[must_use]
        pub fn operator_exemption(client_id: &str) -> Self {
            Self {
                client_id: client_id.to_owned(),
            }
        }

        /// The exempted client.
        #[must_use]
        pub fn client_id(&self) -> &str {
            &self.client_id
        }
    }
}

/// A token that still needs the issuer's signature over [`UnsignedToken::bytes`].
pub struct UnsignedToken {
    input: SigningInput,
    token_id: String,
    jkt: Option<Jkt>,
}

impl UnsignedToken {
    /// Writes header and claims. The header's order and the `kb-` prefix of `kid` make the
    /// token's head a constant that scanners recognise.
    #[must_use]
    pub fn new(
        claims: &AccessTokenClaims<'_>,
        binding: &Binding,
        kid: &str,
        algorithm: Algorithm,
    ) -> Self {
        let header = ObjectText::new()
            .string("typ", ACCESS_TOKEN_TYPE)
            .string("alg", algorithm.name())
            .string("kid", kid)
            .finish();
        let jkt = binding.jkt();
        Self {
            input: SigningInput::new(&header, &claims_text(claims, binding)),
            token_id: claims.token_id.to_owned(),
            jkt,
        }
    }

    /// What to sign.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.input.bytes()
    }

    /// Adds the signature in JOSE form.
    #[must_use]
    pub fn attach(self, signature: &[u8]) -> Minted {
        let text = self.input.attach(signature);
        Minted {
            hash: TokenHash::of(text.as_bytes()),
            text,
            token_id: self.token_id,
            jkt: self.jkt,
        }
    }
}

impl fmt::Debug for UnsignedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnsignedToken")
            .field("token_id", &self.token_id)
            .finish_non_exhaustive()
    }
}

/// A signed token that no client has heard of yet.
pub struct Minted {
    text: String,
    hash: TokenHash,
    token_id: String,
    jkt: Option<Jkt>,
}

impl Minted {
    /// SHA-256 of the token's text, for the record.
    #[must_use]
    pub const fn hash(&self) -> TokenHash {
        self.hash
    }

    /// The handle, `tok_…`.
    #[must_use]
    pub fn token_id(&self) -> &str {
        &self.token_id
    }

    /// The key the token is bound to.
    #[must_use]
    pub const fn jkt(&self) -> Option<Jkt> {
        self.jkt
    }

    /// The token's text, against the witness that this very token was recorded. A witness
    /// for another token gives nothing.
    #[must_use]
    pub fn release(self, recorded: &IssuanceRecorded) -> Option<String> {
        (recorded.0 == self.hash).then_some(self.text)
    }
}

impl fmt::Debug for Minted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minted")
            .field("token_id", &self.token_id)
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

/// The witness that an issuance is on stable storage.
#[derive(Debug)]
pub struct IssuanceRecorded(TokenHash);

impl IssuanceRecorded {
    /// For stores only: the record of the token with this hash is committed.
    #[must_use]
    pub const fn assertion(hash: TokenHash) -> Self {
        Self(hash)
    }
}

fn claims_text(claims: &AccessTokenClaims<'_>, binding: &Binding) -> String {
    let text = ObjectText::new()
        .string("iss", claims.issuer)
        .string("sub", claims.subject)
        .string("client_id", claims.client_id)
        .one_or_many("aud", claims.audience);
    let text = if claims.scope.is_empty() {
        text
    } else {
        text.string("scope", claims.scope)
    };
    let text = text
        .string("jti", claims.token_id)
        .unsigned("iat", claims.issued_at.as_secs())
        .unsigned("nbf", claims.issued_at.as_secs())
        .unsigned("exp", claims.expires_at.as_secs());
    let text = claims.delegation.write(text);
    match binding.confirmation() {
        Some(cnf) => text.raw("cnf", &cnf).finish(),
        None => text.finish(),
    }
}
