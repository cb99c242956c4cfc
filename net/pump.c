// SPDX-License-Identifier: MIT
#include "net/pump_private.h"

#include "core/alloc.h"
#include "core/limits.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

// A peer that vanished is found within about a minute (section 9 point 5): by keepalive where
// nothing is on its way to it, else by looking at what TCP knows. TCP_USER_TIMEOUT would also cut
// off a live side that merely doesn't read: it answers each of the kernel's probes, but those get
// as rare as one in two minutes.
#define KEEPALIVE_IDLE_SEC     30
#define KEEPALIVE_INTERVAL_SEC 10
#define KEEPALIVE_PROBES       3

// How often those are looked at that wait for something which no event tells.
#define WATCH_MS 20

#define TELL_MS 100

void pump_note_end(struct side *side, enum rds_reason why)
{
	struct rds_pump *pump = side->pump;
	if (pump->why != RDS_WHY_NONE)
		return;
	pump->why = why;
	pump->ended_by = side == &pump->sides[1];
}

static void drop_pipe(struct side *side)
{
	if (side->pipe != NULL)
		rds_pipes_return(&side->pump->pumps->pipes, side->pipe, side->piped == 0);
	side->pipe = NULL;
	side->piped = 0;
}

void pump_break_direction(struct side *side)
{
	rds_buffer_clear(&side->held);
	drop_pipe(side);
	side->discard = true;
	side->done = true;
}

void pump_take_error(struct side *side, enum rds_reason why)
{
	pump_note_end(side, why);
	side->eof = true;
	pump_break_direction(other_of(side));
}

static void ring_add(struct rds_pump *pump)
{
	struct rds_pumps *pumps = pump->pumps;
	struct rds_pump *oldest = pumps->oldest;
	pump->next = oldest == NULL ? pump : oldest;
	pump->previous = oldest == NULL ? pump : oldest->previous;
	pump->next->previous = pump;
	pump->previous->next = pump;
	if (oldest == NULL)
		pumps->oldest = pump;
	pumps->n++;
}

static void ring_remove(struct rds_pump *pump)
{
	struct rds_pumps *pumps = pump->pumps;
	pump->previous->next = pump->next;
	pump->next->previous = pump->previous;
	if (pumps->oldest == pump)
		pumps->oldest = pump->next == pump ? NULL : pump->next;
	pumps->n--;
}

static void side_clear(struct side *side)
{
	(void)event_del(&side->readable);
	(void)event_del(&side->writable);
	(void)close(side->fd);
	side->pump->pumps->long_bytes -= side->long_bytes;
	drop_pipe(side);
	rds_buffer_clear(&side->held);
	if (side->code != NULL)
		rds_transcoder_clear(side->code);
	free(side->code);
}

static void unwatch(struct rds_pump *pump)
{
	struct rds_pump **at = &pump->pumps->watched;
	while (pump->watched && *at != pump)
		at = &(*at)->next_watched;
	if (pump->watched)
		*at = pump->next_watched;
	pump->watched = false;
}

static void pump_free(struct rds_pump *pump)
{
	side_clear(&pump->sides[0]);
	side_clear(&pump->sides[1]);
	unwatch(pump);
	ring_remove(pump);
	free(pump);
}

void pump_finish(struct rds_pump *pump)
{
	struct rds_pumps *pumps = pump->pumps;
	struct rds_session *session = pump->session;
	uint64_t now_ms = rds_loop_now_ms(pumps->loop);
	pump_close_window(pump, now_ms, true);
	session->result = (struct rds_pump_result){.lasted_ms = now_ms - pump->started_ms,
	                                           .ended_by = pump->ended_by,
	                                           .why = pump->why};
	pump_free(pump);
	pumps->on_end(pumps->ctx, session);
}

// By neither of its sides.
void pump_cut(struct rds_pump *pump, enum rds_reason why)
{
	pump->why = why;
	pump->ended_by = -1;
	pump_finish(pump);
}

void pump_watch(struct rds_pump *pump)
{
	static const struct timeval period = {.tv_usec = WATCH_MS * 1000};
	struct rds_pumps *pumps = pump->pumps;
	if (pump->watched)
		return;
	if (pumps->watched == NULL)
		(void)event_add(pumps->watch, &period);
	pump->watched = true;
	pump->next_watched = pumps->watched;
	pumps->watched = pump;
}

// All that came from side has been passed on, or can't be.
static bool has_passed(const struct side *side)
{
	return side->done || ((side->eof || side->discard) && !holds_bytes(side));
}

// Then the other side is told of its end.
static void pass_end_on(struct side *side)
{
	if (side->done || !has_passed(side))
		return;
	side->done = true;
	(void)shutdown(other_of(side)->fd, SHUT_WR);
}

static void set_event(struct event *event, bool *is_on, bool on)
{
	if (*is_on == on)
		return;
	*is_on = on;
	if (on)
		(void)event_add(event, NULL);
	else
		(void)event_del(event);
}

// Asks for the events that the state of this direction needs.
void pump_await(struct side *side)
{
	bool holds = holds_bytes(side);
	set_event(&side->readable, &side->reading, !side->eof && !holds && !side->pump->throttled);
	set_event(&other_of(side)->writable, &other_of(side)->writing, holds);
}

static bool is_over(const struct rds_pump *pump)
{
	const struct side *sides = pump->sides;
	return has_passed(&sides[0]) && has_passed(&sides[1]) && sides[0].eof && sides[1].eof;
}

// After each handler. true: nothing was left to do, and the pump is gone.
bool pump_settle(struct rds_pump *pump)
{
	pump_answer(&pump->sides[0]);
	pump_answer(&pump->sides[1]);
	pump_count_long(&pump->sides[0]);
	pump_count_long(&pump->sides[1]);
	if (is_over(pump)) {
		pump_finish(pump); // closing tells both
		return true;
	}
	pass_end_on(&pump->sides[0]);
	pass_end_on(&pump->sides[1]);
	pump_await(&pump->sides[0]);
	pump_await(&pump->sides[1]);
	if (pump->sides[0].done && pump->sides[1].done && pump->linger_ms == 0) {
		pump->linger_ms = pump->look_ms = rds_loop_now_ms(pump->pumps->loop);
		pump_watch(pump);
	}
	return false;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct side *side = arg;
	pump_read(side);
	(void)pump_settle(side->pump);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct side *side = arg;
	pump_push(other_of(side));
	(void)pump_settle(side->pump);
}

void rds_pump_set_options(int fd)
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

static void side_init(struct side *side, struct rds_pump *pump, const struct rds_pump_side *in,
                      const struct rds_pump_side *other)
{
	struct event_base *base = rds_loop_base(pump->pumps->loop);
	side->pump = pump;
	side->fd = in->fd;
	if (event_assign(&side->readable, base, in->fd, EV_READ | EV_PERSIST, on_readable, side) !=
	            0 ||
	    event_assign(&side->writable, base, in->fd, EV_WRITE | EV_PERSIST, on_writable, side) !=
	            0)
		abort();
	if (!in->websocket && !other->websocket)
		return;
	side->code = rds_calloc(1, sizeof *side->code);
	rds_transcoder_init(side->code, in->websocket, other->websocket);
}

void rds_pumps_add(struct rds_pumps *pumps, struct rds_session *session)
{
	struct rds_pump *pump = rds_calloc(1, sizeof *pump);
	struct rds_pump_side *in = session->sides;
	pump->pumps = pumps;
	pump->session = session;
	pump->started_ms = pump->active_ms = pump->window_ms = rds_loop_now_ms(pumps->loop);
	pump->ended_by = -1;
	ring_add(pump);
	side_init(&pump->sides[0], pump, &in[0], &in[1]);
	side_init(&pump->sides[1], pump, &in[1], &in[0]);
	pump_take_early(&pump->sides[0], in[0].early);
	pump_take_early(&pump->sides[1], in[1].early);
	in[0] = in[1] = (struct rds_pump_side){.fd = -1};
	(void)pump_settle(pump);
}

struct rds_pumps *rds_pumps_new(struct rds_loop *loop, const struct rds_pump_limits *limits,
                                rds_pump_end_fn on_end, void *ctx)
{
	struct rds_pumps *pumps = rds_calloc(1, sizeof *pumps);
	pumps->loop = loop;
	pumps->limits = limits;
	pumps->on_end = on_end;
	pumps->ctx = ctx;
	pumps->watch = event_new(rds_loop_base(loop), -1, 0, pumps_on_watch, pumps);
	if (pumps->watch == NULL)
		abort();
	pumps->told_ms = rds_loop_now_ms(loop);
	pumps->look = rds_timer_every(loop, 1000, pumps_on_look, pumps);
	pumps->tell = rds_timer_every(loop, TELL_MS, pumps_on_tell, pumps);
	return pumps;
}

void rds_pumps_free(struct rds_pumps *pumps)
{
	if (pumps == NULL)
		return;
	// Each takes itself off the ring, which moves oldest on.
	while (pumps->oldest != NULL)
		pump_cut(pumps->oldest, RDS_WHY_SHUTDOWN); // NOLINT(clang-analyzer-unix.Malloc)
	event_free(pumps->watch);
	rds_timer_free(pumps->look);
	rds_timer_free(pumps->tell);
	rds_pipes_clear(&pumps->pipes);
	rds_buffer_clear(&pumps->out);
	free(pumps);
}

const struct rds_pumps_demand *rds_pumps_demand(const struct rds_pumps *pumps)
{
	return &pumps->demand;
}
