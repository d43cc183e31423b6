"""What is known to differ from the contract, each with a test in ``test_rules_differential.py`` that fails for now."""

from rules_reference import defining


def is_known(case, difference):
    """Return whether a difference is one of these."""
    return (
        is_head_in_a_diamond(case, difference)
        or is_own_verb_of_add_resource(case, difference)
        or is_on_a_callable_that_was_borrowed(case)
    )


def is_head_in_a_diamond(case, difference):
    """HEAD asks for less than a base asks there, where the base's rule is that of its ``get``, or ``head`` is None."""
    if difference.verb not in ("HEAD", "setting up") or not defining(case, difference.resource, "head"):
        return False
    return len(case.mro(difference.resource)) > 1


def is_own_verb_of_add_resource(case, difference):
    """A rule on a verb that is given to ``add_resource(methods=...)`` is told to answer no verb."""
    return "has a rule and answers no verb" in str(difference.got) and difference.resource in dict(case.methods)


def is_on_a_callable_that_was_borrowed(case):
    """What opens an object that is borrowed from another class opens it there, too: it is no copy."""
    return any(
        member.form == "borrowed" and member.rules and is_callable(case, *member.source.split("."))
        for each in case.classes
        for member in each.members
    )


def is_callable(case, lender, name):
    member = case[defining(case, lender, name)[0]].member(name)
    if member.form == "alias":
        return is_callable(case, lender, member.source)
    if member.form == "borrowed":
        return is_callable(case, *member.source.split("."))
    return member.form in ("callable", "holder")
