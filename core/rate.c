// SPDX-License-Identifier: MIT
#include "core/rate.h"

#include "core/alloc.h"
#include "core/limits.h"

#include <stdlib.h>

// Tokens are counted in thousandths, so that slow rates fill up in whole milliseconds.
struct bucket {
	uint32_t tag; // which source: the hash's other half
	uint32_t last_ms;
	uint64_t tokens;
};

struct rds_rate {
	struct rds_seed seed;
	uint32_t per_second;
	uint32_t burst;
	uint32_t total_per_second;
	struct bucket total;
	// One place a source, by hash: a newcomer that falls on another's place starts anew there.
	struct bucket sources[RDS_RATE_SOURCES];
};

struct rds_rate *rds_rate_new(const struct rds_seed *seed, uint32_t per_second, uint32_t burst,
                              uint32_t total_per_second)
{
	struct rds_rate *rate = rds_calloc(1, sizeof *rate);
	rate->seed = *seed;
	rate->per_second = per_second;
	rate->burst = burst;
	rate->total_per_second = total_per_second;
	rate->total.tokens = (uint64_t)total_per_second * 1000;
	return rate;
}

void rds_rate_free(struct rds_rate *rate)
{
	free(rate);
}

static void refill(struct bucket *bucket, uint32_t now_ms, uint32_t per_second, uint32_t burst)
{
	uint64_t full = (uint64_t)burst * 1000;
	uint64_t more = (uint64_t)(now_ms - bucket->last_ms) * per_second;
	bucket->tokens = bucket->tokens + more < full ? bucket->tokens + more : full;
	bucket->last_ms = now_ms;
}

static bool take(struct bucket *bucket)
{
	if (bucket->tokens < 1000)
		return false;
	bucket->tokens -= 1000;
	return true;
}

bool rds_rate_pass(struct rds_rate *rate, uint64_t now_ms, const struct rds_ip *ip)
{
	struct rds_ip source = rds_ip_source(ip);
	uint64_t hash = rds_hash(&rate->seed, source.b, sizeof source.b);
	struct bucket *bucket = &rate->sources[hash % RDS_RATE_SOURCES];
	uint32_t tag = (uint32_t)(hash >> 32) | 1; // 0: an empty place
	if (bucket->tag != tag)
		*bucket = (struct bucket){.tag = tag,
		                          .last_ms = (uint32_t)now_ms,
		                          .tokens = (uint64_t)rate->burst * 1000};
	refill(bucket, (uint32_t)now_ms, rate->per_second, rate->burst);
	refill(&rate->total, (uint32_t)now_ms, rate->total_per_second, rate->total_per_second);
	if (rate->per_second > 0 && !take(bucket))
		return false;
	return rate->total_per_second == 0 || take(&rate->total);
}
