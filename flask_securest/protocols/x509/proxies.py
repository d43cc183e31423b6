"""Proxies in front of the application: which may be believed, and in which headers."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import ConfigurationError
from ...support.checks import require_list, require_name
from ..http.headers import environ_key

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Stands for proxies that connect through a Unix domain socket: those have no address. gunicorn says ``""`` then.
UNIX = "unix"


@dataclass(frozen=True)
class ProxyHeaders:
    """Say which headers of which proxies tell of the certificates of TLS clients.

    The proxy has to *set* all three on every request, so that what a client sends under these names never arrives.

    :param trusted_proxies: where the proxies connect from: addresses and networks, such as ``["127.0.0.1",
        "10.0.0.0/28"]``, or ``"unix"`` for Unix domain sockets. It is the peer of the socket, before any ``ProxyFix``
    :param verify: the header that says ``SUCCESS`` for a certificate that was verified, and ``NONE`` for none
    :param subject: the header with the subject (RFC 4514); without a certificate it is missing or empty
    :param certificate: the header with the certificate in PEM, percent-encoded or with spaces for its line feeds;
        without a certificate it is missing or empty
    :raises ConfigurationError: what is no network, a network of everybody, or what is no header
    """

    trusted_proxies: Iterable[str]
    verify: str = "X-SSL-Client-Verify"
    subject: str = "X-SSL-Client-DN"
    certificate: str = "X-SSL-Client-Cert"
    _networks: tuple[_Network, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check every argument."""
        proxies = tuple(require_list(self.trusted_proxies, "trusted_proxies"))
        if not proxies:
            raise ConfigurationError("trusted_proxies must name a proxy: without one, no header can be believed")
        object.__setattr__(self, "trusted_proxies", proxies)
        object.__setattr__(self, "_networks", tuple(_read_network(proxy) for proxy in proxies if proxy != UNIX))
        names = (self.verify, self.subject, self.certificate)
        if len(set(map(environ_key, names))) < len(names):
            raise ConfigurationError("verify, subject and certificate must be three headers")

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
