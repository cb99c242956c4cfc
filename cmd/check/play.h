// SPDX-License-Identifier: MIT
// What played clients say, and what they make of the answers.
#ifndef RDS_CMD_CHECK_PLAY_H
#define RDS_CMD_CHECK_PLAY_H

#include "cmd/check/talk.h"

// A version that servers take for a client of today's.
#define PLAY_VERSION "1.4.2"

// A device that is played; its uuid and public key are random.
struct player {
	const char *id;
	uint8_t uuid[16];
	uint8_t pk[32];
};

// Which of the ids a script plays with, so that no two meet.
enum { PLAY_UDP, PLAY_TCP, PLAY_WEBSOCKET, PLAY_SPARE };

void play_device(struct player *player, const struct check *check, int which);

rds_message play_register_peer(const struct player *player);
rds_message play_register_pk(const struct player *player);
rds_message play_punch_hole(const char *id, const char *key, bool force_relay);
rds_message play_request_relay(const char *uuid, const char *key);

// A session's uuid that our servers know for a check's. Room: PLAY_UUID.
#define PLAY_UUID 48
void play_uuid(char out[PLAY_UUID]);

// A key that is nobody's. Room: PLAY_KEY.
#define PLAY_KEY 48
void play_wrong_key(char out[PLAY_KEY]);

// Whether rows may come into being at the server: ours forgets them, others only if it is wanted.
bool play_may_register(const struct check *check);

// What it takes to get a registered device, for brackets.
const char *play_what_lacks(const struct check *check);

// What RegisterPkResponse says, in words; "" for OK.
const char *play_result_text(int32_t result);

// A failure to get through to one of the server's ports: what was seen, and what to do about it.
// what: "the ID server"; proto: "tcp" or "udp".
void play_not_through(struct check_result *result, const struct check *check,
                      const struct talk *talk, const char *what, const char *proto, uint16_t port);

// The server answers what makes no sense.
void play_nonsense(struct check_result *result, const struct check *check, const struct talk *talk);

// Settings of a local server: whether that one says off. Elsewhere: no.
bool play_is_off(const struct check *check, enum rds_setting setting);

// The command that restarts what runs here, to be put behind "and ".
const char *play_restart(const struct check *check);

#endif
