# Everything runs in .venv, which `make install` and `make demo` make. Another Python: `make PYTHON=python3.12 ...`
PYTHON ?= python3.11
DEMO_OUT ?= demo-out
PIP_INSTALL := .venv/bin/python -m pip install --quiet --disable-pip-version-check

# A strict editable install links the files it finds, so it is made again when a file was added or removed:
# the stamps carry a checksum of the file names.
FILES := $(shell find edgegen export kernels -type f ! -path '*/__pycache__/*' | LC_ALL=C sort | cksum | cut -d' ' -f1)
DEV := .venv/.dev-$(FILES)
DEMO := .venv/.demo-$(FILES)

.PHONY: install demo test test-all lint clean

install: $(DEV)

demo: $(DEMO)
	.venv/bin/edgegen demo -o $(DEMO_OUT)

# Not the files with most tests first: those with few are the slow ones, and would be left to one process at the end.
PYTEST := .venv/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder

test: $(DEV)
	$(PYTEST) -m 'not slow'

# What CI runs: also real training and measuring by the scripts of bench/, and whole exports and evaluations once more.
test-all: $(DEV)
	$(PYTEST)

lint: $(DEV)
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	# From another folder, since ./edgegen would hide the installed edgegen.export and edgegen.kernels.
	cd .venv && bin/mypy --config-file ../pyproject.toml
	cd bench && ../.venv/bin/mypy --config-file ../pyproject.toml *.py peers
	# Its programs are scripts for environments of their own.
	cd .venv && MYPYPATH=.. bin/mypy --config-file ../pyproject.toml -p bench.lab --exclude lab/programs/

clean:
	rm -rf build dist edgegen.egg-info .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache

# The extras of [dev] contain those of the demo.
$(DEV): pyproject.toml | .venv
	rm -f .venv/.dev-* .venv/.demo-*
	$(PIP_INSTALL) --editable '.[dev]' --config-settings editable_mode=strict
	touch $(DEV) $(DEMO)

$(DEMO): pyproject.toml | .venv
	rm -f .venv/.dev-* .venv/.demo-*
	$(PIP_INSTALL) --editable '.[data,train,export,eval,serve]' --config-settings editable_mode=strict
	touch $(DEMO)

.venv:
	$(PYTHON) -m venv .venv
