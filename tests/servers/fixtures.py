"""The fixtures of the servers, once for all tests: conftest.py brings them."""

import contextlib

import pytest

from .process import require_library


@pytest.fixture(scope="session")
def postgresql_server():
    from .postgresql import postgresql

    with postgresql() as server:
        yield server


@pytest.fixture
def own_postgresql():
    """A server that a test may stop."""
    from .postgresql import postgresql

    with postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server():
    from .redis import redis

    with redis() as server:
        yield server


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    from .issuer import running_issuer

    with running_issuer(tmp_path_factory.mktemp("issuer")) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def kdc(tmp_path_factory):
    """A KDC of two realms that trust each other, and the environment in which libraries find it."""
    require_library("gssapi")
    from .kdc import OTHER_REALM, REALM, SERVICE, Kdc

    directory = tmp_path_factory.mktemp("kdc")
    kdc = Kdc(directory)
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        for name, value in {**kdc.environ, "KRB5RCACHENAME": f"file2:{directory}/replays"}.items():
            patch.setenv(name, value)
        patch.setenv("KRB5CCNAME", f"FILE:{directory}/nobody")
        kdc.admin("addprinc -pw alicepw alice", "addprinc -pw adminpw alice/admin", "addprinc -pw malicepw mallory")
        kdc.admin("addprinc -pw daviepw davie", "addprinc -randkey HTTP/other", f"addprinc -randkey {SERVICE}")
        kdc.admin(f"ktadd -k {kdc.keytab} {SERVICE}", f"ktadd -k {kdc.keytab} HTTP/other")
        kdc.admin(f"addprinc -pw trusted krbtgt/{REALM}@{OTHER_REALM}")
        kdc.admin(f"addprinc -pw trusted krbtgt/{REALM}@{OTHER_REALM}", "addprinc -pw evilpw alice", realm=OTHER_REALM)
        kdc.running = stack.enter_context(contextlib.ExitStack())
        kdc.running.enter_context(kdc.run())
        kdc.alice = kdc.login("alice", "alicepw")
        yield kdc


@pytest.fixture(scope="session")
def directory(tmp_path_factory):
    """Return the arguments for a directory that knows a root among its people, and another one among its staff."""
    from passlib.hash import ldap_salted_sha1

    from .slapd import PEOPLE, READER, READER_PASSWORD, SUFFIX, person, running_slapd

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


@pytest.fixture
def engine_of():
    """Return a function that makes an engine as an application would, and end them with the test."""
    from .postgresql import make_engine

    engines = []

    def make(url, **options):
        engines.append(make_engine(url, **options))
        return engines[-1]

    yield make
    for engine in engines:
        engine.dispose()
