"""Find out where a view function comes from: which Api has made it, of which class, and who guards it already."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from types import CodeType, FunctionType, MethodType
from typing import Any

from flask import Flask
from flask.views import View
from flask_restful import Api, Resource
from werkzeug.local import LocalProxy

from ..rules.functions import ProtectedFunction
from ..rules.statements import PROTECTION_MARK, SILENCE, get_statement
from .guard import GuardedView
from .protecting import Protection, is_protecting
from .wrapper import VIEW_MARK, is_wrapper

#: On what the ``output`` of an attached Api has returned: the Api.
API_MARK = "__flask_securest_api__"

#: At most so many functions are looked at: real views have a handful of decorators.
_MOST_FUNCTIONS = 500


@dataclass
class Trace:
    """Hold where a view function comes from, as far as it tells.

    :param view_class: its View class, as the function itself says
    :param api: the Api that has made it, as the function itself says, or what ``functools.wraps`` says that it wraps
    :param apis: all Apis that have made something of what it calls
    :param protection: that of ``securest.protect``, as the function itself says
    :param inner: the classes and functions behind what it calls
    :param unguarded: those of them that are View classes, and that no guard of ours stands in front of
    :param outputs: what it calls of an Api's ``output`` that is guarded there
    :param has_lost_rule: whether there is a rule on what decorates a view that is made of a View class
    :param is_cut: whether it is no plain function, and calls more than can be looked at
    """

    view_class: type | None = None
    api: Api | None = None
    apis: list[Api] = field(default_factory=list)
    protection: Protection | None = None
    inner: list[object] = field(default_factory=list)
    unguarded: list[type] = field(default_factory=list)
    outputs: list[Protection] = field(default_factory=list)
    has_lost_rule: bool = False
    is_cut: bool = False

    @property
    def resource_class(self) -> type | None:
        """Return the Resource class that it leads to, without a guard in front."""
        classes = self.unguarded if self.view_class is None else [self.view_class]
        return next((each for each in classes if issubclass(each, Resource)), None)


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
    protection = getattr(function, "__dict__", {}).get(PROTECTION_MARK)
    found.protection = protection if isinstance(protection, Protection) else None
    wrapped = {id(each) for each in _wrapped_by(function)}
    seen = list(_functions_behind(function))
    found.is_cut = len(seen) >= _MOST_FUNCTIONS and type(function) is not FunctionType
    for each in seen:
        api = _read(each, found)
        if api is not None:
            found.apis.append(api)
            if found.api is None and id(each) in wrapped:
                found.api = api
    protections = found.outputs if found.view_class is None else [*found.outputs, found.protection]
    inside = (_functions_behind(each.function) for each in protections if each is not None)
    found.has_lost_rule = any(map(_is_ruled, chain(seen, *inside)))
    return found


def _is_ruled(function: Any) -> bool:
    """Return whether there is a rule on a function that calls what has been made of a View class."""
    if get_statement(function) is SILENCE or is_protecting(function):
        return False
    return any(
        _has_code_of(each, View.as_view) or (is_protecting(each) and each.__dict__[PROTECTION_MARK].api is not None)
        for each in _functions_behind(function)
    )


def _read(function: Any, found: Trace) -> Api | None:
    """Take down what one function says, and return the Api that has made it."""
    marks = getattr(function, "__dict__", {})
    if is_wrapper(function):
        view: GuardedView = marks[VIEW_MARK]
        found.inner.append(identity_of(view.resource))
        # If functools.wraps has made it the same view, it is of the same Api.
        return view.api if found.view_class is not None and found.view_class is view.resource else None
    view_class = marks.get("view_class")
    if is_protecting(function):
        protection: Protection = marks[PROTECTION_MARK]
        found.inner.append(protection.function if view_class is None else view_class)
        if protection.api is not None:
            found.outputs.append(protection)
        return protection.api
    if isinstance(view_class, type):
        found.inner.append(view_class)
        if VIEW_MARK not in marks and PROTECTION_MARK not in marks:
            found.unguarded.append(view_class)
    return _api_of(function)


def identity_of(resource: object) -> object:
    """Return what two views have in common that are of the same class or function.

    :param resource: what a view is of
    """
    return resource.function if isinstance(resource, ProtectedFunction) else resource


def _wrapped_by(function: Any) -> Iterator[Any]:
    """Yield a function, and what ``functools.wraps`` says that it wraps, the nearest first."""
    for _ in range(_MOST_FUNCTIONS):
        yield function
        if is_wrapper(function) or not hasattr(function, "__wrapped__"):
            return
        function = function.__wrapped__


def is_bare(function: Any) -> bool:
    """Return whether a view function is what Flask-RESTful makes of a class, without any decorator.

    :param function: the view function, without guards of ours
    """
    view = _cells_by_name(function).get("resource") if _has_code_of(function, Api.output) else None
    return _has_code_of(view, View.as_view) and not getattr(getattr(view, "view_class", None), "decorators", True)


def _has_code_of(function: Any, maker: Any) -> bool:
    """Return whether a function has been made in another one."""
    return type(function) is FunctionType and function.__code__ in maker.__code__.co_consts


def _cells_by_name(function: FunctionType) -> dict[str, Any]:
    return dict(zip(function.__code__.co_freevars, _cells_of(function), strict=False))


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
            waiting += [other for other in _references_of(each) if _is_followed(other)]


def _is_followed(found: Any) -> bool:
    """Return whether something may be a view function, or be put around one. Only its type is asked, for proxies."""
    kind = type(found)
    if kind in (FunctionType, MethodType, functools.partial):
        return True
    if issubclass(kind, (Flask, LocalProxy, type)):
        return False
    return any(isinstance(vars(owner).get("__call__"), FunctionType) for owner in kind.__mro__)


def _references_of(function: Any) -> Iterator[Any]:
    yield getattr(function, "__wrapped__", None)
    if isinstance(function, FunctionType):
        yield from _cells_of(function)
        yield from function.__defaults__ or ()
        yield from (function.__kwdefaults__ or {}).values()
    elif isinstance(function, MethodType):
        yield function.__func__
        yield from getattr(function.__self__, "__dict__", {}).values()
    elif isinstance(function, functools.partial):
        yield function.func
        yield from function.args
        yield from function.keywords.values()
    else:  # an object that can be called, such as a decorator
        yield from getattr(function, "__dict__", {}).values()
        for name in getattr(type(function), "__slots__", ()):
            yield getattr(function, name, None)


def _cells_of(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # it is empty yet
            yield cell.cell_contents


def _api_of(function: Any) -> Api | None:
    """Return the Api whose ``output`` has made a function, be it before the Api was attached."""
    api: Api | None = getattr(function, "__dict__", {}).get(API_MARK)
    if api is not None or not isinstance(function, FunctionType):
        return api
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):
            found = cell.cell_contents
            # Not whatever refers to an Api, and not another one than the ``self`` of that method.
            if isinstance(found, Api) and (name, function.__code__) in _codes_of_output(type(found)):
                return found
    return None


def _codes_of_output(api_class: type[Api]) -> Iterator[tuple[str, CodeType]]:
    """Yield the code of what the ``output`` methods of a class of Apis make, and how those call the Api."""
    for owner in api_class.__mro__:
        code = getattr(vars(owner).get("output"), "__code__", None)
        if code is not None:
            yield from ((code.co_varnames[0], each) for each in code.co_consts if isinstance(each, CodeType))
