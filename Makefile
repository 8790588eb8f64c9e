# Two commands for a fresh machine with Python and make: `make demo` and `make test`.
# Each makes .venv by pip, once; it is made again when pyproject.toml changes.
.POSIX:

PYTHON ?= python3
VENV = .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
# One torch thread a test process: two processes share the cores better than their threads would.
WORKERS = 2

.PHONY: help demo test quick lint docs hub hub-check dist clean

help:
	@echo 'make demo   enlarge a photograph; writes the result, the error mask and a comparison to demo-output/'
	@echo 'make test   run the whole test suite'
	@echo 'make quick  the tests of a developer'\''s loop: all but those marked slow'
	@echo 'make lint   check format, style and types'
	@echo 'make docs   build the documentation into site/'
	@echo 'make hub    measure the networks in the package and write their cards for the Hub (needs ../shared)'
	@echo 'make hub-check  load each as it will lie on the Hub, validate its card, measure it again'
	@echo 'make dist   build wheel and sdist into dist/ and check them'
	@echo 'make clean  delete .venv and everything that was built (not runs/, which holds trainings)'

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "needs Python 3.11 or newer; name one: make PYTHON=python3.12 test")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -e '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/python examples/demo.py

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

quick: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow"

lint: $(STAMP)
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

docs: $(STAMP)
	$(BIN)/python -m mkdocs build --strict

hub: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python hub/publish.py make

hub-check: $(STAMP)
	$(BIN)/python hub/publish.py check

dist: $(STAMP)
	rm -rf dist build
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

clean:
	rm -rf $(VENV) build dist site demo-output .mypy_cache .pytest_cache .ruff_cache .hypothesis mga_wrap.egg-info
	find mga_wrap tests examples -name __pycache__ -type d -prune -exec rm -rf {} +
