"""Random hierarchies, one for each seed and number."""

import random

from rules_cases import LOOSE, Case, Class, Member, Rule

#: Whether rules are also hidden in what is found, or else an error, as long as that is not so everywhere.
HIDDEN = True

VERBS = ("get", "get", "get", "get", "post", "post", "put", "delete", "head", "head", "options")
CHAINS = (("one",), ("one",), ("one", "two"), ("two", "one"), ("two",), ())
EXACT_FORMS = ("def",) * 10 + ("wraps", "wraps", "none", "staticmethod", "classmethod", "callable")
ROLES = (("a",), ("a",), ("b",), ("a", "b"))
SCOPES = (("read",), ("write",), ("read", "write"))


def make_case(seed, number, *, loose=HIDDEN):
    """Return a hierarchy, always the same for the same arguments.

    :param loose: whether rules are hidden in descriptors, closures, and objects, too
    """
    return _Maker(random.Random(f"{seed}:{number}"), loose=loose).case()


class _Maker:
    def __init__(self, dice, *, loose):
        self.dice = dice
        self.loose = loose
        #: Some hierarchies have little that opens: else too many of them are one error as a whole.
        self.opening = dice.choice((0, 0.2, 0.5))
        self.purging = dice.random() < 0.2
        #: Many have few verbs: so that methods are overridden, and HEAD has to do with GET.
        self.verbs = dice.choice((VERBS, VERBS, ("get", "head"), ("get", "head", "head"), ("get", "post"), ("get",)))
        self.verbs += ("purge",) * self.purging
        #: And many have several chains along the MRO, or silent methods over those that say something.
        self.chaining = dice.choice((0.35, 0.35, 0.8))
        self.speaking = dice.choice((0.3, 0.5))

    def chance(self, probability):
        return self.dice.random() < probability

    def case(self):
        case = Case((), self.dice.choice(CHAINS), self.chance(0.5))
        count = self.dice.randint(1, 6)
        for index in range(count):
            case = self.with_class(case, f"C{index}", last=index == count - 1)
        methods = tuple(
            (name, tuple(self.dice.choice((("GET", "PURGE"), ("GET", "POST", "HEAD", "PURGE"), ("GET",)))))
            for name in case.resources()
            if self.chance(0.3 if self.purging else 0.03)
        )
        return Case(case.classes, case.chain, case.attached_first, methods)

    def with_class(self, case, name, *, last):
        """Return a case with one class more, whose bases Python can put into an order."""
        while True:
            bases = self.bases(case, last=last)
            tried = Case((*case.classes, Class(name, bases)), case.chain, case.attached_first)
            try:
                tried.mro(name)
            except TypeError:
                continue
            break
        rules = self.rules(0.35, opening=self.opening if len(bases) < 2 else self.opening / 2)
        late = (self.require(),) if self.chance(0.04) and not any(rule.kind != "require" for rule in rules) else ()
        methods = ()
        if tried.is_resource(name) and self.chance(0.25 if self.purging else 0.03):
            methods = self.dice.choice((("GET", "PURGE"), ("GET", "HEAD", "POST", "PURGE"), ("GET", "POST", "DELETE")))
        return tried.change(name, rules=rules, late=late, methods=methods, members=self.members(tried, name))

    def bases(self, case, *, last):
        names = [each.name for each in case.classes]
        chosen = self.dice.sample(names, min(len(names), self.dice.choice((0, 1, 1, 1, 2, 2, 3))))
        if any(case.is_resource(each) for each in chosen):
            return tuple(chosen)
        return (*chosen, "Resource") if last or self.chance(0.65) else tuple(chosen)

    def members(self, case, name):
        members = []
        for _ in range(self.dice.choice((0, 1, 1, 1, 2, 2, 3))):
            verb = self.dice.choice(self.verbs)
            if verb in [member.name for member in members]:
                continue
            members.append(self.member(case, name, verb, members))
        return tuple(members)

    def member(self, case, cls, verb, above):
        """Return a member; ``above`` are those that stand before it in the same body."""
        kind = self.dice.random()
        functions = [each.name for each in above if each.form in ("def", "wraps", "lossy", "alias")]
        named = [each.name for each in above if each.form != "cached_property"]  # which has one name only
        if kind < 0.12 and named:
            return Member(verb, "alias", source=self.dice.choice(named))
        if kind < 0.2:
            lent = [
                f"{each.name}.{member.name}"
                for each in case.classes
                for member in each.members
                if member.form != "cached_property" and (member.name == verb or self.chance(0.2))
            ]
            if lent:
                rules = self.dice.choice(((), (), (Rule("public"),), (Rule("optional"),)))
                return Member(verb, "borrowed", rules, source=self.dice.choice(lent))
        if self.loose and kind > 0.85:
            return self.loose_member(verb, functions)
        form = self.dice.choice(EXACT_FORMS)
        if verb == "head" and self.chance(0.3):
            if self.loose and self.chance(0.5):
                return Member(verb, "nothing", inner=self.rules(0.3, opening=0.7))
            form = "none"
        if form in ("none", "callable"):
            return Member(verb, form, self.rules(0.3, opening=self.opening) if form == "callable" else ())
        inner = self.rules(self.speaking, opening=self.opening)
        outer = self.rules(0.3, opening=self.opening / 2) if form in ("wraps", "staticmethod") else ()
        return Member(verb, form, outer, inner)

    def loose_member(self, verb, functions):
        form = self.dice.choice(LOOSE)
        if form == "nothing" and verb != "head":
            return Member(verb, "none")
        if form == "wraps other":
            return Member(verb, form, source=self.dice.choice(functions)) if functions else Member(verb)
        return Member(verb, form, inner=self.rules(0.8, opening=self.opening / 2))

    def rules(self, probability, *, opening):
        """Return the rules of one object, none or more."""
        if not self.chance(probability):
            return ()
        if self.chance(opening):
            first = Rule(self.dice.choice(("public", "public", "optional", "optional", "bypass")))
            if first.kind == "optional" and self.chance(0.3):
                return (first, self.dice.choice((self.require(), self.authenticators())))
            return (first, self.require()) if self.chance(0.03) else (first,)
        rules = [self.authenticators() if self.chance(self.chaining) else self.require()]
        if self.chance(0.2):
            rules.append(self.require())
        if self.chance(0.05):
            rules.append(self.authenticators())
        self.dice.shuffle(rules)
        return tuple(rules)

    def require(self):
        asked = self.dice.sample(("roles", "any_role", "scopes", "any_scope"), self.dice.choice((1, 1, 1, 2)))
        return Rule("require", **{name: self.dice.choice(ROLES if "role" in name else SCOPES) for name in asked})

    def authenticators(self):
        chains = (("two",), ("one",), ("extra",), ("USE_DEFAULT", "extra"), ("extra", "USE_DEFAULT"), ("two", "one"))
        return Rule("authenticators", self.dice.choice((*chains, ("two", "USE_DEFAULT"), ("USE_DEFAULT",))))
