"""What the classes of a hierarchy are made of and where they live: providers, decorators, applications."""

import functools

import flask
from flask_restful import Api, Resource
from rules_cases import write_class, write_late
from rules_reference import CREDENTIALS, Caller

import flask_securest
from flask_securest import Identity, SecuREST, User, current_user
from flask_securest.authentication_providers import AbstractAuthenticationProvider
from flask_securest.errors import BadCredentialsError, ConfigurationError

CALLERS = (
    Caller("anonymous"),
    Caller("a user without roles", (("one", "plain"),)),
    Caller("wrong credentials", (("one", "wrong"),)),
    Caller("role a", (("one", "a"),)),
    Caller("roles a and b", (("one", "ab"),)),
    Caller("role b and no scopes, of provider two", (("two", "none"),)),
    Caller("roles a and b, scope read, of provider two", (("two", "read"),)),
    Caller("scope write", (("one", "write"),)),
    Caller("roles a and b of the extra provider", (("extra", "ab"),)),
    Caller("wrong at one and right at two", (("one", "wrong"), ("two", "ab"))),
    Caller("right at all three", (("one", "a"), ("two", "ab"), ("extra", "read"))),
    Caller("a blank header of provider two", (("two", ""),)),
    Caller("an Authorization header of somebody else's", authorization=True),
)


class InHeader(AbstractAuthenticationProvider):
    """Read ``X-<name>``, and know the credentials of the reference."""

    def __init__(self, name):
        self.name = name
        self.header = f"X-{name}"
        self.credential_headers = (self.header,)

    def authenticate(self, request, userstore):
        given = request.headers.get(self.header, "")
        if not given:
            return None
        if given not in CREDENTIALS:
            raise BadCredentialsError("unknown")
        roles, scopes = CREDENTIALS[given]
        return Identity(User(f"{given} of {self.name}", roles=roles), scopes=scopes)


def headers_of(caller):
    headers = {f"X-{name}": value for name, value in caller.credentials}
    return headers | ({"Authorization": "Other x"} if caller.authorization else {})


HEADERS = {caller: headers_of(caller) for caller in CALLERS}


class Holder:
    """An object that can be called."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *args):
        return self.function(*args)


class Described:
    """A descriptor of one's own."""

    def __init__(self, function):
        self.function = function

    def __get__(self, instance, owner=None):
        return functools.partial(self.function, instance)


def wrapped(function):
    @functools.wraps(function)
    def inner(*args):
        return function(*args)

    return inner


def lossy(function):
    def inner(*args):
        return function(*args)

    return inner


#: What ``kept`` has kept, where nobody finds it.
KEPT = []


def kept(function):
    KEPT.append(function)
    index = len(KEPT) - 1

    def inner(*args):
        return KEPT[index](*args)

    return inner


def leave(function):
    return function


#: What a request shows whose method could not be called.
LET_IN = "let in"

OPEN = {
    "public": lambda **given: leave,
    "optional": leave,
    "authenticators": lambda *given, **more: leave,
    "require": lambda **given: leave,
}


class World:
    """The classes of a case, written with the rules of the library, or with rules that do nothing."""

    def __init__(self, case, *, guarded):
        self.case = case
        self.seen = []
        self.providers = {name: InHeader(name) for name in ("one", "two", "extra")}
        rules = {name: getattr(flask_securest, name) for name in OPEN} if guarded else OPEN
        common = {
            "functools": functools,
            "Holder": Holder,
            "Described": Described,
            "wrapped": wrapped,
            "lossy": lossy,
            "kept": kept,
        }
        self.names = {"__name__": "pasted", "Resource": Resource, "who": self.who, **common, **rules}
        self.names |= {"USE_DEFAULT": flask_securest.USE_DEFAULT, "SecuREST": SecuREST, **self.providers}
        self.broken = {}
        self.exceptions = []

    def who(self, *args):
        self.seen.append(current_user.username if current_user else None)
        return {}

    def write(self):
        """Run the source of each class; one that is an error is broken, and whatever derives of it or borrows there."""
        for each in self.case.classes:
            try:
                exec(write_class(each), self.names)
            except ConfigurationError as error:
                self.broken[each.name] = error
            except (NameError, AttributeError):
                if not self.broken:
                    raise
                self.broken[each.name] = None

    def write_late(self):
        for each in self.case.classes:
            if each.late and each.name in self.names:
                exec(write_late(each), self.names)

    def application(self):
        app = flask.Flask("pasted")
        app.logger.disabled = True
        app.config["PROPAGATE_EXCEPTIONS"] = False
        return app, Api(app)

    def add(self, api, name):
        given = dict(self.case.methods)
        api.add_resource(self.names[name], f"/{name}", **({"methods": list(given[name])} if name in given else {}))

    def attach(self, api):
        SecuREST(api, authentication_providers=[self.providers[name] for name in self.case.chain])

    def ask(self, client, name, verb, headers=None):
        """Return the status, and what the method saw: the user, None, or nothing if it did not run.

        What cannot be called, None for example, does not run; Flask-RESTful got as far as that all the same.
        """
        self.seen.clear()
        self.exceptions.clear()
        with flask.got_request_exception.connected_to(self.keep):
            status = client.open(f"/{name}", method=verb, headers=headers).status_code
        if status == 500 and any(not isinstance(error, ConfigurationError) for error in self.exceptions):
            return (status, LET_IN)
        return (status, *self.seen)

    def keep(self, sender, exception, **more):
        self.exceptions.append(exception)


def names():
    """Return what a case that was written out needs: ``globals().update(rules_world.names())``, and paste it."""
    world = World(None, guarded=True)
    app, api = world.application()
    return world.names | {"app": app, "api": api}
