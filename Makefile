# Two commands matter: `make demo` and `make test`. `make help` lists the others.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCKS := deploy/locks
ASYNCAPI := tests/contracts/asyncapi
SHELL := /bin/bash

KAFKA ?= embedded
# These start Apache Kafka themselves, and need Java for it.
ON_APACHE := tests/integration/local/apache tests/integration/security
# These take minutes of their own; TESTS=tests/integration runs them on the embedded broker too.
LONG := tests/integration/dlq tests/integration/engine tests/integration/reconcile tests/integration/local/test_real_services.py \
  tests/integration/local/test_stack.py tests/integration/matching/test_any_order.py tests/integration/matching/test_worker.py
WORKERS := -n 3 --dist loadgroup
ifeq ($(KAFKA),embedded)
  TESTS ?= $(ON_APACHE:%=--ignore=%) $(LONG:%=--ignore=%)
else ifeq ($(KAFKA),apache)
  TESTS ?= tests/integration tests/e2e
else
  TESTS ?= tests/integration tests/e2e $(ON_APACHE:%=--ignore=%)
  ifneq ($(KAFKA),docker)
    # On one cluster for all, each test that wants the topics to itself must be alone.
    WORKERS := -n 0
  endif
endif

.DEFAULT_GOAL := help
.PHONY: help demo up test chaos bench import fuzz check format lock contracts asyncapi clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.local ## play six months of a programme on the embedded stack (HR_FILE=… MAPPING=… for real HR records)
	@$(BIN)/updraft demo $(if $(HR_FILE),--hr-file '$(HR_FILE)') $(if $(MAPPING),--mapping '$(MAPPING)') $(DEMO_ARGS)

up: $(VENV)/.local ## run the embedded stack until Ctrl-C, with its data in .updraft/
	@$(BIN)/updraft up $(UP_ARGS)

test: $(VENV)/.dev ## run the tests (KAFKA=apache|docker|host:port: all that need a broker, on that one)
	@$(BIN)/python -m pytest $(WORKERS) --kafka '$(KAFKA)' $(TESTS) $(TEST_ARGS)

chaos: $(VENV)/.dev ## kill everything under load, then look for what was lost (SEED=… MINUTES=10 KAFKA=apache|embedded NODES=1|3)
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) --minutes $(or $(MINUTES),10) \
	  --kafka $(if $(filter file,$(origin KAFKA)),apache,$(KAFKA)) --nodes $(or $(NODES),1) $(CHAOS_ARGS)

bench: $(VENV)/.dev ## measure the backbone on Apache Kafka, and matching against others (BENCH_ARGS='--only relay --quick', '--only scale' for 100,000 people)
	@$(BIN)/python -m tests.bench $(BENCH_ARGS)

import: $(VENV)/.dev ## send a company of a million through the whole stack on Apache Kafka (PEOPLE=…)
	@$(BIN)/python -m tests.load import --people $(or $(PEOPLE),1000000) $(LOAD_ARGS)

fuzz: $(VENV)/.dev ## send 100,000 broken records among good ones through the whole stack (RECORDS=… SEED=…)
	@$(BIN)/python -m tests.load fuzz --records $(or $(RECORDS),100000) \
	  $(if $(SEED),--seed $(SEED)) $(LOAD_ARGS)

check: $(VENV)/.dev ## format, lint, types, import contracts, event contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/updraft contracts check

format: $(VENV)/.dev ## write the code in the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

contracts: $(VENV)/.dev ## write the JSON Schemas and AsyncAPI documents of the event catalogue anew
	$(BIN)/updraft contracts write

asyncapi: $(ASYNCAPI)/node_modules/.package-lock.json ## read the AsyncAPI documents with the official parser (needs Node.js)
	@node $(ASYNCAPI)/check.mjs shared/contracts/asyncapi

$(ASYNCAPI)/node_modules/.package-lock.json: $(ASYNCAPI)/package-lock.json
	@command -v npm >/dev/null || { echo 'make asyncapi needs Node.js 18 or newer, with npm'; exit 1; }
	@cd $(ASYNCAPI) && npm ci

lock: $(VENV)/.dev ## resolve the lock files anew from pyproject.toml
	for extra in registration matching notifications metrics local dev; do \
	  $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	    --extra $$extra --extra build --generate-hashes --no-annotate --no-header \
	    --no-emit-index-url --output-file $(LOCKS)/$$extra.txt $(LOCK_ARGS) || exit 1; \
	done

clean: ## remove what the other commands made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis $(ASYNCAPI)/node_modules

# Hashes are checked; nothing is built but this project itself, in place.
$(VENV)/.%: $(LOCKS)/%.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'Updraft needs Python 3.11 or newer; name one: make PYTHON=python3.12 …'; exit 1; }
	@test -x $(BIN)/python || { echo 'Making $(VENV) …'; $(PYTHON) -m venv $(VENV); }
	@echo 'Installing what $< lists (about a minute) …'
	@$(BIN)/python -m pip install --disable-pip-version-check --no-input --progress-bar on -q \
	  --require-hashes --only-binary :all: -r $<
	@$(BIN)/python -m pip install --disable-pip-version-check --no-input -q \
	  --no-deps --no-build-isolation --editable .
	@touch $@
