import copy
import dataclasses
import pickle
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from helpers import show

from flask_securest import Identity, User, UserModel
from flask_securest.models import require_user


def test_a_user_needs_no_more_than_a_name():
    user = User("alice")
    assert (user.username, user.password, user.active, user.email) == ("alice", None, True, None)
    assert user.roles == frozenset()
    assert user.groups == frozenset()
    assert user.attributes == {}


def test_roles_and_groups_are_kept_as_sets():
    user = User("alice", roles=["admin", "admin", "author"], groups=("ops",))
    assert user.roles == {"admin", "author"}
    assert user.groups == {"ops"}


@pytest.mark.parametrize("names", ["admin", b"admin", {"admin": True}, 7, None, [7], [["admin"]]], ids=show)
@pytest.mark.parametrize("argument", ["roles", "groups"])
def test_what_is_no_collection_of_names_is_a_type_error(argument, names):
    with pytest.raises(TypeError):
        User("alice", **{argument: names})


def test_a_string_of_roles_is_told_what_was_meant():
    with pytest.raises(TypeError, match=r"roles of user 'alice' must be a collection of names such as \['admin'\]"):
        User("alice", roles="admin")


@pytest.mark.parametrize("arguments", [{"username": ""}, {"username": "alice", "roles": [" "]}], ids=show)
def test_an_empty_name_is_a_value_error(arguments):
    with pytest.raises(ValueError, match="empty"):
        User(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [{"active": "false"}, {"active": 1}, {"active": None}, {"password": b"hash"}, {"attributes": [1]}],
    ids=show,
)
def test_an_argument_of_the_wrong_type_is_a_type_error(arguments):
    with pytest.raises(TypeError, match="alice"):
        User("alice", **arguments)
    with pytest.raises(TypeError):
        User(7)


def test_the_hash_of_a_password_shows_in_no_repr():
    user = User("alice", "$argon2id$the-hash", attributes={"token": "t0ken"})
    for shown in (repr(user), str(user), repr(Identity(user))):
        assert "the-hash" not in shown
        assert "t0ken" not in shown


@pytest.mark.parametrize(("model", "field"), [(User("alice"), "active"), (Identity(User("alice")), "scopes")])
def test_users_and_identities_cannot_be_changed(model, field):
    with pytest.raises(AttributeError):
        setattr(model, field, frozenset())


def test_a_view_cannot_write_into_a_user_that_the_next_request_gets_too():
    given = {"team": "red"}
    user = User("alice", attributes=given)
    given["team"] = "blue"
    assert user.attributes["team"] == "red"
    with pytest.raises(TypeError):
        user.attributes["team"] = "blue"


def test_users_are_values():
    assert User("alice", roles=["a", "b"]) == User("alice", roles=["b", "a"])
    assert len({User("alice", attributes={"a": []}), User("alice", attributes={"a": []})}) == 1


def test_a_row_of_an_orm_is_a_user_too():
    row = SimpleNamespace(username="alice", password=None, active=1, roles=["admin"])
    assert require_user(row) is row
    assert isinstance(row, UserModel)
    assert isinstance(User("alice"), UserModel)


@pytest.mark.parametrize(
    "answer",
    [
        True,
        False,
        "alice",
        "",
        1,
        [],
        ["alice"],
        (),
        {},
        {"username": "alice", "password": None, "active": True, "roles": []},
        User,
        object(),
        SimpleNamespace(username="alice", password=None, active=True),
        SimpleNamespace(username="alice", password=None, roles=[]),
        SimpleNamespace(username="alice", active=True, roles=[]),
        SimpleNamespace(username="", password=None, active=True, roles=[]),
        SimpleNamespace(username=7, password=None, active=True, roles=[]),
        SimpleNamespace(username="alice", password=None, active=True, roles="administrator"),
        SimpleNamespace(username="alice", password=None, active=True, roles=None),
        SimpleNamespace(username="alice", password=None, active=True, roles={"admin": False}),
        SimpleNamespace(username="alice", password=None, active="false", roles=[]),
        SimpleNamespace(username="alice", password=None, active="0", roles=[]),
        SimpleNamespace(username="alice", password=None, active=lambda: False, roles=[]),
    ],
    ids=show,
)
def test_nothing_else_is_a_user(answer):
    with pytest.raises(TypeError, match="a user must have"):
        require_user(answer)
    with pytest.raises(TypeError):
        Identity(answer)


def test_scopes_of_an_identity_are_none_or_a_set():
    assert Identity(User("alice")).scopes is None
    assert Identity(User("alice"), scopes=[]).scopes == frozenset()
    assert Identity(User("alice"), scopes=["read", "write"]).scopes == {"read", "write"}
    with pytest.raises(TypeError):
        Identity(User("alice"), scopes="read")


def test_an_expiry_is_an_aware_datetime():
    Identity(User("alice"), expires_at=datetime.now(timezone.utc))
    with pytest.raises(ValueError, match="time zone"):
        Identity(User("alice"), expires_at=datetime.now())
    for wrong in (60, "tomorrow", timedelta(1)):
        with pytest.raises(TypeError):
            Identity(User("alice"), expires_at=wrong)


def test_an_identity_keeps_everything_but_its_provider_when_another_vouches():
    expires_at = datetime.now(timezone.utc)
    identity = Identity(
        User("alice"), "a", scopes=["read"], credential_id="7", app_name="app", expires_at=expires_at
    ).vouched_by("b", "b:acme")
    assert identity == Identity(
        User("alice"), "b", scopes=["read"], credential_id="7", app_name="app", expires_at=expires_at, origin="b:acme"
    )


@pytest.mark.parametrize("copying", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
@pytest.mark.parametrize(
    "value",
    [
        User("alice", "hash", active=False, roles=["a"], groups=["g"], email="e", attributes={"team": ["red"]}),
        Identity(User("alice", attributes={"a": 1}), "token", scopes=["read"]),
    ],
    ids=["User", "Identity"],
)
def test_users_and_identities_can_be_copied_and_pickled_for_caches(copying, value):
    assert copying(value) == value


def test_a_user_can_be_made_a_dict():
    assert dataclasses.asdict(User("alice", attributes={"team": "red"}))["attributes"] == {"team": "red"}


def test_a_subclass_of_identity_stays_one_when_it_is_vouched_for():
    @dataclasses.dataclass(frozen=True)
    class Rich(Identity):
        tenant: str = "none"

    assert Rich(User("alice"), tenant="acme").vouched_by("token", None) == Rich(
        User("alice"), "token", tenant="acme", origin=None
    )
