// SPDX-License-Identifier: MIT
// Goal: sessions that move bytes one way, as many as go, for so many milliseconds.
// from=0: first sides send; from=1: second ones.
//
// Sending costs one copy of bytes that stay in the cache, receiving none: the kernel throws them
// away. So both together cost about half of what any relay does.
#include "test/bench/sides.h"
#include "test/bench/tool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_BYTES ((size_t)32 * 1024)
#define MESSAGES      8
#define RECEIVE_BYTES ((size_t)1024 * 1024)

struct bulk {
	int from;
	int to;
	bool websocket; // what is sent
	_Atomic uint64_t received;
};

// Whole messages, again and again; ends with the connection.
static void *send_all(void *arg)
{
	const struct bulk *bulk = arg;
	uint8_t *message = calloc(1, MESSAGE_BYTES);
	uint8_t *bytes = malloc(MESSAGES * (MESSAGE_BYTES + SIDES_HEAD_MAX));
	size_t len = 0;
	if (message == NULL || bytes == NULL)
		tool_fail("out of memory");
	for (int i = 0; i < MESSAGES; i++)
		len += sides_frame(bulk->websocket, message, MESSAGE_BYTES, bytes + len);
	size_t at = 0;
	ssize_t n;
	while ((n = send(bulk->from, bytes + at, len - at, MSG_NOSIGNAL)) > 0)
		at = (at + (size_t)n) % len;
	free(message);
	free(bytes);
	return NULL;
}

static void *receive_all(void *arg)
{
	struct bulk *bulk = arg;
	ssize_t n;
	while ((n = recv(bulk->to, NULL, RECEIVE_BYTES, MSG_TRUNC)) > 0)
		bulk->received += (uint64_t)n;
	return NULL;
}

static void start(void *(*run)(void *), void *arg)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, run, arg) != 0)
		tool_fail("can't start a thread");
	(void)pthread_detach(thread);
}

static uint64_t sum(const struct bulk *bulks, long n)
{
	uint64_t bytes = 0;
	for (long i = 0; i < n; i++)
		bytes += bulks[i].received;
	return bytes;
}

int main(int argc, char **argv)
{
	struct sides_options where = {.server = "127.0.0.1:21117", .backend = "", .websocket = ""};
	struct sides sides;
	long sessions = 1;
	long ms = 3000;
	long from = 0;
	const struct tool_option options[] = {SIDES_OPTIONS(&where),
	                                      {.name = "sessions", .number = &sessions},
	                                      {.name = "from", .number = &from},
	                                      {.name = "ms", .number = &ms}};
	tool_options(argc, argv, options, sizeof options / sizeof options[0]);
	sides_init(&sides, &where);
	static struct bulk *bulks; // the threads' until the end
	bulks = calloc((size_t)sessions, sizeof *bulks);
	if (bulks == NULL)
		tool_fail("out of memory");
	for (long i = 0; i < sessions; i++) {
		int fds[2];
		sides_open(&sides, (uint32_t)i, fds);
		bulks[i].from = fds[from != 0];
		bulks[i].to = fds[from == 0];
		bulks[i].websocket = sides.websocket && from == 0;
		start(receive_all, &bulks[i]);
		start(send_all, &bulks[i]);
	}
	uint64_t start_us = tool_now_us();
	(void)usleep((useconds_t)ms * 1000);
	uint64_t bytes = sum(bulks, sessions);
	double seconds = (double)(tool_now_us() - start_us) / 1e6;
	(void)printf("{\"bytes\": %llu, \"seconds\": %.6f}\n", (unsigned long long)bytes, seconds);
	return 0;
}
