"""An independent implementation of RFC 9421 (http-message-signatures) against ours, both ways.

Takes the command that speaks for ours; prints a line for each case and exits with 1 if one fails."""

import datetime
import json
import subprocess
import sys
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from types import SimpleNamespace

import http_message_signatures as hms
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from http_message_signatures import algorithms
from http_message_signatures.structures import CaseInsensitiveDict

ORIGIN = "https://api.example.com"
TARGET = "/approvals?state=open&name=a%20b+c&empty="
REQUEST = {
    "Content-Type": "application/json",
    "Content-Digest": "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
    "Priority": "u=1,    i",
    "X-Words": "  several,  words ",
}
RESPONSE = {"Content-Type": "text/plain", "Date": "Tue, 20 Apr 2021 02:07:55 GMT"}
REQUESTS = [
    '"@method" "@target-uri"',
    '"@authority" "@scheme" "@path" "@query" "@request-target"',
    '"@query-param";name="name" "@query-param";name="empty"',
    '"content-type" "content-digest" "x-words"',
    '"priority";sf "priority";key="u" "priority";key="i"',
    '"x-words";bs',
]
RESPONSES = ['"@status" "date"', '"@status" "@method";req "@path";req "content-type";req "priority";req;key="u"']


def encoded(number, size=None):
    size = size or (number.bit_length() + 7) // 8
    return urlsafe_b64encode(number.to_bytes(size, "big")).rstrip(b"=").decode()


def jwk(key):
    if isinstance(key, bytes):
        return {"kty": "oct", "k": urlsafe_b64encode(key).rstrip(b"=").decode()}
    public = key.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        x = urlsafe_b64encode(public.public_bytes_raw()).rstrip(b"=").decode()
        return {"kty": "OKP", "crv": "Ed25519", "x": x}
    numbers = public.public_numbers()
    if isinstance(public, rsa.RSAPublicKey):
        return {"kty": "RSA", "n": encoded(numbers.n), "e": encoded(numbers.e)}
    size = (public.curve.key_size + 7) // 8
    curve = f"P-{public.curve.key_size}"
    return {"kty": "EC", "crv": curve, "x": encoded(numbers.x, size), "y": encoded(numbers.y, size)}


def theirs(described):
    """A key in the library's terms."""
    raw = {name: urlsafe_b64decode(value + "==") for name, value in described.items() if name in "kxy"}
    if described["kty"] == "oct":
        return raw["k"]
    if described["kty"] == "OKP":
        return ed25519.Ed25519PublicKey.from_public_bytes(raw["x"])
    x, y = (int.from_bytes(raw[name], "big") for name in "xy")
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def message(status=None):
    request = SimpleNamespace(method="POST", url=ORIGIN + TARGET, headers=CaseInsensitiveDict(REQUEST))
    if status is None:
        return request
    return SimpleNamespace(status_code=status, headers=CaseInsensitiveDict(RESPONSE), request=request)


def described(source):
    """The same message for our program."""
    fields = [[name.lower(), value] for name, value in source.headers.items()]
    if hasattr(source, "status_code"):
        return {"status": source.status_code, "fields": fields, "request": described(source.request)}
    return {"method": source.method, "origin": ORIGIN, "target": TARGET, "fields": fields}


class Keys(hms.HTTPSignatureKeyResolver):
    def __init__(self, key):
        self.key = key

    def resolve_private_key(self, key_id):
        return self.key

    def resolve_public_key(self, key_id):
        return self.key if isinstance(self.key, bytes) or not hasattr(self.key, "public_key") else self.key.public_key()


class Ours:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def they_sign(ours, algorithm, key, components, status):
    source = message(status)
    signer = hms.HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=Keys(key))
    names = [item if item.startswith('"') else f'"{item}"' for item in components.split(" ")]
    signer.sign(
        source,
        key_id="k",
        tag="interop",
        nonce="n-1",
        label="x",
        covered_component_ids=names,
        use_existing_digest=status is None,
    )
    now = int(time.time())
    question = {"do": "verify", "key": jwk(key), "now": now, **described(source)}
    bad = ours.ask(**{**question, **changed(question)})
    if bad.get("ok") is not False:
        return f"a changed message is taken: {bad}"
    answer = ours.ask(**question)
    return None if answer == {"ok": True} else str(answer)


def changed(question):
    """One bit of the signature."""
    fields = [list(field) for field in question["fields"]]
    for field in fields:
        if field[0] == "signature":
            at = field[1].index(":") + 5
            field[1] = field[1][:at] + ("B" if field[1][at] == "A" else "A") + field[1][at + 1 :]
    return {"fields": fields}


def we_sign(ours, algorithm, components, status):
    source = message(status)
    name = algorithm.algorithm_id
    question = {"do": "sign", "alg": name, "components": f"({components})", "now": int(time.time())}
    answer = ours.ask(**question, **described(source))
    if "key" not in answer:
        return str(answer)
    for field, value in answer["fields"]:
        source.headers[field] = value
    verifier = hms.HTTPMessageVerifier(signature_algorithm=algorithm, key_resolver=Keys(theirs(answer["key"])))
    minute = datetime.timedelta(minutes=1)
    good = source.headers["Signature"]
    source.headers["Signature"] = changed({"fields": [["signature", good]]})["fields"][0][1]
    try:
        verifier.verify(source, max_age=minute, expect_tag="interop")
        return "a changed signature is taken"
    except hms.InvalidSignature:
        source.headers["Signature"] = good
    results = verifier.verify(source, max_age=minute, expect_tag="interop")
    return None if len(results) == 1 else "no result"


def cases(ours):
    keys = [
        (algorithms.ED25519, ed25519.Ed25519PrivateKey.generate()),
        (algorithms.ECDSA_P256_SHA256, ec.generate_private_key(ec.SECP256R1())),
        (algorithms.RSA_PSS_SHA512, rsa.generate_private_key(65537, 2048)),
        (algorithms.RSA_V1_5_SHA256, rsa.generate_private_key(65537, 2048)),
        (algorithms.HMAC_SHA256, b"s" * 32),
    ]
    messages = [(components, None) for components in REQUESTS] + [(components, 200) for components in RESPONSES]
    for algorithm, key in keys:
        for components, status in messages:
            yield f"they sign {algorithm.algorithm_id} {components}", they_sign, (ours, algorithm, key, components, status)
    for algorithm in (algorithms.ED25519, algorithms.ECDSA_P256_SHA256, algorithms.HMAC_SHA256):
        for components, status in messages:
            yield f"we sign {algorithm.algorithm_id} {components}", we_sign, (ours, algorithm, components, status)


def main():
    ours = Ours(sys.argv[1:])
    failed = 0
    for name, case, arguments in cases(ours):
        problem = case(*arguments)
        failed += problem is not None
        print(f"ok {name}" if problem is None else f"not ok {name}: {problem}")
    ours.close()
    sys.exit(1 if failed else 0)


main()
