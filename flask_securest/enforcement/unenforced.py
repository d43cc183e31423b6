"""Find rules that nobody enforces: on plain views, and on Resources of Apis that are not attached."""

from __future__ import annotations

import functools
from types import FunctionType
from typing import Any

from ..rules.members import look_inside, members_of
from ..rules.statements import COPIED_FROM, Access, get_statement
from .guard import ApiGuard

_MOST_ORIGINS = 100


def find_unenforced_rule(endpoint: str, function: Any, view_class: type | None) -> str | None:
    """Return what is wrong with a view that no guard reaches, or ``None`` if nothing is.

    ``public`` may stand there: it asks for nothing.

    :param endpoint: the endpoint
    :param function: the view function
    :param view_class: its class, if it has one
    """
    carriers = [(f"the view {endpoint!r}", function)]
    if type(function) is functools.partial:
        carriers.append((f"the view {endpoint!r}", function.func))
    elif type(function) is not FunctionType:
        carriers += [(type(function).__qualname__, each) for each in (type(function), type(function).__call__)]
    for owner in view_class.__mro__ if view_class is not None else ():
        carriers.append((owner.__qualname__, owner))
        for member, each in members_of(owner):
            carriers += [(f"{owner.__qualname__}.{member}", inside.carrier) for inside in look_inside(each)]
    for name, carrier in carriers:
        statement = get_statement(carrier)
        if statement.closes() or statement.access is Access.OPTIONAL:
            return (
                f"{name} has a rule, and nobody enforces it at the endpoint {endpoint!r}: decorate the function or the "
                "class with securest.protect, attach its Api, or guard every Api by SecuREST(app)"
            )
    return None


def _origins_of(function: Any) -> list[Any]:
    """Return what a function has been made of, as far as it tells: what it wraps, or is a copy of.

    :param function: the function
    """
    found: list[Any] = []
    while len(found) < _MOST_ORIGINS:
        marks = getattr(function, "__dict__", {})
        function = marks.get(COPIED_FROM) or marks.get("__wrapped__")
        if function is None:
            break
        found.append(function)
    return found


def find_lost_protection(function: Any, guards: list[ApiGuard]) -> str | None:
    """Return what is wrong with a view function that is open, while what was made of it is protected.

    :param function: the function
    :param guards: who guards the application
    """
    for protection in (each for guard in guards for each in list(guard.protections)):
        if not protection.registered and function in _origins_of(protection.function):
            name = getattr(function, "__qualname__", repr(function))
            return (
                f"what securest.protect guards of {name} is not what is registered: put protect right below or right "
                "above @app.route, without another decorator in between"
            )
    return None
