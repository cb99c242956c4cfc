// SPDX-License-Identifier: MIT
// Goal: sessions that begin, pass one message and end, as many as go, with so many under way.
//
// The first side sends a message as soon as it is connected; the second closes when it has come,
// and the end that reaches the first side is that of the session.
#include "test/bench/sides.h"
#include "test/bench/tool.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 64

enum kind { LISTENER, FIRST, SECOND };

struct load {
	struct sides sides;
	int epoll;
	uint32_t started;
	uint32_t ended;
	uint32_t messages;
};

static void watch(const struct load *load, int fd, enum kind kind)
{
	struct epoll_event event = {.events = EPOLLIN,
	                            .data.u64 = (uint64_t)kind << 32 | (uint32_t)fd};
	if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		tool_fail_errno("epoll_ctl");
}

static void start_session(struct load *load)
{
	static const uint8_t message[] = {0x04, 0x00};
	uint8_t bytes[SIDES_REQUEST_MAX + sizeof message];
	uint32_t n = load->started++;
	bool relayed = load->sides.listener < 0;
	size_t len = relayed ? sides_request(false, n, bytes) : 0;
	int first = tool_connect(&load->sides.first, sides_source(n));
	int second = relayed ? tool_connect(&load->sides.server, sides_source(n)) : -1;
	if (relayed)
		sides_send(second, bytes, len);
	for (size_t i = 0; i < sizeof message; i++)
		bytes[len++] = message[i];
	sides_send(first, bytes, len);
	watch(load, first, FIRST);
	if (relayed)
		watch(load, second, SECOND);
}

static void take_event(struct load *load, enum kind kind, int fd)
{
	uint8_t bytes[16];
	if (kind == LISTENER) {
		int second = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (second >= 0)
			watch(load, second, SECOND);
		return;
	}
	ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
	load->messages += kind == SECOND && n > 0;
	load->ended += kind == FIRST;
	(void)close(fd);
	if (kind == FIRST)
		start_session(load);
}

static void run(struct load *load, uint64_t end_us)
{
	struct epoll_event events[EVENTS];
	while (tool_now_us() < end_us) {
		int n = epoll_wait(load->epoll, events, EVENTS, 100);
		for (int i = 0; i < n; i++)
			take_event(load, (enum kind)(events[i].data.u64 >> 32),
			           (int)(uint32_t)events[i].data.u64);
	}
}

int main(int argc, char **argv)
{
	struct sides_options where = {.server = "127.0.0.1:21117", .backend = "", .websocket = ""};
	struct load load = {.epoll = epoll_create1(EPOLL_CLOEXEC)};
	long at_once = 64;
	long ms = 3000;
	const struct tool_option options[] = {SIDES_OPTIONS(&where),
	                                      {.name = "at-once", .number = &at_once},
	                                      {.name = "ms", .number = &ms}};
	tool_options(argc, argv, options, sizeof options / sizeof options[0]);
	sides_init(&load.sides, &where);
	if (load.sides.listener >= 0)
		watch(&load, load.sides.listener, LISTENER);
	uint64_t start_us = tool_now_us();
	for (long i = 0; i < at_once; i++)
		start_session(&load);
	run(&load, start_us + (uint64_t)ms * 1000);
	double seconds = (double)(tool_now_us() - start_us) / 1e6;
	(void)printf("{\"sessions\": %u, \"messages\": %u, \"seconds\": %.6f}\n", load.ended,
	             load.messages, seconds);
	return 0;
}
