"""The contract of authentication: one class, one method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, cast

from werkzeug.wrappers import Request

from ..identity import Identity
from ..models import UserModel
from ..userstores.abstract import AbstractUserstore


class _ClassName:
    """Be the name of whatever class it is looked up on, until the class or the instance sets one of its own."""

    def __get__(self, instance: object, owner: type) -> str:
        return owner.__name__


class AbstractAuthenticationProvider(ABC):
    """Turn the credentials of one mechanism into the user they belong to.

    Subclass it and write :meth:`authenticate`. One provider may be asked by several threads at once.
    """

    #: How the provider is called in rules, identities and logs, unless another name is given where it is
    #: registered.
    name: str = cast(str, _ClassName())

    #: The request headers in which its credentials travel. An ``optional`` method takes a request for anonymous
    #: only if it has none of them.
    credential_headers: tuple[str, ...] = ("Authorization",)

    #: Whether its credentials were issued in exchange for others: a token must not be traded for another token.
    credentials_are_tokens: bool = False

    #: Whether its credentials are good once only, such as a Kerberos ticket: about a request it is never asked twice.
    one_time: bool = False

    #: Whether the users that it answers with are those of the API's userstore, where there is one. It does not count
    #: for a subclass that overrides :meth:`authenticate`, unless its own body says it.
    uses_api_userstore: bool = False

    #: Whether it answers with accounts of others, of which it knows the origin because it has looked them up there.
    looks_up_accounts: bool = False

    @abstractmethod
    def authenticate(self, request: Request, userstore: AbstractUserstore | None) -> UserModel | Identity | None:
        """Return who sent ``request``.

        :param request: the request, of which the environ and headers tell the credentials
        :param userstore: the users of this API; ``None`` where it has none
        :returns: a user, or an :class:`~flask_securest.Identity` where there is more to say (scopes, an expiry); or
            ``None`` if the request has no credentials of this mechanism, in which case no store was asked. Anything
            else (``True``, a name) is a bug and refused with a 500. Whether the account is active is looked at by
            the chain.
        :raises BadCredentialsError: there are credentials of this mechanism, and they are wrong: the next is asked
        :raises ExpiredCredentialsError: they were right once: the next is asked
        :raises AccountStatusError: they are right, but the account may not be used: nobody else is asked, 401
        :raises BackendError: it cannot be told now: the next is asked; if nobody succeeds, 503
        :raises ~werkzeug.exceptions.HTTPException: of 400 or more: a refusal in your own words; nobody else is asked
        :raises Exception: anything else is a bug: nobody else is asked, 500, logged
        """

    def challenge(self, realm: str, error: str | None = None) -> str | Sequence[str] | None:
        """Return the value of ``WWW-Authenticate`` that asks for these credentials (RFC 9110, section 11.6.1).

        :param realm: the protected realm
        :param error: an error code of RFC 6750, section 3.1, where the request carried a bearer token; for
            providers of other schemes it means nothing
        :returns: the challenge, see :func:`~flask_securest.authentication_providers.headers.format_challenge`; a list
            where there are several, such as one for each algorithm; ``None``, the default, for none
        """
        return None

    def account_of(self, request: Request) -> str | None:
        """Return the name that a request tries, before anything is verified; ``None``, the default, for none.

        :param request: the request
        """
        return None

    def find_user(self, username: str, issuer: str | None = None) -> UserModel | None:
        """Return a user of this provider as it is now, for a token or a key that belongs to it.

        Write it if the provider has users of its own: without it, its callers can have no tokens. By default the user
        is looked up in ``self.userstore``, if there is one.

        :param username: the name
        :param issuer: which of the provider's issuers the user is of, if its identities have the origin ``name:issuer``
        :returns: the user; ``None`` if there is none, or not any more
        :raises BackendError: it cannot be told now
        """
        own = getattr(self, "userstore", None)
        return own.get_user(username) if issuer is None and isinstance(own, AbstractUserstore) else None

    def connect(self, accounts: Any) -> None:  # noqa: B027  # a hook, not a duty
        """Take note of where accounts live, when a ``SecuREST`` object is going to ask this provider.

        :param accounts: an :class:`~flask_securest.accounts.Accounts`
        :raises ConfigurationError: it serves another one already, which cannot be brought together with this one
        """

    def takes_bearer_token(self, token: bytes) -> bool:
        """Return whether a bearer token is written as those of this provider are; by default it is.

        It decides whether a 401 says ``error="invalid_token"`` in the challenge of this provider.

        :param token: the token as it was sent
        """
        return True

    def check_configuration(self, userstore: AbstractUserstore | None) -> None:  # noqa: B027  # a hook, not a duty
        """Raise if this provider could never work: then every request it should guard is refused with a 500.

        :param userstore: the users of this API; ``None`` where it has none
        :raises ConfigurationError: says what is missing; the default implementation finds nothing
        """
