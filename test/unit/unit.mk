# SPDX-License-Identifier: MIT
# Unit tests: each test/unit/NAME.c becomes a cmocka program $(BUILD)/unit/NAME; `make unit-test`
# runs them all and sums up.

UNIT_HELPERS := test/unit/testing.c test/unit/frames.c test/unit/world.c test/unit/world_send.c
UNIT_SRCS := $(filter-out $(UNIT_HELPERS),$(wildcard test/unit/*.c))
UNIT_BINS := $(UNIT_SRCS:test/unit/%.c=$(BUILD)/unit/%)
UNIT_HELPER_OBJS := $(UNIT_HELPERS:%.c=$(BUILD)/%.o)
UNIT_LIBS = $(shell $(PKG_CONFIG) --libs cmocka)

# An archive, so that a test links only the rooms that it uses.
UNIT_ARCHIVE := $(BUILD)/unit/librdsrv.a
$(UNIT_ARCHIVE): $(LIB_OBJS)
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(AR) qcs $@ $^

$(UNIT_BINS): $(BUILD)/unit/%: $(BUILD)/test/unit/%.o $(UNIT_HELPER_OBJS) $(UNIT_ARCHIVE)
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)$(CC) $(RDS_LDFLAGS) -o $@ $< $(UNIT_HELPER_OBJS) $(UNIT_ARCHIVE) $(RDS_LIBS) $(UNIT_LIBS)

unit-build: $(UNIT_BINS)

# A program that ends badly without having said which test failed (a crash, a leak, no end) counts
# as one failure.
unit-test: $(UNIT_BINS)
	$(Q)passed=0; failed=0; \
	count() { printf '%s\n' "$$out" | sed -n "s/^\[  $$1  \] \([0-9][0-9]*\) test.*/\1/p" | \
		awk '{ n += $$1 } END { print n + 0 }'; }; \
	for program in $(UNIT_BINS); do \
		echo "  TEST    $$program"; \
		status=0; \
		out=$$(timeout 300 $$program 2>&1) || status=$$?; \
		printf '%s\n' "$$out"; \
		bad=$$(count FAILED); \
		if [ $$status -ne 0 ] && [ $$bad -eq 0 ]; then \
			echo "$$program ended with status $$status"; bad=1; \
		fi; \
		passed=$$((passed + $$(count PASSED))); failed=$$((failed + bad)); \
	done; \
	echo "unit tests: $$passed passed, $$failed failed"; \
	[ $$failed -eq 0 ]

-include $(wildcard $(BUILD)/test/unit/*.d)
.PHONY: unit-build unit-test
.SECONDARY: $(UNIT_SRCS:%.c=$(BUILD)/%.o)
