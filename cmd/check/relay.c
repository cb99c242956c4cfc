// SPDX-License-Identifier: MIT
// relay.tcp, relay.ws, relay.mixed and relay.key (protocol.md section 9).
#include "cmd/check/local.h"
#include "cmd/check/session.h"

#include <stdio.h>
#include <string.h>

// Why no session can be tried; NULL: one can.
static const char *why_not(const struct check *check, bool websocket)
{
	if (check->site.relay_port == 0)
		return "no relay is known";
	if (websocket && check->site.relay_websocket_port == 0)
		return "";
	return NULL;
}

static uint16_t port_by(const struct check *check, enum talk_by by)
{
	return by == TALK_WEBSOCKET ? check->site.relay_websocket_port : check->site.relay_port;
}

static void play_session(struct check *check, struct check_result *result, enum talk_by first,
                         enum talk_by second)
{
	const struct check_site *site = &check->site;
	char uuid[PLAY_UUID];
	struct session session;
	struct talks *talks = talks_new(check);
	play_uuid(uuid);
	session_announce(check, uuid);
	struct session_way way = {.host = site->relay_host,
	                          .by = {first, second},
	                          .ports = {port_by(check, first), port_by(check, second)}};
	if (session_play(talks, &way, site->key, uuid, &session))
		session_fine(result, &session);
	else
		session_fault(result, check, &session, site->relay_host, port_by(check, first));
	talks_free(talks);
}

static void check_session(struct check *check, const char *name, enum talk_by first,
                          enum talk_by second)
{
	struct check_result result;
	check_begin(&result, name);
	const char *why = why_not(check, first == TALK_WEBSOCKET);
	if (why == NULL) {
		play_session(check, &result, first, second);
	} else if (why[0] != '\0') {
		check_skip(&result, "%s", why);
	} else {
		check_warn(&result, "relay-websocket-port is off: clients in WebSocket mode reach "
		                    "no relay");
		check_fix(&result, "remove relay-websocket-port = off from the settings and %s",
		          play_restart(check));
	}
	check_end(check, &result);
}

void check_relay_tcp(struct check *check)
{
	check_session(check, "relay.tcp", TALK_TCP, TALK_TCP);
}

void check_relay_websocket(struct check *check)
{
	check_session(check, "relay.ws", TALK_WEBSOCKET, TALK_WEBSOCKET);
}

void check_relay_mixed(struct check *check)
{
	check_session(check, "relay.mixed", TALK_WEBSOCKET, TALK_TCP);
}

// --- relay.key

static void tell_open_relay(struct check_result *result, const struct check *check)
{
	check_warn(result, "the relay pairs clients that have another key: anybody can use it");
	if (check->site.local)
		local_fix_open(&check->site, true, result);
	else
		check_fix(result, "start that relay with -k _ to enforce its key");
}

static void play_with_wrong_key(struct check *check, struct check_result *result)
{
	const struct check_site *site = &check->site;
	char uuid[PLAY_UUID];
	char key[PLAY_KEY];
	struct rds_view payload;
	struct talks *talks = talks_new(check);
	play_uuid(uuid);
	play_wrong_key(key);
	session_announce(check, uuid);
	rds_message request = play_request_relay(uuid, key);
	struct talk *one = talk_open(talks, TALK_TCP, site->relay_host, site->relay_port);
	talk_send(one, &request);
	if (talk_ended(one) == TALK_OPEN) {
		struct talk *other = talk_open(talks, TALK_TCP, site->relay_host, site->relay_port);
		talk_send(other, &request);
		talk_send_bytes(other, rds_view_text("rdsrv check"));
	}
	if (talk_ended(one) != TALK_OPEN && talk_ended(one) != TALK_CLOSED)
		check_skip(result, "needs a relay that answers (relay.tcp)");
	else if (talk_receive_within(one, check->options.timeout_ms / 2, &payload))
		tell_open_relay(result, check);
	else if (talk_ended(one) == TALK_CLOSED)
		check_ok(result, "a client with another key is sent away");
	else
		check_skip(result, "the relay neither pairs nor refuses a client with another key");
	talks_free(talks);
}

void check_relay_key(struct check *check)
{
	struct check_result result;
	const char *why = why_not(check, false);
	check_begin(&result, "relay.key");
	if (why != NULL)
		check_skip(&result, "%s", why);
	else
		play_with_wrong_key(check, &result);
	check_end(check, &result);
}
