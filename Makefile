# Scatter, segment, gather on a LocalStack of your own. `make` lists the targets.
include utils/tools/tools.mk

ROWS ?= 1000
INPUT ?= {}
DEFINITION ?= parallel
WORKBOOK ?= test.xlsx
FILE :=
KEY :=
FUNCTIONS := scatter segment gather
# localstack: the functions of `make create`; stack, aws: the stack STACK of `make deploy`, on the
# emulator at ENDPOINT or in an AWS account.
TARGET ?= localstack
STACK ?= aggregate
SMOKE_ROWS ?= 1000000
PAGE ?= 8480
# Only a DEFINITION that was typed: a stack keeps its own unless one was.
DEFINITION_TYPED := $(if $(filter-out file,$(origin DEFINITION)),--definition="$$DEFINITION")
# The same of WORKBOOK, whose default is the table's name, and of ROWS: a scale has another.
WORKBOOK_TYPED := $(if $(filter-out file,$(origin WORKBOOK)),--workbook="$$WORKBOOK")
ROWS_TYPED := $(filter-out file,$(origin ROWS))
# What is typed reaches the commands as it is, through their environment: neither make nor the
# shell reads a $, a quote or a space in it.
TYPED := ROWS INPUT DEFINITION WORKBOOK FILE ETL SHEETS NAME KEY EXECUTION LANG_ TARGET STACK ARCH REGION PARAMETERS TAGS PAGE ROLE OUT
$(foreach name,$(TYPED),$(eval override $(name) := $$(value $(name))))
export $(TYPED)
# What else may be typed, for the targets of utils/checks and for the programs that recipes run.
KNOWN := $(TYPED) PLAN REPLACE_BUCKET ROTATE_KEY EMPTY YES SMOKE_ROWS ENDPOINT BUCKET ETL_FOLDER SIZES REPEAT MEMBERS ORDERS FUZZ_S
PASSED_ON := ALREADY_UP PLATFORM PYTHON SHELL CHROMIUM LANG LC_% LS_LOG DEBUG LAMBDA_PROCESS_POOL_SIZE AWS_% PIP_% UV_% %_proxy %_PROXY
# A misspelt name would be as good as none, and make silent.
MISSPELT := $(filter-out $(KNOWN) $(PASSED_ON),$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name))))
ifneq ($(MISSPELT),)
$(error no such variable: $(MISSPELT); there are $(sort $(KNOWN)))
endif
AT := --target="$$TARGET" --stack="$$STACK" --region="$$REGION"
HARNESS += $(AT)
ON_AWS := $(filter aws,$(TARGET))
TARGET_READY := $(if $(ON_AWS),$(TOOLS_READY),running)
# -j of the user's own, else enough for all three; an inner -j would end the outer one.
JOBS = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(words $(FUNCTIONS)))
SIDE_BY_SIDE = $(MAKE) --no-print-directory $(JOBS) -f utils/functions.mk ALREADY_UP=1
# What one of them prints stays together, with a make that can do that (macOS has an older one).
TOGETHER := $(if $(filter output-sync,$(.FEATURES)),--output-sync=recurse)
# Each function's name, memory and timeout, as its Makefile says.
SETTINGS = $(foreach function,$(FUNCTIONS),$$($(MAKE) --silent --no-print-directory -C demo-$(function) settings))

.DEFAULT_GOAL := help
# Targets run in the order in which they are named, whatever -j says.
.NOTPARALLEL:
.PHONY: help demo etl up starting running down zip create update delete bucket json upload stepfunctions stop redrive download invoke log \
	report page watch deploy package destroy smoke cost test clean clean-segments

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  ENDPOINT=$$ENDPOINT  BUCKET=$$BUCKET  ROWS=$$ROWS  INPUT='$$INPUT'"

demo: starting zip create json stepfunctions download ## everything: from an empty machine to result/test.xlsx
	@$(HARNESS) show -- "$$WORKBOOK"

up: $(TOOLS_READY) ## start LocalStack at ENDPOINT, unless one answers there
	@$(HARNESS) up

# LocalStack starts while functions are packaged.
starting: $(TOOLS_READY)
	@$(HARNESS) up --at-once

running: $(TOOLS_READY)
	@$(HARNESS) ensure

down: ## stop the LocalStack that `make up` started
	@if [ -x $(PY) ]; then $(HARNESS) down; fi

zip: $(TOOLS_READY) $(if $(ON_AWS),running) ## package the functions whose files changed
	@$(SIDE_BY_SIDE) zip

create: running zip ## create or update the functions, the state machines and the bucket, and wait until they are active
	@$(HARNESS) create --whole $(SETTINGS)

update: create ## the same as create

delete: running ## delete the functions
	@$(HARNESS) delete $(FUNCTIONS)

bucket: running ## create the bucket alone
	@$(HARNESS) bucket

json: $(TARGET_READY) ## write test.json with ROWS members to the bucket
	@$(PY) utils/utils.py "$$ROWS" $(AT)

upload: $(TARGET_READY) ## copy FILE, a folder or several files into the bucket, as KEY (default: its name)
	@$(HARNESS) upload -- "$$FILE" "$$KEY"

etl: demo-segment/.venv/.ready ## write demo-segment/etl/NAME.py and its tests from a table, FILE
	@PYTHONPATH=utils demo-segment/.venv/bin/python -P -m pipeline.etls.new "$$NAME" "$$FILE"

stepfunctions: $(TARGET_READY) ## run the state machine (DEFINITION) on INPUT, or on FILE (files, a folder; in the bucket: KEY), with ETL, into WORKBOOK, and wait for its end; SHEETS=summaries: without the table
	@$(HARNESS) stepfunctions $(DEFINITION_TYPED) --file="$$FILE" --key="$$KEY" $(WORKBOOK_TYPED) --etl="$$ETL" --sheets="$$SHEETS" -- "$$INPUT"

stop: $(TARGET_READY) ## end the running EXECUTION, a name or ARN (default: the last one started)
	@$(HARNESS) stop -- "$$EXECUTION"

redrive: $(TOOLS_READY) ## on AWS, run again what failed of EXECUTION (default: the last that failed), keep the rest: TARGET=aws
	@$(HARNESS) redrive -- "$$EXECUTION"

download: $(TARGET_READY) ## copy WORKBOOK from the bucket to result/
	@$(HARNESS) download -- "$$WORKBOOK"

clean-segments: $(TARGET_READY) ## remove the segment files of past executions from the bucket
	@$(HARNESS) clean-segments

report: $(TARGET_READY) ## write result/<execution>.html of EXECUTION, a name or ARN (default: the last), in LANG_=en or ja
	@$(HARNESS) report --language="$$LANG_" -- "$$EXECUTION"

# On the emulator what a dropped table needs is made, too.
page: $(if $(filter localstack,$(TARGET)),zip create,$(TARGET_READY)) ## serve a page where executions live: drop a table, watch it, take the workbook; PAGE=port, Ctrl-C ends
	@MALLOC_ARENA_MAX=1 $(HARNESS) page -- "$$PAGE"

watch: create $(FUNCTIONS:%=demo-%/.venv/.ready) ## on each save of a function or an ETL: its tests, then the pipeline on FILE, INPUT or a sample
	@$(HARNESS) watch --file="$$FILE" --etl="$$ETL" -- "$$INPUT"

# Lambda runs Linux wheels of its own architecture; functions that run as processes, the host's.
deploy: $(TARGET_READY) ## create or update the stack: TARGET=aws REGION=… ARCH=arm64 DEFINITION=distributed; PLAN=1: only say what changes
	@$(if $(ON_AWS),platform=$$($(HARNESS) architecture --arch="$$ARCH") &&) \
		$(SIDE_BY_SIDE) zip $(if $(ON_AWS),PLATFORM=$$platform)
	@$(HARNESS) deploy --arch="$$ARCH" --parameters="$$PARAMETERS" --tags="$$TAGS" --role="$$ROLE" $(DEFINITION_TYPED) \
		$(if $(PLAN),--plan) $(if $(REPLACE_BUCKET),--replace-bucket) $(if $(ROTATE_KEY),--rotate-key)

package: $(TOOLS_READY) ## write the stack into a new folder OUT, for CDK, Terraform or a console: TARGET=aws ARCH=arm64 PARAMETERS=…
	@$(SIDE_BY_SIDE) zip PLATFORM=$(if $(filter arm64,$(ARCH)),aarch64,x86_64)
	@$(HARNESS) package --arch="$$ARCH" --parameters="$$PARAMETERS" $(DEFINITION_TYPED) -- "$$OUT"

destroy: $(TARGET_READY) ## delete the stack, once you say yes; YES=1: unasked; EMPTY=1: also what is in its bucket
	@$(HARNESS) destroy $(if $(EMPTY),--empty) $(if $(YES),--yes)

smoke: $(TARGET_READY) ## prove all of it: a stack of its own, 1,000 and SMOKE_ROWS rows, two failures, costs, destroyed; TARGET=aws REGION=…
	@$(SIDE_BY_SIDE) zip $(if $(ON_AWS),PLATFORM=x86_64)
	@$(PY) -P -m checks.smoke --target="$$TARGET" --region="$$REGION" --rows=$(SMOKE_ROWS)

cost: $(TARGET_READY) ## what the last execution costs on AWS
	@$(HARNESS) cost

invoke: $(TARGET_READY) ## call each function by itself; results are kept in demo-*/result.log
	@$(HARNESS) invoke $(FUNCTIONS)

log: $(TARGET_READY) ## show the functions' last log lines
	@$(HARNESS) log $(FUNCTIONS)

test: $(TOOLS_READY) ## all tests, on LocalStacks of their own
	@$(MAKE) --no-print-directory $(JOBS) $(TOGETHER) -f utils/tests.mk check

clean: down ## stop LocalStack and remove everything built; workbooks stay
	@$(SIDE_BY_SIDE) clean
	@rm -rf utils/tools/.venv utils/tools/.venvs utils/tools/runtimes utils/harness/.localstack \
		utils/data/sample_data.* utils/checks/node_modules .ruff_cache utils/checks/bench/.venvs utils/checks/bench/.data
	@find result -type f ! -name .gitkeep ! -name '*.xlsx' -delete

include utils/checks/checks.mk
