"""The contract of authorization: one question, whether this caller may do this."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..identity import Identity


@dataclass(frozen=True, slots=True)
class Decision:
    """Hold the answer of authorization, with its reason. A refusal is false.

    :param allowed: the answer
    :param reason: why, for the log alone
    :param insufficient_scope: whether a credential with more scopes would have been allowed (RFC 6750, section 3.1)
    :raises TypeError: ``allowed`` is not a ``bool``
    """

    allowed: bool
    reason: str = ""
    insufficient_scope: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what merely looks like a yes, such as a list of roles that happens not to be empty."""
        if not isinstance(self.allowed, bool):
            raise TypeError(f"Decision.allowed must be True or False, not {self.allowed!r}")

    def __bool__(self) -> bool:
        """Return whether it is allowed."""
        return self.allowed


@dataclass(frozen=True, slots=True)
class Target:
    """Hold what a caller wants to use.

    :param resource: the Resource class, or what ``securest.protect`` guards: a View class or a function
    :param verb: the request's method, in upper case
    :param endpoint: the endpoint as the application knows it
    """

    resource: type | Callable[..., Any]
    verb: str
    endpoint: str


class AbstractAuthorizationProvider(ABC):
    """Decide for a whole API what a verified caller may do, beyond what each rule asks for.

    It is asked after the rule's own ``require`` is met, and about verified callers alone: neither for a
    ``public`` method nor for the anonymous caller of an ``optional`` one, which their own rules have opened.
    """

    @abstractmethod
    def authorize(self, identity: Identity, target: Target) -> Decision:
        """Return whether ``identity`` may use ``target``.

        :returns: a :class:`Decision`; any other answer is a bug, and refused with a 500
        :raises AuthorizationError: the same as a :class:`Decision` that refuses
        :raises BackendError: it cannot be told now: the client gets a 503
        """
