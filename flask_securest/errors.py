"""Every error of flask_securest, in one tree.

.. code-block:: text

    SecuRESTError
    ├── ConfigurationError              the developer's: raised at set-up, or 500 at the first request
    │   └── MissingDependencyError      also an ImportError; its text is the pip command to run
    ├── AuthenticationError             these credentials are mine, and they are wrong; raised in a view, answers 401
    │   ├── BadCredentialsError
    │   │   └── ExpiredCredentialsError they were right once
    │   └── AccountStatusError          right credentials, but the account may not be used
    ├── AuthorizationError              known, but not allowed: raised in a view, answers 403
    └── BackendError                    cannot know now: a directory, database or key server is down

What the chain does with each of them stands in :mod:`flask_securest.decision.answers`. The messages of these
errors are for the log alone; a client is never told them.
"""

from __future__ import annotations

from collections.abc import Sequence


class SecuRESTError(Exception):
    """Be the base of all errors of this package."""


class ConfigurationError(SecuRESTError):
    """Say that the application has been set up in a way that cannot be guarded.

    The message names the argument, its value, and what was expected.
    """


class MissingDependencyError(ConfigurationError, ImportError):
    """Say which optional library is missing, with the command that installs it.

    :param feature: the class or function that needs it, as the developer wrote it
    :param extra: the extra of this package that brings it, for example ``"ldap"``
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f'{feature} needs a library that is not installed: pip install "flask_securest[{extra}]"')
        self.feature = feature
        self.extra = extra

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """Return how it is made again, for whoever copies or pickles it."""
        return type(self), (self.feature, self.extra)


class AuthenticationError(SecuRESTError):
    """Say that the request carries credentials of this provider, and that they are wrong.

    Raised in a view it answers 401, with the challenges of the view's chain.

    :param challenge: takes the place of the provider's own challenge in the answer to this request, for example one
        with ``stale=true`` (RFC 7616, section 3.3); one challenge, or a list of them
    :param account: the name of the account that was tried, for the log; never a password
    """

    def __init__(
        self, *message: object, challenge: str | Sequence[str] | None = None, account: str | None = None
    ) -> None:
        super().__init__(*message)
        self.challenge = challenge
        self.account = account


class BadCredentialsError(AuthenticationError):
    """Say that the credentials are malformed, forged, unknown, or do not match."""


class ExpiredCredentialsError(BadCredentialsError):
    """Say that the credentials were right, and that their time is over."""


class AccountStatusError(AuthenticationError):
    """Say that the credentials are right, and that the account is disabled, locked or expired.

    It ends the chain: another provider must not let in whom this one has recognised and refused.
    """


class AuthorizationError(SecuRESTError):
    """Say that the caller is known and may not do this. Raised in a view it answers 403."""


class BackendError(SecuRESTError):
    """Say that the question cannot be answered now, for a back end is down or too slow.

    :param message: what failed, for the log
    :param retry_after: after how many seconds it is worth trying again, if that is known
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
