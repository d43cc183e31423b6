"""Find rules that nobody enforces: on plain views, and on Resources of Apis that are not attached."""

from __future__ import annotations

import functools
from types import FunctionType
from typing import Any

from ..rules.members import look_inside, members_of
from ..rules.statements import Access, get_statement


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
