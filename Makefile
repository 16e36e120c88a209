# make install | demo | test | examples | bench | bench-fusion | lint; each sets up all it needs in .venv.
# DEMO, TEST and BENCH hold further words of their command: make test TEST=tests/planner
PYTHON ?= python3
PY := .venv/bin/python
SOURCES := pyproject.toml setup.py $(wildcard cext/*)
STAMP := .venv/.built

# pythons: builds and installs with each Python of the classifiers that this machine has
.PHONY: install demo test examples pythons bench bench-fusion lint clean

install: $(STAMP)

demo: $(STAMP)
	$(PY) -m cloudctl demo --out out/demo $(DEMO)

test: $(STAMP)
	$(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile $(TEST)

examples: $(STAMP)
	$(PY) examples/run_all.py out/examples

pythons: $(STAMP)
	CLOUDCTL_TEST_PYTHONS=all $(PY) -m pytest -rs tests/test_install.py

bench: $(STAMP)
	$(PY) -m cloudctl bench $(BENCH)

bench-fusion: .venv/.peers
	$(PY) -m bench.bench_fusion $(BENCH)

lint: .venv/.lint
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest tests/test_layers.py
	$(PY) -m bandit --quiet --recursive cloudctl sim --configfile pyproject.toml
	$(PY) .ci/audit_dependencies.py
	.venv/bin/hadolint cloudctl/node/deploy/Dockerfile
	gcc -std=c11 -O2 -Wall -Wextra -Werror -ffp-contract=off -fsyntax-only cext/*.c

clean:
	rm -rf .venv build out *.egg-info cloudctl/*.so cloudctl/__pycache__/kernels

$(STAMP): $(SOURCES)
	@echo "setting up .venv: a minute or two, for packages and the compiled core ..."
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps 'axe-playwright-python>=0.1.8' # for the axe-core in it: the tests drive Chromium without playwright
	touch $@
	@echo "done: .venv is set up; next: . .venv/bin/activate"

.venv/.lint: $(STAMP)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[lint]' && touch $@

.venv/.peers: $(STAMP)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[peers]'
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps norfair # asks for numpy < 2, works with any
	touch $@
