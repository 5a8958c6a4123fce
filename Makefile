# What a developer needs, on a machine with Python 3.10 or later, make, and a way to PyPI.
# Each target sets itself up; the set-up is done again only when pyproject.toml changes.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SMALLEST := 3.10

# The Python to build the environment with: the first that is new enough, unless it is given.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.10 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
	&& { echo $$python; break; }; done)

# More arguments for what a target runs: make test ARGS="-k retry_after".
ARGS ?=

# How many processes the tests run in: make test WORKERS=0 keeps them in one, for a debugger.
WORKERS ?= auto

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

# Downloads fail now and then: four tries, with longer and longer pauses between them.
define retry
n=1; until $(1); do \
	if [ $$n -ge 4 ]; then echo "gave up after $$n tries: $(1)" >&2; exit 1; fi; \
	echo "try $$n failed, the next follows in $$((5 * n)) s" >&2; \
	sleep $$((5 * n)); n=$$((n + 1)); \
done
endef

.DEFAULT_GOAL := help
.PHONY: help demo test stack dashboards conformance lint clean

help:
	@echo "make demo         bad API weather, and how a session gets through it"
	@echo "make test         all tests, with coverage of lines and branches"
	@echo "make stack        the demo's weather, seen through a real Collector and Prometheus (needs Go)"
	@echo "make dashboards   the dashboards anew from their source"
	@echo "make conformance  the tests of requests and responses, with our session in them"
	@echo "make lint         style, types and who may import whom"
	@echo "make clean        remove everything that these have made"
	@echo
	@echo "ARGS=... hands more arguments on: make test ARGS=\"-k retry_after\""

demo: $(STAMP)
	@$(BIN)/weatherglass demo $(ARGS)

# Coverage starts before pytest does, which imports our own plugin before any of its plugins.
test: $(STAMP)
	@command -v valgrind >/dev/null 2>&1 || echo "valgrind is not installed: the tests that \
	count instructions are skipped"
	@$(BIN)/python -m stack.binaries >/dev/null || { echo "the tests that run the programs named \
	above are skipped" && [ -z "$$STACK_REQUIRED" ]; }
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -n $(WORKERS) --maxprocesses 8 --dist loadgroup $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

stack: $(STAMP)
	@$(BIN)/python -m stack $(ARGS)

dashboards: $(STAMP)
	@$(BIN)/python tools/generate_dashboards.py

conformance: $(STAMP)
	@$(BIN)/python tools/requests_conformance.py $(ARGS)

lint: $(STAMP)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@for conftest in tests/conftest.py tests/*/conftest.py; do $(BIN)/mypy "$$conftest" || exit 1; done
	@$(BIN)/lint-imports

clean:
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* coverage.xml .hypothesis
	rm -rf .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Some systems ship Python without ensurepip: there, the system's pip puts pip into place.
$(STAMP): pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "no Python $(SMALLEST) or later was found; name one: make PYTHON=/path/to/python" >&2; \
		exit 1; \
	fi
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		echo "making $(VENV) with $(PYTHON)"; \
		$(PYTHON) -m venv --clear $(VENV) >/dev/null 2>&1 || { \
			$(PYTHON) -m venv --clear --without-pip $(VENV) && \
			$(call retry,$(PYTHON) -m pip --quiet --python $(BIN)/python install pip); \
		}; \
	fi
	@echo "installing weatherglass and what its development needs"
	@if ! $(BIN)/python -c 'import pip; p = pip.__version__.split("."); \
		raise SystemExit((int(p[0]), int(p[1])) < (25, 1))'; then \
		$(call retry,$(BIN)/python -m pip --quiet install --upgrade 'pip>=25.1'); \
	fi
	@$(call retry,$(BIN)/python -m pip --quiet install --editable '.[cli$(,)testing]' --group dev)
	@touch $@

# A comma that is none of make's own.
, := ,
