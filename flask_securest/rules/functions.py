"""The rule of a plain view function, which has no class to look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigurationError
from .members import look_inside
from .requirement import NO_REQUIREMENT
from .resolution import Rule
from .statements import PROTECTION_MARK, SILENCE, Access, get_statement, instance_dict


@dataclass(frozen=True, eq=False)
class ProtectedFunction:
    """Hold a plain view function that is guarded, and what its rules are written on.

    :param function: the function itself
    :param carriers: the function, the guard around it, and what was registered: a decorator above or below another
        leaves its statement on one of them
    :param protection: what ``securest.protect`` knows of it
    """

    function: Callable[..., Any]
    carriers: tuple[object, ...]
    protection: Any

    def refuse_lost_rules(self) -> None:
        """Raise if a rule is where it cannot be in force.

        :raises ConfigurationError: ``public`` or ``optional`` stands above ``@app.route``: what it has made is never
            called; or a decorator hides one
        """
        name = getattr(self.function, "__qualname__", repr(self.function))
        known = {id(each) for each in self.carriers}
        for carrier in (each.carrier for each in look_inside(self.function)):
            is_other_view = PROTECTION_MARK in instance_dict(carrier)
            if get_statement(carrier) is not SILENCE and id(carrier) not in known and not is_other_view:
                raise ConfigurationError(
                    f"the rule on {getattr(carrier, '__qualname__', repr(carrier))} is lost inside of {name}: put it "
                    "on top, or give the decorator that stands above it functools.wraps"
                )
        if any(all(copy is not each for each in self.protection.registered) for copy in self.protection.copies):
            raise ConfigurationError(
                f"public or optional stands above @app.route of {name}: it is not in force, nor is what stands above "
                "it. Put them below"
            )


def resolve_function_rule(protected: ProtectedFunction) -> Rule:
    """Return the rule of a plain view function, which is the same for all verbs.

    :param protected: the function
    :raises ConfigurationError: what is said on it contradicts itself
    """
    name = getattr(protected.function, "__qualname__", repr(protected.function))
    access: Access | None = None
    reason, chain, requirement = None, None, NO_REQUIREMENT
    for statement in map(get_statement, protected.carriers):
        if statement.access not in (None, access) and access is not None:
            raise ConfigurationError(f"{name} cannot be both public and optional")
        if statement.authenticators not in (None, chain) and chain is not None:
            raise ConfigurationError(f"{name} has authenticators twice: write them as one")
        access, reason = access or statement.access, reason or statement.reason
        chain = statement.authenticators if chain is None else chain
        requirement &= statement.requirement
    if access is not Access.PUBLIC:
        return Rule(access or Access.CLOSED, chain, requirement, None, name if access else "default")
    if chain is not None or requirement:
        raise ConfigurationError(f"{name} cannot be public and have require or authenticators as well")
    return Rule(Access.PUBLIC, None, NO_REQUIREMENT, reason, name)
