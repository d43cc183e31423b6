"""Work out by which policy requests for a view and a verb are decided."""

from __future__ import annotations

from typing import Protocol

from ..authorization_providers.abstract import Target
from ..errors import ConfigurationError
from ..rules.functions import ProtectedFunction
from ..rules.members import is_of_everybody, look_inside, members_of
from ..rules.resolution import Rule
from ..rules.statements import SILENCE, Access, get_statement, put_in_force
from ..support.logs import forget_frames
from .policy import AnyPolicy, ChainPolicy, FixedPolicy
from .settings import Chains, Settings

#: A view can be called with any method that a client makes up; what is kept for each must have an end (CWE-770).
_MOST_VERBS = 32


def same_arguments(one: object, other: object) -> bool:
    """Return whether a verdict for some view arguments holds for others. What cannot be compared is not the same.

    :param one: arguments
    :param other: others
    """
    try:
        return bool(one == other)
    except Exception:
        return False


class View(Protocol):
    """What a guarded view has to tell."""

    endpoint: str
    resource: type | ProtectedFunction | None
    policies: dict[str, AnyPolicy]

    def resolve_rule(self, verb: str) -> Rule:
        """Return the rule of a verb."""


def make_policy(view: View, verb: str, settings: Settings) -> AnyPolicy:
    """Return how requests with a verb are decided, and keep that with the view.

    :param view: the view
    :param verb: the request's method
    :param settings: what the ``SecuREST`` object has been told
    """
    policies, chains = view.policies, settings.chains
    resource = view.resource.function if isinstance(view.resource, ProtectedFunction) else view.resource
    target = Target(resource or object, verb, view.endpoint)
    mistake: Exception
    try:
        policy = _work_out(view, target, settings, chains)
    except Exception as error:
        mistake = error
    else:
        if len(policies) < _MOST_VERBS:
            policies[verb] = policy
        return policy
    if not isinstance(mistake, ConfigurationError):
        # A provider that could not be asked whether it can work. Not kept: it may be able to the next time.
        return FixedPolicy(view, target, mistake)
    # Its traceback would keep the first request, with its credentials, for as long as the policy.
    forget_frames(mistake)
    fixed = FixedPolicy(view, target, mistake)
    if len(policies) < _MOST_VERBS:
        policies[verb] = fixed
    return fixed


def put_rules_in_force(resource: type | ProtectedFunction | None) -> None:
    """Take note of what decides requests from now on: a rule that is put on later would not be in force.

    :param resource: the class or the function
    """
    if isinstance(resource, ProtectedFunction):
        for carrier in resource.carriers:
            put_in_force(carrier)
    elif resource is not None:
        for owner in resource.__mro__:
            if not is_of_everybody(owner):
                put_in_force(owner)
            for _, member in members_of(owner):
                for inside in look_inside(member):
                    if inside.is_shown or get_statement(inside.carrier) is not SILENCE:
                        put_in_force(inside.carrier)


def _work_out(view: View, target: Target, settings: Settings, chains: Chains) -> AnyPolicy:
    rule = view.resolve_rule(target.verb)
    put_rules_in_force(view.resource)
    if isinstance(view.resource, ProtectedFunction):
        view.resource.refuse_lost_rules()
    if rule.access is Access.PUBLIC:
        return FixedPolicy(view, target)
    chain = settings.find_chain(rule.authenticators, chains)
    return ChainPolicy(view, target, rule, chain, settings.authorization_provider)
