import gc
import logging

import pytest
from helpers import how_many
from hypothesis import settings
from servers.fixtures import (  # noqa: F401
    directory,
    engine_of,
    issuer,
    kdc,
    own_postgresql,
    postgresql_server,
    redis_server,
)
from servers.process import AT_THE_END, tell_of_skips

pytest.register_assert_rewrite("flask_securest.testing")

# How long an example takes depends on who else uses the machine.
settings.register_profile("tests", deadline=None, max_examples=how_many(30, 100))
settings.load_profile("tests")


@pytest.fixture(autouse=True)
def _log_everything(caplog):
    caplog.set_level(logging.DEBUG, logger="flask_securest")


def pytest_collection_finish():
    # What is there when the tests begin stays until they have ended: the garbage collector need not look through it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def pytest_sessionfinish():
    AT_THE_END.close()


def pytest_terminal_summary(terminalreporter):
    reasons = [str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", [])]
    line = tell_of_skips(reasons)
    if line is not None:
        terminalreporter.write_line(line)
