# What `make test` runs, in parts that do not need each other, the longest first:
# make -j3 -f utils/tests.mk check
include utils/tools/tools.mk
OWN_EMULATOR := $(HARNESS) with-emulator
# A make that a test starts is none of these: it gets neither their flags nor their job server.
PYTEST := env MAKEFLAGS= $(PY) -m pytest -q
# They change this checkout, its packages, samples and results: one after another.
TYPED := $(addprefix tests/test_,commands.py deploy.py folder.py package.py pipeline.py report.py signing.py watch.py)

PARTS := rest typed functions executor types lint checkov
.PHONY: check installed $(PARTS)
check: $(PARTS)
installed $(PARTS): $(TOOLS_READY)
rest typed functions: installed

# The functions' environments, and their zips with the tests' ETLs; other parts run meanwhile.
installed:
	@$(MAKE) --no-print-directory -f utils/functions.mk zip .venv/.ready ETL_FOLDER=$(ROOT)/utils/tests/etl

typed:
	@cd utils && $(OWN_EMULATOR) $(PYTEST) $(TYPED)

rest: $(VENVS)/ministack/.ready
	@cd utils && $(OWN_EMULATOR) $(PYTEST) $(TYPED:%=--ignore=%)

functions:
	@$(OWN_EMULATOR) $(MAKE) --no-print-directory -f utils/functions.mk test ALREADY_UP=1

executor:
	@cd utils/process-executor && $(PYTEST)

types:
	@cd utils && $(PY) -m mypy && $(PY) -m mypy process-executor/tests

checkov: $(VENVS)/checkov/.ready
	@$(VENVS)/checkov/bin/checkov --file state-machine/template.yaml --framework cloudformation \
		--compact --quiet --skip-download

# Ruff on what is Python, zizmor on what GitHub runs.
lint: $(VENVS)/zizmor/.ready
	@$(TOOLS)/.venv/bin/ruff check --quiet && $(TOOLS)/.venv/bin/ruff format --check --quiet
	@$(VENVS)/zizmor/bin/zizmor --quiet --offline --no-progress --persona pedantic .
