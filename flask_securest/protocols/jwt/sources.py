"""Where the keys of each issuer come from: what the application gives, or what the issuer publishes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ...errors import ConfigurationError
from ...support.checks import require_list, require_name
from ..http.fetch import FetchOptions
from .document import KeyDocument
from .jwk import require_key, require_key_set
from .jwks import RemoteKeys
from .keys import ALGORITHMS, KeySource

# A month: whoever wants keys for longer gives them as jwks.
_MOST_STALE_SECONDS = 31 * 24 * 3600

#: What stands for a tenant in the issuer of a service with many, as Microsoft Entra writes it.
TENANT = "{tenantid}"


class Issuers(NamedTuple):
    """Hold the issuers whose tokens are taken.

    :param names: their names; ``None`` for any
    :param several: whether there may be several: then each has keys of its own
    :param tenants: which tenant each is of, where they were given by tenants
    """

    names: tuple[str, ...] | None
    several: bool = False
    tenants: Mapping[str, str] = MappingProxyType({})

    def origins_of(self, provider: str) -> dict[str | None, str]:
        """Return where the users of each issuer live; empty, if there is but one, and not in a list.

        Whoever lists issuers may list another one tomorrow: its alice is somebody else.

        :param provider: the name of the provider
        """
        return {each: f"{provider}:{each}" for each in self.names or ()} if self.several else {}


def require_issuers(issuer: Any, tenants: Any) -> Issuers:
    """Return the issuers whose tokens are taken.

    :param issuer: one, a list of some, or a template with ``{tenantid}``; or ``None``
    :param tenants: what stands for ``{tenantid}`` in the template; ``None`` where there is none
    :raises ConfigurationError: they make no sense together
    """
    if tenants is not None or (isinstance(issuer, str) and TENANT in issuer):
        if not isinstance(issuer, str) or issuer.count(TENANT) != 1 or tenants is None:
            raise ConfigurationError(
                f"issuer and tenants go together: issuer must have {TENANT} once, and tenants must list which are let "
                f"in; issuer is {issuer!r}, tenants is {tenants!r}"
            )
        found = [require_name(tenant, "a tenant of tenants") for tenant in require_list(tenants, "tenants")]
        for tenant in found:
            # It becomes a part of URLs. Entra's "common" and "organizations" stand for everybody's tenant.
            if not tenant.isascii() or not tenant.replace("-", "").replace(".", "").isalnum() or ".." in tenant:
                raise ConfigurationError(f"a tenant of tenants must be an id, in letters, digits and -, not {tenant!r}")
            if tenant.lower() in ("common", "organizations", "consumers"):
                raise ConfigurationError(f"tenants must list single tenants, and {tenant!r} stands for those of others")
        of_tenants = {issuer.replace(TENANT, tenant): tenant for tenant in found}
        return Issuers(_require_different([issuer.replace(TENANT, each) for each in found]), True, of_tenants)
    if issuer is None:
        return Issuers(None)
    if isinstance(issuer, str):
        return Issuers((require_name(issuer, "issuer"),))
    listed = [require_name(each, "an issuer of issuer") for each in require_list(issuer, "issuer")]
    return Issuers(_require_different(listed), True)


def _require_different(issuers: list[str]) -> tuple[str, ...]:
    if not issuers or len(set(issuers)) < len(issuers):
        raise ConfigurationError("issuer and tenants must not be empty, and must name each issuer once")
    return tuple(issuers)


class KeySources(NamedTuple):
    """Hold where keys come from, whosesoever they are.

    :param given: the arguments ``key``, ``jwks``, ``jwks_url`` and ``discovery``, of which one must not be ``None``
    :param algorithms: names of :data:`~flask_securest.protocols.jwt.keys.ALGORITHMS`
    :param options: how an issuer is asked
    :param stale_seconds: for how long keys are used that cannot be fetched anew
    """

    given: Mapping[str, Any]
    algorithms: frozenset[str]
    options: FetchOptions
    stale_seconds: float

    def make(self, issuers: Issuers) -> dict[str | None, KeySource]:
        """Return where the keys of each issuer come from: ``None`` stands for any.

        No issuer has a key of another one. If it had, each could sign for the users of all others (CWE-347).

        :param issuers: whose keys
        :raises ConfigurationError: there is not exactly one source, or it cannot be used
        """
        found = {what: value for what, value in self.given.items() if value is not None}
        if len(found) != 1:
            named = " and ".join(found) or "none of them"
            raise ConfigurationError(f"exactly one of key, jwks, jwks_url and discovery must be given, not {named}")
        ((what, value),) = found.items()
        if issuers.names is None:
            return {None: self._make_one(None, what, value)}
        return {
            issuer: self._make_one(issuer, what, _value_of(issuer, what, value, issuers) if issuers.several else value)
            for issuer in issuers.names
        }

    def _make_one(self, issuer: str | None, what: str, value: Any) -> KeySource:
        algorithms, stale_seconds = self.algorithms, self.stale_seconds
        if what == "key":
            return require_key(value, algorithms)
        if what == "jwks":
            return require_key_set(value, algorithms)
        if any(ALGORITHMS[name].key_type == "oct" for name in algorithms):
            raise ConfigurationError(f"algorithms must not be HS... with {what}: a secret that is published is none")
        if isinstance(stale_seconds, bool) or not isinstance(stale_seconds, (int, float)):
            raise ConfigurationError(f"stale_seconds must be a number, not of type {type(stale_seconds).__name__}")
        if not 0 <= stale_seconds <= _MOST_STALE_SECONDS:
            raise ConfigurationError(f"stale_seconds must be from 0 to {_MOST_STALE_SECONDS}, not {stale_seconds!r}")
        if what == "discovery" and value is not True:
            raise ConfigurationError(f"discovery must be True or False, not of type {type(value).__name__}")
        url = value if what == "jwks_url" else None
        document = KeyDocument(url, issuer=issuer, algorithms=algorithms, options=self.options)
        return RemoteKeys(document.load, timeout=self.options.timeout, stale_seconds=stale_seconds)


def _value_of(issuer: str, what: str, value: Any, issuers: Issuers) -> Any:
    """Return what was given for one of several issuers.

    :raises ConfigurationError: nobody can tell
    """
    if what == "discovery":
        return value
    if isinstance(value, Mapping) and set(value) == set(issuers.names or ()):
        return value[issuer]
    if what == "jwks_url" and isinstance(value, str) and TENANT in value and issuer in issuers.tenants:
        return value.replace(TENANT, issuers.tenants[issuer])
    raise ConfigurationError(
        f"with several issuers, {what} must be a mapping of each issuer to its own: {what}={{{issuer!r}: ...}}; or "
        "give discovery=True"
    )
