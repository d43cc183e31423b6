"""List what every guarded method asks for: "which of my routes are actually protected?"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..enforcement.guard import ApiGuard, GuardedView
from ..enforcement.guarded_app import GuardedApp
from ..errors import ConfigurationError
from ..rules.functions import ProtectedFunction
from ..rules.resolution import Rule, answers
from ..rules.statements import Access


class Route(NamedTuple):
    """Hold what one method of one URL asks for.

    :param url: the URL rule, with its variables
    :param verb: the method
    :param endpoint: the endpoint
    :param access: ``"closed"``, ``"optional"`` or ``"public"``; ``"broken"`` if every request is refused with a 500
    :param authenticators: the names of those that are asked, in this order
    :param requirement: the roles and scopes that are asked for, in words
    :param reason: why it is public, or what is broken
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


def take_census(guard: ApiGuard) -> Iterator[Route]:
    """Yield the methods of all URLs that are guarded, and of those with rules that nobody enforces, as broken.

    HEAD is left out where it runs ``get``, and so is OPTIONS where Flask answers it itself.

    :param guard: by whom
    """
    for app in list(guard.apps):
        guarded_app = GuardedApp.of(app)
        for url_rule in app.url_map.iter_rules():
            view = guarded_app.find_view(url_rule.endpoint)
            if view is None or view.guard is not guard:
                continue
            for verb in url_rule.methods or ():
                if verb == "OPTIONS" and getattr(url_rule, "provide_automatic_options", False):
                    continue
                if verb == "HEAD" and not _has_head(view):
                    continue
                yield Route(url_rule.rule, verb, url_rule.endpoint, *_describe(view, verb))


def _has_head(view: GuardedView) -> bool:
    return isinstance(view.resource, type) and answers(view.resource, "head")


def _describe(view: GuardedView, verb: str) -> tuple[str, tuple[str, ...], str, str, str]:
    try:
        rule = view.resolve_rule(verb)
        if isinstance(view.resource, ProtectedFunction):
            view.resource.refuse_lost_rules()
        asked = () if rule.access is Access.PUBLIC else _name_providers(view.guard, rule)
    except ConfigurationError as error:
        return "broken", (), "", str(error), ""
    return rule.access.value, asked, str(rule.requirement), rule.reason or "", rule.source


def _name_providers(guard: ApiGuard, rule: Rule) -> tuple[str, ...]:
    providers = guard.settings.find_providers(rule.authenticators)
    if not providers:
        raise ConfigurationError("there is no authentication provider to ask")
    return tuple(name for name, _ in providers)
