# `make demo` and `make test` need nothing but Python 3.11 or later; everything is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
# What is installed is what tools/lock.py hashed, wheels only; nothing is fetched or compiled beside it.
INSTALL := $(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: --requirement
NOTEBOOKS := $(sort $(wildcard nbs/*.ipynb nbs/*/*.ipynb))

.PHONY: demo test slow check lint export notebooks readme docs browser explore bench miniature lock lowest clean

.venv/base: pyproject.toml setup.py settings.ini locks/build.txt locks/base.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) locks/build.txt
	$(INSTALL) locks/base.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv/dev: .venv/base locks/dev.txt
	$(INSTALL) locks/dev.txt
	$(BIN)/python -m pip check
	touch $@

demo: .venv/base  ## segment a bundled page with the embedded models
	$(BIN)/dotseg demo --out out

test: .venv/dev lint check  ## everything that CI checks
	OMP_NUM_THREADS=1 PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/nbdev_test --n_workers 2 --do_print
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile tests

slow: .venv/dev  ## the large architectures with random weights, files of gigabytes, one after another
	$(BIN)/python -m pytest -q --slow -m slow tests

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/mypy

check: .venv/dev  ## notebooks, package and README are in step, and outputs are clean
	$(BIN)/nbdev_export
	$(BIN)/nbdev_clean
	$(BIN)/python tools/readme.py
	git diff --exit-code -- nbs dotseg README.md

export: .venv/dev
	$(BIN)/nbdev_export

notebooks: .venv/dev  ## run every notebook and store its outputs
	$(BIN)/python tools/execute.py $(NOTEBOOKS)
	$(BIN)/nbdev_clean
	$(BIN)/python tools/readme.py

.venv/docs: .venv/base locks/docs.txt
	$(INSTALL) locks/docs.txt
	touch $@

docs: .venv/docs  ## the site, docs/_build/html, from the notebooks as they are stored; made afresh, so that no page of an old name stays
	$(BIN)/python docs/stage.py
	rm -rf docs/_build/html
	$(BIN)/sphinx-build -q -a -W --keep-going -d docs/_build/doctrees -c docs docs/_build/src docs/_build/html

CHROMIUM ?= /usr/bin/chromium
browser: .venv/dev docs  ## the site as Chromium shows it: links, maths, search, phone width, accessibility
	@test -x $(CHROMIUM) || { echo "$(CHROMIUM) is missing: apt-get install chromium, or make browser CHROMIUM=/path/to/it"; exit 1; }
	$(INSTALL) locks/browser.txt
	CHROMIUM=$(CHROMIUM) $(BIN)/python -m pytest -q --browser tests/browser

explore: .venv/dev  ## the explorer as an app, in a browser on this machine
	$(INSTALL) locks/browser.txt
	$(BIN)/voila nbs/tutorials/playground.ipynb

BENCH ?=
bench: .venv/dev  ## everything beside its peers, which takes a while; BENCH="path jbu --repeats 3" for less
	$(INSTALL) locks/bench.txt
	$(BIN)/python benchmarks/run.py $(BENCH)

TRAIN := $(BIN)/python -m dotseg.miniature.training
miniature: .venv/dev  ## train the embedded models from scratch; takes up where it was left
	$(TRAIN) draw
	{ for stage in clip explain outlines explain-again settle; do $(TRAIN) $$stage --threads 1 || exit 1; done; } & line=$$!; \
	{ for stage in vae unet; do $(TRAIN) $$stage --threads 1 || exit 1; done; } && wait $$line
	$(TRAIN) attention
	$(TRAIN) ship

lock: .venv/dev  ## raise the versions of everything, and write them down with the hashes of their files
	$(BIN)/python -m pip install --quiet --upgrade pip --editable ".[dev,docs,browser,bench,ray,coco,labelme,supervision,heif,video]"
	$(BIN)/python -m pip freeze --all --exclude-editable > constraints.txt
	$(PYTHON) tools/lock.py

lowest:  ## the lowest versions that settings.ini admits: can they be installed together, and do the fast tests pass?
	$(PYTHON) tools/lowest.py

clean:
	rm -rf .venv out build dist *.egg-info
