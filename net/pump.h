// SPDX-License-Identifier: MIT
// Bytes straight through between two sockets (protocol.md section 9 points 4 and 5), with
// backpressure: what one side doesn't read, the other isn't asked for. Quiet sessions hold no
// buffers.
#ifndef RDS_NET_PUMP_H
#define RDS_NET_PUMP_H

#include "core/reason.h"
#include "net/buffer.h"
#include "net/loop.h"

struct rds_pump;

// One side of a session as it comes in.
struct rds_pump_side {
	int fd;
	struct rds_buffer early; // bytes from it that were read already; the pump takes them
};

struct rds_pump_result {
	uint64_t bytes[2]; // from the first to the second side, and back
	uint64_t lasted_ms;
	int ended_by; // 0 or 1: the side that ended first; -1: neither
	enum rds_reason why;
};

// Called when both directions are done; the pump has closed both sockets and is about to be
// freed.
typedef void (*rds_pump_end_fn)(void *ctx, struct rds_pump *pump,
                                const struct rds_pump_result *result);

// Takes both sockets (nonblocking).
struct rds_pump *rds_pump_new(struct rds_loop *loop, struct rds_pump_side sides[2],
                              rds_pump_end_fn on_end, void *ctx);

// Closes and frees at once, without on_end.
void rds_pump_free(struct rds_pump *pump);

#endif
