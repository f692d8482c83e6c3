//! `keybound token inspect`: what a token says, offline and in plain words.
//! Nothing is sent anywhere and nothing is verified: a forged token is shown
//! as it presents itself, and the answer says so.

use std::io::{self, Write};

use keybound_proto::base64url;
use keybound_proto::jose::{Jws, PublicKey};
use keybound_proto::json::Object;
use keybound_proto::signature::{SignatureAlgorithm, runtime_key};
use keybound_proto::token::{TokenHash, artefact};
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::moment;
use crate::output::{Report, ink, styled};

/// The answer of `keybound token inspect`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Inspection {
    /// `access_token`, `dpop_proof`, `other_jwt`, or the kind of an opaque
    /// artefact: `client_secret`, `join_code`, `opaque_access_token`,
    /// `refresh_token`.
    kind: &'static str,
    /// Always false: `inspect` reads and does not verify.
    verified: bool,
    /// Whether a copy can be used by whoever has it: `yes`, `only_with_key`,
    /// `no` (expired, or useless alone) or `unknown`.
    replayable: &'static str,
    /// SHA-256 of the text, hexadecimal: finds the token in the event log.
    sha256: String,
    #[serde(flatten)]
    claims: TokenClaims,
    #[serde(skip)]
    now: u64,
}

/// What a token says of itself. Absent members are left out.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct TokenClaims {
    /// Thumbprint of the key the token is bound to (`cnf.jkt`, or that of the key in `cnf.jwk` or
    /// `cnf.htsk`).
    #[serde(skip_serializing_if = "Option::is_none")]
    jkt: Option<String>,
    /// Thumbprint of the certificate the token is bound to (`cnf.x5t#S256`).
    #[serde(skip_serializing_if = "Option::is_none")]
    x5t_s256: Option<String>,
    /// The type in the header.
    #[serde(skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
    /// The signature algorithm in the header.
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    /// The key identifier in the header.
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    /// Who says to have issued it (`iss`).
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    /// Whom it is about (`sub`).
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// The client it was issued to.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// Resources the token is for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    audience: Vec<String>,
    /// Its scopes, separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// The handle: names the token and cannot be used as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<String>,
    /// Unix time in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_at: Option<u64>,
    /// Unix time in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
}

pub(super) fn run(input: &Input, context: &Context) -> Outcome {
    let text = input.read()?;
    let now = context.clock.now().as_secs();
    context.output.report(&inspect(&text, now)?)?;
    Ok(Exit::Success)
}

/// The handle a token carries, read without verifying it.
pub(super) fn token_id(token: &str) -> Option<String> {
    let jws = Jws::parse(token.as_bytes(), MAX_BYTES).ok()?;
    TokenClaims::of(&jws).token_id
}

/// The certificate a token says it is bound to, read without verifying it.
pub(super) fn certificate(token: &str) -> Option<String> {
    let jws = Jws::parse(token.as_bytes(), MAX_BYTES).ok()?;
    TokenClaims::of(&jws).x5t_s256
}

/// The issuer a token claims, read without verifying it.
pub(super) fn issuer(token: &str) -> Option<String> {
    let jws = Jws::parse(token.as_bytes(), MAX_BYTES).ok()?;
    TokenClaims::of(&jws).issuer
}

fn inspect(text: &str, now: u64) -> Result<Inspection, Failure> {
    let sha256 = TokenHash::of(text.as_bytes()).to_hex();
    let inspection = |kind, replayable, claims| Inspection {
        kind,
        verified: false,
        replayable,
        sha256,
        claims,
        now,
    };
    if let Ok(kind) = artefact::parse(text) {
        let kind = match kind {
            artefact::Kind::ClientSecret => "client_secret",
            artefact::Kind::JoinCode => "join_code",
            artefact::Kind::OpaqueAccess => "opaque_access_token",
            artefact::Kind::Refresh => "refresh_token",
        };
        return Ok(inspection(kind, "unknown", TokenClaims::default()));
    }
    let jws = Jws::parse(text.as_bytes(), MAX_BYTES).map_err(|error| {
        Failure::usage(format!("this is no token: {error}"))
            .next("give the token alone, without `Bearer` or `DPoP` before it")
    })?;
    let claims = TokenClaims::of(&jws);
    Ok(
        match claims
            .typ
            .as_deref()
            .map(str::to_ascii_lowercase)
            .as_deref()
        {
            Some("dpop+jwt") => inspection("dpop_proof", "no", claims),
            Some("at+jwt" | "application/at+jwt") => {
                inspection("access_token", claims.replayable(now), claims)
            }
            _ => inspection("other_jwt", claims.replayable(now), claims),
        },
    )
}

impl TokenClaims {
    fn of(jws: &Jws<'_>) -> Self {
        let mut claims = Self::default();
        if let Ok(header) = jws.header_object() {
            claims.typ = text(&header, "typ");
            claims.alg = text(&header, "alg");
            claims.kid = text(&header, "kid");
        }
        let Ok(payload) = jws.claims() else {
            return claims;
        };
        if let Ok(Some(cnf)) = payload.object("cnf") {
            claims.jkt = text(cnf, "jkt").or_else(|| named_key(cnf));
            claims.x5t_s256 = text(cnf, "x5t#S256");
        }
        claims.issuer = text(&payload, "iss");
        claims.subject = text(&payload, "sub");
        claims.client_id = text(&payload, "client_id");
        claims.audience = payload
            .strings("aud")
            .ok()
            .flatten()
            .map(|list| list.into_iter().map(str::to_owned).collect())
            .unwrap_or_default();
        claims.scope = text(&payload, "scope");
        claims.token_id = text(&payload, "jti");
        claims.issued_at = payload.unsigned("iat").ok().flatten();
        claims.expires_at = payload.unsigned("exp").ok().flatten();
        claims
    }

    fn is_bound(&self) -> bool {
        self.jkt.is_some() || self.x5t_s256.is_some()
    }

    fn replayable(&self, now: u64) -> &'static str {
        match self.expires_at {
            Some(expiry) if expiry <= now => "no",
            _ if self.is_bound() => "only_with_key",
            _ => "yes",
        }
    }
}

/// The thumbprint of a key that stands in the token itself.
fn named_key(cnf: &Object<'_>) -> Option<String> {
    let key = match (cnf.object("jwk").ok()?, cnf.object("htsk").ok()?) {
        (Some(jwk), _) => PublicKey::from_jwk_object(jwk).ok()?,
        (None, Some(htsk)) => {
            let algorithm = SignatureAlgorithm::from_name(&text(htsk, "alg")?)?;
            let point = base64url::decode(text(htsk, "pub")?.as_bytes()).ok()?;
            runtime_key(algorithm, &point).ok()?
        }
        (None, None) => return None,
    };
    Some(key.thumbprint().to_string())
}

fn text(object: &Object<'_>, name: &'static str) -> Option<String> {
    object.string(name).ok().flatten().map(str::to_owned)
}

impl Inspection {
    /// The sentence that answers "is this dangerous?".
    fn headline(&self) -> String {
        let claims = &self.claims;
        match (self.kind, self.replayable) {
            ("dpop_proof", _) => "a DPoP proof: good for one request, within a minute; `keybound proof explain` says more".to_owned(),
            ("client_secret" | "join_code" | "opaque_access_token" | "refresh_token", _) => {
                format!("an opaque {}: only its issuer can say more (`keybound token introspect`)", self.kind.replace('_', " "))
            }
            (_, "no") => "expired: it cannot be used any more".to_owned(),
            (_, "only_with_key") => match &claims.jkt {
                Some(jkt) => format!("bound to the key {jkt}: a copy is worthless without it"),
                None => format!(
                    "bound to the client certificate {}: a copy is worthless without its key",
                    claims.x5t_s256.as_deref().unwrap_or_default()
                ),
            },
            _ => "bound to no key: whoever has a copy can use it".to_owned(),
        }
    }
}

impl Report for Inspection {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        let style = if self.replayable == "yes" {
            ink::BAD
        } else {
            ink::GOOD
        };
        writeln!(out, "{}", styled(style, self.headline()))?;
        let claims = &self.claims;
        let moment = |seconds: Option<u64>| {
            seconds.map(|at| {
                format!(
                    "{} ({})",
                    moment::rfc3339(at),
                    moment::relative(at, self.now)
                )
            })
        };
        let audience = (!claims.audience.is_empty()).then(|| claims.audience.join(", "));
        let signed = claims.alg.as_ref().map(|alg| match &claims.kid {
            Some(kid) => format!("{alg}, key {kid} (not verified)"),
            None => format!("{alg} (not verified)"),
        });
        // The headline names it where there is no key.
        let certificate = claims.x5t_s256.clone();
        let certificate = certificate.filter(|_| claims.jkt.is_some());
        let rows = [
            ("expires", moment(claims.expires_at)),
            ("issued", moment(claims.issued_at)),
            ("issuer", claims.issuer.clone()),
            ("subject", claims.subject.clone()),
            ("client", claims.client_id.clone()),
            ("audience", audience),
            ("scope", claims.scope.clone()),
            ("cert", certificate),
            ("handle", claims.token_id.clone()),
            ("typ", claims.typ.clone()),
            ("signed", signed),
            ("sha256", Some(self.sha256.clone())),
        ];
        for (name, value) in rows {
            if let Some(value) = value {
                writeln!(
                    out,
                    "{}  {value}",
                    styled(ink::DIM, format_args!("{name:>9}"))
                )?;
            }
        }
        Ok(())
    }
}

const MAX_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, payload: &str) -> String {
        let part = |text: &str| base64url::encode(text.as_bytes());
        format!(
            "{}.{}.{}",
            part(header),
            part(payload),
            part("no signature")
        )
    }

    #[test]
    fn an_unbound_token_is_called_what_it_is() {
        let text = token(
            r#"{"typ":"at+jwt","alg":"ES256"}"#,
            r#"{"exp":2000,"sub":"ada"}"#,
        );
        let inspection = inspect(&text, 1_000).expect("a token");
        assert_eq!(inspection.replayable, "yes");
        assert!(inspection.headline().contains("bound to no key"));
    }

    #[test]
    fn a_bound_token_needs_its_key_and_an_expired_one_is_done() {
        let text = token(
            r#"{"typ":"at+jwt","alg":"ES256"}"#,
            r#"{"exp":2000,"cnf":{"jkt":"abc"}}"#,
        );
        assert_eq!(
            inspect(&text, 1_000).expect("a token").replayable,
            "only_with_key"
        );
        assert_eq!(inspect(&text, 2_000).expect("a token").replayable, "no");
    }

    #[test]
    fn a_key_in_the_token_binds_it_as_well() {
        const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        for cnf in [
            format!(r#"{{"jwk":{{"kty":"OKP","crv":"Ed25519","x":"{X}"}}}}"#),
            format!(r#"{{"htsk":{{"alg":"ed25519","pub":"{X}"}}}}"#),
        ] {
            let payload = format!(r#"{{"exp":2000,"cnf":{cnf}}}"#);
            let text = token(r#"{"typ":"at+jwt","alg":"ES256"}"#, &payload);
            let inspection = inspect(&text, 1_000).expect("a token");
            assert_eq!(inspection.replayable, "only_with_key", "{cnf}");
            // RFC 8037 appendix A.3.
            let thumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
            assert_eq!(inspection.claims.jkt.as_deref(), Some(thumbprint));
        }
        let nothing = token(
            r#"{"typ":"at+jwt","alg":"ES256"}"#,
            r#"{"exp":2000,"cnf":{"jwk":{}}}"#,
        );
        assert_eq!(inspect(&nothing, 1_000).expect("a token").replayable, "yes");
    }

    #[test]
    fn what_is_no_token_is_said_to_be_none() {
        let failure = inspect("Bearer abc", 0).expect_err("is no token");
        assert!(failure.message().starts_with("this is no token"));
    }
}
