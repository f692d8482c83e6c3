//! Defects of a DPoP proof, the same for every server that takes one.
//!
//! A resource server is asked all of them under the ids of its own check list;
//! an authorization server is asked those without `ath` under `AS-04`. Each
//! defect stands alone: the request is good in every other respect.

use std::sync::Arc;

use keybound_proto::Cause;
use keybound_proto::jose::{Algorithm, Signer};
use serde_json::json;

use crate::check::{Case, Check};
use crate::draft::{Draft, ProofLines};
use crate::jwt::{Encoding, Signature};
use crate::resource_server::checks;
use crate::verdict::Severity;

/// Keys that are not the owner's.
#[derive(Clone, Debug)]
pub(crate) struct Strangers {
    /// A thief's key, of the owner's algorithm where software can make one.
    pub(crate) key: Arc<dyn Signer>,
}

/// One defect.
pub(crate) struct ProofDefect {
    /// The row of the resource server's check list.
    pub(crate) check: &'static Check,
    pub(crate) name: &'static str,
    pub(crate) sent: &'static str,
    pub(crate) cause: Cause,
    pub(crate) also: &'static [u16],
    pub(crate) severity: Option<Severity>,
    /// A case of a resource server that shows the same already, when it is not enforced.
    pub(crate) unless: Option<&'static str>,
    pub(crate) change: fn(&mut Draft, &Strangers),
}

impl ProofDefect {
    /// The case of this defect under `check`.
    pub(crate) const fn case(&self, check: &'static Check) -> Case {
        Case {
            check,
            name: self.name,
            sent: self.sent,
            cause: Some(self.cause),
            also: self.also,
            severity: self.severity,
        }
    }

    const fn new(
        check: &'static Check,
        name: &'static str,
        sent: &'static str,
        cause: Cause,
        change: fn(&mut Draft, &Strangers),
    ) -> Self {
        Self {
            check,
            name,
            sent,
            cause,
            also: &[],
            severity: None,
            unless: None,
            change,
        }
    }

    const fn also(mut self, also: &'static [u16]) -> Self {
        self.also = also;
        self
    }

    const fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    const fn unless(mut self, case: &'static str) -> Self {
        self.unless = Some(case);
        self
    }
}

/// Every defect, in the order of asking.
pub(crate) const DEFECTS: &[ProofDefect] = &[
    // --- RS-08: made for another request
    ProofDefect::new(
        &checks::RS_08,
        "htm-other",
        "a proof for another method",
        Cause::DpopHtmMismatch,
        |draft, _| {
            let other = if draft.method == http::Method::GET {
                "POST"
            } else {
                "GET"
            };
            draft.on_proof(|proof| proof.claim("htm", other));
        },
    ),
    ProofDefect::new(
        &checks::RS_08,
        "htm-lower-case",
        "a proof whose `htm` is the method in lower case",
        Cause::DpopHtmMismatch,
        |draft, _| {
            let lower = draft.method.as_str().to_ascii_lowercase();
            draft.on_proof(|proof| proof.claim("htm", lower));
        },
    )
    .severity(Severity::Low),
    ProofDefect::new(
        &checks::RS_08,
        "htu-host",
        "a proof for the same path on another host",
        Cause::DpopHtuMismatch,
        |draft, _| {
            with_htu(draft, |origin, path| {
                format!("{}{path}", other_host(origin))
            })
        },
    ),
    ProofDefect::new(
        &checks::RS_08,
        "htu-path",
        "a proof for another path",
        Cause::DpopHtuMismatch,
        |draft, _| with_htu(draft, |origin, path| format!("{origin}{path}-other")),
    ),
    ProofDefect::new(
        &checks::RS_08,
        "htu-port",
        "a proof for another port",
        Cause::DpopHtuMismatch,
        |draft, _| {
            with_htu(draft, |origin, path| {
                format!("{}{path}", other_port(origin))
            })
        },
    ),
    ProofDefect::new(
        &checks::RS_08,
        "htu-scheme",
        "a proof for the same URL with the other scheme",
        Cause::DpopHtuMismatch,
        |draft, _| {
            with_htu(draft, |origin, path| {
                format!("{}{path}", other_scheme(origin))
            })
        },
    )
    .severity(Severity::Medium),
    ProofDefect::new(
        &checks::RS_08,
        "htu-trailing-slash",
        "a proof whose `htu` has a slash more at its end",
        Cause::DpopHtuMismatch,
        |draft, _| with_htu(draft, |origin, path| format!("{origin}{path}/")),
    )
    .severity(Severity::Low),
    ProofDefect::new(
        &checks::RS_08,
        "htu-encoded-slash",
        "a proof whose `htu` goes on with an encoded slash",
        Cause::DpopHtuMismatch,
        |draft, _| with_htu(draft, |origin, path| format!("{origin}{path}%2Fmore")),
    )
    .severity(Severity::Low),
    // --- RS-09: made for another token
    ProofDefect::new(
        &checks::RS_09,
        "ath-absent",
        "a proof without `ath`",
        Cause::DpopAthAbsent,
        |draft, _| draft.on_proof(|proof| proof.without_claim("ath")),
    ),
    ProofDefect::new(
        &checks::RS_09,
        "ath-other",
        "a proof whose `ath` is the hash of another token",
        Cause::DpopAthMismatch,
        |draft, _| {
            let other = keybound_proto::token::TokenHash::of(b"another token").to_ath();
            draft.on_proof(|proof| proof.claim("ath", other));
        },
    ),
    ProofDefect::new(
        &checks::RS_09,
        "ath-hex",
        "a proof whose `ath` is the hash in hexadecimal",
        Cause::DpopAthMismatch,
        |draft, _| with_ath(draft, crate::draft::ath_in_hex),
    )
    .severity(Severity::Low),
    ProofDefect::new(
        &checks::RS_09,
        "ath-sha512",
        "a proof whose `ath` is the SHA-512 hash",
        Cause::DpopAthMismatch,
        |draft, _| with_ath(draft, crate::draft::ath_sha512),
    )
    .severity(Severity::Low),
    // --- RS-12: form
    ProofDefect::new(
        &checks::RS_12,
        "two-headers",
        "two `DPoP` header fields, each with a good proof",
        Cause::DpopMultiple,
        |draft, _| draft.proof_lines = ProofLines::Two,
    ),
    ProofDefect::new(
        &checks::RS_12,
        "joined",
        "two good proofs in one `DPoP` header field, joined by a comma",
        Cause::DpopMultiple,
        |draft, _| draft.proof_lines = ProofLines::Joined,
    ),
    ProofDefect::new(
        &checks::RS_12,
        "not-a-jwt",
        "a `DPoP` header field that is no JWT",
        Cause::DpopMalformed,
        |draft, _| draft.proof_lines = ProofLines::Raw("not-a-proof".to_owned()),
    ),
    ProofDefect::new(
        &checks::RS_12,
        "two-parts",
        "a proof without its signature part",
        Cause::DpopMalformed,
        |draft, _| draft.on_proof(|proof| proof.encoding = Encoding::TwoParts),
    ),
    ProofDefect::new(
        &checks::RS_12,
        "four-parts",
        "a proof with a fourth part",
        Cause::DpopMalformed,
        |draft, _| draft.on_proof(|proof| proof.encoding = Encoding::FourParts),
    ),
    ProofDefect::new(
        &checks::RS_12,
        "flattened",
        "a proof in JSON serialisation",
        Cause::DpopMultiple,
        |draft, _| draft.on_proof(|proof| proof.encoding = Encoding::Flattened),
    ),
    ProofDefect::new(
        &checks::RS_12,
        "padded",
        "a proof with `=` padding",
        Cause::DpopMalformed,
        |draft, _| draft.on_proof(|proof| proof.encoding = Encoding::Padded),
    )
    .severity(Severity::Low),
    ProofDefect::new(
        &checks::RS_12,
        "loose-bits",
        "a proof whose encoding has other unused bits, so that one proof has many spellings",
        Cause::DpopMalformed,
        |draft, _| draft.on_proof(|proof| proof.encoding = Encoding::LooseBits),
    )
    .severity(Severity::Low),
    ProofDefect::new(
        &checks::RS_12,
        "duplicate-member",
        "a proof whose claims have `jti` twice",
        Cause::DpopMalformed,
        |draft, _| draft.on_proof(|proof| proof.encoding = Encoding::DuplicateMember),
    )
    .severity(Severity::Low),
    ProofDefect::new(
        &checks::RS_12,
        "oversize",
        "a proof of more than 16 KiB",
        Cause::DpopSize,
        |draft, _| draft.on_proof(|proof| proof.encoding = Encoding::Oversize),
    )
    .also(&[413, 431])
    .severity(Severity::Low),
    // --- RS-11: signatures and keys
    ProofDefect::new(
        &checks::RS_11,
        "alg-none-signed",
        "a proof with `alg` `none` and the key's signature all the same",
        Cause::DpopAlgUnacceptable,
        |draft, _| draft.on_proof(|proof| proof.member("alg", "none")),
    ),
    // What has no signature is refused for its form by strict readers, before its `alg` is.
    ProofDefect::new(
        &checks::RS_11,
        "alg-none",
        "a proof with `alg` `none` and an empty signature",
        Cause::DpopMalformed,
        |draft, _| {
            draft.on_proof(|proof| {
                proof.member("alg", "none");
                proof.signature = Signature::Empty;
            });
        },
    )
    .unless("RS-12.two-parts"),
    ProofDefect::new(
        &checks::RS_11,
        "alg-none-capital",
        "a proof with `alg` `None` and an empty signature",
        Cause::DpopMalformed,
        |draft, _| {
            draft.on_proof(|proof| {
                proof.member("alg", "None");
                proof.signature = Signature::Empty;
            });
        },
    )
    .unless("RS-12.two-parts"),
    ProofDefect::new(
        &checks::RS_11,
        "hs256-public-key",
        "a proof with `alg` `HS256`, keyed with the public key's text",
        Cause::DpopAlgUnacceptable,
        |draft, _| {
            draft.on_proof(|proof| {
                proof.member("alg", "HS256");
                proof.signature = Signature::HmacOfPublicKey;
            });
        },
    ),
    ProofDefect::new(
        &checks::RS_11,
        "signature-flipped",
        "a proof with one bit of its signature flipped",
        Cause::DpopSignatureInvalid,
        |draft, _| draft.on_proof(|proof| proof.signature = Signature::Flipped),
    ),
    ProofDefect::new(
        &checks::RS_11,
        "signature-other-claims",
        "a proof whose claims were changed after signing",
        Cause::DpopSignatureInvalid,
        |draft, _| draft.on_proof(|proof| proof.signature = Signature::OverOtherClaims),
    ),
    ProofDefect::new(
        &checks::RS_11,
        "signature-zeros",
        "a proof whose signature is all zeros",
        Cause::DpopSignatureInvalid,
        |draft, _| draft.on_proof(|proof| proof.signature = Signature::Zeros),
    ),
    ProofDefect::new(
        &checks::RS_11,
        "signature-by-other-key",
        "a proof that shows the owner's key and is signed by another",
        Cause::DpopSignatureInvalid,
        |draft, strangers| {
            let stranger = Arc::clone(&strangers.key);
            draft.on_proof(|proof| proof.signer = stranger);
        },
    ),
    ProofDefect::new(
        &checks::RS_11,
        "jwk-private",
        "a proof whose `jwk` has a private member `d`",
        Cause::DpopJwkPrivate,
        |draft, _| {
            let made_up = keybound_proto::base64url::encode(&[7; 32]);
            draft.on_proof(|proof| proof.jwk_member("d", made_up));
        },
    )
    .severity(Severity::Medium),
    ProofDefect::new(
        &checks::RS_11,
        "jwk-symmetric",
        "a proof whose `jwk` is a symmetric key",
        Cause::DpopJwkPrivate,
        |draft, _| {
            let made_up = keybound_proto::base64url::encode(&[7; 32]);
            draft.on_proof(|proof| proof.member("jwk", json!({"kty": "oct", "k": made_up})));
        },
    ),
    ProofDefect::new(
        &checks::RS_11,
        "jwk-damaged",
        "a proof whose `jwk` has a coordinate of the wrong length",
        Cause::DpopJwkInvalid,
        |draft, _| {
            let short = keybound_proto::base64url::encode(&[7; 31]);
            draft.on_proof(|proof| proof.jwk_member("x", short));
        },
    ),
    ProofDefect::new(
        &checks::RS_11,
        "alg-of-other-key-type",
        "a proof whose `alg` does not fit its key",
        Cause::DpopJwkMismatch,
        |draft, _| {
            draft.on_proof(|proof| {
                let other = match proof.signer.algorithm() {
                    Algorithm::EdDsa => "ES256",
                    Algorithm::Es256 | Algorithm::Es384 | Algorithm::Ps256 | Algorithm::Rs256 => {
                        "EdDSA"
                    }
                };
                proof.member("alg", other);
            });
        },
    ),
    ProofDefect::new(
        &checks::RS_11,
        "crit",
        "a proof whose `crit` names an extension nobody knows",
        Cause::DpopCritical,
        |draft, _| {
            draft.on_proof(|proof| {
                proof.member("crit", json!(["x-unknown"]));
                proof.member("x-unknown", true);
            });
        },
    )
    .severity(Severity::Low),
    ProofDefect::new(
        &checks::RS_11,
        "b64-false",
        "a proof that says its payload is not encoded (`b64`)",
        Cause::DpopCritical,
        |draft, _| {
            draft.on_proof(|proof| {
                proof.member("crit", json!(["b64"]));
                proof.member("b64", false);
            });
        },
    )
    .severity(Severity::Low),
    // --- RS-10: members missing or wrong
    ProofDefect::new(
        &checks::RS_10,
        "typ-absent",
        "a proof without `typ`",
        Cause::DpopTyp,
        |draft, _| draft.on_proof(|proof| proof.without_member("typ")),
    ),
    ProofDefect::new(
        &checks::RS_10,
        "typ-other",
        "a proof of type `JWT`",
        Cause::DpopTyp,
        |draft, _| draft.on_proof(|proof| proof.member("typ", "JWT")),
    ),
    ProofDefect::new(
        &checks::RS_10,
        "alg-absent",
        "a proof without `alg`",
        Cause::DpopAlgUnacceptable,
        |draft, _| draft.on_proof(|proof| proof.without_member("alg")),
    )
    .unless("RS-11.alg-none-signed"),
    ProofDefect::new(
        &checks::RS_10,
        "jwk-absent",
        "a proof without `jwk`",
        Cause::DpopJwkAbsent,
        |draft, _| draft.on_proof(|proof| proof.without_member("jwk")),
    ),
    ProofDefect::new(
        &checks::RS_10,
        "jti-absent",
        "a proof without `jti`",
        Cause::DpopJtiInvalid,
        |draft, _| draft.on_proof(|proof| proof.without_claim("jti")),
    ),
    ProofDefect::new(
        &checks::RS_10,
        "jti-empty",
        "a proof whose `jti` is empty",
        Cause::DpopJtiInvalid,
        |draft, _| draft.on_proof(|proof| proof.claim("jti", "")),
    ),
    ProofDefect::new(
        &checks::RS_10,
        "htm-absent",
        "a proof without `htm`",
        Cause::DpopHtmInvalid,
        |draft, _| draft.on_proof(|proof| proof.without_claim("htm")),
    ),
    ProofDefect::new(
        &checks::RS_10,
        "htu-absent",
        "a proof without `htu`",
        Cause::DpopHtuInvalid,
        |draft, _| draft.on_proof(|proof| proof.without_claim("htu")),
    ),
    ProofDefect::new(
        &checks::RS_10,
        "htu-number",
        "a proof whose `htu` is a number",
        Cause::DpopHtuInvalid,
        |draft, _| draft.on_proof(|proof| proof.claim("htu", 7)),
    ),
    ProofDefect::new(
        &checks::RS_10,
        "htu-path-only",
        "a proof whose `htu` is a path without scheme and host",
        Cause::DpopHtuInvalid,
        |draft, _| with_htu(draft, |_, path| path.to_owned()),
    )
    .severity(Severity::Medium),
    ProofDefect::new(
        &checks::RS_10,
        "iat-absent",
        "a proof without `iat`",
        Cause::DpopIatInvalid,
        |draft, _| draft.on_proof(|proof| proof.without_claim("iat")),
    ),
    ProofDefect::new(
        &checks::RS_10,
        "iat-text",
        "a proof whose `iat` is a text",
        Cause::DpopIatInvalid,
        |draft, _| {
            draft.on_proof(|proof| {
                let iat = proof.claims.get("iat").cloned().unwrap_or_default();
                proof.claim("iat", iat.to_string());
            });
        },
    ),
];

/// Replaces `htu`, made from the origin and the path of the URL.
fn with_htu(draft: &mut Draft, make: impl FnOnce(&str, &str) -> String) {
    let url = draft.url.without_query().to_owned();
    let origin = draft.url.origin_as_given().to_owned();
    let path = url.strip_prefix(&origin).unwrap_or("/").to_owned();
    draft.on_proof(|proof| proof.claim("htu", make(&origin, &path)));
}

/// Replaces `ath`, made from the token.
fn with_ath(draft: &mut Draft, make: fn(&str) -> String) {
    let Some(token) = draft.credentials.first().map(|sent| sent.token.clone()) else {
        return;
    };
    draft.on_proof(|proof| proof.claim("ath", make(&token)));
}

/// The origin with another host, scheme and port kept.
pub(crate) fn other_host(origin: &str) -> String {
    let (scheme, rest) = origin.split_once("://").unwrap_or(("https", origin));
    let port = rest
        .rsplit_once(':')
        .map(|(_, port)| port)
        .filter(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    port.map_or_else(
        || format!("{scheme}://other.example"),
        |port| format!("{scheme}://other.example:{port}"),
    )
}

fn other_port(origin: &str) -> String {
    let (scheme, rest) = origin.split_once("://").unwrap_or(("https", origin));
    let host = match rest.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => rest,
    };
    format!("{scheme}://{host}:9")
}

fn other_scheme(origin: &str) -> String {
    match origin.split_once("://") {
        Some(("https", rest)) => format!("http://{rest}"),
        Some((_, rest)) => format!("https://{rest}"),
        None => origin.to_owned(),
    }
}
