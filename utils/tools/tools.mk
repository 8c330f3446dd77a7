# The environment of every make target: the tools' Python, and an emulator in place of AWS.
ifneq ($(words $(CURDIR)),1)
$(error the folder of the checkout must have no space in its path; found $(CURDIR))
endif
ROOT := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/../..)
TOOLS := $(ROOT)/utils/tools
PY := $(TOOLS)/.venv/bin/python
HARNESS := $(PY) -P -m harness
ENDPOINT ?= http://localhost:4566
BUCKET ?= test-bucket
# The folder of the ETLs that are packed; the project's tests bring their own.
ETL_FOLDER ?= $(ROOT)/demo-segment/etl
# As typed: make reads no $ in it.
override ENDPOINT := $(value ENDPOINT)
override BUCKET := $(value BUCKET)

export ENDPOINT BUCKET ETL_FOLDER
export NO_PROXY := localhost,127.0.0.1,$(or $(no_proxy),$(NO_PROXY))
export no_proxy := $(NO_PROXY)
# pip's setting of that name has no place in an environment of its own, and ends with an error there.
export PIP_USER := no
unexport PYTHONPATH PYTHONHOME PYTHONOPTIMIZE VIRTUAL_ENV PIPENV_PIPFILE

TOOLS_READY := $(TOOLS)/.venv/.ready
$(TOOLS_READY): $(PY) $(ROOT)/utils/pyproject.toml $(addprefix $(TOOLS)/,install uv.txt tools.txt runtime.txt) $(wildcard $(addprefix $(ROOT)/utils/process-executor/,pyproject.toml src/*/*.py))
	@$(TOOLS)/install

# A link to the host's, which an upgrade may break.
$(PY): ;

# What only some targets need has an environment of its own.
VENVS := $(TOOLS)/.venvs
$(VENVS)/%/.ready: $(TOOLS)/%.txt | $(TOOLS_READY)
	@echo "$*: installing, once" >&2
	@$(TOOLS)/make-venv $(@D) $<
	@touch $@
