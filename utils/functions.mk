# Do one thing to the three functions side by side: make -j3 -f utils/functions.mk zip
FUNCTIONS := scatter segment gather

.PHONY: $(MAKECMDGOALS) $(FUNCTIONS)
$(MAKECMDGOALS): $(FUNCTIONS)
$(FUNCTIONS): ; @$(MAKE) --no-print-directory -C demo-$@ $(MAKECMDGOALS)
