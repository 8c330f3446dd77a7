# Measure the pipeline beside other writers, each in an environment of its own.
BENCH := $(ROOT)/utils/bench
SIZES ?= 10000 100000 1000000 5000000
REPEAT ?= 3
BENCH_READY := $(patsubst $(BENCH)/locks/%.txt,$(BENCH)/.venvs/%/.ready,$(wildcard $(BENCH)/locks/*.txt))

.PHONY: bench
bench: zip $(BENCH_READY) ## the pipeline beside other writers: SIZES rows, REPEAT runs; result/bench.json and .svg
	@cd $(ROOT)/utils && $(PY) -m bench "$(SIZES)" $(REPEAT)

$(BENCH_READY): $(BENCH)/.venvs/%/.ready: $(BENCH)/locks/%.txt | $(TOOLS_READY)
	@echo "bench: installing $*" >&2
	@rm -rf $(@D)
	@$$($(TOOLS)/find-python) -m venv $(@D)
	@$(@D)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<
	@touch $@
