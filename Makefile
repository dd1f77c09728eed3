# PM Strength. `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DENO := $(CURDIR)/$(BIN)/deno
STAMP := $(VENV)/.installed
# Each process has a stack of its own; the tests of a file stay together, as they share what they learned.
PARALLEL := -n logical --maxprocesses 4 --dist loadfile
# All that must pass before a merge: the steps of `make check`, and so of .ci/run and the workflow.
CHECKS := test lint test-functions bench-mining test-slow test-faults test-engines test-pg15 test-image
SHORT := SHAPES=S1 FAULTS=short PG15=short

.DEFAULT_GOAL := help
.PHONY: help setup demo check test test-slow test-all test-functions test-faults test-engines test-pg15 test-image fuzz bench bench-mining bench-learn bench-capture bench-runtime bench-engines types lint fmt clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort | awk -F'\t' '{printf "  %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv with all that running and testing needs

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[worker,parquet,evaluate,local,dev]'
	@touch $@

check: ## all that must pass before a merge, each step with its time
	@for step in $(CHECKS); do \
		printf '\n== make %s ==\n' "$$step"; began=$$(date +%s); \
		$(MAKE) --no-print-directory "$$step" $(SHORT) || exit 1; \
		printf '== make %s: %s s ==\n' "$$step" $$(($$(date +%s) - began)); \
	done

demo: setup ## learn from 2,932 simulated trades on real candles of 7 pairs, explain one size, and say if it pays
	$(BIN)/pm-strength demo

test: setup ## unit and integration tests (embedded Postgres 18)
	$(BIN)/pytest $(PARALLEL) -m 'not slow and not faults and not engines'

test-slow: setup ## the tests that `make test` leaves out
	$(BIN)/pytest -m 'slow and not faults and not engines'

test-all: ## the steps of `make check` at full length
	@$(MAKE) --no-print-directory check SHORT=SHAPES=S1

test-functions: setup ## the edge functions (deno test)
	cd supabase/functions && "$(DENO)" test --quiet --allow-env --allow-read

types: setup ## the database's types for the edge functions, generated anew from the migrations
	$(BIN)/python -m tools.database_types

test-faults: setup ## kills, crashes and outages on the real stack (FAULTS=short: less of each)
	$(BIN)/pytest tests/faults

test-engines: $(VENV)/.engines ## mining on a real Dask and a real Spark, with workers killed (installs Java, as root)
	$(BIN)/python -m tools.engines
	$(BIN)/pytest tests/engines

fuzz: setup ## 10,000 strands with anything in any place
	FUZZ=10000 $(BIN)/pytest tests/faults/test_poison.py tests/faults/test_poison_at_the_door.py

test-image: setup ## build the worker's image with buildah and run it (installs buildah, as root)
	$(BIN)/python -m tools.image

bench: bench-mining bench-learn bench-capture bench-runtime ## all benchmarks, as ratios in one run

bench-mining: $(VENV)/.bench ## mining beside DuckDB, Polars and the source's recursion (SHAPES="S1 S2": some)
	$(BIN)/python -m tests.benchmarks.mining $(SHAPES)

bench-learn: setup ## `learn` by phase, WAL and size, at 10,000 to 1,000,000 events (SIZES="10000": some)
	$(BIN)/python -m tests.benchmarks.learn $(SIZES)

bench-capture: setup ## capture beside the source's way, a bare loop and COPY; load and latency
	$(BIN)/python -m tests.benchmarks.capture

bench-runtime: setup ## the book in memory beside the source's query and blend
	$(BIN)/python -m tests.benchmarks.runtime

bench-engines: $(VENV)/.engines ## local mining beside Spark and Dask (SIZES="100000": some)
	$(BIN)/python -m tools.engines
	$(BIN)/python -m tests.benchmarks.engines $(SIZES)

$(VENV)/.engines: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dask,spark]'
	@touch $@

$(VENV)/.bench: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

test-pg15: setup ## SQL tests (pgTAP) and integration tests on Debian's Postgres 15 (installs it if root; PG15=short)
	PARALLEL="$(PARALLEL)" PG15=$(PG15) $(BIN)/python -m tools.pg15

lint: setup ## format, lint, types, direction of imports
	$(BIN)/ruff format --check worker tests tools examples
	$(BIN)/ruff check worker tests tools examples
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	cd supabase/functions && "$(DENO)" fmt --check --quiet && "$(DENO)" lint --quiet && "$(DENO)" check --quiet .

fmt: setup ## format and fix what can be fixed
	$(BIN)/ruff format worker tests tools examples
	$(BIN)/ruff check --fix worker tests tools examples
	cd supabase/functions && "$(DENO)" fmt --quiet

clean: ## remove what was built, keep data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
