# Sets up and drives the project; `make` alone lists what there is to type.
# Kept to what GNU make 3.81 (macOS) knows. The clone's own path is never a target or a
# prerequisite, and is quoted where it is used: it may hold spaces.

# What the clone was last set up with is the default, so that `TF=gpu make setup PYTHON=python3.12`
# need not be repeated with every `make run`. The name of a stamp says what that was.
VENV_PYTHON := $(shell test -x .venv/bin/python && echo .venv/bin/python)
INSTALLED := $(patsubst .venv/installed-%,%,$(wildcard .venv/installed-*))

PYTHON ?= $(or $(VENV_PYTHON),python3)
TF ?= $(or $(firstword $(subst -, ,$(INSTALLED))),cpu)
ARGS ?=
WHEELS ?=

VERSION := $(shell "$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
SUPPORTED := 3.11 3.12 3.13
READY := .venv/ready-$(TF)-$(VERSION)
LOCK_cpu := requirements.lock
LOCK_gpu := requirements-gpu.lock
LOCK := $(LOCK_$(TF))
SIZE_cpu := 2.9 GB
SIZE_gpu := 7.6 GB

# The uv on PATH, else one of our own, by pip, at the version and hashes of the lock.
OWN_UV := .uv/$(VERSION)/bin/uv
UV := $(shell uv venv --help 2>/dev/null | grep -q relocatable && echo uv || echo $(OWN_UV))

# A folder of wheels in place of the network, unless it is the one being filled.
OFFLINE = $(if $(filter wheels,$(MAKECMDGOALS)),,$(if $(WHEELS),--no-index --find-links "$(WHEELS)"))

# Imports of packages without bytecode take two to three times as long, so it must be written.
unexport PYTHONDONTWRITEBYTECODE

checked = $(if $(LOCK),,$(error TF is "$(TF)"; it must be cpu or gpu))$(if \
  $(filter $(VERSION),$(SUPPORTED)),,$(error Python $(SUPPORTED) will do; "$(PYTHON)" is $(or \
  $(VERSION),not there). Name another one: make setup PYTHON=python3.12))

.PHONY: help setup picture picture-mlflow run test test-slow test-kills lint types lock check-lock
.PHONY: wheels no-venv bench-choosing bench-data bench-epoch bench-examples bench-flow bench-gate
.PHONY: bench-growth bench-leaks bench-own-data bench-search bench-validation

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1|/p' Makefile | awk -F'|' '{printf "%-22s %s\n", $$1, $$2}'
	@echo 'Options: PYTHON=python3.12  TF=gpu  WHEELS=DIR (install without a network)'

setup: $(READY) ## make .venv with everything in it; TF=gpu for an NVIDIA card
	@echo 'setup: done; next: make run'

run: $(READY) ## train the digits experiment; ARGS=NAME for another one
	@PATH="$$PWD/.venv/bin:$$PATH" .venv/bin/gristmill run $(or $(ARGS),digits)

# A process a core, four at most: each holds TensorFlow and starts further processes.
MEASURED := $(if $(COVERAGE),--cov --cov-report=term:skip-covered)
SIDE_BY_SIDE := -n logical --maxprocesses 4 --dist loadfile

test: $(READY) ## the tests, side by side; ARGS='-k split -x' goes to pytest instead; COVERAGE=1
	@PATH="$$PWD/.venv/bin:$$PATH" .venv/bin/python -m pytest $(or $(ARGS),-m "not slow" $(SIDE_BY_SIDE)) $(MEASURED)

test-slow: $(READY) ## the tests that take longer
	@PATH="$$PWD/.venv/bin:$$PATH" .venv/bin/python -m pytest -m slow $(or $(ARGS),$(SIDE_BY_SIDE))

test-kills: $(READY) ## fifty kills of a run at random moments (about ten minutes); KILLS=200 for more
	@PATH="$$PWD/.venv/bin:$$PATH" .venv/bin/python -m pytest --kills $(or $(KILLS),50) \
	  tests/flows/test_kills.py

lint: $(READY) ## style, and the order of imports
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/lint-imports --no-logo --cache-dir .mypy_cache/imports

types: $(READY) ## types
	@.venv/bin/python -m mypy

# Versions stay as they are in the lock unless ARGS=--upgrade. The Python is named because the
# result must not depend on the one that runs.
extras := --extra dev --extra ray --extra team
compile = .venv/bin/uv -q pip compile pyproject.toml $(extras) --universal \
  --python-version $(firstword $(SUPPORTED)) --generate-hashes \
  --no-emit-index-url --no-annotate --no-header $(ARGS)
locks = $(compile) -o "$(1)/requirements.lock" && $(compile) --overrides overrides-gpu.txt \
  --constraints "$(1)/requirements.lock" -o "$(1)/requirements-gpu.lock" && \
  $(subst pyproject.toml $(extras),benchmarks/requirements.in --no-deps,$(compile)) \
  -o "$(1)/requirements-bench.lock"

picture: $(READY) ## draw docs/run.svg, the picture in the README
	@PATH="$$PWD/.venv/bin:$$PATH" .venv/bin/python docs/picture.py

picture-mlflow: $(READY) ## draw docs/mlflow.png, runs compared in MLflow's UI (Chromium, 3 minutes)
	@PATH="$$PWD/.venv/bin:$$PATH" .venv/bin/python docs/mlflow_picture.py

.PHONY: picture-report
picture-report: $(READY) ## draw docs/report.png, the page of a run (Chromium, 1 minute)
	@PATH="$$PWD/.venv/bin:$$PATH" .venv/bin/python docs/report_picture.py

bench-data: $(READY) ## ingest, validate, split and scale against pandas; ROWS=500000 for fewer
	@.venv/bin/python benchmarks/data.py $(if $(ROWS),--rows $(ROWS)) $(ARGS)

bench-validation: $(READY) ## the schema against one expectation a column in a loop (two minutes)
	@.venv/bin/python benchmarks/validation.py $(ARGS)

bench-leaks: $(READY) ## 400 planted leaks and thousands of clean tables (about five minutes)
	@.venv/bin/python benchmarks/leaks.py

bench-own-data: $(READY) ## sixty public tables through all commands (an hour); ARGS="iris tips" for some
	@PATH="$$PWD/.venv/bin:$$PATH" .venv/bin/python benchmarks/own_data.py $(ARGS)

bench-gate: $(READY) ## the gate on models whose truth is known, and a year of it (ten minutes)
	@.venv/bin/python benchmarks/gate.py

bench-growth: $(READY) ## searches of 16 to 1,024 trials of a second (8 minutes); TRIALS="16 64" for fewer
	@.venv/bin/python benchmarks/growth.py $(if $(TRIALS),--trials $(TRIALS)) $(ARGS)

# What benchmarks compare with is kept out of .venv.
OTHERS := .bench/ready-$(VERSION)
$(OTHERS): requirements-bench.lock $(READY)
	@rm -rf .bench
	@$(UV) -q pip install --python .venv/bin/python --target .bench --no-deps --require-hashes \
	  $(OFFLINE) -r requirements-bench.lock
	@touch $@

bench-search: $(OTHERS) ## sixteen grid points against KerasTuner, GridSearchCV, a loop (4 minutes)
	@PYTHONPATH=.bench .venv/bin/python benchmarks/search.py $(ARGS)

bench-flow: $(OTHERS) ## a whole run against the flow that one writes by hand (6 minutes)
	@PATH="$$PWD/.venv/bin:$$PATH" PYTHONPATH=.bench .venv/bin/python benchmarks/flow.py $(ARGS)

bench-epoch: $(READY) ## one epoch against Keras's fit, on Fashion-MNIST (about six minutes)
	@.venv/bin/python benchmarks/epoch.py $(ARGS)

bench-examples: $(OTHERS) ## the examples in full size (half an hour); ARGS="diabetes" for one
	@PATH="$$PWD/.venv/bin:$$PATH" PYTHONPATH=.bench .venv/bin/python benchmarks/examples.py $(ARGS)

bench-choosing: $(OTHERS) ## ways to choose hyperparameters and against overfitting (8 minutes)
	@PATH="$$PWD/.venv/bin:$$PATH" PYTHONPATH=.bench .venv/bin/python benchmarks/choosing.py $(ARGS)

lock: $(READY) ## write the locks from pyproject.toml; ARGS=--upgrade for newer versions
	@$(call locks,.)

check-lock: $(READY) ## are the locks what pyproject.toml asks for?
	@new=$$(mktemp -d) && trap 'rm -rf "$$new"' EXIT && \
	cp requirements*.lock "$$new" && $(call locks,$$new) && for lock in requirements*.lock; do cmp -s $$lock "$$new/$$lock" || { \
	  echo "$$lock is not what pyproject.toml asks for. Write it anew: make lock" >&2; exit 1; }; done

wheels: $(OWN_UV) ## fill WHEELS=DIR, for a set-up without a network on a machine like this one
	@test -n "$(WHEELS)" || { echo 'Name the folder to fill: make wheels WHEELS=DIR' >&2; exit 1; }
	@echo 'wheels: fetching what $(LOCK) names (about a gigabyte)'
	@.uv/$(VERSION)/bin/python -m pip download -q --no-deps --require-hashes -r $(LOCK) -d "$(WHEELS)"

# A stamp is written after the step that it marks. So an interrupted installation is begun again from nothing,
# a whole one of the same Python takes only the difference, and a doctor who failed is called again.
WHOLE := $(and $(VENV_PYTHON),$(filter %-$(VERSION),$(INSTALLED)))
$(READY): $(LOCK) pyproject.toml $(if $(VENV_PYTHON),,no-venv)
	$(checked)
	$(if $(filter $(OWN_UV),$(UV)),@$(MAKE) --no-print-directory $(OWN_UV))
	@echo 'setup: Python $(VERSION) in .venv'
	@base=$$("$(PYTHON)" -c 'import sys; print(sys._base_executable)') && \
	$(if $(WHOLE),rm -f .venv/ready-* .venv/installed-*,\
	  rm -rf .venv && $(UV) -q venv --relocatable --python "$$base" .venv)
	@echo 'setup: installing $(LOCK) ($(SIZE_$(TF)) on disk; half a minute and the download)'
	@$(UV) -q pip sync --python .venv/bin/python --require-hashes --compile-bytecode $(OFFLINE) $(LOCK)
	@echo 'setup: installing gristmill'
	@$(UV) -q pip install --python .venv/bin/python --no-deps --no-build-isolation $(OFFLINE) \
	  --config-settings editable_mode=compat -e .
	@# setuptools writes this folder's path; a relative one lets the clone be moved or renamed
	@for path in .venv/lib/python*/site-packages/__editable__.gristmill-*.pth; do \
	  echo ../../../.. > "$$path"; done
	@touch .venv/installed-$(TF)-$(VERSION)
	@echo 'setup: databases and data'
	@PATH="$$PWD/.venv/bin:$$PATH" .venv/bin/gristmill doctor --fix
	@touch $@

no-venv:

$(OWN_UV):
	$(checked)
	@echo 'setup: fetching uv (it is not on PATH)'
	@rm -rf .uv/$(VERSION)
	@"$(PYTHON)" -m venv .uv/$(VERSION) || { rm -rf .uv/$(VERSION); \
	  echo 'Python has no venv; on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	@sed -n '/^uv==/,/[^\\]$$/p' $(LOCK) > .uv/$(VERSION)/uv.txt
	@.uv/$(VERSION)/bin/python -m pip install -q --disable-pip-version-check $(OFFLINE) \
	  --require-hashes -r .uv/$(VERSION)/uv.txt
