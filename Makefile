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
export PREFECT_FLOWS_HEARTBEAT_FREQUENCY := 30
# Leases of runs that wait for one another outlive a restart of the server.
export PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE := prefect.server.concurrency.lease_storage.filesystem
# A temporary server of make train takes its time where much else runs.
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS := 120
export DO_NOT_TRACK := 1
export BENTOML_DO_NOT_TRACK := True
export BENTOML_HOME := $(OPORA_VAR)/bentoml
export MLFLOW_ALLOW_PICKLE_DESERIALIZATION := false
export MLFLOW_DISABLE_TELEMETRY := true
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
# The assistant in MLflow's UI runs no shell commands on this machine: only in a sandbox, which there is not.
export MLFLOW_ENABLE_ASSISTANT_SANDBOX := true
export MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR := false

# Waiting OpenMP threads sleep: spinning would slow down whatever else runs beside a training.
export OMP_WAIT_POLICY := PASSIVE

SERVICES := prefect mlflow evidently consent income prescoring recommendation fraud flows
PACKAGES := settings chain.py clock.py database.py identifiers.py edge features simulator registry training monitoring bentos consent_api flows scenarios bench

.PHONY: up serve pipeline ingest train score reproduce loop rollback ledger delete-version push labels scenario backfill scoring-key prescoring-worker token key test fast-test fmt lint types imports bench bench-training bench-serving bench-consent bench-aggregates bench-monitoring lock clean free-ports

up: free-ports | $(PREFECT_HOME) ## the whole bank: data, models, services, addresses; Ctrl-C stops it
	@python -m settings && exec honcho start

serve: free-ports | $(PREFECT_HOME) ## the services only, over what the pipeline has left
	@python -m settings && exec honcho start $(SERVICES)

pipeline: $(VENV)/.runtime | $(PREFECT_HOME) ## the main job once; its status is the exit status
	@python -m flows.run_pipeline

ingest: $(VENV)/.runtime | $(PREFECT_HOME) ## make ingest TABLE=transactions FILE=purchases.csv
	@python -m flows.ingest --table "$(TABLE)" --file "$(FILE)"

# A model of a table of your own. Only what is given to make itself counts: GROUP, ID or NAME of the environment are no columns.
given = $(if $(filter command,$(firstword $(origin $(1)))),$(value $(1)))
TRAIN_OPTIONS := name table target kind metric positive weight time group id drop names protected monotone drop-suspects trials seed
upper = $(shell echo $(1) | tr a-z- A-Z_)

train: $(VENV)/.runtime | $(PREFECT_HOME) ## make train NAME=churn TABLE=clients.csv TARGET=left KIND=binary METRIC=roc_auc BUDGET=60
	@python -m flows.train_table $(foreach option,$(TRAIN_OPTIONS),--$(option)="$(call given,$(call upper,$(option)))") --seconds="$(call given,BUDGET)"

score: $(VENV)/.runtime | $(PREFECT_HOME) ## make score NAME=churn TABLE=new.csv OUT=scores.csv (or .parquet)
	@python -m flows.score_table --name="$(call given,NAME)" --table="$(call given,TABLE)" --out="$(call given,OUT)" --names="$(call given,NAMES)"

reproduce: $(VENV)/.runtime ## make reproduce VERSION=income/3: train it again and compare the bytes
	@python -m flows.reproduce "$(VERSION)"

labels: $(VENV)/.runtime | $(PREFECT_HOME) ## make labels FILE=chargebacks.csv: what became of scores, joined to the journal
	@python -m flows.labels --file "$(FILE)"

loop: $(VENV)/.runtime ## what drift and lost quality have led to, newest first: decisions, challengers, the gate's word
	@python -m monitoring.loop_log

rollback: $(VENV)/.runtime ## make rollback MODEL=income [TO=3] [REASON="..."]: back to the champion before
	@python -m registry.rollback --model "$(MODEL)" --to "$(TO)" --reason "$(REASON)"

ledger: $(VENV)/.runtime ## check that no row of the ledger was changed and that MLflow agrees; MODEL=income prints its history
	@python -m registry.ledger $(if $(MODEL),show "$(MODEL)",verify)

delete-version: $(VENV)/.runtime ## make delete-version MODEL=income VERSION=3: refused while anything needs it
	@python -m registry.deletion --model "$(MODEL)" --version "$(VERSION)"

push: $(VENV)/.runtime | $(PREFECT_HOME) ## recommendations and push texts of every client, in one batch job
	@python -m flows.push

backfill: $(VENV)/.runtime ## the drift reports of the journal's past days that have none yet, for the dashboards
	@python -m flows.backfill

scenario: $(VENV)/.runtime | $(PREFECT_HOME) ## make scenario NAME=new-fraud: a simulated bank, day by day, and what monitoring says and does
	@exec python -m scenarios --name "$(NAME)" $(if $(DAYS),--days $(DAYS)) $(if $(CLIENTS),--clients $(CLIENTS)) $(if $(SEED),--seed $(SEED))

scoring-key: $(VENV)/.runtime ## make scoring-key NAME=crm SCOPES=score,clients: a key of the four scoring services, printed once
	@python -m edge.keys new --name "$(NAME)" $(if $(SCOPES),--scopes "$(SCOPES)")

prescoring-worker: $(VENV)/.runtime ## one more process that works off the prescoring queue; Ctrl-C stops it
	@exec python -m bentos.prescoring.worker

token: $(VENV)/.runtime ## make token CLIENT=100008: a client's token for the consent service, good for five minutes and one change
	@python -m consent_api.issuer token --client "$(CLIENT)"

key: $(VENV)/.runtime ## make key ROLE=partner SUBJECT=dala-market: a key of the consent service, printed once
	@python -m consent_api.auth issue --role "$(ROLE)" --subject "$(SUBJECT)"

# A process for each core, each with whole files, because tests of one file share what is dear to make.
PARALLEL := --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

# A test process for each core: threads of OpenMP inside them would only wait for one another.
test: $(VENV)/.dev ## everything that is promised, shown
	@OMP_NUM_THREADS=1 python -m pytest $(PARALLEL)

fast-test: $(VENV)/.dev
	@OMP_NUM_THREADS=1 python -m pytest $(PARALLEL) -m "not integration"

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

bench-training: $(VENV)/.dev ## our search against FLAML and the libraries' defaults; half an hour
	@python -m bench.training

bench-serving: $(VENV)/.dev ## the fraud service against an echo, plain FastAPI and the usual prototype; needs wrk; seven minutes
	@python -m bench.serving && python -m bench.shadow

bench-monitoring: $(VENV)/.dev ## drift reports over a journal of two million scores against Evidently's own preset; ten minutes
	@python -m bench.monitoring

bench-aggregates: $(VENV)/.dev ## a month's report over 20 million purchases against the same SQL without privacy
	@python -m bench.aggregates

bench-consent: $(VENV)/.dev ## reads, writes and waiting time of the consent service with its audit log on; needs wrk
	@python -m bench.consent_api && python -m bench.consent_outages

lock: ## resolve requirements.in and requirements-dev.in anew (needs uv)
	@for set in requirements requirements-dev; do uv pip compile --quiet --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header --override requirements-overrides.in \
	  $$set.in -o $$set.lock; done

clean: ## removes everything that running has written, never the sources
	@rm -rf "$(OPORA_VAR)" .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .schemathesis

free-ports: $(VENV)/.runtime
	@python -m flows.ports

# Prefect makes its own folder but not the one above it.
$(PREFECT_HOME):
	@mkdir -p "$@"

# --no-deps: the lock is the whole closure, every file checked against its hash. An environment without pip is what a Debian without
# python3-venv, or a Ctrl-C, leaves behind.
$(VENV)/.runtime: requirements.lock
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Opora needs Python 3.11 or newer: set PYTHON=/path/to/python3.11")'
	@"$(VENV)/bin/python" -m pip --version > /dev/null 2>&1 || "$(PYTHON)" -m venv --clear "$(VENV)"
	@echo "Installing the locked packages into .venv (once, some minutes) ..."
	@"$(VENV)/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@touch "$@"

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@"$(VENV)/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@touch "$@"
