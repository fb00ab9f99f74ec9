# Works on a machine that has python3 >= 3.11 and make: every target installs what it needs into .venv,
# from locks with hashes, and again only when a lock, pyproject.toml or a contract has changed.
#
#   make serve ARGS="--config guardsvc.yaml"    run the service
#   make test                                   lint, types and tests

PYTHONS := python3.13 python3.12 python3.11 python3
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
PARITY := .venv-parity
INSTALL := -m pip --disable-pip-version-check install --quiet
SERVERS := redis-server docker-registry
PROJECT := pyproject.toml hatch_build.py $(shell find proto -name '*.proto')
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock" $(ARGS)

.DEFAULT_GOAL := test
.NOTPARALLEL:
.PHONY: serve demo test test-long guests servers lint format reference lock clean

serve: $(VENV)/project.stamp
	@$(PY) -m guardsvc serve $(ARGS)

demo: $(VENV)/dev.stamp
	@$(PY) -m deploy.demo $(ARGS)

test: lint $(PARITY)/parity.stamp servers
	$(PY) -m pytest -n auto --dist worksteal $(ARGS)

# What is measured under load has the machine to itself.
test-long: $(VENV)/dev.stamp $(PARITY)/parity.stamp servers
	HYPOTHESIS_PROFILE=long $(PY) -m pytest -n auto --dist worksteal -m "long or not long" --ignore tests/load $(ARGS)
	$(PY) -m pytest -m long tests/load

# Guards of wasm-guards in each language whose toolchain is there, built anew and held against the same tests.
guests: $(VENV)/dev.stamp
	PATH="$(CURDIR)/$(BIN):$$PATH" PYTHON=$(CURDIR)/$(PY) wasm-guards/build-all.sh

# Tests that need a real Redis or a real registry are skipped where there is none and it cannot be installed.
APT := DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3
servers:
	@missing=$$(for server in $(SERVERS); do command -v $$server >/dev/null || echo $$server; done); \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		$(APT) update >/dev/null 2>&1; \
		for server in $$missing; do \
			echo "installing $$server"; \
			$(APT) install -y --no-install-recommends $$server >/dev/null 2>&1 \
				|| echo "$$server cannot be installed; the tests that need it are skipped" >&2; \
		done; \
	fi

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The pages of docs/ that are written from the code; a test compares them.
reference: $(VENV)/project.stamp
	$(PY) -m guardsvc.cli.reference docs

# Keeps the locked versions that still fit; ARGS=--upgrade takes the newest.
lock: $(VENV)/dev.stamp
	$(LOCK) pyproject.toml --group dev --output-file requirements-dev.lock
	$(LOCK) pyproject.toml --constraints requirements-dev.lock --output-file requirements.lock
	$(LOCK) --group build --constraints requirements-dev.lock --output-file requirements-build.lock
	$(LOCK) --group parity --output-file requirements-parity.lock
	$(LOCK) --group wording --output-file requirements-wording.lock

clean:
	rm -rf $(VENV) $(PARITY) guardsvc/_proto build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/created.stamp $(PARITY)/created.stamp:
	@for python in $(PYTHONS); do \
		if $$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "making $(@D) with $$python"; \
			$$python -m venv --clear $(@D) && touch $@; exit; \
		fi; \
	done; \
	echo "guardsvc needs Python 3.11 or newer with venv; none of $(PYTHONS) is" >&2; exit 1

$(VENV)/runtime.stamp: requirements.lock requirements-build.lock $(VENV)/created.stamp
	@echo "installing requirements.lock"
	@$(PY) $(INSTALL) --require-hashes -r requirements.lock -r requirements-build.lock
	@touch $@

$(VENV)/project.stamp: $(PROJECT) $(VENV)/runtime.stamp
	@$(PY) $(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/project.stamp
	@echo "installing requirements-dev.lock"
	@$(PY) $(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

$(PARITY)/parity.stamp: requirements-parity.lock $(PARITY)/created.stamp
	@echo "installing requirements-parity.lock"
	@$(PARITY)/bin/python $(INSTALL) --require-hashes -r requirements-parity.lock
	@touch $@
