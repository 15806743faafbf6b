# `make` alone lists the targets. Everything that a target needs it installs or builds itself, below $VISION_NODE_CACHE.

# The port of this machine that leads to the API.
PORT ?= 8000
# kind: a cluster of our own; minikube; current: the one that kubectl points at (see IMAGE_REGISTRY in the README).
CLUSTER ?= kind
# 1: tests leave their cluster for a look.
KEEP ?= 0
# The cluster's name.
NAME ?= vision-node
# Images of further describers to build as well: ocr, cloud (google and rekognition), or both.
EXTRAS ?=
# Repeats the faults of a `make test-faults` that printed it.
SEED ?=
# Arguments for pytest, such as ARGS="-k cancel".
ARGS ?=

export CLUSTER EXTRAS KEEP SEED

PYTHON := python3
TOOL := $(PYTHON) -m cluster
UV_RUN := $(TOOL) uv -- run --frozen
BENCH := PYTHONPATH=.:tests $(UV_RUN) --group bench python -m bench
KUBECTL := $(TOOL) run --name $(NAME) -- kubectl --namespace vision-node

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

##@ Run it

.PHONY: up
up: ## Bring up a cluster with everything on it, and describe a picture; again: only what changed
	@$(TOOL) up --name $(NAME) --port $(PORT)

.PHONY: down
down: ## Delete the cluster and stop all that was started for it
	@$(TOOL) down --name $(NAME)

.PHONY: status
status: ## Show what runs, how many jobs are in each phase, and the newest twenty
	@$(TOOL) status --name $(NAME)

.PHONY: logs
logs: ## Show the logs of API, operator and describers
	@$(KUBECTL) logs --prefix --tail=100 --selector app.kubernetes.io/name=vision-node --all-containers

.PHONY: env
env: ## Print what a shell needs for kubectl, helm and kind: eval "$$(make env)"
	@$(TOOL) env --name $(NAME)

##@ Check it

.PHONY: test
test: lint test-unit test-cluster ## All of these: lint, test-unit, test-e2e, test-faults

.PHONY: test-unit
test-unit: ## Test without a cluster, in seconds
	@HELM=$$($(TOOL) tool helm) HELM3=$$($(TOOL) tool helm3) $(UV_RUN) python -m pytest tests/unit $(ARGS)

.PHONY: test-e2e
test-e2e: ## Test on a fresh cluster that is deleted afterwards
	@$(TOOL) test --suite e2e -- $(ARGS)

.PHONY: test-faults
test-faults: ## Kill every part under load on a fresh cluster, and check that every promise is kept (3 minutes)
	@$(TOOL) test --suite faults -- $(ARGS)

.PHONY: test-cluster
test-cluster: # Both of these on one fresh cluster.
	@$(TOOL) test --suite e2e --suite faults -- $(ARGS)

.PHONY: lint
lint: lint-python lint-chart ## Style, types, layers and the chart

.PHONY: lint-python
lint-python:
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
format: ## Fix the style, and update the chart's copies of the CRDs and of values.yaml
	@$(UV_RUN) ruff check --fix
	@$(UV_RUN) ruff format
	@cp crds/*.yaml charts/vision-node/files/
	@cp charts/vision-node/values.yaml charts/vision-node/defaults.yaml

##@ Measure it

.PHONY: bench
bench: ## Compare with Celery and with a Job per image, side by side: build/bench/ (QUICK=1: minutes; WRITE=1: docs/)
	@$(BENCH)

.PHONY: bench-backlog
bench-backlog: ## Throughput, memory and lists with 10,000 jobs waiting
	@$(BENCH) backlog

.PHONY: bench-ocr
bench-ocr: ## What the describer ocr reads and costs, on one core: build/bench/ocr.md (WRITE=1: docs/)
	@$(BENCH) ocr

.PHONY: bench-operator
bench-operator: ## CPU time of the operator's rounds and of idle workers, without a cluster (half a minute)
	@$(BENCH) operator

##@ Parts

.PHONY: images
images: ## Build the images, without a cluster
	@$(TOOL) images

.PHONY: clean-cache
clean-cache: ## Delete the clusters and everything that was built
	@$(TOOL) clean --name $(NAME)

.PHONY: help
help: ## Show this
	@awk 'BEGIN { FS = ":.*## "; print "Usage: make <target> [VARIABLE=value]" } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { gsub(/\$$\$$/, "$$", $$2); printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@awk 'BEGIN { print "\nVariables" } /^# / { sub(/^# /, ""); text = $$0 } \
	  /^[A-Z]+ \?=/ { printf "  %-14s %s (%s)\n", $$1, text, $$3 }' $(MAKEFILE_LIST)
