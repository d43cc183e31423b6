"""Whose a certificate is: what the application says, by subjects, attributes, names, fingerprints and issuers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...errors import ConfigurationError
from ...support.checks import require_callable, require_list, require_name
from .certificate import NAME_KINDS
from .names import DistinguishedName, parse_dn

_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+")
_FINGERPRINT = re.compile("[0-9a-f]{64}")


def check_arguments(by: object, attribute: object, user_of_certificate: object) -> None:
    """Raise for arguments that cannot be used together.

    :param by: what says whose a certificate is
    :param attribute: which part of that
    :param user_of_certificate: whose it is
    :raises ConfigurationError: says which
    """
    if by not in ("subject", "san", "fingerprint"):
        raise ConfigurationError(f'by must be "subject", "san" or "fingerprint", not {by!r}')
    if not (user_of_certificate is None or isinstance(user_of_certificate, Mapping) or callable(user_of_certificate)):
        raise ConfigurationError(
            f"user_of_certificate must be a mapping or a function, not of type {type(user_of_certificate).__name__}"
        )
    if isinstance(user_of_certificate, Mapping) and not user_of_certificate:
        raise ConfigurationError("user_of_certificate must not be empty: nobody could get in")
    if attribute is None and user_of_certificate is None:
        raise ConfigurationError(f"by={by!r} needs user_of_certificate, which says whose certificates they are")
    if by == "san" and attribute not in NAME_KINDS:
        raise ConfigurationError(f"by='san' needs attribute, one of {', '.join(NAME_KINDS)}; it is {attribute!r}")
    if by == "fingerprint" and attribute is not None:
        raise ConfigurationError("by='fingerprint' needs no attribute")
    if attribute is not None and not (isinstance(attribute, str) and _ATTRIBUTE.fullmatch(attribute)):
        raise ConfigurationError(f'attribute must be like "CN", not {attribute!r}')


def read_issuers(issuers: Iterable[str] | None) -> dict[DistinguishedName, str]:
    """Return the authorities whose certificates are taken, by their subjects; none for all.

    :param issuers: their subjects, as text
    :raises ConfigurationError: what is no subject
    """
    if issuers is None:
        return {}
    found: dict[DistinguishedName, str] = {}
    for issuer in require_list(issuers, "issuers"):
        found[_require_subject(require_name(issuer, "an issuer of issuers"), "issuers")] = issuer
    if not found:
        raise ConfigurationError("issuers must not be empty: nobody could get in")
    return found


def read_users(
    by: str,
    attribute: str | None,
    user_of_certificate: Mapping[str, str] | Callable[..., str | None] | None,
    *,
    with_issuer: bool,
) -> Callable[[Any, str, str | None], str | None]:
    """Return the function that finds a user by what is compared, by its text, and by the issuer.

    :param by: what says whose a certificate is
    :param attribute: which part of that
    :param user_of_certificate: whose it is
    :param with_issuer: whether a function is told the issuer
    :raises ConfigurationError: a mapping has a key that will never be found, or no name for it; or a function that does
        not take what it gets
    """
    if user_of_certificate is None:
        return lambda key, text, issuer: text
    if not isinstance(user_of_certificate, Mapping):
        function = user_of_certificate
        require_callable(function, "user_of_certificate", "text", *(["issuer"] if with_issuer else []))
        if with_issuer:
            return lambda key, text, issuer: function(text, issuer)
        return lambda key, text, issuer: function(text)
    users: dict[str | DistinguishedName, str] = {}
    for text, username in user_of_certificate.items():
        require_name(text, "a key of user_of_certificate")
        require_name(username, f"the user of {text!r} in user_of_certificate")
        key: str | DistinguishedName = text
        if by == "fingerprint":
            key = text.replace(":", "").lower()
            if not _FINGERPRINT.fullmatch(key):
                raise ConfigurationError(f"user_of_certificate has {text!r}, which is no SHA-256 in hexadecimal digits")
        elif attribute is None:
            key = _require_subject(text, "user_of_certificate")
        if users.setdefault(key, username) != username:
            raise ConfigurationError(f"user_of_certificate has {text!r} for several users")
    return lambda key, text, issuer: users.get(key)


def _require_subject(text: str, what: str) -> DistinguishedName:
    try:
        return parse_dn(text.encode())
    except ValueError:
        raise ConfigurationError(f"{what} has {text!r}, which is no subject (RFC 4514)") from None
