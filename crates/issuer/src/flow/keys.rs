//! A client's public keys, from an inline JWK Set (RFC 7517 section 5).
//!
//! Private and symmetric members are refused, and no value of the set is ever
//! put into an error: a client that sends its private key by mistake must not
//! find it in our logs. `jwks_uri` does not exist here.

use keybound_proto::cause::Cause;
use keybound_proto::jose::{Algorithm, AlgorithmSet, JwkError, PublicKey};
use keybound_proto::json::{self, Object, Value};
use keybound_proto::rejection::Rejection;
use keybound_proto::token::assertion::ClientKey;

/// The most keys one client may have. Bounds the signature checks an assertion
/// without `kid` can cost.
pub const MAX_KEYS: usize = 8;
/// The longest `kid`, in bytes.
const MAX_KID_BYTES: usize = 128;

/// What a client signs its assertions with.
#[derive(Clone, Debug)]
pub struct ClientKeys {
    /// One to eight keys.
    pub keys: Vec<ClientKey>,
    /// The `alg` of each key, where its JWK names one.
    named: Vec<Option<Algorithm>>,
    /// The algorithms these keys and their `alg` members leave of those that
    /// are configured. Never empty.
    pub algorithms: AlgorithmSet,
}

impl ClientKeys {
    /// Reads a client's JWK Set; every key in it must be usable.
    ///
    /// # Errors
    /// [`Cause::RegistrationMetadata`] naming what is wrong, without the key.
    pub fn read(jwks: &Object<'_>, allowed: AlgorithmSet) -> Result<Self, Rejection> {
        let Some(Value::Array(items)) = jwks.get("keys") else {
            return Err(refuse("an array `keys`"));
        };
        if items.is_empty() || items.len() > MAX_KEYS {
            return Err(refuse("one to eight keys"));
        }
        let mut read = Self {
            keys: Vec::with_capacity(items.len()),
            named: Vec::with_capacity(items.len()),
            algorithms: AlgorithmSet::of(&[]),
        };
        for item in items {
            let (key, named) = read_key(item)?;
            read.push(key, named, allowed)?;
        }
        Ok(read)
    }

    /// Holds the keys to one algorithm (`token_endpoint_auth_signing_alg` of
    /// RFC 7591) and drops those that cannot make such signatures; `None` where
    /// none is left.
    #[must_use]
    pub fn limited_to(self, algorithm: Algorithm) -> Option<Self> {
        let only = AlgorithmSet::of(&[algorithm]);
        let mut limited = Self {
            keys: Vec::new(),
            named: Vec::new(),
            algorithms: AlgorithmSet::of(&[]),
        };
        if !self.algorithms.contains(algorithm) {
            return None;
        }
        for (key, named) in self.keys.into_iter().zip(self.named) {
            if named.is_none_or(|named| named == algorithm) && key.key.supports(algorithm) {
                limited.push(key, Some(algorithm), only).ok()?;
            }
        }
        (!limited.keys.is_empty()).then_some(limited)
    }

    /// The set as JSON, in our own spelling: public members, `kid` and `alg`.
    #[must_use]
    pub fn to_jwks(&self) -> String {
        let keys: Vec<String> = self
            .keys
            .iter()
            .zip(&self.named)
            .map(|(key, named)| to_jwk(key, *named))
            .collect();
        format!("{{\"keys\":[{}]}}", keys.join(","))
    }

    fn push(
        &mut self,
        key: ClientKey,
        named: Option<Algorithm>,
        allowed: AlgorithmSet,
    ) -> Result<(), Rejection> {
        let same_name = |known: &ClientKey| known.kid.is_some() && known.kid == key.kid;
        if self.keys.iter().any(same_name) {
            return Err(refuse("a `kid` of its own for every key"));
        }
        let usable = |algorithm: &Algorithm| {
            key.key.supports(*algorithm) && named.is_none_or(|named| named == *algorithm)
        };
        let mut algorithms = allowed.iter().filter(usable).peekable();
        if algorithms.peek().is_none() {
            return Err(refuse("keys for the algorithms of the metadata"));
        }
        self.algorithms = self.algorithms.iter().chain(algorithms).collect();
        self.keys.push(key);
        self.named.push(named);
        Ok(())
    }
}

fn to_jwk(key: &ClientKey, named: Option<Algorithm>) -> String {
    let mut jwk = key.key.to_jwk();
    let mut member = |name: &str, value: &str| {
        // INVARIANT: `to_jwk` is an object with members, so a comma is due.
        jwk.truncate(jwk.len() - 1);
        jwk.push_str(&format!(",\"{name}\":{}}}", json::quote(value)));
    };
    if let Some(algorithm) = named {
        member("alg", algorithm.name());
    }
    if let Some(kid) = &key.kid {
        member("kid", kid);
    }
    jwk
}

fn read_key(item: &Value<'_>) -> Result<(ClientKey, Option<Algorithm>), Rejection> {
    let Value::Object(jwk) = item else {
        return Err(refuse("JWK objects"));
    };
    let key = PublicKey::from_jwk_object(jwk).map_err(|error| refuse(key_error(&error)))?;
    match text(jwk, "use")? {
        None | Some("sig") => {}
        Some(_) => return Err(refuse("`use` absent or `sig`")),
    }
    let kid = text(jwk, "kid")?;
    if kid.is_some_and(|kid| kid.is_empty() || kid.len() > MAX_KID_BYTES) {
        return Err(refuse("`kid` of 1 to 128 bytes"));
    }
    let named = match text(jwk, "alg")? {
        None => None,
        Some(name) => Some(
            Algorithm::from_name(name)
                .filter(|algorithm| key.supports(*algorithm))
                .ok_or_else(|| refuse("an `alg` that fits the key"))?,
        ),
    };
    let kid = kid.map(ToOwned::to_owned);
    Ok((ClientKey { kid, key }, named))
}

const fn key_error(error: &JwkError) -> &'static str {
    match error {
        JwkError::PrivateMember => {
            "public members only; treat the private key that was sent as exposed"
        }
        _ => "EC P-256, P-384, Ed25519 or RSA (2048 to 4096 bits) public keys",
    }
}

fn text<'r>(jwk: &'r Object<'_>, name: &'static str) -> Result<Option<&'r str>, Rejection> {
    jwk.string(name)
        .map_err(|_| refuse("`kid`, `alg` and `use` as strings"))
}

fn refuse(expected: &str) -> Rejection {
    Rejection::new(Cause::RegistrationMetadata).expected(format!("jwks: {expected}"))
}
