"""What is checked of a server's certificate, and what is shown to it of our own."""

from __future__ import annotations

import os
import ssl
import threading
from typing import NamedTuple

from ...errors import ConfigurationError
from ...support.forks import SharedByThreads
from ...support.logs import get_logger

_log = get_logger(__name__)

#: A PEM file with certificate and key, or one of each.
ClientCertificate = str | os.PathLike[str] | tuple[str | os.PathLike[str], str | os.PathLike[str]]

# How many are kept: whoever needs more has one for each request by mistake.
_MOST_KEPT = 16


class _Kept(NamedTuple):
    """Hold a context, what its files looked like when it was made, and what they looked like when that last failed."""

    context: ssl.SSLContext
    made_of: object
    failed_with: object = None


class _Contexts(SharedByThreads):
    """Hold the contexts that were made, by what they were made of."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str | None, ...], _Kept] = {}
        super().__init__()

    def begin_anew(self) -> None:
        """Wait for nobody. What is kept stays."""
        self.lock = threading.Lock()


_CONTEXTS = _Contexts()


def make_tls_context(
    ca_file: str | os.PathLike[str] | None,
    client_certificate: ClientCertificate | None = None,
    *,
    protocol: str | None = "http/1.1",
) -> ssl.SSLContext:
    """Return what is checked of a server's certificate: that an authority has issued it, for this host, for today.

    Whoever answers without one could make up keys, and would be told passwords (CWE-295, CWE-297).

    The files are read once, and again when they have changed: authorities and certificates are renewed while the
    application runs. One that cannot be read then, because it is just being written, leaves the former one in force.

    :param ca_file: a PEM file with the authorities; ``None`` for the system's
    :param client_certificate: a PEM file with our own certificate and its key, or one of each; ``None`` for none
    :param protocol: what is spoken (RFC 7301), for a server that speaks several; ``None`` to say nothing
    :raises ConfigurationError: one of them cannot be read
    """
    files = _require_paths(ca_file, client_certificate)
    key = (protocol, *files)
    kept_ones = _CONTEXTS.kept
    with _CONTEXTS.lock:
        kept = kept_ones.get(key)
        # The system's authorities take 20 ms to read.
        looks = tuple(map(_look, files if ca_file is not None else (*_find_system_files(), *files[1:])))
        if kept is not None and looks in (kept.made_of, kept.failed_with):
            return kept.context
        try:
            made = _Kept(_make(files, protocol), looks)
            problem = None
        except (OSError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
        if problem is None:
            while len(kept_ones) >= _MOST_KEPT:
                del kept_ones[next(iter(kept_ones))]
            kept_ones[key] = made
            return made.context
        named = " and ".join(repr(each) for each in files if each is not None) or "the system's authorities"
        what = "ca_file" if client_certificate is None else "ca_file, client_certificate"
        told = f"{what}: {named} cannot be read as certificates in PEM: {problem}"
        if kept is None:
            raise ConfigurationError(told)
        kept_ones[key] = kept._replace(failed_with=looks)
    _log.error("%s; what was read before goes on being used", told)
    return kept.context


def _make(files: tuple[str | None, ...], protocol: str | None) -> ssl.SSLContext:
    ca_file, certificate, key = files
    context = ssl.create_default_context(cafile=ca_file)
    # Python leaves the least version to OpenSSL's configuration, which may name none: whoever stands in between could
    # then talk both ends down to TLS 1.0, whose records can be read (CWE-757; RFC 8996). What asks for more stays.
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    if protocol is not None:
        context.set_alpn_protocols([protocol])
    if certificate is not None:
        # An encrypted key would make OpenSSL ask for its password at the terminal, and wait.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    return context


def _require_paths(ca_file: object, client_certificate: object) -> tuple[str | None, ...]:
    """Return the paths of authorities, certificate and key.

    :raises ConfigurationError: what is no path
    """
    pair = client_certificate if isinstance(client_certificate, tuple) else (client_certificate, None)
    if len(pair) != 2 or (pair[0] is None and pair[1] is not None):
        raise ConfigurationError("client_certificate must be the path of a PEM file, or a pair of paths")
    return (_require_path(ca_file, "ca_file"), *(_require_path(each, "client_certificate") for each in pair))


def _require_path(path: object, what: str) -> str | None:
    if path is not None and not isinstance(path, (str, os.PathLike)):
        raise ConfigurationError(f"{what} must be the path of a PEM file, not of type {type(path).__name__}")
    return None if path is None else os.fspath(path)


def _find_system_files() -> tuple[str, ...]:
    paths = ssl.get_default_verify_paths()
    return tuple(path for path in (paths.cafile, paths.capath) if path is not None)


def _look(path: str | None) -> object:
    """Return what tells whether a file has changed."""
    try:
        found = None if path is None else os.stat(path)  # noqa: PTH116  # on the way of each question
    except (OSError, ValueError):
        return None
    return None if found is None else (found.st_ino, found.st_size, found.st_mtime_ns)
