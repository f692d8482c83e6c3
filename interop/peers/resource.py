"""An API on `http.server` and joserfc that takes DPoP-bound tokens, in two variants.

`strict` checks what RFC 9449 section 4.3 asks for and remembers proofs; `naive` verifies signatures
and the key, and nothing more. Prints its port and serves until it is ended.

usage: resource.py strict|naive ISSUER AUDIENCE JWK
"""

import base64
import hashlib
import json
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from joserfc import jwk as jwks
from joserfc import jws

VARIANT, ISSUER, AUDIENCE, ISSUER_JWK = sys.argv[1:5]
ISSUER_KEY = jwks.import_key(json.loads(ISSUER_JWK))
ALGORITHMS = ["ES256", "EdDSA", "Ed25519"]
SECONDS = 60
# Header parameters nobody knows are ignored (RFC 7515 section 4) by the strict variant.
REGISTRY = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=VARIANT == "naive")
JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\Z")
seen = {}
lock = threading.Lock()


class Refused(Exception):
    """The request is not served; the text is the error code."""


def no_duplicates(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise Refused("invalid_dpop_proof")
    return dict(pairs)


def canonical(part):
    decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    return base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() == part


def signed(text, key, typ, error):
    """Header and claims of a JWT whose signature is right."""
    try:
        header = jws.extract_compact(text.encode()).headers()
        verifying = key(header)
        verified = jws.deserialize_compact(text, verifying, registry=REGISTRY)
        claims = json.loads(verified.payload, object_pairs_hook=no_duplicates)
    except Refused:
        raise
    except Exception as problem:
        raise Refused(error) from problem
    if not isinstance(claims, dict):
        raise Refused(error)
    if VARIANT == "strict":
        if str(header.get("typ", "")).lower() != typ or "crit" in header:
            raise Refused(error)
        if not JWT.match(text) or len(text) > 8192 or not all(map(canonical, text.split("."))):
            raise Refused(error)
    return header, claims


def proof_key(header):
    public = header["jwk"]
    if VARIANT == "strict" and ({"d", "k", "p", "q"} & set(public) or public["kty"] == "oct"):
        raise Refused("invalid_dpop_proof")
    return jwks.import_key(public)


def token_key(header):
    if VARIANT == "strict" and header.get("kid") != json.loads(ISSUER_JWK)["kid"]:
        raise Refused("invalid_token")
    return ISSUER_KEY


def check_token(claims):
    now = time.time()
    if VARIANT == "naive":
        if claims.get("iss") != ISSUER or claims.get("exp", now + 1) < now:
            raise Refused("invalid_token")
        return
    audience = claims.get("aud")
    if claims.get("iss") != ISSUER or AUDIENCE not in (audience, *(audience or [])):
        raise Refused("invalid_token")
    if not isinstance(claims.get("exp"), (int, float)) or claims["exp"] < now:
        raise Refused("invalid_token")
    if claims.get("nbf", 0) > now:
        raise Refused("invalid_token")
    if set(claims.get("cnf", {})) != {"jkt"}:
        raise Refused("invalid_token")
    if "read" not in claims.get("scope", "").split():
        raise Refused("insufficient_scope")


def escapes_undone(url):
    unreserved = re.compile(r"[A-Za-z0-9._~-]")

    def one(match):
        character = chr(int(match[1], 16))
        return character if unreserved.match(character) else match[0].upper()

    return re.sub(r"%([0-9A-Fa-f]{2})", one, url)


def normal(url):
    bare = escapes_undone(url.split("#")[0].split("?")[0])
    scheme, _, rest = bare.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower()}{slash}{path}"


def check_proof(claims, method, url, token):
    now = time.time()
    texts = [claims.get(name) for name in ("jti", "htm", "htu", "ath")]
    if not all(isinstance(text, str) and text for text in texts):
        raise Refused("invalid_dpop_proof")
    jti, htm, htu, ath = texts
    issued = claims.get("iat")
    if not isinstance(issued, int) or isinstance(issued, bool) or abs(now - issued) > SECONDS:
        raise Refused("invalid_dpop_proof")
    for name, fails in (("exp", lambda at: at < now), ("nbf", lambda at: at > now + SECONDS)):
        if name in claims and (not isinstance(claims[name], (int, float)) or fails(claims[name])):
            raise Refused("invalid_dpop_proof")
    digest = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=")
    if htm != method or normal(htu) != normal(url) or ath != digest.decode():
        raise Refused("invalid_dpop_proof")
    with lock:
        for old in [old for old, until in seen.items() if until < now]:
            del seen[old]
        if jti in seen:
            raise Refused("invalid_dpop_proof")
        seen[jti] = now + 2 * SECONDS + 1


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        try:
            self.check()
        except Refused as refused:
            self.send_response(403 if str(refused) == "insufficient_scope" else 401)
            algorithms = " ".join(ALGORITHMS[:2])
            self.send_header("WWW-Authenticate", f'DPoP error="{refused}", algs="{algorithms}"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = b'{"ok":true}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_OPTIONS = answer

    def check(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        credentials = self.headers.get_all("Authorization", [])
        proofs = self.headers.get_all("DPoP", [])
        if not credentials:
            raise Refused("invalid_token")
        words = credentials[0].split(" ")
        if VARIANT == "strict":
            if len(credentials) != 1 or len(words) != 2 or words[0].lower() != "dpop":
                raise Refused("invalid_token")
            if len(proofs) != 1 or "dpop" in self.headers.get("Connection", "").lower():
                raise Refused("invalid_dpop_proof")
            if "/../" in self.path:
                raise Refused("invalid_token")
        if len(words) < 2:
            raise Refused("invalid_token")
        token = words[1]
        _, claims = signed(token, token_key, "at+jwt", "invalid_token")
        check_token(claims)
        if VARIANT == "naive" and words[0].lower() == "bearer":
            return
        if not proofs:
            raise Refused("invalid_dpop_proof")
        header, proof = signed(proofs[0], proof_key, "dpop+jwt", "invalid_dpop_proof")
        thumbprint = jwks.import_key(header["jwk"]).thumbprint()
        if thumbprint != claims.get("cnf", {}).get("jkt"):
            raise Refused("invalid_token")
        if VARIANT == "strict":
            origin = f"http://127.0.0.1:{self.server.server_port}"
            check_proof(proof, self.command, origin + self.path, token)

    def log_message(self, *arguments):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
server.daemon_threads = True
print(server.server_port)
server.serve_forever()
