# Everything a newcomer needs is a target here; `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Else each of the thousand programs of a run compiles fluxlab again, which is a third of what a short command takes.
unexport PYTHONDONTWRITEBYTECODE
# On two cores: tests wait a third of their time. Each takes a gigabyte of memory or two.
WORKERS ?= 3

.PHONY: help linux setup lab down test check unit node-image verify-kind verify bench matrix format clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: fluxlab needs Python 3.11 or newer; next: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@command -v git >/dev/null || { echo "error: git is not installed"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

linux:
	@[ "$$(uname)" = Linux ] || { echo "error: labs run on Linux only, so far (docs/platforms.md)"; exit 1; }

setup: linux $(VENV)/installed ## Make .venv and the toolchain (15 to 20 minutes on two cores, once)
	@$(BIN)/fluxlab toolchain build

lab: setup ## Start the playground: Flux rolls out the OpenTelemetry demo (BACKEND=kind: in real containers)
ifeq ($(BACKEND),kind)
	@$(BIN)/fluxlab toolchain build --with kind
endif
	@$(BIN)/fluxlab up playground --clone fleet $(if $(BACKEND),--backend $(BACKEND)) $(if $(filter kind,$(BACKEND)),--nodes 2 --timeout 400)
	@echo; echo "fluxlab is in $(BIN): export PATH=\"$(CURDIR)/$(BIN):\$$PATH\""

down: $(VENV)/installed ## End the playground
	@$(BIN)/fluxlab down playground

check: $(VENV)/installed ## Lint, types, the import contract and unit tests (under a minute)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -n $(WORKERS) tests/unit

unit: $(VENV)/installed ## Unit tests alone
	$(BIN)/pytest -q -n $(WORKERS) tests/unit

test: setup check ## Set up everything, then run the checks and the tests on the real programs (not those of `make verify`)
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m 'not verify' tests/integration tests/backends examples

node-image: setup ## A kind node image that holds Flux's, the demo's and the agent's images (15 minutes, once; root, Docker)
	$(BIN)/fluxlab toolchain build --with kind
	$(BIN)/python -m tools.node_image
	$(BIN)/python -m tools.workload_images policy

verify-kind: setup ## The tests on real containers, with a Docker daemon of their own (root, Debian)
	$(BIN)/python -m tools.verify_kind

verify: setup ## What is too long for `make test`: complete matrices; goes on where it was interrupted
	$(BIN)/python tools/verify.py --workers $(WORKERS)

bench: setup ## Measure: start, convergence, memory, idle CPU, isolation, drift, rehearsals
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/convergence.py
	$(BIN)/python benchmarks/isolation.py
	$(BIN)/python benchmarks/drift.py
	$(BIN)/python benchmarks/rehearsals.py

matrix: setup ## Measure who sees which edit by hand, for docs/drift-matrix.md
	$(BIN)/python -m tools.drift_matrix

format: $(VENV)/installed ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## Remove what was built here; the toolchain's cache stays
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
