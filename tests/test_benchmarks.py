"""The benchmarks of flask_securest itself can be run: those of other libraries need more to be installed."""

import importlib
import sys
from pathlib import Path


def test_every_job_of_flask_securest_can_be_made_at_once(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    jobs = importlib.import_module("jobs")
    monkeypatch.setattr(jobs, "MANY", (1, 10))
    try:
        kept = [make() for make in jobs.securest_jobs().values()]
        assert len(kept) == 7
    finally:
        del sys.modules["jobs"]
