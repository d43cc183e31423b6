"""Find out where a view function comes from: which Api has made it, of which class, and who guards it already."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import CodeType, FunctionType, MethodType
from typing import Any

from flask.views import View
from flask_restful import Api

from .gate import VIEW_MARK, is_wrapper
from .guard import GuardedView
from .protecting import PROTECTION_MARK, Protection, is_protecting

#: On what the ``output`` of an attached Api has returned: the Api.
API_MARK = "__flask_securest_api__"

#: At most so many functions are looked at: real views have a handful of decorators.
_MOST_FUNCTIONS = 200


@dataclass
class Trace:
    """Hold where a view function comes from, as far as it tells.

    :param view_class: its View class, as the function itself says
    :param api: the Api that has made it, or what it calls
    :param protection: that of ``securest.protect``, as the function itself says
    :param inner: the classes and functions behind what it calls
    """

    view_class: type | None = None
    api: Api | None = None
    protection: Protection | None = None
    inner: list[object] = field(default_factory=list)


def trace(function: Any) -> Trace:
    """Return where a view function comes from.

    What it calls is looked for in what ``functools.wraps`` leaves on it, in its closure, and in its defaults: so
    decorators that lose everything else are seen through. It ends where a guard of ours stands: what is behind that is
    closed already.

    :param function: the view function, without our own wrapper around it
    """
    view_class = getattr(function, "view_class", None)
    found = Trace(view_class if isinstance(view_class, type) and issubclass(view_class, View) else None)
    # Not of what it calls: that is guarded where it is called, and a page that calls it may well be public.
    found.protection = getattr(function, "__dict__", {}).get(PROTECTION_MARK)
    for each in _functions_behind(function):
        marks = getattr(each, "__dict__", {})
        view: GuardedView | None = marks.get(VIEW_MARK)
        if is_wrapper(each) or is_protecting(each):
            if view is not None:
                found.inner.append(view.resource)
                if found.view_class is not None and found.view_class is view.resource:
                    found.api = found.api or view.api  # functools.wraps has made it the same view
            continue
        found.api = found.api or _api_of(each)
        if "view_class" in marks:
            found.inner.append(marks["view_class"])
    return found


def _functions_behind(function: Any) -> Iterator[Any]:
    """Yield a function and those that it calls, as far as can be seen, the nearest first."""
    waiting, seen = [function], set[int]()
    while waiting and len(seen) < _MOST_FUNCTIONS:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if not (is_wrapper(each) or is_protecting(each)):
            waiting += [other for other in _references_of(each) if isinstance(other, _FOLLOWED)]


_FOLLOWED = (FunctionType, MethodType, functools.partial)


def _references_of(function: Any) -> Iterator[Any]:
    yield getattr(function, "__wrapped__", None)
    if isinstance(function, FunctionType):
        yield from _cells_of(function)
        yield from function.__defaults__ or ()
        yield from (function.__kwdefaults__ or {}).values()
    elif isinstance(function, MethodType):
        yield function.__func__
    elif isinstance(function, functools.partial):
        yield function.func
        yield from function.args
        yield from function.keywords.values()
    else:
        yield from getattr(function, "__dict__", {}).values()  # an object that can be called, such as a decorator


def _cells_of(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # it is empty yet
            yield cell.cell_contents


def _api_of(function: Any) -> Api | None:
    """Return the Api whose ``output`` has made a function, be it before the Api was attached."""
    api: Api | None = getattr(function, "__dict__", {}).get(API_MARK)
    if api is None and isinstance(function, FunctionType):
        for found in _cells_of(function):
            # Not whatever refers to an Api: a decorator may know another one.
            if isinstance(found, Api) and function.__code__ in _codes_of_output(type(found)):
                return found
    return api


def _codes_of_output(api_class: type[Api]) -> Iterator[CodeType]:
    """Yield the code of the functions that are made in the ``output`` methods of a class of Apis."""
    for owner in api_class.__mro__:
        code = getattr(vars(owner).get("output"), "__code__", None)
        if code is not None:
            yield from (constant for constant in code.co_consts if isinstance(constant, CodeType))
