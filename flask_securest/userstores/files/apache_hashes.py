"""The hashes that Apache's ``htpasswd`` makes: which they are, and how a password is held against one.

Two of them (``{SHA}``, crypt(3)) are so weak that :class:`~flask_securest.passwords.PasswordHasher` takes neither, so
they have a context of their own.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from ...support.hashes import compare, make_context

if TYPE_CHECKING:
    from passlib.context import CryptContext

#: The formats of Apache's htpasswd, and what it takes to be one, to the last character. Plain text is none: with it,
#: any other string that stands in the file would itself be the password, also a hash of another kind.
_FORMATS = {
    "bcrypt": re.compile(r"\$2[aby]\$(?P<cost>\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]"),
    "apr_md5_crypt": re.compile(r"\$apr1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}"),
    "sha256_crypt": re.compile(r"\$5\$(?:rounds=(?P<cost>[1-9]\d*)\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{43}"),
    "sha512_crypt": re.compile(r"\$6\$(?:rounds=(?P<cost>[1-9]\d*)\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}"),
    "ldap_sha1": re.compile(r"\{SHA\}[A-Za-z0-9+/]{27}="),
    "des_crypt": re.compile(r"[./A-Za-z0-9]{13}"),
}

#: The costs that are taken. htpasswd makes bcrypt from 4 to 17, which takes seven seconds; it would take a thousand
#: million rounds of SHA-2 as well, and one login could keep a processor busy for minutes (CWE-400).
_COSTS = {"bcrypt": (4, 17), "sha256_crypt": (1000, 5_000_000), "sha512_crypt": (1000, 5_000_000)}
_MOST_DIGITS = 7
_DEFAULT_ROUNDS = 5000

#: What one verification takes, for each round, in microseconds on some machine: to tell what is slower.
_MICROSECONDS = {"bcrypt": 57, "sha512_crypt": 0.6, "sha256_crypt": 0.5, "apr_md5_crypt": 400, "des_crypt": 400}

#: How many kinds of hashes a refusal works through, the slowest first.
_MOST_KINDS = 4


class Kind(NamedTuple):
    """Hold what decides how long a verification takes."""

    scheme: str
    cost: int

    @property
    def microseconds(self) -> float:
        """Return how long it takes, in about."""
        return _MICROSECONDS.get(self.scheme, 0) * (2**self.cost if self.scheme == "bcrypt" else self.cost)


class Sample(NamedTuple):
    """Hold a hash of a kind, for work that counts for nothing."""

    kind: Kind
    hash: str

    def __repr__(self) -> str:
        return f"Sample({self.kind})"


#: What is worked through where a file has no hash. Nobody knows its password, and it would be nobody's.
_NOBODY = Sample(Kind("bcrypt", 5), "$2y$05$VY4I7pFwdHaExDJqVWQ2GusSt0x1E0s86Gx2NjZrawt5.NjOR6h2C")


def kind_of(stored: str) -> Kind | str:
    """Return what kind of hash it is, or in words why it is none.

    :param stored: what may be a hash; the words do not quote it
    """
    for scheme, pattern in _FORMATS.items():
        match = pattern.fullmatch(stored)
        if match is None:
            continue
        digits = match.groupdict().get("cost") or str(_DEFAULT_ROUNDS if scheme in _COSTS else 1)
        least, most = _COSTS.get(scheme, (1, 1))
        if len(digits) > _MOST_DIGITS or not least <= int(digits) <= most:
            return f"a cost that is not between {least} and {most}"
        return Kind(scheme, int(digits))
    return "a hash of no kind that Apache's htpasswd makes, or a plain password" if stored else "no hash"


@functools.cache
def _make_context() -> CryptContext:
    return make_context(_FORMATS)


def choose_samples(hashes: Iterable[tuple[Kind | None, str | None]]) -> list[Sample]:
    """Return one hash of each kind, of the slowest kinds.

    :param hashes: the hashes that there are, with their kinds
    """
    samples: dict[Kind, str] = {}
    for kind, stored in hashes:
        if kind is not None and stored is not None:
            samples.setdefault(kind, stored)
    slowest = sorted(samples, key=lambda kind: (-kind.microseconds, kind))[:_MOST_KINDS]
    return [Sample(kind, samples[kind]) for kind in slowest] or [_NOBODY]


def verify_as_slowly_as_any(password: str, stored: str | None, kind: Kind | None, samples: Iterable[Sample]) -> bool:
    """Return whether ``password`` is the one that ``stored`` was made from.

    A no takes the same work for all: the time of the answer must not tell which accounts exist (CWE-208).

    :param password: what the client sent; an empty one is never right
    :param stored: the hash; ``None`` where there is no such user, or no password
    :param kind: its kind
    :param samples: a hash of each kind that there is
    """
    verified = compare(_make_context(), password, stored) if stored is not None and password else None
    if verified:
        return True
    for sample in samples:
        # What comes out counts for nothing. Where the format takes no such password, nothing has been done yet.
        done = verified is not None and kind == sample.kind
        if not done and compare(_make_context(), password, sample.hash) is None:
            compare(_make_context(), "", sample.hash)
    return False
