// SPDX-License-Identifier: MIT
#include "net/loop.h"

#include "core/alloc.h"
#include "core/log.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct rds_loop {
	struct event_base *base;
	uint64_t last_id;
	uint8_t *scratch;
};

struct rds_timer {
	struct event *event;
	rds_event_fn fn;
	void *ctx;
};

struct rds_signal {
	struct event *event;
	rds_event_fn fn;
	void *ctx;
};

struct rds_waker {
	struct event *event;
	int fd;
	rds_event_fn fn;
	void *ctx;
};

// libevent's own complaints, in our form; from any thread that has a loop.
static void on_libevent_log(int severity, const char *text)
{
	static _Thread_local struct rds_log_limit limit;
	uint64_t held_back;
	if (severity >= EVENT_LOG_WARN &&
	    rds_log_limit_pass(&limit, (uint64_t)time(NULL) * 1000, &held_back))
		rds_log(RDS_LOG_WARN, "libevent", rds_field_text("says", text),
		        rds_field_uint("not_logged_before", held_back));
}

int rds_loop_new(struct rds_loop **out, struct rds_error *err)
{
	event_set_log_callback(on_libevent_log);
	struct event_base *base = event_base_new();
	if (base == NULL)
		return rds_fail(err, RDS_ESYS, "can't make an event loop: %s", strerror(errno));
	struct rds_loop *loop = rds_calloc(1, sizeof *loop);
	loop->base = base;
	loop->scratch = rds_calloc(RDS_LOOP_SCRATCH_BYTES, 1);
	*out = loop;
	return 0;
}

void rds_loop_free(struct rds_loop *loop)
{
	if (loop == NULL)
		return;
	event_base_free(loop->base);
	free(loop->scratch);
	free(loop);
}

const char *rds_libevent_version(void)
{
	return event_get_version();
}

int rds_loop_run(struct rds_loop *loop)
{
	return event_base_dispatch(loop->base) < 0 ? -RDS_ESYS : 0;
}

void rds_loop_stop(struct rds_loop *loop)
{
	(void)event_base_loopbreak(loop->base);
}

uint64_t rds_loop_now_ms(const struct rds_loop *loop)
{
	(void)loop;
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + 1;
}

uint64_t rds_loop_next_id(struct rds_loop *loop)
{
	return ++loop->last_id;
}

uint8_t *rds_loop_scratch(struct rds_loop *loop)
{
	return loop->scratch;
}

struct event_base *rds_loop_base(const struct rds_loop *loop)
{
	return loop->base;
}

// libevent fails here only when it is out of memory.
static struct event *checked(struct event *event)
{
	if (event == NULL)
		abort();
	return event;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct rds_timer *timer = arg;
	timer->fn(timer->ctx);
}

struct rds_timer *rds_timer_every(struct rds_loop *loop, unsigned period_ms, rds_event_fn fn,
                                  void *ctx)
{
	struct rds_timer *timer = rds_calloc(1, sizeof *timer);
	struct timeval period = {.tv_sec = period_ms / 1000,
	                         .tv_usec = (suseconds_t)(period_ms % 1000) * 1000};
	timer->fn = fn;
	timer->ctx = ctx;
	timer->event = checked(event_new(loop->base, -1, EV_PERSIST, on_timer, timer));
	(void)event_add(timer->event, &period);
	return timer;
}

void rds_timer_free(struct rds_timer *timer)
{
	if (timer == NULL)
		return;
	event_free(timer->event);
	free(timer);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	(void)number;
	(void)what;
	struct rds_signal *sig = arg;
	sig->fn(sig->ctx);
}

struct rds_signal *rds_signal_on(struct rds_loop *loop, int number, rds_event_fn fn, void *ctx)
{
	struct rds_signal *sig = rds_calloc(1, sizeof *sig);
	sig->fn = fn;
	sig->ctx = ctx;
	sig->event = checked(evsignal_new(loop->base, number, on_signal, sig));
	(void)event_add(sig->event, NULL);
	return sig;
}

void rds_signal_free(struct rds_signal *sig)
{
	if (sig == NULL)
		return;
	event_free(sig->event);
	free(sig);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct rds_waker *waker = arg;
	uint64_t wakes;
	while (read(fd, &wakes, sizeof wakes) < 0 && errno == EINTR)
		;
	waker->fn(waker->ctx);
}

struct rds_waker *rds_waker_new(struct rds_loop *loop, rds_event_fn fn, void *ctx)
{
	struct rds_waker *waker = rds_calloc(1, sizeof *waker);
	waker->fn = fn;
	waker->ctx = ctx;
	waker->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (waker->fd < 0)
		abort(); // without it nothing stored would ever be answered
	waker->event =
	        checked(event_new(loop->base, waker->fd, EV_READ | EV_PERSIST, on_wake, waker));
	(void)event_add(waker->event, NULL);
	return waker;
}

void rds_waker_wake(void *arg)
{
	const struct rds_waker *waker = arg;
	uint64_t one = 1;
	while (write(waker->fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

void rds_waker_free(struct rds_waker *waker)
{
	if (waker == NULL)
		return;
	event_free(waker->event);
	(void)close(waker->fd);
	free(waker);
}
