# `make demo` and `make test` do everything on a fresh machine that has Python 3.11 or newer.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PEERS  ?= .cache/peers
LOWEST := .venv-lowest
OLDEST := $(LOWEST)/.installed
NEWEST := .venv-newest
# Licences that what we use may have, by parts of their names: none of them binds who uses us.
LICENCES := Apache;BSD;MIT;ISC;MPL;Mozilla Public License;Python Software Foundation;PSF;Unlicense;Zlib;0BSD;CC0;ZPL
# What touches other packages most, and takes seconds: all is imported, and these tests run.
PARTS  := tests/harness/outside tests/harness/simulator tests/harness/capture tests/harness/load tests/harness/report \
          tests/harness/commands tests/reference_agent/telemetry tests/reference_agent/adapters

# Without that folder: to import it only to leave all of it out takes each worker 8 s of CPU.
UNIT  := -m "not e2e and not proof" --ignore tests/e2e
# Each worker would load it, which takes 2 s of CPU; unit tests alone use it.
PLAIN := -p no:schemathesis

.PHONY: demo install test check unit e2e proof engine-test cluster cluster-down cluster-test lowest lowest-parts newest release fuzz bench bench-peers bench-readiness pictures \
        site audit sbom format pin clean help

demo: $(STAMP)  ## run three experiments, short form: a verdict and a report in a few minutes
	$(BIN)/agentrig demo

test: $(STAMP)  ## everything that CI checks; of two cores, types are checked on what unit tests leave
	$(MAKE) --jobs 2 check unit
	$(MAKE) e2e

install: $(STAMP)  ## only the environment: .venv with agentrig and what it needs

check: $(STAMP)  ## style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

unit: $(STAMP)  ## tests without processes, network or real time
	$(BIN)/pytest $(UNIT) --numprocesses 2 --dist worksteal

e2e: $(STAMP)  ## tests that start the real parts, four side by side, and then those that need the machine for themselves
	$(BIN)/pytest tests/e2e -m "e2e and not alone and not proof" $(PLAIN) -rs --numprocesses 4 --dist loadfile --no-loadscope-reorder
	$(BIN)/pytest $$(grep --files-with-matches 'pytest.mark.alone' tests/e2e/test_*.py) -m "alone and not proof" $(PLAIN) -rs

proof: $(STAMP)  ## what takes longer than a test may: an agent broken in twenty-six ways, each found; examples from pip on
	$(BIN)/pytest tests/e2e tests/proof -m proof --timeout 1800

engine-test: $(STAMP)  ## tests on the Docker or Podman of this machine, of the image `docker build --tag agentrig-agent .` makes
	$(BIN)/pytest tests/e2e/test_on_docker.py -rs --timeout 1800

cluster: $(STAMP)  ## a Kubernetes of one node for these tests, from the Go module proxy and this machine's own Python; root
	.ci/cluster/build
	$(BIN)/python .ci/cluster/images.py
	.ci/cluster/up

cluster-down:  ## take it away again
	.ci/cluster/down

cluster-test: $(STAMP)  ## tests on the cluster that KUBECONFIG names, else on that of `make cluster`
	KUBECONFIG="$${KUBECONFIG:-$$(.ci/cluster/kubeconfig)}" $(BIN)/pytest tests/e2e/test_on_kubernetes.py tests/e2e/test_inside_kubernetes.py -rs --timeout 1800

lowest: $(OLDEST)  ## unit tests and a short real run on the lowest versions of all that pyproject.toml declares
	$(LOWEST)/bin/pytest $(UNIT) --numprocesses 2 --dist worksteal
	$(LOWEST)/bin/agentrig run cold-start --quick

lowest-parts: $(OLDEST)  ## of these, what takes less than a minute
	$(LOWEST)/bin/python -m tests.import_all
	$(LOWEST)/bin/pytest $(PARTS) --numprocesses 2 --dist worksteal

newest: $(NEWEST)/.installed  ## unit tests and a short real run on the newest versions that this Python can have
	$(NEWEST)/bin/pytest $(UNIT) --numprocesses 2 --dist worksteal
	$(NEWEST)/bin/agentrig run cold-start --quick

release: $(STAMP)  ## version, changelog and tag: make release VERSION=1.4.0; nothing is pushed
	$(BIN)/python .ci/release.py $(VERSION)

fuzz: $(STAMP)  ## a million inputs that nobody meant: each is told, and breaks nothing (FUZZ="--inputs N --seed S")
	$(BIN)/python -m tests.fuzz $(FUZZ)

bench: $(STAMP)  ## what the agent costs, beside the usual ways of writing it, and what load, simulator and judging cost
	$(BIN)/python -m tests.bench.agent_cost
	$(BIN)/python -m tests.bench.agent_latency
	$(BIN)/python -m tests.bench.load_cost
	$(BIN)/python -m tests.bench.workers_dry
	$(BIN)/python -m tests.bench.simulator_cost
	$(BIN)/python -m tests.bench.judge_cost
	$(BIN)/python -m tests.bench.observe_cost 100000 1000000
	$(BIN)/python -m tests.bench.plan_cost --peer

bench-peers: $(STAMP)  ## ours beside the best of others, into docs/peers.md; installs them into PEERS (.cache/peers) first
	$(BIN)/python -m tests.bench.peers --install $(PEERS)
	$(BIN)/python -m tests.bench.peers --peers $(PEERS) --out docs/peers.md $(BENCH)

bench-readiness: $(STAMP)  ## a plain Service beside the gate, here and on the cluster of KUBECONFIG, into docs/readiness.md
	$(BIN)/python -m tests.bench.readiness --on local
	KUBECONFIG="$${KUBECONFIG:-$$(.ci/cluster/kubeconfig)}" $(BIN)/python -m tests.bench.readiness --on kubernetes
	$(BIN)/python -m tests.bench.readiness --page

pictures: $(STAMP)  ## take the documentation's pictures anew; needs chromium and prometheus
	$(BIN)/python -m docs.pictures.make
	$(BIN)/python -m docs.pictures.dashboards

site: $(STAMP)  ## build the site of the documentation into site/, strictly; look at it: python -m http.server -d site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

audit: $(VENV)/.audit  ## known weaknesses and licences of what is pinned; asks the registry's list of weaknesses
	$(BIN)/python .ci/audit.py constraints.txt '$(LICENCES)'

sbom: $(VENV)/.audit  ## what an installation with all extras consists of, as CycloneDX: dist/agentrig.cdx.json
	mkdir -p dist
	$(BIN)/uv pip compile --quiet --extra all --constraint constraints.txt --no-header --no-annotate \
	  --output-file dist/requirements.txt pyproject.toml
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-file dist/agentrig.cdx.json dist/requirements.txt

format: $(STAMP)  ## put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

pin: $(STAMP)  ## write the constraints anew: one version for all Pythons where there is one, the newest on each, the lowest
	$(BIN)/uv pip compile --quiet --upgrade --universal --fork-strategy fewest --python-version 3.11 --no-header --no-annotate \
	  --extra dev --extra audit --no-emit-package agentrig --output-file constraints.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --upgrade --universal --fork-strategy requires-python --python-version 3.11 --no-header \
	  --no-annotate --extra dev --extra audit --no-emit-package agentrig --output-file constraints-newest.txt pyproject.toml
	rm -f constraints-lowest.txt
	$(BIN)/uv pip compile --quiet --resolution lowest-direct --python-version 3.11 --no-header --no-annotate \
	  --extra all --extra test --output-file constraints-lowest.txt pyproject.toml

$(VENV)/.audit: $(STAMP)
	$(BIN)/pip install --quiet --editable '.[audit]' --constraint constraints.txt
	@touch $@

clean:  ## remove what the commands above made, but for the runs
	rm -rf $(VENV) $(LOWEST) $(NEWEST) .cache site dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

help:
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1	/' | expand -t 10

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) > /dev/null || { echo "there is no $(PYTHON). Say which Python: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "agentrig needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Say which: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	@echo "installing agentrig and what it needs (about a minute)..."
	$(BIN)/pip install --quiet --editable '.[dev]' --constraint constraints.txt
	@touch $@

$(NEWEST)/.installed: pyproject.toml constraints-newest.txt | $(STAMP)
	rm -rf $(NEWEST)
	$(BIN)/python -m venv $(NEWEST)
	$(NEWEST)/bin/pip install --quiet --editable '.[all,test]' --constraint constraints-newest.txt
	@touch $@

$(OLDEST): pyproject.toml constraints-lowest.txt | $(STAMP)
	rm -rf $(LOWEST)
	$(BIN)/python -m venv $(LOWEST)
	$(LOWEST)/bin/pip install --quiet --editable '.[all,test]' --constraint constraints-lowest.txt
	@touch $@
