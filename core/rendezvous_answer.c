// SPDX-License-Identifier: MIT
// What B answers (protocol.md section 7), and how it reaches A.
#include "core/rendezvous_private.h"

#include <assert.h>

struct rds_view rendezvous_relay_for(const struct rds_rendezvous *rules, struct rds_view named,
                                     const struct rds_ip *ip)
{
	const struct rds_relay_names *ours =
	        rds_relay_named(rules->rotation.relays, rules->rotation.n, named);
	return ours == NULL ? named : rds_relay_name_for(ours, ip);
}

// B's answer has found nobody: it may be one that came too late.
static void note_late(struct rds_rendezvous *rules, const struct rds_incoming *in,
                      struct rds_view socket_addr, struct rds_view id)
{
	struct rds_addr addr;
	if (rds_addr_unmangle(socket_addr, &addr) != 0)
		return;
	struct rds_attempt *attempt = rds_ledger_last(rules->ledger, &addr, id);
	if (attempt == NULL || attempt->verdict != RDS_VERDICT_SILENCE)
		return;
	attempt->verdict = RDS_VERDICT_LATE;
	rds_attempt_step(attempt, in->now_ms, RDS_STEP_LATE);
}

// Who waits at the address that B named, for the id that B named. A RelayResponse answers either
// kind of request. Where nobody waits, counts it.
static struct rds_wait *find_wait(struct rds_rendezvous *rules, const struct rds_incoming *in,
                                  struct rds_view socket_addr, struct rds_view id)
{
	struct rds_addr addr;
	struct rds_wait *wait = NULL;
	if (rds_addr_unmangle(socket_addr, &addr) == 0) {
		wait = rds_waits_find(&rules->waits, &addr, RDS_WAIT_PUNCH, id);
		if (wait == NULL &&
		    in->msg->which_member == rds_RendezvousMessage_relay_response_tag)
			wait = rds_waits_find(&rules->waits, &addr, RDS_WAIT_RELAY, id);
	}
	if (wait == NULL) {
		rendezvous_refuse(rules, in, RDS_WHY_NOBODY_WAITS, id);
		note_late(rules, in, socket_addr, id);
	}
	return wait;
}

// Signature (with the key that A holds) and IdPk{id, its pk}, or nothing where it can't be made. A
// goes on unencrypted without it, so that is where B is too old to say its version, has no row, or
// no key is there.
static struct rds_view sign_id_pk(const struct rds_rendezvous *rules, const struct rds_wait *wait,
                                  struct rds_view version,
                                  uint8_t out[RDS_SIGNATURE_BYTES + RDS_MESSAGE_MAX_BYTES])
{
	struct rds_view nothing = rds_view_of(NULL, 0);
	struct rds_view id = rds_wait_id(wait);
	const struct rds_peer *peer = rendezvous_find(rules, id);
	if (peer == NULL || peer->pk_len == 0 || version.len == 0)
		return nothing;
	long len = rds_message_encode_id_pk(id, rds_peer_pk(peer), out + RDS_SIGNATURE_BYTES,
	                                    RDS_MESSAGE_MAX_BYTES);
	if (len < 0)
		return nothing; // a pk from an odd database row
	struct rds_view bytes = rds_view_of(out + RDS_SIGNATURE_BYTES, (size_t)len);
	if (!rules->host.keys.sign(rules->host.keys.ctx, wait->key, bytes, out))
		return nothing;
	return rds_view_of(out, RDS_SIGNATURE_BYTES + bytes.len);
}

// Hands msg to the A that waits, which then waits no more: copies of B's answer find nobody.
// version is what B says of its client.
static void answer_wait(struct rds_rendezvous *rules, const struct rds_incoming *in,
                        struct rds_wait *wait, enum rds_step step, struct rds_view version,
                        const rds_message *msg)
{
	rendezvous_note_version(rules, rds_wait_id(wait), version);
	struct rds_attempt *attempt = rds_ledger_find(rules->ledger, wait->attempt);
	rds_attempt_step(attempt, in->now_ms, step);
	if (attempt != NULL)
		attempt->verdict = RDS_VERDICT_ANSWERED;
	struct rds_source a = {.door = RDS_DOOR_MAIN, .conn = wait->conn};
	a.path.remote = wait->addr;
	rds_log(RDS_LOG_DEBUG, "answered", rds_field_bytes("id", rds_wait_id(wait)),
	        rds_field_addr("to", &wait->addr), rds_field_addr("from", &in->from->path.remote));
	rendezvous_reply(rules, &a, msg);
	rds_waits_end(&rules->waits, wait);
}

// B is done on this connection once its answer has been taken.
static void release_b(struct rds_rendezvous *rules, const struct rds_incoming *in)
{
	if (in->from->door != RDS_DOOR_UDP)
		rules->host.close_conn(rules->host.ctx, in->from->conn, RDS_WHY_DONE);
}

void rendezvous_punch_hole_sent(struct rds_rendezvous *rules, const struct rds_incoming *in)
{
	const rds_PunchHoleSent *sent = &in->msg->member.punch_hole_sent;
	struct rds_view id = rds_get(sent->id);
	struct rds_wait *wait = find_wait(rules, in, rds_get(sent->socket_addr), id);
	if (wait != NULL) {
		rds_message msg = {.which_member = rds_RendezvousMessage_punch_hole_response_tag};
		rds_PunchHoleResponse *answer = &msg.member.punch_hole_response;
		uint8_t addr[RDS_ADDR_WIRE];
		uint8_t pk[RDS_SIGNATURE_BYTES + RDS_MESSAGE_MAX_BYTES];
		size_t len = rds_addr_mangle(&in->from->path.remote, (uint32_t)(in->now_ms * 1000),
		                             addr);
		(void)rds_set(&answer->socket_addr, rds_view_of(addr, len));
		(void)rds_set(&answer->pk, sign_id_pk(rules, wait, rds_get(sent->version), pk));
		(void)rds_set(
		        &answer->relay_server,
		        rendezvous_relay_for(rules, rds_get(sent->relay_server), &wait->addr.ip));
		(void)rds_set(&answer->socket_addr_v6, rds_get(sent->socket_addr_v6));
		answer->which_kind = rds_PunchHoleResponse_nat_type_tag;
		answer->kind.nat_type = sent->nat_type;
		answer->is_udp = in->from->door == RDS_DOOR_UDP;
		answer->upnp_port = sent->upnp_port;
		answer_wait(rules, in, wait, RDS_STEP_HOLE_SENT, rds_get(sent->version), &msg);
	}
	release_b(rules, in);
}

void rendezvous_local_addr(struct rds_rendezvous *rules, const struct rds_incoming *in)
{
	const rds_LocalAddr *local = &in->msg->member.local_addr;
	struct rds_view id = rds_get(local->id);
	struct rds_wait *wait = find_wait(rules, in, rds_get(local->socket_addr), id);
	if (wait != NULL) {
		rds_message msg = {.which_member = rds_RendezvousMessage_punch_hole_response_tag};
		rds_PunchHoleResponse *answer = &msg.member.punch_hole_response;
		uint8_t pk[RDS_SIGNATURE_BYTES + RDS_MESSAGE_MAX_BYTES];
		(void)rds_set(&answer->socket_addr, rds_get(local->local_addr));
		(void)rds_set(&answer->pk, sign_id_pk(rules, wait, rds_get(local->version), pk));
		(void)rds_set(
		        &answer->relay_server,
		        rendezvous_relay_for(rules, rds_get(local->relay_server), &wait->addr.ip));
		(void)rds_set(&answer->socket_addr_v6, rds_get(local->socket_addr_v6));
		answer->which_kind = rds_PunchHoleResponse_is_local_tag;
		answer->kind.is_local = true;
		answer_wait(rules, in, wait, RDS_STEP_LOCAL_ADDR, rds_get(local->version), &msg);
	}
	release_b(rules, in);
}

void rendezvous_relay_response(struct rds_rendezvous *rules, const struct rds_incoming *in)
{
	const rds_RelayResponse *said = &in->msg->member.relay_response;
	struct rds_view id = rds_view_of(NULL, 0);
	if (said->which_who == rds_RelayResponse_id_tag)
		id = rds_get(said->who.id);
	struct rds_wait *wait = find_wait(rules, in, rds_get(said->socket_addr), id);
	if (wait != NULL) {
		rds_message msg = *in->msg;
		rds_RelayResponse *answer = &msg.member.relay_response;
		uint8_t pk[RDS_SIGNATURE_BYTES + RDS_MESSAGE_MAX_BYTES];
		rds_attempt_session(rds_ledger_find(rules->ledger, wait->attempt),
		                    rds_get(said->uuid));
		rendezvous_issue(rules, in, rds_get(said->uuid));
		answer->socket_addr.size = 0;
		answer->which_who = 0;
		(void)rds_set(
		        &answer->relay_server,
		        rendezvous_relay_for(rules, rds_get(said->relay_server), &wait->addr.ip));
		if (id.len > 0) {
			answer->which_who = rds_RelayResponse_pk_tag;
			(void)rds_set(&answer->who.pk,
			              sign_id_pk(rules, wait, rds_get(said->version), pk));
		}
		answer_wait(rules, in, wait, RDS_STEP_RELAY, rds_get(said->version), &msg);
	}
	release_b(rules, in);
}
