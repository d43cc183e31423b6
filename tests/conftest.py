import logging

import pytest
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

pytest.register_assert_rewrite("flask_securest.testing")

# How long an example takes depends on who else uses the machine.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


@pytest.fixture(autouse=True)
def _log_everything(caplog):
    caplog.set_level(logging.DEBUG, logger="flask_securest")


def pytest_terminal_summary(terminalreporter):
    """Say in one line what was skipped for want of a server, and what brings it."""
    reasons = [str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", [])]
    lacking = [reason for reason in reasons if reason.endswith(": make servers")]
    if lacking:
        names = sorted({reason.removeprefix("Skipped: ").partition(" is ")[0] for reason in lacking})
        terminalreporter.write_line(
            f"{len(lacking)} tests were skipped for want of {', '.join(names)}. Install what they need: make servers"
        )
