# The front door: `make help`. Every target sets up what it needs; nothing is done twice.
SHELL := /bin/bash
.DEFAULT_GOAL := help

MODEL ?= examples/models/iris_logistic_regression
PORT ?= 8080
FUZZ_SECONDS ?= 20
PROMETHEUS_SECONDS ?= 60
PYTEST_ARGS ?=
COMMITS ?= origin/main..HEAD

include container/containers.mk

.PHONY: help run demo build test test-unit test-integration test-e2e warnings asan tsan fuzz soak \
        soak-workers prometheus-check bench bench-quick bench-budget bench-budget-write grpc-generate \
        grpc-check lint tidy format setup lock ci clean distclean env-sklearn env-torch env-tensorflow \
        test-frameworks lint-automation check-commits coverage

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z0-9 -]*:.*## / { n = split($$1, names, " "); \
	    for (i = 1; i <= n; i++) printf "  %-18s %s\n", names[i], $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  PORT=$(PORT)  MODEL=$(MODEL)"
	@echo "  FUZZ_SECONDS=$(FUZZ_SECONDS)  PROMETHEUS_SECONDS=$(PROMETHEUS_SECONDS)  PYTEST_ARGS=$(PYTEST_ARGS)"

run: build ## set up, build, serve MODEL on PORT (Ctrl-C stops it)
	@PORT=$(PORT) exec build/onnxd serve $(MODEL)

demo: build ## start the server, send three requests with curl, stop it
	@scripts/setup demo
	@scripts/demo.sh

build: ## set up, build the program: build/onnxd
	@scripts/setup run
	@scripts/build release program

test: ## set up, build, run all tests: unit, integration, end-to-end
	@scripts/setup test
	@scripts/build release
	@scripts/run-tests release unit integration e2e -- $(PYTEST_ARGS)

test-unit test-integration test-e2e: test-%: ## one suite alone
	@scripts/setup test
	@scripts/build release
	@scripts/run-tests release $* -- $(PYTEST_ARGS)

test-frameworks: ## PyTorch and TensorFlow models: set up both (2.5 GB), run their tests
	@scripts/setup test
	@scripts/setup env-torch
	@scripts/setup env-tensorflow
	@scripts/build release
	@ONNXD_TORCH_PYTHON=$(CURDIR)/.venv.torch/bin/python \
	    ONNXD_TENSORFLOW_PYTHON=$(CURDIR)/.venv.tensorflow/bin/python \
	    scripts/run-tests release integration e2e -- -m 'torch or tensorflow' $(PYTEST_ARGS)

env-sklearn env-torch env-tensorflow: ## a Python to serve such models with: .venv.<framework>/
	@scripts/setup $@

warnings: ## build with gcc (build/) and clang (build-asan/), warnings are errors
	@scripts/setup ci
	@ONNXD_WERROR=ON scripts/build release
	@ONNXD_WERROR=ON scripts/build asan

asan: ## unit and integration tests under AddressSanitizer and UBSan
	@scripts/setup ci
	@scripts/build asan
	@scripts/run-tests asan unit integration -- $(PYTEST_ARGS)

tsan: ## unit tests and fake-backend tests under ThreadSanitizer
	@scripts/setup ci
	@scripts/build tsan
	@scripts/run-tests tsan unit integration e2e -- -m fake_backend $(PYTEST_ARGS)

fuzz: ## fuzz every target for FUZZ_SECONDS
	@scripts/setup ci
	@scripts/build fuzz
	@scripts/fuzz $(FUZZ_SECONDS)

soak: ## abandon requests over HTTP/2 for a minute: memory and descriptors come back
	@scripts/setup test
	@scripts/build release program
	@.venv/bin/python tests/soak.py

soak-workers: ## kill a worker every second for a minute under load: every request is answered
	@scripts/setup test
	@scripts/build release program
	@.venv/bin/python tests/soak_workers.py

prometheus-check: ## a real Prometheus scrapes a loaded server for PROMETHEUS_SECONDS: its figures are the clients'
	@scripts/setup ci
	@scripts/build release program
	@.venv/bin/python tests/prometheus_scrape.py --seconds $(PROMETHEUS_SECONDS)

bench: ## compare with nginx and other servers (< 10 min), write docs/performance.md and docs/bench.svg
	@scripts/setup bench
	@python3 tests/bench/bench.py --publish

bench-quick: ## the same in less than two minutes, fewer rounds; writes build/bench/ only
	@scripts/setup bench
	@python3 tests/bench/bench.py --quick

bench-budget: ## count instructions a request (valgrind), fail at 5 % over tests/bench/budget.json
	@scripts/setup budget
	@scripts/build release program
	@python3 tests/bench/budget.py

bench-budget-write: ## make today's count the budget
	@scripts/setup budget
	@scripts/build release program
	@python3 tests/bench/budget.py --write

grpc-generate: ## Python stubs from proto/, for tests and examples: build/grpc/
	@scripts/setup test
	@.venv/bin/python scripts/grpc-stubs generate

grpc-check: grpc-generate ## compare proto/, the stubs, the embedded descriptors and the public protocols
	@scripts/build release program
	@.venv/bin/python scripts/grpc-stubs check build

coverage: ## run all tests on build-coverage/, report the lines that ran, fail below the gates
	@scripts/setup coverage
	@scripts/build coverage
	@scripts/coverage reset
	@scripts/run-tests coverage unit integration e2e -- $(PYTEST_ARGS)
	@scripts/coverage report

lint: ## the source checks: format, layers, banned functions, headers, text
	@scripts/setup test
	@scripts/lint source

lint-automation: ## the checks of what surrounds them: shell, workflows, containers, YAML
	@scripts/setup lint
	@scripts/lint automation

check-commits: ## the messages of the commits of COMMITS (origin/main..HEAD)
	@scripts/check-commits $(COMMITS)

tidy: ## clang-tidy with the checks of .clang-tidy
	@scripts/setup ci
	@scripts/build release
	@scripts/check-tidy

format: ## format all C source in place
	@scripts/setup test
	@git ls-files -z '*.c' '*.h' | xargs -0 .venv/bin/clang-format -i

setup: ## set up all that building, testing and checking need
	@scripts/setup ci

lock: ## refresh the lock files: deps.lock and requirements/*.txt
	@scripts/lock

ci: ## everything CI runs
	@CI=true bash .ci/run </dev/null

clean: ## remove the builds
	rm -rf build build-*/

distclean: clean ## remove the builds and everything set-up made
	rm -rf .deps .deps.* .venv .venv.* .node .node.*
