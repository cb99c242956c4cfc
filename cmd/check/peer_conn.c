// SPDX-License-Identifier: MIT
// tcp.secure, tcp.register and ws.register (protocol.md sections 5 and 6).
#include "cmd/check/play.h"

#include "core/limits.h"
#include "keys/secure_client.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define AGAIN_MS 20

// --- the secure channel

static void tell_no_offer(struct check_result *result, const struct check *check,
                          const struct talk *talk)
{
	bool off = check->site.local &&
	           rds_settings_number(check->site.settings, RDS_SET_SECURE_TCP) == 0;
	if (off) {
		check_warn(result, "secure-tcp is off: clients behind proxies and logged-in users "
		                   "can't come in over TCP");
		check_fix(result, "remove secure-tcp = off from the settings and %s",
		          play_restart(check));
	} else if (talk_ended(talk) != TALK_OPEN) {
		play_not_through(result, check, talk, "the ID server", "tcp", check->site.id_port);
	} else {
		check_warn(result,
		           "%s offers no secure channel: clients behind proxies and "
		           "logged-in users fail with \"deadline has elapsed\"",
		           talk_name(talk));
		check_fix(result, "is the server older than 1.2, or its offer turned off?");
	}
}

// Whether the channel is secured from now on. *foreign: the offer was signed with another key.
static bool secure(struct check_result *result, const struct check *check, struct talk *talk,
                   bool *foreign)
{
	struct rds_view offer;
	uint8_t answer[RDS_OFFER_ANSWER_BYTES];
	size_t len = 0;
	struct rds_channel *channel = NULL;
	if (!talk_receive_offer(talk, &offer)) {
		tell_no_offer(result, check, talk);
		return false;
	}
	switch (rds_offer_answer(offer, check->site.key, answer, &len, &channel)) {
	case RDS_OFFER_NONE:
		talk_note(talk, "%s begins with something else than an offer", talk_name(talk));
		play_nonsense(result, check, talk);
		return false;
	case RDS_OFFER_FOREIGN:
		if (check->site.key[0] == '\0') {
			check_skip(result,
			           "%s offers a secure channel; without %s its signature "
			           "can't be judged",
			           talk_name(talk),
			           check->site.local ? "the server's key" : "--key KEY");
			return false;
		}
		*foreign = true;
		result->answered = true;
		check_fail(result, "%s signs its offer with another key than the client's",
		           talk_name(talk));
		if (check->site.local)
			check_fix(result, "see keys.pair: is the server running with these files?");
		else
			check_fix(result,
			          "give clients the server's key: `rdsrv export-conf` there (or "
			          "cat id_ed25519.pub) shows it");
		return false;
	case RDS_OFFER_GOOD:
		break;
	}
	talk_send_bytes(talk, rds_view_of(answer, len));
	talk_secure(talk, channel);
	check_ok(result, "%s offers a secure channel, signed with the key", talk_name(talk));
	return true;
}

// After a rotation a server signs with the key that this address used last, and with the next one
// where that isn't answered: clients come again, too. All tries together have a step's time.
static struct talk *open_secured(struct check_result *result, const struct check *check,
                                 struct talks *talks, bool *secured)
{
	static const struct timespec pause = {.tv_nsec = AGAIN_MS * 1000000L};
	uint64_t until_ms = check_now_ms() + check->options.timeout_ms;
	for (size_t tries = 0;; tries++) {
		bool foreign = false;
		struct talk *talk =
		        talk_open(talks, TALK_TCP, check->site.id_host, check->site.id_port);
		*secured = false;
		if (talk_ended(talk) != TALK_OPEN)
			play_not_through(result, check, talk, "the ID server", "tcp",
			                 check->site.id_port);
		else
			*secured = secure(result, check, talk, &foreign);
		if (!foreign || tries == RDS_OFFERED_KEYS || check_now_ms() >= until_ms)
			return talk;
		talk_close(talk);
		// The server must have seen that end before it takes the next connection.
		(void)nanosleep(&pause, NULL);
	}
}

// --- registration

static void judge_registration(struct check_result *result, const struct check *check,
                               const struct talk *talk, const struct player *player,
                               const rds_RegisterPkResponse *response)
{
	if (response->result == rds_RegisterPkResponse_Result_OK) {
		check_ok(result, "%s registered at %s, heartbeat every %d s", player->id,
		         talk_name(talk), response->keep_alive == 0 ? 60 : response->keep_alive);
	} else if (response->result == rds_RegisterPkResponse_Result_NOT_SUPPORT) {
		check_skip(result, "this server doesn't take registrations here (hbbs doesn't): "
		                   "clients behind proxies or in WebSocket mode can't be "
		                   "controlled through it");
	} else {
		result->answered = true;
		check_fail(result, "the registration at %s is refused: %s", talk_name(talk),
		           play_result_text(response->result));
		check_fix(result, check->site.local ? "see `rdsrv ctl id blocked`, and the log"
		                                    : "look into the server's log");
	}
}

static void try_registration(struct check_result *result, const struct check *check,
                             struct talk *talk, int which, uint16_t port)
{
	struct player player;
	rds_message answer;
	struct rds_view payload;
	play_device(&player, check, which);
	rds_message msg = play_register_pk(&player);
	talk_send(talk, &msg);
	if (talk_expect(talk, rds_RendezvousMessage_register_pk_response_tag, 0, &answer, &payload))
		judge_registration(result, check, talk, &player,
		                   &answer.member.register_pk_response);
	else
		play_not_through(result, check, talk, "the ID server", "tcp", port);
}

static void tell_stopped(struct check_result *result, const struct check *check)
{
	check_skip(result, "it answers; a registration would leave a row in its database (%s)",
	           play_what_lacks(check));
}

void check_peer_tcp(struct check *check)
{
	struct check_result result;
	struct talks *talks = talks_new(check);
	bool secured = false;
	check_begin(&result, "tcp.secure");
	struct talk *talk = open_secured(&result, check, talks, &secured);
	check_end(check, &result);
	check_begin(&result, "tcp.register");
	if (!secured)
		check_skip(&result, "needs a secure channel (tcp.secure)");
	else if (!play_may_register(check))
		tell_stopped(&result, check);
	else
		try_registration(&result, check, talk, PLAY_TCP, check->site.id_port);
	check_end(check, &result);
	talks_free(talks);
}

// A question that leaves nothing behind.
static void try_nat_test(struct check_result *result, const struct check *check, struct talk *talk,
                         uint16_t port)
{
	rds_message msg = {.which_member = rds_RendezvousMessage_test_nat_request_tag};
	rds_message answer;
	struct rds_view payload;
	talk_send(talk, &msg);
	if (talk_expect(talk, rds_RendezvousMessage_test_nat_response_tag, 0, &answer, &payload))
		tell_stopped(result, check);
	else
		play_not_through(result, check, talk, "the ID server's WebSocket", "tcp", port);
}

static void play_websocket(struct check *check, struct check_result *result)
{
	uint16_t port = check->site.websocket_port;
	struct talks *talks = talks_new(check);
	struct talk *talk = talk_open(talks, TALK_WEBSOCKET, check->site.id_host, port);
	if (talk_ended(talk) != TALK_OPEN)
		play_not_through(result, check, talk, "the ID server's WebSocket", "tcp", port);
	else if (play_may_register(check))
		try_registration(result, check, talk, PLAY_WEBSOCKET, port);
	else
		try_nat_test(result, check, talk, port);
	talks_free(talks);
}

void check_peer_websocket(struct check *check)
{
	struct check_result result;
	check_begin(&result, "ws.register");
	if (check->site.websocket_port == 0) {
		check_warn(&result,
		           "websocket-port is off: clients in WebSocket mode can't come in");
		check_fix(&result, "remove websocket-port = off from the settings and %s",
		          play_restart(check));
	} else {
		play_websocket(check, &result);
	}
	check_end(check, &result);
}
