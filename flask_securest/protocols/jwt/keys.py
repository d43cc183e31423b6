"""The keys that JWTs are verified with (RFC 7517), and which algorithm (RFC 7518) each of them is good for.

A key comes from the application or from the issuer, and never from a token: a token says only which key, by ``kid``.
"""

from __future__ import annotations

import hmac
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from ...errors import ConfigurationError, MissingDependencyError
from ...support.checks import require_list
from ...support.logs import get_logger

_log = get_logger(__name__)


class Algorithm(NamedTuple):
    """Hold what keys an algorithm takes.

    :param family: algorithms of one family may share a key
    :param key_type: the ``kty`` of RFC 7517
    :param curve: the one ``crv`` that it takes, where keys have one
    :param fewest_bytes: how long a shared secret must be: as long as the hash (RFC 7518, section 3.2)
    """

    family: str
    key_type: str
    curve: str | None = None
    fewest_bytes: int = 0


#: What can be chosen from. ``EdDSA`` and, since RFC 9864, ``Ed25519`` are two names of one algorithm.
ALGORITHMS: Mapping[str, Algorithm] = {
    **{name: Algorithm("RSA", "RSA") for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")},
    "ES256": Algorithm("ES256", "EC", "P-256"),
    "ES384": Algorithm("ES384", "EC", "P-384"),
    "ES512": Algorithm("ES512", "EC", "P-521"),
    "EdDSA": Algorithm("EdDSA", "OKP", "Ed25519"),
    "HS256": Algorithm("HMAC", "oct", fewest_bytes=32),
    "HS384": Algorithm("HMAC", "oct", fewest_bytes=48),
    "HS512": Algorithm("HMAC", "oct", fewest_bytes=64),
}


# By name. They are computed here, in a third of the time that PyJWT takes.
_HASHES = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}

# Algorithms that encrypt (RFC 7518, section 4.1).
_ENCRYPTS = re.compile(r"dir|RSA1_5|RSA-OAEP.*|A\d+(?:GCM)?KW|ECDH-ES.*|PBES2-.*")


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """Hold a key, and the algorithms that it may be used with. It has no ``repr`` that shows a secret.

    It is no tuple, which error trackers would take apart.
    """

    key_id: str | None
    algorithms: frozenset[str]
    material: Any
    _begun: dict[str, hmac.HMAC] = field(default_factory=dict, compare=False)

    def __repr__(self) -> str:
        return f"Key({self.key_id!r}, {sorted(self.algorithms)!r})"

    @property
    def numbers(self) -> Any:
        """Return what makes it this key, however it is written down: the numbers of a public one, or the secret."""
        find_numbers = getattr(self.material, "public_numbers", None) or getattr(
            self.material, "public_bytes_raw", None
        )
        return self.material if find_numbers is None else find_numbers()

    def verify(self, algorithm: str, signed: bytes, secret: bytes) -> bool:
        """Return whether ``secret`` is this key's for ``signed``.

        :param algorithm: one of :attr:`algorithms`
        :param signed: what was signed
        :param secret: the signature that came with it, without which what was signed is of no use to a thief
        """
        if algorithm not in self.algorithms:
            return False
        try:
            if algorithm in _HASHES:
                begun = self._begun.get(algorithm)
                if begun is None:
                    begun = self._begun[algorithm] = hmac.new(self.material, digestmod=_HASHES[algorithm])
                signing = begun.copy()  # to begin with the key takes half of the time
                signing.update(signed)
                # In constant time, for whoever could tell how much of a guess is right could guess all (CWE-208).
                return hmac.compare_digest(signing.digest(), secret)
            return _get_verifier(algorithm)(signed, self.material, secret) is True
        except Exception:
            # Whatever a library has to say about a signature from outside, it is not that it is right.
            return False


class KeySource(ABC):
    """Know the keys of an issuer. One source may be asked by several threads at once."""

    @abstractmethod
    def find(self, key_id: str | None, algorithm: str) -> Key | None:
        """Return the one key that a token names and that is good for its algorithm, or ``None``.

        :param key_id: the token's ``kid``; ``None`` if it has none: then there must be only one key for the algorithm
        :param algorithm: a name of :data:`ALGORITHMS`
        :raises BackendError: it cannot be told now
        """


class KeySet(KeySource):
    """Hold keys that do not change.

    :param keys: the keys. Of two that a token could mean, neither is ever taken. One that is there twice, under two
        names or for other algorithms, is one key.
    :param broken: names, and algorithms, of keys that were passed over: of two that a token could mean, one is gone
    """

    def __init__(self, keys: Iterable[Key], broken: Iterable[tuple[str, str]] = ()) -> None:
        self.keys = tuple(keys)
        self._found: dict[tuple[str | None, str], Key | None] = {}
        for key in self.keys:
            for algorithm in key.algorithms:
                for name in {(key.key_id, algorithm), (None, algorithm)}:
                    other = self._found.setdefault(name, key)
                    if other is not None and other.numbers != key.numbers:
                        self._found[name] = None
        self._found.update({name: None for name in broken if name in self._found})
        for (key_id, algorithm), found in self._found.items():
            if found is None and key_id is not None:
                _log.warning("two keys are called %r, for %s: neither is used", key_id, algorithm)

    def __repr__(self) -> str:
        """Name the keys, and no secret."""
        return f"KeySet({list(self.keys)!r})"

    def find(self, key_id: str | None, algorithm: str) -> Key | None:
        """Return the key."""
        return self._found.get((key_id, algorithm))


class SingleKey(KeySource):
    """Hold the only key that there is: which one a token names does not matter.

    :param key: the key
    """

    def __init__(self, key: Key) -> None:
        self._key = key

    def find(self, key_id: str | None, algorithm: str) -> Key | None:
        """Return the key."""
        return self._key if algorithm in self._key.algorithms else None


def import_jwt() -> Any:
    """Return the library PyJWT.

    :raises MissingDependencyError: it, or cryptography, is not installed
    """
    try:
        import cryptography  # noqa: F401
        import jwt
    except ImportError:
        raise MissingDependencyError("JWTAuthenticator", "jwt") from None
    return jwt


@lru_cache
def _get_verifier(algorithm: str) -> Callable[[bytes, Any, bytes], object]:
    verify: Callable[[bytes, Any, bytes], object] = import_jwt().get_algorithm_by_name(algorithm).verify
    return verify


def name_algorithm(name: object) -> str | None:
    """Return the name in :data:`ALGORITHMS` of an algorithm, or ``None`` if it is not there.

    :param name: what a token, a key or the application calls it
    """
    if name == "Ed25519":
        return "EdDSA"
    return name if isinstance(name, str) and name in ALGORITHMS else None


def require_algorithms(names: object) -> frozenset[str]:
    """Return the algorithms that the application has chosen.

    :param names: their names
    :raises ConfigurationError: none, an unknown one, or shared secrets mixed with public keys
    """
    listed = require_list(names, "algorithms")
    chosen = frozenset(name_algorithm(name) or "" for name in listed)
    for name in (name for name in listed if isinstance(name, str)):
        # What issuers really use, and is left out here: the error says so, and the way out.
        if name in ("ES256K", "Ed448"):
            other = "ES256" if name == "ES256K" else "Ed25519"
            raise ConfigurationError(f"algorithms must not have {name!r}, which is left out: sign with {other}")
        if _ENCRYPTS.fullmatch(name):
            raise ConfigurationError(
                f"algorithms must not have {name!r}, which encrypts (JWE): have the issuer sign tokens only"
            )
    if not chosen or "" in chosen:
        known = ", ".join(ALGORITHMS)
        raise ConfigurationError(f"algorithms must be a list of some of {known}; it is {listed!r}")
    symmetric = {name for name in chosen if ALGORITHMS[name].key_type == "oct"}
    if symmetric and symmetric != chosen:
        # Whoever has the public key could sign with it, as if it were a shared secret (RFC 8725, section 2.1).
        raise ConfigurationError(f"algorithms must not mix shared secrets (HS...) with public keys: {listed!r}")
    return chosen
