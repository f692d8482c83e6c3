//! Web Bot Auth (draft-ietf-webbotauth-httpsig-protocol): agents that come
//! without a token sign their requests and say where their keys are published.
//!
//! A request has a signature with the tag `web-bot-auth` over the authority or
//! the URL, with `created`, `expires` and a `keyid` that is the key's JWK
//! thumbprint. `Signature-Agent` names the agent's origin, and the signature
//! covers it. The origin's directory holds the keys; each key counts only if it
//! signed the directory's response itself, so nobody publishes another's keys.
//!
//! What comes out is who sent the request, not what it may do. A signature
//! without a nonce can be sent again to the same authority until it expires.
//!
//! Fetching directories, and deciding which agents are welcome, is the
//! caller's. Inline directories and signature agent cards are not read.

use super::algorithm::{SignatureAlgorithm, SignatureAlgorithms};
use super::digest::ExpectedDigest;
use super::message::{SignedRequest, SignedResponse};
use super::read::HttpSignature;
use super::rules::{Cover, InlineKeySource, Select, SignatureRules};
use crate::cause::Cause;
use crate::dpop::ProofWindow;
use crate::fields::FieldLines;
use crate::jose::{Jkt, PublicKey};
use crate::json;
use crate::rejection::Rejection;
use crate::structured::{Dictionary, Item};
use crate::time::UnixTime;
use crate::uri::Origin;

/// The path of an agent's directory.
pub const DIRECTORY_PATH: &str = "/.well-known/http-message-signatures-directory";

/// The media type of a directory.
pub const DIRECTORY_MEDIA_TYPE: &str = "application/http-message-signatures-directory+json";

/// The tag of an agent's signature.
pub const AGENT_TAG: &str = "web-bot-auth";

/// The tag of a directory's signatures.
pub const DIRECTORY_TAG: &str = "http-message-signatures-directory";

/// The longest an agent's signature may live, in seconds: what the draft advises.
pub const MAX_AGENT_LIFETIME: u64 = 86_400;

/// The largest directory, in bytes.
pub const MAX_DIRECTORY_BYTES: usize = 65_536;

/// The most keys of a directory that are looked at.
const MAX_KEYS: usize = 32;

/// The field that names the agent.
const SIGNATURE_AGENT: &str = "signature-agent";

/// Algorithms taken of agents: of public keys, and no PKCS#1 v1.5.
const ALGORITHMS: SignatureAlgorithms = SignatureAlgorithms::of(&[
    SignatureAlgorithm::EcdsaP256Sha256,
    SignatureAlgorithm::EcdsaP384Sha384,
    SignatureAlgorithm::Ed25519,
    SignatureAlgorithm::RsaPssSha512,
]);

/// What is asked of an agent's signature. A `created` in the future is refused, by a second
/// already.
const RULES: SignatureRules<'static> = SignatureRules {
    select: Select::Tag(AGENT_TAG),
    cover: const { &[Cover::any_of(&["@authority", "@target-uri"])] },
    require: &["created", "expires", "keyid"],
    forbid: &[],
    window: ProofWindow {
        past: MAX_AGENT_LIFETIME,
        ahead: 0,
    },
    max_lifetime: Some(MAX_AGENT_LIFETIME),
    algorithms: ALGORITHMS,
    inline_key: InlineKeySource::None,
    max_bytes: 8192,
};

/// An agent's signature that has the right form. Wants the agent's directory.
#[derive(Debug)]
pub struct AgentSignature {
    signature: HttpSignature,
    agent: Origin,
    keyid: Jkt,
}

impl AgentSignature {
    /// Reads the signature of an agent.
    ///
    /// # Errors
    /// As [`HttpSignature::read`]; `httpsig.coverage` if `Signature-Agent` is not covered;
    /// `httpsig.key` if it names no origin that may be asked, or `keyid` is no thumbprint.
    pub fn read(request: SignedRequest<'_>, now: UnixTime) -> Result<Self, Rejection> {
        let signature = HttpSignature::read(&RULES, request, now)?;
        let agent = agent(&signature, request.fields)?;
        let keyid = signature
            .keyid()
            .and_then(|keyid| keyid.parse().ok())
            .ok_or_else(|| {
                Rejection::new(Cause::HttpsigKey).expected("`keyid` is a JWK thumbprint")
            })?;
        Ok(Self {
            signature,
            agent,
            keyid,
        })
    }

    /// The origin the agent says it is of. It has shown nothing yet.
    #[must_use]
    pub const fn claimed_agent(&self) -> &Origin {
        &self.agent
    }

    /// The thumbprint of the key the signature says it is by.
    #[must_use]
    pub const fn keyid(&self) -> Jkt {
        self.keyid
    }

    /// Verifies with the directory of [`AgentSignature::claimed_agent`].
    ///
    /// # Errors
    /// `httpsig.key_unknown` if the directory is another's or does not have the key;
    /// `httpsig.alg`, `httpsig.signature.invalid`.
    pub fn verify(self, directory: &AgentDirectory) -> Result<VerifiedAgent, Rejection> {
        let unknown = || Rejection::new(Cause::HttpsigKeyUnknown).got(self.keyid.to_string());
        if directory.agent != self.agent {
            return Err(unknown());
        }
        let key = directory.key(self.keyid).ok_or_else(unknown)?;
        let verified = self.signature.verify(key)?;
        Ok(VerifiedAgent {
            agent: self.agent,
            jkt: self.keyid,
            nonce: verified.signature().nonce().map(str::to_owned),
            taken_until: verified.signature().taken_until(),
            content: verified.signature().content_digest().cloned(),
        })
    }
}

/// An agent that signed this request with a key its origin publishes. Only
/// [`AgentSignature::verify`] makes one.
///
/// ```compile_fail
/// use keybound_proto::signature::agent::VerifiedAgent;
/// fn forge(agent: keybound_proto::uri::Origin) -> VerifiedAgent {
///     VerifiedAgent { agent }
/// }
/// ```
#[derive(Debug)]
pub struct VerifiedAgent {
    agent: Origin,
    jkt: Jkt,
    nonce: Option<String>,
    taken_until: Option<UnixTime>,
    content: Option<ExpectedDigest>,
}

impl VerifiedAgent {
    /// What the content must hash to, if the signature covers its digest. Then it must be checked
    /// before anything acts on it.
    #[must_use]
    pub const fn content_digest(&self) -> Option<&ExpectedDigest> {
        self.content.as_ref()
    }

    /// The agent's origin: its identity.
    #[must_use]
    pub const fn agent(&self) -> &Origin {
        &self.agent
    }

    /// The key it signed with.
    #[must_use]
    pub const fn jkt(&self) -> Jkt {
        self.jkt
    }

    /// The nonce, if the signature has one.
    #[must_use]
    pub fn nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }

    /// The first second at which the signature is not taken any more.
    #[must_use]
    pub const fn taken_until(&self) -> Option<UnixTime> {
        self.taken_until
    }
}

/// The keys an agent's origin publishes and that signed the directory.
#[derive(Clone, Debug)]
pub struct AgentDirectory {
    agent: Origin,
    keys: Vec<PublicKey>,
}

impl AgentDirectory {
    /// Reads the response to a request for [`DIRECTORY_PATH`] at an agent's origin. Keys of kinds
    /// that are not known here, and keys that did not sign the response, are left out.
    ///
    /// # Errors
    /// `httpsig.key` if the content is no directory or no key of it counts.
    pub fn read(
        agent: &Origin,
        response: (u16, &dyn FieldLines),
        content: &[u8],
        now: UnixTime,
    ) -> Result<Self, Rejection> {
        let published = published(content, now)?;
        let (status, fields) = response;
        let response = SignedResponse {
            status,
            fields,
            trailers: None,
            request: Some(SignedRequest {
                method: "GET",
                origin: agent,
                request_target: DIRECTORY_PATH,
                fields: &(),
                trailers: None,
            }),
        };
        let mut keys = Vec::new();
        for key in published {
            if signed_by(&key, &response, content, now).is_ok() {
                keys.push(key);
            }
        }
        if keys.is_empty() {
            return Err(Rejection::new(Cause::HttpsigKey)
                .expected("a directory that its keys signed")
                .got(agent.as_str()));
        }
        Ok(Self {
            agent: agent.clone(),
            keys,
        })
    }

    /// The origin whose directory it is.
    #[must_use]
    pub const fn agent(&self) -> &Origin {
        &self.agent
    }

    /// The key with this thumbprint.
    #[must_use]
    pub fn key(&self, jkt: Jkt) -> Option<&PublicKey> {
        self.keys.iter().find(|key| key.thumbprint() == jkt)
    }
}

/// The member of `Signature-Agent` that is covered: of the dictionary the one whose key the
/// component names, else the string that the older form has for the whole field.
fn agent(signature: &HttpSignature, fields: &dyn FieldLines) -> Result<Origin, Rejection> {
    let mut covered = signature
        .covered()
        .iter()
        .filter(|component| component.name() == SIGNATURE_AGENT);
    let (Some(component), None) = (covered.next(), covered.next()) else {
        return Err(Rejection::new(Cause::HttpsigCoverage).expected(SIGNATURE_AGENT));
    };
    let lines = fields.lines(SIGNATURE_AGENT);
    let item = match component.key() {
        Some(key) => Dictionary::parse(&lines, 8)
            .ok()
            .filter(|dictionary| !dictionary.is_repeated())
            .and_then(|dictionary| dictionary.get(key)?.as_item().cloned()),
        None => Item::parse(&lines.join(&b", "[..])).ok(),
    };
    item.as_ref()
        .filter(|item| is_directory(item))
        .and_then(|item| item.value.as_string())
        .and_then(|text| Origin::parse(text).ok())
        .filter(Origin::is_confidential)
        .ok_or_else(|| {
            Rejection::new(Cause::HttpsigKey).expected("`Signature-Agent` is an https origin")
        })
}

/// The only type of key source that is read, and the default.
fn is_directory(item: &Item) -> bool {
    item.parameters.get("type").is_none_or(|value| {
        value.as_token() == Some("directory") || value.as_string() == Some("directory")
    })
}

/// The keys of a directory that are in force.
fn published(content: &[u8], now: UnixTime) -> Result<Vec<PublicKey>, Rejection> {
    let malformed = || Rejection::new(Cause::HttpsigKey).expected("a JSON Web Key Set");
    if content.len() > MAX_DIRECTORY_BYTES {
        return Err(malformed().got(format!("{} bytes", content.len())));
    }
    let document = json::Object::parse(content).map_err(|_| malformed())?;
    let keys = document
        .array("keys")
        .ok()
        .flatten()
        .ok_or_else(malformed)?;
    let in_force = |key: &json::Object<'_>| {
        let begins = key.unsigned("nbf").ok()?.unwrap_or_default();
        let ends = key.unsigned("exp").ok()?.unwrap_or(u64::MAX);
        (begins <= now.as_secs() && now.as_secs() < ends).then_some(())
    };
    Ok(keys
        .iter()
        .take(MAX_KEYS)
        .filter_map(json::Value::as_object)
        .filter(|key| in_force(key).is_some())
        .filter_map(|key| PublicKey::from_jwk_object(key).ok())
        .collect())
}

/// Whether this key signed the directory's response.
fn signed_by(
    key: &PublicKey,
    response: &SignedResponse<'_>,
    content: &[u8],
    now: UnixTime,
) -> Result<(), Rejection> {
    let keyid = key.thumbprint().to_string();
    let rules = SignatureRules {
        select: Select::KeyId(&keyid),
        cover: const {
            &[
                Cover::always("@authority").of_request(),
                Cover::always("content-digest"),
            ]
        },
        require: &["created", "expires", "tag"],
        max_lifetime: None,
        window: ProofWindow {
            past: u64::MAX / 2,
            ahead: 0,
        },
        ..RULES
    };
    let signature = HttpSignature::read(&rules, *response, now)?;
    if signature.text_parameter("tag") != Some(DIRECTORY_TAG) {
        return Err(Rejection::new(Cause::HttpsigAbsent).expected(DIRECTORY_TAG));
    }
    let digest = signature
        .content_digest()
        .cloned()
        .ok_or(Cause::DigestAbsent)?;
    signature.verify(key)?;
    digest.check(content)?;
    Ok(())
}

#[cfg(test)]
mod tests;
