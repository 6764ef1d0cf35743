# `make` lists the targets. Everything is installed into .venv, from the versions pinned in constraints.txt.

PYTHON ?= python3
BIN := .venv/bin
# A constraint in the environment, unlike one on the command line, also reaches what a build needs.
INSTALL := PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-versions check format bench docs

help:
	@sed -n 's/^\([a-z-]*\):.*  ## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup: .venv/setup  ## create .venv with the masknet command and all that its verbs need

demo: .venv/setup  ## compare MaskNet with two baselines on a public click log, and write a page on it
	$(BIN)/masknet demo

# One thread a process: two workers share the cores, and a test's sums do not depend on how many there are.
test: .venv/develop  ## run all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-versions:  ## run all tests on the wheel, with the lowest versions it declares and with the pinned ones
	$(PYTHON) scripts/test_versions.py

check: .venv/develop  ## check format, lint, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: .venv/develop  ## write the format, and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# In minutes; `make bench BENCH=full` takes the sizes that the ratios are claimed for.
BENCH ?= short
bench: .venv/setup  ## measure all stages beside their baselines, and write docs/speed.md
	$(BIN)/python benchmarks/speed.py --form $(BENCH)

docs: .venv/develop  ## run the commands and code blocks of the README and the docs
	$(BIN)/python -m pytest tests/test_docs.py

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else 1)' || \
	{ echo "masknet needs Python 3.11 to 3.13, and $(PYTHON) is $$($(PYTHON) --version 2>&1); name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/setup: .venv/python pyproject.toml constraints.txt
	$(INSTALL) --editable '.[trees,pandas,report,tune]'
	@touch $@

.venv/develop: .venv/python pyproject.toml constraints.txt
	$(INSTALL) --editable '.[dev,trees,pandas,report,tune]'
	@touch $@ .venv/setup
