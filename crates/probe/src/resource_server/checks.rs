//! The check list of a resource server: proofs, tokens, certificates, signatures.

use crate::check::checks;

checks! {
    RS_01 "RS-01" Critical "bound token sent as Bearer", "RFC 9449 section 7.2",
        "a stolen token is spent without its key",
        "if a bound token passes as a bearer token, binding protects nothing: a thief just leaves the proof out",
        "refuse a token that has `cnf` under any scheme but the one of its binding";
    RS_02 "RS-02" Critical "no proof", "RFC 9449 section 7.1",
        "a stolen token is spent without its key",
        "without a proof the request shows possession of nothing but the token",
        "require one DPoP header field with every request whose token is bound";
    RS_03 "RS-03" Critical "proof by another key", "RFC 9449 sections 4.3 (12) and 6.1",
        "a thief signs with a key of his own",
        "a proof shows possession of some key; only comparing it with `cnf.jkt` of the token shows that it is the owner's",
        "compare the thumbprint of the proof's key with `cnf.jkt` of the token";
    RS_04 "RS-04" High "token elsewhere than in one Authorization field", "RFC 9449 section 7.1; RFC 6750 section 2",
        "a token that leaked into a URL or a cookie is taken from there, past the check of its proof",
        "every other place a token is read from is a way around the check, and URLs end up in logs",
        "read access tokens from one Authorization header field and nowhere else";
    RS_05 "RS-05" Critical "token of somebody else, or for another audience", "RFC 9068 section 4; RFC 8707 section 2",
        "a resource server replays the tokens it receives at another one",
        "without an audience check every service that takes the issuer's tokens can use them everywhere",
        "accept only tokens whose `aud` names this resource";
    RS_06 "RS-06" High "the same proof twice", "RFC 9449 section 11.1",
        "a captured request is sent again",
        "whoever sees one request, in a log or on the wire behind TLS, can repeat it as long as its proof is accepted",
        "remember the `jti` of every proof, per key, for as long as the proof could be accepted";
    RS_07 "RS-07" High "one proof at once from many", "RFC 9449 section 11.1",
        "a captured request is sent to several nodes at the same moment",
        "a check that reads first and writes later, or a memory of its own on each node, lets one proof pass several times",
        "record the proof by one atomic insert in a store that all nodes share";
    RS_08 "RS-08" High "proof for another request", "RFC 9449 section 4.3 (8) and (9)",
        "a captured proof is used for another call",
        "a proof that is not compared with the request serves for any request",
        "compare `htm` with the method and `htu` with the public URL, exactly but for RFC 3986 normalisation";
    RS_09 "RS-09" High "proof for another token", "RFC 9449 section 4.3 (12)",
        "a proof made for one token is used with another",
        "without `ath` a proof made in advance, or captured elsewhere, serves for any token of that key",
        "require `ath` and compare it with the SHA-256 of the token";
    RS_10 "RS-10" High "members of the proof missing or wrong", "RFC 9449 section 4.3 (3) and (4)",
        "another JWT of the key, or a proof without limits, passes as a proof",
        "each required member limits what a proof can be used for; one that may be missing is no limit",
        "require `typ`, `alg`, `jwk`, `jti`, `htm`, `htu` and `iat`, each of its type";
    RS_11 "RS-11" Critical "signature and key of the proof", "RFC 9449 section 4.3 (5) to (7)",
        "a proof is forged without the private key",
        "a proof that is not verified strictly shows nothing: anybody can write one",
        "verify with an allow-list of asymmetric algorithms, the key in `jwk`, and a strict library";
    RS_12 "RS-12" Medium "form of the proof", "RFC 9449 section 4.3 (1) and (2); RFC 7515 section 3.1",
        "two parts of a system read one header differently",
        "when one component checks one proof and another uses the other, nothing was checked; a proof with many spellings escapes replay detection",
        "take exactly one DPoP header field with one compact JWT in canonical base64url";
    RS_13 "RS-13" Medium "how old and how new a proof may be", "RFC 9449 sections 4.3 (11) and 11.1",
        "a proof captured long ago, or made long in advance, is used",
        "the longer a proof is accepted, the longer a captured one is worth stealing, and the more must be remembered against replay",
        "accept `iat` for seconds to a few minutes; ask for a server nonce where clocks cannot be trusted";
    RS_14 "RS-14" Medium "nonce", "RFC 9449 sections 8 and 9",
        "a proof made in advance is used later",
        "a nonce that need not be there, or may be any, does not show that the proof is fresh",
        "when a nonce is demanded, refuse proofs without one and with one this server did not make recently";
    RS_15 "RS-15" Medium "which URL the proof is compared with", "RFC 9449 section 4.3; RFC 3986 section 6.2.2",
        "a client header decides what the proof is compared with",
        "if `htu` is compared with what the sender says the URL is, the sender can bring a proof made for another place",
        "take the public origin from configuration; normalise case, default port and unreserved escapes, and nothing else";
    RS_16 "RS-16" Note "body changed under the same proof", "RFC 9449 section 11.7; RFC 9530",
        "somebody between client and server changes what the request does",
        "a DPoP proof does not cover the body; only a digest in a signature does",
        "where bodies matter beyond TLS, require a digest that the signature covers";
    RS_17 "RS-17" High "expired and revoked tokens", "RFC 9068 section 4; RFC 7009 section 2",
        "a token outlives its end or its revocation",
        "revocation that does not reach the resource server leaves a stolen token usable until it expires",
        "check `exp`, and learn of revocations by introspection or signals";
    RS_18 "RS-18" High "other ways in", "RFC 9110 section 7.1",
        "the check is passed by another protocol version or address",
        "a listener without the check serves whoever finds it",
        "put the same check behind every listener, protocol version and host name";
    RS_19 "RS-19" High "other methods on the same path", "RFC 9449 section 7.1",
        "the check is passed by a method nobody thought of",
        "a check that hangs on one method leaves the others open",
        "check every method; answer `OPTIONS` without credentials at most with CORS headers";
    RS_20 "RS-20" Note "what refusals say", "RFC 9449 section 7.1; RFC 6750 section 3",
        "honest clients cannot tell what to do, or strangers learn too much",
        "clients need the challenge to recover; strangers must not learn what exactly failed",
        "answer 401 with `WWW-Authenticate: DPoP`, `error` and `algs`";
    TK_01 "TK-01" Critical "signature and issuer of the token", "RFC 9068 section 4; RFC 8725 section 3",
        "an access token is forged or taken from another issuer",
        "a token that is not verified can say anything, also whose key it is bound to",
        "verify with the configured issuer's keys and an allow-list of algorithms";
    TK_02 "TK-02" High "type, claims and times of the token", "RFC 9068 sections 2.2 and 4",
        "another JWT of the issuer, or a token outside its time, passes as an access token",
        "issuers sign many things; only type, claims and times tell an access token from the rest",
        "require `typ` `at+jwt` and the claims of RFC 9068, and check `exp` and `nbf`";
    TK_03 "TK-03" Critical "confirmation in the token", "RFC 7800 section 3.1; RFC 9449 section 6.1",
        "a token that is bound to nothing, or by a method nobody checks, is used",
        "a resource that takes unbound tokens beside bound ones protects only those who ask for it",
        "refuse tokens without `cnf`, and with confirmation methods that are not checked";
    TK_04 "TK-04" Medium "form and size of the token", "RFC 7515 section 3.1",
        "malformed input reaches code that was not written for it",
        "strict reading is cheap and keeps differences between parsers from becoming weaknesses",
        "refuse what is not one compact JWT of bounded size";
    TK_05 "TK-05" High "scope", "RFC 6750 section 3.1",
        "a token does more than it was issued for",
        "a bound token with any scope is as good as the strongest one, for its owner and whoever holds its key",
        "check the scope each route needs";
    MT_01 "MT-01" Critical "no client certificate", "RFC 8705 section 3",
        "a stolen token is spent without the owner's certificate",
        "a certificate-bound token that passes without its certificate is a bearer token",
        "refuse a token whose `cnf` has `x5t#S256` on a connection without a client certificate";
    MT_02 "MT-02" Critical "another client's certificate", "RFC 8705 section 3",
        "another client of the same authority spends a stolen token",
        "that the authority knows the client says nothing about whose token it is",
        "compare the SHA-256 of the connection's client certificate with `x5t#S256` of the token";
    MT_03 "MT-03" Critical "the owner's name without the owner's key", "RFC 8705 sections 3 and 6.3",
        "a thief makes a certificate with the owner's name, or shows a copy of the owner's",
        "names can be chosen and certificates copied; only the key cannot",
        "compare the hash of the whole certificate, never its subject, and let TLS verify the key";
    MT_04 "MT-04" Critical "a certificate in a header field", "RFC 9440 section 3.1",
        "a thief writes the owner's certificate, which is public, into the field a proxy uses",
        "whoever reads a certificate from a header field must know that only its own proxy can write it",
        "remove such fields from every request at the edge, and take them from the proxy alone";
    MT_05 "MT-05" High "origins without mutual TLS", "RFC 8705 section 5",
        "the token is spent at an address that asks for no certificate",
        "an alias of the API without mutual TLS is a way around it",
        "check `x5t#S256` behind every listener, and refuse bound tokens where there is no certificate";
    MT_06 "MT-06" High "resumed TLS sessions", "RFC 8705 section 6.2; RFC 8446 section 2.2",
        "a session that began without the owner's certificate passes as the owner's",
        "a resumed session shows no certificate again; what the server remembers decides",
        "keep the client certificate with the session, or resume no session where certificates count";
    MT_07 "MT-07" Low "renewed certificate", "RFC 8705 section 3.1",
        "a token outlives the certificate it was bound to",
        "a token is bound to one certificate, not to its key or name; with a new certificate the client gets a new token",
        "compare the hash of the certificate, not that of its key";
    SG_01 "SG-01" High "what the signature covers", "RFC 9421 sections 3.2 and 7.2; RFC 9530",
        "a captured signature is put under another request",
        "whatever a signature does not cover can be changed by anybody between client and server",
        "require method, target, token and the digest of the body among the covered components, and compute the base and the digest from the request itself";
    SG_02 "SG-02" High "how long and how often a signature is good", "RFC 9421 sections 3.2 and 7.2.2",
        "a captured request is sent again",
        "a signature without limits in time and number can be repeated by whoever sees it",
        "require `created` close to the present, honour `expires`, and remember every `nonce` or signature for as long as it could be accepted";
    SG_03 "SG-03" Critical "whose signature, and which", "RFC 9421 sections 3.2, 7.2.4 and 7.3",
        "a request signed by somebody else passes",
        "labels and algorithm names are the sender's; only the key the token is bound to tells who signed",
        "verify with the key the token names and the algorithm that key has, and choose the signature by policy, not by its label";
}
