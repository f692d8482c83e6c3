//! One question to an introspection endpoint (RFC 7662 section 2.1), and the
//! form of its answer.

use std::fmt;
use std::sync::Arc;

use keybound_proto::base64url;
use keybound_proto::jose::Signer;
use keybound_proto::time::UnixTime;
use keybound_proto::token::assertion::{self, ASSERTION_TYPE, AssertionRequest};
use keybound_proto::token::introspection::{MAX_ANSWER_BYTES, SIGNED_TYPE};
use keybound_proto::uri::HttpUrl;
use zeroize::Zeroizing;

use crate::fetch::{Document, FetchError, Fetcher};
use crate::guard::random;

/// Seconds a client assertion is good for.
const ASSERTION_LIFETIME: u64 = 60;

/// Who the guard is to an issuer it asks.
#[derive(Clone, Debug)]
pub struct IntrospectionClient {
    /// `client_id`.
    pub id: String,
    /// How it proves that.
    pub credential: IntrospectionCredential,
}

/// How the guard authenticates at an introspection endpoint.
#[derive(Clone)]
pub enum IntrospectionCredential {
    /// `client_secret_basic` (RFC 6749 section 2.3.1).
    SecretBasic(Zeroizing<String>),
    /// `private_key_jwt` (RFC 7523 section 2.2), with the issuer identifier as `aud`.
    PrivateKeyJwt {
        /// The key.
        key: Arc<dyn Signer>,
        /// Its `kid`, if the issuer knows it by one.
        kid: Option<String>,
    },
}

/// In which form answers are taken. The other form is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AnswerForm {
    /// JSON (RFC 7662): believed because TLS names the issuer's server.
    #[default]
    Json,
    /// A JWT signed by the issuer (RFC 9701).
    Signed {
        /// What its `aud` has to contain; most issuers put the client's id there.
        audience: String,
    },
}

/// Why there is no answer to read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The endpoint gave none.
    #[error("{0}")]
    Fetch(FetchError),
    /// The endpoint does not take the credentials.
    #[error("the endpoint refuses this gateway's credentials (status {0})")]
    Credentials(u16),
    /// The guard's key could not sign, or the system gives no random numbers.
    #[error("cannot make the client assertion")]
    Assertion,
    /// Where the endpoint is cannot be found out.
    #[error("cannot find the endpoint: {0}")]
    Discovery(String),
    /// The server could not be reached a moment ago.
    #[error("not tried again yet: {0}")]
    Outage(String),
    /// The answer is of another media type.
    #[error("the answer is `{got}`, expected `{expected}`")]
    MediaType {
        /// The media type of the configured form.
        expected: &'static str,
        /// What came.
        got: String,
    },
}

impl AskError {
    /// Whether the server cannot be reached at all: no token would be answered.
    pub(super) fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Fetch(FetchError::Unreachable | FetchError::TimedOut) | Self::Discovery(_)
        )
    }
}

/// Asks about one token.
pub(super) struct Asker<'a> {
    pub(super) fetcher: &'a Fetcher,
    pub(super) endpoint: &'a HttpUrl,
    pub(super) issuer: &'a str,
    pub(super) client: &'a IntrospectionClient,
    pub(super) form: &'a AnswerForm,
}

impl Asker<'_> {
    /// The body of the answer, of the media type of the configured form.
    pub(super) async fn ask(&self, token: &str, now: UnixTime) -> Result<Vec<u8>, AskError> {
        let answer = match &self.client.credential {
            IntrospectionCredential::SecretBasic(secret) => {
                let name = form_encode(&self.client.id);
                let password = Zeroizing::new(form_encode(secret));
                let form = [("token", token), ("token_type_hint", "access_token")];
                self.post(&form, Some((&name, &password))).await
            }
            IntrospectionCredential::PrivateKeyJwt { key, kid } => {
                let assertion = self.assertion(key.as_ref(), kid.as_deref(), now)?;
                let form = [
                    ("token", token),
                    ("token_type_hint", "access_token"),
                    ("client_id", &self.client.id),
                    ("client_assertion_type", ASSERTION_TYPE),
                    ("client_assertion", &assertion),
                ];
                self.post(&form, None).await
            }
        };
        let answer = answer.map_err(|error| {
            if let FetchError::Status(status @ (401 | 403)) = error {
                AskError::Credentials(status)
            } else {
                AskError::Fetch(error)
            }
        })?;
        let expected = self.form.media_type();
        let got = answer.media_type();
        if got != expected {
            let got = got.chars().take(64).collect();
            return Err(AskError::MediaType { expected, got });
        }
        Ok(answer.body)
    }

    async fn post(
        &self,
        form: &[(&str, &str)],
        basic: Option<(&str, &str)>,
    ) -> Result<Document, FetchError> {
        let accept = (self.form.media_type(), MAX_ANSWER_BYTES);
        self.fetcher
            .post_form(self.endpoint, form, basic, accept)
            .await
    }

    fn assertion(
        &self,
        key: &dyn Signer,
        kid: Option<&str>,
        now: UnixTime,
    ) -> Result<String, AskError> {
        let jti = random::<16>().ok_or(AskError::Assertion)?;
        let request = AssertionRequest {
            client_id: &self.client.id,
            issuer: self.issuer,
            jti: &base64url::encode(&jti),
            issued_at: now,
            expires_at: now.plus(ASSERTION_LIFETIME),
            kid,
        };
        assertion::signing_input(&request, key.algorithm())
            .sign(key)
            .map_err(|_| AskError::Assertion)
    }
}

impl AnswerForm {
    const fn media_type(&self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Signed { .. } => SIGNED_MEDIA_TYPE,
        }
    }
}

const SIGNED_MEDIA_TYPE: &str = "application/token-introspection+jwt";
const _: () = assert!(SIGNED_MEDIA_TYPE.len() == SIGNED_TYPE.len() + "application/".len());

/// `application/x-www-form-urlencoded`, as RFC 6749 section 2.3.1 wants name
/// and password of HTTP Basic to be.
fn form_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            _ => {
                encoded.push('%');
                for nibble in [byte >> 4, byte & 0xf] {
                    let digit = char::from_digit(nibble.into(), 16).unwrap_or('0');
                    encoded.push(digit.to_ascii_uppercase());
                }
            }
        }
    }
    encoded
}

impl fmt::Debug for IntrospectionCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecretBasic(_) => "SecretBasic(..)",
            Self::PrivateKeyJwt { .. } => "PrivateKeyJwt(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{IntrospectionCredential, Zeroizing, form_encode};

    #[test]
    fn name_and_password_are_encoded_and_never_shown() {
        assert_eq!(form_encode("a b:ü%&=+~"), "a+b%3A%C3%BC%25%26%3D%2B%7E");
        let secret = IntrospectionCredential::SecretBasic(Zeroizing::new("hunter2".to_owned()));
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
