# Checks that need Node, LibreOffice or Chromium.
COMPAT := $(ROOT)/utils/compat

.PHONY: test-compat
test-compat: $(COMPAT)/node_modules/.package-lock.json demo-gather/.venv/.ready test-report-page ## other programs read the workbooks; needs Node, LibreOffice, Chromium
	@demo-gather/.venv/bin/pytest -q -c $(COMPAT)/setup.cfg $(COMPAT)/test_readers.py

$(COMPAT)/node_modules/.package-lock.json: $(COMPAT)/package-lock.json
	@for program in node npm soffice; do command -v $$program >/dev/null || { \
		echo "error: $$program is missing: apt install nodejs npm libreoffice-calc-nogui" >&2; exit 1; }; done
	@cd $(COMPAT) && npm ci --silent --no-audit --no-fund

demo-gather/.venv/.ready: $(TOOLS_READY)
	@$(MAKE) --no-print-directory -C demo-gather .venv/.ready
