# Everything a fresh machine with Python >= 3.11 and make needs. `make demo` and `make test`
# set themselves up; nothing is installed outside .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CODE := fhir_bridge tests tools benchmarks

.PHONY: demo serve-demo test test-deep lint bench clean

demo: $(STAMP)
	$(BIN)/fhir-bridge demo

serve-demo: $(STAMP)
	$(BIN)/fhir-bridge demo --serve

test: $(STAMP)
	$(BIN)/python -m pytest tests

test-deep: $(STAMP)
	$(BIN)/python -m tools.deep

lint: $(STAMP)
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy --strict $(CODE)
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m benchmarks.run

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache \
	  .hypothesis .coverage .coverage.*
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

# The lock pins every package, the build backend included, by hash. The package itself goes
# in last, without dependencies and without a build environment of its own.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "python3-venv is missing. Debian and Ubuntu: sudo apt-get install python3-venv"; \
	    echo "Fedora has it in python3; elsewhere install your system's venv package."; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps -e .
	@touch $@
