# `make` or `make help` lists the targets. Every target sets up what it needs.
#   make demo PYTHON=python3.12        interpreter of a new .venv (3.10 to 3.13)
#   make demo TORCH_INDEX=URL          a package index to take PyTorch from (see README)

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench screenshots clean
export PYTHON TORCH_INDEX

BIN := .venv/bin
READY := .venv/.ready
# For rendering without a screen, and for the tests of the web page.
DEBIAN := libegl1 libegl-mesa0 libgl1-mesa-dri chromium
BENCH_READY := .venv-bench/.ready

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

demo: $(READY) ## register the package's own thorax phantom; results in demo-result/
	$(BIN)/elastic-hyperreg demo --out demo-result --overwrite
	@echo "With sliders, in the browser: $(BIN)/elastic-hyperreg serve --demo"

test: lint ## lint and the whole test suite
	scripts/debian.sh $(DEBIAN)
	$(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile

lint: $(READY) ## style, formatting, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## let ruff fix style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) $(BENCH_READY) ## compare with other registration programs; results in bench-result/
	$(BIN)/python -m benchmarks.run all --out bench-result
	$(BIN)/python -m benchmarks.scaling --out bench-result
	$(BIN)/python -m benchmarks.live --out bench-result
	$(BIN)/python -m benchmarks.estimate --out bench-result
	$(BIN)/python -m benchmarks.network --out bench-result
	$(BIN)/python -m benchmarks.thorax --out bench-result
	$(BIN)/python -m benchmarks.modalities --out bench-result
	QT_QPA_PLATFORM=offscreen $(BIN)/python -m benchmarks.panel --out bench-result
	scripts/debian.sh $(DEBIAN)
	$(BIN)/python -m benchmarks.page --out bench-result

screenshots: $(READY) ## make the pictures of the panel and of the page again
	scripts/debian.sh $(DEBIAN)
	QT_QPA_PLATFORM=offscreen $(BIN)/python -m scripts.screenshots_panel
	$(BIN)/python -m scripts.screenshots_web

clean: ## remove environments, caches and results
	rm -rf .venv .venv-bench build dist *.egg-info demo-result bench-result
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml setup.py constraints.txt scripts/setup.sh
	scripts/setup.sh .venv -c constraints.txt -e ".[cli,test]"
	@touch $@

$(BENCH_READY): benchmarks/peers.txt scripts/setup.sh
	scripts/setup.sh .venv-bench -r benchmarks/peers.txt
	@touch $@
