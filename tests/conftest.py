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
