// SPDX-License-Identifier: MIT
// Registration (protocol.md section 4).
#include "core/rendezvous_private.h"

#include "core/text.h"

static uint64_t hash_conn(const struct rds_rendezvous *rules, uint64_t conn)
{
	return rds_hash(&rules->config.seed, &conn, sizeof conn);
}

static bool has_conn(const void *entry, const void *key)
{
	return ((const struct rds_peer *)entry)->conn == *(const uint64_t *)key;
}

static struct rds_peer *peer_at(const struct rds_rendezvous *rules, uint64_t conn)
{
	return rds_table_find(&rules->peers_by_conn, hash_conn(rules, conn), has_conn, &conn);
}

void rendezvous_unregister(struct rds_rendezvous *rules, struct rds_peer *peer)
{
	if (peer->conn != 0)
		rds_table_remove(&rules->peers_by_conn, hash_conn(rules, peer->conn), peer);
	peer->conn = 0;
	peer->away = true;
	peer->proven = false;
}

void rendezvous_unregister_conn(struct rds_rendezvous *rules, uint64_t conn)
{
	struct rds_peer *peer = peer_at(rules, conn);
	if (peer != NULL)
		rendezvous_unregister(rules, peer);
}

void rendezvous_heartbeat(struct rds_rendezvous *rules, uint64_t now_ms, uint64_t conn)
{
	struct rds_peer *peer = peer_at(rules, conn);
	if (peer != NULL)
		rendezvous_seen(rules, peer, now_ms);
}

// Section 5 points 3 and 5; a connection stands for one id.
void rendezvous_register_here(struct rds_rendezvous *rules, struct rds_peer *peer,
                              const struct rds_source *from, uint64_t now_ms)
{
	uint64_t before = peer->conn;
	if (from->conn != 0 && !rules->host.keep_conn(rules->host.ctx, from->conn))
		return; // it closed while its row was on its way to the disk
	rendezvous_unregister(rules, peer);
	if (before != 0 && before != from->conn)
		rules->host.close_conn(rules->host.ctx, before, RDS_WHY_REPLACED);
	peer->path = from->path;
	rendezvous_seen(rules, peer, now_ms);
	if (from->conn == 0) {
		peer->away = false;
		peer->proven = true;
		return;
	}
	rendezvous_unregister_conn(rules, from->conn);
	peer->conn = from->conn & RDS_48_BITS;
	peer->away = false;
	rds_table_insert(&rules->peers_by_conn, hash_conn(rules, peer->conn), peer);
}

void rendezvous_register_peer(struct rds_rendezvous *rules, const struct rds_incoming *in)
{
	const rds_RegisterPeer *request = &in->msg->member.register_peer;
	const struct rds_ip *ip = &in->from->path.remote.ip;
	struct rds_peer *peer = rendezvous_find(rules, rds_get(request->id));
	// One that is registered at a connection has to show its uuid to move to datagrams.
	bool known = peer != NULL && peer->state == RDS_PEER_APPROVED && !peer->renaming &&
	             peer->pk_len > 0 && peer->conn == 0 && rds_ip_equal(&peer->ip_on_file, ip);
	RDS_UNSET rds_message answer;
	rds_RegisterPeerResponse *response = &answer.member.register_peer_response;
	// News for this client are longer than its question: it has to prove its address first.
	bool prove = known && rendezvous_has_update(rules, request->serial);
	if (known) {
		// Another port of the same host has not shown its uuid: no long answers there.
		peer->proven =
		        peer->proven && rds_addr_equal(&peer->path.remote, &in->from->path.remote);
		peer->path = in->from->path;
		rendezvous_seen(rules, peer, in->now_ms);
		peer->away = false;
	}
	answer.which_member = rds_RendezvousMessage_register_peer_response_tag;
	response->request_pk = !known || (prove && !peer->proven);
	if (known || rendezvous_is_check(rules, rds_get(request->id)) ||
	    rendezvous_may_answer(rules, in))
		rendezvous_reply(rules, in->from, &answer);
	if (prove && peer->proven)
		rendezvous_config_update(rules, in);
}

// What the answer to a refused RegisterPk says.
static rds_RegisterPkResponse_Result result_of(enum rds_reason why)
{
	switch (why) {
	case RDS_WHY_NONE:
		return rds_RegisterPkResponse_Result_OK;
	case RDS_WHY_ID_SHORT:
	case RDS_WHY_UUID_MISMATCH:
	case RDS_WHY_PK_AND_IP_DIFFER:
		return rds_RegisterPkResponse_Result_UUID_MISMATCH;
	case RDS_WHY_ID_INVALID:
	case RDS_WHY_NEW_ID_INVALID:
		return rds_RegisterPkResponse_Result_INVALID_ID_FORMAT;
	case RDS_WHY_ID_TOO_FREQUENT:
	case RDS_WHY_IP_TOO_FREQUENT:
	case RDS_WHY_IP_TOO_MANY_IDS:
		return rds_RegisterPkResponse_Result_TOO_FREQUENT;
	case RDS_WHY_NOT_ENROLLED:
	case RDS_WHY_AWAITS_APPROVAL:
	case RDS_WHY_BANNED:
		return rds_RegisterPkResponse_Result_NOT_DEPLOYED;
	case RDS_WHY_ID_TAKEN:
		return rds_RegisterPkResponse_Result_ID_EXISTS;
	default:
		return rds_RegisterPkResponse_Result_SERVER_ERROR;
	}
}

void rendezvous_answer_register_pk(struct rds_rendezvous *rules, const struct rds_source *to,
                                   enum rds_reason why)
{
	rds_message answer = {.which_member = rds_RendezvousMessage_register_pk_response_tag};
	answer.member.register_pk_response.result = (int32_t)result_of(why);
	if (to->door != RDS_DOOR_UDP && why == RDS_WHY_NONE)
		answer.member.register_pk_response.keep_alive = rules->config.keep_alive_sec;
	rendezvous_reply(rules, to, &answer);
}

static enum rds_reason check_id(struct rds_view id)
{
	if (id.len < RDS_ID_MIN_BYTES)
		return RDS_WHY_ID_SHORT;
	if (id.len > RDS_ID_MAX_BYTES || !rds_text_is_id(id))
		return RDS_WHY_ID_INVALID;
	return RDS_WHY_NONE;
}

// Counts a try to register peer; false if it is one too many.
static bool count_try(struct rds_peer *peer, uint64_t now_ms)
{
	uint32_t now = (uint32_t)now_ms | 1; // 0 stands for "none"
	uint32_t oldest = peer->tries_ms[0];
	if (oldest != 0 && now - oldest < RDS_ID_TRIES_WINDOW_MS)
		return false;
	for (size_t i = 0; i + 1 < RDS_ID_TRIES; i++)
		peer->tries_ms[i] = peer->tries_ms[i + 1];
	peer->tries_ms[RDS_ID_TRIES - 1] = now;
	return true;
}

struct registration {
	struct rds_view id;
	struct rds_view uuid;
	struct rds_view pk;
	struct rds_peer *peer; // NULL: an id that nobody has
	bool confirms;         // says only what is on file
};

// The rules of section 4 point 4, in their order, for what has a uuid and a pk.
static enum rds_reason judge(struct rds_rendezvous *rules, const struct rds_incoming *in,
                             struct registration *reg)
{
	const struct rds_ip *ip = &in->from->path.remote.ip;
	enum rds_reason why = check_id(reg->id);
	if (why != RDS_WHY_NONE)
		return why;
	struct rds_peer *peer = reg->peer = rds_registry_find(&rules->peers, reg->id);
	bool same_uuid = peer != NULL && rds_view_equal(rds_peer_uuid(peer), reg->uuid);
	bool same_pk = peer != NULL && rds_view_equal(rds_peer_pk(peer), reg->pk);
	bool same_ip = peer != NULL && rds_ip_equal(&peer->ip_on_file, ip);
	reg->confirms = same_uuid && same_pk && peer->on_file;
	if (!reg->confirms)
		why = rds_register_limits_count(rules->limits, in->now_ms, ip, reg->id);
	if (why != RDS_WHY_NONE)
		return why;
	if (peer != NULL && !same_uuid)
		return RDS_WHY_UUID_MISMATCH;
	if (peer == NULL && rules->config.enrol == RDS_ENROL_CLOSED)
		return RDS_WHY_NOT_ENROLLED;
	if (peer != NULL && peer->renaming)
		return RDS_WHY_ID_TOO_FREQUENT;
	if (peer != NULL && peer->on_file && peer->state != RDS_PEER_APPROVED)
		return rendezvous_state_reason(peer->state);
	if (peer != NULL && peer->pk_len > 0 && !same_pk && !same_ip)
		return RDS_WHY_PK_AND_IP_DIFFER;
	if (peer != NULL && !count_try(peer, in->now_ms))
		return RDS_WHY_ID_TOO_FREQUENT;
	return RDS_WHY_NONE;
}

// Hands the registration to the disk. A new id is in memory from here on, so that no second
// uuid gets it meanwhile, but counts as unknown until its row is safe.
static enum rds_reason store(struct rds_rendezvous *rules, const struct rds_incoming *in,
                             const struct registration *reg)
{
	if (reg->peer == NULL &&
	    rds_registry_count(&rules->peers) - rules->n_check_peers >= RDS_PEERS)
		return RDS_WHY_PEERS_FULL;
	struct rds_pending *pending = rendezvous_pending_new(rules, in->from, reg->id, reg->pk);
	if (pending == NULL)
		return RDS_WHY_STORES_FULL;
	struct rds_peer_row row = {
	        .id = reg->id, .uuid = reg->uuid, .pk = reg->pk, .ip = in->from->path.remote.ip};
	// A repeated first registration says the same again: the first write may have failed.
	if (reg->peer != NULL && !reg->peer->on_file)
		row.state = reg->peer->state;
	else if (reg->peer == NULL && rules->config.enrol == RDS_ENROL_APPROVE)
		row.state = RDS_PEER_PENDING;
	if (rules->host.store(rules->host.ctx, &row, pending->ticket) != 0) {
		rendezvous_pending_free(rules, pending);
		return RDS_WHY_STORES_FULL;
	}
	struct rds_peer *peer = reg->peer;
	if (peer == NULL) {
		peer = rds_registry_add(&rules->peers, reg->id, reg->uuid, reg->pk);
		peer->ip_on_file = row.ip;
		peer->state = row.state;
		(void)count_try(peer, in->now_ms);
	}
	peer->stores_pending++;
	return RDS_WHY_NONE;
}

void rendezvous_register_pk(struct rds_rendezvous *rules, const struct rds_incoming *in)
{
	const rds_RegisterPk *request = &in->msg->member.register_pk;
	struct registration reg = {.id = rds_get(request->id),
	                           .uuid = rds_get(request->uuid),
	                           .pk = rds_get(request->pk)};
	if (in->from->door != RDS_DOOR_UDP && request->old_id.size > 0 && reg.uuid.len > 0 &&
	    reg.pk.len == 0) {
		rendezvous_change_id(rules, in);
		return;
	}
	if (reg.uuid.len == 0 || reg.pk.len == 0) {
		rendezvous_refuse(rules, in, RDS_WHY_REGISTER_INCOMPLETE, reg.id);
		return;
	}
	if (rendezvous_is_check(rules, reg.id)) {
		rendezvous_register_check(rules, in);
		return;
	}
	if (!rendezvous_may_answer(rules, in))
		return;
	enum rds_reason why = judge(rules, in, &reg);
	if (why == RDS_WHY_NONE && reg.confirms && reg.peer->stores_pending == 0 &&
	    rds_ip_equal(&reg.peer->ip_on_file, &in->from->path.remote.ip)) {
		rendezvous_register_here(rules, reg.peer, in->from, in->now_ms);
		rendezvous_answer_register_pk(rules, in->from, RDS_WHY_NONE);
		return;
	}
	if (why == RDS_WHY_NONE)
		why = store(rules, in, &reg);
	if (why != RDS_WHY_NONE) {
		rendezvous_refuse(rules, in, why, reg.id);
		rendezvous_note_refused(rules, in, why, reg.id);
		rendezvous_answer_register_pk(rules, in->from, why);
	}
}

// A longer or shorter key moves the peer in memory: the table of connections follows.
struct rds_peer *rendezvous_set_pk(struct rds_rendezvous *rules, struct rds_peer *peer,
                                   struct rds_view pk)
{
	if (peer->conn != 0)
		rds_table_remove(&rules->peers_by_conn, hash_conn(rules, peer->conn), peer);
	peer = rds_registry_set_pk(&rules->peers, peer, pk);
	if (peer->conn != 0)
		rds_table_insert(&rules->peers_by_conn, hash_conn(rules, peer->conn), peer);
	return peer;
}

// Newcomers are worth a line each, but not one for each of a flood.
static void log_registered(struct rds_rendezvous *rules, const struct rds_peer *peer,
                           const struct rds_addr *from, bool is_new, uint64_t now_ms)
{
	enum rds_log_level level = is_new ? RDS_LOG_INFO : RDS_LOG_DEBUG;
	uint64_t held_back = 0;
	if (!rds_log_wants(level) ||
	    (is_new && !rds_log_limit_pass(&rules->newcomers, now_ms, &held_back)))
		return;
	rds_log(level, is_new ? "peer registered" : "peer updated",
	        rds_field_bytes("id", rds_peer_id(peer)), rds_field_addr("from", from),
	        rds_field_text("state",
	                       peer->state == RDS_PEER_APPROVED ? "approved" : "awaits approval"),
	        rds_field_uint("not_logged_before", held_back));
}

// The row is on disk: what was registered holds from now on.
static enum rds_reason apply(struct rds_rendezvous *rules, struct rds_peer *peer, uint64_t now_ms,
                             const struct rds_pending *pending)
{
	peer = rendezvous_set_pk(rules, peer, rendezvous_pending_second(pending));
	bool is_new = !peer->on_file;
	peer->ip_on_file = pending->from.path.remote.ip;
	peer->on_file = true;
	if (peer->state == RDS_PEER_APPROVED)
		rendezvous_register_here(rules, peer, &pending->from, now_ms);
	log_registered(rules, peer, &pending->from.path.remote, is_new, now_ms);
	return rendezvous_state_reason(peer->state);
}

enum rds_reason rendezvous_registered(struct rds_rendezvous *rules, uint64_t now_ms,
                                      const struct rds_pending *pending, bool ok)
{
	struct rds_peer *peer = rds_registry_find(&rules->peers, rendezvous_pending_id(pending));
	peer->stores_pending--;
	if (ok)
		return apply(rules, peer, now_ms, pending);
	if (!peer->on_file && peer->stores_pending == 0)
		rendezvous_remove(rules, peer);
	return RDS_WHY_STORE_FAILED;
}
