// SPDX-License-Identifier: MIT
// What A asks for (protocol.md section 7): PunchHoleRequest, RequestRelay.
#include "core/rendezvous_private.h"

static void answer_failure(struct rds_rendezvous *rules, const struct rds_incoming *in,
                           rds_PunchHoleResponse_Failure failure)
{
	rds_message answer = {.which_member = rds_RendezvousMessage_punch_hole_response_tag};
	answer.member.punch_hole_response.failure = (int32_t)failure;
	rendezvous_reply(rules, in->from, &answer);
}

// A refusal that isn't one of the wire's failures: A shows the text.
static void answer_other_failure(struct rds_rendezvous *rules, const struct rds_incoming *in,
                                 const char *text)
{
	rds_message answer = {.which_member = rds_RendezvousMessage_punch_hole_response_tag};
	(void)rds_set(&answer.member.punch_hole_response.other_failure, rds_view_text(text));
	rendezvous_reply(rules, in->from, &answer);
}

static void refuse_relay(struct rds_rendezvous *rules, const struct rds_incoming *in,
                         const char *text)
{
	rds_message answer = {.which_member = rds_RendezvousMessage_relay_response_tag};
	(void)rds_set(&answer.member.relay_response.refuse_reason, rds_view_text(text));
	rendezvous_reply(rules, in->from, &answer);
}

// The relay to hand out, by its name for B: each in turn (section 8). Empty if there is none.
static struct rds_view next_relay(struct rds_rendezvous *rules, const struct rds_peer *b)
{
	const struct rds_relay_names *relay = rds_rotation_next(&rules->rotation);
	return relay == NULL ? rds_view_of(NULL, 0) : rds_relay_name_for(relay, &b->path.remote.ip);
}

static bool in_lan(const struct rds_rendezvous *rules, const struct rds_ip *ip)
{
	return rds_cidrs_hold(rules->config.lan, rules->config.n_lan, ip);
}

static bool is_relayed(const struct rds_rendezvous *rules, const struct rds_ip *ip)
{
	return rds_cidrs_hold(rules->config.relayed, rules->config.n_relayed, ip);
}

// Why a session of A, which asks from there, with B must go by the relay. What A wants comes last:
// it changes less of what B is told.
static enum rds_relay_why must_relay(const struct rds_rendezvous *rules,
                                     const struct rds_source *from, const struct rds_ip *b,
                                     bool force_relay)
{
	const struct rds_ip *a = &from->path.remote.ip;
	if (rules->config.always_use_relay)
		return RDS_RELAY_ALWAYS;
	if (is_relayed(rules, a) || is_relayed(rules, b))
		return RDS_RELAY_NETWORK;
	if (in_lan(rules, a) != in_lan(rules, b))
		return RDS_RELAY_MASK;
	if (from->door == RDS_DOOR_WEBSOCKET)
		return RDS_RELAY_WEBSOCKET;
	return force_relay ? RDS_RELAY_ASKED : RDS_RELAY_NOT;
}

// FetchLocalAddr can't force the relay, so it is for sessions that need none.
static enum rds_route choose_route(const struct rds_rendezvous *rules, const struct rds_ip *a,
                                   const struct rds_ip *b, enum rds_relay_why why)
{
	if (why != RDS_RELAY_NOT)
		return RDS_ROUTE_RELAY;
	return rds_ip_equal(a, b) || (in_lan(rules, a) && in_lan(rules, b)) ? RDS_ROUTE_LAN
	                                                                    : RDS_ROUTE_DIRECT;
}

// A's address as the wire has it. Any clock does: it only scrambles the bytes.
static struct rds_view mangle(const struct rds_incoming *in, const struct rds_wait *wait,
                              uint8_t bytes[RDS_ADDR_WIRE])
{
	uint32_t clock_us = (uint32_t)(in->now_ms * 1000);
	return rds_view_of(bytes, rds_addr_mangle(&wait->addr, clock_us, bytes));
}

// B from 1.2.0 to 1.2.6 drops a FetchLocalAddr that has socket_addr_v6: a second try goes without.
static void send_fetch_local_addr(struct rds_rendezvous *rules, const struct rds_incoming *in,
                                  const struct rds_peer *peer, const struct rds_wait *wait)
{
	const rds_PunchHoleRequest *request = &in->msg->member.punch_hole_request;
	rds_message msg = {.which_member = rds_RendezvousMessage_fetch_local_addr_tag};
	rds_FetchLocalAddr *fetch = &msg.member.fetch_local_addr;
	uint8_t addr[RDS_ADDR_WIRE];
	(void)rds_set(&fetch->socket_addr, mangle(in, wait, addr));
	(void)rds_set(&fetch->relay_server, next_relay(rules, peer));
	if (wait->asked == 1)
		(void)rds_set(&fetch->socket_addr_v6, rds_get(request->socket_addr_v6));
	rendezvous_send_to_peer(rules, peer, &msg);
}

static void send_punch_hole(struct rds_rendezvous *rules, const struct rds_incoming *in,
                            const struct rds_peer *peer, const struct rds_wait *wait,
                            enum rds_relay_why why)
{
	bool told_by_us = why != RDS_RELAY_NOT && why != RDS_RELAY_ASKED;
	const rds_PunchHoleRequest *request = &in->msg->member.punch_hole_request;
	rds_message msg = {.which_member = rds_RendezvousMessage_punch_hole_tag};
	rds_PunchHole *punch = &msg.member.punch_hole;
	uint8_t addr[RDS_ADDR_WIRE];
	(void)rds_set(&punch->socket_addr, mangle(in, wait, addr));
	(void)rds_set(&punch->relay_server, next_relay(rules, peer));
	(void)rds_set(&punch->socket_addr_v6, rds_get(request->socket_addr_v6));
	punch->nat_type = told_by_us ? (int32_t)rds_NatType_SYMMETRIC : request->nat_type;
	punch->force_relay = why != RDS_RELAY_NOT;
	punch->udp_port = request->udp_port;
	punch->upnp_port = request->upnp_port;
	rendezvous_send_to_peer(rules, peer, &msg);
}

static enum rds_reason check_key(struct rds_rendezvous *rules, const struct rds_incoming *in,
                                 uint32_t *held)
{
	const rds_PunchHoleRequest *request = &in->msg->member.punch_hole_request;
	struct rds_view id = rds_get(request->id);
	bool check = rendezvous_is_check(rules, id);
	enum rds_key_verdict verdict =
	        rds_key_judge(&rules->host.keys, rds_get(request->licence_key), id,
	                      check ? NULL : &in->from->path.remote, held);
	enum rds_reason why = rds_key_reason(verdict);
	if (why != RDS_WHY_NONE && check)
		rendezvous_refuse(rules, in, why, id);
	else if (why != RDS_WHY_NONE)
		rules->counters.n[why]++;
	return why;
}

// The attempt in the ledger: a repeated request is a step of the same one.
static struct rds_attempt *note_asked(struct rds_rendezvous *rules, const struct rds_incoming *in,
                                      struct rds_view id)
{
	const struct rds_wait *wait = rds_waits_of_conn(&rules->waits, in->from->conn);
	struct rds_attempt *attempt = NULL;
	if (wait != NULL && rds_view_equal(rds_wait_id(wait), id))
		attempt = rds_ledger_find(rules->ledger, wait->attempt);
	if (attempt != NULL) {
		rds_attempt_step(attempt, in->now_ms, RDS_STEP_ASKED);
		return attempt;
	}
	attempt = rds_ledger_add(rules->ledger, in->now_ms, &in->from->path.remote, id);
	attempt->check = rendezvous_is_check(rules, id);
	return attempt;
}

static void note_refused(struct rds_attempt *attempt, enum rds_reason why,
                         const struct rds_peer *peer)
{
	attempt->verdict = RDS_VERDICT_REFUSED;
	attempt->why = why;
	attempt->seen_ms = peer == NULL ? 0 : peer->seen_ms;
}

static void note_passed_on(struct rds_attempt *attempt, const struct rds_incoming *in,
                           struct rds_wait *wait, enum rds_route route, enum rds_relay_why why)
{
	wait->attempt = attempt->number;
	attempt->route = route;
	attempt->relay_why = why;
	rds_attempt_step(attempt, in->now_ms, RDS_STEP_PASSED_ON);
}

void rendezvous_punch_hole_request(struct rds_rendezvous *rules, const struct rds_incoming *in)
{
	const rds_PunchHoleRequest *request = &in->msg->member.punch_hole_request;
	struct rds_view id = rds_get(request->id);
	struct rds_attempt *attempt = note_asked(rules, in, id);
	uint32_t held = RDS_KEY_CURRENT;
	enum rds_reason why = check_key(rules, in, &held);
	attempt->key = held;
	if (why != RDS_WHY_NONE) {
		note_refused(attempt, why, NULL);
		answer_failure(rules, in, rds_PunchHoleResponse_Failure_LICENSE_MISMATCH);
		return;
	}
	const struct rds_peer *peer = rendezvous_find(rules, id);
	if (peer == NULL || id.len > RDS_ID_MAX_BYTES) {
		note_refused(attempt, RDS_WHY_ID_UNKNOWN, NULL);
		rendezvous_refuse(rules, in, RDS_WHY_ID_UNKNOWN, id);
		answer_failure(rules, in, rds_PunchHoleResponse_Failure_ID_NOT_EXIST);
		return;
	}
	if (!rendezvous_is_online(peer, in->now_ms)) {
		note_refused(attempt, RDS_WHY_ID_OFFLINE, peer);
		rendezvous_refuse(rules, in, RDS_WHY_ID_OFFLINE, id);
		answer_failure(rules, in, rds_PunchHoleResponse_Failure_OFFLINE);
		return;
	}
	struct rds_wait *wait = rds_waits_start(&rules->waits, in->from->conn,
	                                        &in->from->path.remote, RDS_WAIT_PUNCH, id);
	if (wait == NULL) {
		note_refused(attempt, RDS_WHY_WAITS_FULL, peer);
		rendezvous_refuse(rules, in, RDS_WHY_WAITS_FULL, id);
		answer_other_failure(rules, in, "The server is busy, please try again");
		return;
	}
	wait->key = held;
	const struct rds_ip *b = &peer->path.remote.ip;
	enum rds_relay_why relay_why = must_relay(rules, in->from, b, request->force_relay);
	enum rds_route route = choose_route(rules, &in->from->path.remote.ip, b, relay_why);
	note_passed_on(attempt, in, wait, route, relay_why);
	rds_log(RDS_LOG_DEBUG, "punch", rds_field_bytes("id", id),
	        rds_field_addr("from", &in->from->path.remote),
	        rds_field_addr("to", &peer->path.remote),
	        rds_field_text("route", rds_route_name(route)),
	        rds_field_text("because", rds_relay_why_name(relay_why)));
	if (route == RDS_ROUTE_LAN)
		send_fetch_local_addr(rules, in, peer, wait);
	else
		send_punch_hole(rules, in, peer, wait, relay_why);
}

void rendezvous_request_relay(struct rds_rendezvous *rules, const struct rds_incoming *in)
{
	struct rds_view id = rds_get(in->msg->member.request_relay.id);
	struct rds_attempt *attempt = note_asked(rules, in, id);
	rds_attempt_session(attempt, rds_get(in->msg->member.request_relay.uuid));
	const struct rds_peer *peer = rendezvous_find(rules, id);
	if (peer == NULL || id.len > RDS_ID_MAX_BYTES) {
		note_refused(attempt, RDS_WHY_ID_UNKNOWN, NULL);
		rendezvous_refuse(rules, in, RDS_WHY_ID_UNKNOWN, id);
		refuse_relay(rules, in, "ID does not exist");
		return;
	}
	if (!rendezvous_is_online(peer, in->now_ms)) {
		note_refused(attempt, RDS_WHY_ID_OFFLINE, peer);
		rendezvous_refuse(rules, in, RDS_WHY_ID_OFFLINE, id);
		refuse_relay(rules, in, "Remote desktop is offline");
		return;
	}
	struct rds_wait *wait = rds_waits_start(&rules->waits, in->from->conn,
	                                        &in->from->path.remote, RDS_WAIT_RELAY, id);
	if (wait == NULL) {
		note_refused(attempt, RDS_WHY_WAITS_FULL, peer);
		rendezvous_refuse(rules, in, RDS_WHY_WAITS_FULL, id);
		refuse_relay(rules, in, "The server is busy, please try again");
		return;
	}
	note_passed_on(attempt, in, wait, RDS_ROUTE_RELAY, RDS_RELAY_ASKED);
	rendezvous_issue(rules, in, rds_get(in->msg->member.request_relay.uuid));
	rds_message msg = *in->msg;
	uint8_t addr[RDS_ADDR_WIRE];
	(void)rds_set(&msg.member.request_relay.socket_addr, mangle(in, wait, addr));
	(void)rds_set(&msg.member.request_relay.relay_server,
	              rendezvous_relay_for(rules,
	                                   rds_get(in->msg->member.request_relay.relay_server),
	                                   &peer->path.remote.ip));
	rendezvous_send_to_peer(rules, peer, &msg);
}
