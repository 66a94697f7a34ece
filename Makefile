# Everything runs in .venv, made from pyproject.toml at the versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test test-slow test-site build-site test-studio test-wheel campaign notebooks test-notebooks docs lint format clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

install: .venv/installed

demo: .venv/installed
	$(BIN)/ncsn demo --out demo

# one process a core, each with one thread: see tests/conftest.py
test: lint
	$(BIN)/pytest --numprocesses auto --maxprocesses 8 --dist worksteal

test-slow: .venv/installed
	$(BIN)/pytest -m slow

# The studio in Chromium, and in Firefox where there is one: CHROMIUM and FIREFOX say where they are.
test-studio: .venv/installed
	$(BIN)/pytest -m browser tests/studio

# Attacks by the thousand: what docs/reliability.md promises. The table there is written anew; an hour on one core.
campaign: .venv/installed
	$(BIN)/python -m campaign --page docs/reliability.md

notebooks: .venv/installed
	$(BIN)/python notebooks/build.py

test-notebooks: .venv/installed
	$(BIN)/python notebooks/build.py --check
	$(BIN)/pytest notebooks/test_notebooks.py

.venv/docs: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

# The site, in site/: notebooks are run only where they or the library changed since the last time.
docs: .venv/docs
	$(BIN)/python docs/build_site.py

# Every page of it in a browser, and what its formulas are made of: notebooks are not run for it.
test-site: build-site
	$(BIN)/pytest -m 'not slow' tests/website

build-site: .venv/docs
	$(BIN)/python docs/build_site.py --quick

test-wheel: .venv/installed
	$(BIN)/python .ci/wheel.py

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv build dist demo site docs/notebooks docs/studio docs/help/messages.md .mypy_cache .ruff_cache .pytest_cache
