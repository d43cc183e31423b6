"""Proxies in front of the application: which may be believed, and in which headers."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import BadCredentialsError, ConfigurationError
from ...support.checks import require_bool, require_list, require_name
from ..http.headers import environ_key
from .formats import FORMATS, Presented

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Stands for proxies that connect through a Unix domain socket: those have no address. gunicorn says ``""`` then.
UNIX = "unix"


@dataclass(frozen=True)
class ProxyHeaders:
    """Say which headers of which proxies tell of the certificates of TLS clients.

    The proxy has to *set* them on every request, so that what a client sends under these names never arrives.

    :param trusted_proxies: where the proxies connect from: addresses and networks, such as ``["127.0.0.1",
        "10.0.0.0/28"]``, or ``"unix"`` for Unix domain sockets. It is the peer of the socket, before any ``ProxyFix``
    :param format: how they write it: ``"nginx"``, ``"apache"``, ``"haproxy"``, ``"envoy"``, ``"traefik"``,
        ``"aws-alb"``, or ``"rfc9440"`` for ``Client-Cert``
    :param verify: the header that says whether a certificate was verified, where it has another name than there
    :param subject: the one with the subject (RFC 4514); without a certificate it is missing or empty
    :param certificate: the one with the certificate; without one it is missing or empty. ``""`` if the proxy passes
        none on
    :param single_header: whether the subject is read from its header, instead of from the certificate. Only for a
        proxy that sets it, and never adds to it: of ``CN=mallory,O=Example`` and ``UID=alice`` a server makes one
        subject, and nobody can tell.
    :raises ConfigurationError: what is no network, a network of everybody, what is no header, or none of this format
    """

    trusted_proxies: Iterable[str]
    format: str = "nginx"
    verify: str | None = None
    subject: str | None = None
    certificate: str | None = None
    single_header: bool = False
    _networks: tuple[_Network, ...] = field(init=False, repr=False)
    _headers: Mapping[str, str] = field(init=False, repr=False)
    _keys: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check every argument."""
        proxies = tuple(require_list(self.trusted_proxies, "trusted_proxies"))
        if not proxies:
            raise ConfigurationError("trusted_proxies must name a proxy: without one, no header can be believed")
        object.__setattr__(self, "trusted_proxies", proxies)
        object.__setattr__(self, "_networks", tuple(_read_network(proxy) for proxy in proxies if proxy != UNIX))
        if self.format not in FORMATS:
            raise ConfigurationError(f"format must be one of {', '.join(FORMATS)}, not {self.format!r}")
        headers = dict(FORMATS[self.format].headers)
        for what in ("verify", "subject", "certificate"):
            name = getattr(self, what)
            if name is not None and what not in headers:
                raise ConfigurationError(f"format={self.format!r} has no header for {what}: it is {name!r}")
            headers[what] = headers.get(what, "") if name is None else name
        headers = {what: name for what, name in headers.items() if name}
        require_bool(self.single_header, "single_header")
        if "certificate" not in headers and not self.single_header:
            # Servers join equal headers with a comma: CN=mallory and UID=alice would be one subject, of both.
            raise ConfigurationError(
                "without a header for the certificate, the subject is believed as it stands: let the proxy pass the "
                "certificate on, or say single_header=True if it sets the subject's header, and never adds to it"
            )
        if self.single_header and "subject" not in headers:
            raise ConfigurationError(f"single_header=True needs a header with the subject: {self.format!r} has none")
        keys = {what: environ_key(name) for what, name in headers.items()}
        if len(set(keys.values())) < len(keys):
            raise ConfigurationError("verify, subject and certificate must be different headers")
        object.__setattr__(self, "_headers", headers)
        object.__setattr__(self, "_keys", keys)

    @property
    def credential_headers(self) -> tuple[str, ...]:
        """Return the headers that say whose certificate it is; not the one that says ``NONE`` with every request."""
        return (self._headers["subject" if self.single_header else "certificate"],)

    def read(self, environ: Mapping[str, Any]) -> Presented | None:
        """Return what the proxy tells of a certificate; ``None`` for a client without one.

        :param environ: the WSGI environ
        :raises BadCredentialsError: it is not the proxy that tells
        :raises ValueError: the certificate was not verified, or cannot be read
        """
        told = {what: str(environ.get(key, "")).strip(" \t") for what, key in self._keys.items()}
        if not any(told.values()):
            return None
        if not self.trusts(environ):
            # Whoever gets past the proxy can send what the proxy sends (CWE-290). It is not taken for an anonymous
            # request either: who tries to be somebody must not be taken for nobody.
            raise BadCredentialsError("headers of a proxy, from an address that is none of trusted_proxies")
        return FORMATS[self.format].read({"verify": "", "subject": "", "certificate": "", **told})

    def trusts(self, environ: Mapping[str, Any]) -> bool:
        """Return whether a request comes from one of the proxies: from the socket's peer, not whom a header names.

        :param environ: the WSGI environ
        """
        # ProxyFix overwrites the address with what X-Forwarded-For says, and keeps it here, where no client can write.
        original = environ.get("werkzeug.proxy_fix.orig")
        peer = (environ if original is None else original).get("REMOTE_ADDR")
        if not isinstance(peer, str):
            return False
        if not peer:
            return UNIX in self.trusted_proxies
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        # A server that listens on both kinds of addresses sees 10.1.2.3 as ::ffff:10.1.2.3.
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._networks)


def _read_network(network: Any) -> _Network:
    try:
        found = ipaddress.ip_network(require_name(network, "a network of trusted_proxies"))
    except ValueError:
        raise ConfigurationError(
            f'trusted_proxies has {network!r}, which is no address, no network such as "10.0.0.0/28", and not "unix"'
        ) from None
    if found.prefixlen == 0:
        raise ConfigurationError(f"trusted_proxies has {network!r}: then everybody could send the headers of a proxy")
    return found
