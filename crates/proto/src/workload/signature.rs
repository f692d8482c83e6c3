//! Signed requests and responses between workloads (draft-ietf-wimse-http-signature).
//!
//! A signature with the tag `wimse-workload-to-workload` may stand for a proof token: it
//! covers method, request target, identity token and every token beside it, and names
//! its target in `wimse-aud`. The policies of coverage and parameters are
//! [`profile::wimse_request`] and [`profile::wimse_response`]; what they cannot say is
//! checked here: that `wimse-aud` is this server's own URL or a value agreed on, that
//! content has a covered digest, and that a response answers the very request
//! (`wimse-req-nonce`).
//!
//! `wimse-sign-response` asks for a signed answer. Whoever cannot sign must refuse before
//! it acts ([`WorkloadSignature::wants_signed_response`]), never answer unsigned.
//!
//! This module keeps no record of nonces and reads no content.

use std::fmt;

use super::identity_token::WorkloadKey;
use super::{IDENTITY_TOKEN_HEADER, is_named_by};
use crate::cause::Cause;
use crate::dpop::ProofWindow;
use crate::fields::FieldLines;
use crate::rejection::Rejection;
use crate::signature::{
    CONTENT_DIGEST, CannotCover, Component, ExpectedDigest, HttpSignature, SignatureAlgorithms,
    SignatureInput, SignatureParameters, SignedRequest, SignedResponse, VerifiedSignature, profile,
};
use crate::structured::BareItem;
use crate::time::UnixTime;
use crate::uri::Htu;

/// The label under which a workload signs; a reader never looks at it.
pub const SIGNATURE_LABEL: &str = "wimse";

/// What a server demands of a signed request, or a client of a signed response.
#[derive(Clone, Copy, Debug)]
pub struct WorkloadSignatureRules<'a> {
    /// The request's URL, made of configured origin and request path: `wimse-aud` names it.
    pub target: &'a Htu,
    /// Other values of `wimse-aud` this deployment agreed on, compared exactly.
    pub audiences: &'a [String],
    /// Algorithms taken in signatures.
    pub algorithms: SignatureAlgorithms,
    /// How far `created` may be from now.
    pub window: ProofWindow,
    /// The most seconds between `created` and `expires`.
    pub max_lifetime: u64,
    /// Whether the message has content, which then must have a covered digest.
    pub has_content: bool,
}

/// A signature that fits the profile and the message; not verified yet.
#[derive(Debug)]
pub struct WorkloadSignature {
    signature: HttpSignature,
    nonce: String,
    made_at: UnixTime,
    taken_until: UnixTime,
    _target: MadeForTarget,
    _digest: ContentCovered,
}

/// Says that `wimse-aud`, or for a response `wimse-req-nonce`, is the right one.
#[derive(Debug)]
struct MadeForTarget(());

/// Says that there is no content, or that its digest is covered.
#[derive(Debug)]
struct ContentCovered(());

impl WorkloadSignature {
    /// Checks everything of a request's signature that needs no key.
    ///
    /// # Errors
    /// A [`Rejection`] with an `httpsig.*` or `digest.*` cause; `wimse.signature.audience`.
    pub fn read(
        rules: &WorkloadSignatureRules<'_>,
        request: SignedRequest<'_>,
        now: UnixTime,
    ) -> Result<Self, Rejection> {
        let policy = profile::wimse_request(rules.window, rules.max_lifetime, rules.algorithms);
        let signature = HttpSignature::read(&policy, request, now)?;
        let target = check_audience(&signature, rules)?;
        Self::of(signature, target, rules.has_content)
    }

    /// Checks everything of a response's signature that needs no key. `nonce` is that of the
    /// request.
    ///
    /// # Errors
    /// A [`Rejection`] with an `httpsig.*` or `digest.*` cause; `wimse.response.nonce`.
    pub fn read_response(
        rules: &WorkloadSignatureRules<'_>,
        response: SignedResponse<'_>,
        nonce: &str,
        now: UnixTime,
    ) -> Result<Self, Rejection> {
        let policy = profile::wimse_response(rules.window, rules.max_lifetime, rules.algorithms);
        let signature = HttpSignature::read(&policy, response, now)?;
        if signature.text_parameter("wimse-req-nonce") != Some(nonce) {
            return Err(Cause::WorkloadResponseNonce.into());
        }
        Self::of(signature, MadeForTarget(()), rules.has_content)
    }

    fn of(
        signature: HttpSignature,
        target: MadeForTarget,
        has_content: bool,
    ) -> Result<Self, Rejection> {
        let digest = match signature.content_digest() {
            None if has_content => return Err(Cause::DigestAbsent.into()),
            None | Some(_) => ContentCovered(()),
        };
        let missing = |name: &str| Rejection::new(Cause::HttpsigParameter).expected(name);
        let nonce = signature.nonce().ok_or_else(|| missing("nonce"))?;
        Ok(Self {
            nonce: nonce.to_owned(),
            made_at: signature.created().ok_or_else(|| missing("created"))?,
            taken_until: signature.taken_until().ok_or_else(|| missing("expires"))?,
            signature,
            _target: target,
            _digest: digest,
        })
    }

    /// `nonce`: with the key, the name under which the signature is recorded as used.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// `created`.
    #[must_use]
    pub const fn made_at(&self) -> UnixTime {
        self.made_at
    }

    /// The first second at which the signature is no longer taken.
    #[must_use]
    pub const fn taken_until(&self) -> UnixTime {
        self.taken_until
    }

    /// What the content must hash to, if there is a digest.
    #[must_use]
    pub const fn content_digest(&self) -> Option<&ExpectedDigest> {
        self.signature.content_digest()
    }

    /// Whether the sender asks for a signed answer.
    #[must_use]
    pub fn wants_signed_response(&self) -> bool {
        self.signature.flag_parameter("wimse-sign-response")
    }

    /// Verifies with the key the identity token names.
    ///
    /// # Errors
    /// `httpsig.alg`, `httpsig.signature.invalid`
    pub fn verify(self, key: &WorkloadKey) -> Result<VerifiedSignature, Rejection> {
        self.signature.verify_jose(key.key(), key.algorithm())
    }
}

/// What a new signature says beside what it covers.
#[derive(Clone, Copy)]
pub struct WorkloadSignatureRequest<'a> {
    /// The sender's idea of now.
    pub created: UnixTime,
    /// Seconds the signature may be used.
    pub lifetime: u64,
    /// At least 96 random bits as text.
    pub nonce: &'a str,
}

impl fmt::Debug for WorkloadSignatureRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkloadSignatureRequest")
            .field("created", &self.created)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// The base of a signature over a request, whose fields hold the identity token already.
///
/// # Errors
/// [`CannotCover`] if a component has no value, the identity token above all.
pub fn sign_request(
    request: SignedRequest<'_>,
    says: &WorkloadSignatureRequest<'_>,
    audience: &str,
    wants_signed_response: bool,
) -> Result<SignatureInput, CannotCover> {
    let fields = request.fields;
    let present = ["content-type", CONTENT_DIGEST, "authorization", "txn-token"];
    let covered = ["@method", "@request-target", IDENTITY_TOKEN_HEADER]
        .into_iter()
        .chain(present.into_iter().filter(|name| has(fields, name)));
    let covered: Vec<_> = covered.filter_map(component).collect();
    let mut more = vec![("wimse-aud", BareItem::String(audience.to_owned()))];
    if wants_signed_response {
        more.push(("wimse-sign-response", BareItem::Boolean(true)));
    }
    SignatureInput::new(request, &covered, parameters(says, &more))
}

/// The base of a signature over a response to a signed request. `request_nonce` is that of the
/// request; the response's fields hold the signer's identity token already.
///
/// # Errors
/// [`CannotCover`] if a component has no value: the response then must not be sent as a success.
pub fn sign_response(
    response: SignedResponse<'_>,
    says: &WorkloadSignatureRequest<'_>,
    request_nonce: &str,
) -> Result<SignatureInput, CannotCover> {
    let fields = response.fields;
    let present = ["content-type", CONTENT_DIGEST];
    let own = ["@status", IDENTITY_TOKEN_HEADER]
        .into_iter()
        .chain(present.into_iter().filter(|name| has(fields, name)))
        .filter_map(component);
    let asked = ["@method", "@request-target"]
        .into_iter()
        .filter_map(|name| Component::of_request(name).ok());
    let covered: Vec<_> = own.chain(asked).collect();
    let more = [(
        "wimse-req-nonce",
        BareItem::String(request_nonce.to_owned()),
    )];
    SignatureInput::new(response, &covered, parameters(says, &more))
}

/// All names here are components. One that were not would be missed by every reader.
fn component(name: &str) -> Option<Component> {
    Component::new(name).ok()
}

fn parameters<'a>(
    says: &WorkloadSignatureRequest<'a>,
    more: &'a [(&'a str, BareItem)],
) -> SignatureParameters<'a> {
    SignatureParameters {
        created: Some(says.created),
        expires: Some(says.created.plus(says.lifetime)),
        nonce: Some(says.nonce),
        tag: Some(profile::WIMSE_TAG),
        more,
        ..SignatureParameters::default()
    }
}

fn has(fields: &dyn FieldLines, name: &str) -> bool {
    !fields.lines(name).is_empty()
}

fn check_audience(
    signature: &HttpSignature,
    rules: &WorkloadSignatureRules<'_>,
) -> Result<MadeForTarget, Rejection> {
    let audience = signature.text_parameter("wimse-aud").unwrap_or_default();
    if is_named_by(rules.target, rules.audiences, audience) {
        return Ok(MadeForTarget(()));
    }
    Err(Rejection::new(Cause::WorkloadSignatureAudience)
        .expected(rules.target.as_str())
        .got(audience))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

    use super::{
        WorkloadSignature, WorkloadSignatureRequest, WorkloadSignatureRules, sign_request,
        sign_response,
    };
    use crate::base64url;
    use crate::cause::Cause;
    use crate::dpop::ProofWindow;
    use crate::fields::FieldLines;
    use crate::jose::PublicKey;
    use crate::signature::{
        DigestAlgorithm, SignatureAlgorithms, SignatureInput, SignedRequest, SignedResponse,
        VerifiedSignature, content_digest,
    };
    use crate::time::UnixTime;
    use crate::uri::{Htu, Origin};
    use crate::workload::{
        TrustDomain, WorkloadIdentityToken, WorkloadKey, WorkloadProfile, WorkloadTokenRules,
    };

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    #[derive(Clone, Default)]
    struct Fields(Vec<(&'static str, String)>);

    impl FieldLines for Fields {
        fn lines<'s>(&'s self, name: &str) -> Vec<&'s [u8]> {
            let named = self.0.iter().filter(|(field, _)| *field == name);
            named.map(|(_, value)| value.as_bytes()).collect()
        }
    }

    fn pair() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
    }

    /// An identity token of a domain whose key is the workload's own, and the key in it.
    fn identity() -> (String, WorkloadKey) {
        let public = PublicKey::from_ed25519(pair().public_key().as_ref()).unwrap();
        let jwk = public.to_jwk().replacen('{', r#"{"alg":"EdDSA","#, 1);
        let claims =
            format!(r#"{{"sub":"wimse://example.com/a","exp":1800000600,"cnf":{{"jwk":{jwk}}}}}"#);
        let input = format!(
            "{}.{}",
            base64url::encode(br#"{"typ":"wit+jwt","alg":"EdDSA"}"#),
            base64url::encode(claims.as_bytes())
        );
        let signature = pair().sign(input.as_bytes());
        let text = format!("{input}.{}", base64url::encode(signature.as_ref()));
        let domain = TrustDomain::parse("wimse://example.com").unwrap();
        let rules = WorkloadTokenRules::new(domain, WorkloadProfile::Wimse);
        let token = WorkloadIdentityToken::parse(text.as_bytes(), 8192).unwrap();
        let token = token.verify(&rules, &public, NOW).unwrap();
        let key = token.workload_key().unwrap().clone();
        (text, key)
    }

    struct Exchange {
        origin: Origin,
        target: Htu,
        fields: Fields,
        key: WorkloadKey,
    }

    impl Exchange {
        fn new() -> Self {
            let origin = Origin::parse("https://api.example.com").unwrap();
            let (token, key) = identity();
            let digest = content_digest(DigestAlgorithm::Sha256, b"{}");
            Self {
                target: Htu::for_request(&origin, "/approvals?x=1").unwrap(),
                origin,
                fields: Fields(vec![
                    ("workload-identity-token", token),
                    ("content-type", "application/json".into()),
                    ("content-digest", digest),
                ]),
                key,
            }
        }

        fn request<'a>(&'a self, fields: &'a Fields) -> SignedRequest<'a> {
            SignedRequest {
                method: "POST",
                origin: &self.origin,
                request_target: "/approvals?x=1",
                fields,
                trailers: None,
            }
        }

        fn signed(&self, audience: &str, wants: bool) -> Fields {
            let says = says("request-nonce");
            let input = sign_request(self.request(&self.fields), &says, audience, wants).unwrap();
            attach(&self.fields, input)
        }

        fn rules(&self) -> WorkloadSignatureRules<'_> {
            WorkloadSignatureRules {
                target: &self.target,
                audiences: &[],
                algorithms: SignatureAlgorithms::CURVES,
                window: ProofWindow::default(),
                max_lifetime: 300,
                has_content: true,
            }
        }

        fn check(&self, fields: &Fields) -> Result<VerifiedSignature, Cause> {
            WorkloadSignature::read(&self.rules(), self.request(fields), NOW)
                .and_then(|signature| signature.verify(&self.key))
                .map_err(|rejection| rejection.cause())
        }
    }

    fn says(nonce: &str) -> WorkloadSignatureRequest<'_> {
        WorkloadSignatureRequest {
            created: NOW,
            lifetime: 60,
            nonce,
        }
    }

    fn attach(fields: &Fields, input: SignatureInput) -> Fields {
        let signature = pair().sign(input.bytes());
        let signed = input.attach(super::SIGNATURE_LABEL, signature.as_ref());
        let mut fields = fields.clone();
        fields.0.push(("signature-input", signed.signature_input));
        fields.0.push(("signature", signed.signature));
        fields
    }

    const URL: &str = "https://api.example.com/approvals";

    #[test]
    fn every_single_fault_is_refused() {
        let exchange = Exchange::new();
        let good = exchange.signed(URL, false);
        let changed = |name: &str, value: &str| {
            let mut fields = good.clone();
            for field in fields.0.iter_mut().filter(|(field, _)| *field == name) {
                value.clone_into(&mut field.1);
            }
            exchange.check(&fields).unwrap_err()
        };
        let without = |name: &str| {
            let mut fields = good.clone();
            fields.0.retain(|(field, _)| *field != name);
            exchange.check(&fields).unwrap_err()
        };
        for name in ["content-type", "workload-identity-token"] {
            assert_eq!(changed(name, "x"), Cause::HttpsigSignatureInvalid, "{name}");
            assert_eq!(without(name), Cause::HttpsigComponent, "{name}");
        }
        assert_eq!(without("signature"), Cause::HttpsigMalformed);
        for audience in [
            "https://other.example.com/approvals",
            "https://api.example.com/approvals?x=1",
            "https://api.example.com",
            "mesh",
        ] {
            let signed = exchange.signed(audience, false);
            assert_eq!(
                exchange.check(&signed).unwrap_err(),
                Cause::WorkloadSignatureAudience
            );
        }
        let mut more = good.clone();
        more.0.push(("txn-token", "a.b.c".into()));
        assert_eq!(
            exchange.check(&more).unwrap_err(),
            Cause::HttpsigCoverage,
            "a token nobody signed"
        );
        let mut bare = Exchange::new();
        bare.fields
            .0
            .retain(|(field, _)| *field != "content-digest");
        let signed = bare.signed(URL, false);
        assert_eq!(bare.check(&signed).unwrap_err(), Cause::DigestAbsent);
    }

    #[test]
    fn a_good_signature_says_what_it_wants() {
        let exchange = Exchange::new();
        for wants in [false, true] {
            let fields = exchange.signed(URL, wants);
            let request = exchange.request(&fields);
            let signature = WorkloadSignature::read(&exchange.rules(), request, NOW).unwrap();
            assert_eq!(signature.wants_signed_response(), wants);
            assert_eq!(signature.nonce(), "request-nonce");
            assert_eq!(signature.made_at(), NOW);
            assert!(signature.taken_until() > NOW);
            assert!(signature.content_digest().unwrap().check(b"{}").is_ok());
            let verified = signature.verify(&exchange.key).unwrap();
            assert_eq!(verified.jkt(), Some(exchange.key.key().thumbprint()));
        }
    }

    #[test]
    fn an_answer_is_to_one_request() {
        let exchange = Exchange::new();
        let asked = exchange.signed(URL, true);
        let answer = |fields| SignedResponse {
            status: 200,
            fields,
            trailers: None,
            request: Some(exchange.request(&asked)),
        };
        let input = sign_response(answer(&exchange.fields), &says("answer"), "request-nonce");
        let signed = attach(&exchange.fields, input.unwrap());
        let read = |fields, nonce| {
            WorkloadSignature::read_response(&exchange.rules(), answer(fields), nonce, NOW)
                .and_then(|signature| signature.verify(&exchange.key))
                .map_err(|rejection| rejection.cause())
        };
        assert_eq!(
            read(&signed, "other").unwrap_err(),
            Cause::WorkloadResponseNonce
        );
        assert_eq!(
            read(&exchange.fields, "request-nonce").unwrap_err(),
            Cause::HttpsigAbsent
        );
        assert!(read(&signed, "request-nonce").is_ok());
        let nobody = Fields::default();
        assert!(
            sign_response(answer(&nobody), &says("answer"), "request-nonce").is_err(),
            "an answer of nobody cannot be signed"
        );
    }
}
