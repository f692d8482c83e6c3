//! What control publishes and answers, read strictly: transmitter metadata (Shared Signals
//! section 7), key set (RFC 7517), stream configuration (section 8.1), poll answers
//! (RFC 8936 section 2.4).

use bytes::Bytes;
use keybound_proto::jose::PublicKey;
use keybound_proto::json::{Object, Value};
use keybound_proto::signal::SignalError;
use keybound_proto::uri::{HttpUrl, Origin};

/// What is wrong with a document.
pub(super) type Unusable = &'static str;

/// The parts of transmitter metadata that are used.
#[derive(Debug)]
pub(super) struct Transmitter {
    pub(super) issuer: String,
    pub(super) jwks_uri: HttpUrl,
    pub(super) streams: HttpUrl,
}

/// One stream of this receiver.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: String,
    pub(super) audience: String,
    pub(super) poll: HttpUrl,
}

/// Signals of one poll: `jti` and SET.
#[derive(Debug)]
pub(super) struct Poll {
    pub(super) sets: Vec<(String, String)>,
    pub(super) more_available: bool,
}

impl Transmitter {
    pub(super) fn parse(text: &[u8], control: &Origin) -> Result<Self, Unusable> {
        let document = Object::parse(text).map_err(|_| "not one strict JSON object")?;
        let issuer = text_of(&document, "issuer")
            .ok_or("no `issuer`")?
            .to_owned();
        // A trailing slash is the one difference between an origin and its URL.
        if issuer.trim_end_matches('/') != control.as_str() {
            return Err("`issuer` is not the configured control plane");
        }
        Ok(Self {
            issuer,
            jwks_uri: own_url(&document, "jwks_uri", control)?,
            streams: own_url(&document, "configuration_endpoint", control)?,
        })
    }
}

impl Stream {
    pub(super) fn parse(text: &[u8], control: &Origin) -> Result<Self, Unusable> {
        let document = Object::parse(text).map_err(|_| "not one strict JSON object")?;
        let id = text_of(&document, "stream_id")
            .ok_or("no `stream_id`")?
            .to_owned();
        let audiences = document.strings("aud").ok().flatten().ok_or("no `aud`")?;
        let [audience] = audiences.as_slice() else {
            return Err("`aud` does not name exactly one receiver");
        };
        let delivery = document
            .object("delivery")
            .ok()
            .flatten()
            .ok_or("no `delivery`")?;
        Ok(Self {
            id,
            audience: (*audience).to_owned(),
            poll: own_url(delivery, "endpoint_url", control)?,
        })
    }
}

impl Poll {
    pub(super) fn parse(text: &Bytes) -> Result<Self, Unusable> {
        let document = Object::parse(text).map_err(|_| "not one strict JSON object")?;
        let mut sets = Vec::new();
        if let Some(members) = document
            .object("sets")
            .map_err(|_| "`sets` is not an object")?
        {
            for (id, set) in members.iter() {
                let Value::String(set) = set else {
                    return Err("a member of `sets` is not a string");
                };
                sets.push((id.to_owned(), set.to_string()));
            }
        }
        let more_available = match document.get("moreAvailable") {
            Some(Value::Bool(more)) => *more,
            None => false,
            Some(_) => return Err("`moreAvailable` is not a boolean"),
        };
        Ok(Self {
            sets,
            more_available,
        })
    }
}

/// What the next poll says: what arrived, what was not understood, whether to wait.
pub(super) fn poll_request(
    acknowledged: &[String],
    errors: &[(String, SignalError)],
    returns_immediately: bool,
) -> Bytes {
    let errors: serde_json::Map<String, serde_json::Value> = errors
        .iter()
        .map(|(id, error)| {
            let report = serde_json::json!({"err": error.code(), "description": error.to_string()});
            (id.clone(), report)
        })
        .collect();
    let body = serde_json::json!({
        "ack": acknowledged,
        "setErrs": errors,
        "maxEvents": 100,
        "returnImmediately": returns_immediately,
    });
    Bytes::from(body.to_string())
}

/// The request for a new polled stream.
pub(super) fn stream_request() -> Bytes {
    Bytes::from_static(br#"{"delivery":{"method":"urn:ietf:rfc:8936"}}"#)
}

/// Control's keys by `kid`. Keys that cannot be used are left out.
pub(super) fn key_set(text: &[u8]) -> Result<Vec<(String, PublicKey)>, Unusable> {
    let document = Object::parse(text).map_err(|_| "not one strict JSON object")?;
    let Some(Value::Array(keys)) = document.get("keys") else {
        return Err("no `keys`");
    };
    let mut usable = Vec::new();
    for key in keys {
        let Value::Object(jwk) = key else {
            return Err("a member of `keys` is not an object");
        };
        if let (Some(kid), Ok(key)) = (text_of(jwk, "kid"), PublicKey::from_jwk_object(jwk)) {
            usable.push((kid.to_owned(), key));
        }
    }
    Ok(usable)
}

fn text_of<'o>(object: &'o Object<'_>, name: &str) -> Option<&'o str> {
    object
        .string(name)
        .ok()
        .flatten()
        .filter(|text| !text.is_empty() && text.len() <= 512)
}

/// A URL on control's own origin: the gateway's token goes nowhere else.
fn own_url(object: &Object<'_>, name: &'static str, control: &Origin) -> Result<HttpUrl, Unusable> {
    let url = text_of(object, name).and_then(|text| HttpUrl::parse(text).ok());
    match url {
        Some(url) if url.origin() == control => Ok(url),
        Some(_) => Err("an endpoint is not on the control plane's own origin"),
        None => Err("an endpoint is missing or not a URL"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control() -> Origin {
        Origin::parse("http://127.0.0.1:9402").expect("origin")
    }

    #[test]
    fn documents_that_lead_elsewhere_are_refused() {
        for text in [
            r#"{"issuer":"http://127.0.0.1:9402","jwks_uri":"http://evil.example/jwks","configuration_endpoint":"http://127.0.0.1:9402/ssf/streams"}"#,
            r#"{"issuer":"http://127.0.0.1:9402","jwks_uri":"http://127.0.0.1:9402/jwks","configuration_endpoint":"http://127.0.0.1:9403/ssf/streams"}"#,
            r#"{"issuer":"http://evil.example","jwks_uri":"http://127.0.0.1:9402/jwks","configuration_endpoint":"http://127.0.0.1:9402/ssf/streams"}"#,
            r#"{"issuer":"http://127.0.0.1:9402"}"#,
            "[]",
        ] {
            assert!(
                Transmitter::parse(text.as_bytes(), &control()).is_err(),
                "{text}"
            );
        }
        for text in [
            r#"{"stream_id":"s","aud":"g","delivery":{"endpoint_url":"http://evil.example/poll"}}"#,
            r#"{"stream_id":"s","aud":["g","h"],"delivery":{"endpoint_url":"http://127.0.0.1:9402/poll"}}"#,
            r#"{"aud":"g","delivery":{"endpoint_url":"http://127.0.0.1:9402/poll"}}"#,
        ] {
            assert!(
                Stream::parse(text.as_bytes(), &control()).is_err(),
                "{text}"
            );
        }
        for text in [
            r#"{"sets":[]}"#,
            r#"{"sets":{"a":1}}"#,
            r#"{"moreAvailable":"no"}"#,
            "",
        ] {
            assert!(Poll::parse(&Bytes::from(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn usable_documents_are_read() {
        let text = r#"{"issuer":"http://127.0.0.1:9402","jwks_uri":"http://127.0.0.1:9402/jwks","configuration_endpoint":"http://127.0.0.1:9402/ssf/streams"}"#;
        let transmitter = Transmitter::parse(text.as_bytes(), &control()).expect("usable");
        assert_eq!(transmitter.streams.path(), "/ssf/streams");
        let text = r#"{"stream_id":"s","aud":"g","delivery":{"endpoint_url":"http://127.0.0.1:9402/ssf/poll?stream_id=s"}}"#;
        let stream = Stream::parse(text.as_bytes(), &control()).expect("usable");
        assert_eq!((stream.id.as_str(), stream.audience.as_str()), ("s", "g"));
        let poll = Poll::parse(&Bytes::from(
            r#"{"sets":{"a":"x.y.z"},"moreAvailable":true}"#,
        ));
        let poll = poll.expect("usable");
        assert_eq!(poll.sets, [("a".to_owned(), "x.y.z".to_owned())]);
        assert!(poll.more_available);
    }
}
