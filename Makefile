# Scatter, segment, gather on a LocalStack of your own. `make` lists the targets.
include utils/tools/tools.mk
include utils/deploy/deploy.mk

ROWS ?= 1000
INPUT ?= {}
DEFINITION ?= parallel
WORKBOOK ?= test.xlsx
FUNCTIONS := scatter segment gather
# -j of the user's own, else enough for all three; an inner -j would end the outer one.
SIDE_BY_SIDE = $(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(words $(FUNCTIONS))) \
	-f utils/functions.mk ALREADY_UP=1

.DEFAULT_GOAL := help
# Targets run in the order in which they are named, whatever -j says.
.NOTPARALLEL:
.PHONY: help demo up running down zip create update delete bucket json stepfunctions download invoke log \
	test check clean clean-segments

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  ENDPOINT=$(ENDPOINT)  BUCKET=$(BUCKET)  ROWS=$(ROWS)  INPUT='$(INPUT)'"

demo: up zip create bucket json stepfunctions download ## everything: from an empty machine to result/test.xlsx
	@$(HARNESS)/objects.py show $(WORKBOOK)

up: $(TOOLS_READY) ## start LocalStack at ENDPOINT, unless one answers there
	@$(EMULATE) up

running: $(TOOLS_READY)
	@$(EMULATE) ensure

down: ## stop the LocalStack that `make up` started
	@if [ -x $(PY) ]; then $(EMULATE) down; fi

zip: $(TOOLS_READY) ## package the functions whose files changed
	@$(SIDE_BY_SIDE) zip

create: running ## create or update the functions, and wait until they are active
	@$(SIDE_BY_SIDE) create

update: create ## the same as create

delete: running ## delete the functions
	@$(SIDE_BY_SIDE) delete

bucket: running ## create the bucket
	@$(HARNESS)/objects.py bucket

json: running ## write test.json with ROWS members to the bucket
	@$(PY) utils/utils.py $(ROWS)

stepfunctions: running ## run the state machine (DEFINITION) on INPUT, and wait for its end
	@$(HARNESS)/executions.py --input '$(INPUT)' --definition $(DEFINITION)

download: running ## copy WORKBOOK from the bucket to result/
	@$(HARNESS)/objects.py download $(WORKBOOK)

clean-segments: running ## remove the segment files of past executions from the bucket
	@$(HARNESS)/objects.py clean_segments

invoke: ## call each function by itself; results are kept in demo-*/result.log
	@$(MAKE) --no-print-directory invoke-scatter
	@$(MAKE) --no-print-directory invoke-segment
	@$(MAKE) --no-print-directory invoke-gather

log: $(FUNCTIONS:%=log-%) ## show the functions' last log lines

test: $(TOOLS_READY) ## all tests, on a LocalStack of their own
	@$(EMULATE) run $(MAKE) --no-print-directory check ALREADY_UP=1

check: zip $(FUNCTIONS:%=test-%)
	@cd utils/process-executor && $(PY) -m mypy && $(PY) -m pytest -q
	@$(PY) -m mypy --config-file utils/setup.cfg
	@$(PY) -m mypy --config-file utils/bench/setup.cfg
	@$(PY) -m pytest -q -c utils/setup.cfg utils/tests

clean: down $(FUNCTIONS:%=clean-%) ## stop LocalStack and remove everything built
	@rm -rf utils/tools/.venv utils/tools/runtimes utils/harness/.localstack utils/data/sample_data.json \
		utils/bench/.venvs utils/bench/.data utils/compat/node_modules utils/ministack/.venv utils/report/.venv utils/soak/.venv utils/audit/.venv
	@find result -type f ! -name .gitkeep -delete

include utils/report/report.mk
include utils/watch/watch.mk
include utils/compat/compat.mk
include utils/bench/bench.mk
include utils/faults/faults.mk
include utils/soak/soak.mk
include utils/audit/audit.mk

define fan_out
.PHONY: $1-$2
$1-$2: $(TOOLS_READY) ; @$$(MAKE) --no-print-directory -C demo-$2 $1
endef
$(foreach action,zip create delete invoke log test clean,\
	$(foreach function,$(FUNCTIONS),$(eval $(call fan_out,$(action),$(function)))))
