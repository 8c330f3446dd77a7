# The pipeline as a CloudFormation stack: on the emulator at ENDPOINT, or in an AWS account.
TARGET ?= localstack
STACK ?= aggregate
ARCH ?= x86_64
REGION ?=
PARAMETERS ?=
EMPTY ?=
# `make stepfunctions` runs Aggregate; a stack's state machine has the stack's name.
MACHINE ?= $(if $(filter aws,$(TARGET)),$(STACK),Aggregate)

DEPLOY := $(PY) $(ROOT)/utils/deploy
STACK_AT = --target $(TARGET) --stack $(STACK) --region '$(REGION)'
# Lambda runs Linux wheels of its own architecture; functions that run as processes, the host's.
LAMBDA_PLATFORM = $(if $(filter aws,$(TARGET)),PLATFORM=$(ARCH:arm64=aarch64))
TARGET_READY = $(if $(filter aws,$(TARGET)),$(TOOLS_READY),running)

.PHONY: deploy destroy cost

deploy: ## create or update the stack: TARGET=aws REGION=… ARCH=arm64 DEFINITION=distributed
	@$(MAKE) --no-print-directory --silent $(TARGET_READY)
	@$(MAKE) --no-print-directory zip $(LAMBDA_PLATFORM)
	@$(DEPLOY)/deploy.py deploy $(STACK_AT) --arch $(ARCH) --definition $(DEFINITION) \
		--parameters '$(PARAMETERS)'

destroy: ## delete the stack; EMPTY=1: also what is in its bucket
	@$(MAKE) --no-print-directory --silent $(TARGET_READY)
	@$(DEPLOY)/deploy.py destroy $(STACK_AT) $(if $(EMPTY),--empty)

cost: ## what the last execution costs on AWS; MACHINE=aggregate: the stack's last one
	@$(MAKE) --no-print-directory --silent $(TARGET_READY)
	@$(DEPLOY)/cost.py --target $(TARGET) --machine $(MACHINE) --region '$(REGION)'
