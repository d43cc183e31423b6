"""Random hierarchies of Resources with random rules get what the contract says.

``make test-long`` tries three hundred of them, and ``make rules`` 20 000, others each time.
"""

import collections
import logging
from dataclasses import replace

import pytest
import rules_reference as reference
from helpers import how_many
from rules_cases import EXACT, LOOSE, OPENING, Case, Class, Member, Rule, write_case
from rules_generator import HIDDEN, make_case
from rules_runner import find_differences, report
from rules_shrinking import shrink
from rules_world import names

SEED, COUNT, PART = 1, how_many(60, 300), 30


@pytest.fixture(autouse=True)
def _log_nothing(_log_everything, caplog):
    caplog.set_level(logging.CRITICAL, logger="flask_securest")


def tell(case, differences):
    """Fail with a hierarchy that is as small as can be."""
    pytest.fail(f"seed {SEED}\n{report(*shrink(case, differences))}", pytrace=False)


@pytest.mark.parametrize("first", range(0, COUNT, PART), ids=lambda first: f"{first} to {first + PART - 1}")
def test_random_hierarchies_get_what_the_contract_says(first):
    for number in range(first, first + PART):
        case = make_case(SEED, number)
        differences = find_differences(case)
        if differences:
            tell(case, differences)


def test_these_hierarchies_have_everything_in_them():
    cases = [make_case(SEED, number) for number in range(300)]
    members = [member for case in cases for each in case.classes for member in each.members]
    forms = collections.Counter(member.form for member in members)
    assert min(forms[form] for form in (*EXACT, *(LOOSE if HIDDEN else ()))) >= 3, forms
    rules = [rule for case in cases for each in case.classes for rule in (*each.rules, *each.late)]
    rules += [rule for member in members for rule in (*member.rules, *member.inner)]
    kinds = collections.Counter(rule.kind for rule in rules)
    assert min(kinds[kind] for kind in (*OPENING, "require", "authenticators")) >= 20, kinds
    verbs = collections.Counter(member.name for member in members)
    assert min(verbs[verb] for verb in ("get", "head", "post", "put", "delete", "options", "purge")) >= 10, verbs
    assert {len(case.classes) for case in cases} == {1, 2, 3, 4, 5, 6}
    assert {case.chain for case in cases} == {(), ("one",), ("two",), ("one", "two"), ("two", "one")}
    assert {bool(case.attached_first) for case in cases} == {True, False}


def test_a_hierarchy_is_the_same_for_the_same_seed_and_number():
    assert make_case(SEED, 7) == make_case(SEED, 7) != make_case(SEED + 1, 7)


def test_a_difference_is_shrunk_to_what_can_be_pasted(monkeypatch):
    """Here it is the reference that forgets what overridden methods ask for."""
    monkeypatch.setattr(reference, "counting", lambda *asked, **more: [reference.running(*asked)])
    overridden = (Member("get", inner=(Rule("require", roles=("a", "b")), Rule("require", scopes=("read",)))),)
    case = Case(
        (
            Class("C0", (), members=(Member("post"),)),
            Class("C1", ("Resource",), members=overridden),
            Class("C2", ("C1", "C0"), members=(Member("get"), Member("put", "staticmethod"))),
        ),
        ("one", "two"),
        attached_first=True,
    )
    shrunk, differences = shrink(case, find_differences(case))
    written = report(shrunk, differences)
    assert len(shrunk.classes) == 2, written
    assert "GET /C2, scope write: got (403,), expected (200, 'write of one')" in written
    pasted = names()
    exec(written, pasted)
    assert pasted["app"].test_client().get("/C2").status_code == 401


def one_class(*members):
    return Case((Class("C0", ("Resource",), members=members),))


ADMINS = (Rule("require", roles=("a",)),)

DIFFERED = {
    "HEAD in a diamond": Case(
        (
            Class("C0", ("Resource",), members=(Member("get", inner=ADMINS),)),
            Class("C1", (), members=(Member("head"),)),
            Class("C2", ("C0", "C1")),
        )
    ),
    "a head that is taken back": Case(
        (
            Class("C0", ("Resource",), members=(Member("head", inner=ADMINS),)),
            Class("C1", ("C0",), members=(Member("head", "none"), Member("get"))),
        )
    ),
    "a verb of add_resource": replace(one_class(Member("purge", inner=ADMINS)), methods=(("C0", ("GET", "PURGE")),)),
    "public on a callable that is borrowed": Case(
        (
            Class("C0", ("Resource",), members=(Member("get", "callable"),)),
            Class("C1", ("Resource",), members=(Member("get", "borrowed", (Rule("public"),), source="C0.get"),)),
        )
    ),
    "a head that can be called": one_class(
        Member("get", inner=(Rule("authenticators", ("extra",)),)), Member("head", "callable")
    ),
    "public above staticmethod": one_class(Member("get", "staticmethod", (Rule("public"),))),
    "optional above staticmethod and public below": one_class(
        Member("get", "staticmethod", (Rule("optional"),), (Rule("public"),))
    ),
}


@pytest.mark.parametrize("name", DIFFERED)
def test_what_has_differed_once_gets_what_the_contract_says(name):
    assert not find_differences(DIFFERED[name]), write_case(DIFFERED[name])


def test_what_opens_an_object_that_is_borrowed_does_not_open_it_where_it_closes():
    lent = Member("get", "callable", (Rule("authenticators", ("extra",)),))
    borrowed = Member("get", "borrowed", (Rule("optional"),), source="C0.get")
    case = Case((Class("C0", ("Resource",), members=(lent,)), Class("C1", ("Resource",), members=(borrowed,))))
    assert not [each for each in find_differences(case) if each.resource == "C0"], write_case(case)
