FUZZ := utils/soak/.venv
FUZZ_S ?= 60

.PHONY: soak soaked fuzz

soak: $(TOOLS_READY) zip fuzz ## fuzz for FUZZ_S, then 100 executions in a row and 20 at once: does anything grow?
	@$(EMULATE) run $(MAKE) --no-print-directory soaked

soaked: create bucket
	@PYTHONPATH=utils/harness:utils $(PY) utils/soak/soak.py

# The function's own packages, beside Atheris.
fuzz: $(FUZZ)/.ready demo-scatter/.venv/.ready
	@cd utils/soak && PYTHONPATH=$(ROOT)/demo-scatter:$(ROOT)/demo-scatter/tests:$(ROOT)/utils/shared:$$(echo $(ROOT)/demo-scatter/.venv/lib/python3*/site-packages) \
		.venv/bin/python fuzz_json_array.py -max_total_time=$(FUZZ_S) -max_len=400 -dict=json.dict -verbosity=0 -print_final_stats=1 .venv/corpus

$(FUZZ)/.ready: utils/soak/fuzz.txt
	@echo "soak: installing Atheris" >&2
	@$$($(TOOLS)/find-python) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<
	@mkdir -p $(@D)/corpus
	@touch $@

demo-scatter/.venv/.ready: demo-scatter/Pipfile.lock | $(TOOLS_READY)
	@$(MAKE) --no-print-directory -C demo-scatter .venv/.ready
