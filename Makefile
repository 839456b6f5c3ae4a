# One command each, the same here and in CI. `make help` lists them.
VENV ?= .venv
PY := $(VENV)/bin/python
WEIR := $(VENV)/bin/weir
PIP := $(PY) -m pip install --quiet --disable-pip-version-check --no-deps
export ORT_DISABLE_TELEMETRY := 1

.PHONY: help install install-dev demo check check-units test faults test-box test-box-small \
	test-box-limits test-arm64 bench model lock man deb apt-repo clean
.DELETE_ON_ERROR:

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | while IFS='	' read -r name text; do \
		printf '  make %-15s %s\n' "$$name" "$$text"; done

# A stamp in the environment says what was installed; it is older than what it was made from when
# that has changed.
$(VENV)/.run: requirements/build.txt requirements/run.txt pyproject.toml
	@echo "Installing Weir into $(VENV): about 170 MB, once. This takes a minute or two."
	@packaging/venv.sh $(VENV)
	@$(PIP) --require-hashes -r requirements/build.txt -r requirements/run.txt
	@$(PIP) --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@echo "Installing what checks and tests need into $(VENV), once."
	@$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

install: $(VENV)/.run ## install into .venv, every package pinned by hash
install-dev: $(VENV)/.dev ## the same, and what checks and tests need

demo: install ## a small plant, a gateway and a try-out hub: see what flows
	@$(WEIR) demo

check: install-dev ## format, lint, types, layers
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

check-units: ## how closed the systemd units are; each at most 2.0 of 10
	@packaging/check-units.sh

test: install-dev ## all tests, with real servers; a few minutes
	@tests/get-mosquitto.sh
	@tests/get-gstreamer.sh
	@tests/get-faketime.sh
	$(PY) -m pytest

test-box: install-dev ## a clean Debian 12 box: dist/*.deb from installation to purge; root, a minute
	@nice $(PY) -m tests.box amd64

test-box-small: install-dev ## the same with 1 GB and 2 cores under load; root
	@nice $(PY) -m tests.box small

test-box-limits: install-dev ## units held to memory and addresses in an emulated machine; root
	@nice $(PY) -m tests.box limits

faults: install-dev ## faults under load, by a seed (SEED=.. ROUNDS=1000); root for power cuts
	@tests/get-mosquitto.sh
	$(PY) -m tests.system.faults $(if $(SEED),--seed $(SEED)) --rounds $(or $(ROUNDS),100)

test-arm64: install-dev ## the same as test-box on an emulated arm64 board; root, many minutes
	@nice $(PY) -m tests.box arm64

bench: install-dev ## the figures of the README; a few minutes
	@tests/get-mosquitto.sh
	@tests/get-gstreamer.sh
	$(PY) -m benchmarks

model: install-dev ## make the shipped plugin's model anew
	$(PY) plugins/machine-anomaly/make_model.py
	$(PY) plugins/machine-anomaly/make_testcases.py

lock: ## resolve the pinned requirements anew (needs uv)
	requirements/lock.sh

man: install ## manual pages and shell completions into build/man
	@PYTHONPATH=. $(PY) packaging/make_man.py build/man

deb: ## Debian packages for amd64 and arm64 into dist/ (DIST=trixie: Debian 13; FAST=1: large, at once)
	@DIST="$(DIST)" FAST="$(FAST)" ARCHES="$(ARCHES)" packaging/deb.sh

apt-repo: ## a signed apt repository of those packages in dist/apt
	@packaging/apt-repo.sh

clean: ## remove what the commands above made
	rm -rf $(VENV) .tools build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache .hypothesis .box
