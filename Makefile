# Everything here needs only Python 3.11+ with venv, and make. `make help` lists the targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2

# Tests start hundreds of interpreters, and each test process imports all tests: without bytecode on disk, each compiles all of it again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
# Every target is phony.
.PHONY: $(shell grep -oE '^[a-z-]+:' $(firstword $(MAKEFILE_LIST)) | tr -d ':')

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/ready-demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,server]'
	@touch $@ $(VENV)/ready-demo

# It drives the system's Chromium, and does not download one.
$(VENV)/ready-browser: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[browser]'
	@touch $@

setup: $(VENV)/ready ## set up the development environment in .venv

demo: $(VENV)/ready-demo ## run the demo: cases of the retail desk, with approvals in the terminal (ARGS=--yes for scripts)
	$(BIN)/interlock demo $(ARGS)

serve: $(VENV)/ready ## serve the demo's cases with a console in the browser, on this machine; you decide for its customers (ARGS for more)
	$(BIN)/interlock serve --demo --development $(ARGS)

test: $(VENV)/ready ## run the tests, with a share of each large family; print the slowest 20 and the total time
	$(BIN)/python -m pytest -n $(WORKERS) --durations 20 $(ARGS)

test-full: $(VENV)/ready ## run the tests in every setting, not only in the share that `make test` takes
	INTERLOCK_FULL=1 INTERLOCK_ATTACKS=all HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

retest: $(VENV)/ready ## run the tests that failed last time again, one at a time
	$(BIN)/python -m pytest --last-failed --last-failed-no-failures none -n 0 $(ARGS)

lint: $(VENV)/ready ## check style, spelling, the words of the prose, and that imports between the packages run one way
	$(BIN)/ruff check src tests notebooks scripts docs/conf.py
	$(BIN)/ruff format --check src tests notebooks scripts docs/conf.py
	$(BIN)/lint-imports
	$(BIN)/codespell README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md Makefile docs/*.md docs/*/*.md src notebooks/*.py scripts
	$(BIN)/python -m scripts.prose

format: $(VENV)/ready ## fix style where a tool can
	$(BIN)/ruff check --fix src tests notebooks scripts docs/conf.py
	$(BIN)/ruff format src tests notebooks scripts docs/conf.py

docs: $(VENV)/ready ## build the manual into build/docs, offline; a warning is an error
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -d build/doctrees docs build/docs $(ARGS)

# Of its own: it brings Node.
.venv-pyright/ready: tests/typed/requirements.txt
	$(PYTHON) -m venv .venv-pyright
	.venv-pyright/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/typed/requirements.txt
	@touch $@

# The code of the pages and notebooks is checked as well, as modules in build/typed; pyright checks what applications see.
types: $(VENV)/ready .venv-pyright/ready ## check types, strictly: the package with mypy; the manual's code, the notebooks and tests/typed with pyright too
	$(BIN)/python -m tests.typed.pages build/typed
	$(BIN)/mypy
	$(BIN)/mypy build/typed
	.venv-pyright/bin/basedpyright --pythonpath $(BIN)/python

bench: $(VENV)/ready ## print the benchmarks, each as a ratio against a peer measured in the same run
	$(BIN)/python -m tests.benchmarks

bench-steps: $(VENV)/ready ## compare the cost of a step with LangChain's create_agent, as one table (ARGS="--stores NORMAL --turns 10" for a part)
	$(BIN)/python -m tests.benchmarks.steps $(ARGS)

profile: $(VENV)/ready ## print where a step's time goes, by package: calls, CPU, SQL statements, commits, bytes (ARGS="--shapes plain --functions 40")
	$(BIN)/python -m tests.profiling $(ARGS)

service: $(VENV)/ready ## run many threads of a long-running service and print its memory after each tenth (ARGS=100000 for the whole)
	$(BIN)/python -m tests.benchmarks.service $(ARGS)

chaos: $(VENV)/ready ## kill workflows at every fault point, a thousand times (ARGS="--kills 100" for fewer)
	$(BIN)/python -m tests.faults $(ARGS)

kills: $(VENV)/ready ## kill, stop and deploy workers under runs of the ready-made workflows (ARGS="--runs 10000 --kills 100 --stops 20 --restarts 1")
	$(BIN)/python -m tests.engines.kills $(ARGS)

queue-bench: $(VENV)/ready ## compare the cost of the queue with the same runs without it
	$(BIN)/python -m tests.benchmarks.engines $(ARGS)

# A separate environment, as for the mutants.
.venv-dbos/ready: pyproject.toml tests/engines/dbos.txt
	$(PYTHON) -m venv .venv-dbos
	.venv-dbos/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/engines/dbos.txt --editable '.[dev]'
	@touch $@

dbos: .venv-dbos/ready ## run workflows on DBOS as a second engine, and compare it with the queue
	.venv-dbos/bin/python -m pytest -n 0 tests/engines/test_dbos.py
	.venv-dbos/bin/python -m tests.benchmarks.engines $(ARGS)

attacks: $(VENV)/ready ## run all hostile replays on LangChain's own stack, the desk, an agent with the middleware, and from outside the graph, side by side, and with hostile MCP clients (ARGS="--share 5" for a few)
	$(BIN)/python -m tests.workflows.retail.attacks_report $(ARGS)
	$(BIN)/python -m tests.mcp.server.attacks_report $(ARGS)

# A separate environment: the tests do not need these packages.
.venv-mutants/ready: pyproject.toml tests/mutants/requirements.txt
	$(PYTHON) -m venv .venv-mutants
	.venv-mutants/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/mutants/requirements.txt --editable '.[dev]'
	@touch $@

mutants: .venv-mutants/ready ## change one thing in the core at a time, and see whether the tests notice (ARGS="rules/gate.py --sample 0" for all of a file)
	.venv-mutants/bin/python -m tests.mutants $(ARGS)

.venv-origins/ready: pyproject.toml tests/agentdojo/requirements.txt
	$(PYTHON) -m venv .venv-origins
	.venv-origins/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/agentdojo/requirements.txt --editable .
	@touch $@

origins: .venv-origins/ready ## replay AgentDojo's workspace and slack suites behind TrustedOrigins (ARGS="--share 10" for every tenth pair)
	.venv-origins/bin/python -m tests.agentdojo $(ARGS)

browser: $(VENV)/ready-browser ## test the console in Chromium, which must be installed: stories of several people, axe, light and dark themes, a phone
	INTERLOCK_FULL=1 INTERLOCK_REQUIRE_SERVERS=chromium $(BIN)/python -m pytest -n 0 tests/browser $(ARGS)

pictures: $(VENV)/ready-browser ## regenerate the README's screenshots of the console, in Chromium
	INTERLOCK_FULL=1 INTERLOCK_PICTURES=1 INTERLOCK_REQUIRE_SERVERS=chromium $(BIN)/python -m pytest -n 0 tests/browser/test_pictures.py

gallery: $(VENV)/ready ## write every picture and card, light and dark, into build/gallery; with Chromium as PNG too (look at them before you change one)
	$(BIN)/python -m tests.pictures.gallery build/gallery

fuzz: $(VENV)/ready ## fuzz the HTTP API from its own description (ARGS=200 for more examples of each operation)
	$(BIN)/python -m tests.serving.fuzz $(ARGS)

notebooks: $(VENV)/ready ## regenerate everything that is generated from code: outputs of the notebooks, the page of errors
	$(BIN)/python -m tests.notebooks.execution
	$(BIN)/python -m tests.docs.error_page

suite: $(VENV)/ready ## run LangGraph's own test-suite with the checkpointer: all of it on SQLite, a share on PostgreSQL (INTERLOCK_FULL=1 for all)
	$(BIN)/python scripts/langgraph_suite.py -n $(WORKERS) $(ARGS)

mcp: $(VENV)/ready ## start nine pinned public MCP servers from npm and PyPI, and call their tools (needs npm and the network)
	INTERLOCK_MCP=all $(BIN)/python -m pytest -n 0 tests/mcp/public $(ARGS)

mcp-conformance: $(VENV)/ready ## run MCP's conformance suite and the Inspector's command line against served workflows (npm needed)
	$(BIN)/python -m tests.mcp.conformance $(ARGS)

mcp-conformance-client: $(VENV)/ready ## run the client scenarios of the protocol's conformance suite (needs npm and the network; ARGS="--scenario tools_call" for one)
	$(BIN)/python -m tests.mcp.conformance_client $(ARGS)

test-lowest: ## run the tests against the lowest supported LangGraph 1.x
	scripts/test_against lowest $(PYTHON)

test-newest: ## run the tests against the newest LangGraph 1.x
	scripts/test_against newest $(PYTHON)

build: $(VENV)/ready ## build the sdist, and the wheel from it
	$(BIN)/python -m build

clean: ## remove the files that the targets above created
	rm -rf $(VENV) .venv-* .mutants dist build .pytest_cache .mypy_cache .ruff_cache .langgraph-suite .mcp-servers .mcp-conformance
