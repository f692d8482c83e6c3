//! The check list of an authorization server.

use crate::check::checks;

checks! {
    AS_01 "AS-01" Low "metadata against behaviour", "RFC 8414 sections 2 and 3.3; RFC 9449 section 5.1",
        "a client trusts a label nobody enforces, or is sent elsewhere",
        "clients choose endpoints and algorithms from this document, so what it says wrongly they do wrongly",
        "generate the document from the configuration that enforces it; name asymmetric algorithms only";
    AS_02 "AS-02" Critical "token request without a proof", "RFC 9449 section 5.2",
        "a client, or who stole its credentials, asks for a token without binding",
        "a client that can get bearer tokens protects nothing by being able to get bound ones",
        "set `dpop_bound_access_tokens` for the client and refuse its token requests without a proof";
    AS_03 "AS-03" Critical "what the token is bound to", "RFC 9449 sections 5 and 6.1",
        "a token that was asked for with a proof is spent without its key",
        "a resource server can only check what the token, or introspection, says about its key",
        "put the thumbprint of the proof's key into `cnf.jkt` and answer with `token_type` `DPoP`";
    AS_04 "AS-04" High "proofs at the token endpoint", "RFC 9449 sections 4.3, 5 and 11.1",
        "a captured or forged proof gets a token bound to its key",
        "who can pass a bad proof here gets tokens bound to a key without having it, or has somebody else's proof bind them",
        "check proofs at the token endpoint as resource servers do, all but `ath`";
    AS_05 "AS-05" High "refresh tokens", "RFC 9449 section 5; RFC 6749 section 6",
        "a stolen refresh token is turned into a token without its key",
        "a refresh token outlives every access token, so a way around its binding undoes all of them",
        "demand a proof at every refresh, the same key from public clients, and authentication from the others";
    AS_06 "AS-06" High "authorization code bound to a key", "RFC 9449 sections 10 and 10.1",
        "a stolen authorization code is redeemed with another key",
        "a code is bound from the beginning only when the key named in the request is the one that was proven",
        "refuse a pushed request whose `dpop_jkt` is not the thumbprint of its proof's key";
    AS_07 "AS-07" Critical "grants that turn one token into another", "RFC 8693 section 2.1; RFC 7523 section 2.1; RFC 9449 section 5",
        "a stolen bound token is exchanged for one that is bound to nothing",
        "one grant that gives unbound tokens for bound ones makes every binding optional",
        "bind the token every grant issues, and refuse a bound subject token from who cannot prove its key";
    AS_08 "AS-08" Medium "introspection", "RFC 9449 section 6.2; RFC 7662 sections 2.1 and 2.2",
        "a resource server that asks about an opaque token is not told that it is bound",
        "resource servers that introspect can only compare keys when the answer has `cnf`",
        "answer with `cnf` and `token_type`, to authenticated callers";
    AS_09 "AS-09" High "revocation", "RFC 7009 sections 2 and 2.1",
        "a token outlives its revocation, or anybody can revoke it",
        "revocation that is acknowledged and not carried out leaves a stolen token usable until it expires",
        "make the revocation durable before answering; let a client revoke its own tokens only";
    AS_10 "AS-10" High "client assertions", "RFC 7523 section 3; RFC 7521 section 5.2",
        "a captured, forged or foreign assertion authenticates a client",
        "an assertion replaces the client's secret; a lax check of it is a lax check of who asks",
        "verify with the registered keys, take the issuer identifier as only audience, short lives, and each `jti` once";
    AS_11 "AS-11" Critical "unbound token for a request with a proof", "RFC 9449 section 5",
        "a token that its client takes for bound is spent as a bearer token",
        "a server that ignores proofs answers as if all were well",
        "bind every token that is asked for with a proof, or refuse the request";
    AS_12 "AS-12" High "key of the proof beside key of the client", "RFC 9449 sections 4.3 and 5; RFC 7523 section 3",
        "a token is bound to another key than the one proven",
        "the key that authenticates the client and the key its tokens are bound to are two things; mixing them binds the token to a key nobody proves",
        "bind to the key of the proof, whatever the client authenticated with";
    AS_13 "AS-13" Critical "client authentication", "RFC 6749 sections 2.3 and 3.2.1",
        "somebody gets tokens in a client's name",
        "a bound token in the wrong hands from the beginning is bound to the thief's key",
        "demand exactly one authentication, by the method the client is registered for";
    AS_14 "AS-14" Medium "parameters", "RFC 6749 sections 3.2 and 5.2; RFC 8707 section 2",
        "a client gets more than it may have, or two parts read one request differently",
        "what is not refused here has to be noticed by every resource server",
        "read each parameter once and from the body, and refuse unknown grants, resources and scopes";
    AS_15 "AS-15" Medium "client registration", "RFC 7591 sections 2, 3 and 5",
        "somebody registers what nobody approved, or has the server fetch a URL",
        "registration is where strangers write into the server's configuration",
        "demand the initial access token where there is one; take public keys only, inline; refuse contradictions";
}
