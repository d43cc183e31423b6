"""Hold passwords against hashes with passlib, which is imported by the first one."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ..errors import BackendError
from .logs import get_logger

if TYPE_CHECKING:
    from passlib.context import CryptContext

_log = get_logger(__name__)

#: These look at no more than the first 72 bytes.
BCRYPT = ("bcrypt", "ldap_bcrypt")
MAX_BCRYPT_BYTES = 72


def make_context(schemes: Iterable[str], **options: Any) -> CryptContext:
    """Return a context of passlib, which is imported by the first one: an API without passwords does without it.

    :param schemes: what hashes may be of
    :param options: as passlib knows them
    """
    from passlib.context import CryptContext

    _tell_of_two_passlibs()
    return CryptContext(schemes=list(schemes), **options)


@functools.cache
def _tell_of_two_passlibs() -> None:
    problem = find_two_passlibs()
    if problem is not None:
        _log.error("%s", problem)


def find_two_passlibs() -> str | None:
    """Return what to do where two distributions own the files of the package passlib, and ``None`` where one does.

    Who was installed last has written the files. With those of passlib 1.7.4 and a bcrypt of today the right password
    is a wrong one; and removing one of the two breaks the other.
    """
    if not (_is_installed("passlib") and _is_installed("libpass")):
        return None
    return (
        "passlib and libpass are both installed, over the same files: pip uninstall passlib libpass, and then "
        "pip install libpass"
    )


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def compare(context: CryptContext, password: str, stored: str) -> bool | None:
    """Return whether the two match; ``None`` if the hash cannot be read, or takes no such password.

    Neither may be a yes, or a 500.

    :param context: the schemes that ``stored`` may be of; plain text must not be among them
    :param password: what the client sent
    :param stored: the stored hash
    :raises BackendError: there is not enough memory to tell
    """

    def verify() -> bool | None:
        # Not every release of bcrypt refuses what is longer: some cut it, and take whatever begins like that.
        if len(password.encode()) > MAX_BCRYPT_BYTES and context.identify(stored) in BCRYPT:
            return None
        return bool(context.verify(password, stored))

    return answer_of(verify)


def answer_of(verify: Callable[[], bool | None]) -> bool | None:
    """Return what ``verify`` says; ``None`` where it fails for what the hash or the password is like."""
    try:
        return verify()
    except (MemoryError, OverflowError, TypeError, ValueError) as error:
        if isinstance(error, MemoryError) or "Memory allocation" in str(error):
            raise BackendError("there is not enough memory to verify a password") from None
        return None
