"""Whether the tables of a store have been upgraded yet."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Connection

#: For how long tables that have not been upgraded are not looked at again, in seconds.
_BETWEEN_LOOKS = 10.0


class Upgraded:
    """Remember whether tables have been upgraded: that is looked up until they are, and they are never changed back.

    :param look: returns whether they have been
    """

    def __init__(self, look: Callable[[Connection], bool]) -> None:
        self._look = look
        self._is_upgraded = False
        self._looked_at = -_BETWEEN_LOOKS

    def seen(self, connection: Connection, *, again: bool = False) -> bool:
        """Return whether they have been upgraded.

        :param connection: where they are
        :param again: whether to look even if that has just been done
        """
        if not self._is_upgraded and (again or time.monotonic() - self._looked_at >= _BETWEEN_LOOKS):
            self._is_upgraded = self._look(connection)
            self._looked_at = time.monotonic()
        return self._is_upgraded
