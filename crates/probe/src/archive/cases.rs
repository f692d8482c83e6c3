//! The cases of recorded traffic: each is a defect that is looked for.

use super::checks;
use crate::check::Case;

macro_rules! cases {
    ($($name:ident = $case:expr;)+) => {
        $(pub(super) static $name: Case = $case;)+
        /// Every case, in the order of the list.
        pub(super) static ALL: &[&Case] = &[$(&$name),+];
    };
}

cases! {
    BEARER = Case::without_cause(&checks::HA_01, "accepted", "a DPoP-bound token under `Bearer`");
    WITHOUT_PROOF = Case::without_cause(&checks::HA_02, "accepted", "a token under `DPoP` without a proof");
    FORM = Case::without_cause(&checks::HA_03, "form", "a proof whose form, type, algorithm, key or claims are not as the standard asks");
    SIGNATURE = Case::without_cause(&checks::HA_03, "signature", "a proof whose signature does not verify");
    HTM = Case::without_cause(&checks::HA_04, "htm", "a proof for another method");
    HTU = Case::without_cause(&checks::HA_04, "htu", "a proof for another URL");
    ATH = Case::without_cause(&checks::HA_05, "ath", "a proof without the hash of the token beside it");
    KEY = Case::without_cause(&checks::HA_06, "key", "a proof by another key than that in the token");
    REPLAY = Case::without_cause(&checks::HA_07, "replay", "a proof, or its `jti`, that was served before");
    AGE = Case::without_cause(&checks::HA_08, "iat", "a proof made more than five minutes from the recorded time");
    QUERY = Case::without_cause(&checks::HA_09, "query", "a token in the query");
    FRAGMENT = Case::without_cause(&checks::HA_09, "fragment", "a token in the fragment of a URL or a redirect");
    REFERER = Case::without_cause(&checks::HA_09, "referer", "a token in the `Referer` header field");
    REQUEST_BODY = Case::without_cause(&checks::HA_10, "request", "an access token in the body of a request");
    ANSWER_BODY = Case::without_cause(&checks::HA_10, "answer", "the access token of a request in the body of an answer");
    ORIGINS = Case::without_cause(&checks::HA_11, "origins", "one access token sent to several origins");
    UNBOUND = Case::without_cause(&checks::HA_12, "used", "an access token without `cnf`");
    ISSUED = Case::without_cause(&checks::HA_12, "issued", "a token request with a proof, answered with a token that is not bound");
    FRESH = Case::without_cause(&checks::CL_01, "fresh-jti", "a `jti` that the same key used before");
    SCHEME = Case::without_cause(&checks::CL_02, "scheme", "a DPoP-bound token under `Bearer`");
    NONCE = Case::without_cause(&checks::CL_03, "nonce", "a nonce challenge that no later proof answers");
    REDIRECT = Case::without_cause(&checks::CL_04, "redirect", "a token sent on to another origin after a redirect");
    PRIVATE_KEY = Case::without_cause(&checks::CL_05, "private-key", "a private key in a proof, a URL or a body");
}
