# `make help` lists the targets. Everything is installed into $(VENV); nothing outside the tree is touched except by
# `make test`, which installs Debian packages where it may, and by the builds of the native stack, which are cached in
# ~/.cache/spanguard (or $SPANGUARD_CACHE).

VENV ?= .venv
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := $(VENV)/bin
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python --constraints constraints.txt --editable

.DEFAULT_GOAL := help
.PHONY: help demo demo-stack stack-build stack-up stack-down stack-images test test-fast fuzz lint format bench growth threats-report docs signals curves dashboards constraints clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## Break a real app and watch its guards, Python alone (first signal within a minute)
	@$(BIN)/python -m tge_monitor.demo

demo-stack: $(VENV)/.demo ## The same on the real stack: collector, Jaeger, Prometheus, VictoriaLogs, Alertmanager (needs Go once)
	@$(BIN)/python -m tge_monitor.demo --stack

stack-build: $(VENV)/.demo ## Build the servers of the stack (about 8 minutes, once)
	@$(BIN)/spanguard stack build

stack-up: $(VENV)/.demo ## Start the stack
	@$(BIN)/spanguard stack up

stack-down: $(VENV)/.demo ## Stop the stack
	@$(BIN)/spanguard stack down

stack-images: $(VENV)/.demo ## Put the servers into container images, for docker-compose.local.yml (needs Docker)
	@$(BIN)/spanguard stack images

test: ## Everything: installs what it needs, builds the stack, runs all checks, ends with one summary
	@test -n "$(PYTHON)" || { echo "No CPython >= 3.11 with venv was found. On Debian: apt-get install python3 python3-venv"; exit 2; }
	@$(PYTHON) scripts/run_tests.py

test-fast: $(VENV)/.dev ## The tests that need no server, in less than a minute
	@$(BIN)/pytest -q -n auto -m "not slow and not stack and not docker and not go" tests/unit tests/property

fuzz: $(VENV)/.dev ## The long run of the tests that try any input: SPANGUARD_FUZZ cases each, 200,000 if not said
	@SPANGUARD_FUZZ=$${SPANGUARD_FUZZ:-200000} $(BIN)/pytest -q -n auto --timeout=0 -m fuzz tests/unit tests/property

lint: $(VENV)/.dev ## Ruff, mypy strict, import-linter
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.dev ## Format, and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.dev ## Measure the figures, as ratios to a peer in the same run, and keep them in docs/benchmarks.md
	@$(BIN)/python benchmarks/run.py --write

growth: $(VENV)/.dev ## Check that ten times the input takes the validation at most twelve times as long
	@$(BIN)/python benchmarks/validation_growth.py

threats-report: $(VENV)/.dev ## What the threat rules find and miss, on public corpora: CORPORA=folder (scripts/threat_corpora.py)
	@test -n "$(CORPORA)" || { echo "Say where the corpora are: make threats-report CORPORA=folder. docs/threats.md tells which."; exit 2; }
	@$(BIN)/python scripts/threats_report.py "$(CORPORA)"

# Not --quiet: with it mkdocs does not count its warnings, and --strict lets everything pass.
docs: $(VENV)/.dev ## Build the documentation, strictly, into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

signals: $(VENV)/.dev ## Write docs/signals.md anew from the registry
	@$(BIN)/python docs/generate_signals.py

curves: $(VENV)/.dev ## Draw anew what each rate limiting strategy does
	@$(BIN)/python docs/draw_strategies.py

dashboards: $(VENV)/.dev ## Write grafana/json anew from the code
	@$(BIN)/python -m grafana.build

constraints: $(VENV)/.dev ## Pin the newest versions that fit, in constraints.txt
	@$(BIN)/uv pip compile --quiet --upgrade --universal --all-extras --no-emit-index-url --no-emit-find-links \
		--no-annotate --no-header --python-version 3.11 pyproject.toml --output-file constraints.txt

clean: ## Remove what the other targets made inside the tree
	rm -rf $(VENV) .spanguard site dist build .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/uv:
	@test -n "$(PYTHON)" || { echo "No CPython >= 3.11 with venv was found. On Debian: apt-get install python3 python3-venv"; exit 2; }
	@echo "Making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.6'

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/uv
	@echo "Installing spanguard and its demo into $(VENV)"
	@$(INSTALL) '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/uv
	@echo "Installing spanguard and its tools into $(VENV)"
	@$(INSTALL) '.[dev]'
	@touch $@ $(VENV)/.demo
