"""The contract of authentication: one class, one method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from werkzeug.wrappers import Request

from ..accounts.sources import AccountSource
from ..identity import Identity
from ..models import UserModel
from ..userstores.abstract import AbstractUserstore


class AbstractAuthenticationProvider(AccountSource, ABC):
    """Turn the credentials of one mechanism into the user they belong to.

    Subclass it and write :meth:`authenticate`. One provider may be asked by several threads at once.
    """

    #: The request headers in which its credentials travel. An ``optional`` method takes a request for anonymous
    #: only if it has none of them.
    credential_headers: tuple[str, ...] = ("Authorization",)

    #: Whether its credentials were issued in exchange for others: a token must not be traded for another token.
    credentials_are_tokens: bool = False

    #: Whether its credentials are good once only, such as a Kerberos ticket: about a request it is never asked twice.
    one_time: bool = False

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
        :returns: the challenge, see :func:`~flask_securest.protocols.http.headers.format_challenge`; a list
            where there are several, such as one for each algorithm; ``None``, the default, for none
        """
        return None

    def account_of(self, request: Request) -> str | None:
        """Return the name that a request tries, before anything is verified; ``None``, the default, for none.

        :param request: the request
        """
        return None

    def takes_bearer_token(self, token: bytes) -> bool:
        """Return whether a bearer token is written as those of this provider are; by default it is.

        It decides whether a 401 says ``error="invalid_token"`` in the challenge of this provider.

        :param token: the token as it was sent
        """
        return True

    def check_configuration(self, userstore: AbstractUserstore | None) -> None:  # a hook, not a duty
        """Raise if this provider could never work: then every request it should guard is refused with a 500.

        :param userstore: the users of this API; ``None`` where it has none
        :raises ConfigurationError: says what is missing; the default implementation finds nothing
        """
