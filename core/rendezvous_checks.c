// SPDX-License-Identifier: MIT
// The ids that `rdsrv check` has reserved: registration without a disk, limits and enrolment, and
// its end.
#include "core/rendezvous_private.h"

bool rendezvous_is_check(const struct rds_rendezvous *rules, struct rds_view id)
{
	return rds_checks_has(&rules->checks, id);
}

int rds_rendezvous_reserve(struct rds_rendezvous *rules, uint64_t now_ms, struct rds_view id)
{
	rds_rendezvous_expire_checks(rules, now_ms);
	if (rds_registry_find(&rules->peers, id) != NULL)
		return -RDS_EEXIST;
	return rds_checks_reserve(&rules->checks, now_ms, id);
}

// An id that isn't reserved any more is nobody's.
static void forget(struct rds_rendezvous *rules, struct rds_view id)
{
	struct rds_peer *peer = rds_registry_find(&rules->peers, id);
	if (peer == NULL)
		return;
	uint64_t conn = peer->conn;
	rendezvous_unregister(rules, peer);
	rendezvous_remove(rules, peer);
	rules->n_check_peers--;
	if (conn != 0)
		rules->host.close_conn(rules->host.ctx, conn, RDS_WHY_CHECK_OVER);
}

bool rds_rendezvous_release(struct rds_rendezvous *rules, struct rds_view id)
{
	if (!rds_checks_release(&rules->checks, id))
		return false;
	forget(rules, id);
	return true;
}

void rds_rendezvous_expire_checks(struct rds_rendezvous *rules, uint64_t now_ms)
{
	struct rds_check_id over;
	while (rds_checks_expire(&rules->checks, now_ms, &over))
		forget(rules, rds_view_of(over.bytes, over.len));
}

// Those rules of section 4 point 4 that are about who has the id.
static enum rds_reason judge(const struct rds_peer *peer, const struct rds_incoming *in,
                             struct rds_view uuid, struct rds_view pk)
{
	if (peer == NULL)
		return RDS_WHY_NONE;
	if (!rds_view_equal(rds_peer_uuid(peer), uuid))
		return RDS_WHY_UUID_MISMATCH;
	if (!rds_view_equal(rds_peer_pk(peer), pk) &&
	    !rds_ip_equal(&peer->ip_on_file, &in->from->path.remote.ip))
		return RDS_WHY_PK_AND_IP_DIFFER;
	return RDS_WHY_NONE;
}

void rendezvous_register_check(struct rds_rendezvous *rules, const struct rds_incoming *in)
{
	const rds_RegisterPk *request = &in->msg->member.register_pk;
	struct rds_view id = rds_get(request->id);
	struct rds_peer *peer = rds_registry_find(&rules->peers, id);
	enum rds_reason why = judge(peer, in, rds_get(request->uuid), rds_get(request->pk));
	if (why != RDS_WHY_NONE) {
		rendezvous_refuse(rules, in, why, id);
		rendezvous_answer_register_pk(rules, in->from, why);
		return;
	}
	if (peer == NULL) {
		peer = rds_registry_add(&rules->peers, id, rds_get(request->uuid),
		                        rds_get(request->pk));
		peer->check = true;
		peer->on_file = true;
		rules->n_check_peers++;
	}
	peer = rendezvous_set_pk(rules, peer, rds_get(request->pk));
	peer->ip_on_file = in->from->path.remote.ip;
	rendezvous_register_here(rules, peer, in->from, in->now_ms);
	rds_log(RDS_LOG_DEBUG, "check registered", rds_field_bytes("id", id),
	        rds_field_addr("from", &in->from->path.remote));
	rendezvous_answer_register_pk(rules, in->from, RDS_WHY_NONE);
}
