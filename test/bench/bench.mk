# SPDX-License-Identifier: MIT
# Benchmarks: `make bench-relay` measures the relay against what it is compared with.

BENCH_PROGRAMS := relay_bulk relay_connect relay_idle relay_messages
BENCH_HELPERS := $(patsubst %,$(BUILD)/test/bench/%.o,tool sides)
BENCH_BINS := $(BENCH_PROGRAMS:%=$(BUILD)/bench/%)

$(BENCH_BINS): $(BUILD)/bench/%: $(BUILD)/test/bench/%.o $(BENCH_HELPERS) $(UNIT_ARCHIVE)
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)$(CC) $(RDS_LDFLAGS) -o $@ $< $(BENCH_HELPERS) $(UNIT_ARCHIVE) $(RDS_LIBS)

bench-build: $(BENCH_BINS)

-include $(wildcard $(BUILD)/test/bench/*.d)
.PHONY: bench-build
.SECONDARY: $(BENCH_PROGRAMS:%=$(BUILD)/test/bench/%.o) $(BENCH_HELPERS)
