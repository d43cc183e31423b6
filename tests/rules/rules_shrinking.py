"""Make a hierarchy smaller while it still differs."""

from dataclasses import replace

from rules_runner import find_differences


def shrink(case, differences):
    """Return the smallest case found by leaving things out one by one, with its differences."""
    wanted = {difference.kind() for difference in differences}
    smaller = True
    while smaller:
        smaller = False
        for tried in without_one_thing(case):
            found = [difference for difference in differs(tried) if difference.kind() in wanted]
            if found:
                case, differences, smaller = tried, found, True
                break
    return case, differences


def differs(case):
    """Return the differences of a case that may no longer be one: with a base or a function gone."""
    try:
        for name in case.resources():
            case.mro(name)
        return find_differences(case)
    except (StopIteration, KeyError, IndexError, TypeError, NameError, AttributeError, AssertionError):
        return []


def without_one_thing(case):
    """Yield cases with a class, a base, a method, or a rule less."""
    for cls in case.classes:
        yield replace(case, classes=tuple(each for each in case.classes if each is not cls))
        for base in cls.bases:
            bases = tuple(each for each in cls.bases if each != base)
            yield case.change(cls.name, bases=bases)
            if base != "Resource":  # with what its base derives of
                inherited = tuple(each for each in case[base].bases if each not in cls.bases)
                yield case.change(
                    cls.name, bases=tuple(b for each in cls.bases for b in (inherited if each == base else (each,)))
                )
    if case.methods:
        yield replace(case, methods=())
    if case.attached_first:
        yield replace(case, attached_first=False)
    if case.chain != ("one",):
        yield replace(case, chain=("one",))
    for cls in case.classes:
        for changes in class_with_less(cls):
            yield case.change(cls.name, **changes)


def class_with_less(cls):
    """Yield changes of one class."""
    for field in ("late", "methods"):
        if getattr(cls, field):
            yield {field: ()}
    for rules in rules_with_less(cls.rules):
        yield {"rules": rules}
    for member in cls.members:
        others = [each for each in cls.members if each is not member]
        yield {"members": tuple(others)}
        changed = [replace(member, rules=rules) for rules in rules_with_less(member.rules)]
        changed += [replace(member, inner=rules) for rules in rules_with_less(member.inner)]
        if member.form not in ("def", "none"):
            changed.append(replace(member, form="def", source=""))
        for each in changed:
            yield {"members": tuple(each if one is member else one for one in cls.members)}


def rules_with_less(rules):
    """Yield shorter tuples of rules, and those with simpler rules."""
    for index, rule in enumerate(rules):
        yield (*rules[:index], *rules[index + 1 :])
        for field in ("roles", "any_role", "scopes", "any_scope", "chain"):
            names = getattr(rule, field)
            if names and sum(len(getattr(rule, each)) > 0 for each in ("roles", "any_role", "scopes", "any_scope")) > 1:
                yield (*rules[:index], replace(rule, **{field: ()}), *rules[index + 1 :])
            if len(names) > 1:
                yield from ((*rules[:index], replace(rule, **{field: (n,)}), *rules[index + 1 :]) for n in names)
