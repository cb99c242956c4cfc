// SPDX-License-Identifier: MIT
// Goal: sessions that each send messages at a steady rate, of random lengths between two bounds;
// how long each is under way, and what it costs the server, is what matters.
//
// One thread sends, each session at its own moments; another receives. A message's time begins when
// it is handed to the kernel, so that a late sender is not taken for a slow relay, and ends when
// its last byte is there. What was sent when is known here, so the bytes themselves are thrown
// away.
#include "test/bench/sides.h"
#include "test/bench/tool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_BYTES ((size_t)1024 * 1024)
#define EVENTS        256

struct sent {
	uint64_t end; // its last byte's place among all of its session
	uint64_t sent_us;
};

struct session {
	int from;
	int to;
	double phase;      // when in each period it sends
	struct sent *sent; // all its messages
	_Atomic size_t n_sent;
	size_t n_received;
	uint64_t bytes_sent;
	uint64_t bytes_received;
};

struct load {
	struct session *sessions; // by phase
	size_t n;
	size_t rounds; // messages of each session
	long rate;
	long least;
	long most;
	uint32_t *took_us;
	size_t taken;
	uint64_t seed;
};

// xorshift64: the same messages in every run.
static uint64_t draw(struct load *load)
{
	load->seed ^= load->seed << 13;
	load->seed ^= load->seed >> 7;
	load->seed ^= load->seed << 17;
	return load->seed;
}

// The first tenth warms up.
static size_t warm_up_rounds(const struct load *load)
{
	return load->rounds / 10;
}

// Notes the messages of which the last byte has come.
static void take(struct load *load, struct session *session, size_t len)
{
	uint64_t now_us = tool_now_us();
	session->bytes_received += len;
	while (session->n_received < session->n_sent &&
	       session->sent[session->n_received].end <= session->bytes_received) {
		const struct sent *sent = &session->sent[session->n_received++];
		if (session->n_received > warm_up_rounds(load))
			load->took_us[load->taken++] = (uint32_t)(now_us - sent->sent_us);
	}
}

static void *receive(void *arg)
{
	struct load *load = arg;
	struct epoll_event events[EVENTS];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	for (size_t i = 0; i < load->n; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = &load->sessions[i]};
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, load->sessions[i].to, &event) != 0)
			tool_fail_errno("epoll_ctl");
	}
	for (size_t left = load->n; left > 0;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			struct session *session = events[i].data.ptr;
			ssize_t len =
			        recv(session->to, NULL, RECEIVE_BYTES, MSG_DONTWAIT | MSG_TRUNC);
			if (len == 0)
				tool_fail("a session ended");
			if (len > 0)
				take(load, session, (size_t)len);
			left -= len > 0 && session->n_received == load->rounds;
		}
	}
	(void)close(epoll);
	return NULL;
}

static void send_message(struct load *load, struct session *session)
{
	static const uint8_t bytes[1024 * 1024];
	struct sent *sent = &session->sent[session->n_sent];
	size_t len = (size_t)load->least + draw(load) % (size_t)(load->most - load->least + 1);
	session->bytes_sent += len;
	*sent = (struct sent){.end = session->bytes_sent, .sent_us = tool_now_us()};
	session->n_sent++;
	sides_send(session->from, bytes, len);
}

static void send_all(struct load *load)
{
	double period_us = 1e6 / (double)load->rate;
	uint64_t start_us = tool_now_us();
	(void)prctl(PR_SET_TIMERSLACK, 1UL);
	for (size_t round = 0; round < load->rounds; round++) {
		for (size_t i = 0; i < load->n; i++) {
			double at_us = ((double)round + load->sessions[i].phase) * period_us;
			uint64_t due_us = start_us + (uint64_t)at_us;
			for (uint64_t now_us; (now_us = tool_now_us()) < due_us;)
				(void)usleep((useconds_t)(due_us - now_us));
			send_message(load, &load->sessions[i]);
		}
	}
}

static int compare(const void *a, const void *b)
{
	double x = ((const struct session *)a)->phase;
	double y = ((const struct session *)b)->phase;
	return (x > y) - (x < y);
}

static void *allocate(size_t n, size_t size)
{
	void *out = calloc(n, size);
	if (out == NULL)
		tool_fail("out of memory");
	return out;
}

static void open_all(struct load *load, const struct sides *sides)
{
	load->sessions = allocate(load->n, sizeof *load->sessions);
	load->took_us = allocate(load->n * load->rounds, sizeof *load->took_us);
	for (size_t i = 0; i < load->n; i++) {
		struct session *session = &load->sessions[i];
		int fds[2];
		sides_open(sides, (uint32_t)i, fds);
		session->from = fds[0];
		session->to = fds[1];
		session->phase = (double)(draw(load) % 1000000) / 1e6;
		session->sent = allocate(load->rounds, sizeof *session->sent);
	}
	qsort(load->sessions, load->n, sizeof *load->sessions, compare);
}

int main(int argc, char **argv)
{
	struct sides_options where = {.server = "127.0.0.1:21117", .backend = "", .websocket = ""};
	struct sides sides;
	struct load load = {.rate = 60, .least = 200, .most = 20000, .seed = 88172645463325252U};
	long sessions = 500;
	long ms = 3000;
	pthread_t receiver;
	const struct tool_option options[] = {SIDES_OPTIONS(&where),
	                                      {.name = "sessions", .number = &sessions},
	                                      {.name = "rate", .number = &load.rate},
	                                      {.name = "least", .number = &load.least},
	                                      {.name = "most", .number = &load.most},
	                                      {.name = "ms", .number = &ms}};
	tool_options(argc, argv, options, sizeof options / sizeof options[0]);
	sides_init(&sides, &where);
	load.n = (size_t)sessions;
	load.rounds = (size_t)(load.rate * ms / 1000);
	open_all(&load, &sides);
	if (pthread_create(&receiver, NULL, receive, &load) != 0)
		tool_fail("can't start a thread");
	uint64_t start_us = tool_now_us();
	send_all(&load);
	(void)pthread_join(receiver, NULL);
	double seconds = (double)(tool_now_us() - start_us) / 1e6;
	tool_sort(load.took_us, load.taken);
	(void)printf("{\"messages\": %zu, \"seconds\": %.6f, \"p50_us\": %u, \"p99_us\": %u}\n",
	             load.n * load.rounds, seconds, tool_percentile(load.took_us, load.taken, 0.5),
	             tool_percentile(load.took_us, load.taken, 0.99));
	return 0;
}
