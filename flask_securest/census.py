"""List what every guarded method asks for: "which of my routes are actually protected?"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .authentication_providers.abstract import AbstractAuthenticationProvider
from .gate import Guard, GuardedApp
from .rules import USE_DEFAULT, Access, Rule, resolve_rule


class Route(NamedTuple):
    """Hold what one method of one URL asks for.

    :param url: the URL rule, with its variables
    :param verb: the method
    :param endpoint: the endpoint
    :param access: ``"closed"``, ``"optional"`` or ``"public"``
    :param authenticators: the names of those that are asked, in this order
    :param requirement: the roles and scopes that are asked for, in words
    :param reason: why it is public
    :param source: where ``access`` is written
    """

    url: str
    verb: str
    endpoint: str
    access: str
    authenticators: tuple[str, ...]
    requirement: str
    reason: str
    source: str


def take_census(guarded_app: GuardedApp, guard: Guard, default_chain: tuple[str, ...]) -> Iterator[Route]:
    """Yield the methods of all URLs of an application that ``guard`` guards.

    HEAD is left out where it runs ``get``, and so is OPTIONS where Flask answers it itself.

    :param default_chain: the names of the providers of the default chain
    """
    for url_rule in guarded_app.app.url_map.iter_rules():
        view = guarded_app.find_view(url_rule.endpoint)
        if view is None or view.guard is not guard:
            continue
        for verb in url_rule.methods or ():
            if verb == "OPTIONS" and getattr(url_rule, "provide_automatic_options", False):
                continue
            if verb == "HEAD" and getattr(view.resource, "head", None) is None:
                continue
            rule = resolve_rule(view.resource, verb)
            yield Route(
                url_rule.rule,
                verb,
                url_rule.endpoint,
                rule.access.value,
                () if rule.access is Access.PUBLIC else _name_authenticators(rule, default_chain),
                str(rule.requirement),
                rule.reason or "",
                rule.source,
            )


def _name_authenticators(rule: Rule, default_chain: tuple[str, ...]) -> tuple[str, ...]:
    names: list[str] = []
    for authenticator in rule.authenticators or (USE_DEFAULT,):
        if isinstance(authenticator, AbstractAuthenticationProvider):
            names.append(authenticator.name)
        else:
            names.extend(default_chain if authenticator is USE_DEFAULT else [str(authenticator)])
    return tuple(dict.fromkeys(names))
