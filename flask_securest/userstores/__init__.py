"""Where users live. Stores that need a library of their own are imported from their modules."""

from .abstract import AbstractUserstore, AbstractVerifyingUserstore, AbstractWritableUserstore
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
