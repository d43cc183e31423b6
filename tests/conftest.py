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
