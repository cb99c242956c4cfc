// SPDX-License-Identifier: MIT
// From bytes to payloads: PROXY header, WebSocket or frames, secure channel.
#include "net/stream_private.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/frame.h"
#include "core/limits.h"
#include "net/proxy.h"

#include <stdlib.h>

// Frames handed over in one go: whoever talks a lot waits for its next turn.
#define FRAMES_AT_ONCE 32
// rds_stream_send looks at the bound without it.
#define WS_HEAD_MAX 16

// Opens a sealed payload and hands it over.
static void deliver_sealed(struct rds_stream *stream, struct rds_view sealed)
{
	uint8_t *plain = sealed.len < RDS_SEAL_BYTES ? NULL : rds_calloc(1, sealed.len);
	if (plain == NULL || !stream->hooks->open(stream->channel, sealed, plain))
		rds_stream_close(stream, RDS_WHY_CHANNEL_BROKEN);
	else
		stream->callbacks->on_payload(stream->ctx, stream,
		                              rds_view_of(plain, sealed.len - RDS_SEAL_BYTES));
	free(plain);
}

static void deliver_payload(struct rds_stream *stream, struct rds_view payload)
{
	stream->active_ms = rds_loop_now_ms(stream->loop);
	stream->payloads++;
	stream->unanswered = 0;
	if (stream->channel != NULL && payload.len >= RDS_SEALED_MIN_BYTES)
		deliver_sealed(stream, payload);
	else
		stream->callbacks->on_payload(stream->ctx, stream, payload);
}

// Whether a frame whose start is bytes may be as long as it says. Only OnlineRequest is long.
static bool may_be_long(const uint8_t *bytes, size_t len)
{
	static const uint8_t online_request[] = {0xba, 0x01}; // its member's tag
	size_t header_len = (bytes[0] & 3U) + 1U;
	return len < header_len + sizeof online_request ||
	       memcmp(bytes + header_len, online_request, sizeof online_request) == 0;
}

// As rds_frame_decode, with the bound that fits what is coming.
static long decode_frame(const uint8_t *bytes, size_t len, struct rds_view *payload)
{
	long n = rds_frame_decode(bytes, len, RDS_FRAME_MAX_BYTES, payload);
	if (n == -RDS_ETOOBIG && may_be_long(bytes, len))
		n = rds_frame_decode(bytes, len, RDS_ONLINE_FRAME_MAX_BYTES, payload);
	return n;
}

// Hands over the whole frames at the start of bytes; how many bytes they took.
static size_t deliver(struct rds_stream *stream, const uint8_t *bytes, size_t len)
{
	size_t used = 0;
	for (int frames = 0; stream->state == STREAM_OPEN; frames++) {
		struct rds_view payload;
		stream->more = frames == FRAMES_AT_ONCE && used < len;
		if (stream->more || used == len)
			return used;
		long n = decode_frame(bytes + used, len - used, &payload);
		if (n == 0)
			return used;
		if (n < 0) {
			rds_stream_close(stream, RDS_WHY_TOO_LONG);
			return len;
		}
		used += (size_t)n;
		deliver_payload(stream, payload);
	}
	return len; // what comes behind the end is nobody's
}

static void on_ws_message(void *ctx, struct rds_view message)
{
	struct rds_stream *stream = ctx;
	if (stream->state == STREAM_OPEN)
		deliver_payload(stream, message);
}

// Pongs as well: who pings and reads nothing is a slow reader like any other.
static void on_ws_output(void *ctx, const uint8_t *bytes, size_t len)
{
	struct rds_stream *stream = ctx;
	if (stream->state == STREAM_OPEN &&
	    stream->out.len + len > RDS_CONN_QUEUE_MAX_BYTES + WS_HEAD_MAX)
		stream_die(stream, RDS_WHY_SLOW_READER);
	if (stream->state != STREAM_DEAD)
		rds_buffer_add(&stream->out, bytes, len);
}

static void take_ws_bytes(struct rds_stream *stream, const uint8_t *bytes, size_t len)
{
	if (!rds_ws_receive(stream->ws, bytes, len))
		rds_stream_close(stream, RDS_WHY_EOF);
}

// A hasty client's first messages may be here already, behind the handshake's `used` bytes.
static void take_what_follows(struct rds_stream *stream, size_t used)
{
	rds_buffer_drop(&stream->in, used);
	struct rds_buffer rest = stream->in;
	stream->in = (struct rds_buffer){0};
	take_ws_bytes(stream, rest.len > 0 ? rds_buffer_data(&rest) : NULL, rest.len);
	rds_buffer_clear(&rest);
}

static void told_of_opening(struct rds_stream *stream, int status)
{
	if (stream->callbacks->on_opened != NULL)
		stream->callbacks->on_opened(stream->ctx, stream, status);
}

// The answer to our own request.
static void take_answer_bytes(struct rds_stream *stream, const uint8_t *bytes, size_t len)
{
	const struct stream_dial *dial = stream->dial;
	rds_buffer_add(&stream->in, bytes, len);
	long used = rds_ws_answer_parse(rds_view_of(rds_buffer_data(&stream->in), stream->in.len),
	                                dial->nonce, dial->hooks->sha1);
	if (used == 0)
		return;
	if (used < 0) {
		told_of_opening(stream, used == -1 ? 0 : (int)-used);
		rds_stream_close(stream, RDS_WHY_MALFORMED);
		return;
	}
	struct rds_ws_callbacks callbacks = {.ctx = stream,
	                                     .on_message = on_ws_message,
	                                     .on_output = on_ws_output,
	                                     .random = dial->hooks->random};
	stream->ws = rds_ws_new(RDS_ONLINE_FRAME_MAX_BYTES, &callbacks);
	free(stream->dial);
	stream->dial = NULL;
	told_of_opening(stream, 101);
	if (stream->state == STREAM_OPEN)
		take_what_follows(stream, (size_t)used);
}

static void open_websocket(struct rds_stream *stream, const struct rds_ws_request *request)
{
	struct rds_ws_callbacks callbacks = {
	        .ctx = stream, .on_message = on_ws_message, .on_output = on_ws_output};
	char answer[RDS_WS_ANSWER_BYTES];
	rds_ws_answer(request, stream->sha1, answer);
	rds_buffer_add(&stream->out, (const uint8_t *)answer, strlen(answer));
	stream->ws = rds_ws_new(RDS_ONLINE_FRAME_MAX_BYTES, &callbacks);
	stream->sha1 = NULL;
}

// Somebody else's business: the socket goes, and with it what was read; the rest is freed once its
// handler has returned.
static void hand_over(struct rds_stream *stream)
{
	struct rds_buffer early = stream->in;
	int fd = stream_give_away(stream);
	stream->in = (struct rds_buffer){0};
	stream->callbacks->on_handed_over(stream->ctx, stream, fd, &early);
}

static void take_request_bytes(struct rds_stream *stream, const uint8_t *bytes, size_t len)
{
	struct rds_ws_request request;
	rds_buffer_add(&stream->in, bytes, len);
	long used = rds_ws_request_parse(rds_view_of(rds_buffer_data(&stream->in), stream->in.len),
	                                 &request);
	if (used == 0)
		return;
	if (used < 0) {
		const char *refusal = rds_ws_refusal((int)-used);
		rds_buffer_add(&stream->out, (const uint8_t *)refusal, strlen(refusal));
		stream->sha1 = NULL;
		rds_stream_close(stream, RDS_WHY_MALFORMED);
		return;
	}
	if (stream->callbacks->on_request != NULL &&
	    !stream->callbacks->on_request(stream->ctx, stream, &request)) {
		hand_over(stream);
		return;
	}
	if (stream->state != STREAM_OPEN)
		return;
	open_websocket(stream, &request);
	take_what_follows(stream, (size_t)used);
}

// Takes the PROXY header off. false: it isn't all there yet, or the stream has ended; else what
// came behind it is in *rest.
static bool take_proxy_bytes(struct rds_stream *stream, const uint8_t *bytes, size_t len,
                             struct rds_buffer *rest)
{
	bool known = false;
	struct rds_addr client = {0};
	rds_buffer_add(&stream->in, bytes, len);
	long used = rds_proxy_header(rds_view_of(rds_buffer_data(&stream->in), stream->in.len),
	                             &known, &client);
	if (used == 0)
		return false;
	if (used < 0 && stream->proxy == STREAM_MUST_BE_PROXY) {
		rds_stream_close(stream, RDS_WHY_MALFORMED);
		return false;
	}
	stream->proxy = STREAM_NO_PROXY;
	if (used > 0) {
		stream->callbacks->on_proxied(stream->ctx, stream, known, &client);
		rds_buffer_drop(&stream->in, (size_t)used);
	}
	*rest = stream->in;
	stream->in = (struct rds_buffer){0};
	return rest->len > 0;
}

// Bytes of the client's own.
static void take_client_bytes(struct rds_stream *stream, const uint8_t *bytes, size_t len)
{
	if (stream->state != STREAM_OPEN)
		return; // what comes behind the end is nobody's
	if (stream->dial != NULL) {
		take_answer_bytes(stream, bytes, len);
	} else if (stream->sha1 != NULL) {
		take_request_bytes(stream, bytes, len);
	} else if (stream->ws != NULL) {
		take_ws_bytes(stream, bytes, len);
	} else if (stream->in.len == 0) {
		size_t used = deliver(stream, bytes, len);
		rds_buffer_add(&stream->in, bytes + used, len - used);
	} else {
		rds_buffer_add(&stream->in, bytes, len);
		size_t used = deliver(stream, rds_buffer_data(&stream->in), stream->in.len);
		rds_buffer_drop(&stream->in, used);
	}
}

void stream_take_bytes(struct rds_stream *stream, const uint8_t *bytes, size_t len)
{
	struct rds_buffer rest = {0};
	if (stream->proxy == STREAM_NO_PROXY || stream->state != STREAM_OPEN)
		take_client_bytes(stream, bytes, len);
	else if (take_proxy_bytes(stream, bytes, len, &rest))
		take_client_bytes(stream, rds_buffer_data(&rest), rest.len);
	rds_buffer_clear(&rest);
}
