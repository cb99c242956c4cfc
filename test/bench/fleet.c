// SPDX-License-Identifier: MIT
// Goal: so many peers over UDP, TCP and WebSocket register and stay registered, while others punch
// through to them. Says when all are registered; after a line on its standard input it punches for
// so many seconds, if it is to, and asks who is online; says how it went, and ends after one more
// line. A process has descriptors for some thousands: several of these make a fleet, and the one
// that punches knows of all.
#include "test/bench/fleet.h"
#include "test/bench/peers.h"
#include "test/bench/tool.h"
#include "test/bench/wire.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SOURCE_A 0x7ffe0002U // 127.254.0.2

static struct {
	const char *server;
	const char *nat;
	const char *websocket_at;
	const char *key;
	long first;
	long udp;
	long tcp;
	long websocket;
	long punches; // a second
	long seconds;
	long everybody; // how many peers there are in all, from 0
} set = {.server = "127.0.0.1:21116",
         .nat = "127.0.0.1:21115",
         .websocket_at = "127.0.0.1:21118",
         .key = ""};

static const struct tool_option options[] = {
        {.name = "server", .text = &set.server},
        {.name = "nat", .text = &set.nat},
        {.name = "websocket_at", .text = &set.websocket_at},
        {.name = "key", .text = &set.key},
        {.name = "first", .number = &set.first},
        {.name = "udp", .number = &set.udp},
        {.name = "tcp", .number = &set.tcp},
        {.name = "websocket", .number = &set.websocket},
        {.name = "punches", .number = &set.punches},
        {.name = "seconds", .number = &set.seconds},
        {.name = "everybody", .number = &set.everybody},
};

struct punches {
	size_t done;
	size_t failed;
	uint32_t *took_us;
};

// One after the other, to peers all over the fleet.
static struct punches punch(const struct sockaddr_in *server)
{
	size_t most = (size_t)(set.punches * set.seconds);
	struct punches out = {.took_us = calloc(most + 1, sizeof *out.took_us)};
	uint64_t start_us = tool_now_us();
	for (size_t i = 0; i < most && out.took_us != NULL; i++) {
		uint64_t due_us = start_us + i * 1000000 / (size_t)set.punches;
		uint64_t now_us = tool_now_us();
		if (now_us < due_us)
			(void)usleep((useconds_t)(due_us - now_us));
		uint32_t target = (uint32_t)(i * 2654435761U % (size_t)set.everybody);
		uint32_t took = wire_punch(server, SOURCE_A, target, set.key, true);
		if (took > 0)
			out.took_us[out.done++] = took;
		else
			out.failed++;
	}
	tool_sort(out.took_us, out.done);
	return out;
}

// Asks for a thousand at a time (OnlineRequest, one exchange per connection).
#define ASKED_AT_ONCE 1000

static size_t ask_online(const struct sockaddr_in *nat, uint32_t first, uint32_t n)
{
	static struct peer_texts texts[ASKED_AT_ONCE];
	static struct rds_view ids[ASKED_AT_ONCE];
	static uint8_t bytes[ASKED_AT_ONCE * 16];
	struct wire wire;
	struct rds_view answer;
	struct rds_list list = {.items = ids, .n = n};
	rds_message msg = {.which_member = rds_RendezvousMessage_online_request_tag};
	for (uint32_t i = 0; i < n; i++) {
		peers_texts(first + i, &texts[i]);
		ids[i] = rds_view_of(texts[i].id, sizeof texts[i].id);
	}
	msg.member.online_request.peers = rds_list_field(&list);
	long len = rds_message_encode(&msg, bytes, sizeof bytes);
	wire_open(&wire, nat, SOURCE_A, false);
	if (len < 0 || !wire_send(&wire, rds_view_of(bytes, (size_t)len)) ||
	    !wire_read(&wire, &answer))
		tool_fail("nobody says who is online");
	struct rds_cursor at = rds_cursor_of(answer, rds_RendezvousMessage_online_response_tag,
	                                     rds_OnlineResponse_states_tag);
	struct rds_view states = {0};
	size_t online = 0;
	(void)rds_cursor_next(&at, &states);
	for (size_t i = 0; i < states.len; i++)
		online += (size_t)__builtin_popcount(states.data[i]);
	wire_close(&wire);
	return online;
}

static size_t count_online(void)
{
	struct sockaddr_in nat = tool_address(set.nat);
	size_t online = 0;
	for (long first = 0; first < set.everybody; first += ASKED_AT_ONCE) {
		long n = set.everybody - first;
		online += ask_online(&nat, (uint32_t)first,
		                     (uint32_t)(n < ASKED_AT_ONCE ? n : ASKED_AT_ONCE));
	}
	return online;
}

static void wait_for_line(void)
{
	int c = 0;
	while (c != '\n' && c != EOF)
		c = getchar();
}

static void punch_and_tell(void)
{
	struct sockaddr_in server = tool_address(set.server);
	struct punches punches = punch(&server);
	(void)printf("\"punched\": %zu, \"failed\": %zu, \"p50_us\": %u, \"p99_us\": %u, "
	             "\"online\": %zu, ",
	             punches.done, punches.failed,
	             tool_percentile(punches.took_us, punches.done, 0.5),
	             tool_percentile(punches.took_us, punches.done, 0.99), count_online());
	free(punches.took_us);
}

static struct fleet_part make_part(long first, long n, long n_websocket)
{
	return (struct fleet_part){.server = tool_address(set.server),
	                           .websocket = tool_address(set.websocket_at),
	                           .first = (uint32_t)first,
	                           .n = (uint32_t)n,
	                           .n_websocket = (uint32_t)n_websocket};
}

int main(int argc, char **argv)
{
	pthread_t threads[2];
	tool_options(argc, argv, options, sizeof options / sizeof options[0]);
	long n_conns = set.tcp + set.websocket;
	struct fleet_part udp = make_part(set.first, set.udp, 0);
	struct fleet_part conns = make_part(set.first + set.udp, n_conns, set.websocket);
	if (pthread_create(&threads[0], NULL, fleet_udp, &udp) != 0 ||
	    pthread_create(&threads[1], NULL, fleet_conns, &conns) != 0)
		tool_fail("can't start a thread");
	while (udp.registered < udp.n || conns.registered < conns.n)
		(void)usleep(10000);
	(void)printf("{\"registered\": %u}\n", udp.registered + conns.registered);
	(void)fflush(stdout);
	wait_for_line();
	(void)printf("{");
	if (set.punches > 0)
		punch_and_tell();
	(void)printf("\"lost\": %u, \"unanswered\": %u, \"heartbeats\": %u}\n",
	             udp.lost + conns.lost, udp.repeats, conns.heartbeats);
	(void)fflush(stdout);
	wait_for_line();
	udp.stop = conns.stop = true;
	(void)pthread_join(threads[0], NULL);
	(void)pthread_join(threads[1], NULL);
	return 0;
}
