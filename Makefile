# `make demo` and `make test` need nothing but Python 3.11 or later; everything is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
NOTEBOOKS := $(sort $(wildcard nbs/*.ipynb nbs/*/*.ipynb))

.PHONY: demo test slow check lint export notebooks readme docs browser explore bench miniature lock lowest clean

.venv/base: pyproject.toml setup.py settings.ini constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/dev: .venv/base
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: .venv/base  ## segment a bundled page with the embedded models
	$(BIN)/dotseg demo --out out

test: .venv/dev lint check  ## everything that CI checks
	OMP_NUM_THREADS=1 PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/nbdev_test --n_workers 2 --do_print
	$(BIN)/python -m pytest -q tests

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

.venv/docs: .venv/base
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	touch $@

docs: .venv/docs  ## the site, docs/_build/html, from the notebooks as they are stored (-a: the search index forgets entries of pages that it does not write)
	$(BIN)/python docs/stage.py
	$(BIN)/sphinx-build -q -a -W --keep-going -d docs/_build/doctrees -c docs docs/_build/src docs/_build/html

CHROMIUM ?= /usr/bin/chromium
browser: .venv/dev docs  ## the site as Chromium shows it: links, maths, search, phone width, accessibility
	@test -x $(CHROMIUM) || { echo "$(CHROMIUM) is missing: apt-get install chromium, or make browser CHROMIUM=/path/to/it"; exit 1; }
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[browser]"
	CHROMIUM=$(CHROMIUM) $(BIN)/python -m pytest -q --browser tests/browser

explore: .venv/dev  ## the explorer as an app, in a browser on this machine
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[browser]"
	$(BIN)/voila nbs/tutorials/playground.ipynb

BENCH ?=
bench: .venv/dev  ## everything beside its peers, which takes a while; BENCH="path jbu --repeats 3" for less
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[bench]"
	$(BIN)/python benchmarks/run.py $(BENCH)

TRAIN := $(BIN)/python -m dotseg.miniature.training
miniature: .venv/dev  ## train the embedded models from scratch; takes up where it was left
	$(TRAIN) draw
	{ for stage in clip explain outlines explain-again settle; do $(TRAIN) $$stage --threads 1 || exit 1; done; } & line=$$!; \
	{ for stage in vae unet; do $(TRAIN) $$stage --threads 1 || exit 1; done; } && wait $$line
	$(TRAIN) attention
	$(TRAIN) ship

lock: .venv/dev  ## write down the versions of everything installed, once they have been tested
	$(BIN)/python -m pip install --quiet --upgrade --editable ".[dev,docs,browser,bench,ray,coco,labelme,supervision,heif,video]"
	$(BIN)/python -m pip freeze --exclude-editable > constraints.txt

lowest:  ## the lowest versions that settings.ini admits: can they be installed together, and do the fast tests pass?
	$(PYTHON) tools/lowest.py

clean:
	rm -rf .venv out build dist *.egg-info
