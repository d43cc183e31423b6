import logging

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("flask_securest.testing")

# How long an example takes depends on who else uses the machine.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


@pytest.fixture(autouse=True)
def _log_everything(caplog):
    caplog.set_level(logging.DEBUG, logger="flask_securest")


@pytest.fixture(scope="module")
def postgresql_server():
    from servers.postgresql import postgresql

    with postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def redis_server():
    from servers.redis import redis

    with redis() as server:
        yield server


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Return the arguments for a directory that knows a root among its people, and another one among its staff."""
    from passlib.hash import ldap_salted_sha1
    from servers.slapd import PEOPLE, READER, READER_PASSWORD, SUFFIX, person, running_slapd

    staff = f"ou=staff,{SUFFIX}"
    with running_slapd(tmp_path_factory.mktemp("slapd")) as slapd:
        slapd.load(f"dn: {staff}\nobjectClass: organizationalUnit\nou: staff\n\n")
        slapd.load(person("root", ldap_salted_sha1.hash("main")))
        slapd.load(person("root", ldap_salted_sha1.hash("second")).replace(PEOPLE, staff))
        yield {
            "urls": slapd.tls_url,
            "bind_dn": READER,
            "bind_password": READER_PASSWORD,
            "ca_file": str(slapd.ca_file),
            "places": {"main": PEOPLE, "second": staff},
        }
