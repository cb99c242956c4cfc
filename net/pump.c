// SPDX-License-Identifier: MIT
#include "net/pump.h"

#include "core/alloc.h"
#include "core/limits.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

// A peer that vanished is found within about a minute (section 9 point 5).
#define KEEPALIVE_IDLE_SEC     30
#define KEEPALIVE_INTERVAL_SEC 10
#define KEEPALIVE_PROBES       3
#define UNACKED_MAX_MS         60000

// One side's socket, and the bytes from it that the other side hasn't taken.
struct side {
	struct rds_pump *pump;
	int fd;
	struct event *readable;
	struct event *writable;
	struct rds_buffer held; // read from fd, not yet written to the other
	bool eof;               // nothing more will be read from fd
	bool done;              // and all that was read has been passed on, or can't be
	uint64_t bytes;         // passed on
};

struct rds_pump {
	struct rds_loop *loop;
	struct side sides[2];
	struct event *idle;
	uint64_t started_ms;
	uint64_t active_ms;
	int ended_by;
	enum rds_reason why;
	rds_pump_end_fn on_end;
	void *ctx;
};

static struct side *other_of(struct side *side)
{
	return &side->pump->sides[side == &side->pump->sides[0]];
}

static void note_end(struct side *side, enum rds_reason why)
{
	struct rds_pump *pump = side->pump;
	if (pump->why != RDS_WHY_NONE)
		return;
	pump->why = why;
	pump->ended_by = side == &pump->sides[1];
}

void rds_pump_free(struct rds_pump *pump)
{
	if (pump == NULL)
		return;
	for (int i = 0; i < 2; i++) {
		struct side *side = &pump->sides[i];
		event_free(side->readable);
		event_free(side->writable);
		(void)close(side->fd);
		rds_buffer_clear(&side->held);
	}
	event_free(pump->idle);
	free(pump);
}

static void finish(struct rds_pump *pump)
{
	struct rds_pump_result result = {
	        .bytes = {pump->sides[0].bytes, pump->sides[1].bytes},
	        .lasted_ms = rds_loop_now_ms(pump->loop) - pump->started_ms,
	        .ended_by = pump->ended_by,
	        .why = pump->why,
	};
	pump->on_end(pump->ctx, pump, &result);
	rds_pump_free(pump);
}

// All that came from side has been passed on: the other side is told so.
static void finish_direction(struct side *side)
{
	side->done = true;
	(void)shutdown(other_of(side)->fd, SHUT_WR);
}

// What came from side can't be passed on any more, and needn't be read.
static void break_direction(struct side *side)
{
	rds_buffer_clear(&side->held);
	side->eof = true;
	side->done = true;
}

// Writes bytes from side to the other; how many it took. A broken other side ends the direction.
static size_t pass_on(struct side *side, const uint8_t *bytes, size_t len)
{
	struct side *to = other_of(side);
	size_t sent = 0;
	while (sent < len) {
		ssize_t n = send(to->fd, bytes + sent, len - sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
			note_end(to, RDS_WHY_RESET);
			break_direction(side);
			return len;
		}
		if (n < 0)
			break;
		sent += (size_t)n;
	}
	side->bytes += sent;
	return sent;
}

// Asks for the events that the state of this direction needs.
static void await(struct side *side)
{
	bool holds = side->held.len > 0;
	if (!side->eof && !holds)
		(void)event_add(side->readable, NULL);
	else
		(void)event_del(side->readable);
	if (holds)
		(void)event_add(other_of(side)->writable, NULL);
	else
		(void)event_del(other_of(side)->writable);
}

// After each handler; frees the pump if nothing is left to do.
static void settle(struct side *side)
{
	struct rds_pump *pump = side->pump;
	if (side->eof && side->held.len == 0 && !side->done)
		finish_direction(side);
	if (pump->sides[0].done && pump->sides[1].done)
		finish(pump);
	else
		await(side);
}

// The socket itself is broken: nothing can be written to it either.
static void take_error(struct side *side)
{
	note_end(side, RDS_WHY_RESET);
	side->eof = true;
	break_direction(other_of(side));
	await(other_of(side));
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct side *side = arg;
	uint8_t *scratch = rds_loop_scratch(side->pump->loop);
	ssize_t n = recv(fd, scratch, RDS_PUMP_CHUNK_BYTES, 0);
	if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
		return;
	side->pump->active_ms = rds_loop_now_ms(side->pump->loop);
	if (n > 0) {
		size_t sent = pass_on(side, scratch, (size_t)n);
		rds_buffer_add(&side->held, scratch + sent, (size_t)n - sent);
	} else if (n == 0) {
		note_end(side, RDS_WHY_EOF);
		side->eof = true;
	} else {
		take_error(side);
	}
	settle(side);
}

// There is room on a side again: the other one's bytes go on.
static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct side *side = other_of(arg);
	if (side->held.len > 0) {
		size_t sent = pass_on(side, rds_buffer_data(&side->held), side->held.len);
		side->pump->active_ms = rds_loop_now_ms(side->pump->loop);
		if (side->held.len > 0)
			rds_buffer_drop(&side->held, sent);
	}
	settle(side);
}

static void set_idle_timer(struct rds_pump *pump, uint64_t ms)
{
	struct timeval timeout = {.tv_sec = (time_t)(ms / 1000),
	                          .tv_usec = (suseconds_t)(ms % 1000) * 1000};
	(void)event_add(pump->idle, &timeout);
}

// The timer is not moved with each byte: when it fires, it looks how long it has been quiet.
static void on_idle(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct rds_pump *pump = arg;
	uint64_t quiet_ms = rds_loop_now_ms(pump->loop) - pump->active_ms;
	if (quiet_ms < RDS_RELAY_IDLE_MS) {
		set_idle_timer(pump, RDS_RELAY_IDLE_MS - quiet_ms);
		return;
	}
	pump->why = RDS_WHY_IDLE;
	pump->ended_by = -1;
	finish(pump);
}

static void set_options(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
	        {IPPROTO_TCP, TCP_NODELAY, 1},
	        {SOL_SOCKET, SO_KEEPALIVE, 1},
	        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_SEC},
	        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_SEC},
	        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
	        {IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKED_MAX_MS},
	};
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
		(void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
		                 sizeof options[i].value);
}

static struct event *event_for(struct rds_pump *pump, int fd, short what, event_callback_fn fn,
                               void *arg)
{
	struct event *event = event_new(rds_loop_base(pump->loop), fd, what, fn, arg);
	if (event == NULL)
		abort();
	return event;
}

struct rds_pump *rds_pump_new(struct rds_loop *loop, struct rds_pump_side sides[2],
                              rds_pump_end_fn on_end, void *ctx)
{
	struct rds_pump *pump = rds_calloc(1, sizeof *pump);
	pump->loop = loop;
	pump->on_end = on_end;
	pump->ctx = ctx;
	pump->started_ms = pump->active_ms = rds_loop_now_ms(loop);
	pump->ended_by = -1;
	pump->idle = event_for(pump, -1, 0, on_idle, pump);
	for (int i = 0; i < 2; i++) {
		struct side *side = &pump->sides[i];
		side->pump = pump;
		side->fd = sides[i].fd;
		side->held = sides[i].early;
		sides[i] = (struct rds_pump_side){.fd = -1};
		set_options(side->fd);
		side->readable = event_for(pump, side->fd, EV_READ | EV_PERSIST, on_readable, side);
		side->writable = event_for(pump, side->fd, EV_WRITE | EV_PERSIST, on_writable, side);
	}
	await(&pump->sides[0]);
	await(&pump->sides[1]);
	set_idle_timer(pump, RDS_RELAY_IDLE_MS);
	return pump;
}
