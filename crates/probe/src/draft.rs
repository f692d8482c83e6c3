//! A request to be: good by default, with one defect where a case says so.
//!
//! A [`Draft`] knows its parts (credential, proof, form, client assertion), so
//! that a case is one change of one part. [`Draft::seal`] signs and turns it
//! into bytes for the wire beside what may be shown of it.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::digest;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use keybound_proto::base64url;
use keybound_proto::jose::Signer;
use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;
use keybound_proto::uri::HttpUrl;

use crate::jwt::{JwtDraft, public_jwk};
use crate::signatures::{Message, Signatures};

/// How often and in what form the proof is sent.
#[derive(Clone, Debug, Default)]
pub(crate) enum ProofLines {
    /// In one `DPoP` header field.
    #[default]
    One,
    /// Not at all.
    None,
    /// In two header fields, each with a proof of its own `jti`.
    Two,
    /// Two proofs in one header field, joined by a comma.
    Joined,
    /// This text, whatever it is.
    Raw(String),
}

/// One `Authorization` header field.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    pub(crate) scheme: String,
    pub(crate) token: String,
}

/// Parameters of a form body, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form {
    pub(crate) parameters: Vec<(String, String)>,
    /// Sent as `client_assertion`, signed when the request goes out.
    pub(crate) assertion: Option<JwtDraft>,
}

impl Form {
    /// Sets a parameter, in place of one of that name.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.add(name, value);
    }

    /// Adds a parameter, beside one of that name.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        self.parameters.push((name.to_owned(), value.to_owned()));
    }

    /// Removes every parameter of that name.
    pub(crate) fn remove(&mut self, name: &str) {
        self.parameters.retain(|(present, _)| present != name);
    }
}

/// A request to be.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) method: Method,
    pub(crate) url: HttpUrl,
    /// The request target as sent, where it differs from the URL's.
    pub(crate) target: Option<String>,
    /// Where to connect, where it is not for the name service to say.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) credentials: Vec<Credential>,
    pub(crate) proof: Option<JwtDraft>,
    pub(crate) proof_lines: ProofLines,
    pub(crate) form: Option<Form>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    /// Message signatures (RFC 9421), made last, since they cover the rest.
    pub(crate) signatures: Signatures,
}

/// A request on the wire's side of signing.
#[derive(Clone)]
pub(crate) struct Sealed {
    pub(crate) method: Method,
    pub(crate) url: HttpUrl,
    pub(crate) target: String,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    /// Header fields as they may be shown.
    pub(crate) shown: Vec<(String, String)>,
}

impl Draft {
    /// A request with nothing in it.
    pub(crate) fn new(method: Method, url: &HttpUrl) -> Self {
        Self {
            method,
            url: url.clone(),
            target: None,
            address: None,
            credentials: Vec::new(),
            proof: None,
            proof_lines: ProofLines::One,
            form: None,
            headers: Vec::new(),
            body: Bytes::new(),
            signatures: Signatures::default(),
        }
    }

    /// Adds a good proof for method and URL (RFC 9449 section 4.2).
    pub(crate) fn prove(&mut self, signer: &Arc<dyn Signer>, now: UnixTime) {
        let mut proof = JwtDraft::new("dpop+jwt", signer);
        proof.member("jwk", public_jwk(signer.as_ref()));
        proof.claim("jti", unique());
        proof.claim("htm", self.method.as_str());
        proof.claim("htu", self.url.without_query());
        proof.claim("iat", now.as_secs());
        self.proof = Some(proof);
    }

    /// Adds the token under this scheme, and its hash to the proof.
    pub(crate) fn present(&mut self, scheme: &str, token: &str) {
        self.credentials = vec![Credential {
            scheme: scheme.to_owned(),
            token: token.to_owned(),
        }];
        if let Some(proof) = &mut self.proof {
            proof.claim("ath", TokenHash::of(token.as_bytes()).to_ath());
        }
    }

    /// Another token in the place of the one that is there, and its hash in the proof.
    pub(crate) fn replace_token(&mut self, token: &str) {
        let scheme = self
            .credentials
            .first()
            .map_or_else(|| "DPoP".to_owned(), |credential| credential.scheme.clone());
        self.present(&scheme, token);
    }

    /// The same request at another URL, with a proof for it.
    pub(crate) fn move_to(&mut self, url: &HttpUrl) {
        self.url = url.clone();
        let htu = url.without_query().to_owned();
        self.on_proof(|proof| proof.claim("htu", htu));
    }

    /// Adds a header field.
    pub(crate) fn header(&mut self, name: &'static str, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((HeaderName::from_static(name), value));
        }
    }

    /// Adds a header field whose value is a credential and is not shown.
    pub(crate) fn secret_header(&mut self, name: &'static str, value: &str) {
        if let Ok(mut value) = HeaderValue::from_str(value) {
            value.set_sensitive(true);
            self.headers.push((HeaderName::from_static(name), value));
        }
    }

    /// The proof, for a case to change. Every draft that cases of proofs are
    /// applied to has one; without it the change is lost and the case decides nothing.
    pub(crate) fn on_proof(&mut self, change: impl FnOnce(&mut JwtDraft)) {
        if let Some(proof) = &mut self.proof {
            change(proof);
        }
    }

    /// The client assertion, for a case to change.
    pub(crate) fn on_assertion(&mut self, change: impl FnOnce(&mut JwtDraft)) {
        if let Some(assertion) = self.form.as_mut().and_then(|form| form.assertion.as_mut()) {
            change(assertion);
        }
    }

    /// The form, for a case to change.
    pub(crate) fn on_form(&mut self, change: impl FnOnce(&mut Form)) {
        if let Some(form) = &mut self.form {
            change(form);
        }
    }

    /// Signs now, so that the request is the same to the byte however often it is sent.
    ///
    /// # Errors
    /// What could not be signed, in words.
    pub(crate) fn fix(&mut self) -> Result<(), String> {
        let assertion = self.form.as_mut().and_then(|form| form.assertion.as_mut());
        for jwt in self.proof.iter_mut().chain(assertion) {
            jwt.fix()?;
        }
        if !self.signatures.drafts.is_empty() {
            let (headers, body) = (self.seal_unsigned()?.headers, self.body.clone());
            let (method, url) = (self.method.clone(), self.url.clone());
            self.signatures.fix(&Message {
                method: &method,
                url: &url,
                path: None,
                headers: &headers,
                body: &body,
            })?;
        }
        Ok(())
    }

    /// Signs and encodes.
    ///
    /// # Errors
    /// What could not be signed or encoded, in words.
    pub(crate) fn seal(&self) -> Result<Sealed, String> {
        let mut sealed = self.seal_unsigned()?;
        if self.signatures.drafts.is_empty() {
            return Ok(sealed);
        }
        let added = self.signatures.seal(&Message {
            method: &self.method,
            url: &self.url,
            path: None,
            headers: &sealed.headers,
            body: &sealed.body,
        })?;
        for (name, value) in added {
            sealed.shown.push((name.to_string(), shown_value(&value)));
            sealed.headers.push((name, value));
        }
        Ok(sealed)
    }

    fn seal_unsigned(&self) -> Result<Sealed, String> {
        let mut headers = self.headers.clone();
        let mut shown: Vec<(String, String)> = headers
            .iter()
            .map(|(name, value)| (name.to_string(), shown_value(value)))
            .collect();
        for credential in &self.credentials {
            let text = format!("{} {}", credential.scheme, credential.token);
            headers.push((http::header::AUTHORIZATION, value(&text)?));
            shown.push(("authorization".to_owned(), credential.shown()));
        }
        for (text, label) in self.sealed_proofs()? {
            headers.push((HeaderName::from_static("dpop"), value(&text)?));
            shown.push(("dpop".to_owned(), label));
        }
        let mut body = self.body.clone();
        if let Some(form) = &self.form {
            let (text, label) = form.seal()?;
            body = Bytes::from(text);
            headers.push((
                http::header::CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            ));
            shown.push(("(form)".to_owned(), label));
        }
        Ok(Sealed {
            method: self.method.clone(),
            url: self.url.clone(),
            target: self.target.clone().unwrap_or_else(|| target(&self.url)),
            address: self.address,
            headers,
            body,
            shown,
        })
    }

    fn sealed_proofs(&self) -> Result<Vec<(String, String)>, String> {
        if let ProofLines::Raw(text) = &self.proof_lines {
            return Ok(vec![(text.clone(), abridged(text))]);
        }
        let Some(proof) = &self.proof else {
            return Ok(Vec::new());
        };
        let mut second = proof.clone();
        second.claim("jti", unique());
        Ok(match &self.proof_lines {
            ProofLines::None | ProofLines::Raw(_) => Vec::new(),
            ProofLines::One => vec![(proof.seal()?, proof.shown())],
            ProofLines::Two => vec![
                (proof.seal()?, proof.shown()),
                (second.seal()?, second.shown()),
            ],
            ProofLines::Joined => vec![(
                format!("{}, {}", proof.seal()?, second.seal()?),
                format!("{} , {}", proof.shown(), second.shown()),
            )],
        })
    }
}

impl Credential {
    /// Scheme and the beginning of the token's hash.
    fn shown(&self) -> String {
        format!("{} {}", self.scheme, token_name(&self.token))
    }
}

/// Parameters of a form whose values are credentials.
pub(crate) const SECRET_PARAMETERS: [&str; 8] = [
    "assertion",
    "client_assertion",
    "code",
    "client_secret",
    "refresh_token",
    "token",
    "subject_token",
    "access_token",
];

impl Form {
    fn seal(&self) -> Result<(String, String), String> {
        let mut pairs = self.parameters.clone();
        let mut shown: Vec<String> = pairs
            .iter()
            .map(|(name, value)| {
                if SECRET_PARAMETERS.contains(&name.as_str()) {
                    format!("{name}={}", token_name(value))
                } else {
                    format!("{name}={}", abridged(value))
                }
            })
            .collect();
        if let Some(assertion) = &self.assertion {
            pairs.push(("client_assertion".to_owned(), assertion.seal()?));
            shown.push(format!("client_assertion={}", assertion.shown()));
        }
        let text: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{}={}", form_encoded(name), form_encoded(value)))
            .collect();
        Ok((text.join("&"), shown.join(" & ")))
    }
}

fn shown_value(value: &HeaderValue) -> String {
    if value.is_sensitive() {
        "(a credential)".to_owned()
    } else {
        printable(value.as_bytes())
    }
}

/// How a token is named where it must not be shown.
pub(crate) fn token_name(token: &str) -> String {
    let hash = TokenHash::of(token.as_bytes()).to_ath();
    format!("(token, SHA-256 {}…)", hash.get(..8).unwrap_or(&hash))
}

/// A `jti` nobody else has: 128 random bits.
pub(crate) fn unique() -> String {
    let mut bytes = [0; 16];
    // Without randomness the text is the same every time, the target refuses it as a replay, and
    // the positive control says so: nothing is concluded from it.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    base64url::encode(&bytes)
}

/// `ath` as other hashes and encodings make it, to see whether they pass.
pub(crate) fn ath_in_hex(token: &str) -> String {
    TokenHash::of(token.as_bytes()).to_hex()
}

/// `ath` over SHA-512.
pub(crate) fn ath_sha512(token: &str) -> String {
    base64url::encode(digest::digest(&digest::SHA512, token.as_bytes()).as_ref())
}

fn target(url: &HttpUrl) -> String {
    let path = if url.path().is_empty() {
        "/"
    } else {
        url.path()
    };
    url.query()
        .map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

fn value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|_| "a header value is not printable".to_owned())
}

/// The first characters of a text, control characters replaced.
pub(crate) fn abridged(text: &str) -> String {
    let mut short: String = printable(text.as_bytes()).chars().take(120).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Text for people: control characters, and those that change the direction of the text around
/// them, become `?`, so that nothing a server sends drives a terminal or shows as something else.
pub(crate) fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if c.is_control() || unseen(c) { '?' } else { c })
        .collect()
}

/// Marks, overrides and isolates of direction, separators of lines, and the byte order mark.
const fn unseen(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// `application/x-www-form-urlencoded` of one name or value.
pub(crate) fn form_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._*".contains(&byte) {
            encoded.push(char::from(byte));
        } else if byte == b' ' {
            encoded.push('+');
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
