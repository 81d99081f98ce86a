# Everything from a bare Python 3.11: `make run` is the main job, `make test` the whole test suite.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
LOCKS := $(addprefix requirements/,assets.txt serving.txt dashboard.txt)
# Tests wait for processes a third of their time.
TEST_PROCESSES := $(shell n=$$(nproc); echo $$((n + n / 2)))
FAST := not process and not browser and not database and not s3 and not slow and not images
STACKS := $(addprefix infra/,network.yaml data.yaml services.yaml github.yaml)

export UV_COMPILE_BYTECODE := 1
export UV_LINK_MODE := copy
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
# Bytecode is made once at install, so that later starts do not compile it again.
unexport PYTHONDONTWRITEBYTECODE

export DAGSTER_HOME ?= $(CURDIR)/data/dagster

.PHONY: help run api serve notebook check fast-tests test bench soak lint audit images stack stack-down docs wheels format \
  lock clean
help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: $(VENV)/.installed-assets ## raw panel to monthly predictions, on the embedded default
	@$(BIN)/housing run

api: $(VENV)/.installed-serving ## the HTTP API over what `make run` made, on 127.0.0.1:8000
	@$(BIN)/python -m housing_serving

serve: $(VENV)/.installed-assets $(VENV)/.installed-serving $(VENV)/.installed-dashboard ## UI, daemon, API, dashboard, MLflow
	@$(BIN)/housing serve

notebook: $(VENV)/.installed-dev ## notebooks/eda.ipynb over what `make run` made, as data/eda.html
	@$(BIN)/python notebooks/render.py

check: $(VENV)/.installed-dev ## lint and types beside the fast tests, for every change
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint fast-tests

fast-tests: $(VENV)/.installed-dev
	@$(BIN)/pytest --numprocesses $$(nproc) --dist loadfile -m "$(FAST)"

test: $(VENV)/.installed-dev ## the whole test suite
	@$(BIN)/pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

bench: $(VENV)/.installed-dev ## figures and ratios beside their targets; FULL=1: at full scale; ONLY=data,training: some
	@$(BIN)/python tests/benchmarks/run.py

soak: $(VENV)/.installed-dev ## ten minutes of mixed traffic on the API over what `make run` made
	@$(BIN)/python tests/benchmarks/soak.py

lint: $(VENV)/.installed-dev ## ruff, pyright, import-linter, and the checks of the Dockerfile, infra/ and the workflows
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/cfn-lint $(STACKS)
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec infra/compose.yaml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(BIN)/zizmor --quiet --offline .github

audit: $(VENV)/.installed-dev ## known vulnerabilities of the locked packages; says so where nobody can be asked
	@$(BIN)/python .ci/audit.py $(if $(REQUIRED),--required)

images: ## the three images, with the container engine that is there
	@$(PYTHON) .ci/images.py

stack: images ## the whole platform in containers, as infra/.env says, until `make stack-down`
	@$(PYTHON) infra/stack.py up

stack-down: ## stop it; what it stored stays
	@$(PYTHON) infra/stack.py down

docs: $(VENV)/.installed-dev ## write the pages that are generated from the code
	@$(BIN)/housing checks > housing_assets/orchestration/checks/README.md
	@$(BIN)/python docs/configuration.py > docs/configuration.md

wheels: $(VENV)/.installed-dev ## a wheel and a source distribution of the packages, in dist/
	@$(BIN)/python -m hatchling build --directory dist

format: $(VENV)/.installed-dev ## let ruff rewrite what it can
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

lock: $(UV) ## resolve the locks anew from pyproject.toml (needs the package index)
	@set -x; compile="$(UV) pip compile -q --upgrade --universal --python-version 3.11 \
	  --generate-hashes --custom-compile-command 'make lock'"; \
	eval $$compile pyproject.toml --extra dev -o requirements/dev.txt; \
	for extras in assets "serving --extra traces" dashboard; do \
	  eval $$compile pyproject.toml --extra $$extras -c requirements/dev.txt -o requirements/$${extras%% *}.txt; \
	done

clean: ## remove the environment and everything materialized
	rm -rf $(VENV) data

$(UV): requirements/uv.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $(UV)

# Adding only: installing one extra never takes away what another needs, since all locks agree.
$(VENV)/.installed-%: requirements/%.txt pyproject.toml $(UV)
	@echo "Installing requirements/$*.txt into $(VENV)"
	@$(UV) pip install --quiet --require-hashes -r requirements/$*.txt
	@$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
