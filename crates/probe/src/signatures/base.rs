//! The signature base (RFC 9421 section 2.5).

use http::{HeaderName, HeaderValue, Method};
use keybound_proto::uri::HttpUrl;

/// The parts of a request that can be covered.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) method: &'a Method,
    pub(crate) url: &'a HttpUrl,
    /// Covered instead of the URL's own path.
    pub(crate) path: Option<&'a str>,
    pub(crate) headers: &'a [(HeaderName, HeaderValue)],
    pub(crate) body: &'a [u8],
}

/// The text that is signed. `parameters` are those of `Signature-Input`, as sent.
///
/// # Errors
/// The component that is not there.
pub(super) fn base(
    message: &Message<'_>,
    covered: &[&str],
    parameters: &str,
) -> Result<String, String> {
    let mut text = String::new();
    for name in covered {
        let value = message
            .component(name)
            .ok_or_else(|| format!("the request has no `{name}` to sign"))?;
        text.push_str(&format!("\"{name}\": {value}\n"));
    }
    text.push_str(&format!("\"@signature-params\": {parameters}"));
    Ok(text)
}

impl Message<'_> {
    /// The value of a component (RFC 9421 sections 2.1 and 2.2).
    fn component(&self, name: &str) -> Option<String> {
        let origin = self.url.origin();
        let own = if self.url.path().is_empty() {
            "/"
        } else {
            self.url.path()
        };
        let path = self.path.unwrap_or(own);
        let query = self.url.query().map(|query| format!("?{query}"));
        Some(match name {
            "@method" => self.method.to_string(),
            "@target-uri" => format!("{origin}{path}{}", query.unwrap_or_default()),
            "@authority" => origin.authority().to_owned(),
            "@scheme" => {
                let (scheme, _) = origin.as_str().split_once("://")?;
                scheme.to_owned()
            }
            "@request-target" => format!("{path}{}", query.unwrap_or_default()),
            "@path" => path.to_owned(),
            "@query" => query.unwrap_or_else(|| "?".to_owned()),
            _ if name.starts_with('@') => return None,
            field => self.field(field)?,
        })
    }

    /// All lines of a field, trimmed and joined.
    fn field(&self, name: &str) -> Option<String> {
        let lines: Vec<&str> = self
            .headers
            .iter()
            .filter(|(present, _)| present.as_str() == name)
            .filter_map(|(_, value)| value.to_str().ok())
            .map(str::trim)
            .collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use keybound_custody::SoftwareKey;
    use keybound_proto::jose::Signer;

    use super::*;
    use crate::signatures::{Made, SignatureDraft};

    /// RFC 9421 appendix B.1.4, as PKCS#8.
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n\
        -----END PRIVATE KEY-----\n";
    /// The request of appendix B.2.
    const FIELDS: [(&str, &str); 3] = [
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("content-type", "application/json"),
        ("content-length", "18"),
    ];

    fn headers() -> Vec<(HeaderName, HeaderValue)> {
        let field = |(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        FIELDS.map(field).to_vec()
    }

    #[test]
    fn appendix_b_2_6_byte_for_byte() {
        let key = SoftwareKey::from_pkcs8_pem(KEY).expect("a key");
        let signer: Arc<dyn Signer> = Arc::new(key);
        let components = [
            "date",
            "@method",
            "@path",
            "@authority",
            "content-type",
            "content-length",
        ];
        let draft = SignatureDraft {
            label: "sig-b26".to_owned(),
            components: components.map(str::to_owned).to_vec(),
            created: Some(1_618_884_473),
            expires: None,
            nonce: None,
            algorithm: None,
            keyid: Some("test-key-ed25519".to_owned()),
            tag: None,
            signer,
            made: Made::Good,
            method: None,
            path: None,
        };
        let url = HttpUrl::parse("https://example.com/foo?param=Value&Pet=dog").expect("a URL");
        let headers = headers();
        let message = Message {
            method: &Method::POST,
            url: &url,
            path: None,
            headers: &headers,
            body: b"{\"hello\": \"world\"}",
        };
        let (parameters, base) = draft.base(&message).expect("a base");
        assert_eq!(
            base,
            "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\
             \"@method\": POST\n\
             \"@path\": /foo\n\
             \"@authority\": example.com\n\
             \"content-type\": application/json\n\
             \"content-length\": 18\n\
             \"@signature-params\": (\"date\" \"@method\" \"@path\" \"@authority\" \
             \"content-type\" \"content-length\");created=1618884473;keyid=\"test-key-ed25519\""
        );
        assert!(base.ends_with(&parameters));
        assert_eq!(
            STANDARD.encode(draft.signature(base.as_bytes()).expect("a signature")),
            "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
        );
    }

    #[test]
    fn derived_components_are_those_of_the_request() {
        let url = HttpUrl::parse("http://LOCALHOST:8080?a=1").expect("a URL");
        let headers = headers();
        let message = Message {
            method: &Method::GET,
            url: &url,
            path: None,
            headers: &headers,
            body: b"",
        };
        let component = |name| message.component(name).unwrap_or_default();
        assert_eq!(component("@authority"), "localhost:8080");
        assert_eq!(component("@path"), "/");
        assert_eq!(component("@query"), "?a=1");
        assert_eq!(component("@request-target"), "/?a=1");
        assert_eq!(component("@scheme"), "http");
        assert_eq!(component("@target-uri"), "http://localhost:8080/?a=1");
        assert_eq!(message.component("@unknown"), None);
        assert_eq!(message.component("absent"), None);
    }
}
