"""Public keys that are well-formed, and must not be used all the same."""

from __future__ import annotations

from functools import lru_cache
from math import gcd
from typing import Any

# RFC 7518, section 3.3; and the most that OpenSSL computes with.
_FEWEST_RSA_BITS, _MOST_RSA_BITS = 2048, 16_384


def require_safe(loaded: Any) -> Any:
    """Return a public key if it is safe: neither too short, nor so long that it takes seconds to compute with.

    :param loaded: the key, of the library cryptography
    :raises ValueError: it is not
    """
    from cryptography.hazmat.primitives.asymmetric import rsa

    if not isinstance(loaded, rsa.RSAPublicKey):
        return loaded
    if not _FEWEST_RSA_BITS <= loaded.key_size <= _MOST_RSA_BITS:
        raise ValueError(
            f"it has {loaded.key_size} bits, and RSA keys must have from {_FEWEST_RSA_BITS} to {_MOST_RSA_BITS}"
        )
    if _is_of_infineon(loaded.public_numbers().n):
        raise ValueError("its private key can be computed from it (ROCA, CVE-2017-15361)")
    return loaded


def _is_of_infineon(modulus: int) -> bool:
    """Return whether a modulus is one of Infineon's library, whose primes are powers of 65537 modulo many small primes.

    Anybody can find the factors of such a key (Nemec et al., "The Return of Coppersmith's Attack", CCS 2017, section
    2.2). One of 2**27 other keys looks like that, too.
    """
    return all(modulus % prime in powers for prime, powers in _powers_of_65537())


@lru_cache(maxsize=1)
def _powers_of_65537() -> list[tuple[int, set[int]]]:
    primes = [number for number in range(3, 168) if all(gcd(number, each) == 1 for each in range(2, number))]
    return [(prime, {pow(65537, power, prime) for power in range(prime)}) for prime in primes]
