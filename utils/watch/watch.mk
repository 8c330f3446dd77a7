WATCHED := $(FUNCTIONS:%=watched-%)

.PHONY: watch $(WATCHED)

watch: create bucket $(WATCHED) ## on each save of scatter.py, segment.py or gather.py: its tests, then the pipeline
	@$(PY) $(ROOT)/utils/watch/watch.py

$(WATCHED): watched-%: $(TOOLS_READY)
	@$(MAKE) --no-print-directory -C demo-$* .venv/.ready
