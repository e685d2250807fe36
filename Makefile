# The commands of this project. `make demo` and `make test` set everything up on a fresh machine.
PYTHON ?= python3
VENV ?= .venv
SUPPLY ?= $(VENV)/supply
BIN := $(VENV)/bin
SOURCES := chain consensus contracts node cli tests tools
SEEDS ?= 1000
FROM ?= 1
N ?=
MINUTES ?= 10
SEED ?=
DEPARTMENTS ?= 4
STATES ?= 1000000
EXECUTIONS ?= 100000
ENGINE ?= docker
BASE ?=
# Where it is set, every process of a test would compile all sources anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo test test-failed containers image check format lint types fast simulate simulate-nodes explore mutants chaos storage-faults soak chaos-clean release-check bench profile scale errors vectors lock wheel sbom audit supply-chain fuzz clean

help: ## this list
	@grep -E '^[a-z -]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(VENV)/.installed ## the virtual environment with Kehu and its tools

$(VENV)/.installed: pyproject.toml
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit("Kehu needs Python 3.11 or later, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: install ## six departments, real processes, the whole story; KEEP=1 leaves the network up
	@$(BIN)/python -m tools.demo $(if $(KEEP),--keep)

test: install ## every test but those of containers
	@$(BIN)/python -m pytest -q -n 2 --dist loadgroup --no-loadscope-reorder -m "not containers"

test-failed: install ## the tests that failed in the last run, one after the other
	@$(BIN)/python -m pytest -q -n 0 --last-failed --last-failed-no-failures none -m "not containers"

containers: install ## builds the image with podman, runs the six from docker/compose.yaml, tears everything down (root)
	@KEHU_TEST_CONTAINERS=1 $(BIN)/python -m pytest -q -p no:xdist -m containers tests/docker

image: ## BASE=IMAGE ENGINE=podman: the node's image, localhost/kehu:latest
	@$(ENGINE) build $(if $(findstring podman,$(ENGINE)),--format docker) $(if $(BASE),--build-arg BASE=$(BASE)) \
	  --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) \
	  -t localhost/kehu:latest -f docker/Dockerfile .

check: lint types fast ## the everyday set: format, lint, types, import rules, fast tests

format: install ## formats the sources
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)

lint: install ## format, lint and import rules
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/lint-imports

types: install ## mypy, strict
	@$(BIN)/mypy

fast: install ## the tests but the slow ones
	@$(BIN)/python -m pytest -q -n 2 --dist loadgroup --no-loadscope-reorder -m "not slow"

simulate: install ## SEEDS=1000 FROM=1 N=: the simulator over many seeds, on every core; N members if given
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --from $(FROM) $(if $(N),--n $(N))

simulate-nodes: install ## SEEDS=100 FROM=0: whole nodes (chain, contracts, vault, sync) over a faked clock, network and disk
	@$(BIN)/python -m tests.node_simulation --seeds $(if $(filter file,$(origin SEEDS)),100,$(SEEDS)) --from $(if $(filter file,$(origin FROM)),0,$(FROM))

explore: install ## STATES=1000000: every order of events in a network of four; views 0-1 to the end, 0-2 that far
	@$(BIN)/python -m tests.exploration --states $(STATES)

mutants: install ## puts every known bug in on purpose and lists those that no test finds
	@$(BIN)/python -m tests.mutants

chaos: install ## MINUTES=10 SEED= DEPARTMENTS=4: real nodes on their own disks and networks under real faults (root, Linux)
	@$(BIN)/python -m tests.chaos --minutes $(MINUTES) --departments $(DEPARTMENTS) $(if $(SEED),--seed $(SEED))

storage-faults: install ## EIO and ENOSPC at every single write and sync of a node's stores (strace)
	@KEHU_EVERY_WRITE=1 $(BIN)/python -m pytest -q -s -n 0 tests/node/storage/test_storage_faults.py

soak: install ## MINUTES=60: four real nodes at load; fails if memory grows beyond what the state explains
	@$(BIN)/python -m tests.soak --minutes $(if $(filter file,$(origin MINUTES)),60,$(MINUTES))

chaos-clean: install ## what a chaos run left behind that was killed: namespaces, mounts, loop devices, processes
	@$(BIN)/python -m tests.chaos --clean

fuzz: install ## EXECUTIONS=100000 FROM=1: hostile bytes for everything that reads bytes, on every core
	@$(BIN)/python -m tests.fuzz --executions $(EXECUTIONS) --from $(FROM)

release-check: install ## the long versions, hours: a million seeds, ten million states ...; goes on where it was stopped
	@$(BIN)/python -m tools.release_check

bench: install ## QUICK=1 for a look under two minutes: throughput, latency, audit, sizes beside the machine's bound
	@$(BIN)/python -m tools.bench $(if $(QUICK),--quick) $(if $(JSON),--json $(JSON))

profile: install ## microseconds per transaction and node, by part
	@$(BIN)/python -m tools.bench.profile

scale: install ## throughput and latency of 4 to 31 departments, 1 to 100 ms apart, by simulation with measured costs
	@$(BIN)/python -m tools.scale

errors: install ## docs/errors.md, made from the code
	@$(BIN)/python -m tools.make_errors

vectors: install ## tests/vectors, made from the code: a difference is a change of the format
	@$(BIN)/python -m tools.make_vectors

$(SUPPLY)/.installed: tools/supply/requirements.lock docker/build.lock
	@$(PYTHON) -m venv $(SUPPLY)
	@$(SUPPLY)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
	  -r tools/supply/requirements.lock -r docker/build.lock
	@touch $@

lock: $(SUPPLY)/.installed ## UPGRADE=1 for newer versions: every library by hash, for Python 3.11 to 3.13
	@$(SUPPLY)/bin/python -m tools.supply lock $(if $(UPGRADE),--upgrade)

wheel sbom audit: $(SUPPLY)/.installed ## dist/: the wheel (built twice, byte-identical), the bill of materials; known vulnerabilities
	@$(SUPPLY)/bin/python -m tools.supply $@

supply-chain: $(SUPPLY)/.installed ## locks, wheel, bill of materials and audit, as CI checks them
	@$(SUPPLY)/bin/python -m tools.supply check

clean: ## removes the virtual environment and everything made
	@rm -rf $(VENV) build dist .release-check *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
