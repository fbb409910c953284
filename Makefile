# The menu of developer commands. `make` alone prints it.
.DEFAULT_GOAL := help
.PHONY: help demo demo-stop test test-unit test-e2e sanitize fuzz lint fmt package dataset train golden bench-forest bench-sources clean

help: ## Print this menu
	@echo "Tribunal: scores domain names and IP addresses. Commands:"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Build, start a local AWS, deploy to it, and score sample entities end to end
	@scripts/demo.sh

demo-stop: ## Stop the local AWS and the databases of the demo
	@scripts/local-aws.sh stop
	@scripts/demo-sources.sh stop

test: ## Everything that CI runs: lint, package gates, all tests, end to end
	@scripts/test.sh

test-unit: ## The Rust tests only
	@cargo test --workspace --locked

test-e2e: ## The end-to-end tests only (after `make package`)
	@scripts/test.sh e2e

sanitize: ## The tests of the engines' kernels under valgrind
	@scripts/test.sh sanitize

fuzz: ## Fuzz crates/forest for ten minutes (longer: scripts/fuzz.sh --seconds N)
	@scripts/fuzz.sh --seconds 110

lint: ## Format check, clippy with warnings denied, licences, bans and sources of dependencies
	@scripts/test.sh lint

fmt: ## Format the Rust code
	@cargo fmt --all

package: ## Build target/lambda/*.zip and the command line; check sizes and GLIBC
	@scripts/build.sh

dataset: package ## Compile the address ranges to datasets/ip-ranges.bin
	@scripts/dataset.sh

train: package dataset ## Train the models of models/ anew (needs labelled data: training/README.md)
	@training/run.sh

golden: ## Make the trainers' reference outputs of tests/golden anew
	@scripts/golden.sh

bench-forest: ## Compare crates/forest with its peers; writes bench/results and docs/performance.md
	@bench/run.sh

bench-sources: ## Measure sources and extraction; writes bench/results and docs/performance-sources.md
	@bench/sources/run.sh

clean: ## Remove what was built, installed and started here
	@scripts/local-aws.sh stop
	@scripts/demo-sources.sh stop
	@rm -rf target .demo .venv .tools node_modules datasets/node_modules datasets/ip-ranges.bin cdk/cdk.out
