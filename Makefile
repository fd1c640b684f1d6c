# Two commands: `make demo` shows the whole story, `make test` runs the tests. Needs git, make and Python 3.11.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
UPSTREAM ?=
PORT ?= 8080
KEEP ?=
SECONDS ?= 60

# Compiled code is kept, whatever the environment says: hundreds of processes would compile the same files otherwise.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install dev demo run test fuzz check lint types imports proto bench locks servers clean
.PHONY: chart image image-check plants test-ceph test-phoenix bench-detect fuzz-atheris locks-bench

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-13s %s\n", $$1, $$2}'

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info[:2] >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing extproc and its dependencies into $(VENV) ..."
	@$(PIP) install --quiet --require-hashes -r requirements.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo "installing the development tools into $(VENV) ..."
	@$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

install: $(VENV)/.installed ## create the environment that runs extproc

dev: $(VENV)/.installed-dev ## create the environment for tests and checks

demo: $(VENV)/.installed ## show the whole story on this machine (KEEP=1 leaves it running)
	@$(BIN)/extproc demo $(if $(KEEP),--keep)

run: $(VENV)/.installed ## guard a model server: make run UPSTREAM=http://127.0.0.1:8000
	@test -n "$(UPSTREAM)" || { echo 'say which model server to guard: make run UPSTREAM=http://127.0.0.1:8000' >&2; exit 2; }
	@$(BIN)/extproc run --upstream "$(UPSTREAM)" --port $(PORT)

servers: dev ## install the real servers that tests run against (S3 with Object Lock, OIDC and SAML providers)
	@for script in tests/servers/install_*.sh; do sh $$script || exit 1; done

test: servers ## run the tests, on the real components
	@$(BIN)/python -m pytest --numprocesses $$(($$(nproc) + 2)) --maxprocesses 5 --dist loadfile --no-loadscope-reorder

plants: servers ## carry out all planted bugs (`make test` takes one in 24 of them, others for each commit)
	@PLANTS=all $(BIN)/python -m pytest tests/test_plants.py

test-ceph: dev ## run the store tests on Ceph (Debian's ceph-mon, ceph-osd, radosgw: 290 MB, installed as root)
	@sh tests/ceph/install_ceph.sh
	@$(BIN)/python -m pytest tests/ceph/ceph_store.py

test-phoenix: dev ## store the demo's traces in a real OTLP back end and read them back (Phoenix, 552 MB in .servers)
	@sh tests/phoenix/install_phoenix.sh "$(PYTHON)"
	@$(BIN)/python -m pytest -n 0 --timeout 600 tests/phoenix/phoenix_trace.py

fuzz: dev ## ask the independent oracle about many more texts
	@$(BIN)/python -m pytest --hypothesis-profile=fuzz tests/core/masking/test_masking_oracle.py

lint: dev ## check format and style
	@$(BIN)/ruff format --check extproc tests bench
	@$(BIN)/ruff check extproc tests bench

types: dev ## check types (mypy, strict)
	@$(BIN)/mypy

imports: dev ## check which module may import which
	@$(BIN)/lint-imports --no-cache

check: dev ## everything CI runs
	@echo "checking the code and installing the servers of the tests ..."
	@$(MAKE) --no-print-directory -j 2 --output-sync=target lint types imports servers
	@$(MAKE) --no-print-directory test

proto: dev ## generate extproc/pb from proto/
	@$(BIN)/python -m grpc_tools.protoc -I proto --python_out=. --pyi_out=. --grpc_python_out=. proto/extproc/pb/*.proto
	@$(BIN)/python -m grpc_tools.protoc -I proto/extproc/policy/v1 --python_out=extproc/pb --pyi_out=extproc/pb proto/extproc/policy/v1/*.proto
	@$(BIN)/python -m grpc_tools.protoc -I extproc/pb=proto/extproc/approvals/v1 --python_out=. --pyi_out=. --grpc_python_out=. proto/extproc/approvals/v1/*.proto
	@$(BIN)/python -m extproc.audit.records.line_schema > proto/extproc/audit/v2/line.schema.json
	@$(BIN)/python -m extproc.audit.evidence.pack_schema > proto/extproc/evidence/v1/pack.schema.json

chart: dev ## write what the chart generates: schema and table of its values, and what it renders for each case
	@$(BIN)/python -m tests.helm.values_schema
	@$(BIN)/python -m tests.helm.values_table
	@$(BIN)/python -m tests.monitoring.dashboards
	@$(BIN)/python -m tests.helm.rendering

.servers/checkov/.installed: tests/helm/scan.lock
	@echo "installing checkov into .servers/checkov (265 MB) ..."
	@rm -rf .servers/checkov
	@mkdir -p .servers
	@$(PYTHON) -m venv --without-pip .servers/checkov
	@$(PIP) --python .servers/checkov install --quiet --require-hashes -r tests/helm/scan.lock
	@touch $@

chart-scan: dev .servers/checkov/.installed ## scan what the chart renders with checkov; each finding has a reason or fails
	@$(BIN)/python -m tests.helm.scan

bench: dev ## measure against the no-op floor: a table and bench/out/bench.json
	@$(BIN)/python -m bench.run

.bench-env/.installed: bench/detect.lock
	@echo "installing Presidio and LiteLLM into .bench-env (about 700 MB) ..."
	@rm -rf .bench-env
	@$(PYTHON) -m venv --without-pip .bench-env
	@$(PIP) --python .bench-env install --quiet --require-hashes -r bench/detect.lock
	@touch $@

bench-detect: dev .bench-env/.installed ## compare what is found, and what else, with Presidio and LiteLLM
	@$(BIN)/python -m bench.detect.run

.fuzz-env/.installed: bench/fuzz.lock
	@rm -rf .fuzz-env
	@$(PIP) install --quiet --require-hashes --target .fuzz-env -r bench/fuzz.lock
	@touch $@

fuzz-atheris: dev .fuzz-env/.installed ## drive scanner, JSON and dialects with mutated bytes: SECONDS=60 each
	@for target in scanner json request response; do \
	  PYTHONPATH=.fuzz-env $(BIN)/python -m tests.fuzz.drive $$target $(SECONDS) || exit 1; done

image: ## build the image with docker, podman or buildah (BUILD_IMAGE, PYTHON_IMAGE: with digest; PIP_CONFIG: a pip.conf)
	@sh helm/image/build.sh

image-check: dev ## build the image without a registry and look into it (buildah, as root; about five minutes)
	@sh tests/image/install_buildah.sh
	@$(BIN)/python -m pytest -n 0 tests/image/image_build.py

locks-bench: dev ## write the lock files of what is measured beside us and of the fuzzer
	@$(PIP) install --quiet uv
	@for name in detect fuzz; do $(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --python-version 3.11 bench/$$name.in -o bench/$$name.lock || exit 1; done

locks: dev ## write the lock files again (hashes, no registry addresses)
	@$(PIP) install --quiet uv
	@$(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 --extra demo pyproject.toml build.in -o requirements.lock
	@$(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 --extra demo --extra dev -c requirements.lock pyproject.toml build.in -o requirements-dev.lock
	@cd helm/image && for lock in "-c ../../requirements.lock ../../pyproject.toml -o extproc.lock" \
	  "-c ../../requirements.lock postgres.in -o postgres.lock" "-c ../../requirements-dev.lock build.in -o build.lock"; do \
	  ../../$(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 \
	    $$lock || exit 1; done

clean: ## remove what was installed and made
	@rm -rf $(VENV) .bench-env .fuzz-env .fuzz .demo .run .servers bench/out .mypy_cache .ruff_cache .hypothesis
