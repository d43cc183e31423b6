"""What Apis are adding just now: a view that gets in meanwhile is theirs, if it does not tell otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flask_restful import Api, Resource


class Additions:
    """Hold the Apis that are adding a Resource, the innermost last."""

    def __init__(self) -> None:
        self._adding: list[tuple[Api, type | None]] = []

    @contextmanager
    def of(self, api: Api, resource: type | None) -> Iterator[None]:
        """Take Resources that get in meanwhile for those of an Api, if they do not tell otherwise.

        :param api: the Api
        :param resource: the Resource class that it adds, if that is known
        """
        self._adding.append((api, resource))
        try:
            yield
        finally:
            self._adding.pop()

    def find_api(self, view_class: type | None) -> Api | None:
        """Return the Api that is adding a class; plain views that a subclass of Api adds are left alone.

        :param view_class: the class of a view, if it has one
        """
        if not self._adding or view_class is None:
            return None
        api, resource = self._adding[-1]
        return api if view_class is resource or issubclass(view_class, Resource) else None

    def find_resource(self, api: Api | None) -> type | None:
        """Return the class that an Api is adding.

        :param api: the Api
        """
        return self._adding[-1][1] if self._adding and self._adding[-1][0] is api else None
