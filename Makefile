# Two commands for newcomers: `make screen` and `make test`. The environment is made once and reused.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# a local mirror of the public data sets, if there is one beside the checkout
MIRROR := $(wildcard ../shared/data)
export IONSMITH_DATA ?= $(abspath $(MIRROR))
WORKERS ?= 2

.PHONY: help install screen design test test-slow lint format types check clean

help:
	@echo "make screen   screen the built-in library into runs/screen/ (installs first if need be)"
	@echo "make design   invent materials for the default targets into runs/design/"
	@echo "make test     run the test suite (installs first if need be)"
	@echo "make check    lint and types"

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $(STAMP)

install: $(STAMP)

screen: $(STAMP)
	$(BIN)/ionsmith screen --out runs/screen --workers $(WORKERS) --resume

design: $(STAMP)
	$(BIN)/ionsmith design --out runs/design --workers $(WORKERS) --resume

test: $(STAMP)
	$(BIN)/python -m pytest --durations=10

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: lint types

clean:
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache
