// SPDX-License-Identifier: MIT
#include "net/pump.h"

#include "core/alloc.h"
#include "core/limits.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

// A peer that vanished is found within about a minute (section 9 point 5).
#define KEEPALIVE_IDLE_SEC     30
#define KEEPALIVE_INTERVAL_SEC 10
#define KEEPALIVE_PROBES       3

// How often a session is looked at, and for how long bytes may go without any acknowledgement.
// TCP_USER_TIMEOUT would also cut off a live side that merely doesn't read: it does answer the
// kernel's probes, which get as rare as one in two minutes.
#define LOOK_MS        30000
#define UNACKED_MAX_MS 150000

// A side whose partner is gone may still talk. Closing its socket then, with bytes unread, would
// destroy what is on its way to it: so it is looked at this often until all has arrived there,
// and closed at the latest after LINGER_MS.
#define LINGER_LOOK_MS 200
#define LINGER_MS      10000

// One side's socket, and the bytes from it that the other side hasn't taken.
struct side {
	struct rds_pump *pump;
	int fd;
	struct event *readable;
	struct event *writable;
	struct rds_buffer held; // read from fd, not yet written to the other
	bool eof;               // nothing more will be read from fd
	bool discard;           // the other side is gone: what is read from fd is thrown away
	bool done;              // all that was read has been passed on, or can't be
	uint64_t bytes;         // passed on
};

struct rds_pump {
	struct rds_loop *loop;
	struct side sides[2];
	struct event *look;
	uint64_t started_ms;
	uint64_t active_ms;
	bool lingers; // both directions are done, one socket isn't
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
	event_free(pump->look);
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

// Once all that came from side has been passed on, the other side is told of its end.
static void pass_end_on(struct side *side)
{
	if (!side->eof || side->held.len > 0 || side->done)
		return;
	side->done = true;
	(void)shutdown(other_of(side)->fd, SHUT_WR);
}

// What comes from side can't be passed on any more: it is read and thrown away.
static void break_direction(struct side *side)
{
	rds_buffer_clear(&side->held);
	side->discard = true;
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

static bool is_lingering(const struct rds_pump *pump)
{
	return pump->sides[0].done && pump->sides[1].done;
}

static void look_every(struct rds_pump *pump, unsigned ms)
{
	struct timeval period = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
	(void)event_add(pump->look, &period);
}

static bool is_over(const struct rds_pump *pump)
{
	return pump->sides[0].done && pump->sides[1].done && pump->sides[0].eof &&
	       pump->sides[1].eof;
}

// After each handler; frees the pump if nothing is left to do.
static void settle(struct side *side)
{
	struct rds_pump *pump = side->pump;
	pass_end_on(side);
	if (is_over(pump)) {
		finish(pump);
		return;
	}
	await(side);
	if (is_lingering(pump) && !pump->lingers) {
		pump->lingers = true;
		pump->active_ms = rds_loop_now_ms(pump->loop);
		look_every(pump, LINGER_LOOK_MS);
	}
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
	if (!side->discard)
		side->pump->active_ms = rds_loop_now_ms(side->pump->loop);
	if (n > 0 && !side->discard) {
		size_t sent = pass_on(side, scratch, (size_t)n);
		if (!side->discard)
			rds_buffer_add(&side->held, scratch + sent, (size_t)n - sent);
	} else if (n == 0) {
		note_end(side, RDS_WHY_EOF);
		side->eof = true;
	} else if (n < 0) {
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

// What TCP knows and no event tells: a side that was read to its end, or whose bytes are held,
// has no event on which its breaking would show.
static void look_at(struct side *side)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof info;
	if (getsockopt(side->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return;
	bool silent = info.tcpi_unacked > 0 && info.tcpi_last_ack_recv > UNACKED_MAX_MS;
	if (info.tcpi_state != TCP_CLOSE && !silent)
		return;
	note_end(side, RDS_WHY_RESET);
	break_direction(other_of(side));
	// Bytes from it that are still to be read, or held, go on; else it is over.
	if (side->held.len == 0 && (silent || side->eof))
		side->eof = true;
}

// Whether all that was sent to a side has arrived there.
static bool has_arrived(const struct side *side)
{
	int unsent = 0;
	return side->eof || ioctl(side->fd, SIOCOUTQ, &unsent) != 0 || unsent == 0;
}

// Every now and then: is anybody still there, and does anything still happen?
static void on_look(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct rds_pump *pump = arg;
	uint64_t quiet_ms = rds_loop_now_ms(pump->loop) - pump->active_ms;
	if (quiet_ms >= RDS_RELAY_IDLE_MS) {
		pump->why = pump->why == RDS_WHY_NONE ? RDS_WHY_IDLE : pump->why;
		finish(pump);
		return;
	}
	look_at(&pump->sides[0]);
	look_at(&pump->sides[1]);
	if (pump->lingers && (quiet_ms >= LINGER_MS ||
	                      (has_arrived(&pump->sides[0]) && has_arrived(&pump->sides[1])))) {
		finish(pump);
		return;
	}
	pass_end_on(&pump->sides[0]);
	await(&pump->sides[0]);
	settle(&pump->sides[1]);
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
	pump->look = event_for(pump, -1, EV_PERSIST, on_look, pump);
	for (int i = 0; i < 2; i++) {
		struct side *side = &pump->sides[i];
		side->pump = pump;
		side->fd = sides[i].fd;
		side->held = sides[i].early;
		sides[i] = (struct rds_pump_side){.fd = -1};
		set_options(side->fd);
		side->readable = event_for(pump, side->fd, EV_READ | EV_PERSIST, on_readable, side);
		side->writable =
		        event_for(pump, side->fd, EV_WRITE | EV_PERSIST, on_writable, side);
	}
	await(&pump->sides[0]);
	await(&pump->sides[1]);
	look_every(pump, LOOK_MS);
	return pump;
}
