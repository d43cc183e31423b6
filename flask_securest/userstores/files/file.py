"""Users from a YAML or JSON file, of which changes are noticed while the application runs.

.. code-block:: yaml

    users:
      - username: alice
        password: $argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA
        groups: [staff]
      - username: bob
        active: false
    groups:
      - name: staff
        roles: [admin]
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Any

from ...errors import ConfigurationError, MissingDependencyError
from ...models import User, UserModel
from ..abstract import AbstractUserstore
from ..mapping import read_users
from .formats import decode, read_json, read_yaml
from .watched_file import RejectedFileError, WatchedFile, require_path

#: What looks like a hash in the wrong place: ``active: $argon2id$...``, or anything long without a space.
_SECRET = re.compile(r"(?:\$|\{[A-Za-z0-9-]{2,}\})[^\s'\"]{3,}|[^\s'\"]{40,}")


class FileUserstore(AbstractUserstore):
    """Keep users in a YAML or JSON file, in the form of :class:`~flask_securest.userstores.SimpleUserstore`.

    The file is looked at once a second at most, when a user is asked for. A new version of it is in force as a whole;
    one that is broken, half-written or gone is reported once, in the log and by the signal
    ``userstore_file_rejected``, and the last good one stays in force. Replace the file by a rename: what is written in
    place may be seen while it is still too short.

    YAML is read without aliases (``*name``), and neither format may have a key twice in one mapping. Let nobody read
    the file but the application: it holds hashes. One that every local user can write is refused.

    :param path: the file; its name ends with ``.yaml``, ``.yml`` or ``.json``
    :raises ConfigurationError: another name, a file that cannot be read, or an entry that cannot be; the message names
        the line and the column, or the entry
    :raises MissingDependencyError: PyYAML is not installed, for a YAML file
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = WatchedFile(path, _reader_for(require_path(path)), sender=self)

    def get_user(self, identifier: str) -> UserModel | None:
        """Return the user with this name."""
        return self._file.read().get(identifier)

    def list_users(self) -> Iterator[UserModel]:
        """Yield all users, sorted by name."""
        yield from sorted(self._file.read().values(), key=lambda user: user.username)


def _reader_for(path: str) -> Callable[[bytes], dict[str, User]]:
    """Return what makes users from the bytes of a file.

    :raises ConfigurationError: by its name it is neither YAML nor JSON
    """
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122  # it is a string already
    if suffix == ".json":
        return lambda data: _find_users(read_json(decode(data)))
    if suffix not in (".yaml", ".yml"):
        raise ConfigurationError(f"the file of a FileUserstore must be called *.yaml, *.yml or *.json; it is {path!r}")
    try:
        import yaml  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise MissingDependencyError("FileUserstore of a YAML file", "yaml") from None
    return lambda data: _find_users(read_yaml(decode(data), yaml))


def _find_users(document: Any) -> dict[str, User]:
    reason = ""
    try:
        return read_users(document, where="the file")
    except ConfigurationError as error:
        reason = str(error)
    # A message quotes what stands in a wrong place, which may be a hash.
    raise RejectedFileError(_SECRET.sub("(hidden)", reason))
