# One command per need. Every target does its own set-up; a second time it takes a moment.

.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help
help: ## Shows this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

.PHONY: run
run: ## Starts Redis, signaling and one SFU node and prints a link to a meeting. Ctrl-C stops all.
	@scripts/setup.sh run
	@python -m kcs_dev.run

.PHONY: test
test: ## Installs what the tests need and runs all checks and tests.
	@scripts/setup.sh test
	@scripts/check.sh
	@scripts/test.sh

.PHONY: test-cluster
test-cluster: ## Tests on a Kubernetes cluster with a real node (as root).
	@scripts/setup.sh test
	@e2e/cluster/images.sh
	@python -m pytest e2e/cluster

.PHONY: cluster
cluster: ## Starts Kubernetes with a real node on this machine (as root) and installs KCS Meetings in it.
	@scripts/setup.sh cluster
	@e2e/cluster/up.sh --node
	@e2e/cluster/install.sh

.PHONY: cluster-down
cluster-down: ## Ends that cluster.
	@e2e/cluster/down.sh

.PHONY: check
check: ## Lints, types and import borders.
	@scripts/setup.sh check
	@scripts/check.sh

.PHONY: bench
bench: ## Measures, prints ratios and keeps each run as JSON under bench/results/.
	@scripts/setup.sh test
	@python bench/run.py

.PHONY: generate
generate: ## Writes the generated files again.
	@scripts/setup.sh generate
	@scripts/generate.sh

.PHONY: lock
lock: ## Locks the Python dependencies again, with hashes.
	@uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header \
	  --all-extras --group dev pyproject.toml -o requirements.lock
