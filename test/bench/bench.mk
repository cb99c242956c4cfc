# SPDX-License-Identifier: MIT
# Benchmarks: `make bench-id` and `make bench-relay` measure the two servers against what they are
# compared with, `make bench-fleet` keeps 22,500 peers online. test/bench/README.md says how, and what can be set.

BENCH_PROGRAMS := echo fleet peers_db punch_load sqlite_alone udp_load \
	relay_bulk relay_connect relay_idle relay_messages
BENCH_HELPERS := $(patsubst %,$(BUILD)/test/bench/%.o,tool peers wire fleet_conns fleet_udp sides)
BENCH_BINS := $(BENCH_PROGRAMS:%=$(BUILD)/bench/%)

$(BENCH_BINS): $(BUILD)/bench/%: $(BUILD)/test/bench/%.o $(BENCH_HELPERS) $(UNIT_ARCHIVE)
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)$(CC) $(RDS_LDFLAGS) -o $@ $< $(BENCH_HELPERS) $(UNIT_ARCHIVE) $(RDS_LIBS)

bench-build: $(BENCH_BINS)

# ROUNDS=n, JSON=file, ONLY=peer,pk,memory,punch,size, HBBS=/path/to/hbbs
BENCH_RUN = RDSRV=$(abspath $(BUILD)/rdsrv) BENCH_PROGRAMS=$(abspath $(BUILD)/bench) /usr/bin/python3 -B
bench-id: $(BUILD)/rdsrv bench-build
	$(Q)$(BENCH_RUN) test/bench/bench_id.py $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(JSON),--json $(JSON)) $(if $(ONLY),--only $(ONLY)) $(if $(HBBS),--hbbs $(HBBS))

# ROUNDS=n, JSON=file, ONLY=bulk,websocket,messages,connect,idle, HBBR=/path/to/hbbr
bench-relay: $(BUILD)/rdsrv bench-build
	$(Q)$(BENCH_RUN) test/bench/bench_relay.py $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(JSON),--json $(JSON)) $(if $(ONLY),--only $(ONLY)) $(if $(HBBR),--hbbr $(HBBR))

# SECONDS_ONLINE=n instead of three minutes
bench-fleet: $(BUILD)/rdsrv bench-build
	$(Q)$(BENCH_RUN) test/bench/fleet.py $(if $(SECONDS_ONLINE),--seconds $(SECONDS_ONLINE))

-include $(wildcard $(BUILD)/test/bench/*.d)
.PHONY: bench-build bench-id bench-fleet bench-relay
.SECONDARY: $(BENCH_PROGRAMS:%=$(BUILD)/test/bench/%.o) $(BENCH_HELPERS)
