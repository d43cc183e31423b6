"""The contract of a userstore: one method; and what stores that can do more than that do besides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator

from ..errors import ConfigurationError
from ..models import User, UserModel


class AbstractUserstore(ABC):
    """Know the users of an API, wherever they live.

    A store never sees a request, and never checks a password: a provider asks it for the account that the
    credentials name, and decides. One store may be asked by several threads at once.
    """

    @abstractmethod
    def get_user(self, identifier: str) -> UserModel | None:
        """Return the user with this name, or ``None`` when there is none.

        Disabled accounts are returned too, with ``active`` false: whether an account may be used is looked at
        after its password, so that the time of an answer does not tell which accounts exist.

        :param identifier: what the credentials call the user. It comes from outside: it may be any text.
        :returns: a :class:`~flask_securest.User`, or any object with the attributes of
            :class:`~flask_securest.UserModel`. Anything else is refused with a 500.
        :raises BackendError: the store cannot tell now; never ``None``, which says that there is no such user
        """

    def list_users(self) -> Iterator[UserModel]:
        """Yield all users, sorted by name. It is for the command line; a store need not be able to.

        :raises ConfigurationError: this store cannot
        :raises BackendError: the store cannot tell now
        """
        raise ConfigurationError(f"a {type(self).__name__} cannot list its users")


class AbstractVerifyingUserstore(AbstractUserstore):
    """Know users, and check their passwords where the hashes cannot be read: a directory checks them by binding."""

    @abstractmethod
    def verify_password(self, username: str, password: str) -> UserModel | None:
        """Return the user if the password is right, and ``None`` if it is wrong or there is no such user.

        It takes the same time for an unknown user as for a wrong password (CWE-208). A disabled account is returned,
        with ``active`` false, if its password is right; where the back end cannot tell because the account is locked,
        that is an :class:`~flask_securest.errors.AccountStatusError`.

        :param username: what the client calls the user; it may be any text
        :param password: what the client sent, not empty; it may be any text
        :raises AccountStatusError: the account is locked or expired, and nothing more can be said about the password
        :raises BackendError: the store cannot tell now
        """


class AbstractWritableUserstore(AbstractUserstore):
    """Know users, and let them be added and changed. Each call is in force as a whole, or not at all."""

    @abstractmethod
    def list_users(self) -> Iterator[UserModel]:
        """Yield all users, sorted by name.

        :raises BackendError: the store cannot tell now
        """

    @abstractmethod
    def add_users(self, users: Iterable[User]) -> int:
        """Add users: all, or none of them.

        :param users: the users, with the hashes of their passwords
        :returns: how many
        :raises ValueError: a name that is taken or that stands there twice, or a group that is not known; the message
            names it
        :raises BackendError: the store cannot be written now
        """

    @abstractmethod
    def set_password(self, username: str, password_hash: str | None, *, expected: str | None = None) -> bool:
        """Set the hash of a user's password.

        :param username: the user
        :param password_hash: the new hash; ``None`` for no password any more
        :param expected: change it only if the hash is still this one; so that a login, which renews an outdated hash,
            cannot undo a new password that was set at the same moment
        :returns: whether there is such a user, with the expected hash, and it was set
        :raises BackendError: the store cannot be written now
        """

    def renew_password_hash(self, username: str, password_hash: str, *, expected: str) -> bool:
        """Replace an outdated hash by another one of the same password. Tokens of the user go on, if the store can.

        Write it for a store that keeps a :class:`~flask_securest.User`'s ``mark``: by default it is a change of the
        password, which ends them.

        :param username: the user
        :param password_hash: the new hash
        :param expected: the hash that is replaced
        :returns: whether it was still this one
        :raises BackendError: the store cannot be written now
        """
        return self.set_password(username, password_hash, expected=expected)

    @abstractmethod
    def set_active(self, username: str, active: bool) -> bool:
        """Enable or disable a user. Tokens from before it was disabled stay ended, if the store can.

        :param username: the user
        :param active: whether the account may be used
        :returns: whether there is such a user
        :raises BackendError: the store cannot be written now
        """

    @abstractmethod
    def set_roles(self, username: str, roles: Collection[str]) -> bool:
        """Set the roles that a user has directly, not through groups.

        :param username: the user
        :param roles: the names of the roles
        :returns: whether there is such a user
        :raises BackendError: the store cannot be written now
        """

    @abstractmethod
    def remove_user(self, username: str) -> bool:
        """Remove a user.

        :param username: the user
        :returns: whether there was such a user
        :raises BackendError: the store cannot be written now
        """
