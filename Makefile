# Scatter, segment, gather on a LocalStack of your own. `make` lists the targets.
include utils/tools/tools.mk

ROWS ?= 1000
INPUT ?= {}
DEFINITION ?= parallel
WORKBOOK ?= test.xlsx
FILE :=
KEY :=
FUNCTIONS := scatter segment gather
EXECUTION ?=
LANG_ ?=
# A stack: on the emulator at ENDPOINT, or in an AWS account.
TARGET ?= localstack
STACK ?= aggregate
ARCH ?=
REGION ?=
PARAMETERS ?=
TAGS ?=
PLAN ?=
REPLACE_BUCKET ?=
EMPTY ?=
YES ?=
SMOKE_ROWS ?= 1000000
# `make stepfunctions` runs Aggregate; a stack's state machine has the stack's name.
MACHINE ?= $(if $(filter aws,$(TARGET)),$(STACK),Aggregate)
# Whether DEFINITION was typed: a redeploy keeps the stack's own unless it was.
DEFINITION_ORIGIN := $(origin DEFINITION)
# What is typed reaches the commands as it is, through their environment: neither make nor the
# shell reads a $, a quote or a space in it.
TYPED := ROWS INPUT DEFINITION WORKBOOK FILE KEY EXECUTION LANG_ TARGET STACK ARCH REGION PARAMETERS TAGS
$(foreach name,$(TYPED),$(eval override $(name) := $$(value $(name))))
export $(TYPED)
STACK_AT = --target="$$TARGET" --stack="$$STACK" --region="$$REGION"
TARGET_READY = $(if $(filter aws,$(TARGET)),$(TOOLS_READY),running)
# An ARN says where its execution is; a name is one of the emulator's.
EXECUTION_READY = $(if $(filter arn:%,$(EXECUTION)),$(TOOLS_READY),running)
# -j of the user's own, else enough for all three; an inner -j would end the outer one.
SIDE_BY_SIDE = $(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(words $(FUNCTIONS))) \
	-f utils/functions.mk ALREADY_UP=1
# Each function's name, memory and timeout, as its Makefile says.
SETTINGS = $(foreach function,$(FUNCTIONS),$$($(MAKE) --silent --no-print-directory -C demo-$(function) settings))

.DEFAULT_GOAL := help
# Targets run in the order in which they are named, whatever -j says.
.NOTPARALLEL:
.PHONY: help demo up running down zip create update delete bucket json upload stepfunctions stop download invoke log \
	report watch deploy destroy smoke cost test check checkov clean clean-segments

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  ENDPOINT=$$ENDPOINT  BUCKET=$$BUCKET  ROWS=$$ROWS  INPUT='$$INPUT'"

demo: up zip create bucket json stepfunctions download ## everything: from an empty machine to result/test.xlsx
	@$(HARNESS) show -- "$$WORKBOOK"

up: $(TOOLS_READY) ## start LocalStack at ENDPOINT, unless one answers there
	@$(HARNESS) up

running: $(TOOLS_READY)
	@$(HARNESS) ensure

down: ## stop the LocalStack that `make up` started
	@if [ -x $(PY) ]; then $(HARNESS) down; fi

zip: $(TOOLS_READY) ## package the functions whose files changed
	@$(SIDE_BY_SIDE) zip

create: running zip ## create or update the functions and the state machines, and wait until they are active
	@$(HARNESS) create --machines $(SETTINGS)

update: create ## the same as create

delete: running ## delete the functions
	@$(HARNESS) delete $(FUNCTIONS)

bucket: running ## create the bucket
	@$(HARNESS) bucket

json: running ## write test.json with ROWS members to the bucket
	@$(PY) utils/utils.py "$$ROWS"

upload: running ## copy FILE into the bucket, as KEY (default: the file's name)
	@$(HARNESS) upload -- "$$FILE" "$$KEY"

stepfunctions: running ## run the state machine (DEFINITION) on INPUT, and wait for its end
	@$(HARNESS) stepfunctions --definition="$$DEFINITION" -- "$$INPUT"

stop: $(EXECUTION_READY) ## end the running EXECUTION, a name or ARN (default: the last one started)
	@$(HARNESS) stop -- "$$EXECUTION"

download: running ## copy WORKBOOK from the bucket to result/
	@$(HARNESS) download -- "$$WORKBOOK"

clean-segments: running ## remove the segment files of past executions from the bucket
	@$(HARNESS) clean-segments

report: $(EXECUTION_READY) ## write result/<execution>.html of EXECUTION, a name or ARN (default: the last), in LANG_=en or ja
	@$(HARNESS) report --language="$$LANG_" -- "$$EXECUTION"

watch: create bucket $(FUNCTIONS:%=watched-%) ## on each save of scatter.py, segment.py or gather.py: its tests, then the pipeline
	@$(HARNESS) watch

# Lambda runs Linux wheels of its own architecture; functions that run as processes, the host's.
deploy: ## create or update the stack: TARGET=aws REGION=… ARCH=arm64 DEFINITION=distributed; PLAN=1: only say what changes
	@$(MAKE) --no-print-directory --silent $(TARGET_READY)
	@$(if $(filter aws,$(TARGET)),platform=$$($(HARNESS) architecture $(STACK_AT) --arch="$$ARCH") &&) \
		$(MAKE) --no-print-directory zip $(if $(filter aws,$(TARGET)),PLATFORM=$$platform)
	@$(HARNESS) deploy $(STACK_AT) --arch="$$ARCH" --parameters="$$PARAMETERS" --tags="$$TAGS" \
		$(if $(filter-out file,$(DEFINITION_ORIGIN)),--definition="$$DEFINITION") \
		$(if $(PLAN),--plan) $(if $(REPLACE_BUCKET),--replace-bucket)

destroy: ## delete the stack, once you say yes; YES=1: unasked; EMPTY=1: also what is in its bucket
	@$(MAKE) --no-print-directory --silent $(TARGET_READY)
	@$(HARNESS) destroy $(STACK_AT) $(if $(EMPTY),--empty) $(if $(YES),--yes)

smoke: ## prove all of it: a stack of its own, 1,000 and SMOKE_ROWS rows, two failures, costs, destroyed; TARGET=aws REGION=…
	@$(MAKE) --no-print-directory --silent $(TARGET_READY)
	@$(MAKE) --no-print-directory zip $(if $(filter aws,$(TARGET)),PLATFORM=x86_64)
	@$(PY) -P -m checks.smoke --target="$$TARGET" --region="$$REGION" --rows=$(SMOKE_ROWS)

cost: ## what the last execution costs on AWS; MACHINE=aggregate: the stack's last one
	@$(MAKE) --no-print-directory --silent $(TARGET_READY)
	@$(HARNESS) cost --target="$$TARGET" --machine=$(MACHINE) --region="$$REGION"

invoke: running ## call each function by itself; results are kept in demo-*/result.log
	@$(HARNESS) invoke $(FUNCTIONS)

log: running ## show the functions' last log lines
	@$(HARNESS) log $(FUNCTIONS)

test: $(TOOLS_READY) ## all tests, on a LocalStack of their own
	@$(HARNESS) with-emulator $(MAKE) --no-print-directory check ALREADY_UP=1

check: zip checkov $(FUNCTIONS:%=test-%)
	@$(TOOLS)/.venv/bin/ruff check --quiet && $(TOOLS)/.venv/bin/ruff format --check --quiet
	@cd utils/process-executor && $(PY) -m mypy && $(PY) -m pytest -q
	@cd utils && $(PY) -m mypy && $(PY) -m pytest -q

checkov: $(TOOLS)/.venvs/checkov/.ready
	@$(TOOLS)/.venvs/checkov/bin/checkov --file state-machine/template.yaml --framework cloudformation \
		--compact --quiet --skip-download

clean: down ## stop LocalStack and remove everything built; workbooks stay
	@$(SIDE_BY_SIDE) clean
	@rm -rf utils/tools/.venv utils/tools/.venvs utils/tools/runtimes utils/harness/.localstack \
		utils/data/sample_data.* utils/checks/node_modules .ruff_cache utils/checks/bench/.venvs utils/checks/bench/.data
	@find result -type f ! -name .gitkeep ! -name '*.xlsx' -delete

include utils/checks/checks.mk

test-%: $(TOOLS_READY)
	@$(MAKE) --no-print-directory -C demo-$* test

watched-%: $(TOOLS_READY)
	@$(MAKE) --no-print-directory -C demo-$* .venv/.ready
