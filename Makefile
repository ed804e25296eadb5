# Needs Python 3.11 or later, make and a C compiler; everything else goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := python -m pip --disable-pip-version-check --quiet
# The wheel is checked as users get it: in a virtual environment of its own, away from the source tree.
WHEEL := $(VENV)/wheel

.PHONY: test test-all check package demo bench bench-quick accuracy clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest -n auto -m "not slow"

# Everything: the long chains, the sanitizers, hundreds of random programs.
test-all: $(VENV)/test.stamp
	$(BIN)/python -m pytest -n auto

# build/ goes first: setuptools would put what it still holds of removed modules into the wheel.
check: $(VENV)/check.stamp $(WHEEL)/bin/python
	$(BIN)/python -m ruff check .
	rm -rf build
	$(BIN)/$(PIP) wheel --no-deps --wheel-dir build/wheel .
	$(WHEEL)/bin/$(PIP) -q uninstall --yes weft
	$(WHEEL)/bin/$(PIP) install "$$(echo build/wheel/weft-*.whl)[types]"
	cd $(WHEEL) && ../bin/python -m mypy --config-file '$(CURDIR)/pyproject.toml' --python-executable bin/python -p weft
	cd $(WHEEL) && ../bin/python -m mypy --config-file '$(CURDIR)/pyproject.toml' --python-executable bin/python \
		'$(CURDIR)/tests/typed_program.py' '$(CURDIR)'/examples/*.py

# Wheel and source distribution, each alone in a fresh environment of every Python that is at hand.
package: $(VENV)/dev.stamp
	$(BIN)/python tests/check_package.py
	rm -rf build

demo: $(VENV)/demo.stamp
	$(BIN)/python -m weft train relu

# All of the README's table and pictures, in one to two hours. BENCH_ARGS are those of bench/run.py.
BENCH_ARGS ?= --curves --relatives 4
bench: $(VENV)/bench.stamp
	@mkdir -p build
	$(BIN)/python bench/run.py $(BENCH_ARGS) --json bench/results.json
	$(BIN)/python bench/report.py bench/results.json --png bench --readme
	$(BIN)/python bench/compile_time.py --json build/compile_time.json
	$(BIN)/python bench/products.py --json build/products.json
	$(BIN)/python bench/functions.py --json build/functions.json
	$(BIN)/python bench/reductions.py --json build/reductions.json
	$(BIN)/python bench/pool.py --json build/pool.json
	$(BIN)/python bench/memory.py --json build/memory.json

# A look at the cases, which leaves the README's as they are.
bench-quick: $(VENV)/bench.stamp
	@mkdir -p build
	$(BIN)/python bench/run.py --rounds 2 --more 0 --json build/bench.json --png build

# Errors of the elementwise functions: every float32 of those of one argument, 10^8 samples of the others.
accuracy: $(BIN)/python
	$(BIN)/python bench/accuracy.py --dtype float32 --full
	$(BIN)/python bench/accuracy.py --dtype float64 --samples 100000000

clean:
	rm -rf $(VENV) build *.egg-info

# One stamp an extra. An edited pyproject.toml installs again; edited sources need not (the install is editable).
$(VENV)/%.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/$(PIP) install -e '.[$*]'
	touch $@

$(BIN)/python $(WHEEL)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'weft needs Python 3.11 or later; name one: make PYTHON=python3.12 ...' >&2; exit 1; }
	$(PYTHON) -m venv --clear $(@:/bin/python=)
