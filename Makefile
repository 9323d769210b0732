# Everything a fresh machine needs is made here: only Python 3.11 with venv, and make, are assumed.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
STAMP := $(VENV)/.installed
KERNELS := $(VENV)/.kernels

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint unit ray e2e sim faults bench bench-load bench-peers soak clean

help:  ## What can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

setup: $(STAMP) $(KERNELS)  ## The virtual environment, with pinned packages and compiled kernels

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Touchline needs $(PYTHON) with venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# numba looks only at a kernel's own file to tell whether its compiled form is stale, and not at the
# layouts and helpers that it includes: so all of them go when any source has changed.
$(KERNELS): $(STAMP) $(shell find models -name '*.py')
	@find models -name '*.nb[ci]' -delete
	@$(PY) -m jobs.warmup
	@touch $@

demo: setup  ## Ten simulated minutes through the whole system, and a match report (ARGS="--keep")
	@$(PY) -m jobs.cli demo $(ARGS)

test: setup lint  ## Lint, types, and every test but the long ones of `make faults`
	$(PY) -m pytest tests $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/mypy

unit: setup  ## The fast tests only
	$(PY) -m pytest tests/unit tests/sim tests/test_tidy.py $(ARGS)

ray: setup  ## Tests on one local Ray cluster
	$(PY) -m pytest tests/ray $(ARGS)

e2e: setup  ## Tests of real processes, HTTP and browser
	$(PY) -m pytest tests/e2e $(ARGS)

SEEDS ?= 10000
sim: setup  ## The distributed core under seeded faults (SEEDS=10000; a failing seed tells its story)
	@$(PY) -m tests.sim.run --seeds $(SEEDS) $(ARGS)

faults: setup  ## Every fault test, the long ones too, and how long each fault lasted
	$(PY) -m pytest tests/e2e/test_faults_*.py tests/e2e/test_elastic_nodes.py tests/e2e/test_ray_up.py \
		tests/unit/test_eventlog_*.py \
		-m "faults or not faults" $(ARGS)
	@$(PY) -m tests.e2e.faults_report

bench: setup  ## Throughput, latency, CPU per stage and memory, as JSON (ARGS="--quick")
	@$(PY) -m tests.bench.run $(ARGS)

bench-load: setup  ## The highest sustained load, latency and CPU by stage (ARGS="--quick --flame DIR")
	@$(PY) -m tests.bench.load $(ARGS)

bench-peers: setup  ## Our kernel beside other engines on one workload (needs the contest; ARGS="--all")
	@$(PY) -m tests.bench.peers.run $(ARGS)

soak: setup  ## Half an hour at real time: memory, file descriptors, nothing lost (ARGS="--venues 11")
	@$(PY) -m tests.bench.soak $(ARGS)

train: setup  ## Train and register the nets from the simulator
	$(PY) -m jobs.train

clean:  ## Remove the environment and all run data
	rm -rf $(VENV) .touchline .mypy_cache .ruff_cache .pytest_cache .hypothesis
