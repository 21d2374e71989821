# Two commands are enough: make demo, make test. Each prepares .venv itself, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
TRAIN_STAMP := $(VENV)/.installed-train
SOURCES := pyproject.toml constraints.txt

.PHONY: demo test lint bench chaos format clean help
.DEFAULT_GOAL := help

help: ## Show the targets.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "preparing $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): $(SOURCES) | $(BIN)/python
	@echo "installing what the platform needs (some 1.5 GB on disk, once) ..."
	@$(PIP) --editable .
	@touch $@

$(DEV_STAMP): $(RUN_STAMP)
	@echo "installing what the tests and linters need ..."
	@$(PIP) --editable '.[dev]'
	@touch $@

$(TRAIN_STAMP): $(DEV_STAMP)
	@echo "installing torch for training (some 5 GB on disk, once) ..."
	@$(PIP) --editable '.[train]'
	@touch $@

demo: $(RUN_STAMP) ## Run the whole platform on the simulated venue and show it.
	@$(BIN)/quantum demo

test: $(TRAIN_STAMP) ## Run the tests; they start their own servers.
	@$(BIN)/python -m pytest

bench: $(DEV_STAMP) ## Measure the parts beside peers; writes .quantum/bench.json.
	@$(BIN)/python -m tests.bench

chaos: $(DEV_STAMP) ## Kill workers and broker under load for half an hour; writes .quantum/chaos.json.
	@$(BIN)/python -m tests.consistency.chaos
	@$(BIN)/python -m tests.consistency.pipeline
	@$(BIN)/python -m tests.consistency.history
	@$(BIN)/python -m tests.consistency.day
	@$(BIN)/python -m pytest -m campaign

lint: $(DEV_STAMP) ## Check style, types, layers and generated files.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m schemas.generate --check

format: $(DEV_STAMP) ## Format the code.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove the environment and caches; data under .quantum stays.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
