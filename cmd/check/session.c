// SPDX-License-Identifier: MIT
#include "cmd/check/session.h"

#include "cmd/running.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PINGS       21
#define PING_BYTES  16
#define BULK_BYTES  (64 * 1024)
#define CHUNK_BYTES (16 * 1024)

static uint64_t now_us(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void session_announce(const struct check *check, const char *uuid)
{
	char request[PLAY_UUID + 16];
	struct rds_error err;
	cJSON *answer = NULL;
	if (check->site.relay.running != SITE_ANSWERS)
		return;
	(void)snprintf(request, sizeof request, "check-issue %s", uuid);
	if (rds_running_ask_within(check->site.dir, "relay", request, check->site.here_ms, &answer,
	                           &err) != 0)
		return; // the session itself shows what comes of it
	cJSON_Delete(answer);
}

static bool arrives(struct talk *from, struct talk *to, struct rds_view bytes)
{
	struct rds_view payload;
	talk_send_bytes(from, bytes);
	if (!talk_receive(to, &payload))
		return false;
	if (rds_view_equal(payload, bytes))
		return true;
	talk_note(to, "%s delivers other bytes than were sent", talk_name(to));
	return false;
}

static int compare(const void *a, const void *b)
{
	uint64_t one = *(const uint64_t *)a;
	uint64_t other = *(const uint64_t *)b;
	return one < other ? -1 : one > other;
}

static bool ping(struct session *session)
{
	uint64_t took_us[PINGS];
	uint8_t bytes[PING_BYTES];
	for (size_t i = 0; i < PINGS; i++) {
		uint64_t began_us = now_us();
		memset(bytes, (int)('a' + i), sizeof bytes);
		struct rds_view small = rds_view_of(bytes, sizeof bytes);
		if (!arrives(session->sides[1], session->sides[0], small) ||
		    !arrives(session->sides[0], session->sides[1], small))
			return false;
		took_us[i] = now_us() - began_us;
	}
	qsort(took_us, PINGS, sizeof took_us[0], compare);
	session->p50_us = (unsigned)took_us[PINGS / 2];
	return true;
}

static void fill(uint8_t *bytes, size_t seed)
{
	for (size_t i = 0; i < CHUNK_BYTES; i++)
		bytes[i] = (uint8_t)(i * 131 + seed * 17 + (i >> 8));
}

// All of it is under way at once, both ways.
static bool bulk(struct session *session)
{
	static const size_t chunks = BULK_BYTES / CHUNK_BYTES;
	uint8_t bytes[CHUNK_BYTES];
	uint64_t began_us = now_us();
	for (size_t i = 0; i < chunks; i++) {
		fill(bytes, i);
		for (size_t side = 0; side < 2; side++)
			talk_send_bytes(session->sides[side], rds_view_of(bytes, sizeof bytes));
	}
	for (size_t i = 0; i < chunks; i++) {
		fill(bytes, i);
		for (size_t side = 0; side < 2; side++) {
			struct rds_view payload;
			if (!talk_receive(session->sides[side], &payload))
				return false;
			if (!rds_view_equal(payload, rds_view_of(bytes, sizeof bytes))) {
				talk_note(session->sides[side],
				          "%s delivers other bytes than were sent",
				          talk_name(session->sides[side]));
				return false;
			}
		}
	}
	uint64_t took_us = now_us() - began_us;
	session->rate_bps = 2ULL * BULK_BYTES * 1000000 / (took_us == 0 ? 1 : took_us);
	return true;
}

static bool run(struct session *session)
{
	struct rds_view hello = rds_view_text("rdsrv check");
	session->failed = "pairing";
	if (!arrives(session->sides[1], session->sides[0], hello))
		return false;
	session->failed = "small messages";
	if (!ping(session))
		return false;
	session->failed = "64 KiB each way";
	if (!bulk(session))
		return false;
	session->failed = NULL;
	return true;
}

bool session_play(struct talks *talks, const struct session_way *way, const char *key,
                  const char *uuid, struct session *session)
{
	rds_message request = play_request_relay(uuid, key);
	char address[RDS_IP_TEXT] = "";
	*session = (struct session){.failed = "connecting"};
	for (size_t i = 0; i < 2; i++) {
		session->sides[i] =
		        talk_open(talks, way->by[i], i == 0 ? way->host : address, way->ports[i]);
		if (talk_ended(session->sides[i]) != TALK_OPEN)
			return false;
		talk_send(session->sides[i], &request);
		talk_go_raw(session->sides[i]);
		rds_ip_format(&talk_remote(session->sides[i])->ip, address);
	}
	return run(session);
}

void session_fine(struct check_result *result, const struct session *session)
{
	check_ok(result, "paired at %s; there and back in %u.%02u ms, %llu.%llu MB/s",
	         talk_name(session->sides[0]), session->p50_us / 1000, session->p50_us % 1000 / 10,
	         (unsigned long long)(session->rate_bps / 1000000),
	         (unsigned long long)(session->rate_bps % 1000000 / 100000));
}

// Of the two, the one that has something to tell.
static const struct talk *telling_side(const struct session *session)
{
	bool second = session->sides[1] != NULL && talk_why(session->sides[1])[0] != '\0' &&
	              talk_ended(session->sides[1]) != TALK_OPEN;
	return session->sides[second ? 1 : 0];
}

void session_fault(struct check_result *result, const struct check *check,
                   const struct session *session, const char *host, uint16_t port)
{
	const struct talk *talk = telling_side(session);
	bool connected = strcmp(session->failed, "connecting") != 0;
	if (!connected) {
		play_not_through(result, check, talk, "the relay", "tcp", port);
		if (check->site.local && talk_ended(talk) == TALK_UNREACHED)
			check_fix(result, "start the relay (see service.relay)");
		return;
	}
	result->answered = true;
	if (!check->site.local && check->site.key[0] == '\0' && talk_ended(talk) == TALK_CLOSED) {
		check_skip(result, "the relay at %s answers, and asks for its key: give --key KEY",
		           host);
		return;
	}
	check_fail(result, "the relay at %s takes the connections, but %s fails: %s", host,
	           session->failed, talk_why(talk));
	if (strcmp(session->failed, "pairing") != 0)
		check_fix(result, "look into the relay's log; is something between that changes "
		                  "or stops the bytes?");
	else if (talk_ended(talk) == TALK_CLOSED && check->site.local)
		check_fix(result, "it refuses this key: give it the ID server's key files and "
		                  "restart it (see keys.same)");
	else if (talk_ended(talk) == TALK_CLOSED)
		check_fix(result, "it refuses this key: correct --key, unless tcp.secure is fine; "
		                  "then the relay has another key than the ID server");
	else
		check_fix(result, "is it a relay? See service.relay and its log");
}
