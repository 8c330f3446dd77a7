# The report of an execution, and the tests of its page in a real browser.
EXECUTION ?=
LANG_ ?=
REPORT := $(ROOT)/utils/report
BROWSER_READY := $(REPORT)/.venv/.ready

.PHONY: report test-report-page check-report-page

report: running ## write result/<execution>.html of EXECUTION, a name or ARN (default: the last), in LANG_=en or ja
	@$(PY) $(REPORT)/report.py --execution '$(EXECUTION)' --language '$(LANG_)'

test-report-page: $(TOOLS_READY) $(BROWSER_READY)
	@$(EMULATE) run $(MAKE) --no-print-directory check-report-page

check-report-page: create bucket
	@$(REPORT)/.venv/bin/python -m pytest -q -p no:cacheprovider -c /dev/null --rootdir $(ROOT)/utils/compat \
		$(ROOT)/utils/compat/test_report_page.py

$(BROWSER_READY): $(REPORT)/browser.txt | $(TOOLS_READY)
	@echo "report: installing what its browser tests need"
	@rm -rf $(@D)
	@$$($(TOOLS)/find-python) -m venv $(@D)
	@$(@D)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<
	@touch $@
