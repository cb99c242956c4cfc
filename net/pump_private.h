// SPDX-License-Identifier: MIT
// Shared by the pump*.c files and nobody else.
#ifndef RDS_NET_PUMP_PRIVATE_H
#define RDS_NET_PUMP_PRIVATE_H

#include "core/quota.h"
#include "net/pipes.h"
#include "net/pump.h"
#include "net/transcode.h"

#include <event2/event.h>
#include <event2/event_struct.h>

// One side's socket, and the bytes from it that the other side hasn't taken.
struct side {
	struct rds_pump *pump;
	struct event readable;
	struct event writable;
	struct rds_transcoder *code; // from this side to the other; NULL: bytes stay as they are
	struct rds_buffer held;      // for the other side, which doesn't take it now
	struct rds_pipe *pipe;       // borrowed while bytes from this side are in it
	size_t piped;                // how many
	uint64_t piped_ms;           // since when they don't move
	size_t long_bytes;           // held of a long message; 0: of no such
	int fd;
	bool reading; // waits for readable
	bool writing; // waits for writable
	bool bulk;    // through pipes
	bool eof;     // nothing more will be read from fd
	bool missed;  // there was no quota left for it when it was last to be read
	bool discard; // what is read from fd is thrown away: the other side takes nothing any more
	bool done;    // all that was read has been passed on, or can't be
};

struct rds_pump {
	struct rds_pumps *pumps;
	struct rds_session *session;
	struct rds_pump *next; // in the order of their next look
	struct rds_pump *previous;
	struct rds_pump *next_watched; // also waits for something that no event tells
	struct side sides[2];
	struct rds_quota quota;
	uint64_t started_ms;
	uint64_t active_ms;
	uint64_t linger_ms; // when it began to linger or bytes last arrived; 0: it doesn't linger
	uint64_t look_ms;   // of one that lingers: when it was last looked at
	int linger_left;    // and how many bytes hadn't arrived then
	uint64_t window_ms; // a second in which bytes are counted
	uint64_t window_bytes;
	uint64_t demand_bytes; // since demands were last told
	int ended_by;
	enum rds_reason why;
	bool watched;
	bool throttled; // waits for its quota
	bool held_back; // has waited for its share of all, since demands were last told
};

struct rds_pumps {
	struct rds_loop *loop;
	const struct rds_pump_limits *limits;
	rds_pump_end_fn on_end;
	void *ctx;
	struct rds_pump *oldest; // a ring
	size_t n;
	struct rds_pump *watched;
	struct rds_pipes pipes;
	struct rds_buffer out; // what a transcoder has made, for the length of a call
	size_t long_bytes;     // the sum of the sides'
	struct event *watch;   // set while any are watched
	struct rds_timer *look;
	struct rds_timer *tell;
	struct rds_pumps_demand demand;
	uint64_t told_ms; // when demands were last told
};

static inline struct side *other_of(struct side *side)
{
	return &side->pump->sides[side == &side->pump->sides[0]];
}

static inline bool holds_bytes(const struct side *side)
{
	return side->held.len > 0 || side->piped > 0;
}

// pump_move.c

// Reads from side and passes on, as much as its quota and the other side allow.
void pump_read(struct side *side);

// The other side takes bytes again: those held for it go on.
void pump_push(struct side *side);

// Whoever gets what comes from side is answered (a pong, a closing frame), if that is due and
// nothing is held for it.
void pump_answer(struct side *side);

// How much of a long message is held now.
void pump_count_long(struct side *side);

// Bytes that were read before the pump had the socket.
void pump_take_early(struct side *side, struct rds_buffer early);

// Bytes in a pipe that nobody takes move to memory, and the pipe goes back.
void pump_spill(struct side *side);

// How many bytes the session may move now.
uint64_t pump_quota(struct rds_pump *pump);

// A second in which bytes were counted is over, or with end its session is.
void pump_close_window(struct rds_pump *pump, uint64_t now_ms, bool end);

// pump.c

// What ended it first is what the session ended by.
void pump_note_end(struct side *side, enum rds_reason why);

// What comes from side can't be passed on any more: it is read and thrown away.
void pump_break_direction(struct side *side);

// The socket itself is broken: nothing can be written to it either.
void pump_take_error(struct side *side, enum rds_reason why);

// Something is to be looked at although no event may come.
void pump_watch(struct rds_pump *pump);

// After each handler: what follows from the pump's state. true: nothing was left to do, and it is
// gone.
bool pump_settle(struct rds_pump *pump);

// Asks for the events that the state of this direction needs.
void pump_await(struct side *side);

// Tells of the session's end and frees the pump; cut: because of why, by neither side.
void pump_finish(struct rds_pump *pump);
void pump_cut(struct rds_pump *pump, enum rds_reason why);

// pump_look.c: once a second; while any are watched; when demands are to be told.
void pumps_on_look(void *ctx);
void pumps_on_watch(evutil_socket_t fd, short what, void *arg);
void pumps_on_tell(void *ctx);

#endif
