# The rules all three functions share. A function's Makefile sets NAME and MEMORY.
include $(dir $(lastword $(MAKEFILE_LIST)))tools/tools.mk

FUNCTION := $(NAME)-lambda
TIMEOUT ?= 900
TESTS := $(shell sed -n 's/^testpaths = //p' setup.cfg)
LIBRARY := $(wildcard $(ROOT)/utils/pipeline/*.py $(ROOT)/utils/pipeline/*/*.py)
SOURCES := $(wildcard *.py) $(filter-out $(ROOT)/utils/pipeline/tests/%,$(LIBRARY))

# Wheels are Linux ones for Lambda and its containers, and the host's own for functions that run
# as processes of a host that is no Linux.
HOST := $(if $(filter Linux,$(shell uname -s)),$(patsubst arm64,aarch64,$(shell uname -m)),host)
PLATFORM ?= $(HOST)
WHEELS := $(if $(filter host,$(PLATFORM)),,--no-build --python-version 3.13 \
	--python-platform $(PLATFORM)-manylinux_2_28)

export PIPENV_VENV_IN_PROJECT := 1
export PIPENV_IGNORE_VIRTUALENVS := 1
export PIPENV_NOSPIN := 1
export PIPENV_VERBOSITY := -1
# Pipenv answers Ctrl-C with a traceback of its imports; it ends by itself in a moment.
PIPENV := trap "" INT; $(TOOLS)/as-pip pipenv
UV := $(TOOLS)/as-pip uv --quiet

LOCK = names=$$($(PY) $(TOOLS)/asked.py $1) && { [ -z "$$names" ] || ($(PIPENV) upgrade --lock-only $2 $$names); }

.DELETE_ON_ERROR:
.PHONY: zip create update settings delete invoke log test tested check types pytest lock clean running

zip: bin/lambda.zip ; @:

bin/lambda.zip: bin/packages.zip $(SOURCES)
	@$(PY) $(TOOLS)/make_zip.py function $@ $(filter %.zip %.py,$^)

# Packed once for each lock: a saved source costs no more than its own packing.
bin/packages.zip: deploy-packages/.$(PLATFORM) $(TOOLS)/make_zip.py
	@mkdir -p $(@D)
	@$(PY) $(TOOLS)/make_zip.py packages $@ deploy-packages

deploy-packages/.$(PLATFORM): requirements.txt
	@echo "$(FUNCTION): installing its packages"
	@rm -rf deploy-packages
	@$(UV) pip install --no-deps --require-hashes --python $(PY) $(WHEELS) --target $(@D) -r $<
	@touch $@

requirements.txt: Pipfile.lock | $(TOOLS_READY)
	@$(PIPENV) requirements --hash > $@

running: $(TOOLS_READY)
	@$(if $(ALREADY_UP),,$(HARNESS) ensure)

create: zip running
	@$(HARNESS) create $(NAME) $(MEMORY) $(TIMEOUT)

update: create

settings:
	@echo $(NAME) $(MEMORY) $(TIMEOUT)

delete invoke log: running
	@$(HARNESS) $@ $(NAME)

test: .venv/.ready
	@$(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j2) types tested

# Tests need an S3: the emulator at ENDPOINT with ALREADY_UP, else one of their own.
tested:
	@$(if $(ALREADY_UP),,$(HARNESS) with-emulator --at-once) $(MAKE) --no-print-directory pytest

check: types pytest

types:
	@.venv/bin/mypy --config-file $(ROOT)/utils/pyproject.toml *.py $(wildcard $(TESTS))

pytest:
	@AWS_ENDPOINT_URL=$(ENDPOINT) AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test \
		AWS_DEFAULT_REGION=us-east-1 AWS_CONFIG_FILE=/dev/null .venv/bin/pytest -q

.venv/.ready: Pipfile.lock | $(TOOLS_READY)
	@echo "$(FUNCTION): installing what its tests need"
	@rm -f $@
	@mkdir -p bin
	@$(PIPENV) requirements --dev --hash > bin/requirements-dev.txt
	@$(TOOLS)/make-venv .venv bin/requirements-dev.txt
	@touch $@

# What the Pipfile asks for and the lock lacks; all other packages stay, but for what these need. To
# move all of them: delete the lock.
lock: | $(TOOLS_READY)
	@$(if $(wildcard Pipfile.lock),$(call LOCK,packages) && $(call LOCK,dev-packages,--dev),$(PIPENV) lock)

clean:
	@rm -rf bin deploy-packages requirements.txt result.log .venv .mypy_cache .pytest_cache
