"""How proxies tell of the certificates of TLS clients: a small reader for each, from headers to a certificate.

None of them believes a header that is there twice, where that can be seen: servers join equal headers with a comma.
"""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

#: What a proxy tells, by what it is: ``verify``, ``subject``, ``certificate``, ``passed_through``.
Told = Mapping[str, str]


class Presented(NamedTuple):
    """Hold what a proxy tells of a certificate that it has verified.

    :param subject: the subject as the proxy writes it (RFC 4514); empty where it does not
    :param chain: the certificate, and those of authorities that came with it, in DER; empty where it is not passed on
    """

    subject: bytes
    chain: tuple[bytes, ...]


class Format(NamedTuple):
    """Hold how one kind of proxy tells of certificates.

    :param headers: in which headers, unless others are given
    :param read: reads them; returns ``None`` for a client without a certificate
    """

    headers: Mapping[str, str]
    read: Callable[[Told], Presented | None]


# A chain of certificates, percent-encoded. A server that does not stop there must not make us decode megabytes
# (CWE-400).
_MOST_CHARACTERS = 65_536

# nginx escapes line feeds as %0A; Apache makes spaces of them in a header, and leaves them in the environ.
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*")
_BYTE_SEQUENCE = re.compile(rb":([A-Za-z0-9+/=]+):")  # RFC 8941, section 3.3.5
# RFC 9110's token, "=", and a value: quoted, where it has a comma, a semicolon or an equals sign (Envoy's documentation
# of x-forwarded-client-cert).
_XFCC_PAIR = re.compile(r'([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;=]*))(?=;|\Z)')


def read_pem(text: bytes) -> bytes:
    """Return a certificate in DER.

    :param text: PEM, of one certificate and nothing else; it may be percent-encoded
    :raises ValueError: it is none; the error does not quote it
    """
    found = _PEM.fullmatch(unquote_to_bytes(text) if b"%" in text else text)
    if found is None:
        raise ValueError("what is no certificate in PEM")
    return _decode(b"".join(found[1].split()))


def _decode(encoded: bytes) -> bytes:
    der = None
    with contextlib.suppress(ValueError):
        der = base64.b64decode(encoded, validate=True)
    if der is None or base64.b64encode(der) != encoded:  # base64 has several spellings, of which one is right
        raise ValueError("a certificate that is not in base64")
    return der


def _to_bytes(text: str) -> bytes:
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"a header of {len(text)} characters")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("a header with characters that no header has") from None


def read_verified(told: Told) -> Presented | None:
    """Read what nginx, Apache and uWSGI say: ``SUCCESS``, the subject, and the certificate in PEM.

    :param told: the headers, or the WSGI environ
    :raises ValueError: the certificate was not verified
    """
    verified = told["verify"]
    if verified == "NONE" and not told["subject"] and not told["certificate"]:
        return None
    # Exactly: a header that is there twice arrives as "NONE,SUCCESS", and nginx says "FAILED:..." (CWE-348).
    if verified != "SUCCESS":
        raise ValueError("a certificate that the TLS server has not verified")
    text = _to_bytes(told["certificate"])
    return Presented(_to_bytes(told["subject"]), (read_pem(text),) if text else ())


def _read_haproxy(told: Told) -> Presented | None:
    # "0" is success, and what it says of a client without a certificate, too.
    if not told["certificate"] and told["verify"] in ("0", ""):
        return None
    if told["verify"] != "0":
        raise ValueError("a certificate that the TLS server has not verified")
    text = told["certificate"]
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return Presented(b"", (_decode(_to_bytes(text[1:-1] if quoted else text)),))


def _read_envoy(told: Told) -> Presented | None:
    # One element, and one Cert in it: of several, the first ones are what a client, or another proxy, has sent.
    found: dict[str, str] = {}
    at, text = 0, _to_bytes(told["certificate"]).decode("latin-1")
    while True:
        pair = _XFCC_PAIR.match(text, at)
        if pair is None:
            raise ValueError("what is not one element of X-Forwarded-Client-Cert")
        kind, quoted, bare = pair.groups()
        if kind.lower() == "cert":
            if "cert" in found:
                raise ValueError("an element of X-Forwarded-Client-Cert with several certificates")
            found["cert"] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
        at = pair.end() + 1
        if pair.end() == len(text):
            break
    if not found.get("cert"):
        raise ValueError("X-Forwarded-Client-Cert without Cert: set_current_client_cert_details needs cert: true")
    return Presented(b"", (read_pem(_to_bytes(found["cert"])),))


def _read_traefik(told: Told) -> Presented | None:
    text = _to_bytes(told["certificate"])
    text = unquote_to_bytes(text) if b"%" in text else text
    return Presented(b"", tuple(map(_decode, text.split(b","))))


def _read_alb(told: Told) -> Presented | None:
    if told["passed_through"]:
        # In that mode the load balancer verifies nothing: anybody can make such a certificate.
        raise ValueError("a certificate that the load balancer has not verified, but passed through")
    if not told["certificate"]:
        return None
    return Presented(b"", (read_pem(_to_bytes(told["certificate"])),))


def _read_rfc9440(told: Told) -> Presented | None:
    found = _BYTE_SEQUENCE.fullmatch(_to_bytes(told["certificate"]))
    if found is None:
        raise ValueError("what is no byte sequence (RFC 9440), or several")
    return Presented(b"", (_decode(found[1]),))


_X_SSL = {"verify": "X-SSL-Client-Verify", "subject": "X-SSL-Client-DN", "certificate": "X-SSL-Client-Cert"}

#: By the name of the proxy.
FORMATS: Mapping[str, Format] = {
    "nginx": Format(_X_SSL, read_verified),
    "apache": Format(_X_SSL, read_verified),
    "haproxy": Format({name: _X_SSL[name] for name in ("verify", "certificate")}, _read_haproxy),
    "envoy": Format({"certificate": "X-Forwarded-Client-Cert"}, _read_envoy),
    "traefik": Format({"certificate": "X-Forwarded-Tls-Client-Cert"}, _read_traefik),
    "aws-alb": Format(
        {"certificate": "X-Amzn-Mtls-Clientcert-Leaf", "passed_through": "X-Amzn-Mtls-Clientcert"}, _read_alb
    ),
    "rfc9440": Format({"certificate": "Client-Cert"}, _read_rfc9440),
}
