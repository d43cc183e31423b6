"""What the contract says of rules, in as few words as it takes: a second opinion for the differential test.

It knows the classes as they are written (``rules_cases``) and nothing of the package.
"""

import itertools
from dataclasses import dataclass, replace

from rules_cases import CLOSING, LOOSE, OPENING

#: The answer to what makes no sense: an error when it is written or set up, or else a 500.
ERROR = "error"

#: Forms of members that are objects with a ``__call__``.
OBJECTS = ("callable", "holder")

#: What may have become of a rule that opens and is wrapped in something.
FOUND, OUTER, LOST, CLOSED = "found", "only the outer one", "lost", "closed"

#: What is known of credentials: roles, and scopes (None: not limited to any).
CREDENTIALS = {
    "plain": ((), None),
    "a": (("a",), None),
    "ab": (("a", "b"), None),
    "read": (("a", "b"), ("read",)),
    "write": ((), ("write",)),
    "none": (("b",), ()),
}


class ContradictionError(Exception):
    """The rules make no sense together."""


@dataclass(frozen=True)
class Asked:
    """The rule of one class and verb."""

    access: str  # "public", "optional" or "closed"
    chain: tuple[str, ...] = ("USE_DEFAULT",)
    requires: tuple = ()


@dataclass(frozen=True)
class Caller:
    """Who calls: headers, by the name of the provider that reads them."""

    name: str
    credentials: tuple[tuple[str, str], ...] = ()
    authorization: bool = False  # whether there is an Authorization header, which nobody here knows


def carried(case, owner, name):
    """Return the rules on what a class body has under a name, in whatever they are wrapped."""
    member = case[owner].member(name)
    rules = member.rules + member.inner
    if member.source:
        rules += carried(case, *_origin(case, owner, member))
    return rules


def _origin(case, owner, member):
    """Return the owner and the name of what an alias, something borrowed, or ``functools.wraps`` is made from."""
    if "." not in member.source:
        return owner, member.source
    lender, lent = member.source.split(".")
    return defining(case, lender, lent)[0], lent


def defining(case, cls, name):
    """Return the classes of the MRO whose bodies have a name, the nearest first."""
    return [each for each in case.mro(cls) if case[each].member(name)]


def is_none(case, owner, name):
    """Return whether a name is None in a body, or becomes it: for HEAD, Flask-RESTful then takes ``get``."""
    return kind_of(case, owner, name) in ("none", "nothing")


def may_come_to_none(case, cls, verb):
    """Return whether there is a ``head`` of which nobody knows, before it is asked for, whether it is None."""
    owners = defining(case, cls, "head")
    if verb != "HEAD" or not owners:
        return False
    return kind_of(case, owners[0], "head") in ("property", "cached_property", "descriptor", "partialmethod", "nothing")


def kind_of(case, owner, name):
    """Return the form of a member, or of what it is another name for."""
    member = case[owner].member(name)
    if member.form in ("alias", "borrowed"):
        return kind_of(case, *_origin(case, owner, member))
    return member.form


def running(case, cls, verb):
    """Return the owner and the name of the method that runs, or None.

    HEAD goes to ``get`` unless there is a ``head``.
    """
    name = verb.lower()
    owners = defining(case, cls, name)
    if verb == "HEAD" and (not owners or is_none(case, owners[0], name)):
        return running(case, cls, "GET")
    return (owners[0], name) if owners else None


def counting(case, cls, verb, *, with_get=False):
    """Return owner and name of every method whose closing rules hold for a class and verb, the nearest first.

    Those that are overridden go on holding. At HEAD a class asks for whatever any of its bases asks there, and that
    is what its ``get`` asks for where the base has no ``head``.

    :param with_get: whether HEAD asks for what ``get`` asks for as well, where ``head`` may come to None
    """
    if verb != "HEAD":
        return [(owner, verb.lower()) for owner in defining(case, cls, verb.lower())]
    mro = case.mro(cls)
    unclear = [each for each in mro if with_get and may_come_to_none(case, each, verb)]
    answering = [each for each in mro if (running(case, each, "HEAD") or ("", ""))[1] == "get"]
    counted = []
    for owner in mro:
        names = ["head"]
        if any(owner in case.mro(each) for each in unclear):
            names = ["head", "get"]
        elif any(owner in case.mro(each) for each in answering):
            names = ["get", "head"]
        counted += [(owner, name) for name in names if case[owner].member(name)]
    return counted


def on_class(case, cls):
    return case[cls].rules + case[cls].late


def makes_sense(rules):
    """Return whether rules can be on one object.

    Public beside anything that closes or is optional cannot be, nor can two chains.
    """
    kinds = [rule.kind for rule in rules]
    opened = "public" in kinds or "bypass" in kinds
    return kinds.count("authenticators") < 2 and not (opened and {"require", "authenticators", "optional"} & {*kinds})


def is_written_wrong(case, cls):
    """Return whether a class cannot be written.

    What makes no sense on one object is an error, and so is a rule on what is none of a class's methods, and public
    on a class whose base has a require, or a chain, which go on holding.
    """
    if any(member.rules and is_none(case, cls, member.name) for member in case[cls].members):
        return True
    members = [member for member in case[cls].members if not is_layered(case, cls, member.name)]
    objects = [on_class(case, cls), *(carried(case, cls, member.name) for member in members)]
    if not all(makes_sense(rules) for rules in objects):
        return True
    opened = any(rule.kind in ("public", "bypass") for rule in on_class(case, cls))
    above = case.mro(cls)[1:]
    return opened and any(rule.kind in CLOSING for base in above for rule in case[base].rules)


def may_be_written_wrong(case, cls):
    """Return whether there are rules on something and within it: what they make together may be seen where it is set up."""
    return any(is_layered(case, cls, member.name) for member in case[cls].members)


def is_layered(case, owner, name):
    """Return whether the rules of a member are on several objects, one inside of another."""
    member = case[owner].member(name)
    if member.form in ("alias", "borrowed") and is_layered(case, *_origin(case, owner, member)):
        return True
    return is_loose(case, owner, name) or (member.form == "staticmethod" and bool(member.rules))


def rule_of(case, cls, verb, *, wrapped=FOUND, handed_on=True, with_get=False):
    """Return what a class asks for at a verb.

    :param wrapped: whether what opens is found where it is wrapped in something, or is found only where it stands on
        top, or is lost, or the method is closed
    :param with_get: see ``counting``
    :param handed_on: see ``nearest_chain``
    :raises ContradictionError: if its rules make no sense together
    """
    runs = running(case, cls, verb)
    if with_get and may_come_to_none(case, cls, verb):
        runs = defining(case, cls, "head")[0], "head"  # what is said there counts before what is said on get
    counted = counting(case, cls, verb, with_get=with_get)
    said = carried(case, *runs) if runs else ()
    opening = [rule for rule in said if rule.kind in OPENING]
    closing = [rule for rule in said if rule.kind in CLOSING]
    if may_come_to_none(case, cls, verb) or (opening and is_loose(case, *runs)):
        on_top = [rule for rule in opening if rule in case[runs[0]].member(runs[1]).rules]
        opening = {FOUND: opening, OUTER: on_top}.get(wrapped, [])
        if verb == "HEAD" and runs and runs[1] == "head" and is_none(case, *runs):
            opening = []  # of a head that comes to None nothing runs
    else:
        wrapped = FOUND
    if not makes_sense([*opening, *closing]):
        raise ContradictionError
    others = [rule for each in counted if each != runs for rule in carried(case, *each) if rule.kind in CLOSING]

    # A method beats its class; what opens on a class is not inherited.
    access, speaker = "closed", None
    if opening:
        access, speaker = opening[0].kind, runs[0]
    elif not closing and wrapped != CLOSED:
        here = [rule.kind for rule in on_class(case, cls) if rule.kind in OPENING]
        held = any(rule.kind == "authenticators" for rule in others)  # on a method, which beats the class
        if here and not (here[0] == "optional" and held):
            access, speaker = here[0], cls

    # Public cannot take back what another class has said; within one class, a method says so itself.
    if access in ("public", "bypass"):
        elsewhere = [rule for each in case.mro(cls) if each != speaker for rule in on_class(case, each)]
        if others or any(rule.kind in CLOSING for rule in elsewhere):
            raise ContradictionError
        return Asked("public")

    # What is required adds up: on classes and methods, stacked, and along the MRO.
    rules = [rule for each in counted for rule in carried(case, *each)]
    rules += [rule for owner in case.mro(cls) for rule in on_class(case, owner)]
    requires = tuple(rule for rule in rules if rule.kind == "require")
    return Asked(access, nearest_chain(case, cls, runs, counted, handed_on=handed_on), requires)


def nearest_chain(case, cls, runs, counted, *, handed_on):
    """Return the chain that counts: of several ``authenticators`` the nearest, and a method's before its class's.

    :param handed_on: whether a class that inherits the chain of a method hands it on to its subclasses, before that on
        the class itself: there, too, the method has beaten the class
    """
    mro = case.mro(cls)
    for index, owner in enumerate(mro):
        seen = [each for each in counted if mro.index(each[0]) >= index]
        here = [each for each in seen if each[0] == owner or (handed_on and each == seen[0])]
        methods = [runs] * (runs is not None and index == 0) + here
        for rules in (*(carried(case, *each) for each in methods), on_class(case, owner)):
            for rule in rules:
                if rule.kind == "authenticators":
                    return rule.chain
    return ("USE_DEFAULT",)


def is_loose(case, owner, name):
    """Return whether a rule of a member is inside of something that might hide it."""
    member = case[owner].member(name)
    if member.form in ("alias", "borrowed"):
        lender, lent = _origin(case, owner, member)
        # What Python unwraps, and objects, of which there is one for both classes.
        unclear = ("staticmethod", "classmethod", *OBJECTS)
        return (member.form == "borrowed" and kind_of(case, lender, lent) in unclear) or is_loose(case, lender, lent)
    return member.form in LOOSE or (member.form in OBJECTS and is_lent(case))


def is_lent(case):
    """Return whether an object that can be called is borrowed somewhere."""
    members = [(each.name, member) for each in case.classes for member in each.members]
    return any(member.form == "borrowed" and kind_of(case, owner, member.name) in OBJECTS for owner, member in members)


def may_be_refused(case, cls, verbs):
    """Return whether a Resource may be an error when it is set up, whatever its verbs ask for.

    A rule that is hidden in something, or that is on what answers no verb, is in force or is an error.
    """
    return is_lent(case) or any(
        carried(case, owner, member.name) and (is_loose(case, owner, member.name) or member.name.upper() not in verbs)
        for owner in case.mro(cls)
        for member in case[owner].members
    )


def chain_of(case, asked):
    """Return the names of the providers that are tried, in the order given, each once."""
    names = []
    for name in asked.chain:
        names += case.chain if name == "USE_DEFAULT" else [name]
        if name not in ("USE_DEFAULT", "extra") and name not in case.chain:
            raise ContradictionError
    if not names:
        raise ContradictionError
    return tuple(dict.fromkeys(names))


def decide(asked, caller):
    """Return 401, 403, or (the user that the method sees,)."""
    if asked.access == "public":  # the chain does not run, and there is no user
        return (None,)
    chain = asked.chain
    given = dict(caller.credentials)
    # Who is wrong at one may be right at the next: the first that knows the caller counts.
    known = next((name for name in chain if given.get(name) in CREDENTIALS), None)
    if known is None:
        # Anonymous is who has no credentials of this chain at all, not even blank ones, and no Authorization.
        anonymous = not caller.authorization and not any(name in given for name in chain)
        return (None,) if asked.access == "optional" and anonymous and not asked.requires else 401
    roles, scopes = CREDENTIALS[given[known]]
    for rule in asked.requires:
        met = {*rule.roles} <= {*roles} and (not rule.any_role or {*rule.any_role} & {*roles})
        if scopes is not None:
            met = met and {*rule.scopes} <= {*scopes} and (not rule.any_scope or {*rule.any_scope} & {*scopes})
        if not met:
            return 403
    return (f"{given[known]} of {known}",)


def readings(case, cls, verb):
    """Return every rule that the contract allows: one, but where a rule that opens may be lost.

    Two things more it does not say: which chain is the nearest, where a class inherits one on a method and has another
    itself; and whether HEAD asks for what ``get`` asks for where ``head`` may come to None.
    """
    allowed = set()
    unclear = (False, True) if any(may_come_to_none(case, each, verb) for each in case.mro(cls)) else (False,)
    for wrapped, handed_on, with_get in itertools.product((FOUND, OUTER, LOST, CLOSED), (False, True), unclear):
        try:
            asked = rule_of(case, cls, verb, wrapped=wrapped, handed_on=handed_on, with_get=with_get)
            allowed.add(asked if asked.access == "public" else replace(asked, chain=chain_of(case, asked)))
        except ContradictionError:
            allowed.add(ERROR)
    return allowed


def answers(rules, caller):
    """Return what a caller may get where these rules are allowed."""
    return {ERROR if asked == ERROR else decide(asked, caller) for asked in rules}
