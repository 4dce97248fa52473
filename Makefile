# The commands of this project. `make demo` and `make test` set up what they need, once.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --no-compile
SMOKE := build/smoke
COGGED := README.md docs/architecture.md docs/cli.md docs/options.md docs/which.md benchmarks/README.md
PEERS := .cache/peers-venv/bin/python
# Tests start many processes, which need not compile the same modules again.
TEST := HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist worksteal

.PHONY: demo test test-fast check docs docs-site bench smoke clean
.DEFAULT_GOAL := demo

demo: .venv/.demo  ## set up, then index a corpus in several ways and compare them
	@$(BIN)/retriever demo demo
	@echo "(In this checkout the command is $(BIN)/retriever; after . $(BIN)/activate it is retriever.)"

test: .venv/.dev  ## set up, then run all tests, in parallel
	$(TEST)

test-fast: .venv/.dev  ## the tests that need no model and enumerate no faults, in less than a minute
	$(TEST) --hypothesis-profile=fast -m 'not model and not exhaustive'

check: .venv/.dev  ## format, lint, types, import order, and that generated docs are current
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	HF_HUB_OFFLINE=1 $(BIN)/python -m cogapp --check $(COGGED)

docs: .venv/.dev  ## regenerate the generated parts of the docs
	HF_HUB_OFFLINE=1 $(BIN)/python -m docs.session
	HF_HUB_OFFLINE=1 $(BIN)/python -m cogapp -r $(COGGED)

docs-site: .venv/.dev  ## build the site of the docs into build/site; a link that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: .venv/.dev  ## measure; needs RETRIEVER_DATA; results go to benchmarks/results
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.quality
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.speed
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.static
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.encode
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.weightings
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.known_items
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.distilling
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.distilling --ablate
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.distilling --command scifact
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.words
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.training
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.durability
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.callpath
	@if [ -x $(PEERS) ]; then HF_HUB_OFFLINE=1 $(PEERS) -m benchmarks.ann; \
	else echo "Left out: python -m benchmarks.ann. Set up its environment first: see benchmarks/peers.txt."; fi

smoke: .venv/.dev  ## build the wheel, install it alone in a fresh environment, run one search
	rm -rf dist $(SMOKE)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m build --wheel --outdir dist .
	$(PYTHON) -m venv $(SMOKE)
	PIP_CONSTRAINT=constraints.txt $(SMOKE)/bin/python -m pip install --quiet dist/*.whl
	.ci/smoke $(abspath $(SMOKE)/bin/retriever)

# A Milvus for the tests of indexes on it. It needs older packages than ours, so it has its own.
.cache/milvus-venv/.ready:
	$(PYTHON) -m venv .cache/milvus-venv
	PIP_DISABLE_PIP_VERSION_CHECK=1 .cache/milvus-venv/bin/python -m pip install --quiet 'milvus==2.3.5' 'setuptools<81'
	touch $@

clean:  ## remove what was built and set up
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

# A stamp is newer than what it was made from, so a second run does not set up again.
.venv/.python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Retriever needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv .venv
	touch $@

.venv/.demo: .venv/.python pyproject.toml constraints.txt
	$(PIP) -e '.[demo]'
	touch $@

.venv/.dev: .venv/.python pyproject.toml constraints.txt
	$(PIP) -e '.[dev]'
	touch $@ .venv/.demo
