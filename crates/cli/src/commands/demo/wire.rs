//! Plain HTTP, as a thief with curl would send it: headers by hand, no holder.

use http::Method;
use serde_json::Value;

use crate::failure::{Failure, chain};

/// A client that sends what it is told and follows nothing.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    http: reqwest::Client,
}

/// One request, by hand.
#[derive(Debug, Clone)]
pub(super) struct Raw<'a> {
    pub(super) method: Method,
    pub(super) url: &'a str,
    pub(super) authorization: Option<String>,
    pub(super) proof: Option<String>,
    pub(super) host: Option<&'a str>,
    pub(super) json: Option<Value>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) status: u16,
    /// The check that refused, as the answer names it.
    pub(super) cause: Option<String>,
    pub(super) body: Value,
}

impl<'a> Raw<'a> {
    /// A request without credentials.
    pub(super) const fn new(method: Method, url: &'a str) -> Self {
        Self {
            method,
            url,
            authorization: None,
            proof: None,
            host: None,
            json: None,
        }
    }

    /// With a token in a scheme.
    pub(super) fn token(mut self, scheme: &str, token: &str) -> Self {
        self.authorization = Some(format!("{scheme} {token}"));
        self
    }

    /// With a proof.
    pub(super) fn proof(mut self, proof: impl Into<String>) -> Self {
        self.proof = Some(proof.into());
        self
    }

    /// With a JSON body.
    pub(super) fn json(mut self, document: Value) -> Self {
        self.json = Some(document);
        self
    }

    /// Saying another host than the one connected to.
    pub(super) const fn host(mut self, host: &'a str) -> Self {
        self.host = Some(host);
        self
    }
}

impl Wire {
    pub(super) fn new() -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(std::time::Duration::from_secs(10))
            .build()
            .map_err(|error| Failure::internal(chain(&error)))?;
        Ok(Self { http })
    }

    pub(super) async fn send(&self, raw: Raw<'_>) -> Result<Seen, Failure> {
        let mut request = self.http.request(raw.method, raw.url);
        let headers = [("authorization", raw.authorization), ("dpop", raw.proof)];
        for (name, value) in headers {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        if let Some(host) = raw.host {
            request = request.header("host", host);
        }
        if let Some(document) = raw.json {
            request = request.json(&document);
        }
        let response = request
            .send()
            .await
            .map_err(|error| Failure::internal(chain(&error)))?;
        let status = response.status().as_u16();
        let bytes = response
            .bytes()
            .await
            .map_err(|error| Failure::internal(chain(&error)))?;
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let cause = body.get("cause").and_then(Value::as_str).map(str::to_owned);
        Ok(Seen {
            status,
            cause,
            body,
        })
    }
}
