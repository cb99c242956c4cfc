// SPDX-License-Identifier: MIT
#include "core/register_limits.h"

#include "core/alloc.h"
#include "core/limits.h"

#include <stdlib.h>

#define MINUTE_MS 60000U
#define DAY_MS    (24U * 60U * MINUTE_MS)

// A list of things with the time of each, oldest first. Grows to its limit and no further.
struct recent {
	struct recent_one {
		uint64_t at_ms;
		uint64_t what;
	} * ones;
	uint32_t n;
	uint32_t cap;
};

// What is remembered of one source; in the order of its last registration.
struct source {
	struct rds_ip ip;
	struct source *older;
	struct source *newer;
	struct recent tries; // in the last minute
	struct recent ids;   // in the last day, by hash
};

struct rds_register_limits {
	struct rds_register_limits_config config;
	struct rds_seed seed;
	struct rds_table sources;
	struct source *oldest;
	struct source *newest;
};

static void recent_expire(struct recent *recent, uint64_t now_ms, uint64_t window_ms)
{
	uint32_t gone = 0;
	while (gone < recent->n && now_ms - recent->ones[gone].at_ms >= window_ms)
		gone++;
	if (gone == 0)
		return;
	recent->n -= gone;
	memmove(recent->ones, recent->ones + gone, recent->n * sizeof *recent->ones);
}

// Whether what is among them: if so, it is the newest from now on.
static bool recent_renew(struct recent *recent, uint64_t now_ms, uint64_t what)
{
	uint32_t i = 0;
	while (i < recent->n && recent->ones[i].what != what)
		i++;
	if (i == recent->n)
		return false;
	memmove(recent->ones + i, recent->ones + i + 1, (recent->n - i - 1) * sizeof *recent->ones);
	recent->ones[recent->n - 1] = (struct recent_one){.at_ms = now_ms, .what = what};
	return true;
}

static void recent_add(struct recent *recent, uint64_t now_ms, uint64_t what)
{
	if (recent->n == recent->cap) {
		recent->cap = recent->cap == 0 ? 2 : recent->cap * 2;
		recent->ones = rds_realloc(recent->ones, recent->cap, sizeof *recent->ones);
	}
	recent->ones[recent->n++] = (struct recent_one){.at_ms = now_ms, .what = what};
}

struct rds_register_limits *rds_register_limits_new(const struct rds_register_limits_config *config,
                                                    const struct rds_seed *seed)
{
	struct rds_register_limits *limits = rds_calloc(1, sizeof *limits);
	limits->config = *config;
	limits->seed = *seed;
	rds_table_init(&limits->sources);
	return limits;
}

static uint64_t hash_ip(const struct rds_register_limits *limits, const struct rds_ip *ip)
{
	return rds_hash(&limits->seed, ip->b, sizeof ip->b);
}

static void unlink_source(struct rds_register_limits *limits, struct source *source)
{
	*(source->older != NULL ? &source->older->newer : &limits->oldest) = source->newer;
	*(source->newer != NULL ? &source->newer->older : &limits->newest) = source->older;
	source->older = source->newer = NULL;
}

static void link_newest(struct rds_register_limits *limits, struct source *source)
{
	source->older = limits->newest;
	*(limits->newest != NULL ? &limits->newest->newer : &limits->oldest) = source;
	limits->newest = source;
}

static void forget(struct rds_register_limits *limits, struct source *source)
{
	unlink_source(limits, source);
	rds_table_remove(&limits->sources, hash_ip(limits, &source->ip), source);
	free(source->tries.ones);
	free(source->ids.ones);
	free(source);
}

void rds_register_limits_free(struct rds_register_limits *limits)
{
	if (limits == NULL)
		return;
	while (limits->oldest != NULL)
		forget(limits, limits->oldest);
	rds_table_clear(&limits->sources);
	free(limits);
}

static bool has_ip(const void *entry, const void *key)
{
	return rds_ip_equal(&((const struct source *)entry)->ip, key);
}

static struct source *find(const struct rds_register_limits *limits, const struct rds_ip *ip)
{
	struct rds_ip key = rds_ip_source(ip);
	return rds_table_find(&limits->sources, hash_ip(limits, &key), has_ip, &key);
}

static struct source *source_of(struct rds_register_limits *limits, const struct rds_ip *ip)
{
	struct source *source = find(limits, ip);
	if (source != NULL) {
		unlink_source(limits, source);
	} else {
		if (limits->sources.used >= RDS_LIMITED_SOURCES)
			forget(limits, limits->oldest);
		source = rds_calloc(1, sizeof *source);
		source->ip = rds_ip_source(ip);
		rds_table_insert(&limits->sources, hash_ip(limits, &source->ip), source);
	}
	link_newest(limits, source);
	return source;
}

enum rds_reason rds_register_limits_count(struct rds_register_limits *limits, uint64_t now_ms,
                                          const struct rds_ip *ip, struct rds_view id)
{
	const struct rds_register_limits_config *config = &limits->config;
	if (rds_cidrs_hold(config->exempt, config->n_exempt, ip))
		return RDS_WHY_NONE;
	struct source *source = source_of(limits, ip);
	if (config->per_minute > 0) {
		recent_expire(&source->tries, now_ms, MINUTE_MS);
		if (source->tries.n >= config->per_minute)
			return RDS_WHY_IP_TOO_FREQUENT;
		recent_add(&source->tries, now_ms, 0);
	}
	if (config->ids_per_day > 0) {
		uint64_t what = rds_hash(&limits->seed, id.data, id.len);
		recent_expire(&source->ids, now_ms, DAY_MS);
		if (recent_renew(&source->ids, now_ms, what))
			return RDS_WHY_NONE;
		if (source->ids.n >= config->ids_per_day)
			return RDS_WHY_IP_TOO_MANY_IDS;
		recent_add(&source->ids, now_ms, what);
	}
	return RDS_WHY_NONE;
}

size_t rds_register_limits_sources(const struct rds_register_limits *limits)
{
	return limits->sources.used;
}

static uint32_t recent_count(const struct recent *recent, uint64_t now_ms, uint64_t window_ms)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < recent->n; i++)
		n += now_ms - recent->ones[i].at_ms < window_ms;
	return n;
}

static struct rds_limited limited(const struct source *source, uint64_t now_ms)
{
	return (struct rds_limited){.ip = source->ip,
	                            .tries = recent_count(&source->tries, now_ms, MINUTE_MS),
	                            .ids = recent_count(&source->ids, now_ms, DAY_MS)};
}

bool rds_register_limits_look(const struct rds_register_limits *limits, uint64_t now_ms,
                              const struct rds_ip *ip, struct rds_limited *out)
{
	const struct source *source = find(limits, ip);
	if (source != NULL)
		*out = limited(source, now_ms);
	return source != NULL;
}

size_t rds_register_limits_list(const struct rds_register_limits *limits, uint64_t now_ms,
                                size_t skip, struct rds_limited *out, size_t max)
{
	size_t n = 0;
	for (const struct source *s = limits->newest; s != NULL && n < max; s = s->older) {
		if (skip > 0)
			skip--;
		else
			out[n++] = limited(s, now_ms);
	}
	return n;
}

bool rds_register_limits_forget(struct rds_register_limits *limits, const struct rds_ip *ip)
{
	struct source *source = find(limits, ip);
	if (source != NULL)
		forget(limits, source);
	return source != NULL;
}
