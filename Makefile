# Opora. `make up` sets up and starts the whole bank; `make test` sets up and runs the tests.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := $(CURDIR)/.venv
export PATH := $(VENV)/bin:$(PATH)
export PYTHONPATH := $(CURDIR)
export OPORA_VAR ?= $(CURDIR)/var

# Prefect, MLflow, BentoML and Evidently keep their state in var/, tell nobody about us, and never unpickle.
export PREFECT_HOME := $(OPORA_VAR)/prefect
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT := false
export DO_NOT_TRACK := 1
export BENTOML_DO_NOT_TRACK := True
export BENTOML_HOME := $(OPORA_VAR)/bentoml
export MLFLOW_ALLOW_PICKLE_DESERIALIZATION := false
export MLFLOW_DISABLE_TELEMETRY := true
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
export MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR := false

# Waiting OpenMP threads sleep: spinning would slow down whatever else runs beside a training.
export OMP_WAIT_POLICY := PASSIVE

SERVICES := prefect mlflow evidently consent income prescoring recommendation fraud flows
PACKAGES := settings.py clock.py database.py edge features simulator registry training monitoring bentos consent_api flows bench

.PHONY: up serve pipeline ingest key test fast-test fmt lint types imports bench lock clean

up: $(VENV)/.runtime | $(PREFECT_HOME) ## the whole bank: data, models, services, addresses; Ctrl-C stops it
	@exec honcho start

serve: $(VENV)/.runtime | $(PREFECT_HOME) ## the services only, over what the pipeline has left
	@exec honcho start $(SERVICES)

pipeline: $(VENV)/.runtime | $(PREFECT_HOME) ## the main job once; its status is the exit status
	@python -m flows.run_pipeline

ingest: $(VENV)/.runtime | $(PREFECT_HOME) ## make ingest TABLE=transactions FILE=purchases.csv
	@python -m flows.ingest --table "$(TABLE)" --file "$(FILE)"

key: $(VENV)/.runtime ## make key ROLE=client SUBJECT=100008: a key of the consent service, printed once
	@python -m consent_api.auth issue --role "$(ROLE)" --subject "$(SUBJECT)"

test: $(VENV)/.dev ## everything that is promised, shown
	@python -m pytest

fast-test: $(VENV)/.dev
	@python -m pytest -m "not integration"

fmt: $(VENV)/.dev
	@ruff format . && ruff check --fix .

lint: $(VENV)/.dev
	@ruff format --check . && ruff check .

types: $(VENV)/.dev
	@mypy $(PACKAGES)

imports: $(VENV)/.dev
	@lint-imports

bench: $(VENV)/.dev ## every side-by-side measurement; each prints one table
	@for measurement in ingestion features pipeline models; do python -m bench.$$measurement || exit 1; done

lock: ## resolve requirements.in and requirements-dev.in anew (needs uv)
	@for set in requirements requirements-dev; do uv pip compile --quiet --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header $$set.in -o $$set.lock; done

clean: ## removes everything that running has written, never the sources
	@rm -rf "$(OPORA_VAR)" .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# Prefect makes its own folder but not the one above it.
$(PREFECT_HOME):
	@mkdir -p "$@"

# --no-deps: the lock is the whole closure, every file checked against its hash.
$(VENV)/.runtime: requirements.lock
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Opora needs Python 3.11 or newer: set PYTHON=/path/to/python3.11")'
	@test -x "$(VENV)/bin/python" || "$(PYTHON)" -m venv "$(VENV)"
	@echo "Installing the locked packages into .venv (once, some minutes) ..."
	@"$(VENV)/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@touch "$@"

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@"$(VENV)/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@touch "$@"
