"""API keys in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from .abstract import AbstractWritableKeystore
from .models import ApiKey, KeyUse


class SimpleKeystore(AbstractWritableKeystore):
    """Keep API keys in memory, in one process: for tests, and for keys that an application adds when it starts."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._keys: dict[str, ApiKey] = {}
        self._writing = threading.Lock()

    def get_key(self, key_id: str) -> ApiKey | None:
        """Return the key with this id."""
        return self._keys.get(key_id)

    def add_keys(self, keys: Iterable[ApiKey]) -> int:
        """Add keys: all, or none of them."""
        added: dict[str, ApiKey] = {}
        with self._writing:
            for key in keys:
                if key.id in self._keys or key.id in added:
                    raise ValueError(f"there is a key {key.id!r} already")
                added[key.id] = key
            self._keys.update(added)
        return len(added)

    def replace_key(self, key: ApiKey, *, expected: ApiKey) -> bool:
        """Replace a key, unless somebody else has changed it meanwhile."""
        with self._writing:
            known = self._keys.get(key.id)
            if known is None or _without_uses(known) != _without_uses(expected):
                return False
            self._keys[key.id] = replace(
                key, last_used_at=known.last_used_at, former_last_used_at=known.former_last_used_at
            )
        return True

    def list_keys(self) -> Iterator[ApiKey]:
        """Yield all keys, the oldest first."""
        yield from sorted(self._keys.values(), key=lambda key: (key.created_at, key.id))

    def record_uses(self, uses: Mapping[KeyUse, datetime]) -> None:
        """Write down when keys were last used."""
        with self._writing:
            for (key_id, former), used_at in uses.items():
                known = self._keys.get(key_id)
                if known is not None and former:
                    self._keys[key_id] = replace(known, former_last_used_at=used_at)
                elif known is not None:
                    self._keys[key_id] = replace(known, last_used_at=used_at)


def _without_uses(key: ApiKey) -> ApiKey:
    return replace(key, last_used_at=None, former_last_used_at=None)
