# Everything runs in .venv, which is made from requirements.lock the first time it is needed and again when that changes.
# All it takes is make and Python 3.11 or later; `make PYTHON=/path/to/python3 …` names one.

.DEFAULT_GOAL := help
.PHONY: help demo up test bench lint format lock clean
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
PYTHON ?=
PYTHONS := $(or $(PYTHON),python3.13 python3.12 python3.14 python3.11 python3 python)
TEST_PROCESSES ?= 2

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-8s %s\n' "$$name" "$$text"; done

demo: $(VENV)/.ready ## one real backtest, from an HTTP request to a stored result, watched live; leaves nothing running
	@exec $(BIN)/python -m deploy demo

up: $(VENV)/.ready ## keep servers, gateway and workers running on this machine, with their data in .backfleet
	@exec $(BIN)/python -m deploy up

test: lint ## lint, types and all tests
	$(BIN)/python -m pytest -n $(TEST_PROCESSES)

bench: $(VENV)/.ready ## measure the service on real servers beside its peers
	$(BIN)/python -m tests.bench

lint: $(VENV)/.ready ## style and types, changing nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.ready ## rewrite the code in its style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

RESOLVE := uv pip compile pyproject.toml --universal --python-version 3.11 --upgrade --generate-hashes \
	--no-emit-index-url --no-header --no-annotate --quiet

lock: $(VENV)/.ready ## resolve the dependencies of pyproject.toml anew into both lock files
	@PATH="$$PWD/$(BIN):$$PATH"; command -v uv >/dev/null || $(PIP) install --quiet uv; \
	$(RESOLVE) --all-extras --output-file requirements.lock && \
	$(RESOLVE) --constraint requirements.lock --output-file requirements-runtime.lock

clean: ## remove .venv and every cache; the data in .backfleet stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
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
