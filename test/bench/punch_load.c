// SPDX-License-Identifier: MIT
// Goal: how long A waits from its request to B's answer (PunchHoleResponse), one attempt after the
// other. A and B are both here: B is registered over UDP and answers over TCP, as clients do, so
// its time is in it.
#include "test/bench/peers.h"
#include "test/bench/tool.h"
#include "test/bench/wire.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

// Behind all those that are on file, at addresses of their own.
#define B        50000000
#define SOURCE_B 0x7ffe0001U // 127.254.0.1
#define SOURCE_A 0x7ffe0002U

#define REGISTER_US 10000000

struct b {
	struct sockaddr_in server;
	int fd;
	uint64_t said_us;
};

static void say(struct b *b, bool with_key)
{
	rds_message msg;
	uint8_t bytes[256];
	wire_register_pk(B, &msg);
	if (!with_key) {
		rds_message peer = {.which_member = rds_RendezvousMessage_register_peer_tag};
		(void)rds_set(&peer.member.register_peer.id, rds_get(msg.member.register_pk.id));
		msg = peer;
	}
	long len = rds_message_encode(&msg, bytes, sizeof bytes);
	if (len < 0 || send(b->fd, bytes, (size_t)len, 0) != len)
		tool_fail_errno("send");
	b->said_us = tool_now_us();
}

static bool hear(const struct b *b, rds_message *msg)
{
	uint8_t bytes[1024];
	ssize_t n = recv(b->fd, bytes, sizeof bytes, 0);
	return n > 0 && rds_message_decode(rds_view_of(bytes, (size_t)n), msg) == 0;
}

static void open_b(struct b *b)
{
	static const struct timeval wait = {.tv_sec = 1};
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(SOURCE_B)};
	rds_message msg;
	b->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(b->fd, (const struct sockaddr *)&own, sizeof own) != 0 ||
	    connect(b->fd, (const struct sockaddr *)&b->server, sizeof b->server) != 0)
		tool_fail_errno("can't make B's socket");
	(void)setsockopt(b->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	for (int tries = 0; tries < 30; tries++) {
		say(b, true);
		if (hear(b, &msg) &&
		    msg.which_member == rds_RendezvousMessage_register_pk_response_tag &&
		    msg.member.register_pk_response.result == 0)
			return;
		(void)usleep(2500000); // three tries in six seconds are allowed
	}
	tool_fail("B could not register");
}

static void *answer(void *arg)
{
	struct b *b = arg;
	for (;;) {
		rds_message msg;
		if (tool_now_us() - b->said_us > REGISTER_US)
			say(b, false);
		if (hear(b, &msg) && msg.which_member == rds_RendezvousMessage_punch_hole_tag)
			wire_answer_punch(&b->server, SOURCE_B, B, &msg.member.punch_hole);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const char *server = "127.0.0.1:21116";
	const char *key = "";
	long count = 1000;
	long pause_us = 2000;
	long offer = 1; // whether the server speaks first on TCP
	pthread_t thread;
	const struct tool_option options[] = {{.name = "server", .text = &server},
	                                      {.name = "key", .text = &key},
	                                      {.name = "count", .number = &count},
	                                      {.name = "pause_us", .number = &pause_us},
	                                      {.name = "offer", .number = &offer}};
	tool_options(argc, argv, options, sizeof options / sizeof options[0]);
	struct b b = {.server = tool_address(server)};
	uint32_t *took = calloc((size_t)count, sizeof *took);
	size_t n = 0;
	open_b(&b);
	if (took == NULL || pthread_create(&thread, NULL, answer, &b) != 0)
		tool_fail("can't start B");
	for (long i = 0; i < count; i++) {
		took[n] = wire_punch(&b.server, SOURCE_A, B, key, offer != 0);
		n += took[n] > 0;
		(void)usleep((useconds_t)pause_us);
	}
	tool_sort(took, n);
	(void)printf("{\"answered\": %zu, \"failed\": %zu, \"p50_us\": %u, \"p99_us\": %u}\n", n,
	             (size_t)count - n, tool_percentile(took, n, 0.5),
	             tool_percentile(took, n, 0.99));
	free(took);
	return 0;
}
