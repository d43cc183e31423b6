"""The contract of a userstore: one method."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..models import UserModel


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
