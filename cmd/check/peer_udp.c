// SPDX-License-Identifier: MIT
// udp.register and online; then, with the device registered, what cmd/check/punch.c plays.
#include "cmd/check/punch.h"

#include <stdio.h>
#include <string.h>

static bool is_answer_ok(struct check_result *result, const struct check *check,
                         const rds_message *answer)
{
	int32_t code = answer->member.register_pk_response.result;
	if (code == rds_RegisterPkResponse_Result_OK)
		return true;
	check_fail(result, "the registration is refused: %s", play_result_text(code));
	if (code == rds_RegisterPkResponse_Result_SERVER_ERROR)
		check_fix(result, "see files.database and files.data-dir: can the server write?");
	else
		check_fix(result, check->site.local ? "see `rdsrv ctl id blocked`, and the log"
		                                    : "wait a minute and try again");
	return false;
}

// RegisterPeer, request_pk, RegisterPk (protocol.md section 4); whether the device is registered.
static bool register_device(struct check *check, struct check_result *result,
                            const struct player *player, struct talk *udp)
{
	rds_message answer;
	rds_message hello = play_register_peer(player);
	rds_message pk = play_register_pk(player);
	if (!talk_ask(udp, &hello, rds_RendezvousMessage_register_peer_response_tag, &answer)) {
		play_not_through(result, check, udp, "the ID server's UDP port", "udp",
		                 check->site.id_port);
		return false;
	}
	if (!play_may_register(check)) {
		check_ok(result,
		         "%s answers and asks for a key; stopped there, since a row would "
		         "stay in its database (%s)",
		         talk_name(udp), play_what_lacks(check));
		return false;
	}
	if (!talk_ask(udp, &pk, rds_RendezvousMessage_register_pk_response_tag, &answer)) {
		play_not_through(result, check, udp, "the ID server's UDP port", "udp",
		                 check->site.id_port);
		return false;
	}
	if (!is_answer_ok(result, check, &answer))
		return false;
	if (!talk_ask(udp, &hello, rds_RendezvousMessage_register_peer_response_tag, &answer) ||
	    answer.member.register_peer_response.request_pk) {
		check_fail(result, "registered, but %s asks for the key again", talk_name(udp));
		check_fix(result, "does something on the way change the device's address with "
		                  "each datagram? Look at nat");
		return false;
	}
	check_ok(result, "%s registered at %s%s", player->id, talk_name(udp),
	         check->site.reserved ? "" : "; its row stays behind in the server's database");
	return true;
}

static bool check_register(struct check *check, const struct player *player, struct talk *udp)
{
	struct check_result result;
	bool registered = false;
	check_begin(&result, "udp.register");
	if (talk_ended(udp) != TALK_OPEN)
		play_not_through(&result, check, udp, "the ID server's UDP port", "udp",
		                 check->site.id_port);
	else
		registered = register_device(check, &result, player, udp);
	check_end(check, &result);
	return registered;
}

// One bit a peer, the first one highest (protocol.md section 7): ours, then one that is nowhere.
static void judge_states(struct check_result *result, const struct check *check,
                         const struct talk *talk, struct rds_view payload)
{
	struct rds_cursor at = rds_cursor_of(payload, rds_RendezvousMessage_online_response_tag,
	                                     rds_OnlineResponse_states_tag);
	struct rds_view states = {0};
	if (!rds_cursor_next(&at, &states) || states.len != 1 || (states.data[0] & 0x40U) != 0) {
		check_fail(result, "%s gives an answer that clients can't use (%zu bytes)",
		           talk_name(talk), states.len);
		check_fix(result, "is it a RustDesk server? Update it, or correct the port");
	} else if ((states.data[0] & 0x80U) == 0) {
		check_fail(result, "%s says that the device is offline, just after it registered",
		           talk_name(talk));
		check_fix(result,
		          check->site.local ? "%s" : "do both ports lead to the same server? %s",
		          check->site.local ? play_restart(check)
		                            : "Look at what is forwarded to them");
	} else {
		check_ok(result, "%s tells the device to be online", talk_name(talk));
	}
}

static void ask_online(struct check *check, struct check_result *result,
                       const struct player *player, struct talks *talks)
{
	struct rds_view ids[] = {rds_view_text(player->id), rds_view_text("rdsrv-check-nobody")};
	struct rds_list list = {.items = ids, .n = 2};
	rds_message msg = {.which_member = rds_RendezvousMessage_online_request_tag};
	rds_message answer;
	struct rds_view payload;
	(void)rds_set(&msg.member.online_request.id, rds_view_text(player->id));
	msg.member.online_request.peers = rds_list_field(&list);
	struct talk *talk = talk_open(talks, TALK_TCP, check->site.id_host, check->site.nat_port);
	talk_send(talk, &msg);
	if (talk_expect(talk, rds_RendezvousMessage_online_response_tag, 0, &answer, &payload))
		judge_states(result, check, talk, payload);
	else
		play_not_through(result, check, talk, "the port for online queries", "tcp",
		                 check->site.nat_port);
	talk_close(talk);
}

static void check_online(struct check *check, const struct player *player, struct talks *talks)
{
	struct check_result result;
	check_begin(&result, "online");
	if (check->site.nat_port == 0) {
		check_warn(&result, "nat-port is off: clients can't see who is online");
		check_fix(&result, "remove nat-port = off from the settings and %s",
		          play_restart(check));
	} else {
		ask_online(check, &result, player, talks);
	}
	check_end(check, &result);
}

void check_peer_udp(struct check *check)
{
	struct player player;
	struct talks *talks = talks_new(check);
	play_device(&player, check, PLAY_UDP);
	struct talk *udp = talk_open(talks, TALK_UDP, check->site.id_host, check->site.id_port);
	bool registered = check_register(check, &player, udp);
	if (registered)
		check_online(check, &player, talks);
	else
		check_skipped(check, "online", "needs a registered device (udp.register)");
	punch_play(check, talks, &player, registered ? udp : NULL);
	talks_free(talks);
}
