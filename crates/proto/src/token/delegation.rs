//! What a token says about how the rights of its subject came to its holder: the actors
//! (`act`), the party that may become one (`may_act`, RFC 8693 sections 4.1 and 4.4), and the
//! tokens it was made from.
//!
//! The last is a claim of our own ([`ANCESTORS`]): handles of the tokens and grants that the
//! token descends from, the root first. Whoever refuses a revoked handle refuses its
//! descendants by it, so that revoking a root revokes the tree.
//!
//! Whether a delegation is allowed is not decided here.

use super::actor::{self, Actor};
use super::claims::missing;
use crate::json::{Object, Value};
use crate::json_text::ObjectText;
use crate::rejection::Rejection;

/// The claim that names what a token descends from, the root first (RFC 7519 section 4.2).
pub const ANCESTORS: &str = "urn:keybound:ancestors";

/// The most ancestors of one token. Longer chains are refused, not cut.
pub const MAX_ANCESTORS: usize = 16;

/// How a token came about. Empty for one that its own subject asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delegation {
    /// `act`: who acts for the subject, the current actor first.
    pub actors: Vec<Actor>,
    /// Handles of the tokens and grants it descends from, the root first.
    pub ancestors: Vec<String>,
    /// `may_act`: who may become the actor by exchanging the token.
    pub may_act: Option<Actor>,
}

impl Delegation {
    /// Reads the claims; empty where there are none.
    ///
    /// # Errors
    /// `token.claim.invalid` for a member of the wrong type, an empty handle, and for chains of
    /// more than [`super::MAX_ACTORS`] actors or [`MAX_ANCESTORS`] ancestors.
    pub(super) fn read(claims: &Object<'_>) -> Result<Self, Rejection> {
        Ok(Self {
            actors: actor::read(claims)?,
            ancestors: ancestors(claims)?,
            may_act: actor::read_one(claims, "may_act")?,
        })
    }

    /// What a record says: the members as [`Delegation::act`] wrote them, and the ancestors beside
    /// them.
    ///
    /// # Errors
    /// As a token's claims; also `token.claim.invalid` for text that is no JSON object.
    pub fn recorded(act: Option<&str>, ancestors: &[String]) -> Result<Self, Rejection> {
        let read = match act {
            None => Self::default(),
            Some(text) => {
                let claims = Object::parse(text.as_bytes()).map_err(|_| missing("act"))?;
                Self::read(&claims)?
            }
        };
        Ok(Self {
            ancestors: ancestors.to_vec(),
            ..read
        })
    }

    /// `act` and `may_act` as a JSON object, for whoever answers questions about the token; `None`
    /// where there is neither.
    #[must_use]
    pub fn act(&self) -> Option<String> {
        if self.actors.is_empty() && self.may_act.is_none() {
            return None;
        }
        let shown = Self {
            ancestors: Vec::new(),
            ..self.clone()
        };
        Some(shown.write(ObjectText::new()).finish())
    }

    pub(super) fn write(&self, text: ObjectText) -> ObjectText {
        let text = match actor::chain(&self.actors) {
            Some(act) => text.raw("act", &act),
            None => text,
        };
        let text = match &self.may_act {
            Some(actor) => text.raw("may_act", &actor::one(actor).finish()),
            None => text,
        };
        if self.ancestors.is_empty() {
            text
        } else {
            text.strings(ANCESTORS, &self.ancestors)
        }
    }
}

fn ancestors(claims: &Object<'_>) -> Result<Vec<String>, Rejection> {
    let handles = match claims.get(ANCESTORS) {
        None => return Ok(Vec::new()),
        Some(Value::Array(handles)) if handles.len() <= MAX_ANCESTORS => handles,
        Some(_) => return Err(missing(ANCESTORS)),
    };
    let read = |value: &Value<'_>| {
        let Value::String(handle) = value else {
            return None;
        };
        (!handle.is_empty()).then(|| handle.as_ref().to_owned())
    };
    let read: Option<Vec<String>> = handles.iter().map(read).collect();
    read.ok_or_else(|| missing(ANCESTORS))
}

#[cfg(test)]
mod tests {
    use super::{ANCESTORS, Delegation, MAX_ANCESTORS};
    use crate::cause::Cause;
    use crate::jose::Jkt;
    use crate::json::Object;
    use crate::json_text::ObjectText;
    use crate::token::Actor;

    fn read(claims: &str) -> Result<Delegation, Cause> {
        Delegation::read(&Object::parse(claims.as_bytes()).unwrap())
            .map_err(|rejection| rejection.cause())
    }

    #[test]
    fn ancestors_that_cannot_be_read_are_refused() {
        let long = format!("[{}]", vec!["\"tok_a\""; MAX_ANCESTORS + 1].join(","));
        for ancestors in ["1", "\"tok_a\"", "{}", "[1]", "[\"\"]", &long] {
            let claims = format!(r#"{{"{ANCESTORS}":{ancestors}}}"#);
            assert_eq!(read(&claims), Err(Cause::TokenClaimInvalid), "{ancestors}");
        }
        for may_act in ["1", "{}", r#"{"sub":""}"#] {
            let claims = format!(r#"{{"may_act":{may_act}}}"#);
            assert_eq!(read(&claims), Err(Cause::TokenClaimInvalid), "{may_act}");
        }
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let actor = |subject: &str, jkt: Option<[u8; 32]>| Actor {
            subject: subject.to_owned(),
            issuer: None,
            jkt: jkt.map(Jkt::from_bytes),
        };
        let delegation = Delegation {
            actors: vec![actor("now", Some([1; 32])), actor("before", None)],
            ancestors: vec!["grt_root".to_owned(), "tok_parent".to_owned()],
            may_act: Some(actor("next", None)),
        };
        let text = delegation.write(ObjectText::new()).finish();
        assert_eq!(read(&text).as_ref(), Ok(&delegation));
        let recorded = Delegation::recorded(delegation.act().as_deref(), &delegation.ancestors);
        assert_eq!(recorded.ok(), Some(delegation));
        for act in ["", "[]", r#"{"act":1}"#] {
            assert!(Delegation::recorded(Some(act), &[]).is_err(), "{act}");
        }
        let nothing = Delegation::default().write(ObjectText::new()).finish();
        assert_eq!(nothing, "{}");
        assert_eq!(read(&nothing), Ok(Delegation::default()));
    }
}
