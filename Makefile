# make setup   the environment in .venv (safe to repeat)
# make lab     set up, start the embedded cluster, open JupyterLab at the first chapter
# make test    set up, check the style and the layers, run the tests, the notebooks included
# make test-all  the long tests too: each chapter alone, in any order, twice, in 2 GB, in Chinese
# make site    the course as a static site, in build/site/html
# make bench   measure on this machine
# make soak    half an hour of requests while parts are killed (SOAK="--minutes 3" for a try)

PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
LAB_FLAGS ?=
# Where JupyterLab keeps how a learner has arranged the windows, and under which name.
export JUPYTERLAB_WORKSPACES_DIR ?= $(CURDIR)/$(VENV)/share/jupyter/lab/workspaces
WORKSPACE := $(JUPYTERLAB_WORKSPACES_DIR)/labkit-0fba.jupyterlab-workspace
SITE := build/site
PYTEST := pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=120
ROOT_FLAG := $(if $(filter 0,$(shell id -u)),--allow-root)

export PATH := $(BIN):$(PATH)

.PHONY: setup lab test test-all lint site bench soak clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml binder/overrides.json
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "labkit needs Python 3.11 or newer: make PYTHON=python3.12 setup")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
# Compile once here instead of at the first start.
	$(BIN)/python -m compileall -q labkit
	install -D -m 644 binder/overrides.json $(VENV)/share/jupyter/lab/settings/overrides.json
	touch $@

$(WORKSPACE): binder/workspace.json | $(VENV)/.ready
	jupyter lab workspaces import $< >/dev/null

# A login shell would put the system's PATH in place of this one in JupyterLab's terminals.
lab: setup $(WORKSPACE)
	labkit up
	eval "$$(labkit env)" && jupyter lab $(ROOT_FLAG) \
	    --LabApp.default_url=/lab/workspaces/labkit \
	    --ServerApp.terminado_settings="{'shell_command': ['$${SHELL:-sh}']}" $(LAB_FLAGS)

lint: setup
	ruff check .
	ruff format --check .
	lint-imports

# The tests bring up clusters of their own, in a directory of their own.
test: lint
	$(PYTEST) -m "not long" --ignore=notebooks/zh tests notebooks

test-all: lint
	$(PYTEST) tests notebooks

# An environment of its own: who reads the site needs no cluster, and who learns needs no Sphinx.
$(SITE)/env/.ready: pyproject.toml
	$(PYTHON) -m venv $(SITE)/env
	$(SITE)/env/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(SITE)/env/bin/python -m pip install --quiet --group site
	touch $@

site: $(SITE)/env/.ready
	rm -rf $(SITE)/source
	mkdir -p $(SITE)/source
	cp -Rp docs notebooks site/index.md $(SITE)/source/
	$(SITE)/env/bin/sphinx-build -q -W --keep-going -c site $(SITE)/source $(SITE)/html
	@echo "The site is in $(SITE)/html/index.html"

bench: setup
	python -m benchmarks

soak: setup
	python -m benchmarks.soak $(SOAK)

clean:
	rm -rf $(VENV) build dist *.egg-info
