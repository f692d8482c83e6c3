//! Trust bundles: the keys and certificates that may speak for a trust domain
//! (SPIFFE Trust Domain and Bundle section 4; a plain JWK set for WIMSE).
//!
//! A bundle is a JWK set. `use` says what an entry is for: `x509-svid`, `jwt-svid` or
//! `wit-svid`; entries of another use or an unknown key type are left out, as the
//! document asks. `spiffe_sequence` only ever grows, and `spiffe_refresh_hint` says
//! how often to ask for the next one. Duplicate members are refused anywhere, so two
//! readers cannot see two bundles; so are two entries of one use and `kid`.
//!
//! A bundle without entries is a valid one: it invalidates every credential of its
//! trust domain. This module fetches nothing and keeps no history.

use std::collections::HashSet;
use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::identity_token::{WorkloadIdentityToken, WorkloadProfile, WorkloadTokenRules};
use super::{IdentifierError, TrustDomain};
use crate::cause::Cause;
use crate::jose::{Algorithm, MAX_KID_BYTES, PublicKey};
use crate::json::{self, JsonError, Object, Value};
use crate::rejection::Rejection;
use crate::time::UnixTime;
use crate::token::AccessToken;

/// The most entries of one bundle that are taken.
pub const MAX_BUNDLE_ENTRIES: usize = 64;

/// Why a text is no acceptable bundle. It holds nothing of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleError {
    /// Two entries for one use have the same `kid`.
    DuplicateKeyId,
    /// The name of a trust domain in a map is none.
    Identifier(IdentifierError),
    /// Not strict JSON.
    Json(JsonError),
    /// A member that must be there is missing or of the wrong type.
    Member {
        /// The member's name.
        member: &'static str,
    },
    /// More than [`MAX_BUNDLE_ENTRIES`] entries.
    TooManyEntries,
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateKeyId => f.write_str("the bundle has two keys with one `kid`"),
            Self::Identifier(error) => write!(f, "the bundle map names no trust domain: {error}"),
            Self::Json(error) => write!(f, "the bundle is not acceptable: {error}"),
            Self::Member { member } => {
                write!(
                    f,
                    "the bundle's member `{member}` is missing or of the wrong type"
                )
            }
            Self::TooManyEntries => {
                write!(f, "the bundle has more than {MAX_BUNDLE_ENTRIES} entries")
            }
        }
    }
}

impl std::error::Error for BundleError {}

/// What a set of keys is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// Identity tokens (WIT-SVID).
    IdentityToken,
    /// JWT-SVIDs.
    Jwt,
}

impl KeyUse {
    const fn name(self) -> &'static str {
        match self {
            Self::IdentityToken => "wit-svid",
            Self::Jwt => "jwt-svid",
        }
    }
}

/// One key of a trust domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleKey {
    kid: Option<String>,
    algorithm: Option<Algorithm>,
    key: PublicKey,
}

impl BundleKey {
    /// `kid`.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    pub(super) fn is_for(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        self.key.supports(algorithm)
            && self.algorithm.is_none_or(|own| own == algorithm)
            && kid.is_none_or(|kid| self.kid() == Some(kid))
    }
}

/// What may speak for one trust domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustBundle {
    identity_token_keys: Vec<BundleKey>,
    jwt_keys: Vec<BundleKey>,
    authorities: Vec<Vec<u8>>,
    sequence: Option<u64>,
    refresh_hint: Option<u64>,
}

impl TrustBundle {
    /// Parses a bundle. In the WIMSE profile, an entry without `use` or with `sig` is a key for
    /// identity tokens; in SPIFFE every entry says what it is for.
    ///
    /// # Errors
    /// [`BundleError`]; the bundle in force must then stay.
    pub fn parse(text: &[u8], profile: WorkloadProfile) -> Result<Self, BundleError> {
        let document = Object::parse(text).map_err(BundleError::Json)?;
        Self::read(&document, profile)
    }

    fn read(document: &Object<'_>, profile: WorkloadProfile) -> Result<Self, BundleError> {
        let member = |member| move |_| BundleError::Member { member };
        let keys = document
            .array("keys")
            .map_err(member("keys"))?
            .ok_or(BundleError::Member { member: "keys" })?;
        if keys.len() > MAX_BUNDLE_ENTRIES {
            return Err(BundleError::TooManyEntries);
        }
        let mut bundle = Self {
            sequence: document
                .unsigned("spiffe_sequence")
                .map_err(member("spiffe_sequence"))?,
            refresh_hint: document
                .unsigned("spiffe_refresh_hint")
                .map_err(member("spiffe_refresh_hint"))?,
            ..Self::default()
        };
        for entry in keys {
            let entry = entry
                .as_object()
                .ok_or(BundleError::Member { member: "keys" })?;
            bundle.add(entry, profile);
        }
        check_key_ids(&bundle.identity_token_keys)?;
        check_key_ids(&bundle.jwt_keys)?;
        Ok(bundle)
    }

    /// Takes an entry in; one that cannot be used is left out, so that a new kind of key does
    /// not make a whole bundle unreadable.
    fn add(&mut self, entry: &Object<'_>, profile: WorkloadProfile) {
        match (entry.string("use"), profile) {
            (Ok(Some("x509-svid")), _) => self.authorities.extend(authority(entry)),
            (Ok(Some("jwt-svid")), _) => self.jwt_keys.extend(named_key(entry)),
            (Ok(Some("wit-svid")), _) => self.identity_token_keys.extend(named_key(entry)),
            (Ok(None | Some("sig")), WorkloadProfile::Wimse) => {
                self.identity_token_keys.extend(key(entry));
            }
            (Ok(_) | Err(_), _) => {}
        }
    }

    /// Adds a certificate authority in DER, as the Workload API hands them out.
    pub fn add_authority(&mut self, der: Vec<u8>) {
        self.authorities.push(der);
    }

    /// Adds the keys of a plain JWK set that is for one use, as the Workload API hands them out:
    /// entries name that use or none.
    ///
    /// # Errors
    /// [`BundleError`]
    pub fn add_keys(&mut self, text: &[u8], purpose: KeyUse) -> Result<(), BundleError> {
        let document = Object::parse(text).map_err(BundleError::Json)?;
        let member = BundleError::Member { member: "keys" };
        let entries = document.array("keys").map_err(|_| member)?.ok_or(member)?;
        let keys = match purpose {
            KeyUse::IdentityToken => &mut self.identity_token_keys,
            KeyUse::Jwt => &mut self.jwt_keys,
        };
        if entries.len().saturating_add(keys.len()) > MAX_BUNDLE_ENTRIES {
            return Err(BundleError::TooManyEntries);
        }
        for entry in entries.iter().filter_map(Value::as_object) {
            match entry.string("use") {
                Ok(None) => keys.extend(named_key(entry)),
                Ok(Some(named)) if named == purpose.name() => keys.extend(named_key(entry)),
                Ok(Some(_)) | Err(_) => {}
            }
        }
        check_key_ids(keys)
    }

    /// Keys of identity tokens.
    #[must_use]
    pub fn identity_token_keys(&self) -> &[BundleKey] {
        &self.identity_token_keys
    }

    /// Keys of JWT-SVIDs.
    #[must_use]
    pub fn jwt_keys(&self) -> &[BundleKey] {
        &self.jwt_keys
    }

    /// Whether this very key is one of those for identity tokens: for tokens verified earlier.
    #[must_use]
    pub fn has_identity_token_key(&self, key: &PublicKey) -> bool {
        self.identity_token_keys.iter().any(|held| held.key == *key)
    }

    /// Certificate authorities, each in DER.
    #[must_use]
    pub fn authorities(&self) -> &[Vec<u8>] {
        &self.authorities
    }

    /// `spiffe_sequence`.
    #[must_use]
    pub const fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// `spiffe_refresh_hint`, in seconds.
    #[must_use]
    pub const fn refresh_hint(&self) -> Option<u64> {
        self.refresh_hint
    }

    /// Whether nothing in the bundle can vouch for anybody.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.identity_token_keys.is_empty()
            && self.jwt_keys.is_empty()
            && self.authorities.is_empty()
    }

    /// Whether this bundle may take the place of `held`: its sequence is not lower, and not
    /// gone.
    #[must_use]
    pub fn may_follow(&self, held: &Self) -> bool {
        self.sequence >= held.sequence
    }

    /// Verifies an identity token with this bundle's keys: the one with its `kid`, or, where
    /// the rules let a token name none, each that fits its algorithm. Gives the key that signed
    /// as well.
    ///
    /// # Errors
    /// A [`Rejection`] with a `wimse.wit.*` cause.
    pub fn verify(
        &self,
        token: &WorkloadIdentityToken<'_>,
        rules: &WorkloadTokenRules,
        now: UnixTime,
    ) -> Result<(AccessToken, PublicKey), Rejection> {
        let candidates = self
            .identity_token_keys
            .iter()
            .filter(|key| key.is_for(token.kid(), token.algorithm()));
        let mut outcome = Err(no_key(token, rules));
        for candidate in candidates {
            outcome = token
                .verify(rules, candidate.key(), now)
                .map(|verified| (verified, candidate.key().clone()));
            let other_key = outcome
                .as_ref()
                .is_err_and(|rejection| rejection.cause() == Cause::WitSignatureInvalid);
            if !other_key {
                break;
            }
        }
        outcome
    }

    /// Parses a bundle map (SPIFFE Trust Domain and Bundle section 4.3): the bundle of each trust
    /// domain of the scheme `spiffe`.
    ///
    /// # Errors
    /// [`BundleError`]; two bundles for one trust domain are not strict JSON.
    pub fn parse_map(text: &[u8]) -> Result<Vec<(TrustDomain, Self)>, BundleError> {
        let member = BundleError::Member {
            member: "trust_domains",
        };
        let document = Object::parse(text).map_err(BundleError::Json)?;
        let domains = document.object("trust_domains").map_err(|_| member)?;
        domains
            .ok_or(member)?
            .iter()
            .map(|(name, value)| {
                let domain =
                    TrustDomain::new(super::SPIFFE, name).map_err(BundleError::Identifier)?;
                let bundle = value.as_object().ok_or(member)?;
                Ok((domain, Self::read(bundle, WorkloadProfile::Spiffe)?))
            })
            .collect()
    }
}

/// Why no key was even tried; faults of the token that need no key come first.
fn no_key(token: &WorkloadIdentityToken<'_>, rules: &WorkloadTokenRules) -> Rejection {
    token.check_rules(rules).err().unwrap_or_else(|| {
        Rejection::new(Cause::WitKeyUnknown)
            .got(token.kid().map_or_else(|| "no kid".to_owned(), json::quote))
    })
}

/// `x5c` of a certificate authority has one certificate (section 4.2.2).
fn authority(entry: &Object<'_>) -> Option<Vec<u8>> {
    match entry.array("x5c").ok().flatten()? {
        [Value::String(text)] => STANDARD.decode(text.as_bytes()).ok(),
        _ => None,
    }
}

fn named_key(entry: &Object<'_>) -> Option<BundleKey> {
    key(entry).filter(|key| key.kid.is_some())
}

fn key(entry: &Object<'_>) -> Option<BundleKey> {
    let kid = entry.string("kid").ok()?;
    if kid.is_some_and(|kid| kid.is_empty() || kid.len() > MAX_KID_BYTES) {
        return None;
    }
    let algorithm = match entry.string("alg").ok()? {
        Some(name) => Some(Algorithm::from_name(name)?),
        None => None,
    };
    let key = PublicKey::from_jwk_object(entry).ok()?;
    if algorithm.is_some_and(|algorithm| !key.supports(algorithm)) {
        return None;
    }
    Some(BundleKey {
        kid: kid.map(str::to_owned),
        algorithm,
        key,
    })
}

fn check_key_ids(keys: &[BundleKey]) -> Result<(), BundleError> {
    let mut seen = HashSet::new();
    if keys
        .iter()
        .filter_map(BundleKey::kid)
        .all(|kid| seen.insert(kid))
    {
        Ok(())
    } else {
        Err(BundleError::DuplicateKeyId)
    }
}

#[cfg(test)]
mod tests {
    use super::{BundleError, BundleKey, KeyUse, TrustBundle};
    use crate::json::JsonError;
    use crate::workload::{TrustDomain, WorkloadProfile};

    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn entry(members: &str) -> String {
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}"{members}}}"#)
    }

    fn parse(keys: &[String], profile: WorkloadProfile) -> Result<TrustBundle, BundleError> {
        let text = format!(r#"{{"keys":[{}],"spiffe_sequence":7}}"#, keys.join(","));
        TrustBundle::parse(text.as_bytes(), profile)
    }

    #[test]
    fn what_is_no_bundle_is_refused() {
        let refused =
            |text: &str| TrustBundle::parse(text.as_bytes(), WorkloadProfile::Spiffe).unwrap_err();
        assert_eq!(refused("{}"), BundleError::Member { member: "keys" });
        assert_eq!(
            refused(r#"{"keys":{}}"#),
            BundleError::Member { member: "keys" }
        );
        assert_eq!(
            refused(r#"{"keys":[1]}"#),
            BundleError::Member { member: "keys" }
        );
        assert_eq!(
            refused(r#"{"keys":[],"spiffe_sequence":"7"}"#),
            BundleError::Member {
                member: "spiffe_sequence"
            }
        );
        assert_eq!(
            refused(r#"{"keys":[],"spiffe_refresh_hint":-1}"#),
            BundleError::Member {
                member: "spiffe_refresh_hint"
            }
        );
        assert_eq!(
            refused(r#"{"keys":[],"keys":[]}"#),
            BundleError::Json(JsonError::DuplicateMember)
        );
        let many = vec![entry(""); 65];
        assert_eq!(
            parse(&many, WorkloadProfile::Spiffe),
            Err(BundleError::TooManyEntries)
        );
        let twice = [
            entry(r#","kid":"a","use":"wit-svid""#),
            entry(r#","kid":"a","use":"wit-svid""#),
        ];
        assert_eq!(
            parse(&twice, WorkloadProfile::Spiffe),
            Err(BundleError::DuplicateKeyId)
        );
    }

    #[test]
    fn keys_serve_only_the_use_they_name() {
        let keys = [
            entry(r#","kid":"a","use":"wit-svid""#),
            entry(r#","kid":"a","use":"jwt-svid""#),
            entry(r#","use":"wit-svid""#),
            entry(r#","kid":"b""#),
            entry(r#","kid":"c","use":"sig""#),
            entry(r#","kid":"d","use":"enc""#),
            entry(r#","kid":"e","use":7"#),
            entry(r#","kid":"f","use":"wit-svid","alg":"ES256""#),
            entry(r#","kid":"","use":"wit-svid""#),
            r#"{"kty":"new","kid":"g","use":"wit-svid"}"#.to_owned(),
        ];
        let kids = |bundle: &TrustBundle| {
            let keys = bundle.identity_token_keys();
            let kids: Vec<_> = keys.iter().map(|key| key.kid().unwrap_or("-")).collect();
            kids.join(" ")
        };
        let spiffe = parse(&keys, WorkloadProfile::Spiffe).unwrap();
        assert_eq!(kids(&spiffe), "a");
        assert_eq!(spiffe.jwt_keys().len(), 1);
        let wimse = parse(&keys, WorkloadProfile::Wimse).unwrap();
        assert_eq!(kids(&wimse), "a b c");
    }

    #[test]
    fn a_set_for_one_use_takes_no_key_of_another() {
        let keys = [
            entry(r#","kid":"a""#),
            entry(r#","kid":"b","use":"jwt-svid""#),
            entry(r#","kid":"c","use":"sig""#),
            entry(""),
        ];
        let set = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
        let mut bundle = TrustBundle::default();
        bundle.add_keys(set.as_bytes(), KeyUse::Jwt).unwrap();
        let kids: Vec<_> = bundle
            .jwt_keys()
            .iter()
            .filter_map(BundleKey::kid)
            .collect();
        assert_eq!(kids, ["a", "b"]);
        bundle
            .add_keys(set.as_bytes(), KeyUse::IdentityToken)
            .unwrap();
        assert_eq!(bundle.identity_token_keys().len(), 1);
        assert_eq!(
            bundle.add_keys(set.as_bytes(), KeyUse::Jwt),
            Err(BundleError::DuplicateKeyId)
        );
        assert!(bundle.add_keys(b"{}", KeyUse::Jwt).is_err());
    }

    #[test]
    fn certificate_authorities_are_one_certificate_each() {
        let keys = [
            entry(r#","use":"x509-svid","x5c":["AAEC"]"#),
            entry(r#","use":"x509-svid","x5c":["AAEC","AAEC"]"#),
            entry(r#","use":"x509-svid","x5c":[]"#),
            entry(r#","use":"x509-svid","x5c":["-_-_"]"#),
            entry(r#","use":"x509-svid""#),
        ];
        let bundle = parse(&keys, WorkloadProfile::Spiffe).unwrap();
        assert_eq!(bundle.authorities(), [vec![0, 1, 2]]);
    }

    #[test]
    fn a_sequence_never_goes_back() {
        let at = |sequence: &str| {
            let text = format!(r#"{{"keys":[]{sequence}}}"#);
            TrustBundle::parse(text.as_bytes(), WorkloadProfile::Spiffe).unwrap()
        };
        let held = at(r#","spiffe_sequence":7"#);
        assert!(!at(r#","spiffe_sequence":6"#).may_follow(&held));
        assert!(!at("").may_follow(&held));
        assert!(at(r#","spiffe_sequence":7"#).may_follow(&held));
        assert!(at(r#","spiffe_sequence":8"#).may_follow(&held));
        assert!(at("").may_follow(&at("")));
        assert!(at("").is_empty());
    }

    #[test]
    fn a_map_names_each_trust_domain_once() {
        let refused =
            |text: &str| TrustBundle::parse_map(text.as_bytes()).expect_err("a refused map");
        assert_eq!(
            refused(r#"{"trust_domains":{"example.org":{"keys":[]},"example.org":{"keys":[]}}}"#),
            BundleError::Json(JsonError::DuplicateMember)
        );
        assert!(matches!(
            refused(r#"{"trust_domains":{"Example.org":{"keys":[]}}}"#),
            BundleError::Identifier(_)
        ));
        assert!(matches!(refused("{}"), BundleError::Member { .. }));
        let map = br#"{"trust_domains":{"example.org":{"keys":[],"spiffe_refresh_hint":60}}}"#;
        let map = TrustBundle::parse_map(map).unwrap();
        let [(domain, bundle)] = map.as_slice() else {
            panic!("one bundle");
        };
        assert_eq!(*domain, TrustDomain::new("spiffe", "example.org").unwrap());
        assert_eq!(bundle.refresh_hint(), Some(60));
    }
}
