// SPDX-License-Identifier: MIT
#include "net/transcode.h"

#include "core/error.h"
#include "core/frame.h"
#include "core/limits.h"

#include <string.h>

void rds_transcoder_init(struct rds_transcoder *t, bool from_websocket, bool to_websocket)
{
	*t = (struct rds_transcoder){.from_websocket = from_websocket,
	                             .to_websocket = to_websocket};
}

void rds_transcoder_clear(struct rds_transcoder *t)
{
	rds_buffer_clear(&t->message);
}

static void put_ws_head(struct rds_transcoder *t, enum rds_ws_opcode opcode, bool fin, uint64_t len,
                        struct rds_buffer *out)
{
	uint8_t head[RDS_WS_FRAME_HEAD_MAX];
	if (t->due != NULL)
		rds_transcoder_answer(t, t->due, out);
	rds_buffer_add(out, head, rds_ws_frame_head(opcode, fin, len, head));
	t->out_left = len;
}

static void put_tcp_head(struct rds_transcoder *t, uint64_t len, struct rds_buffer *out)
{
	uint8_t head[RDS_FRAME_HEADER_MAX];
	rds_buffer_add(out, head, rds_frame_header(len, head));
	t->out_left = len;
}

// The frame that is coming, or part of it: as much as clients take in one.
static void put_ws_part(struct rds_transcoder *t, struct rds_buffer *out)
{
	uint64_t left = t->frame.len - t->done;
	bool last = left <= RDS_WS_CLIENT_FRAME_BYTES;
	bool first = t->done == 0 && t->frame.opcode != RDS_WS_CONTINUATION;
	put_ws_head(t, first ? RDS_WS_BINARY : RDS_WS_CONTINUATION, last && t->frame.fin,
	            last ? left : RDS_WS_CLIENT_FRAME_BYTES, out);
}

static long read_tcp_head(struct rds_transcoder *t)
{
	size_t len = (t->head[0] & 3U) + 1U;
	if (t->head_len < len)
		return 0;
	uint32_t header = 0;
	for (size_t i = 0; i < len; i++)
		header |= (uint32_t)t->head[i] << (8 * i);
	t->frame = (struct rds_ws_frame){.len = header >> 2, .opcode = RDS_WS_BINARY, .fin = true};
	return t->frame.len > RDS_WS_CLIENT_MESSAGE_BYTES ? -RDS_ETOOBIG : (long)len;
}

// What the head of a frame means for what goes out. 0 or a negative code.
static int start_frame(struct rds_transcoder *t, struct rds_buffer *out)
{
	struct rds_ws_frame *frame = &t->frame;
	t->in_frame = true;
	t->done = 0;
	if (!t->from_websocket) {
		put_ws_part(t, out);
		return 0;
	}
	if (rds_ws_is_control(frame))
		return 0;
	if ((frame->opcode == RDS_WS_CONTINUATION) != t->in_message)
		return -RDS_EPARSE;
	bool whole = frame->fin && !t->in_message;
	uint64_t most =
	        whole ? RDS_FRAME_PAYLOAD_MAX : RDS_RELAY_MESSAGE_MAX_BYTES - t->message.len;
	t->in_message = !frame->fin;
	if (t->to_websocket)
		put_ws_part(t, out);
	else if (frame->len > most)
		return -RDS_ETOOBIG;
	else if (whole)
		put_tcp_head(t, frame->len, out);
	return 0;
}

// Whether the frame's payload is held back, since TCP wants the length of all fragments first.
static bool is_held_back(const struct rds_transcoder *t)
{
	return t->from_websocket && !t->to_websocket &&
	       (!t->frame.fin || t->frame.opcode == RDS_WS_CONTINUATION);
}

// Appends payload without its mask.
static void put_payload(struct rds_transcoder *t, const uint8_t *bytes, size_t len,
                        struct rds_buffer *out)
{
	uint8_t *room = rds_buffer_room(out, len);
	if (t->from_websocket)
		rds_ws_unmask(bytes, len, t->frame.mask, t->done, room);
	else
		memcpy(room, bytes, len);
	out->len += len;
}

static void take_payload(struct rds_transcoder *t, const uint8_t *bytes, size_t len,
                         struct rds_buffer *out)
{
	if (len == 0)
		return;
	if (rds_ws_is_control(&t->frame)) {
		rds_ws_unmask(bytes, len, t->frame.mask, t->done, t->control + t->done);
	} else if (is_held_back(t)) {
		put_payload(t, bytes, len, &t->message);
	} else {
		put_payload(t, bytes, len, out);
		t->out_left -= len;
	}
	t->done += len;
}

// The sender's ping or closing frame is answered with the same bytes; of a closing frame with its
// code alone.
static void set_answer(struct rds_transcoder *t, enum rds_ws_opcode opcode, size_t len)
{
	size_t head_len = rds_ws_frame_head(opcode, true, len, t->answer);
	memcpy(t->answer + head_len, t->control, len);
	t->answer_len = (uint8_t)(head_len + len);
}

static void finish_control(struct rds_transcoder *t)
{
	if (t->frame.opcode == RDS_WS_PING)
		set_answer(t, RDS_WS_PONG, t->frame.len);
	if (t->frame.opcode != RDS_WS_CLOSE)
		return;
	set_answer(t, RDS_WS_CLOSE, t->frame.len < 2 ? 0 : 2);
	t->closed = true;
}

static void finish_frame(struct rds_transcoder *t, struct rds_buffer *out)
{
	t->in_frame = false;
	if (rds_ws_is_control(&t->frame)) {
		finish_control(t);
	} else if (is_held_back(t) && t->frame.fin) {
		put_tcp_head(t, t->message.len, out);
		rds_buffer_add(out, rds_buffer_data(&t->message), t->message.len);
		rds_buffer_clear(&t->message);
		t->out_left = 0;
	}
}

// Gathers a head, which may come in pieces. Returns how many bytes it took, or a negative code.
static long take_head(struct rds_transcoder *t, const uint8_t *bytes, size_t len,
                      struct rds_buffer *out)
{
	size_t had = t->head_len;
	size_t n = sizeof t->head - had < len ? sizeof t->head - had : len;
	memcpy(t->head + had, bytes, n);
	t->head_len = (uint8_t)(had + n);
	long used = t->from_websocket ? rds_ws_frame_decode(t->head, t->head_len, &t->frame)
	                              : read_tcp_head(t);
	if (used == 0)
		return (long)n;
	t->head_len = 0;
	int rc = used < 0 ? (int)used : start_frame(t, out);
	return rc < 0 ? rc : used - (long)had;
}

// Takes what there is of the frame's payload; how many bytes that was.
static size_t take_body(struct rds_transcoder *t, const uint8_t *bytes, size_t len,
                        struct rds_buffer *out)
{
	uint64_t left = t->frame.len - t->done;
	size_t n = left < len ? (size_t)left : len;
	bool in_parts = t->to_websocket && !rds_ws_is_control(&t->frame);
	if (in_parts && n > t->out_left)
		n = (size_t)t->out_left;
	take_payload(t, bytes, n, out);
	if (t->done == t->frame.len)
		finish_frame(t, out);
	else if (in_parts && t->out_left == 0)
		put_ws_part(t, out);
	return n;
}

static bool is_message_end(const struct rds_transcoder *t)
{
	return !t->in_frame && t->head_len == 0 && !rds_ws_is_control(&t->frame) && t->frame.fin;
}

long rds_transcode(struct rds_transcoder *t, const uint8_t *bytes, size_t len,
                   struct rds_buffer *out)
{
	size_t used = 0;
	while (!t->closed && (used < len || (t->in_frame && t->done == t->frame.len))) {
		long n = t->in_frame ? (long)take_body(t, bytes + used, len - used, out)
		                     : take_head(t, bytes + used, len - used, out);
		if (n < 0)
			return n;
		used += (size_t)n;
		if (t->stop_after_message && is_message_end(t))
			break;
	}
	return (long)used;
}

void rds_transcoder_answer(struct rds_transcoder *t, struct rds_transcoder *other,
                           struct rds_buffer *out)
{
	bool is_due = other->answer_len > 0;
	t->due = is_due && t->out_left > 0 ? other : NULL;
	if (!is_due || t->due != NULL)
		return;
	rds_buffer_add(out, other->answer, other->answer_len);
	other->answer_len = 0;
}

void rds_transcoder_end(const struct rds_transcoder *t, struct rds_buffer *out)
{
	static const uint8_t normal_closure[] = {0x03, 0xe8}; // RFC 6455 section 7.4.1: 1000
	uint8_t head[RDS_WS_FRAME_HEAD_MAX];
	if (!t->to_websocket || t->out_left > 0)
		return;
	rds_buffer_add(out, head,
	               rds_ws_frame_head(RDS_WS_CLOSE, true, sizeof normal_closure, head));
	rds_buffer_add(out, normal_closure, sizeof normal_closure);
}
