"""Verdicts that are kept with their request: one is asked for again by the other guard, and by inner calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Request

from ..current import STATE
from ..decision.choosing import same_arguments
from ..decision.policy import AnyPolicy
from ..decision.verdict import Verdict

_VERDICTS = "_flask_securest_verdicts"  # on a request: the verdicts on it

#: How many verdicts on inner calls are kept with a request: a batch may have as many as its client likes (CWE-770).
_MOST_VERDICTS = 32

#: Arguments of which a verdict may be kept: none of them refers to the request, which would not be freed.
_SIMPLE = frozenset({str, int, float, bool, UUID, type(None)})


def keep(request: Request, verdict: Verdict, arguments: Mapping[str, Any]) -> None:
    """Keep a verdict with its request, unless there are many, or its arguments may refer to the request.

    :param request: the request
    :param verdict: what has been decided
    :param arguments: the arguments of the view
    """
    verdicts: list[Verdict] = request.__dict__.setdefault(_VERDICTS, [])
    is_short = len(verdicts) < _MOST_VERDICTS and _SIMPLE.issuperset(map(type, arguments.values()))
    if verdict.arguments is not None and verdict not in verdicts and (is_short or not arguments):
        verdicts.append(verdict)


def find_kept(request: Request, policy: AnyPolicy, arguments: Mapping[str, Any]) -> Verdict | None:
    """Return the verdict of a policy for these arguments: the one that is in force, or one that was kept.

    :param request: the request
    :param policy: how the request is decided
    :param arguments: the arguments of the view
    """
    in_force: Any = getattr(request, STATE, None)
    verdicts: list[Verdict] = request.__dict__.get(_VERDICTS, [])
    for verdict in [in_force, *verdicts] if isinstance(in_force, Verdict) else verdicts:
        if verdict.policy is policy and same_arguments(verdict.arguments, arguments):
            return verdict
    return None
