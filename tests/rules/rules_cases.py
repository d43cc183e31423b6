"""Hierarchies of classes with rules on them, as data: what is generated, and written out as Python."""

import functools
from dataclasses import dataclass, replace

#: Forms of a member in which a rule is on the very thing that runs, or on what Python itself unwraps.
EXACT = ("def", "none", "alias", "borrowed", "wraps", "staticmethod", "classmethod", "callable")
#: Forms in which a rule is somewhere inside: there it holds, or setting up fails.
LOOSE = (
    "lossy",
    "wraps other",
    "property",
    "cached_property",
    "partialmethod",
    "descriptor",
    "holder",
    "kept",
    "nothing",
)

OPENING = ("public", "bypass", "optional")
CLOSING = ("authenticators", "require")


@dataclass(frozen=True)
class Rule:
    """One decorator: its kind, and what it was given."""

    kind: str
    chain: tuple[str, ...] = ()  # of authenticators: "one", "two", "USE_DEFAULT", and "extra", a provider object
    roles: tuple[str, ...] = ()
    any_role: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    any_scope: tuple[str, ...] = ()

    def __str__(self):
        if self.kind == "public":
            return 'public(reason="open")'
        if self.kind == "bypass":
            return 'authenticators(None, reason="open")'
        if self.kind == "optional":
            return "optional"
        if self.kind == "authenticators":
            written = [name if name in ("USE_DEFAULT", "extra") else f'"{name}"' for name in self.chain]
            return f"authenticators({', '.join(written)})"
        given = ((name, getattr(self, name)) for name in ("roles", "any_role", "scopes", "any_scope"))
        return f"require({', '.join(f'{name}={names_of(value)}' for name, value in given if value)})"


@dataclass(frozen=True)
class Member:
    """One name in the body of a class, which is a verb in lower case."""

    name: str
    form: str = "def"
    rules: tuple[Rule, ...] = ()  # the outermost first
    inner: tuple[Rule, ...] = ()  # below the decorator or inside the descriptor of this form
    source: str = ""  # of an alias and "wraps other": a name of the same body; of what is borrowed: "C1.get"


@dataclass(frozen=True)
class Class:
    name: str
    bases: tuple[str, ...]  # other classes, or "Resource"
    rules: tuple[Rule, ...] = ()
    late: tuple[Rule, ...] = ()  # put on after the Resource was added, and before the first request
    members: tuple[Member, ...] = ()
    methods: tuple[str, ...] = ()  # the class attribute, if there is one

    def member(self, name):
        return next((member for member in self.members if member.name == name), None)


@dataclass(frozen=True)
class Case:
    """Classes, the default chain, and the order of adding and attaching."""

    classes: tuple[Class, ...]
    chain: tuple[str, ...] = ("one",)
    attached_first: bool = False
    methods: tuple[tuple[str, tuple[str, ...]], ...] = ()  # what add_resource(methods=...) is given, by class

    def __getitem__(self, name):
        return next(each for each in self.classes if each.name == name)

    def mro(self, name):
        """Return the names of a class and its bases in Python's own order, without Resource and object."""
        return _mros(tuple((each.name, each.bases) for each in self.classes))[name]

    def is_resource(self, name):
        return any("Resource" in self[each].bases for each in self.mro(name))

    def resources(self):
        return [each.name for each in self.classes if self.is_resource(each.name)]

    def change(self, name, **changes):
        """Return this case with one class changed."""
        return replace(
            self, classes=tuple(replace(each, **changes) if each.name == name else each for each in self.classes)
        )


@functools.lru_cache(maxsize=64)
def _mros(bases_of):
    made = {"Resource": type("Resource", (), {})}
    for name, bases in bases_of:
        made[name] = type(name, tuple(made[base] for base in bases), {})
    return {
        name: tuple(each.__name__ for each in made[name].__mro__ if each.__name__ not in ("Resource", "object"))
        for name, _ in bases_of
    }


def names_of(names):
    return f'"{names[0]}"' if len(names) == 1 else "[" + ", ".join(f'"{name}"' for name in names) + "]"


def write_class(cls):
    """Return a class as Python."""
    bases = f"({', '.join(cls.bases)})" if cls.bases else ""
    lines = [*(f"@{rule}" for rule in cls.rules), f"class {cls.name}{bases}:"]
    if cls.methods:
        lines += [f"    methods = {list(cls.methods)}"]
    for member in cls.members:
        lines += [f"    {line}" for line in write_member(member)]
    return "\n".join([*lines, "    pass"] if not (cls.members or cls.methods) else lines)


def write_late(cls):
    """Return what is put on a class afterwards, as Python."""
    return "\n".join(f"{rule}({cls.name})" for rule in cls.late)


def write_member(member):
    outer, inner = [f"@{rule}" for rule in member.rules], [f"@{rule}" for rule in member.inner]
    name, form = member.name, member.form
    within = functools.partial(_around, member.inner)
    match form:
        case "none":
            return [f"{name} = None"]
        case "alias" | "borrowed":
            return [f"{name} = {_around(member.rules, member.source)}"]
        case "callable":
            return [f"{name} = {_around(member.rules, 'Holder(who)')}"]
        case "holder":
            return [f"{name} = Holder({within('lambda: who()')})"]
        case "partialmethod":
            return [f"{name} = functools.partialmethod({within('lambda self, n: who()')}, 1)"]
        case "nothing":
            return [f"{name} = property({within('lambda self: None')})"]
        case "wraps other":
            return [*outer, f"@functools.wraps({member.source})", f"def {name}(self):", "    return who()"]
        case "property" | "cached_property":
            decorator = "property" if form == "property" else "functools.cached_property"
            return [*outer, f"@{decorator}", *inner, f"def {name}(self):", "    return who"]
        case _:
            decorators = {"def": [], "wraps": ["@wrapped"], "descriptor": ["@Described"]}.get(form, [f"@{form}"])
            argument = {"staticmethod": "", "classmethod": "cls"}.get(form, "self")
            return [*outer, *decorators, *inner, f"def {name}({argument}):", "    return who()"]


def _around(rules, written):
    for rule in reversed(rules):
        written = f"{rule}({written})"
    return written


def write_case(case):
    """Return a case as Python that can be pasted into a test or a shell."""
    adding = [
        f"api.add_resource({name}, '/{name}'{f', methods={list(dict(case.methods)[name])}' if name in dict(case.methods) else ''})"
        for name in case.resources()
    ]
    attaching = [f"SecuREST(api, authentication_providers=[{', '.join(case.chain)}])"]
    steps = [*attaching, *adding] if case.attached_first else [*adding, *attaching]
    late = [write_late(each) for each in case.classes if each.late]
    return "\n".join([*(write_class(each) for each in case.classes), *steps, *late])
