//! `act`: who acts for the subject of a token (RFC 8693 section 4.1).
//!
//! The outermost actor is the current one; those nested in it acted before. An actor's key, where
//! the issuer proved one, stands in a `cnf` of its own (RFC 7800), as `jkt`. Whether a chain is
//! allowed is not decided here: it is what the issuer vouched for, and it is recorded.

use super::claims::missing;
use crate::jose::Jkt;
use crate::json::Object;
use crate::json_text::ObjectText;
use crate::rejection::Rejection;

/// The most actors of one token. Longer chains are refused, not cut.
pub const MAX_ACTORS: usize = 8;

/// One actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// `sub`.
    pub subject: String,
    /// `iss`, where the actor is known to another issuer than the token's.
    pub issuer: Option<String>,
    /// `cnf.jkt`: the key whose possession the actor proved.
    pub jkt: Option<Jkt>,
}

/// Reads the chain; empty where there is none.
///
/// # Errors
/// `token.claim.invalid` for an actor without `sub`, a member of the wrong type, or a chain of
/// more than [`MAX_ACTORS`].
pub(super) fn read(claims: &Object<'_>) -> Result<Vec<Actor>, Rejection> {
    let mut actors = Vec::new();
    let mut next = claims.object("act").map_err(|_| missing("act"))?;
    while let Some(act) = next {
        if actors.len() >= MAX_ACTORS {
            return Err(missing("act of at most 8 actors"));
        }
        actors.push(read_actor(act)?);
        next = act.object("act").map_err(|_| missing("act"))?;
    }
    Ok(actors)
}

/// Reads one actor without others nested in it, from the member `name`.
pub(super) fn read_one(
    claims: &Object<'_>,
    name: &'static str,
) -> Result<Option<Actor>, Rejection> {
    let object = claims.object(name).map_err(|_| missing(name))?;
    object.map(read_actor).transpose()
}

fn read_actor(act: &Object<'_>) -> Result<Actor, Rejection> {
    let subject = act.string("sub").ok().flatten();
    let subject = subject.filter(|subject| !subject.is_empty());
    let issuer = act.string("iss").map_err(|_| missing("act.iss"))?;
    let cnf = act.object("cnf").map_err(|_| missing("act.cnf"))?;
    let jkt = cnf.map(|cnf| cnf.string("jkt").map_err(|_| missing("act.cnf.jkt")));
    let jkt = jkt.transpose()?.flatten().map(str::parse).transpose();
    Ok(Actor {
        subject: subject.ok_or_else(|| missing("act.sub"))?.to_owned(),
        issuer: issuer.map(str::to_owned),
        jkt: jkt.map_err(|_| missing("act.cnf.jkt"))?,
    })
}

/// The members of one actor.
pub(super) fn one(actor: &Actor) -> ObjectText {
    let text = ObjectText::new()
        .string("sub", &actor.subject)
        .optional_string("iss", actor.issuer.as_deref());
    match actor.jkt {
        Some(jkt) => {
            let cnf = ObjectText::new().string("jkt", &jkt.to_string()).finish();
            text.raw("cnf", &cnf)
        }
        None => text,
    }
}

/// The chain as JSON, nested as RFC 8693 section 4.1 has it; `None` where nobody acts.
pub(super) fn chain(actors: &[Actor]) -> Option<String> {
    actors.iter().rev().fold(None, |before, actor| {
        let text = one(actor);
        Some(match before {
            Some(before) => text.raw("act", &before).finish(),
            None => text.finish(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{Actor, read};
    use crate::cause::Cause;
    use crate::json::Object;

    fn actors(claims: &str) -> Result<Vec<Actor>, Cause> {
        read(&Object::parse(claims.as_bytes()).unwrap()).map_err(|rejection| rejection.cause())
    }

    #[test]
    fn a_chain_that_cannot_be_read_is_refused() {
        let mut long = String::from("{}");
        for _ in 0..9 {
            long = format!(r#"{{"sub":"a","act":{long}}}"#);
        }
        for act in [
            "1",
            "{}",
            r#"{"sub":""}"#,
            r#"{"sub":1}"#,
            r#"{"sub":"a","iss":1}"#,
            r#"{"sub":"a","act":"b"}"#,
            r#"{"sub":"a","act":{}}"#,
            r#"{"sub":"a","cnf":1}"#,
            r#"{"sub":"a","cnf":{"jkt":1}}"#,
            r#"{"sub":"a","cnf":{"jkt":"short"}}"#,
            &long,
        ] {
            let claims = format!(r#"{{"act":{act}}}"#);
            assert_eq!(actors(&claims), Err(Cause::TokenClaimInvalid), "{act}");
        }
    }

    #[test]
    fn the_current_actor_comes_first() {
        let claims =
            r#"{"act":{"sub":"now","act":{"sub":"before","iss":"https://other.example"}}}"#;
        let before = Actor {
            subject: "before".to_owned(),
            issuer: Some("https://other.example".to_owned()),
            jkt: None,
        };
        let now = Actor {
            subject: "now".to_owned(),
            issuer: None,
            jkt: None,
        };
        assert_eq!(actors(claims), Ok(vec![now, before]));
        assert_eq!(actors("{}"), Ok(Vec::new()));
    }
}
