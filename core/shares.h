// SPDX-License-Identifier: MIT
// A bounded set of live things (waits, connections), each from some source address, shared out
// fairly: when it is full, whoever holds most gives way, so that a stranger can't push out honest
// ones. Sources are IPv4 addresses and IPv6 /64s.
#ifndef RDS_CORE_SHARES_H
#define RDS_CORE_SHARES_H

#include "core/addr.h"
#include "core/table.h"

// Embedded in each thing. Zero it to start.
struct rds_share {
	struct rds_share *older; // of the same source
	struct rds_share *newer;
	struct share_source *source; // NULL: in no set
};

struct rds_shares {
	struct rds_seed seed;
	uint32_t most;            // in all
	uint32_t most_per_source; // 0: as many as in all
	uint32_t n;
	struct rds_table sources;
	struct share_source **by_count; // lists of sources that hold so many
	uint32_t top;                   // the most that any source holds
};

void rds_shares_init(struct rds_shares *shares, const struct rds_seed *seed, uint32_t most,
                     uint32_t most_per_source);

// Frees what is its own; the things must have left before.
void rds_shares_clear(struct rds_shares *shares);

enum rds_share_result {
	RDS_SHARE_TAKEN, // it is in
	RDS_SHARE_FULL,  // its source holds as many as it may, or most of a full set
	RDS_SHARE_EVICT, // *victim must leave (and does so by rds_shares_leave) before it can be in
};

// Lets one more thing from ip in.
enum rds_share_result rds_shares_enter(struct rds_shares *shares, const struct rds_ip *ip,
                                       struct rds_share *share, struct rds_share **victim);

// Takes a thing out; one that is in no set is no error.
void rds_shares_leave(struct rds_shares *shares, struct rds_share *share);

#endif
