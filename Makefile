# Everything runs in .venv, which is made from requirements.lock the first time it is needed and again when that changes.
# All it takes is make and Python 3.11 or later; `make PYTHON=/path/to/python3 …` names one.

.DEFAULT_GOAL := help
.PHONY: help demo up test test-compose bench lint style format contract dashboard lock clean
.DELETE_ON_ERROR:

VENV := .venv
NAUTILUS := .venv-nautilus
BIN := $(VENV)/bin
TYPES = $(BIN)/pyright --pythonpath $(BIN)/python
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
PYTHON ?=
PYTHONS := $(or $(PYTHON),python3.13 python3.12 python3.14 python3.11 python3 python)
# Tests wait for a third of their time: three processes keep two cores busy.
TEST_PROCESSES ?= 3

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-12s %s\n' "$$name" "$$text"; done

demo: $(VENV)/.ready ## one real backtest, from an HTTP request to a stored result, watched live; leaves nothing running
	@exec $(BIN)/python -m deploy demo

up: $(VENV)/.ready ## keep servers, gateway and workers running on this machine, with their data in .backfleet
	@exec $(BIN)/python -m deploy up

# Whole files to each process, in their order: what a file starts or compiles is there once, and the last are short ones.
# Types are checked beside the tests, in the time that those wait; what is wrong with them is told at the end.
test: style $(VENV)/.peers ## lint, types and all tests
	@said=$$(mktemp); $(TYPES) >"$$said" 2>&1 & types=$$!; \
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder; tests=$$?; \
	wait $$types; types=$$?; [ $$types -eq 0 ] || cat "$$said"; rm -f "$$said"; exit $$((tests || types))

test-compose: $(VENV)/.ready ## docker-compose.yml for real: needs a Docker engine with Compose, and a quarter of an hour
	BACKFLEET_TEST_COMPOSE=1 $(BIN)/python -m pytest -s -v --durations=0 tests/e2e/test_compose_runs.py

bench: $(VENV)/.peers $(NAUTILUS)/.ready ## measure engine and service beside their peers
	$(BIN)/python -m tests.bench

lint: style ## style and types, changing nothing
	$(TYPES)

style: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.ready ## rewrite the code in its style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

contract: $(VENV)/.ready ## make docs/contract anew from the models
	@$(BIN)/python -m deploy.contract

dashboard: $(VENV)/.ready ## make the page that gateways serve anew from its source in api/dashboard
	@$(BIN)/python -m deploy.dashboard

RESOLVE := uv pip compile --universal --python-version 3.11 --upgrade --generate-hashes \
	--no-emit-index-url --no-header --no-annotate --quiet

# The last one is another world: nautilus_trader needs pandas 2, and that a dateutil of its time.
lock: $(VENV)/.ready ## resolve the dependencies of pyproject.toml anew into the lock files
	@PATH="$$PWD/$(BIN):$$PATH"; command -v uv >/dev/null || $(PIP) install --quiet uv; \
	$(RESOLVE) pyproject.toml --extra embedded --extra dev --output-file requirements.lock && \
	$(RESOLVE) pyproject.toml --constraint requirements.lock --output-file requirements-runtime.lock && \
	$(RESOLVE) pyproject.toml --extra exchanges --extra files --extra calendars --extra ai --extra mcp --constraint requirements.lock \
		--output-file requirements-extras.lock && \
	$(RESOLVE) pyproject.toml --extra peers --constraint requirements.lock --output-file requirements-peers.lock && \
	printf '%s\n' 'nautilus_trader==1.221.0' 'python-dateutil<3' | \
		$(RESOLVE) - --output-file tests/bench/requirements-nautilus.lock

clean: ## remove .venv and every cache; the data in .backfleet stays
	rm -rf $(VENV) $(NAUTILUS) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Two steps, each with a stamp of its own that is written last: what was interrupted is done again from its beginning,
# and a change of pyproject.toml alone does not fetch everything again.
$(VENV)/.locked: requirements.lock
	@python=; for one in $(PYTHONS); do \
		if command -v "$$one" >/dev/null 2>&1 && "$$one" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
		then python="$$one"; break; fi; done; \
	if [ -z "$$python" ]; then \
		echo "backfleet needs Python 3.11 or later and found none of: $(PYTHONS). Install one, or name it:" \
			"make PYTHON=/path/to/python3" >&2; exit 1; fi; \
	if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
		echo "$$python has no venv module. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; fi; \
	echo "making $(VENV) with $$("$$python" --version); the packages take a minute to download"; \
	rm -f $(VENV)/.locked $(VENV)/.ready && rm -rf $(VENV) && "$$python" -m venv $(VENV)
	@$(PIP) install --quiet --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.ready: $(VENV)/.locked pyproject.toml
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# Only tests and benchmarks compare with other engines, so only they wait for this download.
$(VENV)/.peers: requirements-peers.lock $(VENV)/.ready
	@echo "adding the packages that tests and benchmarks compare with"
	@$(PIP) install --quiet --require-hashes --no-build-isolation -r requirements-peers.lock
	@touch $@

# nautilus_trader cannot live beside our pandas, and has wheels for fewer machines: without it the benchmark leaves it out.
$(NAUTILUS)/.ready: tests/bench/requirements-nautilus.lock $(VENV)/.ready
	@echo "making $(NAUTILUS), 700 MB, for the benchmark beside nautilus_trader"
	@rm -rf $(NAUTILUS) && $(BIN)/python -m venv $(NAUTILUS)
	@if $(NAUTILUS)/bin/python -m pip --disable-pip-version-check --no-input install --quiet --only-binary :all: \
		--require-hashes -r $<; \
	then touch $@; else echo "nautilus_trader does not install here; the benchmark goes on without it" >&2; fi
