.PHONY: faults

faults: $(TOOLS_READY) zip ## cause every fault, and print the README's table of what happens
	@$(EMULATE) run $(PY) utils/faults/table.py
