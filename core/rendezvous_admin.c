// SPDX-License-Identifier: MIT
#include "core/rendezvous_admin.h"

#include "core/rendezvous_private.h"

static struct rds_peer_info info_of(const struct rds_rendezvous *rules, const struct rds_peer *peer,
                                    uint64_t now_ms)
{
	return (struct rds_peer_info){.id = rds_peer_id(peer),
	                              .ip_on_file = peer->ip_on_file,
	                              .state = peer->state,
	                              .online = rendezvous_is_online(peer, now_ms),
	                              .by_conn = peer->conn != 0,
	                              .remote = peer->path.remote,
	                              .seen_ms = peer->seen_ms,
	                              .seen_day = peer->seen_day,
	                              .version =
	                                      rds_versions_text(&rules->versions, peer->version)};
}

void rds_rendezvous_peers(const struct rds_rendezvous *rules, uint64_t now_ms, rds_peer_info_fn fn,
                          void *ctx)
{
	size_t at = 0;
	for (const struct rds_peer *peer; (peer = rds_registry_next(&rules->peers, &at)) != NULL;) {
		struct rds_peer_info info = info_of(rules, peer, now_ms);
		if (peer->on_file && !peer->check)
			fn(ctx, &info);
	}
}

bool rds_rendezvous_peer(const struct rds_rendezvous *rules, uint64_t now_ms, struct rds_view id,
                         struct rds_peer_info *out)
{
	const struct rds_peer *peer = rendezvous_find(rules, id);
	if (peer == NULL || peer->check)
		return false;
	*out = info_of(rules, peer, now_ms);
	return true;
}

// Whoever is registered under a name that it may not have any more is offline at once.
static void send_away(struct rds_rendezvous *rules, struct rds_peer *peer)
{
	uint64_t conn = peer->conn;
	rendezvous_unregister(rules, peer);
	if (conn != 0)
		rules->host.close_conn(rules->host.ctx, conn, RDS_WHY_NOT_ALLOWED);
}

// The peer, if it is on file and nothing of it is on its way to the disk.
static int find_settled(const struct rds_rendezvous *rules, struct rds_view id,
                        struct rds_peer **out)
{
	*out = rendezvous_find(rules, id);
	if (*out == NULL || (*out)->check)
		return -RDS_ENOENT;
	return (*out)->stores_pending > 0 || (*out)->renaming ? -RDS_EBUSY : 0;
}

int rds_rendezvous_set_state(struct rds_rendezvous *rules, struct rds_view id,
                             enum rds_peer_state state)
{
	static const struct rds_source nobody;
	struct rds_peer *peer = NULL;
	int rc = find_settled(rules, id, &peer);
	if (rc != 0)
		return rc;
	struct rds_pending *pending =
	        rendezvous_pending_new(rules, &nobody, id, rds_view_of("", 0));
	if (pending == NULL)
		return -RDS_EFULL;
	pending->kind = RDS_PENDING_STATE;
	pending->before = peer->state;
	if (rules->host.set_state(rules->host.ctx, id, state, pending->ticket) != 0) {
		rendezvous_pending_free(rules, pending);
		return -RDS_EFULL;
	}
	peer->state = state;
	peer->stores_pending++;
	if (state != RDS_PEER_APPROVED)
		send_away(rules, peer);
	return 0;
}

int rds_rendezvous_forget(struct rds_rendezvous *rules, struct rds_view id)
{
	static const struct rds_source nobody;
	struct rds_peer *peer = NULL;
	int rc = find_settled(rules, id, &peer);
	if (rc != 0)
		return rc;
	struct rds_pending *pending =
	        rendezvous_pending_new(rules, &nobody, id, rds_view_of("", 0));
	if (pending == NULL)
		return -RDS_EFULL;
	pending->kind = RDS_PENDING_FORGET;
	if (rules->host.forget(rules->host.ctx, id, pending->ticket) != 0) {
		rendezvous_pending_free(rules, pending);
		return -RDS_EFULL;
	}
	// Its id is taken until the row is gone.
	peer->renaming = true;
	send_away(rules, peer);
	return 0;
}

void rendezvous_admin_done(struct rds_rendezvous *rules, const struct rds_pending *pending, bool ok)
{
	struct rds_view id = rendezvous_pending_id(pending);
	struct rds_peer *peer = rds_registry_find(&rules->peers, id);
	if (pending->kind == RDS_PENDING_FORGET) {
		peer->renaming = false;
		if (ok)
			rendezvous_remove(rules, peer);
	} else {
		peer->stores_pending--;
		if (!ok)
			peer->state = pending->before;
	}
	rds_log(ok ? RDS_LOG_INFO : RDS_LOG_ERROR,
	        ok ? "peer changed by the administrator"
	           : "a change by the administrator was not stored",
	        rds_field_bytes("id", id),
	        rds_field_text("change",
	                       pending->kind == RDS_PENDING_FORGET ? "forgotten" : "state"));
}

void rendezvous_note_refused(struct rds_rendezvous *rules, const struct rds_incoming *in,
                             enum rds_reason why, struct rds_view id)
{
	// Whoever is over its address's limits draws a new id for each try: one entry is enough.
	bool by_address = why == RDS_WHY_IP_TOO_FREQUENT || why == RDS_WHY_IP_TOO_MANY_IDS;
	size_t len = by_address ? 0 : id.len < RDS_ID_MAX_BYTES ? id.len : RDS_ID_MAX_BYTES;
	struct rds_refused *slot = NULL;
	for (size_t i = 0; i < rules->n_refused && slot == NULL; i++) {
		struct rds_refused *one = &rules->refused[i];
		if (one->why == why && rds_ip_equal(&one->ip, &in->from->path.remote.ip) &&
		    rds_view_equal(rds_view_of(one->id, one->id_len), rds_view_of(id.data, len)))
			slot = one;
	}
	if (slot == NULL) {
		if (rules->n_refused < RDS_REFUSED) {
			slot = &rules->refused[rules->n_refused++];
		} else {
			memmove(rules->refused, rules->refused + 1,
			        (RDS_REFUSED - 1) * sizeof rules->refused[0]);
			slot = &rules->refused[RDS_REFUSED - 1];
		}
		*slot = (struct rds_refused){.ip = in->from->path.remote.ip,
		                             .why = why,
		                             .first_ms = in->now_ms,
		                             .id_len = (uint8_t)len};
		if (len > 0)
			memcpy(slot->id, id.data, len);
	}
	slot->last_ms = in->now_ms;
	slot->times++;
}

size_t rds_rendezvous_refused(const struct rds_rendezvous *rules, const struct rds_refused **out)
{
	*out = rules->refused;
	return rules->n_refused;
}

struct rds_ledger *rds_rendezvous_ledger(const struct rds_rendezvous *rules)
{
	return rules->ledger;
}

struct rds_register_limits *rds_rendezvous_limits(const struct rds_rendezvous *rules)
{
	return rules->limits;
}

void rds_rendezvous_set_relays(struct rds_rendezvous *rules, const struct rds_relay_names *relays,
                               size_t n)
{
	rds_rotation_set_relays(&rules->rotation, relays, n);
}

struct rds_rotation *rds_rendezvous_relays(struct rds_rendezvous *rules)
{
	return &rules->rotation;
}

void rds_rendezvous_set_enrol(struct rds_rendezvous *rules, enum rds_enrol enrol)
{
	rules->config.enrol = enrol;
}

void rds_rendezvous_set_always_use_relay(struct rds_rendezvous *rules, bool on,
                                         const struct rds_cidr *nets, size_t n)
{
	rules->config.always_use_relay = on;
	rules->config.relayed = nets;
	rules->config.n_relayed = n;
}
