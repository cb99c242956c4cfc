// SPDX-License-Identifier: MIT
// What is on its way to the disk, and who is to be told.
#include "core/rendezvous_private.h"

#include "core/alloc.h"

#include <stdlib.h>

static uint64_t hash_ticket(const struct rds_rendezvous *rules, uint64_t ticket)
{
	return rds_hash(&rules->config.seed, &ticket, sizeof ticket);
}

static bool has_ticket(const void *entry, const void *key)
{
	return ((const struct rds_pending *)entry)->ticket == *(const uint64_t *)key;
}

struct rds_pending *rendezvous_pending_new(struct rds_rendezvous *rules,
                                           const struct rds_source *from, struct rds_view id,
                                           struct rds_view second)
{
	if (rules->stores.used >= RDS_STORES_PENDING)
		return NULL;
	struct rds_pending *pending = rds_calloc(1, sizeof *pending + id.len + second.len);
	pending->ticket = rules->next_ticket++;
	pending->from = *from;
	pending->id_len = (uint16_t)id.len;
	pending->second_len = (uint16_t)second.len;
	memcpy(pending->bytes, id.data, id.len);
	memcpy(pending->bytes + id.len, second.data, second.len);
	rds_table_insert(&rules->stores, hash_ticket(rules, pending->ticket), pending);
	return pending;
}

void rendezvous_pending_free(struct rds_rendezvous *rules, struct rds_pending *pending)
{
	rds_table_remove(&rules->stores, hash_ticket(rules, pending->ticket), pending);
	free(pending);
}

void rendezvous_pending_clear(struct rds_rendezvous *rules)
{
	size_t at = 0;
	for (void *pending; (pending = rds_table_next(&rules->stores, &at)) != NULL;)
		free(pending);
	rds_table_clear(&rules->stores);
}

void rds_rendezvous_stored(struct rds_rendezvous *rules, uint64_t now_ms, uint64_t ticket, bool ok)
{
	struct rds_pending *pending =
	        rds_table_find(&rules->stores, hash_ticket(rules, ticket), has_ticket, &ticket);
	if (pending == NULL)
		return;
	if (!ok)
		rules->counters.n[RDS_WHY_STORE_FAILED]++;
	enum rds_reason why = ok ? RDS_WHY_NONE : RDS_WHY_STORE_FAILED;
	switch (pending->kind) {
	case RDS_PENDING_REGISTER:
		why = rendezvous_registered(rules, now_ms, pending, ok);
		break;
	case RDS_PENDING_CHANGE_ID:
		rendezvous_id_changed(rules, pending, ok);
		break;
	case RDS_PENDING_STATE:
	case RDS_PENDING_FORGET:
		rendezvous_admin_done(rules, pending, ok);
		rendezvous_pending_free(rules, pending);
		return;
	}
	rendezvous_answer_register_pk(rules, &pending->from, why);
	rendezvous_pending_free(rules, pending);
}
