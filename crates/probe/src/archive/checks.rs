//! The check list of recorded traffic: what servers took (`HA`), and what clients did (`CL`).

use crate::check::Check;
use crate::verdict::Severity;

macro_rules! checks {
    ($($name:ident $id:literal $severity:ident $title:literal, $section:literal, $attack:literal, $why:literal, $fix:literal;)+) => {
        $(
            #[doc = $title]
            pub(super) static $name: Check = Check {
                id: $id,
                title: $title,
                severity: Severity::$severity,
                section: $section,
                attack: $attack,
                why: $why,
                fix: $fix,
            };
        )+
    };
}

checks! {
    HA_01 "HA-01" Critical "bound token taken as Bearer", "RFC 9449 section 7.2",
        "a stolen token is spent without its key",
        "a server that takes bound tokens as bearer tokens has undone the binding",
        "refuse a token that has `cnf` under any scheme but the one of its binding";
    HA_02 "HA-02" Critical "bound token taken without a proof", "RFC 9449 section 7.1",
        "a stolen token is spent without its key",
        "without a proof the request shows possession of nothing but the token",
        "require one DPoP header field with every request whose token is bound";
    HA_03 "HA-03" High "form and signature of proofs", "RFC 9449 section 4.3 (2) to (7)",
        "a proof is forged, or is no proof",
        "a server that took a defective proof does not check proofs strictly",
        "verify form, type, algorithm, key and signature of every proof";
    HA_04 "HA-04" High "proof made for the request", "RFC 9449 section 4.3 (8) and (9)",
        "a captured proof is used for another call",
        "a server that took a proof for another method or URL does not compare them",
        "compare `htm` with the method and `htu` with the public URL";
    HA_05 "HA-05" High "proof made for the token", "RFC 9449 section 4.3 (12)",
        "a proof made for one token is used with another",
        "without `ath` a proof serves for any token of its key",
        "require `ath` and compare it with the SHA-256 of the token";
    HA_06 "HA-06" Critical "proof by the token's key", "RFC 9449 sections 4.3 (12) and 6.1",
        "a thief signs with a key of his own",
        "only comparing the proof's key with `cnf.jkt` shows that the token's owner sent the request",
        "compare the thumbprint of the proof's key with `cnf.jkt` of the token";
    HA_07 "HA-07" High "a proof taken twice", "RFC 9449 section 11.1",
        "a captured request is sent again",
        "whoever sees one request can repeat it as long as its proof is accepted",
        "remember the `jti` of every proof, per key, for as long as the proof could be accepted";
    HA_08 "HA-08" Medium "age of proofs", "RFC 9449 sections 4.3 (11) and 11.1",
        "a proof captured long ago, or made long in advance, is used",
        "the longer a proof is accepted, the longer a captured one is worth stealing",
        "accept `iat` for seconds to a few minutes";
    HA_09 "HA-09" High "tokens in URLs", "RFC 9700 section 4.3.2; RFC 6750 section 5.3",
        "a token is taken from a log, a history or a `Referer`",
        "URLs are written down in more places than anybody remembers",
        "send tokens in the Authorization header field only";
    HA_10 "HA-10" Medium "tokens in bodies", "RFC 6750 section 2.2; RFC 9449 section 7.1",
        "a token is taken from where nobody looks for one",
        "bodies are logged, stored and shown where header fields are not",
        "send tokens in the Authorization header field only, and never answer with them";
    HA_11 "HA-11" Medium "one token for several origins", "RFC 9700 section 2.3; RFC 8707 section 2",
        "a resource server replays the tokens it receives at another one",
        "each origin that gets a token can try it at the others",
        "ask for one token for each resource, and check its audience there";
    HA_12 "HA-12" Critical "tokens bound to nothing", "RFC 9449 section 5; RFC 7800 section 3.1",
        "a stolen token is spent by whoever has it",
        "an access token without `cnf` works for every thief",
        "issue bound tokens, and refuse those that are not";
    CL_01 "CL-01" Medium "a fresh proof for every request", "RFC 9449 section 4.2",
        "a captured request is sent again",
        "a client that repeats `jti` is refused by strict servers, and forces others to be lax",
        "make a new proof with a new `jti` for each request, also when one is sent again";
    CL_02 "CL-02" High "scheme of the Authorization field", "RFC 9449 section 7.1",
        "a stolen token is spent without its key",
        "a bound token sent as `Bearer` is refused by strict servers, and teaches others to take it",
        "send bound tokens as `DPoP`, with a proof";
    CL_03 "CL-03" Note "answers to nonce challenges", "RFC 9449 sections 8 and 9",
        "a proof made in advance is used later",
        "a client that does not answer a nonce challenge cannot use servers that ask for nonces",
        "send the request again with the nonce of the challenge, once, in a new proof";
    CL_04 "CL-04" Critical "tokens after redirects", "RFC 9110 section 15.4; RFC 9700 section 4.11",
        "a redirect takes a token to another origin",
        "whoever can make a server redirect gets the tokens of its clients",
        "drop the Authorization and DPoP header fields when a redirect leaves the origin";
    CL_05 "CL-05" Critical "private keys in messages", "RFC 9449 section 11.5; RFC 7517 section 9.2",
        "the key of a binding leaks, and the binding with it",
        "whoever reads the message, or a log of it, can make proofs",
        "send public keys only, and keep private ones where they cannot be read";
}
