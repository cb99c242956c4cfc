// SPDX-License-Identifier: MIT
#include "cmd/check/play.h"

#include "core/base64.h"
#include "keys/keypair.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void random_bytes(void *bytes, size_t len)
{
	if (!rds_random(bytes, len))
		abort(); // nothing can be played without
}

void play_device(struct player *player, const struct check *check, int which)
{
	player->id = check->site.ids[which];
	random_bytes(player->uuid, sizeof player->uuid);
	random_bytes(player->pk, sizeof player->pk);
}

rds_message play_register_peer(const struct player *player)
{
	rds_message msg = {.which_member = rds_RendezvousMessage_register_peer_tag};
	(void)rds_set(&msg.member.register_peer.id, rds_view_text(player->id));
	msg.member.register_peer.serial = INT32_MAX; // no news of other servers, please
	return msg;
}

rds_message play_register_pk(const struct player *player)
{
	rds_message msg = {.which_member = rds_RendezvousMessage_register_pk_tag};
	rds_RegisterPk *body = &msg.member.register_pk;
	(void)rds_set(&body->id, rds_view_text(player->id));
	(void)rds_set(&body->uuid, rds_view_of(player->uuid, sizeof player->uuid));
	(void)rds_set(&body->pk, rds_view_of(player->pk, sizeof player->pk));
	return msg;
}

rds_message play_punch_hole(const char *id, const char *key, bool force_relay)
{
	rds_message msg = {.which_member = rds_RendezvousMessage_punch_hole_request_tag};
	rds_PunchHoleRequest *body = &msg.member.punch_hole_request;
	(void)rds_set(&body->id, rds_view_text(id));
	(void)rds_set(&body->licence_key, rds_view_text(key));
	(void)rds_set(&body->version, rds_view_text(PLAY_VERSION));
	body->nat_type = 1;
	body->force_relay = force_relay;
	return msg;
}

rds_message play_request_relay(const char *uuid, const char *key)
{
	rds_message msg = {.which_member = rds_RendezvousMessage_request_relay_tag};
	(void)rds_set(&msg.member.request_relay.uuid, rds_view_text(uuid));
	(void)rds_set(&msg.member.request_relay.licence_key, rds_view_text(key));
	return msg;
}

void play_uuid(char out[PLAY_UUID])
{
	uint64_t numbers[2];
	random_bytes(numbers, sizeof numbers);
	(void)snprintf(out, PLAY_UUID, "rdsrv-check-%016" PRIx64 "%08" PRIx32, numbers[0],
	               (uint32_t)numbers[1]);
}

void play_wrong_key(char out[PLAY_KEY])
{
	uint8_t bytes[32];
	random_bytes(bytes, sizeof bytes);
	rds_base64_encode(bytes, sizeof bytes, out);
}

bool play_may_register(const struct check *check)
{
	return check->site.reserved || check->options.may_register;
}

const char *play_result_text(int32_t result)
{
	switch (result) {
	case rds_RegisterPkResponse_Result_OK:
		return "";
	case rds_RegisterPkResponse_Result_UUID_MISMATCH:
		return "UUID_MISMATCH: the id belongs to another machine";
	case rds_RegisterPkResponse_Result_ID_EXISTS:
		return "ID_EXISTS";
	case rds_RegisterPkResponse_Result_TOO_FREQUENT:
		return "TOO_FREQUENT: too many registrations from this address";
	case rds_RegisterPkResponse_Result_INVALID_ID_FORMAT:
		return "INVALID_ID_FORMAT";
	case rds_RegisterPkResponse_Result_NOT_SUPPORT:
		return "NOT_SUPPORT";
	case rds_RegisterPkResponse_Result_SERVER_ERROR:
		return "SERVER_ERROR: the registration can't be stored";
	case rds_RegisterPkResponse_Result_NOT_DEPLOYED:
		return "NOT_DEPLOYED: the server waits for an approval";
	default:
		return "a result that clients don't know";
	}
}

bool play_is_off(const struct check *check, enum rds_setting setting)
{
	return check->site.local && rds_settings_port(check->site.settings, setting) == 0;
}

const char *play_what_lacks(const struct check *check)
{
	if (!check->site.local)
		return play_may_register(check) ? "udp.register" : "--register";
	if (check_site_is_hidden(&check->site))
		return "run sudo rdsrv check";
	return check->site.reserved || check->site.id.running != SITE_ANSWERS
	               ? "udp.register"
	               : "no test ids are free: too many checks at once, try again in a minute";
}

const char *play_restart(const struct check *check)
{
	return check->site.local && check->site.id.running == SITE_NOT_RUNNING
	               ? "start the server (see service.id)"
	               : "restart the server (see service.id)";
}

// Nobody answers at all: something on the way throws packets away.
static void fix_silence(struct check_result *result, const struct check *check, const char *proto,
                        uint16_t port)
{
	if (check->site.local)
		check_fix(result,
		          "see service.id and firewall: does the server hang, or is %s "
		          "port %u filtered on this host?",
		          proto, port);
	else
		check_fix(result,
		          "open %s port %u at the server (`ufw allow %u/%s`) and forward it "
		          "on its router; then run rdsrv check there",
		          proto, port, port, proto);
}

void play_not_through(struct check_result *result, const struct check *check,
                      const struct talk *talk, const char *what, const char *proto, uint16_t port)
{
	switch (talk_ended(talk)) {
	case TALK_UNRESOLVED:
		check_fail(result, "%s", talk_why(talk));
		check_fix(result, "correct the name, or its entry in DNS");
		return;
	case TALK_NONSENSE:
		play_nonsense(result, check, talk);
		return;
	case TALK_UNREACHED:
		if (check_site_is_relay_only(&check->site) && port != check->site.relay_port &&
		    port != check->site.relay_websocket_port) {
			check_skip(result,
			           "no ID server runs on this relay's host: run rdsrv check "
			           "there");
			return;
		}
		check_fail(result, "%s is not there: %s", what, talk_why(talk));
		check_fix(result,
		          check->site.local
		                  ? "%s"
		                  : "start the server there, or correct host and port (%s)",
		          check->site.local ? play_restart(check) : talk_name(talk));
		return;
	case TALK_CLOSED:
		check_fail(result, "%s closes the connection: %s", what, talk_why(talk));
		check_fix(result, "look into the server's log for the reason");
		return;
	case TALK_OPEN:
	case TALK_TIMED_OUT:
		check_fail(result, "%s does not answer: %s", what, talk_why(talk));
		fix_silence(result, check, proto, port);
		return;
	}
}

void play_nonsense(struct check_result *result, const struct check *check, const struct talk *talk)
{
	check_fail(result, "no RustDesk server answers there: %s", talk_why(talk));
	check_fix(result, check->site.local
	                          ? "see listen.*: another program has the port"
	                          : "correct host and port, or what is forwarded to them");
}
