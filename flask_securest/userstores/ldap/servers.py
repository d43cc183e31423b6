"""How one LDAP server is reached."""

from __future__ import annotations

from dataclasses import dataclass


class UnreachableError(Exception):
    """Say that a server has given no answer that could be used; another one may. It never leaves the directory."""


@dataclass
class Server:
    """Hold how one server is reached, and until when (``monotonic``) it counts as down."""

    url: str
    host: str
    port: int
    start_tls: bool
    encrypted: bool
    down_until: float = 0.0
