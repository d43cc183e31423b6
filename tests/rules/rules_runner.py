"""Run hierarchies through the library and Flask-RESTful, and compare what clients get with the reference."""

from dataclasses import dataclass

import rules_reference as reference
from rules_cases import write_case
from rules_reference import ERROR
from rules_world import CALLERS, HEADERS, LET_IN, World

from flask_securest.errors import ConfigurationError


@dataclass(frozen=True)
class Difference:
    """One request that gets another answer than the contract says."""

    resource: str
    verb: str
    caller: str
    got: object
    expected: object

    def __str__(self):
        return f"{self.verb} /{self.resource}, {self.caller}: got {self.got}, expected {self.expected}"

    def kind(self):
        """Return what a smaller case must have in common with this one."""
        return (self.verb, self.caller, str(self.got)[:4], str(self.expected)[:4])


class Trial:
    """One case, run through Flask-RESTful alone, and through the library."""

    def __init__(self, case, callers=CALLERS):
        self.case = case
        self.callers = callers
        self.differences = []
        self.answers = {}  # of the library, by Resource, verb and caller
        self.plain = World(case, guarded=False)
        self.world = World(case, guarded=True)

    def differ(self, resource, verb, caller, got, expected):
        self.differences.append(Difference(resource, verb, caller, got, expected))

    def run(self):
        self.plain.write()
        self.world.write()
        for each in self.case.classes:
            self.compare_writing(each.name)
        self.resources = [name for name in self.case.resources() if name not in self.world.broken]
        app, api = self.plain.application()
        for name in self.resources:
            self.plain.add(api, name)
        self.views = {rule.endpoint: rule for rule in app.url_map.iter_rules()}
        plain_client = app.test_client(use_cookies=False)
        clients = self.set_up()
        for name, client in clients.items():
            self.compare_resource(name, client, plain_client)
        self.compare_monotony()
        return self.differences

    def compare_writing(self, name):
        if name in self.world.broken:
            error = self.world.broken[name]
            loose = reference.may_be_written_wrong(self.case, name)
            if error and not loose and not reference.is_written_wrong(self.case, name):
                self.differ(name, "the class", "itself", f"{ERROR}: {error}", "none")
        elif reference.is_written_wrong(self.case, name):
            self.differ(name, "the class", "itself", "none", ERROR)

    def set_up(self):
        """Return a client for each Resource that could be set up, or that is closed since it could not."""
        if not self.case.attached_first:
            app, api = self.world.application()
            try:
                for name in self.resources:
                    self.world.add(api, name)
                self.world.attach(api)
            except ConfigurationError:
                return self.set_up_one_by_one()
            self.world.write_late()
            return dict.fromkeys(self.resources, app.test_client(use_cookies=False))
        app, api = self.world.application()
        self.world.attach(api)
        for name in self.resources:
            try:
                self.world.add(api, name)
            except ConfigurationError as error:
                self.refused(name, error)
        self.world.write_late()
        return dict.fromkeys(self.resources, app.test_client(use_cookies=False))

    def set_up_one_by_one(self):
        clients = {}
        for name in self.resources:
            app, api = self.world.application()
            self.world.add(api, name)
            try:
                self.world.attach(api)
            except ConfigurationError as error:
                self.refused(name, error)
            else:
                clients[name] = app.test_client(use_cookies=False)
        self.world.write_late()
        return clients

    def verbs_of(self, name):
        return {member.name.upper() for each in self.case.mro(name) for member in self.case[each].members}

    def guarded_verbs(self, name):
        """Return the verbs that reach the Resource, and that are not answered by Flask."""
        view = self.views[name.lower()]
        return view.methods - ({"OPTIONS"} if view.provide_automatic_options else set())

    def refused(self, name, error):
        """Compare an error at set-up: one of the verbs must be an error, or hide a rule."""
        verbs = self.guarded_verbs(name)
        wrong = (ERROR in reference.readings(self.case, name, verb) for verb in verbs)
        if not reference.may_be_refused(self.case, name, verbs) and not any(wrong):
            self.differ(name, "setting up", "anybody", f"{ERROR}: {error}", "none")
        self.world.broken[name] = error

    def compare_resource(self, name, client, plain_client):
        guarded = self.guarded_verbs(name)
        for verb in sorted({"GET", "HEAD", "OPTIONS"} | self.verbs_of(name)):
            plain = self.plain.ask(plain_client, name, verb)
            rules = reference.readings(self.case, name, verb) if verb in guarded else ()
            for caller in self.callers if verb in guarded else self.callers[:1]:
                got = self.world.ask(client, name, verb, HEADERS[caller])
                self.answers[name, verb, caller] = got
                expected = [plain]
                if verb in guarded:
                    expected = [self.expect(answer, plain) for answer in reference.answers(rules, caller)]
                if name in self.world.broken:  # an error that was ignored: closed all the same
                    expected.append((500,))
                if got not in expected:
                    self.differ(name, verb, caller.name, got, " or ".join(map(str, expected)))

    @staticmethod
    def expect(answer, plain):
        """Return what a client should get, where Flask-RESTful alone gives it ``plain``."""
        if answer == ERROR:
            return (500,)
        if isinstance(answer, int):
            return (answer,)
        status, *ran = plain
        return (status, *answer) if ran and ran != [LET_IN] else plain

    def compare_monotony(self):
        """Without the reference: whoever a base refuses, each of its subclasses refuses."""
        for name in self.resources:
            for base in self.case.mro(name)[1:]:
                if base in self.resources:
                    self.compare_with_base(name, base)

    def compare_with_base(self, name, base):
        added = [each for each in self.case.mro(name) if each not in self.case.mro(base)]
        kinds = {rule.kind for each in added for rule in self.rules_within(each)}
        if kinds & {"public", "bypass", "optional"}:
            return  # it says so itself
        for verb in self.guarded_verbs(name) & self.guarded_verbs(base):
            runs = [(reference.running(self.case, each, verb) or ("", ""))[1] for each in (base, name)]
            if runs == ["head", "get"]:
                continue  # it says itself that there is no head any more
            unclear = self.has_two_chains(base, verb) or self.has_two_chains(name, verb)
            for caller in self.callers:
                # Other authenticators know other callers, and give nobody a role.
                refusing = (401, 403)
                if caller.credentials and (unclear or "authenticators" in kinds):
                    refusing = () if unclear or len(caller.credentials) > 1 else (403,)
                status, *_ = self.answers.get((base, verb, caller), (None,))
                got = self.answers.get((name, verb, caller), (500,))
                if status in refusing and got not in ((401,), (403,), (500,)):
                    self.differ(name, verb, caller.name, got, f"refused, as by its base {base}: {status}")

    def has_two_chains(self, name, verb):
        """Return whether it is said nowhere which of two chains counts in a class and its subclasses.

        That is where they are on a class and on a method, or on a ``head`` that may come to None and on ``get``.
        """
        mro = self.case.mro(name)
        if any(reference.may_come_to_none(self.case, each, verb) for each in mro):
            return True
        kinds = [rule.kind for each in mro for rule in reference.on_class(self.case, each)]
        counted = reference.counting(self.case, name, verb)
        within = [rule.kind for each in counted for rule in reference.carried(self.case, *each)]
        return "authenticators" in kinds and "authenticators" in within

    def rules_within(self, name):
        rules = list(reference.on_class(self.case, name))
        for member in self.case[name].members:
            rules += reference.carried(self.case, name, member.name)
        return rules


def find_differences(case, callers=CALLERS):
    return Trial(case, callers).run()


def report(case, differences):
    shown = "\n".join(f"# {difference}" for difference in differences[:6])
    return f"{shown}\n{write_case(case)}\n"
