# What proves the README's claims, and no user needs.
CHECKS := $(ROOT)/utils/checks
BENCH := $(CHECKS)/bench
SIZES ?= 100000 1000000
REPEAT ?= 3
MEMBERS ?= 1000000
ORDERS ?= 5000000
FUZZ_S ?= 60
BENCH_READY := $(patsubst $(BENCH)/locks/%.txt,$(BENCH)/.venvs/%/.ready,$(wildcard $(BENCH)/locks/*.txt))
IN_BROWSER = $(VENVS)/browser/bin/python -m pytest -q -p no:cacheprovider -c /dev/null --rootdir $(CHECKS)
LOCKS := $(patsubst $(ROOT)/%,%,$(wildcard $(TOOLS)/*.txt $(BENCH)/locks/*.txt))

.PHONY: pictures bench bench-summaries benched-summaries bench-scale faults soak soaked fuzz fuzz-summaries audit test-compat test-readers test-report-page test-page picture-of-page

# They are about the members' rule, whatever is in demo-segment/etl.
soak soaked smoke pictures test-page: export ETL_FOLDER := $(ROOT)/utils/tests/etl
# And about orders, with summaries and without.
bench bench-summaries: export ETL_FOLDER := $(BENCH)/etl

bench: zip $(BENCH_READY) demo-gather/.venv/.ready ## the pipeline beside other writers: SIZES rows, REPEAT runs
	@$(foreach rows,$(SIZES),$(HARNESS) with-emulator $(MAKE) --no-print-directory benched-$(rows) &&) true
	@$(MAKE) --no-print-directory bench-summaries

bench-summaries: zip $(BENCH_READY) demo-gather/.venv/.ready ## its last part: MEMBERS and ORDERS without a summary and with one
	@$(HARNESS) with-emulator $(MAKE) --no-print-directory benched-summaries

# On an emulator that has run nothing yet.
benched-summaries: create
	@cd $(ROOT)/utils && $(PY) -P -m checks.bench.summaries $(MEMBERS) $(ORDERS) $(REPEAT)

benched-%: create
	@cd $(ROOT)/utils && $(PY) -P -m checks.bench $* $(REPEAT)

bench-scale: $(FUNCTIONS:%=demo-%/.venv/.ready) ## a long table with files for S3: ROWS (default here: 50000000), time and memory of each stage, and what breaks next
	@cd $(ROOT)/utils && $(PY) -P -m checks.bench.scale $(if $(ROWS_TYPED),"$$ROWS",50000000)

faults: zip demo-gather/.venv/.ready demo-scatter/.venv/.ready ## cause every fault, and print the table of what happens
	@$(HARNESS) with-emulator $(PY) $(CHECKS)/faults.py

soak: zip fuzz fuzz-summaries ## fuzz twice for FUZZ_S, then 100 executions in a row, 20 at once, 50 first ones
	@$(HARNESS) with-emulator $(MAKE) --no-print-directory soaked

soaked: create
	@cd $(ROOT)/utils && $(PY) -P -m checks.soak

# The function's own packages, beside Atheris.
fuzz: $(VENVS)/fuzz/.ready demo-scatter/.venv/.ready
	@mkdir -p $(VENVS)/fuzz/corpus
	@cd $(CHECKS) && PYTHONPATH=$(ROOT)/utils:$$(echo $(ROOT)/demo-scatter/.venv/lib/python3*/site-packages) \
		$(VENVS)/fuzz/bin/python fuzz_json_array.py -max_total_time=$(FUZZ_S) -max_len=400 -dict=json.dict -verbosity=0 -print_final_stats=1 $(VENVS)/fuzz/corpus

fuzz-summaries: demo-gather/.venv/.ready
	@cd $(CHECKS) && PYTHONPATH=$(ROOT)/utils $(ROOT)/demo-gather/.venv/bin/python fuzz_summaries.py $(FUZZ_S)

audit: $(VENVS)/audit/.ready $(FUNCTIONS:%=demo-%/requirements.txt) ## look up known vulnerabilities of everything locked, with pip-audit
	@$(VENVS)/audit/bin/python $(CHECKS)/audit.py $(FUNCTIONS:%=demo-%/requirements.txt) $(LOCKS)

test-compat: $(CHECKS)/node_modules/.package-lock.json demo-gather/.venv/.ready test-report-page ## other programs read the workbooks; needs Node, LibreOffice, poppler-utils, Chromium
	@$(HARNESS) with-emulator $(MAKE) --no-print-directory test-readers test-page

test-readers:
	@AWS_ENDPOINT_URL=$(ENDPOINT) AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1 \
		demo-gather/.venv/bin/pytest -q -c demo-gather/setup.cfg --rootdir $(CHECKS) -p no:cacheprovider \
		-o "pythonpath=$(ROOT)/demo-gather $(ROOT)/demo-segment $(ROOT)/utils" $(CHECKS)/test_readers.py $(CHECKS)/test_print.py

# The second sheet of the workbook, as LibreOffice shows it.
picture_of_sheet = folder=$$(mktemp -d) && soffice -env:UserInstallation=file://$$folder/profile --headless \
	--convert-to 'pdf:calc_pdf_Export:{"SinglePageSheets":{"type":"boolean","value":"true"}}' --outdir $$folder \
	$(ROOT)/result/test.xlsx >/dev/null 2>&1 && \
	pdftoppm -png -r 96 -f 2 -singlefile $$folder/test.pdf $(ROOT)/.github/pictures/$1 && rm -r $$folder

pictures: $(TOOLS_READY) ## draw the READMEs' pictures of summaries and the page; needs LibreOffice, poppler-utils, Chromium
	@$(HARNESS) with-emulator $(MAKE) --no-print-directory zip create json stepfunctions download picture-of-page
	@$(call picture_of_sheet,summary)
	@$(HARNESS) with-emulator $(MAKE) --no-print-directory ETL_FOLDER=$(CHECKS)/pictures/etl zip create json stepfunctions download
	@$(call picture_of_sheet,cross-table)
	@ls -l $(ROOT)/.github/pictures/*.png

# In an emulator of its own, or in one that is up.
test-page: $(VENVS)/browser/.ready $(CHECKS)/node_modules/.package-lock.json zip create bucket
	@$(IN_BROWSER) $(CHECKS)/test_page.py

# As the test sees an execution half-way.
picture-of-page: $(VENVS)/browser/.ready
	@PICTURE=$(ROOT)/.github/pictures/page.png $(IN_BROWSER) $(CHECKS)/test_page.py -k "eyes and 1280"

test-report-page: $(VENVS)/browser/.ready
	@$(IN_BROWSER) $(CHECKS)/test_report_page.py

$(CHECKS)/node_modules/.package-lock.json: $(CHECKS)/package-lock.json
	@for program in node npm soffice pdftotext; do command -v $$program >/dev/null || { \
		echo "error: $$program is missing: apt install nodejs npm libreoffice-calc-nogui poppler-utils" >&2; exit 1; }; done
	@cd $(CHECKS) && npm ci --silent --no-audit --no-fund

$(BENCH)/.venvs/%/.ready: $(BENCH)/locks/%.txt | $(TOOLS_READY)
	@echo "bench: installing $*" >&2
	@$(TOOLS)/make-venv $(@D) $<
	@touch $@

demo-%/.venv/.ready: demo-%/Pipfile.lock | $(TOOLS_READY)
	@$(MAKE) --no-print-directory -C demo-$* NAME=$* .venv/.ready

demo-%/requirements.txt: demo-%/Pipfile.lock | $(TOOLS_READY)
	@$(MAKE) --no-print-directory -C demo-$* requirements.txt
