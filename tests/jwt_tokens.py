"""Keys, and tokens that are signed with them, by the primitives themselves: well-formed ones and every other kind."""

import base64
import hmac
import json
from functools import lru_cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

#: Two times that stay past and future, however long after their making the tokens are used.
PAST, FUTURE = 1_600_000_000, 32_503_680_000

ISSUER, AUDIENCE = "https://issuer.example", "urn:api"
SECRET = "planted-shared-secret-of-the-tests-0123456789-0123456789-0123456789"

_HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
_CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1, "secp256k1": ec.SECP256K1}
_CURVE_OF = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "ES256K": "secp256k1"}


def new_key(kind, which=0, bits=2048):
    """Return a private key: the same one for the same arguments."""
    return _new_key(kind, which, bits)


@lru_cache
def _new_key(kind, which, bits):
    if kind == "RSA":
        return rsa.generate_private_key(public_exponent=65537, key_size=bits)
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(_CURVES[kind]())


def key_for(algorithm, which=0):
    if algorithm.startswith("HS"):
        return SECRET
    if algorithm.startswith(("RS", "PS")):
        return new_key("RSA", which)
    return new_key("Ed25519" if algorithm in ("EdDSA", "Ed25519") else _CURVE_OF[algorithm], which)


def pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def jwk(key, **members):
    """Return the public JWK of a private key, or the one of a shared secret."""
    if isinstance(key, (str, bytes)):
        return {"kty": "oct", "k": b64(key), **members}
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {"kty": "RSA", "n": _int64(numbers.n), "e": _int64(numbers.e), **members}
    if isinstance(public, ed25519.Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes_raw()), **members}
    numbers, size = public.public_numbers(), (public.curve.key_size + 7) // 8
    curve = next(name for name, kind in _CURVES.items() if kind.name == public.curve.name)
    return {"kty": "EC", "crv": curve, "x": _int64(numbers.x, size), "y": _int64(numbers.y, size), **members}


def jwks(*keys):
    return {"keys": list(keys)}


def b64(data):
    data = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _int64(number, size=None):
    return b64(number.to_bytes(size or (number.bit_length() + 7) // 8, "big"))


def claims(**changes):
    """Return good claims; ``name=None`` takes one away."""
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": PAST, "exp": FUTURE, "scope": "read write"}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def sign(algorithm, key, signed):
    """Return the signature of ``signed``."""
    signed = signed.encode() if isinstance(signed, str) else signed
    digest = _HASHES.get(algorithm[2:5], hashes.SHA256)
    if algorithm.startswith("HS"):
        return hmac.digest(key.encode() if isinstance(key, str) else key, signed, digest.name)
    if algorithm.startswith("RS"):
        return key.sign(signed, padding.PKCS1v15(), digest())
    if algorithm.startswith("PS"):
        return key.sign(signed, padding.PSS(padding.MGF1(digest()), digest.digest_size), digest())
    if algorithm in ("EdDSA", "Ed25519"):
        return key.sign(signed)
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(digest())))
    size = (key.curve.key_size + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def join(header, payload, *, algorithm="RS256", key=None, signature=None):
    """Return a token of any header and payload: a mapping, or text or bytes that are taken as they are."""
    parts = [b64(json.dumps(part) if isinstance(part, dict) else part) for part in (header, payload)]
    signed = ".".join(parts)
    made = sign(algorithm, key_for(algorithm) if key is None else key, signed) if signature is None else signature
    return f"{signed}.{b64(made)}"


def token(algorithm="RS256", *, key=None, header=None, kid="one", **changes):
    """Return a token, good but for what is changed."""
    head = {"alg": algorithm, "kid": kid, "typ": "at+jwt", **(header or {})}
    head = {name: value for name, value in head.items() if value is not None}
    return join(head, claims(**changes), algorithm=algorithm, key=key)
