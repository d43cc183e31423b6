# make demo and make test are all there is to know; both start from nothing but Python 3.10+ and make.

PYTHON ?= python3
VENV ?= .venv
HOST ?= 127.0.0.1
PORT ?= 5000
# Several processes, for much of the time the tests wait for servers. PYTEST_ARGS= for one.
PYTEST_ARGS ?= -n 3 --dist loadfile
export PYTEST_ARGS

PIP = $(VENV)/bin/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo port test test-all test-long test-container servers rules lint format bench clean

help:  ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

demo: port $(VENV)/.demo  ## run the example API
	@examples/demo $(VENV)/bin http://$(HOST):$(PORT)

port:
	@examples/require-port $(PYTHON) $(HOST) $(PORT)

test: $(VENV)/.test  ## run all tests, but for those of servers that are not installed
	@.ci/install-gssapi $(VENV)/bin
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

servers:  ## install the servers and libraries that the tests ask (Debian packages, as root)
	.ci/install-servers $(PYTHON)

test-container:  ## run all tests in a minimal Debian without servers (as root, with debootstrap)
	USERS="$(USERS)" .ci/test-container

test-long: $(VENV)/.test  ## run what takes longer: the rules of more hierarchies, the tests in random order under load
	.ci/test-long $(VENV)/bin/python

test-all:  ## run all tests on every Python from 3.10 to 3.13 there is, with the oldest Flask, and against the wheel
	.ci/test-all

rules: $(VENV)/.test  ## compare the rules of 20 000 random classes with a second reading of what they mean (SEED=, COUNT=)
	$(VENV)/bin/python tests/rules/rules_at_length.py $(if $(SEED),--seed $(SEED)) $(if $(COUNT),--count $(COUNT))

lint: $(VENV)/.test  ## check style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.test  ## put it into that style
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/.bench  ## measure the overhead per request, beside other libraries (after make servers)
	$(VENV)/bin/python benchmarks/run.py $(BENCH_ARGS)

clean:  ## remove whatever these have made
	rm -rf demo-data .node .venv* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Each stamp says that what it is named after is installed.

$(VENV)/bin/python:
	.ci/make-venv $(PYTHON) $(VENV)

$(VENV)/.demo: $(VENV)/bin/python setup.py examples/requirements.txt
	@echo "installing Flask, Flask-RESTful, SQLAlchemy, gunicorn and what they need into $(VENV): once, from the network" >&2
	@$(PIP) install -e .[sqlalchemy] -r examples/requirements.txt
	@touch $@

$(VENV)/.test: $(VENV)/bin/python setup.py pyproject.toml requirements.txt
	$(PIP) install -e . -r requirements.txt
	@touch $@

$(VENV)/.bench: $(VENV)/bin/python setup.py benchmarks/requirements.txt
	$(PIP) install -e . -r benchmarks/requirements.txt
	@touch $@
