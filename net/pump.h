// SPDX-License-Identifier: MIT
// Sessions' bytes (protocol.md section 9 points 4 and 5): straight through between two sockets,
// with backpressure: what one side doesn't read, the other isn't asked for. Bulk goes through pipes
// in the kernel, small messages are copied. Quiet sessions hold neither buffers nor pipes.
//
// All functions are for the thread of the pumps' loop, but for what is atomic.
#ifndef RDS_NET_PUMP_H
#define RDS_NET_PUMP_H

#include "core/reason.h"
#include "net/buffer.h"
#include "net/loop.h"

#include <stdbool.h>

// One side of a session as it comes in.
struct rds_pump_side {
	int fd;                  // nonblocking
	bool websocket;          // its bytes are WebSocket frames
	struct rds_buffer early; // bytes from it that were read already
};

// What is seen of a running session from outside, and the switches that are turned there.
struct rds_meter {
	_Atomic uint64_t bytes[2];  // from the first to the second side, and back
	_Atomic uint64_t active_ms; // when bytes last came
	_Atomic uint64_t peak;      // most bytes within a second
	_Atomic uint64_t recent;    // bytes within the last whole second of activity
	_Atomic bool slow;          // is on the slow lane, from outside
	_Atomic bool downgraded;    // or because it used too much
	_Atomic int kicked;         // the reason (enum rds_reason) why it has to end, or 0
};

// How fast sessions may go, in bytes a second; 0: no limit. A session's two directions count
// together. May change at any time.
struct rds_pump_limits {
	_Atomic uint64_t single; // each session
	_Atomic uint64_t slow;   // each session on the slow lane
	_Atomic uint64_t fair;   // each session's share of the total limit
	_Atomic uint64_t total;
	_Atomic uint64_t
	        downgrade_per_mille; // of single, on average, leads to the slow lane; 0: never
	_Atomic uint64_t downgrade_after_ms;
	_Atomic uint64_t idle_ms;
};

struct rds_pump_result {
	uint64_t lasted_ms;
	int ended_by; // 0 or 1: the side that ended first; -1: neither
	enum rds_reason why;
};

// A session, owned by whoever starts its pump, until the end is told.
struct rds_session {
	struct rds_pump_side sides[2];
	struct rds_meter meter;
	struct rds_pump_result result; // once it has ended
};

// All the pumps of one thread.
struct rds_pumps;

// Called when both directions are done: both sockets are closed.
typedef void (*rds_pump_end_fn)(void *ctx, struct rds_session *session);

// limits is borrowed.
struct rds_pumps *rds_pumps_new(struct rds_loop *loop, const struct rds_pump_limits *limits,
                                rds_pump_end_fn on_end, void *ctx);

// Ends all sessions at once, and tells so.
void rds_pumps_free(struct rds_pumps *pumps);

// Borrows the session until its end is told; takes its sides' sockets and early bytes.
void rds_pumps_add(struct rds_pumps *pumps, struct rds_session *session);

// Ends the sessions that have been kicked.
void rds_pumps_look_for_kicked(struct rds_pumps *pumps);

// What the sessions did in the last tenth of a second, for sharing out a total limit; may be read
// by any thread.
struct rds_pumps_demand {
	_Atomic uint64_t free_bps; // this and the next two: as in struct rds_demand
	_Atomic uint64_t held_back;
	_Atomic uint64_t active;
	_Atomic uint64_t bytes; // of all, ever
};
const struct rds_pumps_demand *rds_pumps_demand(const struct rds_pumps *pumps);

// Sets what a session's socket needs (no delay, keepalive); on a listening socket, for all that it
// accepts.
void rds_pump_set_options(int fd);

#endif
