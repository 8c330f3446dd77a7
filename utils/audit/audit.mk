AUDIT := utils/audit/.venv/.ready
LOCKS := utils/tools/tools.txt utils/tools/runtime.txt utils/audit/audit.txt utils/soak/fuzz.txt

.PHONY: audit

audit: $(AUDIT) $(FUNCTIONS:%=demo-%/requirements.txt) ## look up known vulnerabilities of everything locked, with pip-audit
	@utils/audit/.venv/bin/python utils/audit/audit.py $(FUNCTIONS:%=demo-%/requirements.txt) $(LOCKS)

$(AUDIT): utils/audit/audit.txt
	@echo "audit: installing pip-audit" >&2
	@$$($(TOOLS)/find-python) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<
	@touch $@

demo-%/requirements.txt: demo-%/Pipfile.lock | $(TOOLS_READY)
	@$(MAKE) --no-print-directory -C demo-$* requirements.txt
