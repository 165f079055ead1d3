# Shortcuts. Every command is also in README.md or CONTRIBUTING.md and works without make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint typecheck docs bench clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q pip==26.3
	$(BIN)/pip install -q -c constraints.txt -e '.[all]' --group dev
	touch .venv/ready

demo: .venv/ready
	$(BIN)/wavix-async demo

test: .venv/ready
	$(BIN)/pytest -q

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python .ci/imports.py
	$(BIN)/lint-imports

typecheck: .venv/ready
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: .venv/ready
	$(BIN)/python -m docs.site

bench: .venv/ready
	$(BIN)/python -m benchmarks --svg docs/benchmarks.svg
	$(BIN)/python -m benchmarks reliability --svg docs/reliability.svg

clean:
	rm -rf .venv build
