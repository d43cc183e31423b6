"""What a rule asks of a verified caller: roles and scopes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..authorization_providers.abstract import Decision
from ..identity import Identity


@dataclass(frozen=True, slots=True)
class Requirement:
    """Hold what a verified caller must have.

    :param roles: all of these roles
    :param any_role: of each of these sets at least one role
    :param scopes: all of these scopes
    :param any_scope: of each of these sets at least one scope
    """

    roles: frozenset[str] = frozenset()
    any_role: frozenset[frozenset[str]] = frozenset()
    scopes: frozenset[str] = frozenset()
    any_scope: frozenset[frozenset[str]] = frozenset()

    def __and__(self, other: Requirement) -> Requirement:
        """Return the requirement that asks for both."""
        return Requirement(
            self.roles | other.roles,
            self.any_role | other.any_role,
            self.scopes | other.scopes,
            self.any_scope | other.any_scope,
        )

    def __bool__(self) -> bool:
        """Return whether anything is asked for."""
        return self != NO_REQUIREMENT

    def __str__(self) -> str:
        """Return it in words: ``role 'admin' and scope 'read' or 'write'``."""
        needed = [("role", {name}) for name in sorted(self.roles)] + [("role", set(names)) for names in self.any_role]
        needed += [("scope", {name}) for name in sorted(self.scopes)]
        needed += [("scope", set(names)) for names in self.any_scope]
        return " and ".join(f"{kind} {' or '.join(map(repr, sorted(names)))}" for kind, names in needed)

    def decide(self, identity: Identity) -> Decision:
        """Return whether ``identity`` has what is asked for.

        Credentials without scopes (``scopes=None``) are not limited to scopes, and have all of them.
        """
        missing = _find_missing(self.roles, self.any_role, identity.user.roles)
        if missing:
            return Decision(False, f"the role {missing} is missing")
        if identity.scopes is not None:
            missing = _find_missing(self.scopes, self.any_scope, identity.scopes)
            if missing:
                return Decision(False, f"the scope {missing} is missing", insufficient_scope=True)
        return _ALLOWED


def _find_missing(needed: frozenset[str], any_needed: frozenset[frozenset[str]], held: Iterable[str]) -> str:
    """Return the first name that is needed and not held, as a text for the log; empty if there is none.

    :raises TypeError: what are held are no names but, for example, rows of an ORM, among which none is ever found
    """
    held = frozenset(held)
    missing = next((repr(name) for name in sorted(needed - held)), "")
    if not missing:
        lacking = (names for names in any_needed if held.isdisjoint(names))
        missing = next((" or ".join(map(repr, sorted(names))) for names in lacking), "")
    if missing and not all(isinstance(name, str) for name in held):
        raise TypeError(
            f"roles and scopes must be names; there are {', '.join({type(name).__name__ for name in held})}"
        )
    return missing


_ALLOWED = Decision(True)
NO_REQUIREMENT = Requirement()
