//! What a recorded request says about tokens and proofs.

use keybound_proto::jose::{Algorithm, Jkt, Jws, PublicKey};
use keybound_proto::json::Object;
use keybound_proto::token::TokenHash;
use serde_json::Value;

use super::har::Entry;

/// Longer tokens and proofs are not read.
const MAX_JWT: usize = 32 * 1024;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// With success.
    Served,
    /// With 400, 401 or 403.
    Refused,
    /// With something else, or the archive does not say.
    Unknown,
}

impl Ended {
    pub(super) const fn of(entry: &Entry) -> Self {
        match entry.status {
            Some(200..=299) => Self::Served,
            Some(400 | 401 | 403) => Self::Refused,
            _ => Self::Unknown,
        }
    }
}

/// What an access token is bound to, as far as it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// To the key of this thumbprint.
    Key(Jkt),
    /// By another method, for example to a client certificate.
    Otherwise,
    /// To nothing.
    Nothing,
    /// The token is opaque.
    Unreadable,
}

/// An access token in an `Authorization` header field.
#[derive(Clone, Debug)]
pub(super) struct Presented {
    /// In lower case: `dpop` or `bearer`.
    pub(super) scheme: String,
    pub(super) token: String,
    pub(super) bound: Bound,
}

/// The tokens of a request's `Authorization` header fields.
pub(super) fn presented(entry: &Entry) -> Vec<Presented> {
    let fields = entry.fields("authorization").filter_map(|field| {
        let (scheme, token) = field.split_once(' ')?;
        let scheme = scheme.to_ascii_lowercase();
        let token = token.trim();
        (matches!(scheme.as_str(), "dpop" | "bearer") && !token.is_empty()).then(|| Presented {
            scheme,
            token: token.to_owned(),
            bound: bound(token),
        })
    });
    fields.collect()
}

/// Reads `cnf` of a JWT without verifying it.
pub(super) fn bound(token: &str) -> Bound {
    let Ok(jws) = Jws::parse(token.as_bytes(), MAX_JWT) else {
        return Bound::Unreadable;
    };
    let Ok(claims) = jws.claims() else {
        return Bound::Unreadable;
    };
    let Ok(Some(cnf)) = claims.object("cnf") else {
        return if claims.contains("cnf") {
            Bound::Otherwise
        } else {
            Bound::Nothing
        };
    };
    let jkt = cnf.string("jkt").ok().flatten();
    jkt.and_then(|text| text.parse().ok())
        .map_or(Bound::Otherwise, Bound::Key)
}

/// A proof as it was recorded.
#[derive(Clone, Debug, Default)]
pub(super) struct Proof {
    /// What is wrong with its form, if anything is.
    pub(super) malformed: Option<&'static str>,
    /// Whether its signature verifies; nothing where that cannot be judged.
    pub(super) verifies: Option<bool>,
    pub(super) jkt: Option<Jkt>,
    pub(super) jti: String,
    pub(super) htm: String,
    pub(super) htu: String,
    pub(super) iat: Option<u64>,
    pub(super) ath: Option<String>,
    pub(super) nonce: Option<String>,
    /// Its `jwk` has private members.
    pub(super) private: bool,
}

impl Proof {
    /// Reads a proof; what cannot be read is empty, and `malformed` says why.
    pub(super) fn read(text: &str) -> Self {
        let mut proof = Self::default();
        proof.malformed = proof.fill(text).err();
        proof
    }

    fn fill(&mut self, text: &str) -> Result<(), &'static str> {
        let jws = Jws::parse(text.as_bytes(), MAX_JWT).map_err(|_| "it is no compact JWT")?;
        let header = jws
            .header_object()
            .map_err(|_| "its header is no JSON object")?;
        let claims = jws.claims().map_err(|_| "its claims are no JSON object")?;
        self.claims(&claims);
        let jwk = header.object("jwk").ok().flatten();
        self.private = jwk.is_some_and(|jwk| ["d", "k", "p", "q"].iter().any(|m| jwk.contains(m)));
        if header.string("typ").ok().flatten() != Some("dpop+jwt") {
            return Err("`typ` is not `dpop+jwt`");
        }
        let alg = header.string("alg").ok().flatten();
        let alg = alg.ok_or("it has no `alg`")?;
        if alg.eq_ignore_ascii_case("none") || alg.starts_with("HS") {
            return Err("`alg` is no asymmetric algorithm");
        }
        let jwk = jwk.ok_or("it has no `jwk`")?;
        if self.private {
            return Err("`jwk` has a private member");
        }
        if self.jti.is_empty() || self.htm.is_empty() || self.htu.is_empty() || self.iat.is_none() {
            return Err("one of `jti`, `htm`, `htu` and `iat` is missing");
        }
        // Algorithms and keys that are not known here cannot be judged.
        if let (Some(algorithm), Ok(key)) =
            (Algorithm::from_name(alg), PublicKey::from_jwk_object(jwk))
        {
            self.jkt = Some(key.thumbprint());
            self.verifies = Some(jws.verify(algorithm, &key).is_ok());
        }
        Ok(())
    }

    fn claims(&mut self, claims: &Object<'_>) {
        let text = |name: &str| claims.string(name).ok().flatten().map(str::to_owned);
        self.jti = text("jti").unwrap_or_default();
        self.htm = text("htm").unwrap_or_default();
        self.htu = text("htu").unwrap_or_default();
        self.ath = text("ath");
        self.nonce = text("nonce");
        self.iat = claims.unsigned("iat").ok().flatten();
    }

    /// Whether `ath` is the hash of this token.
    pub(super) fn names_token(&self, token: &str) -> bool {
        self.ath.as_deref() == Some(TokenHash::of(token.as_bytes()).to_ath().as_str())
    }
}

/// The parameters of a form, a query or a fragment, decoded.
pub(super) fn parameters(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (unescaped(name), unescaped(value))
        })
        .collect()
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut ahead = rest.clone();
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                if let (Some(high), Some(low)) = (digit(ahead.next()), digit(ahead.next())) {
                    bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                    rest = ahead;
                } else {
                    bytes.push(byte);
                }
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The form of a request to a token endpoint; nothing for any other request.
pub(super) fn token_request(entry: &Entry) -> Option<Vec<(String, String)>> {
    if entry.method != "POST" || entry.body.len() > 256 * 1024 {
        return None;
    }
    let form = parameters(std::str::from_utf8(&entry.body).ok()?);
    form.iter()
        .any(|(name, _)| name == "grant_type")
        .then_some(form)
}

/// `access_token`, `token_type` and `refresh_token` of a token response (RFC 6749 section 5.1).
pub(super) fn token_answer(entry: &Entry) -> Option<(String, String, Option<String>)> {
    let body: Value = serde_json::from_slice(&entry.answer_body).ok()?;
    let text = |name: &str| body.get(name)?.as_str().map(str::to_owned);
    Some((
        text("access_token")?,
        text("token_type").unwrap_or_default(),
        text("refresh_token"),
    ))
}
