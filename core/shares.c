// SPDX-License-Identifier: MIT
#include "core/shares.h"

#include "core/alloc.h"

#include <stdlib.h>

// All that one source holds, oldest first.
struct share_source {
	struct rds_ip ip;
	uint32_t n;
	struct rds_share *oldest;
	struct rds_share *newest;
	struct share_source *next; // among those that hold as many
	struct share_source *previous;
};

static uint64_t hash_ip(const struct rds_shares *shares, const struct rds_ip *ip)
{
	return rds_hash(&shares->seed, ip->b, sizeof ip->b);
}

static bool has_ip(const void *entry, const void *key)
{
	return rds_ip_equal(&((const struct share_source *)entry)->ip, key);
}

void rds_shares_init(struct rds_shares *shares, const struct rds_seed *seed, uint32_t most,
                     uint32_t most_per_source)
{
	*shares = (struct rds_shares){.seed = *seed, .most = most};
	shares->most_per_source =
	        most_per_source > 0 && most_per_source < most ? most_per_source : most;
	rds_table_init(&shares->sources);
	shares->by_count = rds_calloc((size_t)most + 1, sizeof(struct share_source *));
}

void rds_shares_clear(struct rds_shares *shares)
{
	size_t at = 0;
	for (void *source; (source = rds_table_next(&shares->sources, &at)) != NULL;)
		free(source);
	rds_table_clear(&shares->sources);
	free(shares->by_count);
	*shares = (struct rds_shares){0};
}

static void unlist(struct rds_shares *shares, struct share_source *source)
{
	*(source->previous != NULL ? &source->previous->next : &shares->by_count[source->n]) =
	        source->next;
	if (source->next != NULL)
		source->next->previous = source->previous;
	source->next = source->previous = NULL;
}

static void list(struct rds_shares *shares, struct share_source *source)
{
	source->next = shares->by_count[source->n];
	if (source->next != NULL)
		source->next->previous = source;
	shares->by_count[source->n] = source;
}

// The count changes by one at a time, so the top does too.
static void set_count(struct rds_shares *shares, struct share_source *source, uint32_t n)
{
	if (source->n > 0)
		unlist(shares, source);
	source->n = n;
	if (n > 0)
		list(shares, source);
	if (n > shares->top)
		shares->top = n;
	else if (shares->top > 0 && shares->by_count[shares->top] == NULL)
		shares->top--;
}

static void add(struct rds_shares *shares, struct share_source *source, struct rds_share *share)
{
	share->source = source;
	share->older = source->newest;
	share->newer = NULL;
	*(source->newest != NULL ? &source->newest->newer : &source->oldest) = share;
	source->newest = share;
	shares->n++;
	set_count(shares, source, source->n + 1);
}

enum rds_share_result rds_shares_enter(struct rds_shares *shares, const struct rds_ip *ip,
                                       struct rds_share *share, struct rds_share **victim)
{
	struct rds_ip key = rds_ip_source(ip);
	uint64_t hash = hash_ip(shares, &key);
	struct share_source *source = rds_table_find(&shares->sources, hash, has_ip, &key);
	uint32_t held = source == NULL ? 0 : source->n;
	if (held >= shares->most_per_source)
		return RDS_SHARE_FULL;
	if (shares->n >= shares->most) {
		// With one more it would hold as many as the greediest: it is one of them.
		if (held + 1 >= shares->top)
			return RDS_SHARE_FULL;
		*victim = shares->by_count[shares->top]->oldest;
		return RDS_SHARE_EVICT;
	}
	if (source == NULL) {
		source = rds_calloc(1, sizeof *source);
		source->ip = key;
		rds_table_insert(&shares->sources, hash, source);
	}
	add(shares, source, share);
	return RDS_SHARE_TAKEN;
}

void rds_shares_leave(struct rds_shares *shares, struct rds_share *share)
{
	struct share_source *source = share->source;
	if (source == NULL)
		return;
	*(share->older != NULL ? &share->older->newer : &source->oldest) = share->newer;
	*(share->newer != NULL ? &share->newer->older : &source->newest) = share->older;
	*share = (struct rds_share){0};
	shares->n--;
	set_count(shares, source, source->n - 1);
	if (source->n == 0) {
		rds_table_remove(&shares->sources, hash_ip(shares, &source->ip), source);
		free(source);
	}
}
