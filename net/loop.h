// SPDX-License-Identifier: MIT
// The event loop: a thin owner of a libevent base, its clock, timers and signals.
#ifndef RDS_NET_LOOP_H
#define RDS_NET_LOOP_H

#include "core/error.h"

#include <stdint.h>

struct event_base;
struct rds_loop;
struct rds_timer;
struct rds_signal;
struct rds_waker;

typedef void (*rds_event_fn)(void *ctx);

int rds_loop_new(struct rds_loop **out, struct rds_error *err) __attribute__((warn_unused_result));
void rds_loop_free(struct rds_loop *loop);

// Of libevent, as it is in use.
const char *rds_libevent_version(void);

// Runs until rds_loop_stop. 0 or -RDS_ESYS.
int rds_loop_run(struct rds_loop *loop) __attribute__((warn_unused_result));

// Returns from rds_loop_run once the current callbacks have returned.
void rds_loop_stop(struct rds_loop *loop);

// Milliseconds of a clock that never goes back; above 0.
uint64_t rds_loop_now_ms(const struct rds_loop *loop);

// A name for a connection that is never given again.
uint64_t rds_loop_next_id(struct rds_loop *loop);

// A buffer for reading, shared by all that run on the loop: what is in it is gone when the
// callback returns.
#define RDS_LOOP_SCRATCH_BYTES (256 * 1024)
uint8_t *rds_loop_scratch(struct rds_loop *loop);

// For net/ only.
struct event_base *rds_loop_base(const struct rds_loop *loop);

// Calls fn every period_ms until it is freed.
struct rds_timer *rds_timer_every(struct rds_loop *loop, unsigned period_ms, rds_event_fn fn,
                                  void *ctx);
void rds_timer_free(struct rds_timer *timer);

// Calls fn on the loop when the process gets the signal.
struct rds_signal *rds_signal_on(struct rds_loop *loop, int number, rds_event_fn fn, void *ctx);
void rds_signal_free(struct rds_signal *sig);

// Lets another thread have fn called on the loop: any number of wakes lead to one call or more.
struct rds_waker *rds_waker_new(struct rds_loop *loop, rds_event_fn fn, void *ctx);
void rds_waker_wake(void *arg); // a waker; from any thread
void rds_waker_free(struct rds_waker *waker);

#endif
