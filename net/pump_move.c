// SPDX-License-Identifier: MIT
// Moving the bytes: by copy, through a pipe, or from one framing to the other.
#include "net/pump_private.h"

#include "core/error.h"
#include "core/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

// Turns of splicing before the thread's other sessions get theirs.
#define SPLICES_AT_ONCE 2

// A read of so much begins a bulk transfer, and one of less than the other ends it: copying costs
// no more then.
#define BULK_BYTES       (64 * 1024)
#define BULK_LEAST_BYTES (16 * 1024)

// NOLINTNEXTLINE(misc-redundant-expression): now they are the same
_Static_assert(RDS_PUMP_CHUNK_BYTES <= RDS_LOOP_SCRATCH_BYTES, "chunks fit where they are read");

// A transcoder's buffer that has grown over this is not kept.
#define OUT_KEPT_BYTES (2 * RDS_PUMP_CHUNK_BYTES)

static bool is_passing(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a == 0 ? b : b == 0 || a < b ? a : b;
}

static uint64_t rate_of(const struct rds_pump *pump)
{
	const struct rds_pump_limits *limits = pump->pumps->limits;
	const struct rds_meter *meter = &pump->session->meter;
	// Before a total limit is shared out for the first time, it is the bound itself.
	uint64_t rate = smaller(limits->single, smaller(limits->fair, limits->total));
	return meter->slow || meter->downgraded ? smaller(rate, limits->slow) : rate;
}

uint64_t pump_quota(struct rds_pump *pump)
{
	uint64_t rate = rate_of(pump);
	return rate == 0 ? UINT64_MAX
	                 : rds_quota_left(&pump->quota, rds_loop_now_ms(pump->pumps->loop), rate);
}

// It may move nothing now.
static void throttle(struct rds_pump *pump)
{
	uint64_t fair = pump->pumps->limits->fair;
	pump->throttled = true;
	// One whose own limit is lower leaves the rest of its share to others.
	pump->held_back = fair != 0 && rate_of(pump) == fair;
	pump_watch(pump);
}

void pump_close_window(struct rds_pump *pump, uint64_t now_ms, bool end)
{
	struct rds_meter *meter = &pump->session->meter;
	uint64_t ms = now_ms - pump->window_ms;
	if (ms < 1000 && !end)
		return;
	uint64_t recent = ms <= 1000 ? pump->window_bytes : pump->window_bytes * 1000 / ms;
	meter->recent = recent;
	if (recent > meter->peak)
		meter->peak = recent;
	pump->window_ms = now_ms;
	pump->window_bytes = 0;
}

// Only this thread writes it.
static void count(_Atomic uint64_t *counter, uint64_t n)
{
	uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
	atomic_store_explicit(counter, before + n, memory_order_relaxed);
}

// Bytes have come from a side.
static void note_read(struct rds_pump *pump, uint64_t now_ms, size_t n)
{
	pump->active_ms = now_ms;
	atomic_store_explicit(&pump->session->meter.active_ms, now_ms, memory_order_relaxed);
	pump_close_window(pump, now_ms, false);
	pump->window_bytes += n;
	pump->demand_bytes += n;
	count(&pump->pumps->demand.bytes, n);
	rds_quota_take(&pump->quota, n);
}

static void note_sent(struct side *side, size_t n)
{
	count(&side->pump->session->meter.bytes[side == &side->pump->sides[1]], n);
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
		if (n < 0 && !is_passing(errno)) {
			pump_note_end(to, RDS_WHY_RESET);
			pump_break_direction(side);
			return len;
		}
		if (n < 0)
			break;
		sent += (size_t)n;
	}
	note_sent(side, sent);
	return sent;
}

// Passes bytes on behind those that are held.
static void pass_or_hold(struct side *side, const uint8_t *bytes, size_t len)
{
	size_t sent = side->held.len > 0 ? 0 : pass_on(side, bytes, len);
	if (!side->done)
		rds_buffer_add(&side->held, bytes + sent, len - sent);
}

void pump_answer(struct side *side)
{
	// One who doesn't read is answered no further: nothing piles up.
	if (side->code == NULL || side->done || holds_bytes(side))
		return;
	rds_transcoder_answer(side->code, other_of(side)->code, &side->held);
	if (side->held.len > 0)
		pump_push(side);
}

// Nothing more comes from side; a receiver that speaks WebSocket is told so.
static void take_end(struct side *side)
{
	side->eof = true;
	pump_note_end(side, RDS_WHY_EOF);
	if (side->code == NULL || side->done || side->discard)
		return;
	rds_transcoder_end(side->code, &side->held);
	pump_push(side);
}

// Fragments of it, and what of it the other side doesn't take.
void pump_count_long(struct side *side)
{
	size_t held = side->code == NULL ? 0 : side->code->message.len + side->held.len;
	size_t now = held > RDS_RELAY_LONG_BYTES ? held : 0;
	side->pump->pumps->long_bytes += now - side->long_bytes;
	side->long_bytes = now;
}

static enum rds_reason why_refused(struct side *side, long rc)
{
	pump_count_long(side);
	if (rc < 0)
		return rc == -RDS_ETOOBIG ? RDS_WHY_TOO_LONG : RDS_WHY_MALFORMED;
	bool full =
	        side->long_bytes > 0 && side->pump->pumps->long_bytes > RDS_RELAY_LONG_BYTES_EACH;
	return full ? RDS_WHY_MESSAGES_FULL : RDS_WHY_NONE;
}

static void refuse(struct side *side, enum rds_reason why)
{
	rds_transcoder_clear(side->code);
	pump_take_error(side, why);
}

static void transcode(struct side *side, const uint8_t *bytes, size_t len)
{
	struct rds_buffer *out = &side->pump->pumps->out;
	long n = rds_transcode(side->code, bytes, len, out);
	if (out->len > 0)
		pass_or_hold(side, rds_buffer_data(out), out->len);
	out->len = 0;
	if (out->cap > OUT_KEPT_BYTES)
		rds_buffer_clear(out);
	enum rds_reason why = why_refused(side, n);
	if (why != RDS_WHY_NONE)
		refuse(side, why);
	if (why != RDS_WHY_NONE || !side->code->closed)
		return;
	// It takes nothing behind its closing frame's answer.
	other_of(side)->discard = true;
	take_end(side);
}

static void take_chunk(struct side *side, const uint8_t *bytes, size_t len)
{
	if (side->code != NULL)
		transcode(side, bytes, len);
	else
		pass_or_hold(side, bytes, len);
}

void pump_take_early(struct side *side, struct rds_buffer early)
{
	if (early.len > 0)
		take_chunk(side, rds_buffer_data(&early), early.len);
	rds_buffer_clear(&early);
}

static void copy(struct side *side, uint64_t quota)
{
	uint8_t *scratch = rds_loop_scratch(side->pump->pumps->loop);
	size_t most = quota < RDS_PUMP_CHUNK_BYTES ? (size_t)quota : RDS_PUMP_CHUNK_BYTES;
	ssize_t n = recv(side->fd, scratch, most, 0);
	if (n < 0 && is_passing(errno))
		return;
	if (n < 0) {
		pump_take_error(side, RDS_WHY_RESET);
	} else if (n == 0) {
		take_end(side);
	} else if (!side->discard) {
		note_read(side->pump, rds_loop_now_ms(side->pump->pumps->loop), (size_t)n);
		take_chunk(side, scratch, (size_t)n);
		side->bulk = side->code == NULL && n >= BULK_BYTES;
	}
}

static void return_pipe(struct side *side)
{
	rds_pipes_return(&side->pump->pumps->pipes, side->pipe, side->piped == 0);
	side->pipe = NULL;
	side->piped = 0;
}

// Moves what is in the pipe to the other side, as far as it goes.
static void push_pipe(struct side *side)
{
	struct side *to = other_of(side);
	while (side->piped > 0) {
		ssize_t n = splice(side->pipe->out, NULL, to->fd, NULL, side->piped,
		                   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && is_passing(errno)) {
			pump_watch(side->pump);
			return;
		}
		if (n <= 0) {
			pump_note_end(to, RDS_WHY_RESET);
			pump_break_direction(side);
			return;
		}
		side->piped -= (size_t)n;
		side->piped_ms = rds_loop_now_ms(side->pump->pumps->loop);
		note_sent(side, (size_t)n);
	}
}

// Fills the pipe once and empties it; false: that was all for now.
static bool splice_once(struct side *side, uint64_t quota)
{
	size_t most = quota < RDS_PIPE_BYTES ? (size_t)quota : RDS_PIPE_BYTES;
	ssize_t n = splice(side->fd, NULL, side->pipe->in, NULL, most,
	                   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (n < 0 && !is_passing(errno))
		pump_take_error(side, RDS_WHY_RESET);
	else if (n == 0)
		take_end(side);
	if (n <= 0)
		return false;
	uint64_t now_ms = rds_loop_now_ms(side->pump->pumps->loop);
	side->piped = (size_t)n;
	side->piped_ms = now_ms;
	side->bulk = n >= BULK_LEAST_BYTES;
	note_read(side->pump, now_ms, (size_t)n);
	push_pipe(side);
	return side->piped == 0 && side->bulk && !side->discard;
}

static void splice_through(struct side *side, uint64_t quota)
{
	side->pipe = rds_pipes_borrow(&side->pump->pumps->pipes);
	if (side->pipe == NULL) {
		copy(side, quota);
		return;
	}
	for (int i = 0; i < SPLICES_AT_ONCE && quota > 0 && splice_once(side, quota); i++)
		quota = other_of(side)->missed ? 0 : pump_quota(side->pump);
	if (side->pipe != NULL && side->piped == 0)
		return_pipe(side);
}

void pump_read(struct side *side)
{
	struct rds_pump *pump = side->pump;
	uint64_t quota = pump_quota(pump);
	// A direction that came too late for the last quota finds some of this one.
	if (other_of(side)->missed)
		quota = (quota + 1) / 2;
	side->missed = quota == 0;
	if (quota == 0) {
		throttle(pump);
	} else if (side->bulk && !side->discard) {
		splice_through(side, quota);
	} else {
		copy(side, quota);
	}
}

// Bytes that are held are older than those in the pipe: a part of which may have been spilled.
void pump_push(struct side *side)
{
	size_t sent = pass_on(side, rds_buffer_data(&side->held), side->held.len);
	if (side->held.len > 0)
		rds_buffer_drop(&side->held, sent);
	if (side->held.len > 0 || side->piped == 0)
		return;
	push_pipe(side);
	if (side->pipe != NULL && side->piped == 0)
		return_pipe(side);
}

void pump_spill(struct side *side)
{
	uint8_t *room = rds_buffer_room(&side->held, side->piped);
	ssize_t n = read(side->pipe->out, room, side->piped);
	if (n > 0) {
		side->held.len += (size_t)n;
		side->piped -= (size_t)n;
	}
	if (side->piped == 0)
		return_pipe(side);
}
