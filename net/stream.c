// SPDX-License-Identifier: MIT
#include "net/stream.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/frame.h"
#include "core/limits.h"
#include "net/buffer.h"
#include "net/proxy.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

// Read in one go, and frames handed over in one go: whoever talks a lot waits for its next turn.
#define READ_BYTES     (16 * 1024)
#define FRAMES_AT_ONCE 32

enum state {
	OPEN,
	FLUSHING,  // closed by us: what was sent has to go out
	LINGERING, // our half is closed: waiting for theirs
	DEAD,      // to be freed
};

struct rds_stream {
	struct rds_share share; // first: rds_stream_of_share relies on it
	struct rds_loop *loop;
	const struct rds_stream_callbacks *callbacks;
	void *ctx;
	struct rds_addr remote;
	uint64_t id;
	uint64_t active_ms; // when the last whole payload came, or the state changed
	uint64_t sent_ms;   // when the last payload was sent
	uint64_t payloads;  // how many have come
	unsigned keep_alive_ms; // heartbeats when nothing was sent for so long; 0: none
	unsigned unanswered;    // heartbeats
	enum { NO_PROXY, MAY_BE_PROXY, MUST_BE_PROXY } proxy; // whether its header is awaited
	rds_sha1_fn sha1;  // set while a WebSocket's opening request is awaited
	struct rds_ws *ws; // NULL: framed
	const struct rds_secure_hooks *hooks;
	struct rds_channel *channel; // NULL: payloads are plain
	int fd;
	int mark;
	enum state state;
	enum rds_reason why;
	bool more;    // whole frames may wait in `in`: for its next turn
	bool broken;  // nothing can be sent any more
	bool eof;     // the other side has closed its half
	bool told;    // on_end was called
	bool handled; // inside one of its handlers
	struct event *readable;
	struct event *writable;
	struct rds_buffer in;  // the start of a frame whose rest hasn't come
	struct rds_buffer out; // what the kernel didn't take yet
};

static void enter(struct rds_stream *stream, enum state state)
{
	stream->state = state;
	stream->active_ms = rds_loop_now_ms(stream->loop);
}

static void die(struct rds_stream *stream, enum rds_reason why)
{
	if (stream->state == OPEN)
		stream->why = why;
	enter(stream, DEAD);
}

void rds_stream_free(struct rds_stream *stream)
{
	if (stream == NULL)
		return;
	event_free(stream->readable);
	event_free(stream->writable);
	(void)close(stream->fd);
	if (stream->channel != NULL)
		stream->hooks->free(stream->channel);
	rds_ws_free(stream->ws);
	rds_buffer_clear(&stream->in);
	rds_buffer_clear(&stream->out);
	free(stream);
}

static bool is_kept(const struct rds_stream *stream)
{
	return stream->state == OPEN && stream->keep_alive_ms > 0;
}

// When something has to happen although nothing comes.
static uint64_t deadline_ms(const struct rds_stream *stream)
{
	if (is_kept(stream))
		return stream->sent_ms + stream->keep_alive_ms;
	return stream->active_ms + (stream->state == OPEN ? RDS_CONN_IDLE_MS : RDS_CONN_LINGER_MS);
}

// Waits for bytes until the deadline. That counts whole payloads: trickling bytes keep nobody
// here.
static void await(struct rds_stream *stream)
{
	uint64_t now_ms = rds_loop_now_ms(stream->loop);
	uint64_t deadline = deadline_ms(stream);
	uint64_t left = now_ms < deadline && !stream->more ? deadline - now_ms : 0;
	struct timeval timeout = {.tv_sec = (time_t)(left / 1000),
	                          .tv_usec = (suseconds_t)(left % 1000) * 1000};
	if (!stream->eof)
		(void)event_add(stream->readable, &timeout);
	if (stream->out.len > 0)
		(void)event_add(stream->writable, &timeout);
}

static void check_time(struct rds_stream *stream)
{
	if (stream->state == DEAD || rds_loop_now_ms(stream->loop) < deadline_ms(stream))
		return;
	if (!is_kept(stream)) {
		die(stream, RDS_WHY_IDLE);
	} else if (stream->unanswered >= RDS_HEARTBEATS_UNANSWERED) {
		die(stream, RDS_WHY_NO_HEARTBEAT);
	} else {
		stream->unanswered++;
		rds_stream_send(stream, rds_view_of(NULL, 0));
	}
}

// The other side takes nothing any more. What it said before may still lie there to be read: B
// closes without reading our offer, and its answer counts all the same (section 6).
static void break_output(struct rds_stream *stream)
{
	rds_buffer_clear(&stream->out);
	stream->broken = true;
	if (stream->state != OPEN)
		die(stream, RDS_WHY_RESET);
}

// Writes what it can; the rest stays in the queue.
static void write_out(struct rds_stream *stream)
{
	while (stream->out.len > 0) {
		ssize_t n = send(stream->fd, rds_buffer_data(&stream->out), stream->out.len,
		                 MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				break_output(stream);
			return;
		}
		rds_buffer_drop(&stream->out, (size_t)n);
	}
}

// What follows from the state, after each handler: nothing of ours is on the stack now.
static void settle(struct rds_stream *stream)
{
	if (stream->state != DEAD)
		write_out(stream);
	if (stream->state == FLUSHING && stream->out.len == 0) {
		(void)shutdown(stream->fd, SHUT_WR);
		enter(stream, stream->eof ? DEAD : LINGERING);
	}
	if (stream->state != OPEN && !stream->told) {
		stream->told = true;
		stream->callbacks->on_end(stream->ctx, stream, stream->why);
	}
	if (stream->state == DEAD) {
		stream->callbacks->on_gone(stream->ctx, stream);
		rds_stream_free(stream);
	} else {
		await(stream);
	}
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	struct rds_stream *stream = arg;
	(void)what;
	check_time(stream);
	settle(stream);
}

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
	for (int frames = 0; stream->state == OPEN; frames++) {
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
	if (stream->state == OPEN)
		deliver_payload(stream, message);
}

static void on_ws_output(void *ctx, const uint8_t *bytes, size_t len)
{
	struct rds_stream *stream = ctx;
	rds_buffer_add(&stream->out, bytes, len);
}

static void take_ws_bytes(struct rds_stream *stream, const uint8_t *bytes, size_t len)
{
	if (!rds_ws_receive(stream->ws, bytes, len))
		rds_stream_close(stream, RDS_WHY_EOF);
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
	if (stream->callbacks->on_request != NULL)
		stream->callbacks->on_request(stream->ctx, stream, request);
}

static void take_request_bytes(struct rds_stream *stream, const uint8_t *bytes, size_t len)
{
	struct rds_ws_request request;
	rds_buffer_add(&stream->in, bytes, len);
	long used = rds_ws_request_parse(
	        rds_view_of(rds_buffer_data(&stream->in), stream->in.len), &request);
	if (used == 0)
		return;
	if (used < 0) {
		const char *refusal = rds_ws_refusal((int)-used);
		rds_buffer_add(&stream->out, (const uint8_t *)refusal, strlen(refusal));
		stream->sha1 = NULL;
		rds_stream_close(stream, RDS_WHY_MALFORMED);
		return;
	}
	open_websocket(stream, &request);
	rds_buffer_drop(&stream->in, (size_t)used);
	// A hasty client's first messages may be here already.
	struct rds_buffer rest = stream->in;
	stream->in = (struct rds_buffer){0};
	take_ws_bytes(stream, rest.len > 0 ? rds_buffer_data(&rest) : NULL, rest.len);
	rds_buffer_clear(&rest);
}

static void take_bytes(struct rds_stream *stream, const uint8_t *bytes, size_t len);

static void take_proxy_bytes(struct rds_stream *stream, const uint8_t *bytes, size_t len)
{
	bool known = false;
	struct rds_addr client = {0};
	rds_buffer_add(&stream->in, bytes, len);
	long used = rds_proxy_header(rds_view_of(rds_buffer_data(&stream->in), stream->in.len),
	                             &known, &client);
	if (used == 0)
		return;
	if (used < 0 && stream->proxy == MUST_BE_PROXY) {
		rds_stream_close(stream, RDS_WHY_MALFORMED);
		return;
	}
	stream->proxy = NO_PROXY;
	if (used > 0) {
		stream->callbacks->on_proxied(stream->ctx, stream, known, &client);
		rds_buffer_drop(&stream->in, (size_t)used);
	}
	struct rds_buffer rest = stream->in;
	stream->in = (struct rds_buffer){0};
	if (rest.len > 0)
		take_bytes(stream, rds_buffer_data(&rest), rest.len);
	rds_buffer_clear(&rest);
}

static void take_bytes(struct rds_stream *stream, const uint8_t *bytes, size_t len)
{
	if (stream->state != OPEN)
		return; // what comes behind the end is nobody's
	if (stream->proxy != NO_PROXY) {
		take_proxy_bytes(stream, bytes, len);
		return;
	}
	if (stream->sha1 != NULL) {
		take_request_bytes(stream, bytes, len);
		return;
	}
	if (stream->ws != NULL) {
		take_ws_bytes(stream, bytes, len);
		return;
	}
	if (stream->in.len == 0) {
		size_t used = deliver(stream, bytes, len);
		rds_buffer_add(&stream->in, bytes + used, len - used);
		return;
	}
	rds_buffer_add(&stream->in, bytes, len);
	size_t used = deliver(stream, rds_buffer_data(&stream->in), stream->in.len);
	rds_buffer_drop(&stream->in, used);
}

// Whoever closes its half may still read what is on its way.
static void take_eof(struct rds_stream *stream)
{
	stream->eof = true;
	if (stream->out.len > 0)
		rds_stream_close(stream, RDS_WHY_EOF);
	else
		die(stream, RDS_WHY_EOF);
}

static void read_in(struct rds_stream *stream)
{
	uint8_t *scratch = rds_loop_scratch(stream->loop);
	ssize_t n = recv(stream->fd, scratch, READ_BYTES, 0);
	if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
		return;
	if (n < 0)
		die(stream, RDS_WHY_RESET);
	else if (n > 0)
		take_bytes(stream, scratch, (size_t)n);
	else
		take_eof(stream);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	struct rds_stream *stream = arg;
	stream->handled = true;
	if (stream->more)
		take_bytes(stream, NULL, 0);
	else if ((what & EV_READ) != 0)
		read_in(stream);
	check_time(stream);
	stream->handled = false;
	settle(stream);
}

struct rds_stream *rds_stream_new(struct rds_loop *loop, int fd, const struct rds_addr *remote,
                                  const struct rds_stream_callbacks *callbacks, void *ctx)
{
	static const int yes = 1;
	struct rds_stream *stream = rds_calloc(1, sizeof *stream);
	stream->loop = loop;
	stream->fd = fd;
	stream->remote = *remote;
	stream->callbacks = callbacks;
	stream->ctx = ctx;
	stream->id = rds_loop_next_id(loop);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	struct event_base *base = rds_loop_base(loop);
	stream->readable = event_new(base, fd, EV_READ, on_readable, stream);
	stream->writable = event_new(base, fd, EV_WRITE, on_writable, stream);
	if (stream->readable == NULL || stream->writable == NULL)
		abort();
	enter(stream, OPEN);
	await(stream);
	return stream;
}

// Has settle() called soon, unless one of the stream's handlers is going to do it anyway.
static void settle_soon(struct rds_stream *stream)
{
	if (!stream->handled)
		event_active(stream->writable, EV_WRITE, 0);
}

static void queue_frame(struct rds_stream *stream, struct rds_view payload)
{
	uint8_t header[RDS_FRAME_HEADER_MAX];
	rds_buffer_add(&stream->out, header, rds_frame_header(payload.len, header));
	rds_buffer_add(&stream->out, payload.data, payload.len);
}

static void queue_payload(struct rds_stream *stream, struct rds_view payload)
{
	if (stream->ws != NULL) {
		rds_ws_send(stream->ws, payload);
		return;
	}
	if (stream->channel == NULL || payload.len < RDS_SEALED_MIN_BYTES) {
		queue_frame(stream, payload);
		return;
	}
	uint8_t *sealed = rds_calloc(1, payload.len + RDS_SEAL_BYTES);
	stream->hooks->seal(stream->channel, payload, sealed);
	queue_frame(stream, rds_view_of(sealed, payload.len + RDS_SEAL_BYTES));
	free(sealed);
}

void rds_stream_send(struct rds_stream *stream, struct rds_view payload)
{
	if (stream->state != OPEN || stream->broken)
		return;
	if (stream->out.len + payload.len > RDS_CONN_QUEUE_MAX_BYTES) {
		die(stream, RDS_WHY_SLOW_READER);
		settle_soon(stream);
		return;
	}
	queue_payload(stream, payload);
	stream->sent_ms = rds_loop_now_ms(stream->loop);
	if (stream->handled)
		return; // all that is said in this turn goes out at its end
	write_out(stream);
	if (stream->out.len > 0 || stream->state != OPEN)
		settle_soon(stream);
}

void rds_stream_close(struct rds_stream *stream, enum rds_reason why)
{
	if (stream->state != OPEN)
		return;
	if (stream->ws != NULL)
		rds_ws_close(stream->ws);
	stream->why = why;
	enter(stream, FLUSHING);
	settle_soon(stream);
}

void rds_stream_expect_websocket(struct rds_stream *stream, rds_sha1_fn sha1)
{
	stream->sha1 = sha1;
}

void rds_stream_expect_proxy(struct rds_stream *stream, bool must)
{
	stream->proxy = must ? MUST_BE_PROXY : MAY_BE_PROXY;
}

void rds_stream_set_remote(struct rds_stream *stream, const struct rds_addr *remote)
{
	stream->remote = *remote;
}

void rds_stream_secure(struct rds_stream *stream, const struct rds_secure_hooks *hooks,
                       struct rds_channel *channel)
{
	stream->hooks = hooks;
	stream->channel = channel;
}

void rds_stream_keep(struct rds_stream *stream, unsigned keep_alive_sec)
{
	if (stream->keep_alive_ms == 0)
		stream->sent_ms = rds_loop_now_ms(stream->loop);
	stream->keep_alive_ms = keep_alive_sec * 1000;
	if (!stream->handled)
		await(stream);
}

uint64_t rds_stream_payloads(const struct rds_stream *stream)
{
	return stream->payloads;
}

uint64_t rds_stream_id(const struct rds_stream *stream)
{
	return stream->id;
}

const struct rds_addr *rds_stream_remote(const struct rds_stream *stream)
{
	return &stream->remote;
}

struct rds_share *rds_stream_share(struct rds_stream *stream)
{
	return &stream->share;
}

struct rds_stream *rds_stream_of_share(struct rds_share *share)
{
	return (struct rds_stream *)(void *)share;
}

void rds_stream_set_mark(struct rds_stream *stream, int mark)
{
	stream->mark = mark;
}

int rds_stream_mark(const struct rds_stream *stream)
{
	return stream->mark;
}
