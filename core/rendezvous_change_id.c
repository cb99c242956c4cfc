// SPDX-License-Identifier: MIT
// Change of ID (protocol.md section 5): RegisterPk with old_id and without pk.
#include "core/rendezvous_private.h"

#include <ctype.h>

#define NEW_ID_MIN 6
#define NEW_ID_MAX 16

// [A-Za-z][A-Za-z0-9_-]{5,15}
static bool is_chosen_id(struct rds_view id)
{
	if (id.len < NEW_ID_MIN || id.len > NEW_ID_MAX || id.data[0] >= 0x80 ||
	    !isalpha(id.data[0]))
		return false;
	for (size_t i = 1; i < id.len; i++)
		if (id.data[i] >= 0x80 ||
		    (!isalnum(id.data[i]) && id.data[i] != '_' && id.data[i] != '-'))
			return false;
	return true;
}

static bool has_uuid(const struct rds_peer *peer, struct rds_view uuid)
{
	return peer != NULL && rds_view_equal(rds_peer_uuid(peer), uuid);
}

// Reserves the new id and hands the change to the disk.
static enum rds_reason store(struct rds_rendezvous *rules, const struct rds_incoming *in,
                             struct rds_view new_id, struct rds_peer *old)
{
	struct rds_pending *pending =
	        rendezvous_pending_new(rules, in->from, new_id, rds_peer_id(old));
	if (pending == NULL)
		return RDS_WHY_STORES_FULL;
	if (rules->host.rename(rules->host.ctx, rds_peer_id(old), new_id, pending->ticket) != 0) {
		rendezvous_pending_free(rules, pending);
		return RDS_WHY_STORES_FULL;
	}
	pending->kind = RDS_PENDING_CHANGE_ID;
	struct rds_peer *taken =
	        rds_registry_add(&rules->peers, new_id, rds_peer_uuid(old), rds_peer_pk(old));
	taken->ip_on_file = old->ip_on_file;
	taken->state = old->state;
	taken->renaming = true;
	old->renaming = true;
	return RDS_WHY_NONE;
}

// *done: nothing is left to store.
static enum rds_reason judge(struct rds_rendezvous *rules, const struct rds_incoming *in,
                             const rds_RegisterPk *request, bool *done)
{
	struct rds_view new_id = rds_get(request->id);
	struct rds_view uuid = rds_get(request->uuid);
	struct rds_peer *taken = rds_registry_find(&rules->peers, new_id);
	struct rds_peer *old = rendezvous_find(rules, rds_get(request->old_id));
	*done = false;
	if (rendezvous_is_check(rules, new_id))
		return RDS_WHY_ID_TAKEN;
	*done = taken != NULL && taken->on_file && has_uuid(taken, uuid);
	if (*done)
		return RDS_WHY_NONE; // asked again for what it has
	enum rds_reason why = rds_register_limits_count(rules->limits, in->now_ms,
	                                                &in->from->path.remote.ip, new_id);
	if (why != RDS_WHY_NONE)
		return why;
	if (!has_uuid(old, uuid) || old->check) // which has no row to be renamed
		return RDS_WHY_UUID_MISMATCH;
	if (old->state != RDS_PEER_APPROVED)
		return rendezvous_state_reason(old->state);
	if (!is_chosen_id(new_id))
		return RDS_WHY_NEW_ID_INVALID;
	if (taken != NULL)
		return RDS_WHY_ID_TAKEN;
	// Rows on their way to the disk under the old id go first.
	if (old->stores_pending > 0 || old->renaming)
		return RDS_WHY_ID_TOO_FREQUENT;
	return store(rules, in, new_id, old);
}

void rendezvous_change_id(struct rds_rendezvous *rules, const struct rds_incoming *in)
{
	const rds_RegisterPk *request = &in->msg->member.register_pk;
	bool done = false;
	enum rds_reason why = judge(rules, in, request, &done);
	if (why != RDS_WHY_NONE)
		rendezvous_refuse(rules, in, why, rds_get(request->id));
	if (why != RDS_WHY_NONE || done)
		rendezvous_answer_register_pk(rules, in->from, why);
}

// The machine registers under its new id by itself; until then it is reached under neither.
void rendezvous_id_changed(struct rds_rendezvous *rules, const struct rds_pending *pending, bool ok)
{
	struct rds_peer *old = rds_registry_find(&rules->peers, rendezvous_pending_second(pending));
	struct rds_peer *taken = rds_registry_find(&rules->peers, rendezvous_pending_id(pending));
	taken->renaming = false;
	old->renaming = false;
	if (!ok) {
		rendezvous_remove(rules, taken);
		return;
	}
	taken->on_file = true;
	rds_log(RDS_LOG_INFO, "id changed", rds_field_bytes("id", rds_peer_id(taken)),
	        rds_field_bytes("old_id", rds_peer_id(old)),
	        rds_field_addr("from", &pending->from.path.remote));
	rendezvous_unregister(rules, old);
	rendezvous_move_notes(rules, taken, old);
	rendezvous_remove(rules, old);
}
