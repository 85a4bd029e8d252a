# Every task of this project. Needs Python >= 3.11 with venv, and make.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(PYTHON) .ci/environment.py $(VENV)
PYTEST := $(BIN)/python -m pytest
PYTEST_ARGS ?=
# Many tests wait for real processes, so run three times as many as there are cores.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(3 * (os.cpu_count() or 1))')
# The tests start hundreds of programs; if this were set, each would compile every module again.
export PYTHONDONTWRITEBYTECODE :=
# The store that the tests use. With postgresql, a server that they start, and only those that open a store.
STORE ?= sqlite
STORE_TESTS ?= $(if $(filter postgresql,$(STORE)),$(addprefix tests/bot_service/,access api messages operations sessions store webhooks) tests/dialects tests/upgrade/test_postgresql_schema.py)
MINUTES ?= 60
SECONDS ?= 60
UV_COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header

.DEFAULT_GOAL := help
.PHONY: help venv install clients up test check static lint types imports security deploy-check audit lock sbom soak test-deep test-wire \
	bench-detection bench-sessions bench-wire bench-faults bench-attack docs translations images screenshots containers clean

help: ## Show all targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- environment ---

# What the programs need: the packages of both, this folder on the path, and the command `veilleur`. Compiled once, or both programs
# do it at the same time at their first start, and the watchdog pings a bot that still compiles.
$(VENV)/.runs: bot_service/requirements.lock watchdog/requirements.lock
	@$(INSTALL) bot_service/requirements.lock watchdog/requirements.lock
	@echo '$(CURDIR)' > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/veilleur.pth"
	@printf '#!%s\nfrom shared.tools.cli.main import main\n\nmain()\n' '$(CURDIR)/$(BIN)/python' > $(BIN)/veilleur
	@chmod +x $(BIN)/veilleur
	@echo 'Compiling the programs'
	@$(BIN)/python -c 'import bot_service.__main__, bot_service.engines.worker.main, watchdog.__main__, shared.tools.local_run'
	@$(BIN)/python -m shared.web.ui.template_environment bot_service/dashboard watchdog/status
	@touch $@

# What tests and checks need in addition. One collection compiles what the tests import; otherwise every worker of the first
# run compiles all of it at the same time.
$(VENV)/.tests: $(VENV)/.runs tests/requirements.lock
	@$(INSTALL) tests/requirements.lock
	@echo 'Compiling the modules of the tests'
	-@$(PYTEST) --collect-only -qq -n0 -p no:cacheprovider >/dev/null
	@touch $@

venv: $(VENV)/.tests ## Create the virtual environment with everything in it

# Programs of other projects that tests run as they are. Needs npm. Each is in a folder of its own, because some have modules of
# the same name; what else those for Python need is in the environment.
PYTHON_CLIENTS := $(wildcard tests/dialects/clients/waha*.lock)

$(VENV)/.clients: tests/dialects/clients/npm.lock $(PYTHON_CLIENTS) $(VENV)/.tests
	.ci/npm_clients.sh tests/dialects/clients/npm.lock $(VENV)/clients
	for lock in $(PYTHON_CLIENTS); do $(BIN)/python -m pip --disable-pip-version-check install -q --no-deps --no-compile \
		--require-hashes --only-binary :all: --target $(VENV)/clients/$$(basename $$lock .lock) -r $$lock || exit; done
	touch $@

clients: $(VENV)/.clients ## Fetch the clients of other projects with which the tests of the dialects run

clean: ## Remove the virtual environment, caches and build results (never data/)
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# --- run ---

# Compiled, because the programs' user need not be allowed to write here (docs/systemd.md).
install: $(VENV)/.runs ## Install what the programs need, without starting them
	@echo 'Compiling'
	@$(BIN)/python -m compileall -q -j 0 bot_service watchdog shared $(VENV)/lib

up: $(VENV)/.runs ## Start the bot service and the watchdog; Ctrl-C stops both
	@exec $(BIN)/python -m shared.tools.local_run

# --- tests ---

test: $(VENV)/.tests ## Run all tests except the slowest; those of the store with STORE=postgresql
	STORE=$(STORE) $(PYTEST) -n $(WORKERS) --dist worksteal -m "not deep" $(PYTEST_ARGS) $(STORE_TESTS)

test-deep: $(VENV)/.tests ## Run the slowest tests: every fault on the running service, a kill at every line, ten times the examples
	EXAMPLES=10 $(PYTEST) -n $(WORKERS) --dist worksteal -m "deep or properties" $(PYTEST_ARGS)

test-wire: $(VENV)/.tests ## Run the tests of the real engine against the fake WhatsApp server
	$(PYTEST) -n $(WORKERS) --dist worksteal tests/wire tests/contracts/engines tests/fake_whatsapp_tests $(PYTEST_ARGS)

soak: $(VENV)/.tests ## Run both programs for MINUTES=60 with random faults
	$(BIN)/python -m tests.bench.soak --minutes $(MINUTES)

bench-detection: $(VENV)/.tests ## Measure the time from fault to alert
	$(BIN)/python -m tests.bench.detection

bench-sessions: $(VENV)/.tests ## Measure memory and latency by number of sessions
	$(BIN)/python -m tests.bench.sessions

bench-wire: $(VENV)/.tests ## Measure the real engine against the fake WhatsApp server
	$(BIN)/python -m tests.bench.wire

bench-faults: $(VENV)/.tests ## Cause every fault on the running service and print the reactions
	$(BIN)/python -m tests.faults

bench-attack: $(VENV)/.tests ## Attack both programs at work as strangers can, SECONDS=60 for each attack
	$(BIN)/python -m tests.attack --seconds $(SECONDS)

# --- checks ---

check: static test ## Lint, types, import contracts, security, deployment files, then every test

static: lint types imports security deploy-check ## All checks that do not run the programs

lint: $(VENV)/.tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYBABEL=$(BIN)/pybabel .ci/translations.sh --check
	$(BIN)/codespell
	$(BIN)/python .ci/plain_english.py

types: $(VENV)/.tests
	$(BIN)/mypy

imports: $(VENV)/.tests
	$(BIN)/lint-imports

# Needs no outside network: bandit looks for known mistakes in the code, pip checks the installed packages.
security: $(VENV)/.tests
	$(BIN)/bandit -q -r bot_service watchdog shared -c pyproject.toml
	$(BIN)/python .ci/check_installed.py

deploy-check: $(VENV)/.tests
	$(BIN)/hadolint Dockerfile.bot Dockerfile.watchdog
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/python -m monitoring.board --check
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run $$(git ls-files '*.sh'); else echo 'shellcheck is not installed: scripts not checked'; fi
	@if command -v promtool >/dev/null; then promtool check rules monitoring/rules/*.yml; else echo 'promtool is not installed: rules not checked'; fi

audit: $(VENV)/.tests ## Look up known vulnerabilities of the locked packages (asks a service on the internet)
	for lock in bot_service watchdog; do $(BIN)/pip-audit --disable-pip --require-hashes -r $$lock/requirements.lock || exit 1; done

# --- releases ---

lock: ## Resolve the dependencies again (needs uv)
	$(UV_COMPILE) --extra bot pyproject.toml -o bot_service/requirements.lock
	$(UV_COMPILE) --extra watchdog pyproject.toml -o watchdog/requirements.lock
	$(UV_COMPILE) --extra bot --extra mcp --extra s3 --extra watchdog --extra dev -c bot_service/requirements.lock -c watchdog/requirements.lock pyproject.toml -o tests/requirements.lock
	grep '^pip==' tests/requirements.lock | tr -d '\\' | $(UV_COMPILE) - -o .ci/pip.lock

sbom: $(VENV)/.tests ## Write the bills of materials of both images to build/
	$(BIN)/python .ci/sbom.py

screenshots: $(VENV)/.tests ## Take the pictures in docs/screenshots again (needs Debian's Chromium)
	SCREENSHOTS=$(CURDIR)/docs/screenshots $(PYTEST) tests/faces/test_browser.py tests/faces/test_operator_browser.py tests/faces/test_webhook_browser.py

images: ## Build both images
	docker build -f Dockerfile.bot -t veilleur-bot .
	docker build -f Dockerfile.watchdog -t veilleur-watchdog .

containers: $(VENV)/.tests ## Test images and compose file on a running Docker engine, or start one (Debian, root)
	.ci/containers

translations: $(VENV)/.tests ## Bring the translators' files in step with the texts of the pages and compile them; ADD=de adds a language
	PYBABEL=$(BIN)/pybabel .ci/translations.sh $(ADD)

docs: $(VENV)/.tests ## Generate .env.example, docs/configuration.md, docs/cli.md, docs/architecture.svg and the Grafana board from the code
	$(BIN)/python -m tests.deploy.documents --write
	$(BIN)/python -m monitoring.board --write
