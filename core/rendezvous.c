// SPDX-License-Identifier: MIT
// Life cycle, and which message goes to which handler.
#include "core/rendezvous.h"

#include "core/alloc.h"
#include "core/rendezvous_private.h"

#include <assert.h>
#include <stdlib.h>

struct rds_rendezvous *rds_rendezvous_new(const struct rds_rendezvous_config *config,
                                          const struct rds_host *host)
{
	struct rds_rendezvous *rules = rds_calloc(1, sizeof *rules);
	rules->config = *config;
	rules->host = *host;
	rds_registry_init(&rules->peers, &config->seed);
	rds_waits_init(&rules->waits, &config->seed);
	rds_table_init(&rules->stores);
	rds_table_init(&rules->peers_by_conn);
	rules->limits = rds_register_limits_new(&config->limits, &config->seed);
	rules->unproven = rds_rate_new(&config->seed, RDS_RATE_PER_SECOND, RDS_RATE_BURST,
	                               RDS_RATE_TOTAL_PER_SECOND);
	rules->ledger = rds_ledger_new();
	rules->next_ticket = 1;
	rds_rotation_set_relays(&rules->rotation, config->relays, config->n_relays);
	return rules;
}

void rds_rendezvous_free(struct rds_rendezvous *rules)
{
	if (rules == NULL)
		return;
	rendezvous_pending_clear(rules);
	rds_table_clear(&rules->peers_by_conn);
	rds_register_limits_free(rules->limits);
	rds_waits_clear(&rules->waits);
	rds_rate_free(rules->unproven);
	rds_ledger_free(rules->ledger);
	rds_rotation_clear(&rules->rotation);
	rds_versions_clear(&rules->versions);
	rds_registry_clear(&rules->peers);
	free(rules);
}

int rds_rendezvous_load(struct rds_rendezvous *rules, const struct rds_peer_row *row)
{
	if (rds_registry_find(&rules->peers, row->id) != NULL)
		return -RDS_EEXIST;
	struct rds_peer *peer = rds_registry_add(&rules->peers, row->id, row->uuid, row->pk);
	if (peer == NULL)
		return -RDS_ETOOBIG;
	peer->ip_on_file = row->ip;
	peer->state = row->state;
	peer->seen_day = row->seen_day;
	peer->version = rds_versions_take(&rules->versions, row->version);
	peer->on_file = true;
	return 0;
}

#define DOOR(name) (1U << RDS_DOOR_##name)
#define DOOR_CONN  (DOOR(MAIN) | DOOR(WEBSOCKET)) // where clients converse
#define DOOR_ANY   (DOOR(UDP) | DOOR(NAT) | DOOR_CONN)

// Which messages are served at which doors (section 1), and by whom. NULL: known, but of no use
// to a server, or not served yet.
static const struct {
	rds_handler_fn handle;
	unsigned doors;
} handlers[] = {
// clang-format off
#define ROW(name, fn, doors) [rds_RendezvousMessage_##name##_tag] = {rendezvous_##fn, doors}
	ROW(register_peer, register_peer, DOOR(UDP)),
	ROW(register_pk, register_pk, DOOR(UDP) | DOOR_CONN),
	ROW(punch_hole_request, punch_hole_request, DOOR_CONN),
	ROW(punch_hole_sent, punch_hole_sent, DOOR(UDP) | DOOR_CONN),
	ROW(local_addr, local_addr, DOOR(UDP) | DOOR_CONN),
	ROW(request_relay, request_relay, DOOR_CONN),
	ROW(relay_response, relay_response, DOOR_CONN),
	ROW(test_nat_request, test_nat, DOOR_ANY),
	ROW(online_request, online_request, DOOR(NAT) | DOOR_CONN),
	ROW(software_update, software_update, DOOR(UDP) | DOOR_CONN),
	ROW(health_check, health_check, DOOR_CONN),
	ROW(http_proxy_request, http_proxy, DOOR_CONN),
	[rds_RendezvousMessage_http_proxy_response_tag] = {NULL, 0},
#undef ROW
        // clang-format on
};

// Section 2, Payload: ignored on UDP, the end of a connection elsewhere.
static void reject(struct rds_rendezvous *rules, const struct rds_incoming *in, enum rds_reason why)
{
	rendezvous_refuse(rules, in, why, rds_view_of(NULL, 0));
	if (in->from->door != RDS_DOOR_UDP)
		rules->host.close_conn(rules->host.ctx, in->from->conn, why);
}

void rds_rendezvous_message(struct rds_rendezvous *rules, uint64_t now_ms,
                            const struct rds_source *from, struct rds_view payload)
{
	assert(now_ms > 0);
	rds_rendezvous_expire_checks(rules, now_ms);
	struct rds_incoming in = {.now_ms = now_ms, .from = from, .payload = payload};
	if (payload.len == 0 && from->door != RDS_DOOR_UDP) {
		rendezvous_heartbeat(rules, now_ms, from->conn); // section 2
		return;
	}
	RDS_UNSET rds_message msg;
	int rc = rds_message_decode(payload, &msg);
	if (rc != 0) {
		reject(rules, &in, rc == -RDS_EKIND ? RDS_WHY_UNKNOWN_MESSAGE : RDS_WHY_MALFORMED);
		return;
	}
	static_assert(sizeof handlers / sizeof handlers[0] - 1 ==
	                      rds_RendezvousMessage_http_proxy_response_tag,
	              "every member has a row, if an empty one");
	in.msg = &msg;
	rds_handler_fn handle = handlers[msg.which_member].handle;
	if (handle == NULL || (handlers[msg.which_member].doors & 1U << from->door) == 0) {
		reject(rules, &in, RDS_WHY_UNKNOWN_MESSAGE);
		return;
	}
	handle(rules, &in);
}

void rds_rendezvous_expect(const struct rds_rendezvous *rules, const struct rds_view *payloads,
                           size_t n)
{
	struct rds_view ids[RDS_EXPECTED_MAX];
	size_t n_ids = 0;
	for (size_t i = 0; i < n; i++) {
		ids[n_ids] = rds_message_peek_id(payloads[i]);
		n_ids += ids[n_ids].len > 0;
	}
	rds_registry_prefetch(&rules->peers, ids, n_ids);
}

void rds_rendezvous_closed(struct rds_rendezvous *rules, uint64_t conn)
{
	const struct rds_wait *wait = rds_waits_of_conn(&rules->waits, conn);
	struct rds_attempt *attempt =
	        wait == NULL ? NULL : rds_ledger_find(rules->ledger, wait->attempt);
	if (attempt != NULL)
		attempt->verdict = RDS_VERDICT_SILENCE;
	rds_waits_end_conn(&rules->waits, conn);
	rendezvous_unregister_conn(rules, conn);
}

void rendezvous_send(struct rds_rendezvous *rules, const struct rds_source *to,
                     struct rds_view payload)
{
	if (to->door == RDS_DOOR_UDP)
		rules->host.send_datagram(rules->host.ctx, &to->path, payload);
	else
		rules->host.send_payload(rules->host.ctx, to->conn, payload);
}

void rendezvous_reply(struct rds_rendezvous *rules, const struct rds_source *to,
                      const rds_message *msg)
{
	RDS_UNSET uint8_t bytes[RDS_MESSAGE_MAX_BYTES];
	long len = rds_message_encode(msg, bytes, sizeof bytes);
	if (len < 0)
		abort(); // every field that we set is bounded below the buffer
	rendezvous_send(rules, to, rds_view_of(bytes, (size_t)len));
}

void rendezvous_send_to_peer(struct rds_rendezvous *rules, const struct rds_peer *peer,
                             const rds_message *msg)
{
	struct rds_source to = {.door = peer->conn == 0 ? RDS_DOOR_UDP : RDS_DOOR_MAIN,
	                        .conn = peer->conn,
	                        .path = peer->path};
	rendezvous_reply(rules, &to, msg);
}

static const char *const door_names[] = {"udp", "tcp", "tcp", "websocket"};

void rendezvous_refuse(struct rds_rendezvous *rules, const struct rds_incoming *in,
                       enum rds_reason why, struct rds_view id)
{
	// What a check provokes is no trouble of anybody's.
	bool check = rendezvous_is_check(rules, id);
	enum rds_log_level level = check ? RDS_LOG_DEBUG : RDS_LOG_INFO;
	uint64_t held_back = 0;
	if (!check)
		rules->counters.n[why]++;
	if (!rds_log_wants(level) ||
	    (!check && !rds_log_limit_pass(&rules->refusals, in->now_ms, &held_back)))
		return;
	rds_log(level, "refused", rds_field_reason(why),
	        rds_field_text("meaning", rds_reason_text(why)), rds_field_bytes("id", id),
	        rds_field_addr("from", &in->from->path.remote),
	        rds_field_text("by", door_names[in->from->door]),
	        rds_field_uint("not_logged_before", held_back));
}

void rendezvous_issue(struct rds_rendezvous *rules, const struct rds_incoming *in,
                      struct rds_view uuid)
{
	if (rules->host.issue != NULL && uuid.len > 0)
		rules->host.issue(rules->host.ctx, in->now_ms, uuid);
}

bool rendezvous_may_answer(struct rds_rendezvous *rules, const struct rds_incoming *in)
{
	if (in->from->door != RDS_DOOR_UDP ||
	    rds_rate_pass(rules->unproven, in->now_ms, &in->from->path.remote.ip))
		return true;
	rules->counters.n[RDS_WHY_SOURCE_TOO_FAST]++;
	return false;
}

enum rds_reason rendezvous_state_reason(enum rds_peer_state state)
{
	return state == RDS_PEER_APPROVED  ? RDS_WHY_NONE
	       : state == RDS_PEER_PENDING ? RDS_WHY_AWAITS_APPROVAL
	                                   : RDS_WHY_BANNED;
}

bool rendezvous_is_online(const struct rds_peer *peer, uint64_t now_ms)
{
	return peer->conn != 0 ||
	       (!peer->away && peer->seen_ms != 0 && now_ms - peer->seen_ms < RDS_ONLINE_MS);
}

struct rds_peer *rendezvous_find(const struct rds_rendezvous *rules, struct rds_view id)
{
	struct rds_peer *peer = rds_registry_find(&rules->peers, id);
	return peer != NULL && peer->on_file ? peer : NULL;
}

struct rds_rendezvous_status rds_rendezvous_status(const struct rds_rendezvous *rules)
{
	return (struct rds_rendezvous_status){
	        .peers = rds_registry_count(&rules->peers) - rules->n_check_peers,
	        .check_ids = rules->checks.n,
	        .waits = rules->waits.by_conn.used,
	        .stores_pending = rules->stores.used,
	        .notes_pending = rules->n_noted,
	        .limited_sources = rds_register_limits_sources(rules->limits),
	};
}

size_t rds_rendezvous_online(const struct rds_rendezvous *rules, uint64_t now_ms)
{
	size_t online = 0;
	size_t at = 0;
	for (const struct rds_peer *peer;
	     (peer = rds_table_next(&rules->peers.by_id, &at)) != NULL;)
		online += !peer->check && rendezvous_is_online(peer, now_ms);
	return online;
}

const struct rds_counters *rds_rendezvous_counters(const struct rds_rendezvous *rules)
{
	return &rules->counters;
}

void rds_rendezvous_count(struct rds_rendezvous *rules, enum rds_reason why)
{
	rules->counters.n[why]++;
}
