"""Hash passwords, check them, and say which hashes are out of date: a policy over passlib.

New hashes are argon2id. Hashes of the other families in :data:`VERIFIED_SCHEMES` are verified, so that users can
be brought along from an older system. Plain text is no family: with it among the schemes, *any* stored string
that no other family recognises (``!``, ``*LK*``, a stolen hash) would itself be the password.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

from passlib.context import CryptContext
from passlib.exc import UnknownHashError

from .errors import ConfigurationError
from .logs import get_logger

_log = get_logger(__name__)


def _profile(**parameters: Any) -> Mapping[str, Any]:
    return MappingProxyType(parameters)


# Named parameters for PasswordHasher(**PROFILE). memory_cost is in KiB.

#: RFC 9106, section 4, the second recommended option: t=3, 64 MiB, p=4. This is the default, for it is what
#: passlib and argon2-cffi make by default too.
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


class PasswordHasher:
    """Hash and verify passwords.

    :param scheme: the scheme of new hashes, one of :data:`HASHING_SCHEMES`
    :param parameters: its parameters by passlib's names, for example ``rounds=12`` for bcrypt; without any, argon2
        uses :data:`RFC_9106_LOW_MEMORY`, and the others passlib's defaults
    :raises ConfigurationError: an unknown scheme or parameter, or a value that the scheme does not allow

    .. code-block:: python

        hasher = PasswordHasher(**OWASP_ARGON2ID)
    """

    def __init__(self, scheme: str = "argon2", **parameters: Any) -> None:
        if scheme not in HASHING_SCHEMES:
            raise ConfigurationError(f"scheme must be one of {', '.join(HASHING_SCHEMES)}; it is {scheme!r}")
        if scheme == "argon2" and not parameters:
            parameters = {name: value for name, value in RFC_9106_LOW_MEMORY.items() if name != "scheme"}
        try:
            CryptContext(schemes=[scheme]).handler(scheme).using(**parameters)
            self._context = CryptContext(
                schemes=VERIFIED_SCHEMES,
                default=scheme,
                deprecated="auto",
                **{f"{scheme}__{name}": value for name, value in parameters.items()},
            )
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"PasswordHasher({scheme!r}, **{parameters!r}): {error}") from error

    def hash(self, password: str) -> str:
        """Return a new salted hash of ``password``.

        :raises ValueError: a password that the scheme cannot take, such as one over 72 bytes with bcrypt
        """
        return str(self._context.hash(password))

    def verify(self, password: str, stored: str | None, *, owner: str | None = None) -> bool:
        """Return whether ``password`` is the one that ``stored`` was made from.

        With ``None``, or a hash that cannot be read, it does the work of a verification all the same, and says no:
        the time of the answer must not tell an attacker which accounts exist (CWE-208).

        :param password: what the client sent
        :param stored: the stored hash, or ``None`` where there is no such user or no password
        :param owner: whose it is, as the userstore knows the user; for the log alone
        """
        if stored is not None:
            try:
                return bool(self._context.verify(password, stored))
            except UnknownHashError:
                # Nor is the hash itself logged: what is stored there may be a plain password.
                _log.warning("the stored password hash of user %r is of no known scheme: refused", owner)
            except (TypeError, ValueError):
                # None of it is a yes, and none of it may be a 500: bcrypt raises for a password over 72 bytes.
                _log.warning("the stored password hash of user %r is malformed, or cannot take such a password", owner)
        self._context.verify("", self._dummy_hash)
        return False

    def needs_rehash(self, stored: str) -> bool:
        """Return whether ``stored`` is something else than :meth:`hash` would make now.

        :param stored: a stored hash; one that cannot be read needs it too
        """
        try:
            return bool(self._context.needs_update(stored))
        except (TypeError, ValueError):
            return True

    @cached_property
    def _dummy_hash(self) -> str:
        """Return a hash of the configured scheme and cost, whose password nobody knows.

        It is made when it is first needed, for making it costs as much as a verification.
        """
        return self.hash(secrets.token_urlsafe(32))
