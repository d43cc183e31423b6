"""Remember in a class body which rules have been written in it, so that none is lost on its way into the class.

A decorator that stands above a rule may hide it: one without ``functools.wraps``, or a descriptor. What the class has
in the end does not tell that there was one. The body's own namespace does: it is that of this very class, also where
one ``class`` statement makes many.
"""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Iterator
from inspect import CO_NEWLOCALS, CO_OPTIMIZED
from types import FrameType
from typing import Any

from .statements import Statement

#: What code is called that runs in a class body and has a frame of its own.
_IN_PLACE = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<module>"})

#: In a class body: the rules that have been written in it.
_WRITTEN = "__flask_securest_written__"


#: In which bodies an object was opened: that is not for the class from which the object was borrowed.
_BODIES: weakref.WeakKeyDictionary[Any, list[list[Written]]] = weakref.WeakKeyDictionary()


class Written:
    """Hold one rule that was written in a class body.

    :param target: what it was written on
    :param statement: what is said there
    :param name: under which name the body defines it; ``None`` if it is defined elsewhere
    """

    __slots__ = ("_target", "name", "statement")

    def __init__(self, target: object, statement: Statement, name: str | None) -> None:
        self.name = name
        self.put_on(target, statement)

    def put_on(self, target: object, statement: Statement) -> None:
        """Take note that another rule was added, on the same object or on a copy of it.

        :param target: the object that has both
        :param statement: what is said there now
        """
        self.statement = statement
        self._target: Any
        try:
            # What nothing else refers to any more cannot run: it has been deleted, or replaced.
            self._target = weakref.ref(target)
        except TypeError:
            self._target = lambda: target

    @property
    def target(self) -> object | None:
        """Return what it was written on; ``None`` if that is gone."""
        found: object | None = self._target()
        return found


class Body(list[Written]):
    """Hold the rules that were written in one class body."""

    def __init__(self) -> None:
        super().__init__()
        self._owners: list[weakref.ref[type]] = []

    def __set_name__(self, owner: type, name: str) -> None:
        """Take note of the class, as Python tells each of its members when it is made."""
        self._owners.append(weakref.ref(owner))
        _MADE.append(self._owners[-1])

    def other_owners(self, owner: type) -> list[type]:
        """Return the other classes that have been made of this body, which are copies.

        :param owner: one class
        """
        return [each for each in (owner_() for owner_ in self._owners) if each is not None and each is not owner]


#: What was written in the body of a class without rules.
_NOTHING = Body()

#: The classes with rules that nobody has looked at yet: others may borrow their methods.
_MADE: list[weakref.ref[type]] = []


def take_made() -> list[type]:
    """Return the classes with rules that have been made since this was asked the last time."""
    made, _MADE[:] = [owner() for owner in _MADE], []
    return [owner for owner in made if owner is not None]


def write_down(former: object, target: object, statement: Statement, *, opens: bool) -> None:
    """Remember that a rule was written, if that happens in a class body.

    :param former: what was decorated
    :param target: what has come of it, which may be a copy
    :param statement: what is said there now
    :param opens: whether it is the rule that was just written that opens it
    """
    # Of this package are the decorators themselves.
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
    is_direct = True
    while frame is not None and not _is_class_body(frame):
        # A comprehension, or what the body runs with exec(), is still the body's own text.
        is_direct = is_direct and frame.f_code.co_name in _IN_PLACE
        frame = frame.f_back
    if frame is None:
        return
    body = frame.f_locals
    prefix = f"{body.get('__qualname__', frame.f_code.co_name)}."
    qualname = getattr(former, "__qualname__", "")
    is_own = isinstance(qualname, str) and qualname.startswith(prefix) and "." not in qualname[len(prefix) :]
    # What is decorated by a function that the body calls, such as a factory, need not be meant for this class.
    if not (is_direct or is_own):
        return
    written: Body = body.setdefault(_WRITTEN, Body())
    if opens:
        with contextlib.suppress(TypeError):  # what cannot be referred to weakly, or cannot be hashed
            _BODIES.setdefault(target, []).append(written)
    for each in written:
        if each.target is former:
            each.put_on(target, statement)
            return
    name = qualname[len(prefix) :] if is_own else None
    written.append(Written(target, statement, None if name == "<lambda>" else name))


def is_opened_elsewhere(target: object, owner: type) -> bool:
    """Return whether an object was opened in the body of another class, which has borrowed it.

    :param target: the object
    :param owner: the class
    """
    try:
        bodies = _BODIES.get(target, [])
    except TypeError:
        return False
    return bool(bodies) and all(body is not find_written(owner) for body in bodies)


def find_written(owner: type) -> Body:
    """Return the rules that were written in the body of a class, and not in those of its bases.

    :param owner: the class
    """
    written: Body | None = vars(owner).get(_WRITTEN)
    return _NOTHING if written is None else written


def _is_class_body(frame: FrameType) -> bool:
    # Not by __qualname__ and __module__, which a body may delete. What exec() runs is called like a module.
    is_function = frame.f_code.co_flags & (CO_OPTIMIZED | CO_NEWLOCALS)
    return not is_function and not frame.f_code.co_name.startswith("<")


def iterate_owners(resource: type) -> Iterator[tuple[type, Body]]:
    """Yield the classes of an MRO in whose bodies rules were written.

    :param resource: the class
    """
    if hasattr(resource, _WRITTEN):  # most have none
        for owner in resource.__mro__:
            written = find_written(owner)
            if written:
                yield owner, written
