"""What a token from elsewhere must be besides genuine: an access token, for a bearer, with what the API asks for.

The same for JWTs and for the answers of introspection. Issuers sign refresh, ID and log-out tokens with the keys of
their access tokens, and tell them apart by a claim of their own: ``typ`` (Keycloak), ``token_use`` (Cognito, Hydra),
``token_type`` (simplejwt), ``type`` (Flask-JWT-Extended).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from ..errors import AuthenticationError, BackendError, BadCredentialsError, ConfigurationError
from ..support.checks import require_callable, require_list, require_name
from .claims import call_with_claims, find_claim, show_claims

#: What a claim must say: a value, one of several, or what a function says yes to.
Required: TypeAlias = "str | int | float | bool | Collection[Any] | Callable[[Any], object]"

#: The functions that the arguments ``verify_claims`` and ``revoked`` are.
VerifyClaims: TypeAlias = "Callable[[Mapping[str, Any]], None]"
Revoked: TypeAlias = "Callable[[Mapping[str, Any]], bool]"

# The claims in which tokens say what kind of token they are.
_KIND_CLAIMS = ("typ", "token_use", "token_type", "type")

# The kinds that are no access tokens of a bearer. All others are taken: "type": "user" is common, and says nothing.
_OTHER_KINDS = frozenset(
    {
        *("refresh", "offline", "id", "serializedid", "logout", "backchannellogout"),
        *("secevent", "tokenintrospection", "dpop", "mac", "pop"),
    }
)

# One look tells of most tokens that there is nothing to look at.
_TELLING = frozenset({*_KIND_CLAIMS, "events", "cnf"})

# No name of a kind is longer. Anybody can write longer ones, which must not take time (CWE-1333).
_MOST_CHARACTERS = 64


class TokenRules(NamedTuple):
    """Hold what tokens of one provider must say.

    :param required: claims, and what each must say
    :param verify_claims: a function that refuses claims
    :param revoked: a function that says whether a token was revoked
    """

    required: tuple[tuple[str, _Allowed], ...] = ()
    verify_claims: VerifyClaims | None = None
    revoked: Revoked | None = None

    def check(self, claims: Mapping[str, Any]) -> None:
        """Raise for a token of another kind, or without a claim that is required.

        It takes no key and no question, and comes before both.

        :param claims: what the token says, verified or not; without nulls
        :raises BadCredentialsError: it is none for this API
        """
        if not _TELLING.isdisjoint(claims):
            self._check_kind(claims)
        for claim, allowed in self.required:
            found = find_claim(claims, claim)
            if found is None or not allowed.admits(found):
                raise BadCredentialsError(f"a token whose {claim!r} is not what required_claims asks for")

    def verify(self, claims: Mapping[str, Any]) -> None:
        """Raise for a token that the application refuses, or that was revoked.

        :param claims: what the token says, verified
        :raises BadCredentialsError: it is refused
        :raises BackendError: it cannot be told now
        :raises TypeError: a function has answered what it must not, which is a bug
        """
        if self.verify_claims is not None:
            said: object = call_with_claims(self.verify_claims, claims, "verify_claims")
            if said is not None:
                # Whoever returns False means to refuse, and would let everybody in.
                raise TypeError(f"verify_claims must raise BadCredentialsError or return None, not {said!r:.20}")
        if self.revoked is not None and _is_revoked(self.revoked, claims):
            raise BadCredentialsError("a token that was revoked")

    def names(self, claim: str, kind: str) -> bool:
        """Return whether the application has asked for tokens of this very kind, by this very claim.

        :param claim: the claim in which a token says what it is
        :param kind: what it says
        """
        return any(name == claim and allowed.names(kind) for name, allowed in self.required)

    def _check_kind(self, claims: Mapping[str, Any]) -> None:
        if "events" in claims:
            # OpenID Connect Back-Channel Logout 1.0, section 2.4; RFC 8417. Log-out tokens travel to many parties.
            raise BadCredentialsError("a log-out token, or another security event (events)")
        if "cnf" in claims:
            # Whoever has stolen it could use it here (RFC 8705, section 3; RFC 9449, section 7.1).
            raise BadCredentialsError("a token that is bound to a key or a certificate (cnf), which is not looked at")
        for claim in _KIND_CLAIMS:
            said = claims.get(claim)
            if said is None:
                continue
            for kind in said if isinstance(said, list) else (said,):
                if (
                    isinstance(kind, str)
                    and _is_other_kind(kind[-_MOST_CHARACTERS:].lower())
                    and not self.names(claim, kind)
                ):
                    # A refresh token is good for a month, and an ID token is shown to other parties (RFC 8725, 3.12).
                    raise BadCredentialsError(f"a token of another kind ({claim}), which required_claims does not name")


class _Allowed(NamedTuple):
    """Hold the values that a claim may have, or a function that tells."""

    values: frozenset[tuple[type, Any]]
    predicate: Callable[[Any], object] | None = None

    def admits(self, value: Any) -> bool:
        if self.predicate is not None:
            return bool(call_with_claims(self.predicate, value, "a function of required_claims"))
        return self.names(value)

    def names(self, value: Any) -> bool:
        # With its type, for True == 1: of "admin": true nobody means 1.
        return isinstance(value, (str, bool, int, float)) and (type(value), value) in self.values


def make_token_rules(required_claims: object, verify_claims: Any, revoked: Any) -> TokenRules:
    """Return what tokens must say.

    :param required_claims: a mapping of claims to what each must say; ``None`` for none
    :param verify_claims: a function of the claims, or ``None``
    :param revoked: a function of the claims, or ``None``
    :raises ConfigurationError: an argument that is none of these
    """
    if required_claims is not None and not isinstance(required_claims, Mapping):
        raise ConfigurationError(
            f"required_claims must be a mapping of claims to what they must say, not of type "
            f"{type(required_claims).__name__}"
        )
    required = tuple(
        (require_name(claim, "a claim of required_claims"), _read_allowed(claim, value))
        for claim, value in ({} if required_claims is None else required_claims).items()
    )
    for what, function in (("verify_claims", verify_claims), ("revoked", revoked)):
        if function is not None:
            require_callable(function, what, "claims")
    return TokenRules(required, verify_claims, revoked)


def _read_allowed(claim: str, value: object) -> _Allowed:
    """Return what a claim may say.

    :raises ConfigurationError: nobody can tell
    """
    if callable(value):
        require_callable(value, f"required_claims[{claim!r}]", "value")
        return _Allowed(frozenset(), value)
    values = [value] if isinstance(value, (str, bool, int, float)) else None
    if values is None and isinstance(value, Collection) and not isinstance(value, (bytes, Mapping)):
        values = require_list(value, f"required_claims[{claim!r}]")
    if not values or not all(isinstance(each, (str, bool, int, float)) for each in values):
        raise ConfigurationError(
            f"required_claims[{claim!r}] must be a string, a number or a boolean, a list of some, or a function of the "
            f"claim's value; it is of type {type(value).__name__}{' and empty' if values == [] else ''}"
        )
    return _Allowed(frozenset((type(each), each) for each in values))


@lru_cache(maxsize=256)
def _is_other_kind(kind: str) -> bool:
    # "refresh", "refresh_token", "application/logout+jwt", "urn:ietf:params:oauth:token-type:id_token".
    word = kind.rpartition(":")[2].rpartition("/")[2]
    letters = re.sub("[^a-z]", "", word)
    while letters not in _OTHER_KINDS:
        shorter = letters.removesuffix("jwt").removesuffix("jws").removesuffix("token")
        if shorter == letters:
            return False
        letters = shorter
    return True


def _is_revoked(revoked: Revoked, claims: Mapping[str, Any]) -> bool:
    try:
        said: object = revoked(show_claims(claims))
        problem = None
    except (AuthenticationError, BackendError):
        raise
    except Exception as error:
        problem = type(error).__name__
    if problem is not None:
        # A list that cannot be read must not let in whom it would have refused.
        raise BackendError(f"revoked cannot tell ({problem})")
    if not isinstance(said, bool):
        raise TypeError(f"revoked must return True or False, not {said!r:.20}")
    return said
