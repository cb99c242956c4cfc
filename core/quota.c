// SPDX-License-Identifier: MIT
#include "core/quota.h"

#include "core/limits.h"

uint64_t rds_quota_left(struct rds_quota *quota, uint64_t now_ms, uint64_t rate)
{
	uint64_t depth = rate / 10 > RDS_QUOTA_LEAST_BYTES ? rate / 10 : RDS_QUOTA_LEAST_BYTES;
	uint64_t ms = now_ms - quota->filled_ms;
	if (quota->filled_ms == 0 || ms >= 1000) {
		quota->left = depth;
		quota->filled_ms = now_ms;
	} else if (rate * ms >= 1000) {
		quota->left += rate * ms / 1000;
		quota->filled_ms = now_ms;
	}
	if (quota->left > depth)
		quota->left = depth;
	return quota->left;
}

void rds_quota_take(struct rds_quota *quota, uint64_t bytes)
{
	quota->left -= bytes < quota->left ? bytes : quota->left;
}

// What went over the total is taken off again within a second; what was left over is nobody's.
static uint64_t to_share_out(struct rds_fair *fair, uint64_t total, uint64_t elapsed_ms,
                             uint64_t bytes)
{
	int64_t most = (int64_t)total;
	fair->debt += (int64_t)bytes - (int64_t)(total * elapsed_ms / 1000);
	fair->debt = fair->debt < 0 ? 0 : fair->debt > most ? most : fair->debt;
	return total - (uint64_t)fair->debt;
}

uint64_t rds_fair_share(struct rds_fair *fair, uint64_t total, uint64_t elapsed_ms,
                        const struct rds_demand *demand)
{
	elapsed_ms = elapsed_ms == 0 ? 1 : elapsed_ms;
	uint64_t pot = to_share_out(fair, total, elapsed_ms, demand->bytes);
	uint64_t used = demand->free_bytes * 1000 / elapsed_ms;
	uint64_t takers = demand->held_back == 0 ? 1 : demand->held_back;
	// Those who were not held back may have taken it all: they are from now on.
	uint64_t least = total / RDS_FAIR_LEAST_PART;
	uint64_t rest = pot > used + least ? pot - used : least;
	return rest > takers ? rest / takers : 1;
}
