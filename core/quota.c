// SPDX-License-Identifier: MIT
#include "core/quota.h"

#include "core/limits.h"

#include <stdbool.h>

uint64_t rds_quota_left(struct rds_quota *quota, uint64_t now_ms, uint64_t rate)
{
	uint64_t depth = rate / 10 > RDS_QUOTA_LEAST_BYTES ? rate / 10 : RDS_QUOTA_LEAST_BYTES;
	uint64_t most = depth * 1000;
	uint64_t ms = now_ms - quota->filled_ms;
	// After so long it is full, whatever was left.
	bool full = quota->filled_ms == 0 || ms > most / rate;
	uint64_t left = full ? most : quota->left + rate * ms;
	quota->left = left < most ? left : most;
	quota->filled_ms = now_ms;
	return quota->left / 1000;
}

void rds_quota_take(struct rds_quota *quota, uint64_t bytes)
{
	quota->left = bytes <= quota->left / 1000 ? quota->left - bytes * 1000 : 0;
}

// Bytes that went over the total are taken off again, of half of it at most, so that nobody is
// stopped; those that were left over are nobody's.
static uint64_t to_share_out(struct rds_fair *fair, uint64_t total, uint64_t elapsed_ms,
                             uint64_t bytes)
{
	int64_t most = (int64_t)total * RDS_FAIR_DEBT_SEC;
	fair->debt += (int64_t)bytes - (int64_t)(total / 1000 * elapsed_ms);
	fair->debt = fair->debt < 0 ? 0 : fair->debt > most ? most : fair->debt;
	uint64_t debt = (uint64_t)fair->debt;
	return total - (debt < total / 2 ? debt : total / 2);
}

uint64_t rds_fair_share(struct rds_fair *fair, uint64_t total, uint64_t elapsed_ms,
                        const struct rds_demand *demand)
{
	uint64_t pot = to_share_out(fair, total, elapsed_ms, demand->bytes);
	uint64_t rest = demand->free_bps < pot ? pot - demand->free_bps : 0;
	uint64_t more = rest / (demand->held_back > 0 ? demand->held_back : 1);
	// With so much for each, all of them together can't go over it.
	uint64_t equal = pot / (demand->active > 0 ? demand->active : 1);
	uint64_t share = more > equal ? more : equal;
	return share > 0 ? share : 1;
}
