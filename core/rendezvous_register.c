// SPDX-License-Identifier: MIT
// Registration (protocol.md section 4).
#include "core/rendezvous_private.h"

#include "core/alloc.h"
#include "core/text.h"

#include <stdlib.h>

// A registration on its way to the disk.
struct pending_store {
	uint64_t ticket;
	struct rds_source from;
	uint16_t id_len;
	uint16_t pk_len;
	uint8_t bytes[]; // id, pk
};

static struct rds_view pending_id(const struct pending_store *pending)
{
	return rds_view_of(pending->bytes, pending->id_len);
}

static struct rds_view pending_pk(const struct pending_store *pending)
{
	return rds_view_of(pending->bytes + pending->id_len, pending->pk_len);
}

static uint64_t hash_ticket(const struct rds_rendezvous *rules, uint64_t ticket)
{
	return rds_hash(&rules->config.seed, &ticket, sizeof ticket);
}

static bool has_ticket(const void *entry, const void *key)
{
	return ((const struct pending_store *)entry)->ticket == *(const uint64_t *)key;
}

void rendezvous_registration_clear(struct rds_rendezvous *rules)
{
	size_t at = 0;
	for (void *pending; (pending = rds_table_next(&rules->stores, &at)) != NULL;)
		free(pending);
	rds_table_clear(&rules->stores);
}

void rendezvous_register_peer(struct rds_rendezvous *rules, const struct rds_incoming *in)
{
	const rds_RegisterPeer *request = &in->msg->member.register_peer;
	const struct rds_ip *ip = &in->from->path.remote.ip;
	struct rds_peer *peer = rendezvous_find(rules, rds_get(request->id));
	bool known = peer != NULL && peer->pk_len > 0 && rds_ip_equal(&peer->ip_on_file, ip);
	rds_message answer = {.which_member = rds_RendezvousMessage_register_peer_response_tag};
	answer.member.register_peer_response.request_pk = !known;
	if (known) {
		// Another port of the same host has not shown its uuid: no long answers there.
		peer->proven = peer->proven &&
		               rds_addr_equal(&peer->path.remote, &in->from->path.remote);
		peer->path = in->from->path;
		peer->seen_ms = in->now_ms;
	}
	rendezvous_reply(rules, in->from, &answer);
	if (known && peer->proven && rendezvous_has_update(rules, request->serial))
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
		return rds_RegisterPkResponse_Result_INVALID_ID_FORMAT;
	case RDS_WHY_ID_TOO_FREQUENT:
	case RDS_WHY_IP_TOO_FREQUENT:
	case RDS_WHY_IP_TOO_MANY_IDS:
		return rds_RegisterPkResponse_Result_TOO_FREQUENT;
	case RDS_WHY_NOT_SUPPORTED:
		return rds_RegisterPkResponse_Result_NOT_SUPPORT;
	default:
		return rds_RegisterPkResponse_Result_SERVER_ERROR;
	}
}

static void answer_register_pk(struct rds_rendezvous *rules, const struct rds_source *to,
                               enum rds_reason why)
{
	rds_message answer = {.which_member = rds_RendezvousMessage_register_pk_response_tag};
	answer.member.register_pk_response.result = (int32_t)result_of(why);
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
	if (peer != NULL && peer->pk_len > 0 && !same_pk && !same_ip)
		return RDS_WHY_PK_AND_IP_DIFFER;
	if (peer != NULL && !count_try(peer, in->now_ms))
		return RDS_WHY_ID_TOO_FREQUENT;
	return RDS_WHY_NONE;
}

static struct pending_store *pending_new(struct rds_rendezvous *rules,
                                         const struct rds_source *from,
                                         const struct registration *reg)
{
	struct pending_store *pending =
	        rds_calloc(1, sizeof *pending + reg->id.len + reg->pk.len);
	pending->ticket = rules->next_ticket++;
	pending->from = *from;
	pending->id_len = (uint16_t)reg->id.len;
	pending->pk_len = (uint16_t)reg->pk.len;
	memcpy(pending->bytes, reg->id.data, reg->id.len);
	memcpy(pending->bytes + reg->id.len, reg->pk.data, reg->pk.len);
	rds_table_insert(&rules->stores, hash_ticket(rules, pending->ticket), pending);
	return pending;
}

static void pending_free(struct rds_rendezvous *rules, struct pending_store *pending)
{
	rds_table_remove(&rules->stores, hash_ticket(rules, pending->ticket), pending);
	free(pending);
}

// Hands the registration to the disk. A new id is in memory from here on, so that no second
// uuid gets it meanwhile, but counts as unknown until its row is safe.
static enum rds_reason store(struct rds_rendezvous *rules, const struct rds_incoming *in,
                             const struct registration *reg)
{
	if (rules->stores.used >= RDS_STORES_PENDING)
		return RDS_WHY_STORES_FULL;
	struct pending_store *pending = pending_new(rules, in->from, reg);
	struct rds_peer_row row = {.id = reg->id,
	                           .uuid = reg->uuid,
	                           .pk = reg->pk,
	                           .ip = in->from->path.remote.ip};
	if (rules->host.store(rules->host.ctx, &row, pending->ticket) != 0) {
		pending_free(rules, pending);
		return RDS_WHY_STORES_FULL;
	}
	struct rds_peer *peer = reg->peer;
	if (peer == NULL) {
		peer = rds_registry_add(&rules->peers, reg->id, reg->uuid, reg->pk);
		peer->ip_on_file = row.ip;
		(void)count_try(peer, in->now_ms);
	}
	peer->stores_pending++;
	return RDS_WHY_NONE;
}

static void register_here(struct rds_peer *peer, const struct rds_source *from, uint64_t now_ms)
{
	peer->path = from->path;
	peer->seen_ms = now_ms;
	peer->proven = true;
}

void rendezvous_register_pk(struct rds_rendezvous *rules, const struct rds_incoming *in)
{
	const rds_RegisterPk *request = &in->msg->member.register_pk;
	struct registration reg = {.id = rds_get(request->id),
	                           .uuid = rds_get(request->uuid),
	                           .pk = rds_get(request->pk)};
	enum rds_reason why = RDS_WHY_NONE;
	if (in->from->door != RDS_DOOR_UDP) {
		why = RDS_WHY_NOT_SUPPORTED;
	} else if (reg.uuid.len == 0 || reg.pk.len == 0) {
		rendezvous_refuse(rules, in, RDS_WHY_REGISTER_INCOMPLETE, reg.id);
		return;
	} else {
		why = judge(rules, in, &reg);
	}
	if (why == RDS_WHY_NONE && reg.confirms && reg.peer->stores_pending == 0 &&
	    rds_ip_equal(&reg.peer->ip_on_file, &in->from->path.remote.ip)) {
		register_here(reg.peer, in->from, in->now_ms);
		answer_register_pk(rules, in->from, RDS_WHY_NONE);
		return;
	}
	if (why == RDS_WHY_NONE)
		why = store(rules, in, &reg);
	if (why != RDS_WHY_NONE) {
		rendezvous_refuse(rules, in, why, reg.id);
		answer_register_pk(rules, in->from, why);
	}
}

// The row is on disk: what was registered holds from now on.
static void apply(struct rds_rendezvous *rules, struct rds_peer *peer, uint64_t now_ms,
                  const struct pending_store *pending)
{
	peer = rds_registry_set_pk(&rules->peers, peer, pending_pk(pending));
	bool is_new = !peer->on_file;
	peer->ip_on_file = pending->from.path.remote.ip;
	peer->on_file = true;
	register_here(peer, &pending->from, now_ms);
	rds_log(is_new ? RDS_LOG_INFO : RDS_LOG_DEBUG,
	        is_new ? "peer registered" : "peer updated",
	        rds_field_bytes("id", rds_peer_id(peer)),
	        rds_field_addr("from", &peer->path.remote));
}

void rds_rendezvous_stored(struct rds_rendezvous *rules, uint64_t now_ms, uint64_t ticket, bool ok)
{
	struct pending_store *pending =
	        rds_table_find(&rules->stores, hash_ticket(rules, ticket), has_ticket, &ticket);
	if (pending == NULL)
		return;
	struct rds_peer *peer = rds_registry_find(&rules->peers, pending_id(pending));
	if (peer != NULL) {
		peer->stores_pending--;
		if (ok)
			apply(rules, peer, now_ms, pending);
		else if (!peer->on_file && peer->stores_pending == 0)
			rds_registry_remove(&rules->peers, peer);
	}
	if (!ok)
		rules->counters.n[RDS_WHY_STORE_FAILED]++;
	answer_register_pk(rules, &pending->from, ok ? RDS_WHY_NONE : RDS_WHY_STORE_FAILED);
	pending_free(rules, pending);
}
