"""What is known to differ from the contract, each with a test in ``test_rules_differential.py`` that fails for now."""

from rules_cases import OPENING
from rules_reference import defining, kind_of, makes_sense


def is_known(case, difference):
    """Return whether a difference is one of these."""
    return (
        is_callable_borrowed_and_opened(case)
        or is_head_that_can_be_called(case, difference)
        or is_above_staticmethod(case)
    )


def is_callable_borrowed_and_opened(case):
    """What opens an object that is borrowed from another class opens it there, too: it is no copy."""
    members = [(each.name, member) for each in case.classes for member in each.members]
    return any(
        member.form == "borrowed" and member.rules and kind_of(case, owner, member.name) in ("callable", "holder")
        for owner, member in members
    )


def is_head_that_can_be_called(case, difference):
    """HEAD asks the authenticators of ``get`` where ``head`` is an object, which cannot come to None."""
    owners = defining(case, difference.resource, "head") if difference.resource in case.resources() else ()
    return difference.verb == "HEAD" and bool(owners) and kind_of(case, owners[0], "head") in ("callable", "holder")


def is_above_staticmethod(case):
    """What opens above ``staticmethod`` has no effect, and nobody says so; nor if it contradicts what is below."""
    members = [member for each in case.classes for member in each.members if member.form == "staticmethod"]
    return any(
        member.rules
        and ({rule.kind for rule in member.rules} & {*OPENING} or not makes_sense(member.rules + member.inner))
        for member in members
    )
