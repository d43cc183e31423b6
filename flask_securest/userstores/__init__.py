"""Where users live. Stores that need a library of their own are imported from their modules."""

from typing import TYPE_CHECKING

from ..support.lazily import load_lazily
from .abstract import AbstractUserstore, AbstractVerifyingUserstore, AbstractWritableUserstore

if TYPE_CHECKING:
    from .files.file import FileUserstore
    from .files.htpasswd import HtpasswdUserstore
    from .simple import SimpleUserstore

__all__ = [
    "AbstractUserstore",
    "AbstractVerifyingUserstore",
    "AbstractWritableUserstore",
    "FileUserstore",
    "HtpasswdUserstore",
    "SimpleUserstore",
]

__getattr__, __dir__ = load_lazily(
    __name__,
    {
        "AbstractUserstore": "abstract",
        "AbstractVerifyingUserstore": "abstract",
        "AbstractWritableUserstore": "abstract",
        "FileUserstore": "files.file",
        "HtpasswdUserstore": "files.htpasswd",
        "SimpleUserstore": "simple",
    },
)
