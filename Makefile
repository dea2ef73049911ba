# `make demo` and `make test` work on a fresh clone with Python 3.11 or newer and pip; nothing else is needed.
PYTHON ?= python3
VENV ?= .venv
DEMO_VENV ?= .venv-demo
PIP = -m pip install --disable-pip-version-check -c constraints.txt

.PHONY: demo test slow lint web clean

demo: $(DEMO_VENV)/.ready
	$(DEMO_VENV)/bin/stampseg demo -o demo-run

# Two processes of one thread each: small networks gain nothing from more threads. What is compiled is kept: tests
# start some fifty processes, each of which would compile the whole package.
test: $(VENV)/.test
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -q -n 2

slow: $(VENV)/.test
	$(VENV)/bin/python -m pytest -q -m slow

lint: $(VENV)/.lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/mkdocs build --strict --quiet

# Scripts of others for the page of `stampseg export RUN -o segment.html`; needs Node.js with npm.
web:
	cd viewers/web && npm ci --no-fund --no-audit && npm run --silent build

clean:
	rm -rf viewers/web/node_modules .venv .venv-demo .venv-ci build src/*.egg-info .pytest_cache .mypy_cache .ruff_cache

# The marker files are written last, so that an interrupted installation is tried again.
$(VENV)/.test: pyproject.toml constraints.txt tests/requirements-no-deps.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python $(PIP) -q -e ".[test,all]"
	$(VENV)/bin/python $(PIP) -q --no-deps -r tests/requirements-no-deps.txt
	touch $@

$(VENV)/.lint: $(VENV)/.test
	$(VENV)/bin/python $(PIP) -q -e ".[test,all,dev]"
	touch $@

# A copy is installed, as a user would have it; a stale build folder would bring back deleted files.
$(DEMO_VENV)/.ready: pyproject.toml constraints.txt $(shell find src -name '*.py')
	rm -rf build
	$(PYTHON) -m venv $(DEMO_VENV)
	$(DEMO_VENV)/bin/python $(PIP) -q --force-reinstall --no-deps .
	$(DEMO_VENV)/bin/python $(PIP) ".[demo]"
	touch $@
