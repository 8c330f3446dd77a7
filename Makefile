# Scatter, segment, gather on a LocalStack of your own. `make` lists the targets.
include utils/tools/tools.mk

ROWS ?= 1000
INPUT ?= {}
DEFINITION ?= parallel
WORKBOOK ?= test.xlsx
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
STACK_AT = --target $(TARGET) --stack $(STACK) --region '$(REGION)'
TARGET_READY = $(if $(filter aws,$(TARGET)),$(TOOLS_READY),running)

.DEFAULT_GOAL := help
.PHONY: help demo up running down zip create update delete bucket json stepfunctions download invoke log \
	report watch deploy destroy smoke cost test check checkov clean clean-segments

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  ENDPOINT=$(ENDPOINT)  BUCKET=$(BUCKET)  ROWS=$(ROWS)  INPUT='$(INPUT)'"

demo: ## everything: from an empty machine to result/test.xlsx
	@$(MAKE) --no-print-directory up
	@$(MAKE) --no-print-directory zip
	@$(MAKE) --no-print-directory create bucket
	@$(MAKE) --no-print-directory json
	@$(MAKE) --no-print-directory stepfunctions download
	@$(HARNESS) show $(WORKBOOK)

up: $(TOOLS_READY) ## start LocalStack at ENDPOINT, unless one answers there
	@$(HARNESS) up

running: $(TOOLS_READY)
	@$(HARNESS) ensure

down: ## stop the LocalStack that `make up` started
	@if [ -x $(PY) ]; then $(HARNESS) down; fi

zip: $(FUNCTIONS:%=zip-%) ## package the functions whose files changed

create: $(FUNCTIONS:%=create-%) ## create or update the functions, and wait until they are active

update: create ## the same as create

delete: $(FUNCTIONS:%=delete-%) ## delete the functions

bucket: running ## create the bucket
	@$(HARNESS) bucket

json: running ## write test.json with ROWS members to the bucket
	@$(PY) utils/utils.py $(ROWS)

stepfunctions: running ## run the state machine (DEFINITION) on INPUT, and wait for its end
	@$(HARNESS) stepfunctions '$(INPUT)' --definition $(DEFINITION)

download: running ## copy WORKBOOK from the bucket to result/
	@$(HARNESS) download $(WORKBOOK)

clean-segments: running ## remove the segment files of past executions from the bucket
	@$(HARNESS) clean-segments

report: running ## write result/<execution>.html of EXECUTION, a name or ARN (default: the last), in LANG_=en or ja
	@$(HARNESS) report '$(EXECUTION)' --language '$(LANG_)'

watch: create bucket $(FUNCTIONS:%=watched-%) ## on each save of scatter.py, segment.py or gather.py: its tests, then the pipeline
	@$(HARNESS) watch

# Lambda runs Linux wheels of its own architecture; functions that run as processes, the host's.
deploy: ## create or update the stack: TARGET=aws REGION=… ARCH=arm64 DEFINITION=distributed; PLAN=1: only say what changes
	@$(MAKE) --no-print-directory --silent $(TARGET_READY)
	@$(if $(filter aws,$(TARGET)),platform=$$($(HARNESS) architecture $(STACK_AT) --arch '$(ARCH)') &&) \
		$(MAKE) --no-print-directory zip $(if $(filter aws,$(TARGET)),PLATFORM=$$platform)
	@$(HARNESS) deploy $(STACK_AT) --arch '$(ARCH)' --parameters '$(PARAMETERS)' --tags '$(TAGS)' \
		$(if $(filter-out file,$(origin DEFINITION)),--definition $(DEFINITION)) \
		$(if $(PLAN),--plan) $(if $(REPLACE_BUCKET),--replace-bucket)

destroy: ## delete the stack, once you say yes; YES=1: unasked; EMPTY=1: also what is in its bucket
	@$(MAKE) --no-print-directory --silent $(TARGET_READY)
	@$(HARNESS) destroy $(STACK_AT) $(if $(EMPTY),--empty) $(if $(YES),--yes)

smoke: ## prove all of it: a stack of its own, 1,000 and SMOKE_ROWS rows, two failures, costs, destroyed; TARGET=aws REGION=…
	@$(MAKE) --no-print-directory --silent $(TARGET_READY)
	@$(MAKE) --no-print-directory zip $(if $(filter aws,$(TARGET)),PLATFORM=x86_64)
	@$(HARNESS) smoke --target $(TARGET) --region '$(REGION)' --rows $(SMOKE_ROWS)

cost: ## what the last execution costs on AWS; MACHINE=aggregate: the stack's last one
	@$(MAKE) --no-print-directory --silent $(TARGET_READY)
	@$(HARNESS) cost --target $(TARGET) --machine $(MACHINE) --region '$(REGION)'

invoke: ## call each function by itself; results are kept in demo-*/result.log
	@$(MAKE) --no-print-directory invoke-scatter
	@$(MAKE) --no-print-directory invoke-segment
	@$(MAKE) --no-print-directory invoke-gather

log: $(FUNCTIONS:%=log-%) ## show the functions' last log lines

test: $(TOOLS_READY) ## all tests, on a LocalStack of their own
	@$(HARNESS) with-emulator $(MAKE) --no-print-directory check ALREADY_UP=1

check: zip checkov $(FUNCTIONS:%=test-%)
	@cd utils/process-executor && $(PY) -m mypy && $(PY) -m pytest -q
	@cd utils && $(PY) -m mypy && $(PY) -m pytest -q

checkov: $(TOOLS)/.venvs/checkov/.ready
	@$(TOOLS)/.venvs/checkov/bin/checkov --file state-machine/template.yaml --framework cloudformation \
		--compact --quiet --skip-download

clean: down $(FUNCTIONS:%=clean-%) ## stop LocalStack and remove everything built
	@rm -rf utils/tools/.venv utils/tools/.venvs utils/tools/runtimes utils/harness/.localstack \
		utils/data/sample_data.json utils/checks/node_modules utils/checks/bench/.venvs utils/checks/bench/.data
	@find result -type f ! -name .gitkeep -delete

include utils/checks/checks.mk

define fan_out
.PHONY: $1-$2
$1-$2: $(TOOLS_READY) ; @$$(MAKE) --no-print-directory -C demo-$2 $1
endef
$(foreach action,zip create delete invoke log test clean,\
	$(foreach function,$(FUNCTIONS),$(eval $(call fan_out,$(action),$(function)))))

watched-%: $(TOOLS_READY)
	@$(MAKE) --no-print-directory -C demo-$* .venv/.ready
