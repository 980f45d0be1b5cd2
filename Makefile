# `make demo` and `make test` install what they need by themselves.
.PHONY: install packages lock test test-all test-ganeti test-ceph test-tempest test-clients test-openapi demo bench lint clean
.DEFAULT_GOAL := help

PYTHON := .venv/bin/python
INSTALLED := .venv/installed
# Other projects' tests, with what they need, are in an environment of their own.
CONFORMANCE := .venv-conformance/installed
# One more than the cores that it is meant for: tests also wait.
PYTEST := .venv/bin/pytest -n 3 --dist worksteal --databases sqlite,postgres --ignore tests/conformance --ignore tests/ganeti --ignore tests/ceph
ARGS :=
GANETI := 3.1
PATTERNS := # of names: only such tests of the openstack command

help:
	@echo "make demo         a cloud on this machine, and a story with two servers and a volume"
	@echo "make test         the tests, on SQLite and PostgreSQL"
	@echo "make test-all     the tests with every crash case"
	@echo "make test-ganeti  the tests on real Ganeti clusters, as root (GANETI=3.0 for the older version)"
	@echo "make test-ceph    the tests on a real Ceph, as root"
	@echo "make test-tempest OpenStack's own tests of its APIs (ARGS='--help')"
	@echo "make test-clients the tests of the openstack command, and the cinder command"
	@echo "make test-openapi   schemathesis against the OpenAPI documents (ARGS='--seed 1 --examples 100' for longer)"
	@echo "make bench        how fast it is (ARGS='--help' says what it can measure)"
	@echo "make lint         style and types"
	@echo "make install      only what the others need: Debian packages, and Python ones in .venv"
	@echo "make lock         choose the versions in requirements.lock anew"
	@echo "make clean        remove everything that these made"

install: packages $(INSTALLED)

packages:
	@tools/install-packages packages.txt

$(INSTALLED): requirements.lock pyproject.toml | packages
	test -x $(PYTHON) || /usr/bin/python3 -m venv .venv # Debian's, whatever else PATH has first
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.lock
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

$(CONFORMANCE): requirements-conformance.lock | packages
	test -x .venv-conformance/bin/python || /usr/bin/python3 -m venv .venv-conformance
	.venv-conformance/bin/pip install --quiet --disable-pip-version-check -r requirements-conformance.lock
	touch $@

lock: install
	.venv/bin/pip install --quiet pip-tools
	CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/pip-compile --quiet --extra dev --strip-extras --allow-unsafe \
		--no-emit-index-url --no-emit-options --upgrade --output-file requirements.lock pyproject.toml
	CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/pip-compile --quiet --strip-extras --no-emit-index-url \
		--no-emit-options --upgrade --output-file requirements-conformance.lock tests/conformance/requirements.in

test: install
	$(PYTEST) $(ARGS)

test-all: install
	CYCLADES_CRASH_CASES=all $(PYTEST) $(ARGS)

test-ganeti: install
	GANETI=$(GANETI) .venv/bin/pytest tests/ganeti --databases sqlite $(ARGS)

test-ceph: install
	@tools/install-packages packages-ceph.txt
	.venv/bin/pytest tests/ceph --databases sqlite $(ARGS)

test-tempest: install $(CONFORMANCE)
	$(PYTHON) -m tests.conformance.run_tempest $(ARGS)

test-clients: install $(CONFORMANCE)
	$(PYTHON) -m tests.conformance.run_openstackclient $(PATTERNS)
	.venv/bin/pytest tests/conformance $(ARGS)

test-openapi: install $(CONFORMANCE)
	$(PYTHON) -m tests.conformance.run_openapi $(ARGS)

demo: install
	$(PYTHON) demo/demo.py $(ARGS)

bench: install
	$(PYTHON) -m bench $(ARGS)

lint: install
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

clean:
	rm -rf .venv .venv-conformance .cache build src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
