// SPDX-License-Identifier: MIT
// How fast a session may go: a bucket of bytes that fills with time, and the share of each session
// where all of them together have a limit.
#ifndef RDS_CORE_QUOTA_H
#define RDS_CORE_QUOTA_H

#include <stdint.h>

// Zero it to start: it starts full.
struct rds_quota {
	uint64_t left; // thousandths of a byte, so that slow rates fill up in whole milliseconds
	uint64_t filled_ms;
};

// How many bytes may go now at rate (bytes a second, above 0). A tenth of a second's worth is saved
// up at most, or RDS_QUOTA_LEAST_BYTES where that is less.
uint64_t rds_quota_left(struct rds_quota *quota, uint64_t now_ms, uint64_t rate);

// Takes bytes that have gone; more than were left count as all of them.
void rds_quota_take(struct rds_quota *quota, uint64_t bytes);

// What the sessions do, as of the last look.
struct rds_demand {
	uint64_t free_bps;  // bytes a second of those that their share doesn't hold back
	uint64_t held_back; // how many it does
	uint64_t active;    // how many move or want to move anything, these included
	uint64_t bytes;     // of all, since the last look
};

// Shares out a total limit: those who want less than an equal share get what they want, the others
// equal parts of the rest. Zero it to start.
struct rds_fair {
	int64_t debt; // bytes that went over the total
};

// The share of each session from now on, in bytes a second. total: bytes a second, above 0.
uint64_t rds_fair_share(struct rds_fair *fair, uint64_t total, uint64_t elapsed_ms,
                        const struct rds_demand *demand);

#endif
