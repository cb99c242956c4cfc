// SPDX-License-Identifier: MIT
// Which relay is handed out next (protocol.md section 8), and which one is to be probed: each in
// turn, but those whose probes fail are left out while there are others. No I/O: whoever probes
// says what came of it.
#ifndef RDS_CORE_ROTATION_H
#define RDS_CORE_ROTATION_H

#include "core/limits.h"
#include "core/relay_names.h"

enum rds_relay_state {
	RDS_RELAY_UNPROBED, // nothing is known yet, or one probe has failed: handed out
	RDS_RELAY_ALIVE,
	RDS_RELAY_DEAD, // RDS_PROBE_FAILURES probes in a row have failed
};

struct rds_relay_health {
	enum rds_relay_state state;
	uint64_t since_ms;             // of the state; 0: unprobed
	uint64_t due_ms;               // when it is to be probed next
	unsigned failures;             // in a row
	unsigned round_trip_ms;        // of the last good probe; 0: there was none
	bool probing;                  // a probe is under way
	char why[RDS_PROBE_WHY_BYTES]; // the last probe failed; empty: it didn't
};

// Zero it to start.
struct rds_rotation {
	const struct rds_relay_names *relays; // borrowed
	struct rds_relay_health *health;      // of each
	size_t n;
	size_t next;          // whose turn it is
	unsigned interval_ms; // between two probes of one relay; 0: none is probed
	uint64_t probed_ms;   // when the last probe of any began
};

void rds_rotation_clear(struct rds_rotation *rotation);

// Other relays from now on; the old ones must still be there. A relay that stays, by its name,
// stays as alive or dead as it was.
void rds_rotation_set_relays(struct rds_rotation *rotation, const struct rds_relay_names *relays,
                             size_t n);

// How often relays are probed. 0: not at all; what was known of them is forgotten.
void rds_rotation_probe_every(struct rds_rotation *rotation, unsigned interval_ms);

// The relay whose turn it is; if all are dead, any in turn: clients may reach what we can't. NULL:
// there are no relays.
const struct rds_relay_names *rds_rotation_next(struct rds_rotation *rotation);

size_t rds_rotation_count(const struct rds_rotation *rotation, enum rds_relay_state state);

// How long until a relay has to be probed, leaving out those that are being probed; probes are
// spread over the interval. UINT64_MAX: no other one has to be.
uint64_t rds_rotation_wait_ms(const struct rds_rotation *rotation, uint64_t now_ms);

// A relay that has to be probed now, and counts as being probed until rds_rotation_probed; NULL:
// none.
const struct rds_relay_names *rds_rotation_take_due(struct rds_rotation *rotation, uint64_t now_ms);

// A probe has ended; why: it failed, NULL: it didn't. A relay that is gone meanwhile is no error.
// A relay that dies or comes to life is logged.
void rds_rotation_probed(struct rds_rotation *rotation, uint64_t now_ms, struct rds_view name,
                         const char *why, unsigned round_trip_ms);

#endif
