# Everything runs in .venv, made from pyproject.toml at the versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test test-slow notebooks test-notebooks lint format clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

install: .venv/installed

demo: .venv/installed
	$(BIN)/ncsn demo --out demo

test: lint
	$(BIN)/pytest

test-slow: .venv/installed
	$(BIN)/pytest -m slow

notebooks: .venv/installed
	$(BIN)/python notebooks/build.py

test-notebooks: .venv/installed
	$(BIN)/python notebooks/build.py --check
	$(BIN)/pytest notebooks/test_notebooks.py

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv build dist demo .mypy_cache .ruff_cache .pytest_cache
