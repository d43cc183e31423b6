"""Read keys: a document of an issuer (JWKS), one entry of it (JWK; RFC 7517), or what the application gives as a key.

A JWK is for example ``{"kty": "EC", "crv": "P-256", "x": "f83OJ3...", "y": "x_FEzR...", "kid": "2026-11"}``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ...errors import ConfigurationError
from ...support.checks import require_list
from ...support.logs import get_logger
from ..claims import drop_nulls
from .format import decode_base64url
from .keys import ALGORITHMS, Key, KeySet, KeySource, SingleKey, import_jwt, name_algorithm
from .weak_keys import require_safe

_log = get_logger(__name__)

# The parameters of a key in a JWK. Nothing else of it is used: a certificate in it, or a URL, is ignored.
_PARAMETERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "oct": ("k",)}


def read_key_set(document: Mapping[str, Any], algorithms: Collection[str]) -> KeySet:
    """Return the keys of a JWKS document (RFC 7517, section 5) that are for signatures of these algorithms.

    Others are passed over, as section 5 says: of another use, type or algorithm, or broken.

    :param document: ``{"keys": [...]}``
    :param algorithms: names of :data:`ALGORITHMS`
    :raises ValueError: it is none
    """
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise ValueError('a JWKS must have a list of "keys"')
    found: list[Key] = []
    broken: list[tuple[str, str]] = []
    for entry in entries:
        try:
            found.append(read_jwk(entry, algorithms))
            continue
        except _BrokenKeyError as error:
            broken += error.names
            problem = str(error)
        except ValueError as error:
            problem = str(error)
        _log.info("a key of a JWKS is passed over: %s", problem)
    return KeySet(found, broken)


class _BrokenKeyError(ValueError):
    """Say that a key cannot be used that is for signatures of ours, and under which names a token could mean it."""

    def __init__(self, problem: str, key_id: str | None, fitting: Collection[str]) -> None:
        super().__init__(problem)
        self.names = [] if key_id is None else [(key_id, algorithm) for algorithm in fitting]


def read_jwk(entry: object, algorithms: Collection[str]) -> Key:
    """Return the key of a JWK (RFC 7517, section 4).

    :param entry: its members
    :param algorithms: which ones it may be used with; its own ``alg`` limits them further
    :raises ValueError: it is not for signatures of one of them, or broken; the message quotes nothing of it
    """
    if not isinstance(entry, Mapping):
        raise ValueError("it is no object")
    entry = drop_nulls(dict(entry))
    key_type, key_id = entry.get("kty"), entry.get("kid")
    if key_type not in ("RSA", "EC", "OKP", "oct"):
        raise ValueError("its type (kty) is none that can be used")
    if not isinstance(key_id, (str, type(None))):
        raise ValueError("its name (kid) is no string")
    operations = entry.get("key_ops", ["verify"])
    if entry.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise ValueError("it is not for verifying signatures (use, key_ops)")
    parameters = {name: entry[name] for name in _PARAMETERS[key_type] if isinstance(entry.get(name), str)}
    if len(parameters) != len(_PARAMETERS[key_type]):
        raise ValueError(f"it lacks one of {', '.join(_PARAMETERS[key_type])}")
    if key_type != "oct" and "d" in entry:
        # Whoever can read it can sign with it.
        raise ValueError("it is a private key")
    fitting = _fit(entry, algorithms)
    try:
        loaded = _load({"kty": key_type, **parameters})
        return Key(key_id, _require_length(loaded, fitting) if key_type == "oct" else fitting, loaded)
    except ValueError as error:
        raise _BrokenKeyError(str(error), key_id, fitting) from None


def require_key(key: object, algorithms: Collection[str]) -> KeySource:
    """Return what the application gives as the only key.

    :param key: a shared secret for HS..., as string or bytes; a public key in PEM; or a JWK, as a mapping
    :param algorithms: names of :data:`~flask_securest.protocols.jwt.keys.ALGORITHMS`; each must be for this key
    :raises ConfigurationError: it is none, or not for these; the message quotes nothing of it
    """
    try:
        if isinstance(key, Mapping):
            read = read_jwk(key, algorithms)
        elif isinstance(key, (str, bytes)):
            read = _read_text(key.encode() if isinstance(key, str) else key, algorithms)
        else:
            raise ConfigurationError(f"key must be a string, bytes or a mapping, not of type {type(key).__name__}")
        problem = None
    except ValueError as error:
        problem = "it is no text" if isinstance(error, UnicodeError) else str(error)
    if problem is not None:
        raise ConfigurationError(f"key cannot be used: {problem}")
    if read.algorithms != frozenset(algorithms):
        others = ", ".join(sorted(frozenset(algorithms) - read.algorithms))
        raise ConfigurationError(f"key cannot be used: it is not for {others} of algorithms")
    return SingleKey(read)


def require_key_set(document: object, algorithms: Collection[str]) -> KeySet:
    """Return the keys of a document that the application gives.

    :param document: ``{"keys": [...]}``
    :param algorithms: names of :data:`~flask_securest.protocols.jwt.keys.ALGORITHMS`
    :raises ConfigurationError: it is none, or has no key for these; the message quotes nothing of it
    """
    if not isinstance(document, Mapping):
        raise ConfigurationError(f'jwks must be a mapping {{"keys": [...]}}, not of type {type(document).__name__}')
    try:
        keys = read_key_set({**document, "keys": require_list(document.get("keys"), "the keys of jwks")}, algorithms)
    except ValueError as error:
        raise ConfigurationError(f"jwks cannot be used: {error}") from None
    if not keys.keys:
        raise ConfigurationError(f"jwks has no key that is for {', '.join(sorted(algorithms))}; the log says why")
    return keys


def _read_text(text: bytes, algorithms: Collection[str]) -> Key:
    """Return the key that a text is, which is a secret if the algorithms are HS...

    :raises ValueError: it is none
    """
    symmetric = all(ALGORITHMS[name].key_type == "oct" for name in algorithms)
    if not symmetric:
        return _read_pem(text, algorithms)
    # Everybody knows a public key: whoever takes it for a shared secret believes everybody (RFC 8725, section 2.1).
    if b"-----BEGIN" in text or text.startswith((b"ssh-", b"ecdsa-")) or b'"kty"' in text:
        raise ValueError("it is a public or private key, and no shared secret, for which HS... are")
    return Key(None, _require_length(text, frozenset(algorithms)), text)


def _read_pem(text: bytes, algorithms: Collection[str]) -> Key:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if b"PRIVATE KEY" in text:
        raise ValueError("it is a private key: whoever only verifies must not have it")
    try:
        loaded = load_pem_public_key(text)
    except Exception:
        loaded = None
    if loaded is None:
        raise ValueError("it is no public key in PEM (-----BEGIN PUBLIC KEY-----)")
    fitting = frozenset(name for name in algorithms if ALGORITHMS[name][1:3] == _describe(loaded))
    if not fitting:
        raise ValueError(f"it is not for {', '.join(sorted(algorithms))}")
    return Key(None, fitting, require_safe(loaded))


def _describe(loaded: Any) -> tuple[str | None, str | None]:
    """Return type and curve of a key, in the words of RFC 7518."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(loaded, rsa.RSAPublicKey):
        return "RSA", None
    if isinstance(loaded, ed25519.Ed25519PublicKey):
        return "OKP", "Ed25519"
    if isinstance(loaded, ec.EllipticCurvePublicKey):
        names = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
        return "EC", names.get(loaded.curve.name)
    return None, None


def _fit(entry: Mapping[str, Any], algorithms: Collection[str]) -> frozenset[str]:
    """Return which algorithms a JWK is for.

    :raises ValueError: none of them
    """
    fitting = frozenset(name for name in algorithms if ALGORITHMS[name][1:3] == (entry["kty"], entry.get("crv")))
    if "alg" in entry:
        fitting &= {name_algorithm(entry["alg"]) or ""}
    if not fitting:
        raise ValueError(f"it is not for {', '.join(sorted(algorithms))} (kty, crv, alg)")
    return fitting


def _load(parameters: dict[str, str]) -> Any:
    """Return the key of these parameters.

    :raises ValueError: they are no key, for example no point of their curve (RFC 8725, section 3.4)
    """
    try:
        if parameters["kty"] == "oct":
            return decode_base64url(parameters["k"].encode("ascii"))
        algorithms = import_jwt().algorithms
        readers = {"RSA": algorithms.RSAAlgorithm, "EC": algorithms.ECAlgorithm, "OKP": algorithms.OKPAlgorithm}
        loaded = readers[parameters["kty"]].from_jwk(parameters)
    except Exception:
        # Anything can come out of broken numbers, and the texts of these errors quote them.
        loaded = None
    if loaded is None:
        raise ValueError("it is broken")
    return require_safe(loaded)


def _require_length(secret: bytes, algorithms: frozenset[str]) -> frozenset[str]:
    """Return the algorithms if a shared secret is long enough for all of them.

    A shorter one can be guessed, by anybody who has a token, without asking us (RFC 8725, sections 2.2 and 3.5).

    :raises ValueError: it is not
    """
    fewest = max(ALGORITHMS[name].fewest_bytes for name in algorithms)
    if len(secret) < fewest:
        names = ", ".join(sorted(algorithms))
        raise ValueError(f"a shared secret for {names} must have {fewest} bytes (RFC 7518, section 3.2)")
    return algorithms
