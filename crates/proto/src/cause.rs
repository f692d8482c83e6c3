//! The check registry: every way to be refused, once.
//!
//! Each [`Cause`] has a stable id, the section that asks for the check, a
//! sentence for people and a next step. Logs, events, metrics, `proof explain`
//! and the wire all speak these ids; `wire` maps each to a status. A test walks
//! [`Cause::ALL`] and fails where a vector or a row of
//! `docs/reference/refusals.md` is missing.
//!
//! This module does not decide anything and knows no HTTP status.

use std::fmt;

use crate::event::TheftSignal;

macro_rules! causes {
    ($($variant:ident $id:literal, $section:literal, $summary:literal, $next:literal;)+) => {
        /// One way to be refused. The id never changes its meaning once released.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause {
            $(#[doc = concat!("`", $id, "`: ", $summary, ". ", $section, ".")] $variant,)+
        }

        impl Cause {
            /// Every cause, in the order of the registry.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable id, for example `dpop.htu.mismatch`. Also the metric label.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)+ }
            }

            /// The text that asks for the check: document and section.
            #[must_use]
            pub const fn section(self) -> &'static str {
                match self { $(Self::$variant => $section,)+ }
            }

            /// What is wrong, in plain words: lower case, no full stop.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary,)+ }
            }

            /// What the sender or the operator can do about it.
            #[must_use]
            pub const fn next_step(self) -> &'static str {
                match self { $(Self::$variant => $next,)+ }
            }
        }
    };
}

causes! {
    // --- the request's own form
    AuthorizationAbsent "authorization.absent", "RFC 9449 section 7.1", "the request carries no access token",
        "send `Authorization: DPoP <token>` and a `DPoP` proof header";
    AuthorizationMalformed "authorization.malformed", "RFC 9110 section 11.4", "the Authorization header is not a scheme and one token",
        "send exactly `DPoP`, a space and the access token";
    AuthorizationMultiple "authorization.multiple", "RFC 9449 section 7.2", "the request carries more than one Authorization header",
        "send exactly one Authorization header";
    // --- the DPoP proof: form
    DpopAbsent "dpop.absent", "RFC 9449 section 7.1", "the request has no DPoP proof",
        "sign a fresh proof for this request and send it in the `DPoP` header";
    DpopAlgUnacceptable "dpop.alg.unacceptable", "RFC 9449 section 4.3 (5)", "the proof's `alg` is missing or not allowed here",
        "sign with one of the algorithms named in `algs` of the challenge";
    DpopAthAbsent "dpop.ath.absent", "RFC 9449 section 4.3 (12)", "the proof has no `ath`, so it names no access token",
        "put the base64url SHA-256 of the access token into `ath`";
    DpopAthMismatch "dpop.ath.mismatch", "RFC 9449 section 4.3 (12)", "the proof was made for another access token",
        "compute `ath` over the very token that is sent";
    DpopCritical "dpop.critical", "RFC 7515 section 4.1.11", "the proof's header demands an extension (`crit` or `b64`)",
        "make the proof without `crit` and `b64`";
    DpopHtmInvalid "dpop.htm.invalid", "RFC 9449 section 4.2", "`htm` is missing or not a string",
        "put the request method into `htm`";
    DpopHtmMismatch "dpop.htm.mismatch", "RFC 9449 section 4.3 (8)", "the proof was made for another method",
        "sign a proof with this request's method, in the same letter case";
    DpopHtuInvalid "dpop.htu.invalid", "RFC 9449 section 4.2", "`htu` is missing or not an absolute http(s) URL",
        "put the request's full URL, without query and fragment, into `htu`";
    DpopHtuMismatch "dpop.htu.mismatch", "RFC 9449 section 4.3 (9)", "the proof was made for another URL",
        "sign `htu` with the public URL of this endpoint; behind a proxy, configure that URL";
    DpopIatFuture "dpop.iat.future", "RFC 9449 section 4.3 (11)", "the proof says it was made in the future",
        "correct the sender's clock, or learn the skew from the `Date` header";
    DpopIatInvalid "dpop.iat.invalid", "RFC 9449 section 4.2", "`iat` is missing or not a whole number of seconds",
        "put the Unix time in seconds into `iat`";
    DpopIatPast "dpop.iat.past", "RFC 9449 section 4.3 (11)", "the proof is too old",
        "sign a fresh proof for every request; check the sender's clock";
    DpopJtiInvalid "dpop.jti.invalid", "RFC 9449 sections 4.2 and 11.1", "`jti` is missing, empty, too long or not a string",
        "put at least 96 random bits, as text of at most 256 bytes, into `jti`";
    DpopJwkAbsent "dpop.jwk.absent", "RFC 9449 section 4.3 (3)", "the proof's header has no `jwk` object",
        "put the public key into the header as `jwk`";
    DpopJwkInvalid "dpop.jwk.invalid", "RFC 9449 section 4.3 (6)", "the proof's `jwk` is not an acceptable public key",
        "use an EC P-256 or P-384, Ed25519 or RSA (2048 to 4096 bits) key";
    DpopJwkMismatch "dpop.jwk.alg_mismatch", "RFC 9449 section 4.3 (6)", "the proof's `alg` does not fit its key",
        "use the algorithm that belongs to the key's type and curve";
    DpopJwkPrivate "dpop.jwk.private", "RFC 9449 section 4.3 (7)", "the proof's `jwk` contains private or symmetric key material",
        "treat the key as exposed, make a new one and send only its public half";
    DpopMalformed "dpop.malformed", "RFC 9449 section 4.3 (2)", "the DPoP header is not one well-formed compact JWT",
        "send one JWS in compact form: canonical base64url, no duplicate members";
    DpopMultiple "dpop.multiple", "RFC 9449 section 4.3 (1)", "the request carries more than one DPoP proof",
        "send exactly one `DPoP` header with one proof";
    DpopNonceAbsent "dpop.nonce.absent", "RFC 9449 sections 8 and 9", "a server nonce is required here and the proof has none",
        "repeat the request with the value of the `DPoP-Nonce` response header as `nonce`";
    DpopNonceInvalid "dpop.nonce.invalid", "RFC 9449 section 4.2", "`nonce` is not a string",
        "put the nonce into the proof as the server sent it";
    DpopNonceStale "dpop.nonce.stale", "RFC 9449 sections 8 and 9", "the proof's nonce is unknown or has expired",
        "repeat the request with the value of the `DPoP-Nonce` response header as `nonce`";
    DpopReplayed "dpop.replayed", "RFC 9449 section 11.1", "this proof was used before",
        "sign a fresh proof for every request; if the owner did, somebody else replayed it";
    DpopSignatureInvalid "dpop.signature.invalid", "RFC 9449 section 4.3 (6)", "the proof's signature does not verify with its own key",
        "sign the exact bytes of header and payload with the key in `jwk`";
    DpopSize "dpop.size", "RFC 9449 section 11.1", "the DPoP header is larger than is accepted",
        "keep the proof under 8 KiB";
    DpopTyp "dpop.typ", "RFC 9449 section 4.3 (4)", "the JWT in the DPoP header is not of type `dpop+jwt`",
        "set `typ` to `dpop+jwt`";
    // --- the HTTP message signature
    HttpsigAbsent "httpsig.absent", "RFC 9421 section 3.2", "the message carries no signature of the kind that is asked for here",
        "sign the message and give the signature the tag that is asked for";
    HttpsigAlgorithm "httpsig.alg", "RFC 9421 section 3.2", "the signature's algorithm is unknown, not allowed here, or does not fit the key",
        "sign with the algorithm the key is for, and leave `alg` out where the key says it";
    HttpsigComponent "httpsig.component", "RFC 9421 section 2.5", "the signature covers something the message does not have exactly once",
        "see which component; cover what is in the message, each once, in a form the registry knows";
    HttpsigCoverage "httpsig.coverage", "RFC 9421 section 7.2.1", "the signature does not cover everything it must",
        "cover the component named in the event; where a digest is sent, cover it";
    HttpsigCreatedFuture "httpsig.created.future", "RFC 9421 section 3.2.1", "the signature says it was made in the future",
        "correct the sender's clock, or learn the skew from the `Date` header";
    HttpsigCreatedPast "httpsig.created.past", "RFC 9421 section 3.2.1", "the signature is too old",
        "sign every request afresh; check the sender's clock";
    HttpsigEpoch "httpsig.epoch", "Keybound strict replay", "the signature may have been used before the last restart",
        "sign the request anew in a few seconds, with a new nonce";
    HttpsigExpired "httpsig.expired", "RFC 9421 section 3.2.1", "the signature has expired",
        "sign every request afresh; check the sender's clock";
    HttpsigKey "httpsig.key", "draft-hardt-httpbis-signature-key section 3", "the key sent with the signature is missing, malformed or not acceptable",
        "send the public key as `Signature-Key` with scheme `hwk` under the signature's label";
    HttpsigKeyUnknown "httpsig.key_unknown", "RFC 9421 section 3.2", "nobody trusted here has the key the signature names",
        "publish the key where it is looked for, or register it";
    HttpsigLifetime "httpsig.lifetime", "RFC 9421 section 3.2.1", "the signature is made to live longer than is accepted, or ends before it begins",
        "set `expires` soon after `created`";
    HttpsigMalformed "httpsig.malformed", "RFC 9421 section 4", "the signature fields are not two well-formed fields with the same labels",
        "send structured fields: each label once, in both fields";
    HttpsigMultiple "httpsig.multiple", "RFC 9421 section 3.2", "more than one signature is of the kind that is asked for here",
        "send one signature with this tag";
    HttpsigParameter "httpsig.parameter", "RFC 9421 section 2.3", "a parameter of the signature is missing, forbidden or of the wrong type",
        "see which parameter in the event";
    HttpsigReplayed "httpsig.replayed", "RFC 9421 section 7.2.2", "this signature's nonce was used before",
        "sign every request afresh; if the owner did, somebody else replayed it";
    HttpsigSignatureInvalid "httpsig.signature.invalid", "RFC 9421 section 3.2", "the signature does not verify",
        "sign exactly what is sent, with the public URL of this endpoint, and with the key the token is bound to";
    HttpsigSize "httpsig.size", "RFC 9421 section 7.1", "the signature fields are larger than is accepted",
        "send fewer signatures that cover fewer components";
    // --- the digest of the content
    DigestAbsent "digest.absent", "RFC 9530 section 2", "the message must have a digest of its content and has none",
        "send `Content-Digest` with `sha-256` and cover it with the signature, or put its value into the DPoP proof as `content_digest`";
    DigestAlgorithm "digest.alg", "RFC 9530 section 5", "the digest names no algorithm that is accepted",
        "use `sha-256` or `sha-512`";
    DigestMalformed "digest.malformed", "RFC 9530 section 2", "the Content-Digest field is malformed",
        "send a dictionary of algorithms and byte sequences, each algorithm once";
    DigestMismatch "digest.mismatch", "RFC 9530 section 2", "the content is not what its digest says",
        "make the digest over the bytes that are sent; somebody on the way may have changed them";
    // --- the access token
    TokenAlgUnacceptable "token.alg.unacceptable", "RFC 9068 section 4", "the access token's `alg` is not allowed for its issuer",
        "configure the issuer's algorithms, or make it sign with an allowed one";
    TokenAudienceMismatch "token.audience.mismatch", "RFC 9068 section 4", "the access token is meant for another resource",
        "ask the issuer for a token with this resource";
    TokenClaimInvalid "token.claim.invalid", "RFC 9068 section 2.2", "the access token misses a required claim or has one of the wrong type",
        "see which claim; if the issuer never sends it, allow that in its configuration";
    TokenCnfInvalid "token.cnf.invalid", "RFC 7800 section 3.1", "the access token's `cnf` is malformed or names no known method",
        "the issuer must put `jkt`, `jwk` or `x5t#S256` into `cnf`";
    TokenCnfUnsupported "token.cnf.unsupported", "RFC 7800 section 3.1", "the access token is bound by a method this route does not check",
        "use a token bound by DPoP (`cnf.jkt`) or mutual TLS (`cnf.x5t#S256`)";
    TokenCritical "token.critical", "RFC 7515 section 4.1.11", "the access token's header demands an extension (`crit` or `b64`)",
        "the issuer must not use critical extensions";
    TokenExpired "token.expired", "RFC 9068 section 4", "the access token has expired",
        "get a new token";
    TokenInactive "token.inactive", "RFC 7662 section 2.2", "the issuer says that the access token is not active",
        "get a new token";
    TokenIssuerUnknown "token.issuer.unknown", "RFC 9068 section 4", "the access token's issuer is not trusted here",
        "configure the issuer for this route, or get a token from one that is";
    TokenKeyMismatch "token.key_mismatch", "RFC 9449 sections 6.1 and 7.1", "the proof's key is not the key the access token is bound to",
        "sign with the key the token was issued for; if the owner did, somebody else holds the token";
    TokenKeyUnknown "token.key_unknown", "RFC 9068 section 4", "the issuer publishes no key with the token's `kid`",
        "get a new token; check the issuer's JWKS";
    TokenMalformed "token.malformed", "RFC 9068 section 4", "the access token is not one well-formed compact JWT",
        "send the token exactly as the issuer returned it";
    TokenMethodMismatch "token.method.mismatch", "RFC 7800 section 3.1", "the request proves possession by a method the access token is not bound by",
        "present the token the way its `cnf` says: `jkt` with DPoP, `x5t#S256` with its certificate";
    TokenMethodRefused "token.method.refused", "Keybound route policy", "this route does not take tokens bound by this method",
        "get a token bound by a method the route takes, or add the method to `binding_methods`";
    TokenNotYetValid "token.not_yet_valid", "RFC 7519 section 4.1.5", "the access token is not valid yet",
        "check the clocks of issuer and resource server";
    TokenSchemeDowngrade "token.scheme.downgrade", "RFC 9449 section 7.2", "a token bound to a key was presented as Bearer",
        "send it with scheme `DPoP` and a proof; if the owner did, somebody else holds the token";
    TokenSignatureInvalid "token.signature.invalid", "RFC 9068 section 4", "the access token's signature does not verify",
        "get a new token; a changed or forged token never verifies";
    TokenSize "token.size", "RFC 9110 section 5.4", "the access token is larger than is accepted",
        "ask for fewer scopes or claims";
    TokenStatusInvalid "token.status.invalid", "draft-ietf-oauth-status-list-21 section 7.1", "the issuer's status list says that the access token was revoked",
        "get a new token, if the identity is still allowed one";
    TokenStatusSuspended "token.status.suspended", "draft-ietf-oauth-status-list-21 section 7.1", "the issuer's status list says that the access token does not count for now",
        "ask the issuer's operator, or try again later";
    TokenStatusUnknown "token.status.unknown", "draft-ietf-oauth-status-list-21 section 8.3", "the access token has no place in a status list that says whether it counts",
        "the issuer must put a place in one of its lists into the token; else do not demand it";
    TokenTyp "token.typ", "RFC 9068 section 4", "the JWT is not of type `at+jwt`",
        "send an access token, not another JWT";
    TokenUnbound "token.unbound", "RFC 9449 section 7.1", "the access token is not bound to any key",
        "get a token with a DPoP proof; this route takes no bearer tokens";
    // --- workloads: SPIFFE
    JwtSvidAudience "spiffe.jwt.audience", "SPIFFE JWT-SVID section 3.2", "the JWT-SVID is not for this receiver alone",
        "ask the Workload API for a JWT-SVID with this one audience";
    JwtSvidClaim "spiffe.jwt.claim", "SPIFFE JWT-SVID section 3", "the JWT-SVID misses a required claim or has one of the wrong type",
        "see which claim; `sub`, `aud` and `exp` are required";
    JwtSvidHeader "spiffe.jwt.header", "SPIFFE JWT-SVID section 2", "the JWT-SVID's header has a member, type or algorithm it must not have",
        "send `alg`, `kid` and `typ` only; no EdDSA";
    JwtSvidMalformed "spiffe.jwt.malformed", "SPIFFE JWT-SVID section 4", "the JWT-SVID is not one well-formed compact JWT of acceptable size",
        "send the token exactly as the Workload API returned it";
    JwtSvidSignature "spiffe.jwt.signature", "SPIFFE JWT-SVID section 4", "the JWT-SVID does not verify with its trust domain's keys for this use",
        "get a new one; check the trust domain's bundle";
    JwtSvidTime "spiffe.jwt.time", "SPIFFE JWT-SVID section 3.3", "the JWT-SVID has expired, is not valid yet or lives too long",
        "get a new one; check the clocks";
    SpiffeTrustDomain "spiffe.trust_domain", "SPIFFE ID section 2.1", "the identity is of a trust domain that is not taken here",
        "configure the trust domain and its bundle";
    X509SvidChain "spiffe.certificate.chain", "SPIFFE X509-SVID section 5, RFC 5280 section 6.1", "the certificate does not lead to an authority of its trust domain",
        "send the whole chain; check the trust domain's bundle";
    X509SvidId "spiffe.certificate.id", "SPIFFE X509-SVID section 2", "the certificate does not name exactly one workload by SPIFFE ID",
        "use a certificate with one URI name, a SPIFFE ID with a path";
    X509SvidUsage "spiffe.certificate.usage", "SPIFFE X509-SVID section 4", "the certificate's usage is not that of an X.509-SVID",
        "use a leaf with a critical key usage that has digitalSignature and signs no certificates";
    // --- workloads: identity tokens and proofs
    WorkloadResponseNonce "wimse.response.nonce", "draft-ietf-wimse-http-signature section 3", "the response's signature does not answer this request",
        "send the request again; never take an answer to another request";
    WorkloadResponseUnsigned "wimse.response.unsigned", "draft-ietf-wimse-http-signature section 3", "a signed response is asked for and cannot be made here",
        "give the gateway an identity of its own, or do not ask for a signed response";
    WorkloadSignatureAudience "wimse.signature.audience", "draft-ietf-wimse-http-signature section 3", "the request's signature was made for another target",
        "put this URL, without query, or the value agreed on into `wimse-aud`";
    WitAbsent "wimse.wit.absent", "draft-ietf-wimse-workload-creds", "a workload's proof or signature came without its identity token",
        "send the identity token in `Workload-Identity-Token`";
    WitAlgUnacceptable "wimse.wit.alg", "draft-ietf-wimse-workload-creds", "the workload identity token's `alg` is missing or not allowed for its trust domain",
        "configure the trust domain's algorithms, or make it sign with an allowed one";
    WitClaimInvalid "wimse.wit.claim", "draft-ietf-wimse-workload-creds", "the workload identity token misses a required claim or has one it must not have",
        "see which claim; the trust domain's issuer must correct it";
    WitConfirmationInvalid "wimse.wit.cnf", "draft-ietf-wimse-workload-creds", "the workload identity token's `cnf` is not one acceptable `jwk` with its `alg`",
        "the trust domain's issuer must put one public key with `alg` into `cnf.jwk`";
    WitCritical "wimse.wit.critical", "RFC 7515 section 4.1.11", "the workload identity token's header demands an extension (`crit` or `b64`)",
        "the trust domain's issuer must not use critical extensions";
    WitExpired "wimse.wit.expired", "draft-ietf-wimse-workload-creds", "the workload identity token has expired",
        "get a new one; check the clocks of workload and gateway";
    WitIssuerRefused "wimse.wit.issuer", "draft-ietf-wimse-workload-creds", "the workload identity token's `iss` is not one taken for its trust domain",
        "list the issuer for the trust domain, or leave the list empty";
    WitKeyUnknown "wimse.wit.key_unknown", "draft-ietf-wimse-workload-creds", "the trust domain has no key with the workload identity token's `kid`",
        "check the trust domain's bundle; get a new token";
    WitLifetime "wimse.wit.lifetime", "draft-ietf-wimse-workload-creds", "the workload identity token is valid for longer than is accepted",
        "make the trust domain issue short-lived tokens, or raise the limit";
    WitMalformed "wimse.wit.malformed", "draft-ietf-wimse-workload-creds", "the workload identity token is not one well-formed compact JWT",
        "send the token exactly as it was issued";
    WitMultiple "wimse.wit.multiple", "draft-ietf-wimse-workload-creds", "the request carries more than one workload identity token",
        "send exactly one `Workload-Identity-Token` header with one token";
    WitNotYetValid "wimse.wit.not_yet_valid", "draft-ietf-wimse-workload-creds", "the workload identity token is not valid yet",
        "check the clocks of the trust domain's issuer and the gateway";
    WitSignatureInvalid "wimse.wit.signature", "draft-ietf-wimse-workload-creds", "the workload identity token does not verify with its trust domain's keys",
        "get a new token; a changed or forged token never verifies";
    WitSize "wimse.wit.size", "RFC 9110 section 5.4", "the workload identity token is larger than is accepted",
        "ask for fewer claims";
    WitSubjectInvalid "wimse.wit.subject", "draft-ietf-wimse-identifier", "the workload identity token's `sub` is not one strict workload identifier",
        "the trust domain must name the workload as one URI in canonical spelling";
    WitTrustDomainUnknown "wimse.wit.trust_domain", "draft-ietf-wimse-identifier", "the workload's trust domain, scheme included, is not trusted here",
        "configure the trust domain for this gateway";
    WitTyp "wimse.wit.typ", "draft-ietf-wimse-workload-creds", "the JWT in the Workload-Identity-Token header is not of type `wit+jwt`",
        "send a workload identity token, not another JWT";
    WptAbsent "wimse.wpt.absent", "draft-ietf-wimse-wpt section 2", "a workload identity token came without a proof by its key",
        "send a `Workload-Proof-Token` made for this request, or sign the request";
    WptAlgUnacceptable "wimse.wpt.alg", "draft-ietf-wimse-wpt section 2", "the workload proof's `alg` is missing or not allowed here",
        "sign with one of the algorithms taken here";
    WptAlgMismatch "wimse.wpt.alg_mismatch", "draft-ietf-wimse-wpt section 2", "the workload proof's `alg` is not the `alg` of the identity token's key",
        "name the algorithm exactly as `cnf.jwk` of the identity token does";
    WptAth "wimse.wpt.ath", "draft-ietf-wimse-wpt section 2", "the workload proof was not made for the access token that came with it",
        "compute `ath` over the very access token that is sent; leave it out if none is";
    WptAudience "wimse.wpt.audience", "draft-ietf-wimse-wpt section 2", "the workload proof was made for another target",
        "put this URL, without query, or the value agreed on into `aud`; behind a proxy, configure that URL";
    WptClaimInvalid "wimse.wpt.claim", "draft-ietf-wimse-wpt section 2", "the workload proof misses a required claim or has one of the wrong type",
        "see which claim; `aud`, `exp`, `jti` and `wth` are required";
    WptCritical "wimse.wpt.critical", "RFC 7515 section 4.1.11", "the workload proof's header demands an extension (`crit` or `b64`)",
        "make the proof without `crit` and `b64`";
    WptEpoch "wimse.wpt.epoch", "Keybound strict replay", "the workload proof may have been used before the last restart",
        "make a fresh proof that says when it was made (`iat`), and repeat the request";
    WptExpired "wimse.wpt.expired", "draft-ietf-wimse-wpt section 2", "the workload proof has expired",
        "make a fresh proof for every request; check the sender's clock";
    WptLifetime "wimse.wpt.lifetime", "draft-ietf-wimse-wpt section 2", "the workload proof is valid for longer than is accepted",
        "make proofs that live for a minute; check the sender's clock";
    WptMalformed "wimse.wpt.malformed", "draft-ietf-wimse-wpt section 2", "the workload proof is not one well-formed compact JWT",
        "send one JWS in compact form: canonical base64url, no duplicate members";
    WptMultiple "wimse.wpt.multiple", "draft-ietf-wimse-wpt section 2", "the request carries more than one workload proof",
        "send exactly one `Workload-Proof-Token` header with one proof";
    WptNotYetValid "wimse.wpt.not_yet_valid", "draft-ietf-wimse-wpt section 2", "the workload proof is not valid yet",
        "correct the sender's clock";
    WptOth "wimse.wpt.oth", "draft-ietf-wimse-wpt section 2", "the workload proof's `oth` names a token that is not understood, not sent or another",
        "cover exactly the token headers this gateway knows, each sent once";
    WptReplayed "wimse.wpt.replayed", "draft-ietf-wimse-wpt section 2", "this workload proof was used before",
        "make a fresh proof for every request; if the owner did, somebody else replayed it";
    WptSignatureInvalid "wimse.wpt.signature", "draft-ietf-wimse-wpt section 2", "the workload proof does not verify with the key in the identity token",
        "sign with the key the identity token was issued for; if the owner did, somebody else holds the token";
    WptSize "wimse.wpt.size", "RFC 9110 section 5.4", "the workload proof is larger than is accepted",
        "keep the proof under 8 KiB";
    WptTth "wimse.wpt.tth", "draft-ietf-wimse-wpt section 2", "the workload proof was not made for the transaction token that came with it",
        "compute `tth` over the very `Txn-Token` that is sent; leave it out if none is";
    WptTyp "wimse.wpt.typ", "draft-ietf-wimse-wpt section 2", "the JWT in the Workload-Proof-Token header is not of type `wpt+jwt`",
        "set `typ` to `wpt+jwt`";
    WptWth "wimse.wpt.wth", "draft-ietf-wimse-wpt section 2", "the workload proof was not made for the identity token that came with it",
        "compute `wth` over the very identity token that is sent";
    WorkloadIdentityRefused "workload.identity", "draft-ietf-wimse-identifier", "the workload is not one this route takes",
        "list its identifier for the route, exactly or below a segment";
    // --- the client certificate
    CertificateAbsent "certificate.absent", "RFC 8705 sections 2 and 3", "the connection has no client certificate",
        "connect with the client certificate, to the address that asks for one";
    CertificateExpired "certificate.expired", "RFC 5280 section 4.1.2.5", "the client certificate has expired",
        "renew the certificate, reconnect with it and get a new token";
    CertificateInvalid "certificate.invalid", "RFC 5280 section 4.1", "the client certificate is malformed, ambiguous or too large",
        "use an X.509 certificate in DER with well-formed names and a short chain";
    CertificateMismatch "certificate.mismatch", "RFC 8705 section 3", "the client certificate is not the one the access token is bound to",
        "use the certificate the token was issued for; after a renewal get a new token; if the owner did, somebody else holds the token";
    CertificateNotYetValid "certificate.not_yet_valid", "RFC 5280 section 4.1.2.5", "the client certificate is not valid yet",
        "check the clocks of the certification authority and of this server";
    CertificatePurpose "certificate.purpose", "RFC 5280 section 4.2.1.12", "the client certificate may not be used to authenticate a client",
        "use an end-entity certificate for digital signatures whose purposes, if it has any, include clientAuth";
    CertificateRevoked "certificate.revoked", "RFC 5280 section 6.3", "the client certificate, or one of its path, was revoked",
        "get a new certificate; treat the old one's key as exposed";
    CertificateStatusUnknown "certificate.status_unknown", "RFC 5280 section 6.3", "no revocation list in force tells the client certificate's status",
        "give the server a current list of every authority of the path";
    CertificateSubject "certificate.subject", "RFC 8705 section 2.1", "the client certificate does not have the one name registered for the client",
        "use the client's own certificate, or register its name exactly as the certificate has it";
    CertificateUnregistered "certificate.unregistered", "RFC 8705 section 2.2", "the client certificate is none of those registered for the client",
        "register the certificate or its key in the client's `jwks` first";
    CertificateUntrusted "certificate.untrusted", "RFC 8705 section 2.1", "the client certificate has no valid path to an authority trusted for the client",
        "send the intermediate certificates as well; check the authorities configured for the client";
    CertificateHeaderInvalid "certificate_header.invalid", "RFC 9440 section 2", "the TLS terminator's certificate header cannot be read",
        "compare the terminator's configuration with the profile in `certificate_header`";
    // --- judgement
    IdentityLocked "identity.locked", "Keybound lock", "the identity is locked",
        "ask an operator; `keybound unlock identity` releases it";
    KeyLocked "key.locked", "Keybound lock", "the key is locked",
        "make a new key, or ask an operator; `keybound unlock key` releases it";
    ScopeInsufficient "scope.insufficient", "RFC 6750 section 3.1", "the access token lacks a scope this request needs",
        "ask the issuer for a token with the scope named in the challenge";
    TokenRevoked "token.revoked", "RFC 7009 section 2", "the access token was revoked",
        "get a new token, if the identity is still allowed one";
    // --- what the verifier itself needs
    IntrospectionBusy "introspection.busy", "Keybound fail closed", "too many access tokens are being asked about at once",
        "retry later; look for a flood of unknown tokens, or raise the limit";
    IntrospectionFlood "introspection.flood", "Keybound fail closed", "this peer has too many unknown access tokens under way",
        "send fewer requests with tokens that were not used before";
    IntrospectionInvalid "introspection.invalid", "RFC 7662 section 2.2, RFC 9701 section 5", "the issuer's answer about the access token is not acceptable",
        "see what was expected; the introspection endpoint does not answer as its issuer's configuration here says";
    IntrospectionUnavailable "introspection.unavailable", "RFC 7662 section 2.3", "the issuer cannot be asked about the access token",
        "check that the introspection endpoint can be reached and takes this gateway's credentials";
    KeysUnavailable "keys.unavailable", "Keybound fail closed", "the issuer's keys cannot be had",
        "check that the issuer and its JWKS can be reached";
    ReplayEpoch "replay.epoch", "Keybound strict replay", "the proof may have been used before the last restart",
        "repeat the request with a fresh proof and the nonce of the `DPoP-Nonce` response header";
    ReplayFlood "replay.flood", "Keybound replay log", "this key has more live proofs than it is allowed",
        "send fewer requests with this key";
    ReplayFull "replay.full", "Keybound replay log", "the replay log is full",
        "retry later; give the replay log more room";
    ReplayUnavailable "replay.unavailable", "Keybound fail closed", "the shared replay log does not answer or cannot be relied on",
        "retry later with a fresh proof; see what readiness says about the replay log";
    RevocationStale "revocation.stale", "Keybound fail closed", "revocations have not been heard of for too long",
        "check the connection from this gateway to the control plane";
    StatusListInvalid "status_list.invalid", "draft-ietf-oauth-status-list-21 section 8.3", "the issuer's status list is not acceptable",
        "see what is wrong with it; the list must be the issuer's own, signed and in time";
    StatusListUnavailable "status_list.unavailable", "draft-ietf-oauth-status-list-21 section 8.3", "the issuer's status list cannot be had",
        "check that the list can be reached, and that its origin is the issuer's or is listed";
    StoreUnavailable "store.unavailable", "RFC 7009 section 2.2.1", "the store cannot be reached or is full",
        "retry later; check the disk and the database file";
    // --- authorization server
    AssertionAudience "assertion.audience", "RFC 7523 section 3", "the client assertion's `aud` is not this issuer's identifier",
        "set `aud` to the issuer string, exactly, and to nothing else";
    AssertionClaim "assertion.claim", "RFC 7523 section 3", "the client assertion misses a required claim or has one of the wrong type",
        "send `iss` and `sub` equal to the client id, `aud`, `exp` and `jti`";
    AssertionExpired "assertion.expired", "RFC 7523 section 3", "the client assertion has expired or lives too long",
        "make a fresh assertion that lives for a minute; check the clock";
    AssertionMalformed "assertion.malformed", "RFC 7523 section 3", "the client assertion is not one well-formed, acceptable JWT",
        "send one compact JWS signed with a registered key and an allowed algorithm";
    AssertionNotYetValid "assertion.not_yet_valid", "RFC 7523 section 3", "the client assertion says it was made in the future",
        "correct the client's clock";
    AssertionReplayed "assertion.replayed", "RFC 7523 section 3", "this client assertion was used before",
        "make a fresh assertion, with a new `jti`, for every request";
    AssertionSignature "assertion.signature", "RFC 7523 section 3", "the client assertion does not verify with the client's registered keys",
        "sign with the registered key, or register the new one";
    AuthorizationDetails "authorization.details", "RFC 9396 section 5", "the authorization details are malformed, unknown or exceed what was allowed",
        "send an array of objects of the types in `authorization_details_types_supported`";
    AuthorizationKey "authorization.dpop_jkt", "RFC 9449 section 10.1", "`dpop_jkt` is not the thumbprint of the key that signed the proof",
        "leave `dpop_jkt` out where a proof is sent, or send the thumbprint of its key";
    AuthorizationRedirect "authorization.redirect_uri", "RFC 9700 section 2.1", "the redirect URI is missing or none the client registered",
        "register the redirect URI, and send it exactly as registered";
    AuthorizationRequestUri "authorization.request_uri", "RFC 9126 section 4", "the `request_uri` is unknown, used, expired or another client's",
        "push the request again and go to the authorization endpoint with what comes back";
    AuthorizationResponseType "authorization.response_type", "RFC 6749 section 4.1.2.1", "the response type is not `code`",
        "ask for `response_type=code`";
    ClientAuthenticationAbsent "client.authentication.absent", "RFC 6749 section 2.3", "the request carries no client authentication",
        "authenticate with the method the client is registered for";
    ClientAuthenticationMethod "client.authentication.method", "RFC 6749 section 2.3", "the client is registered for another authentication method",
        "authenticate with the method the client is registered for";
    ClientAuthenticationMultiple "client.authentication.multiple", "RFC 6749 section 2.3", "the request carries more than one client authentication",
        "use exactly one authentication method";
    ClientBindingRequired "client.binding_required", "RFC 9449 section 5.2", "the client must use DPoP and sent no proof",
        "send a DPoP proof with the token request";
    ClientCertificateRequired "client.certificate_required", "RFC 8705 section 3", "the client's tokens are bound to its certificate and the connection has none",
        "connect with the client certificate, to an endpoint of `mtls_endpoint_aliases`";
    ClientGrantRefused "client.grant_refused", "RFC 6749 section 5.2", "the client may not use this grant",
        "register or configure the grant for the client";
    ClientSecretMismatch "client.secret_mismatch", "RFC 6749 section 2.3.1", "the client secret is wrong",
        "check the secret; secrets are shown once, at registration";
    ClientUnknown "client.unknown", "RFC 6749 section 5.2", "no such client",
        "register the client first";
    ExchangeActorToken "exchange.actor_token", "RFC 8693 section 2.2.2", "the actor token is not a live token of this issuer, bound to the key the client proves, or is itself delegated",
        "send the client's own bound token, and a proof by its key";
    ExchangeBinding "exchange.binding", "Keybound binding never decreases", "the exchanged token would be bound by less than the subject token is",
        "prove a key with the request, and a certificate too where the subject token is bound to both";
    ExchangeDelegationRefused "exchange.delegation_refused", "RFC 8693 section 4.4", "the client may not become the actor of this token",
        "see `may_act` of the subject token; only a client that authenticates becomes an actor";
    ExchangeDepth "exchange.depth", "RFC 8693 section 4.1", "the token was delegated or exchanged too often",
        "delegate from a token nearer to the root";
    ExchangeSubjectToken "exchange.subject_token", "RFC 8693 section 2.2.2", "the subject token is not a live access token of this issuer",
        "send an access token that this issuer gave, before it expires";
    ExchangeSubjectUnproven "exchange.subject_unproven", "Keybound binding never decreases", "nothing shows that the holder of the subject token takes part",
        "send a proof by the token's key with `ath`, its holder's `subject_token_proof`, or configure a delegation rule";
    GrantInvalid "grant.invalid", "RFC 6749 section 5.2", "the code, token or assertion that is the grant is unknown, expired, revoked or another client's",
        "begin again: ask for authorization, or use the latest refresh token";
    GrantKeyMismatch "grant.key_mismatch", "RFC 9449 section 5", "the grant is bound to another key than the one that was proven",
        "use the key that the code was asked for with, or the refresh token was given to";
    GrantReused "grant.reused", "RFC 9700 section 4.14.2", "the code or refresh token was used before, so its grant is revoked now",
        "ask for authorization again, and find out who else has a copy";
    GrantUnsupported "grant.unsupported", "RFC 6749 section 5.2", "the grant type is missing or not supported",
        "use a grant named in `grant_types_supported` of the metadata";
    IssuerClock "issuer.clock", "Keybound fail closed", "the issuer's clock is behind its own records",
        "correct the issuer's clock";
    GrantVerifier "grant.code_verifier", "RFC 7636 section 4.6", "the `code_verifier` is missing or does not fit the code",
        "send the verifier whose SHA-256 was the `code_challenge`";
    ParameterInvalid "parameter.invalid", "RFC 6749 section 3.2", "a parameter is missing, repeated, malformed or out of place",
        "see which parameter; send a form body with each parameter once";
    RegistrationClosed "registration.closed", "RFC 7591 section 3", "dynamic registration is closed",
        "ask an operator to configure the client";
    RegistrationMetadata "registration.metadata", "RFC 7591 section 3.2.2", "the client metadata is not acceptable",
        "see which member; send keys inline as `jwks`";
    RegistrationTokenInvalid "registration.token", "RFC 7591 section 3", "the initial access token is missing or wrong",
        "ask an operator for an initial access token";
    ResourceInvalid "resource.invalid", "RFC 8707 section 2", "the resource is unknown or not allowed for the client",
        "ask for a resource the client may have";
    ScopeInvalid "scope.invalid", "RFC 6749 section 5.2", "the scope is malformed or exceeds what the client may have",
        "ask for scopes the client is registered for";
    // --- HTTP front
    BodyTimeout "http.body_timeout", "RFC 9110 section 15.5.9", "the request's body did not arrive in time",
        "send the body without long pauses";
    BodyTooLarge "http.body_too_large", "RFC 9110 section 15.5.14", "the request's body is larger than is accepted",
        "send less, or raise the limit";
    ConnectionHeader "http.connection_header", "RFC 9110 section 7.6.1", "the Connection header names an end-to-end field",
        "do not list Authorization, DPoP or other end-to-end fields in Connection";
    Framing "http.framing", "RFC 9112 sections 2.2 and 6", "the message's framing is ambiguous or malformed",
        "send one unambiguous HTTP message: strict line ends, one length";
    HeaderTooLarge "http.header_too_large", "RFC 6585 section 5", "the request's head is larger than is accepted",
        "send fewer or shorter header fields";
    HostMisdirected "http.host_misdirected", "RFC 9110 section 15.5.20", "the request names a host this server does not serve",
        "use the configured public URL";
    MethodNotAllowed "http.method_not_allowed", "RFC 9110 section 15.5.6", "the method is not allowed here",
        "use one of the methods in the `Allow` header";
    OriginForeign "http.origin_foreign", "Fetch, HTTP-network-or-cache fetch", "a web page of another origin sent the request to a loopback server",
        "call from the configured origin; this guards local services against web pages";
    RouteUnknown "http.route_unknown", "RFC 9110 section 15.5.5", "no route is configured for this path",
        "configure a route; what no route names is refused";
    TargetAmbiguous "http.target_ambiguous", "RFC 3986 section 6.2.2", "the request target can be read in more than one way",
        "send a path without dot segments, backslashes, encoded slashes or control bytes";
    TargetTooLong "http.target_too_long", "RFC 9110 section 15.5.15", "the request target is longer than is accepted",
        "send a shorter URL";
    UpgradeRefused "http.upgrade_refused", "RFC 9110 section 7.8", "protocol upgrades are not served",
        "send the request without `Upgrade`";
    UpstreamTimeout "upstream.timeout", "RFC 9110 section 15.6.5", "the upstream did not answer in time",
        "check the upstream; raise its timeout if it is slow by nature";
    UpstreamUnreachable "upstream.unreachable", "RFC 9110 section 15.6.3", "the upstream cannot be reached or broke its answer off",
        "check that the upstream runs where the route says";
}

impl Cause {
    /// The cause with this id.
    #[must_use]
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|cause| cause.id() == id)
    }

    /// The label this cause has in metrics. The same as [`Cause::id`].
    #[must_use]
    pub const fn metric_label(self) -> &'static str {
        self.id()
    }

    /// What kind of misuse the refusal points to when a genuine token was involved.
    /// `None` where the refusal says nothing about theft.
    #[must_use]
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a new cause is no theft signal until somebody says so; the wire mapping is the exhaustive one"
    )]
    pub fn theft_signal(self) -> Option<TheftSignal> {
        match self {
            Self::DpopReplayed | Self::HttpsigReplayed | Self::WptReplayed => {
                Some(TheftSignal::JtiReuse)
            }
            Self::GrantReused => Some(TheftSignal::GrantReuse),
            Self::DpopAbsent
            | Self::HttpsigAbsent
            | Self::TokenSchemeDowngrade
            | Self::WptAbsent => Some(TheftSignal::BearerDowngrade),
            Self::CertificateMismatch
            | Self::ExchangeSubjectUnproven
            | Self::GrantKeyMismatch
            | Self::TokenKeyMismatch
            | Self::DpopSignatureInvalid
            | Self::HttpsigSignatureInvalid
            | Self::WptAlgMismatch
            | Self::WptSignatureInvalid => Some(TheftSignal::KeyMismatch),
            Self::DpopIatPast
            | Self::HttpsigCreatedPast
            | Self::HttpsigEpoch
            | Self::HttpsigExpired
            | Self::ReplayEpoch
            | Self::WptExpired => Some(TheftSignal::StaleProof),
            Self::DpopHtmMismatch
            | Self::DpopHtuMismatch
            | Self::DpopAthMismatch
            | Self::DpopAthAbsent
            | Self::TokenAudienceMismatch
            | Self::WorkloadSignatureAudience
            | Self::WptAth
            | Self::WptAudience
            | Self::WptTth
            | Self::WptWth => Some(TheftSignal::WrongTarget),
            Self::TokenRevoked
            | Self::TokenStatusInvalid
            | Self::KeyLocked
            | Self::IdentityLocked => Some(TheftSignal::Revoked),
            _ => None,
        }
    }

    /// Whether the same sender may succeed with the same token by trying again:
    /// after a nonce challenge, or when a dependency has recovered.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::DpopNonceAbsent
                | Self::DpopNonceStale
                | Self::ReplayEpoch
                | Self::IntrospectionBusy
                | Self::IntrospectionFlood
                | Self::IntrospectionInvalid
                | Self::IntrospectionUnavailable
                | Self::HttpsigEpoch
                | Self::WptEpoch
                | Self::KeysUnavailable
                | Self::ReplayFlood
                | Self::ReplayFull
                | Self::ReplayUnavailable
                | Self::RevocationStale
                | Self::StatusListInvalid
                | Self::StatusListUnavailable
                | Self::StoreUnavailable
                | Self::IssuerClock
                | Self::UpstreamTimeout
                | Self::UpstreamUnreachable
        )
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Cause;

    #[test]
    fn ids_are_unique_and_well_formed() {
        let ids: BTreeSet<_> = Cause::ALL.iter().map(|cause| cause.id()).collect();
        assert_eq!(ids.len(), Cause::ALL.len());
        for cause in Cause::ALL {
            let id = cause.id();
            assert!(id.contains('.'), "{id}");
            assert!(
                id.bytes()
                    .all(|b| b.is_ascii_lowercase() || matches!(b, b'.' | b'_')),
                "{id}"
            );
            assert_eq!(Cause::from_id(id), Some(*cause));
        }
    }

    #[test]
    fn texts_follow_the_message_style() {
        for cause in Cause::ALL {
            for text in [cause.summary(), cause.next_step()] {
                assert!(!text.ends_with('.'), "{text}");
                let first = text.chars().next().unwrap();
                assert!(!first.is_uppercase(), "{text}");
            }
        }
    }
}
