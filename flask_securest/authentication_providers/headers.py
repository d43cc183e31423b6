"""Read credentials from headers, and write challenges: what a provider of one's own needs of that."""

from ..protocols.http.headers import (
    MAX_CREDENTIALS_BYTES,
    Token,
    environ_key,
    format_challenge,
    read_authorization,
    read_header,
    to_bytes,
)

__all__ = [
    "MAX_CREDENTIALS_BYTES",
    "Token",
    "environ_key",
    "format_challenge",
    "read_authorization",
    "read_header",
    "to_bytes",
]
