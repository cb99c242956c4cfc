# SPDX-License-Identifier: MIT
# Fuzzers: each test/fuzz/NAME.c becomes a libFuzzer program $(BUILD)/fuzz/NAME, built with clang
# and sanitizers whatever CC is. `make fuzz` builds them, `make fuzz-run FUZZ_SECONDS=5` runs
# each for so long, from its seeds in test/fuzz/corpus/NAME, and sums up.

FUZZ_CC := clang
FUZZ_SECONDS ?= 5
FUZZ_SAN := address,undefined
FUZZ_HELPERS := test/fuzz/model.c
FUZZ_SRCS := $(filter-out $(FUZZ_HELPERS),$(wildcard test/fuzz/*.c))
FUZZ_BINS := $(FUZZ_SRCS:test/fuzz/%.c=$(BUILD)/fuzz/%)
FUZZ_CFLAGS := -std=c11 -pthread $(WARN) -O1 -g -fno-omit-frame-pointer \
	-fsanitize=fuzzer-no-link,$(FUZZ_SAN) -fno-sanitize-recover=all
FUZZ_OBJ := $(BUILD)/fuzz/obj

# The code under test again, with coverage; main and the command line stay out.
FUZZ_LIB_OBJS := $(patsubst %.c,$(FUZZ_OBJ)/%.o,$(foreach room,core net keys conf,$(wildcard $(room)/*.c)))
FUZZ_PB_OBJ := $(FUZZ_OBJ)/gen/rendezvous.pb.o
FUZZ_ARCHIVE := $(FUZZ_OBJ)/librdsrv.a

$(FUZZ_OBJ)/%.o: %.c | $(GEN)
	@mkdir -p $(@D)
	@echo "  CC      $< (fuzz)"
	$(Q)$(FUZZ_CC) $(RDS_CPPFLAGS) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

$(FUZZ_PB_OBJ): $(BUILD)/gen/rendezvous.pb.c
	@mkdir -p $(@D)
	@echo "  CC      $< (fuzz)"
	$(Q)$(FUZZ_CC) $(RDS_CPPFLAGS) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

$(FUZZ_ARCHIVE): $(FUZZ_LIB_OBJS) $(FUZZ_PB_OBJ)
	@rm -f $@
	$(Q)$(AR) qcs $@ $^

$(FUZZ_BINS): $(BUILD)/fuzz/%: $(FUZZ_OBJ)/test/fuzz/%.o $(FUZZ_HELPERS:%.c=$(FUZZ_OBJ)/%.o) $(FUZZ_ARCHIVE)
	@echo "  LD      $@"
	$(Q)$(FUZZ_CC) -pthread -fsanitize=fuzzer,$(FUZZ_SAN) -o $@ $^ $(RDS_LIBS)

fuzz: $(FUZZ_BINS)

# New inputs go to a scratch directory, never to the seeds. What breaks a fuzzer stays behind as
# $(BUILD)/fuzz/NAME.crash-*.
fuzz-run: $(FUZZ_BINS)
	$(Q)passed=0; failed=0; \
	for program in $(FUZZ_BINS); do \
		name=$$(basename $$program); \
		scratch=$$(mktemp -d) || exit 1; \
		echo "  FUZZ    $$name"; \
		if $$program -max_total_time=$(FUZZ_SECONDS) -timeout=20 -print_final_stats=1 \
			-artifact_prefix=$$program. $$scratch test/fuzz/corpus/$$name \
			>$$program.log 2>&1; then \
			passed=$$((passed + 1)); \
			sed -n 's/^stat::number_of_executed_units: */          runs: /p' $$program.log; \
		else \
			failed=$$((failed + 1)); \
			tail -n 60 $$program.log; \
		fi; \
		rm -r -- "$$scratch"; \
	done; \
	echo "fuzzers: $$passed passed, $$failed failed"; \
	[ $$failed -eq 0 ]

-include $(wildcard $(FUZZ_OBJ)/*/*.d $(FUZZ_OBJ)/test/fuzz/*.d)
.PHONY: fuzz fuzz-run
.SECONDARY: $(FUZZ_SRCS:%.c=$(FUZZ_OBJ)/%.o) $(FUZZ_HELPERS:%.c=$(FUZZ_OBJ)/%.o)
