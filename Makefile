# Two commands for a fresh machine: `make demo` and `make test`. Both install first what is missing.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help install demo test lint models clean

help:           ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

install: .venv/installed  ## create .venv with everything that was tested; does nothing when pyproject.toml has not changed

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys, venv; sys.version_info >= (3, 11) or sys.exit("dcsim needs Python 3.11 or newer, this is %d.%d; say which with make PYTHON=..." % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[torch,test]'
	@touch $@

demo: install   ## the main job on real digits: compress LeNet-300-100 afresh, replay it on the SoC, say whether it fits
	$(BIN)/dcsim run lenet-300-100 --soc mobile45 --fps 20 --budget phone --fresh

lint: install   ## style, types and the direction of imports
	$(BIN)/ruff check dcsim tests
	$(BIN)/ruff format --check dcsim tests
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint      ## the whole test suite
	$(BIN)/pytest
