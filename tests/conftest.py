import logging

import pytest

pytest.register_assert_rewrite("flask_securest.testing")


@pytest.fixture(autouse=True)
def _log_everything(caplog):
    caplog.set_level(logging.DEBUG, logger="flask_securest")
