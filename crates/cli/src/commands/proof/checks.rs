//! The checks of one proof, each on its own, so that a proof with three faults
//! shows three and not only the first.
//!
//! Form, method, URL and age are judged by the verifier itself
//! ([`begin_proof`]): it is asked once per check, with everything else set to
//! what the proof claims. Signature, nonce and token are compared here, because
//! the verifier would stop before them or needs the server's secrets.

use keybound_proto::cause::Cause;
use keybound_proto::dpop::{NonceKey, NoncePolicy, NonceRole, ProofWindow};
use keybound_proto::jose::{Algorithm, AlgorithmSet, Jws, PublicKey};
use keybound_proto::json::Object;
use keybound_proto::rejection::Rejection;
use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;
use keybound_proto::uri::Htu;
use keybound_proto::verify::{HeaderField, Profile, ProofPresented, begin_proof};

/// The request a proof is checked against. What is `None` is not checked.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    pub(super) method: Option<&'a str>,
    pub(super) target: Option<&'a Htu>,
    pub(super) token: Option<&'a str>,
    pub(super) nonce: Option<&'a str>,
    pub(super) now: UnixTime,
    pub(super) window: ProofWindow,
}

/// What a proof says of itself.
#[derive(Debug, Default)]
pub(super) struct Claims {
    pub(super) typ: Option<String>,
    pub(super) alg: Option<String>,
    pub(super) jkt: Option<String>,
    pub(super) htm: Option<String>,
    pub(super) htu: Option<String>,
    pub(super) iat: Option<u64>,
    pub(super) jti: Option<String>,
    pub(super) ath: Option<String>,
    pub(super) nonce: Option<String>,
}

/// How one check went.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It holds.
    Holds,
    /// It does not.
    Fails(Box<Rejection>),
    /// It was not asked for, or something before it leaves nothing to check.
    Skipped(&'static str),
}

/// One check.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
}

/// Runs every check, in the order of a server.
pub(super) fn run(proof: &str, expected: &Expected<'_>) -> (Claims, Vec<Check>) {
    let claims = Claims::of(proof);
    let form = form(proof, &claims);
    let readable = matches!(form, Verdict::Holds);
    let after_form = |check: &dyn Fn() -> Verdict| {
        if readable {
            check()
        } else {
            Verdict::Skipped("the form is wrong")
        }
    };
    let checks = vec![
        Check {
            name: "method",
            verdict: after_form(&|| method(proof, &claims, expected)),
        },
        Check {
            name: "url",
            verdict: after_form(&|| url(proof, &claims, expected)),
        },
        Check {
            name: "age",
            verdict: after_form(&|| age(proof, &claims, expected)),
        },
        Check {
            name: "nonce",
            verdict: after_form(&|| nonce(&claims, expected)),
        },
        Check {
            name: "token",
            verdict: after_form(&|| made_for_token(&claims, expected)),
        },
        Check {
            name: "key",
            verdict: after_form(&|| bound_key(&claims, expected)),
        },
        Check {
            name: "signature",
            verdict: after_form(&|| signature(proof, &claims)),
        },
    ];
    let all = std::iter::once(Check {
        name: "form",
        verdict: form,
    })
    .chain(checks);
    (claims, all.collect())
}

/// Asks the verifier about everything before the nonce, which it cannot know.
fn ask(
    proof: &str,
    method: &str,
    target: &Htu,
    window: ProofWindow,
    now: UnixTime,
) -> Result<(), Rejection> {
    let profile = Profile {
        proof_algorithms: every_algorithm(),
        window,
        ..Profile::default()
    };
    let presented = ProofPresented {
        method,
        target,
        proof: HeaderField::One(proof.as_bytes()),
    };
    // A nonce of a real server is unknown to this key, and the verifier looks
    // at the nonce last of all claims: those causes mean that the rest holds.
    let key = NonceKey::new(&[0; 32], NonceRole::ResourceServer, 0, 0);
    let nonces = NoncePolicy {
        key: &key,
        required: false,
    };
    match begin_proof(&profile, &presented, &nonces, now) {
        Ok(_) => Ok(()),
        Err(rejection) => match rejection.cause() {
            Cause::DpopNonceStale | Cause::DpopSignatureInvalid => Ok(()),
            _ => Err(rejection),
        },
    }
}

fn form(proof: &str, claims: &Claims) -> Verdict {
    let method = claims.htm.as_deref().unwrap_or("GET");
    let claimed = claims.htu.as_deref().and_then(|htu| Htu::parse(htu).ok());
    let Some(target) = claimed.or_else(|| Htu::parse("http://localhost/").ok()) else {
        return Verdict::Skipped("the address cannot be read");
    };
    verdict(ask(proof, method, &target, ANY_AGE, claims.made_at()))
}

fn method(proof: &str, claims: &Claims, expected: &Expected<'_>) -> Verdict {
    let Some(method) = expected.method else {
        return Verdict::Skipped("give --method to check it");
    };
    let Some(target) = claims.target() else {
        return Verdict::Skipped("the proof has no usable htu");
    };
    verdict(ask(proof, method, &target, ANY_AGE, claims.made_at()))
}

fn url(proof: &str, claims: &Claims, expected: &Expected<'_>) -> Verdict {
    let Some(target) = expected.target else {
        return Verdict::Skipped("give --url to check it");
    };
    let method = claims.htm.as_deref().unwrap_or_default();
    verdict(ask(proof, method, target, ANY_AGE, claims.made_at()))
}

fn age(proof: &str, claims: &Claims, expected: &Expected<'_>) -> Verdict {
    let Some(target) = claims.target() else {
        return Verdict::Skipped("the proof has no usable htu");
    };
    let method = claims.htm.as_deref().unwrap_or_default();
    verdict(ask(proof, method, &target, expected.window, expected.now))
}

fn nonce(claims: &Claims, expected: &Expected<'_>) -> Verdict {
    match (expected.nonce, &claims.nonce) {
        (None, None) => {
            Verdict::Skipped("the proof has none; give --nonce if the server asked for one")
        }
        (None, Some(_)) => {
            Verdict::Skipped("only the server that gave it can check it; give --nonce to compare")
        }
        (Some(_), None) => fails(Rejection::new(Cause::DpopNonceAbsent)),
        (Some(given), Some(said)) if given == said => Verdict::Holds,
        (Some(given), Some(said)) => fails(
            Rejection::new(Cause::DpopNonceStale)
                .expected(given)
                .got(said),
        ),
    }
}

/// RFC 9449 section 4.3 (12), first half.
fn made_for_token(claims: &Claims, expected: &Expected<'_>) -> Verdict {
    let Some(token) = expected.token else {
        return Verdict::Skipped("give --token to check it");
    };
    let ath = TokenHash::of(token.as_bytes()).to_ath();
    match &claims.ath {
        None => fails(Rejection::new(Cause::DpopAthAbsent).expected(ath)),
        Some(said) if *said == ath => Verdict::Holds,
        Some(said) => fails(
            Rejection::new(Cause::DpopAthMismatch)
                .expected(ath)
                .got(said),
        ),
    }
}

/// RFC 9449 section 4.3 (12), second half. The token's own signature is the
/// issuer's to verify; what it says about its key can be read without.
fn bound_key(claims: &Claims, expected: &Expected<'_>) -> Verdict {
    let Some(token) = expected.token else {
        return Verdict::Skipped("give --token to check it");
    };
    let bound_to = Jws::parse(token.as_bytes(), MAX_BYTES)
        .ok()
        .and_then(|jws| {
            let claims = jws.claims().ok()?;
            let cnf = claims.object("cnf").ok()??;
            cnf.string("jkt").ok()?.map(str::to_owned)
        });
    match (bound_to, &claims.jkt) {
        (None, _) => fails(Rejection::new(Cause::TokenUnbound)),
        (Some(jkt), Some(own)) if jkt == *own => Verdict::Holds,
        (Some(jkt), own) => {
            let got = own.clone().unwrap_or_default();
            fails(
                Rejection::new(Cause::TokenKeyMismatch)
                    .expected(jkt)
                    .got(got),
            )
        }
    }
}

/// RFC 9449 section 4.3 (6).
fn signature(proof: &str, claims: &Claims) -> Verdict {
    let verified = || {
        let jws = Jws::parse(proof.as_bytes(), MAX_BYTES).ok()?;
        let header = jws.header().ok()?;
        let key = PublicKey::from_jwk_object(header.jwk()?).ok()?;
        jws.verify(header.alg().ok()?, &key).ok()
    };
    match verified() {
        Some(_) => Verdict::Holds,
        None => fails(
            Rejection::new(Cause::DpopSignatureInvalid).got(claims.jkt.clone().unwrap_or_default()),
        ),
    }
}

fn verdict(asked: Result<(), Rejection>) -> Verdict {
    asked.map_or_else(fails, |()| Verdict::Holds)
}

fn fails(rejection: Rejection) -> Verdict {
    Verdict::Fails(Box::new(rejection))
}

fn every_algorithm() -> AlgorithmSet {
    AlgorithmSet::of(&[
        Algorithm::Es256,
        Algorithm::EdDsa,
        Algorithm::Es384,
        Algorithm::Ps256,
        Algorithm::Rs256,
    ])
}

impl Claims {
    /// Reads what can be read; nothing of it is trusted.
    fn of(proof: &str) -> Self {
        let mut claims = Self::default();
        let Ok(jws) = Jws::parse(proof.as_bytes(), MAX_BYTES) else {
            return claims;
        };
        if let Ok(header) = jws.header_object() {
            claims.typ = text(&header, "typ");
            claims.alg = text(&header, "alg");
            let jwk = header.object("jwk").ok().flatten();
            let key = jwk.and_then(|jwk| PublicKey::from_jwk_object(jwk).ok());
            claims.jkt = key.map(|key| key.thumbprint().to_string());
        }
        if let Ok(payload) = jws.claims() {
            claims.htm = text(&payload, "htm");
            claims.htu = text(&payload, "htu");
            claims.iat = payload.unsigned("iat").ok().flatten();
            claims.jti = text(&payload, "jti");
            claims.ath = text(&payload, "ath");
            claims.nonce = text(&payload, "nonce");
        }
        claims
    }

    fn made_at(&self) -> UnixTime {
        UnixTime::from_secs(self.iat.unwrap_or(0))
    }

    fn target(&self) -> Option<Htu> {
        Htu::parse(self.htu.as_deref()?).ok()
    }
}

fn text(object: &Object<'_>, name: &'static str) -> Option<String> {
    object.string(name).ok().flatten().map(str::to_owned)
}

const MAX_BYTES: usize = 16 * 1024;
/// The age is judged by its own check.
const ANY_AGE: ProofWindow = ProofWindow {
    past: 300,
    ahead: 300,
};
