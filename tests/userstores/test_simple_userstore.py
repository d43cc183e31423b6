import pytest

from flask_securest import User
from flask_securest.errors import ConfigurationError
from flask_securest.userstores import AbstractUserstore, SimpleUserstore


def test_roles_come_from_the_user_and_through_all_its_groups():
    store = SimpleUserstore(
        {
            "users": [{"username": "alice", "roles": ["author"], "groups": ["ops", "staff"]}],
            "groups": [
                {"name": "ops", "roles": ["admin", "oncall"]},
                {"name": "staff", "roles": ["reader"]},
                {"name": "empty"},
            ],
        }
    )
    alice = store.get_user("alice")
    assert alice.roles == {"author", "admin", "oncall", "reader"}
    assert alice.groups == {"ops", "staff"}


def test_users_may_be_objects_with_their_groups_beside_them():
    store = SimpleUserstore([User("alice", groups=["ops"])], groups=[{"name": "ops", "roles": ["admin"]}])
    assert store.get_user("alice").roles == {"admin"}
    assert SimpleUserstore({"users": [User("alice")]}).get_user("alice") == User("alice")


def test_every_field_of_a_user_can_be_given():
    entry = {
        "username": "alice",
        "password": "$argon2id$x",
        "active": False,
        "roles": ["a"],
        "groups": [],
        "email": "alice@example.com",
        "attributes": {"team": "red"},
    }
    assert SimpleUserstore({"users": [entry]}).get_user("alice") == User(**entry)


def test_nobody_is_a_store_too():
    assert SimpleUserstore([]).get_user("alice") is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"users": [{"username": "a"}, {"username": "b"}, {"username": "a"}]},
            r"user 'a' stands there twice.*users\[2\]",
        ),
        ([User("a"), User("a")], r"user 'a' stands there twice.*users\[1\]"),
        (
            {"users": [{"username": "a", "groups": ["ops"]}]},
            r"user 'a' \(users\[0\]\) is in the group 'ops'.*groups: none",
        ),
        ([User("a", groups=["ops"])], "user 'a'.*'ops', which is not defined"),
        (
            {"users": [{"username": "a", "groups": ["x"]}], "groups": [{"name": "ops"}]},
            "is in the group 'x', which is not defined; groups: ops",
        ),
        ({"users": [{"username": "a"}, {"password": "x"}]}, r"users\[1\] has no 'username'"),
        ({"users": [{"username": "a", "rolls": ["admin"]}]}, r"users\[0\] has fields that are not known: 'rolls'"),
        ({"users": [{"username": "a", "actve": False}]}, r"users\[0\] has fields that are not known: 'actve'"),
        ({"users": [{"username": "a", "roles": "admin"}]}, r"users\[0\]: roles of user 'a' must be a collection"),
        ({"users": [{"username": "a", "active": "false"}]}, r"users\[0\]: active of user 'a' must be True or False"),
        ({"users": [{"username": ""}]}, r"users\[0\]: username must not be empty"),
        ({"users": [{"username": 7}]}, r"users\[0\]: username must be a string"),
        ({"users": ["alice"]}, r"users\[0\] must be a mapping, not str"),
        ({"users": [None]}, r"users\[0\] must be a mapping, not NoneType"),
        ({"users": "alice"}, "users must be a list, not of type str"),
        ({"users": {"alice": {}}}, "users must be a list, not of type dict"),
        ({"users": None}, "users must be a list, not of type NoneType"),
        ({}, "has no 'users'"),
        ({"users": [], "gruops": []}, "fields that are not known: 'gruops'"),
        ({"users": [], "groups": [{"roles": ["a"]}]}, r"groups\[0\] has no 'name'"),
        ({"users": [], "groups": [{"name": ""}]}, r"groups\[0\]: the name must be a string"),
        ({"users": [], "groups": [{"name": "a"}, {"name": "a"}]}, "group 'a' stands there twice"),
        (
            {"users": [], "groups": [{"name": "a", "roles": "admin"}]},
            r"group 'a' \(groups\[0\]\): roles must be a collection",
        ),
        ({"users": [], "groups": [{"name": "a", "role": ["admin"]}]}, "fields that are not known: 'role'"),
        ({"users": [], "groups": ["ops"]}, r"groups\[0\] must be a mapping"),
        ({"users": [], "groups": "ops"}, "groups must be a list"),
        ("alice", "users must be a list, not of type str"),
        (None, "users must be a list, not of type NoneType"),
        (User("alice"), "users must be a list, not of type User"),
    ],
    ids=lambda value: "" if isinstance(value, str) else repr(value)[:60],
)
def test_an_entry_that_cannot_be_is_named(given, message):
    with pytest.raises(ConfigurationError, match=message):
        SimpleUserstore(given)


def test_groups_in_two_places_are_refused():
    with pytest.raises(ConfigurationError, match="not in both"):
        SimpleUserstore({"users": []}, groups=[{"name": "ops"}])


def test_a_store_without_get_user_cannot_be_made():
    class Nothing(AbstractUserstore):
        pass

    with pytest.raises(TypeError, match="get_user"):
        Nothing()
