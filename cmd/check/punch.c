// SPDX-License-Identifier: MIT
// punch, punch.key and relay.name (protocol.md sections 7 to 9).
#include "cmd/check/punch.h"

#include "cmd/check/local.h"
#include "cmd/check/session.h"
#include "conf/values.h"
#include "keys/secure_client.h"

#include <stdio.h>
#include <string.h>

#define RELAY_PORT 21117
#define TRIES      3

struct play {
	struct check *check;
	struct talks *talks;
	const struct player *player;
	struct talk *udp;      // NULL: the device isn't registered
	struct rds_addr asker; // of whom the device was told last
};

static struct talk *open_tcp(const struct play *play)
{
	return talk_open(play->talks, TALK_TCP, play->check->site.id_host,
	                 play->check->site.id_port);
}

static const char *key_of(const struct play *play)
{
	return play->check->site.key;
}

// --- what A is told

static const char *failure_text(int32_t failure)
{
	switch (failure) {
	case rds_PunchHoleResponse_Failure_ID_NOT_EXIST:
		return "ID does not exist";
	case rds_PunchHoleResponse_Failure_OFFLINE:
		return "the remote desktop is offline";
	case rds_PunchHoleResponse_Failure_LICENSE_MISMATCH:
		return "key mismatch";
	case rds_PunchHoleResponse_Failure_LICENSE_OVERUSE:
		return "key overuse";
	default:
		return "a failure that clients don't know";
	}
}

// A refusal has no address in it.
static bool is_refusal(const rds_message *answer)
{
	return answer->which_member == rds_RendezvousMessage_punch_hole_response_tag &&
	       answer->member.punch_hole_response.socket_addr.size == 0;
}

static void tell_refusal(struct check_result *result, const struct check *check,
                         const rds_PunchHoleResponse *response)
{
	bool mismatch = response->failure == rds_PunchHoleResponse_Failure_LICENSE_MISMATCH;
	if (mismatch && check->site.key[0] == '\0' && !check->site.local) {
		check_skip(result, "the server answers, and asks for its key: give --key KEY");
		return;
	}
	if (response->other_failure.size > 0)
		check_fail(result, "the client is refused: %.*s", (int)response->other_failure.size,
		           (const char *)response->other_failure.bytes);
	else
		check_fail(result, "the client is refused: %s", failure_text(response->failure));
	if (!mismatch)
		check_fix(result, "see `rdsrv ctl id recent` at the server: it says why");
	else if (check->site.local)
		check_fix(result, "the server enforces another key than its files hold: see "
		                  "keys.pair");
	else
		check_fix(result, "give the client the server's key: `rdsrv export-conf` there "
		                  "(or cat id_ed25519.pub) shows it");
}

// Whether A can be sure who answers: the signature is the server's, and names id and key.
static void judge_pk(struct check_result *result, const struct play *play, struct rds_view pk)
{
	struct rds_view content;
	rds_IdPk id_pk;
	if (key_of(play)[0] == '\0') {
		check_warn(result, "the device was told and answered; without a key nothing "
		                   "vouches for it");
		check_fix(result, "give --key KEY, the server's public key");
	} else if (pk.len == 0) {
		check_fail(result, "the answer is not signed: sessions run unencrypted");
		check_fix(result,
		          "start the ID server with its key pair: without -k, or with -k _");
	} else if (!rds_signed_open(key_of(play), pk, &content)) {
		check_fail(result, "the answer is signed with another key: sessions run "
		                   "unencrypted, or are refused");
		check_fix(result, "give clients the key that the server has: `rdsrv export-conf`");
	} else if (rds_message_decode_id_pk(content, &id_pk) != 0 ||
	           !rds_view_equal(rds_get(id_pk.id), rds_view_text(play->player->id)) ||
	           !rds_view_equal(rds_get(id_pk.pk),
	                           rds_view_of(play->player->pk, sizeof play->player->pk))) {
		check_fail(result, "the answer vouches for another device than was asked for");
		check_fix(result, "see files.database, and the server's log");
	} else {
		check_ok(result, "the device was told, answered, and is vouched for");
	}
}

// --- punch

// B's answer to what it was told, on a connection of its own.
static void answer_as_device(const struct play *play, const rds_message *told)
{
	rds_message msg = {.which_member = rds_RendezvousMessage_punch_hole_sent_tag};
	struct rds_view version = rds_view_text(PLAY_VERSION);
	struct rds_view id = rds_view_text(play->player->id);
	if (told->which_member == rds_RendezvousMessage_fetch_local_addr_tag) {
		const rds_FetchLocalAddr *fetch = &told->member.fetch_local_addr;
		rds_LocalAddr *body = &msg.member.local_addr;
		uint8_t wire[RDS_ADDR_WIRE];
		struct rds_addr here = {.ip = rds_ip_v4(127, 0, 0, 1),
		                        .port = talk_local_port(play->udp)};
		size_t len = rds_addr_mangle(&here, 1, wire);
		msg.which_member = rds_RendezvousMessage_local_addr_tag;
		(void)rds_set(&body->socket_addr, rds_get(fetch->socket_addr));
		(void)rds_set(&body->local_addr, rds_view_of(wire, len));
		(void)rds_set(&body->relay_server, rds_get(fetch->relay_server));
		(void)rds_set(&body->id, id);
		(void)rds_set(&body->version, version);
	} else {
		const rds_PunchHole *hole = &told->member.punch_hole;
		rds_PunchHoleSent *body = &msg.member.punch_hole_sent;
		(void)rds_set(&body->socket_addr, rds_get(hole->socket_addr));
		(void)rds_set(&body->relay_server, rds_get(hole->relay_server));
		(void)rds_set(&body->id, id);
		(void)rds_set(&body->version, version);
		body->nat_type = 1;
	}
	struct talk *talk = open_tcp(play);
	talk_send(talk, &msg);
}

// Whether that tells the device of a client, and not of the one before once more: a slow server
// does so for each time that it was asked.
static bool tells(struct play *play, struct rds_view payload, rds_message *told)
{
	struct rds_addr asker;
	struct rds_view wire = {.len = 0};
	if (rds_message_decode(payload, told) != 0)
		return false;
	if (told->which_member == rds_RendezvousMessage_punch_hole_tag)
		wire = rds_get(told->member.punch_hole.socket_addr);
	else if (told->which_member == rds_RendezvousMessage_fetch_local_addr_tag)
		wire = rds_get(told->member.fetch_local_addr.socket_addr);
	if (wire.len == 0 || rds_addr_unmangle(wire, &asker) != 0 ||
	    rds_addr_equal(&asker, &play->asker))
		return false;
	play->asker = asker;
	return true;
}

static bool hears(struct play *play, unsigned ms, rds_message *told)
{
	struct rds_view payload;
	uint64_t until_ms = check_now_ms() + ms;
	for (uint64_t now_ms = check_now_ms(); now_ms < until_ms; now_ms = check_now_ms()) {
		if (!talk_receive_within(play->udp, (unsigned)(until_ms - now_ms), &payload))
			return false;
		if (tells(play, payload, told))
			return true;
	}
	return false;
}

// Asks, and waits until the device is told. false: it isn't, and *result says why.
static bool ask_for_device(struct play *play, struct check_result *result, struct talk *a,
                           bool force_relay, rds_message *told)
{
	struct rds_view payload;
	rds_message answer;
	rds_message request = play_punch_hole(play->player->id, key_of(play), force_relay);
	talk_send(a, &request);
	for (int tries = 0; tries < TRIES; tries++) {
		if (hears(play, play->check->options.timeout_ms / TRIES, told))
			return true;
		if (talk_receive_within(a, 1, &payload) &&
		    rds_message_decode(payload, &answer) == 0 && is_refusal(&answer)) {
			tell_refusal(result, play->check, &answer.member.punch_hole_response);
			return false;
		}
		if (talk_ended(a) != TALK_OPEN)
			break;
		talk_send(a, &request);
	}
	if (talk_ended(a) != TALK_OPEN) {
		play_not_through(result, play->check, a, "the ID server", "tcp",
		                 play->check->site.id_port);
		return false;
	}
	check_fail(result, "the client asked, but the device was never told over UDP");
	check_fix(result,
	          "is UDP from the server's port %u blocked, or its source address "
	          "changed on the way?",
	          play->check->site.id_port);
	return false;
}

static void play_punch(struct play *play, struct check_result *result)
{
	rds_message told;
	rds_message answer;
	struct rds_view payload;
	struct talk *a = open_tcp(play);
	if (talk_ended(a) != TALK_OPEN) {
		play_not_through(result, play->check, a, "the ID server", "tcp",
		                 play->check->site.id_port);
		return;
	}
	if (!ask_for_device(play, result, a, false, &told))
		return;
	answer_as_device(play, &told);
	if (!talk_expect(a, rds_RendezvousMessage_punch_hole_response_tag, 0, &answer, &payload)) {
		check_fail(result,
		           "the device was told and answered, but the client hears "
		           "nothing: %s",
		           talk_why(a));
		check_fix(result, "does a proxy or load balancer send the connections to "
		                  "different servers?");
	} else if (is_refusal(&answer)) {
		tell_refusal(result, play->check, &answer.member.punch_hole_response);
	} else {
		judge_pk(result, play, rds_get(answer.member.punch_hole_response.pk));
	}
	// It stays open, so that relay.name's A has another port, even behind NAT: see tells().
}

// Without a registered device there is still an answer that shows whether the key is right.
static void play_stranger(const struct play *play, struct check_result *result)
{
	rds_message answer;
	struct rds_view payload;
	struct talk *a = open_tcp(play);
	rds_message request = play_punch_hole(play->player->id, key_of(play), false);
	talk_send(a, &request);
	if (!talk_expect(a, rds_RendezvousMessage_punch_hole_response_tag, 0, &answer, &payload))
		play_not_through(result, play->check, a, "the ID server", "tcp",
		                 play->check->site.id_port);
	else if (answer.member.punch_hole_response.failure ==
	         rds_PunchHoleResponse_Failure_LICENSE_MISMATCH)
		tell_refusal(result, play->check, &answer.member.punch_hole_response);
	else
		check_skip(result, "the key is accepted; more needs a registered device (%s)",
		           play_what_lacks(play->check));
	talk_close(a);
}

// --- punch.key

static void judge_wrong_key(struct check_result *result, const struct check *check,
                            const rds_PunchHoleResponse *response)
{
	if (response->failure == rds_PunchHoleResponse_Failure_LICENSE_MISMATCH) {
		check_ok(result, "a client with another key is refused (key mismatch)");
		return;
	}
	check_warn(result, "a client with any key, or none, is let in: no key is enforced");
	if (check->site.local)
		local_fix_open(&check->site, false, result);
	else
		check_fix(result, "start that server with -k _ to enforce its key");
}

static void play_wrong_key_at_id(const struct play *play, struct check_result *result)
{
	char key[PLAY_KEY];
	rds_message answer;
	struct rds_view payload;
	play_wrong_key(key);
	struct talk *a = open_tcp(play);
	rds_message request = play_punch_hole(play->check->site.ids[PLAY_SPARE], key, false);
	talk_send(a, &request);
	if (talk_expect(a, rds_RendezvousMessage_punch_hole_response_tag, 0, &answer, &payload))
		judge_wrong_key(result, play->check, &answer.member.punch_hole_response);
	else
		check_skip(result, "needs an ID server that answers (punch)");
	talk_close(a);
}

// --- relay.name

// Where clients go that are told that relay (protocol.md section 1).
static bool relay_of(const struct check *check, struct rds_view named, struct rds_host_port *out)
{
	char text[256];
	if (named.len == 0) {
		(void)snprintf(out->host, sizeof out->host, "%s", check->site.id_host);
		out->port = (uint16_t)(check->site.id_port + 1);
		return true;
	}
	(void)snprintf(text, sizeof text, "%.*s", (int)named.len, (const char *)named.data);
	if (rds_value_host(text, out) != 0)
		return false;
	if (out->port == 0)
		out->port = RELAY_PORT;
	return true;
}

static void answer_with_relay(const struct play *play, const rds_PunchHole *hole, const char *uuid)
{
	rds_message msg = {.which_member = rds_RendezvousMessage_relay_response_tag};
	rds_RelayResponse *body = &msg.member.relay_response;
	(void)rds_set(&body->socket_addr, rds_get(hole->socket_addr));
	(void)rds_set(&body->uuid, rds_view_text(uuid));
	(void)rds_set(&body->relay_server, rds_get(hole->relay_server));
	body->which_who = rds_RelayResponse_id_tag;
	(void)rds_set(&body->who.id, rds_view_text(play->player->id));
	(void)rds_set(&body->version, rds_view_text(PLAY_VERSION));
	talk_send(open_tcp(play), &msg);
}

// A relay's name that leads out and back in again may do so for everybody but this host.
static void judge_session(struct check_result *result, const struct check *check,
                          const struct session *session, const struct rds_host_port *relay,
                          const char *told)
{
	char detail[sizeof result->detail];
	session_fault(result, check, session, relay->host, relay->port);
	(void)snprintf(detail, sizeof detail, "%s", result->detail);
	enum talk_end end = talk_ended(session->sides[0]);
	if (check->site.local && end == TALK_TIMED_OUT) {
		check_warn(result, "clients are told %s: %.500s", told, detail);
		check_fix(result,
		          "if clients outside reach it, this network doesn't lead back to "
		          "itself (hairpin NAT); else open TCP %u to the relay",
		          relay->port);
		return;
	}
	check_fail(result, "clients are told %s: %.500s", told, detail);
	if (end == TALK_UNRESOLVED || (end == TALK_UNREACHED && check->site.local))
		check_fix(result, "give clients a relay that is there: relay-servers = HOST in the "
		                  "settings, or start the relay");
	else
		check_fix(result, "see relay.tcp and keys.same: the relay behind that name must "
		                  "run and have the server's key");
}

static void play_relay_name(struct play *play, struct check_result *result)
{
	char uuid[PLAY_UUID];
	rds_message told;
	rds_message answer;
	struct rds_view payload;
	struct rds_host_port relay;
	struct session session;
	struct talk *a = open_tcp(play);
	if (!ask_for_device(play, result, a, true, &told))
		return;
	if (told.which_member != rds_RendezvousMessage_punch_hole_tag) {
		check_fail(result, "a session that must be relayed is sent to the local network");
		check_fix(result, "update the server");
		return;
	}
	play_uuid(uuid);
	session_announce(play->check, uuid);
	answer_with_relay(play, &told.member.punch_hole, uuid);
	if (!talk_expect(a, rds_RendezvousMessage_relay_response_tag, 0, &answer, &payload)) {
		check_fail(result, "the device chose the relay, but the client isn't told: %s",
		           talk_why(a));
		check_fix(result, "see `rdsrv ctl id recent` at the server");
		return;
	}
	struct rds_view named = rds_get(answer.member.relay_response.relay_server);
	char text[300];
	(void)snprintf(text, sizeof text, "%.*s", (int)named.len, (const char *)named.data);
	if (named.len == 0)
		(void)snprintf(text, sizeof text, "no relay, and so go to the ID server's host");
	if (!relay_of(play->check, named, &relay)) {
		check_fail(result, "clients are told \"%s\", which is no host", text);
		check_fix(result, "correct relay-servers in the server's settings");
		return;
	}
	struct session_way way = {
	        .host = relay.host, .by = {TALK_TCP, TALK_TCP}, .ports = {relay.port, relay.port}};
	if (session_play(play->talks, &way, key_of(play), uuid, &session))
		check_ok(result, "clients are told %s; %s pairs them", text,
		         talk_name(session.sides[0]));
	else
		judge_session(result, play->check, &session, &relay, text);
}

void punch_play(struct check *check, struct talks *talks, const struct player *player,
                struct talk *udp)
{
	struct play play = {.check = check, .talks = talks, .player = player, .udp = udp};
	struct check_result result;
	check_begin(&result, "punch");
	if (udp != NULL)
		play_punch(&play, &result);
	else
		play_stranger(&play, &result);
	bool reached = result.status != CHECK_FAIL;
	check_end(check, &result);
	check_begin(&result, "punch.key");
	if (reached || udp != NULL)
		play_wrong_key_at_id(&play, &result);
	else
		check_skip(&result, "needs an ID server that answers (punch)");
	check_end(check, &result);
	check_begin(&result, "relay.name");
	if (udp != NULL && reached)
		play_relay_name(&play, &result);
	else
		check_skip(&result, "needs a registered device (%s)", play_what_lacks(check));
	check_end(check, &result);
}
