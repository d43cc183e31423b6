from datetime import datetime, timezone
from types import SimpleNamespace

import pytest
from helpers import Scripted, make_userstore, show
from werkzeug.exceptions import HTTPException, ImATeapot, NotFound, TooManyRequests
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response

from flask_securest import Identity, User
from flask_securest.authentication_providers import AbstractAuthenticationProvider
from flask_securest.decision.chain import Answer, Chain
from flask_securest.errors import (
    AccountStatusError,
    AuthenticationError,
    AuthorizationError,
    BackendError,
    BadCredentialsError,
    ConfigurationError,
    ExpiredCredentialsError,
)
from flask_securest.testing import make_request

ALICE = User("alice")
EARLIER, LATER = datetime(2001, 1, 1, tzinfo=timezone.utc), datetime(3000, 1, 1, tzinfo=timezone.utc)

VERIFIED = [ALICE, Identity(ALICE), SimpleNamespace(username="alice", password=None, active=1, roles=[])]
VERIFIED += [Identity(ALICE, expires_at=LATER), Identity(ALICE, "a name of its own")]
WRONG = [BadCredentialsError("wrong"), ExpiredCredentialsError("late"), AuthenticationError("no"), BadCredentialsError]
WRONG += [Identity(ALICE, expires_at=EARLIER)]
STATUS = [AccountStatusError("locked"), User("alice", active=False), Identity(User("alice", active=False))]
STATUS += [SimpleNamespace(username="alice", password=None, active=None, roles=[])]
OWN_WORDS = [TooManyRequests(), NotFound(), ImATeapot(), HTTPException(response=Response("busy", 503))]
BUGS = [
    ValueError("bug"),
    TypeError,
    KeyError("alice"),
    RecursionError(),
    MemoryError(),
    ConfigurationError("not set up"),
]
BUGS += [AuthorizationError("not its business"), HTTPException(), HTTPException(response=Response("welcome", 200))]
BUGS += [RequestRedirect("/elsewhere"), HTTPException(response=Response(status=302))]
BUGS += [True, False, "alice", "", 1, 0, [], {}, {"username": "alice"}, User, object()]


def ask(*answers, userstore=None):
    providers = [Scripted(answer, name=f"p{number}") for number, answer in enumerate(answers)]
    chain = Chain([(provider.name, provider) for provider in providers], userstore)
    return chain.authenticate(make_request()), [provider.asked for provider in providers]


@pytest.mark.parametrize("answer", VERIFIED, ids=show)
def test_a_user_or_an_identity_is_a_yes_and_ends_the_chain(answer):
    outcome, asked = ask(None, answer, ValueError)
    assert outcome.answer is Answer.VERIFIED
    assert outcome.identity.user.username == "alice"
    assert outcome.identity.provider == "p1", "the registered name, whatever the provider calls itself"
    assert outcome.provider.name == "p1"
    assert outcome.error is None
    assert asked == [1, 1, 0]


def test_an_identity_is_passed_on_with_all_it_says():
    outcome, _ = ask(Identity(ALICE, scopes=["read"], credential_id="7", app_name="ci", expires_at=LATER))
    assert outcome.identity == Identity(
        ALICE, "p0", scopes=["read"], credential_id="7", app_name="ci", expires_at=LATER, origin="p0"
    )


def test_the_same_user_object_is_passed_on():
    row = SimpleNamespace(username="alice", password=None, active=True, roles=[])
    outcome, _ = ask(row)
    assert outcome.identity.user is row


def test_nobody_with_credentials_is_no_credentials():
    outcome, asked = ask(None, None)
    assert outcome.answer is Answer.NO_CREDENTIALS
    assert outcome.identity is None
    assert outcome.provider is None
    assert asked == [1, 1]


@pytest.mark.parametrize("answer", WRONG, ids=show)
def test_wrong_credentials_make_it_ask_the_next(answer):
    outcome, asked = ask(answer, None, ALICE)
    assert outcome.answer is Answer.VERIFIED
    assert asked == [1, 1, 1]


@pytest.mark.parametrize("answer", WRONG, ids=show)
def test_wrong_credentials_and_nobody_else_is_wrong_credentials(answer):
    outcome, asked = ask(None, answer, None)
    assert outcome.answer is Answer.WRONG_CREDENTIALS
    assert isinstance(outcome.error, AuthenticationError)
    assert outcome.identity is None
    assert asked == [1, 1, 1]


@pytest.mark.parametrize("answer", STATUS, ids=show)
def test_an_account_that_may_not_be_used_ends_the_chain(answer):
    outcome, asked = ask(BackendError("down"), answer, ALICE)
    assert outcome.answer is Answer.ACCOUNT_STATUS
    assert isinstance(outcome.error, AccountStatusError)
    assert outcome.identity is None
    assert asked == [1, 1, 0], "nobody else may let in whom one has recognised and refused"


def test_a_back_end_that_is_down_makes_it_ask_the_next():
    outcome, asked = ask(BackendError("down"), ALICE)
    assert outcome.answer is Answer.VERIFIED
    assert asked == [1, 1]


@pytest.mark.parametrize(
    "others", [[None], [BadCredentialsError("wrong")], [BadCredentialsError("wrong"), None]], ids=show
)
@pytest.mark.parametrize("first", [True, False])
def test_a_back_end_that_is_down_and_nobody_else_is_never_wrong_credentials(others, first):
    down = BackendError("down", retry_after=7)
    outcome, _ = ask(*([down, *others] if first else [*others, down]))
    assert outcome.answer is Answer.BACKEND_DOWN
    assert outcome.error is down


@pytest.mark.parametrize("answer", OWN_WORDS, ids=show)
def test_an_http_exception_of_400_or_more_is_a_refusal_in_its_own_words(answer):
    outcome, asked = ask(answer, ALICE)
    assert outcome.answer is Answer.OWN_REFUSAL
    assert outcome.error is answer
    assert asked == [1, 0]


@pytest.mark.parametrize("answer", BUGS, ids=show)
@pytest.mark.parametrize("before", [None, BadCredentialsError("wrong"), BackendError("down")], ids=show)
def test_anything_else_is_a_bug_and_ends_the_chain(answer, before):
    outcome, asked = ask(before, answer, ALICE)
    assert outcome.answer is Answer.BUG
    assert outcome.identity is None
    assert outcome.error is not None
    assert asked == [1, 1, 0]


def test_what_is_no_exception_of_an_application_is_not_swallowed():
    for error in (KeyboardInterrupt, SystemExit, GeneratorExit):
        with pytest.raises(error):
            ask(error(), ALICE)


def test_a_user_whose_attributes_raise_is_a_bug():
    class Row:
        username, password, roles = "alice", None, ()

        @property
        def active(self):
            raise RuntimeError("the session is closed")

    outcome, _ = ask(Row(), ALICE)
    assert outcome.answer is Answer.BUG


def test_a_user_whose_attributes_need_a_back_end_that_is_down_is_not_known_now():
    class Row:
        username, password, roles = "alice", None, ()
        reads = 0

        @property
        def active(self):
            Row.reads += 1
            if Row.reads > 1:
                raise BackendError("down")
            return True

    outcome, _ = ask(Row())
    assert outcome.answer is Answer.BACKEND_DOWN


def test_an_expiry_of_this_very_moment_is_past():
    outcome, _ = ask(Identity(ALICE, expires_at=datetime.now(timezone.utc)))
    assert outcome.answer is Answer.WRONG_CREDENTIALS
    assert isinstance(outcome.error, ExpiredCredentialsError)


def test_every_provider_gets_the_request_and_the_userstore():
    seen = []

    class Curious(AbstractAuthenticationProvider):
        def authenticate(self, request, userstore):
            seen.append((request, userstore))

    store, request = make_userstore(), make_request()
    Chain([("a", Curious()), ("b", Curious())], store).authenticate(request)
    assert seen == [(request, store)] * 2


def test_the_outcome_tells_who_answered_what_and_why():
    wrong, down = BadCredentialsError("wrong"), BackendError("down")
    outcome, _ = ask(None, wrong, down, ALICE, None)
    assert [attempt[:3] for attempt in outcome.attempts] == [
        ("p0", Answer.NO_CREDENTIALS, None),
        ("p1", Answer.WRONG_CREDENTIALS, wrong),
        ("p2", Answer.BACKEND_DOWN, down),
        ("p3", Answer.VERIFIED, None),
    ]


@pytest.mark.parametrize("answer", [None, ALICE, BadCredentialsError("wrong"), ValueError("bug")], ids=show)
def test_how_long_each_took_is_known_where_somebody_wants_to_know(answer):
    chain = Chain([("p", Scripted(answer))], None)
    (attempt,) = chain.authenticate(make_request(), timed=True).attempts
    assert 0 <= attempt.seconds < 5
    (attempt,) = chain.authenticate(make_request()).attempts
    assert attempt.seconds is None


def test_an_expected_error_keeps_no_frames_and_a_bug_does():
    """The frames of a refused request would hold its credentials until the next garbage collection."""
    outcome, _ = ask(BadCredentialsError("wrong"))
    assert outcome.error.__traceback__ is None
    outcome, _ = ask(ValueError("bug"))
    assert outcome.error.__traceback__ is not None


def test_a_chain_of_nobody_cannot_be_made():
    with pytest.raises(ConfigurationError, match="no authentication provider"):
        Chain([], None)


def test_headers_that_are_a_string_cannot_be_a_tuple_of_headers():
    class Careless(Scripted):
        credential_headers = "X-Key"

    with pytest.raises(ConfigurationError, match="credential_headers of the provider 'careless' must be a list"):
        Chain([("careless", Careless())], None)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        ({"Accept": "*/*"}, False),
        ({"Authorization": "Any thing"}, True),
        ({"Authorization": ""}, True),
        ({"X-Scripted": " "}, True),
    ],
    ids=show,
)
def test_a_chain_knows_which_headers_carry_credentials(headers, expected):
    assert Chain([("p", Scripted())], None).has_credentials(make_request(headers)) is expected


def test_the_name_of_a_provider_is_that_of_its_class_unless_it_has_one():
    class Mine(AbstractAuthenticationProvider):
        def authenticate(self, request, userstore):
            return None

    class Named(Mine):
        name = "named"

    class Heir(Named):
        pass

    assert Mine().name == "Mine"
    assert Named().name == "named"
    assert Heir().name == "named"
    assert Mine().challenge("api") is None


def test_a_provider_without_authenticate_cannot_be_made():
    class Nothing(AbstractAuthenticationProvider):
        pass

    with pytest.raises(TypeError, match="authenticate"):
        Nothing()
