"""Hash passwords, check them, and say which hashes are out of date: a policy over passlib.

New hashes are argon2id. Hashes of the other families in :data:`VERIFIED_SCHEMES`, and Werkzeug's own, are verified, so
that users can be brought along from an older system. Plain text is no family: with it among the schemes, *any* stored
string that no other family recognises (``!``, ``*LK*``, a stolen hash) would itself be the password.
"""

from __future__ import annotations

import functools
import re
import secrets
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from werkzeug.security import check_password_hash

from .errors import ConfigurationError
from .support.hashes import BCRYPT, MAX_BCRYPT_BYTES, answer_of, compare, make_context

if TYPE_CHECKING:
    from passlib.context import CryptContext


def _profile(**parameters: Any) -> Mapping[str, Any]:
    return MappingProxyType(parameters)


# Named parameters for PasswordHasher(**PROFILE). memory_cost is in KiB.

#: RFC 9106, section 4, the second recommended option: t=3, 64 MiB, p=4. The default, for it is what passlib and
#: argon2-cffi make by default too.
RFC_9106_LOW_MEMORY = _profile(scheme="argon2", time_cost=3, memory_cost=65536, parallelism=4)

#: RFC 9106, section 4, the first recommended option: t=1, 2 GiB, p=4.
RFC_9106_HIGH_MEMORY = _profile(scheme="argon2", time_cost=1, memory_cost=2097152, parallelism=4)

#: OWASP Password Storage Cheat Sheet, argon2id: t=2, 19 MiB, p=1. For servers that check many passwords at once:
#: each check holds that memory.
OWASP_ARGON2ID = _profile(scheme="argon2", time_cost=2, memory_cost=19456, parallelism=1)

#: OWASP Password Storage Cheat Sheet, scrypt: N=2^17, r=8, p=1 (128 MiB).
OWASP_SCRYPT = _profile(scheme="scrypt", rounds=17, block_size=8, parallelism=1)

#: OWASP Password Storage Cheat Sheet, bcrypt: a work factor of 10 is the least; 12 is passlib's default.
OWASP_BCRYPT = _profile(scheme="bcrypt", rounds=12)

#: OWASP Password Storage Cheat Sheet, PBKDF2-HMAC-SHA256: 600 000 rounds.
OWASP_PBKDF2_SHA256 = _profile(scheme="pbkdf2_sha256", rounds=600_000)

#: OWASP Password Storage Cheat Sheet, PBKDF2-HMAC-SHA512: 210 000 rounds.
OWASP_PBKDF2_SHA512 = _profile(scheme="pbkdf2_sha512", rounds=210_000)

#: What ``PasswordHasher("scheme")`` uses where no parameters are given; for those that are not here, passlib's own.
#: For PBKDF2 those are from 2016, and a twentieth of what is needed now.
_DEFAULTS = {
    profile["scheme"]: {name: value for name, value in profile.items() if name != "scheme"}
    for profile in (RFC_9106_LOW_MEMORY, OWASP_SCRYPT, OWASP_BCRYPT, OWASP_PBKDF2_SHA256, OWASP_PBKDF2_SHA512)
}

#: The schemes that new hashes can be made with: salted, and slow on purpose.
HASHING_SCHEMES = ("argon2", "bcrypt", "bcrypt_sha256", "scrypt", "pbkdf2_sha256", "pbkdf2_sha512", "sha512_crypt")

#: The schemes that stored hashes are verified with: the above, and what files, directories and older frameworks
#: hold. All are salted; none is plain text.
VERIFIED_SCHEMES = (
    *HASHING_SCHEMES,
    *("sha256_crypt", "md5_crypt", "apr_md5_crypt", "phpass", "pbkdf2_sha1"),
    *("ldap_salted_sha1", "ldap_salted_sha256", "ldap_salted_sha512", "ldap_salted_md5"),
    *("ldap_bcrypt", "ldap_sha512_crypt", "ldap_sha256_crypt", "ldap_md5_crypt"),
    *("ldap_pbkdf2_sha1", "ldap_pbkdf2_sha256", "ldap_pbkdf2_sha512"),
    *("django_pbkdf2_sha256", "django_bcrypt_sha256", "django_argon2"),
)

#: Werkzeug's ``generate_password_hash`` writes ``scrypt:32768:8:1$salt$hash``, which passlib does not know. Many
#: a Flask application has them.
_WERKZEUG = re.compile(r"(?:scrypt|pbkdf2):[^$]+\$[^$]+\$[0-9a-f]{32,}")

#: The longest password, in bytes of UTF-8. The crypt(3) families take time in proportion to it: ten seconds of
#: somebody else's processor for four kilobytes (CWE-400).
MAX_PASSWORD_BYTES = 256

#: hashlib.scrypt takes at most this much memory: 128 * N * r bytes.
_MAX_SCRYPT_BYTES = 2**31 - 1


class PasswordHasher:
    """Hash and verify passwords.

    :param scheme: the scheme of new hashes, one of :data:`HASHING_SCHEMES`
    :param parameters: its parameters by passlib's names, for example ``rounds=12`` for bcrypt; without any, those of
        RFC 9106 or OWASP
    :raises ConfigurationError: an unknown scheme or parameter, or a value that the scheme does not allow

    .. code-block:: python

        hasher = PasswordHasher(**OWASP_ARGON2ID)
    """

    def __init__(self, scheme: str = "argon2", **parameters: Any) -> None:
        if scheme not in HASHING_SCHEMES:
            raise ConfigurationError(f"scheme must be one of {', '.join(HASHING_SCHEMES)}; it is {scheme!r}")
        if not {"salt", "salt_size"}.isdisjoint(parameters):
            raise ConfigurationError("a salt cannot be configured: every hash gets a random one of its own")
        self._scheme, self._parameters = scheme, parameters or _DEFAULTS.get(scheme, {})
        self._settings = f"{scheme} {sorted(self._parameters.items())}"
        # What is wrong with parameters is told here; the defaults are right, and wait for the first password.
        self._made = self._make_context() if parameters else None

    def _make_context(self) -> CryptContext:
        scheme, parameters = self._scheme, self._parameters
        try:
            handler = make_context([scheme]).handler(scheme).using(**parameters)
            context = make_context(
                VERIFIED_SCHEMES,
                default=scheme,
                deprecated="auto",
                **{f"{scheme}__{name}": value for name, value in parameters.items()},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(f"PasswordHasher({scheme!r}, **{parameters!r}): {error}") from error
        if scheme == "scrypt" and 128 * 2**handler.default_rounds * handler.block_size > _MAX_SCRYPT_BYTES:
            raise ConfigurationError(f"PasswordHasher({scheme!r}, **{parameters!r}): that takes more than 2 GiB")
        return context

    @property
    def _context(self) -> CryptContext:
        if self._made is None:
            self._made = self._make_context()
        return self._made

    def hash(self, password: str) -> str:
        """Return a new salted hash of ``password``.

        :param password: the password; it is hashed in Unicode's normal form C, which is what clients send
            (RFC 7617, section 2.1; RFC 8265, section 4.2)
        :raises ValueError: it is longer than :data:`MAX_PASSWORD_BYTES`, or than 72 bytes with bcrypt
        """
        password = unicodedata.normalize("NFC", password)
        most = MAX_BCRYPT_BYTES if self._scheme in BCRYPT else MAX_PASSWORD_BYTES
        if len(password.encode()) > most:
            raise ValueError(f"a password can have at most {most} bytes with {self._scheme}")
        return str(self._context.hash(password))

    def verify(self, password: str, stored: str | None) -> bool:
        """Return whether ``password`` is the one that ``stored`` was made from.

        With ``None``, or a hash that cannot be read, it does the work of a verification all the same, and says no:
        the time of the answer must not tell an attacker which accounts exist (CWE-208).

        :param password: what the client sent
        :param stored: the stored hash, or ``None`` where there is no such user or no password
        :raises BackendError: there is not enough memory to tell
        """
        return self.examine(password, stored) is True

    def examine(self, password: str, stored: str | None) -> bool | None:
        """Return what :meth:`verify` does, and ``None`` where ``stored`` cannot be read, or takes no such password.

        ``PasswordAuthenticator`` asks this, and logs whose hash it is; of a subclass with a :meth:`verify` of its own
        it asks that one, for only that one knows which hashes it reads.

        :param password: what the client sent
        :param stored: the stored hash, or ``None`` where there is no such user or no password
        :raises BackendError: there is not enough memory to tell
        """
        password = unicodedata.normalize("NFC", password)
        if len(password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD_BYTES:
            self._check("", self._dummy_hash)
            return False
        verified = None if stored is None else self._check(password, stored)
        if verified:
            return True
        # Also after a hash of another scheme or cost, which may have taken no time. With the password that was sent,
        # for some schemes take longer for a longer one; unless the scheme does not take it.
        as_slow = verified is False and stored is not None and not self.needs_rehash(stored)
        if not as_slow and self._check(password, self._dummy_hash) is None:
            self._check("", self._dummy_hash)
        return False if stored is None else verified

    def needs_rehash(self, stored: str) -> bool:
        """Return whether ``stored`` is something else than :meth:`hash` would make now.

        :param stored: a stored hash; one that cannot be read needs it too
        """
        try:
            return bool(self._context.needs_update(stored))
        except (TypeError, ValueError):
            return True

    def prepare(self) -> None:
        """Do now what would make the first refusal of an unknown user take longer than those after it."""
        self._check("", self._dummy_hash)

    def _check(self, password: str, stored: str) -> bool | None:
        """Return whether the two match; ``None`` if the hash cannot be read, or takes no such password.

        Neither may be a yes, or a 500.

        :raises BackendError: there is not enough memory to tell
        """
        if isinstance(stored, str) and _WERKZEUG.fullmatch(stored):
            return answer_of(lambda: check_password_hash(stored, password))
        return compare(self._context, password, stored)

    @property
    def _dummy_hash(self) -> str:
        """Return a hash of the configured scheme and cost, whose password nobody knows; one for each process."""
        stored = _dummy_hashes.get(self._settings)
        if stored is None:
            stored = _dummy_hashes[self._settings] = self.hash(secrets.token_urlsafe(32))
        return stored


_dummy_hashes: dict[str, str] = {}


def can_verify(stored: str) -> bool:
    """Return whether a hash is whole, and of a family that :class:`PasswordHasher` verifies.

    :param stored: what may be a hash; plain text is none
    """
    if _WERKZEUG.fullmatch(stored):
        return True
    try:
        _make_reading_context().needs_update(stored)
    except (TypeError, ValueError):
        return False
    return True


@functools.cache
def _make_reading_context() -> CryptContext:
    """Return one that only reads hashes, whatever their parameters are."""
    return make_context(VERIFIED_SCHEMES)
