// SPDX-License-Identifier: MIT
#include "net/stream_private.h"

#include "core/alloc.h"
#include "core/frame.h"
#include "core/limits.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

// Read in one go: the next connection's turn comes soon.
#define READ_BYTES (16 * 1024)

static void enter(struct rds_stream *stream, enum stream_state state)
{
	stream->state = state;
	stream->active_ms = rds_loop_now_ms(stream->loop);
}

void stream_die(struct rds_stream *stream, enum rds_reason why)
{
	if (stream->state == STREAM_OPEN)
		stream->why = why;
	enter(stream, STREAM_DEAD);
}

void rds_stream_free(struct rds_stream *stream)
{
	if (stream == NULL)
		return;
	event_free(stream->readable);
	event_free(stream->writable);
	if (stream->fd >= 0)
		(void)close(stream->fd);
	if (stream->channel != NULL)
		stream->hooks->free(stream->channel);
	rds_ws_free(stream->ws);
	free(stream->dial);
	rds_buffer_clear(&stream->in);
	rds_buffer_clear(&stream->out);
	free(stream);
}

static bool is_kept(const struct rds_stream *stream)
{
	return stream->state == STREAM_OPEN && stream->keep_alive_ms > 0;
}

// When something has to happen although nothing comes.
static uint64_t deadline_ms(const struct rds_stream *stream)
{
	if (is_kept(stream))
		return stream->sent_ms + stream->keep_alive_ms;
	return stream->active_ms +
	       (stream->state == STREAM_OPEN ? stream->idle_ms : RDS_CONN_LINGER_MS);
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
	if (stream->state == STREAM_DEAD || rds_loop_now_ms(stream->loop) < deadline_ms(stream))
		return;
	if (!is_kept(stream)) {
		stream_die(stream, RDS_WHY_IDLE);
	} else if (stream->unanswered >= RDS_HEARTBEATS_UNANSWERED) {
		stream_die(stream, RDS_WHY_NO_HEARTBEAT);
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
	if (stream->state != STREAM_OPEN)
		stream_die(stream, RDS_WHY_RESET);
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
	if (stream->state != STREAM_DEAD)
		write_out(stream);
	if (stream->state == STREAM_FLUSHING && stream->out.len == 0) {
		(void)shutdown(stream->fd, SHUT_WR);
		enter(stream, stream->eof ? STREAM_DEAD : STREAM_LINGERING);
	}
	if (stream->state != STREAM_OPEN && !stream->told) {
		stream->told = true;
		stream->callbacks->on_end(stream->ctx, stream, stream->why);
	}
	if (stream->state == STREAM_DEAD) {
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

// Whoever closes its half may still read what is on its way.
static void take_eof(struct rds_stream *stream)
{
	stream->eof = true;
	if (stream->out.len > 0)
		rds_stream_close(stream, RDS_WHY_EOF);
	else
		stream_die(stream, RDS_WHY_EOF);
}

static void read_in(struct rds_stream *stream)
{
	uint8_t *scratch = rds_loop_scratch(stream->loop);
	ssize_t n = recv(stream->fd, scratch, READ_BYTES, 0);
	if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
		return;
	if (n < 0)
		stream_die(stream, RDS_WHY_RESET);
	else if (n > 0)
		stream_take_bytes(stream, scratch, (size_t)n);
	else
		take_eof(stream);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	struct rds_stream *stream = arg;
	stream->handled = true;
	if (stream->more)
		stream_take_bytes(stream, NULL, 0);
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
	stream->idle_ms = RDS_CONN_IDLE_MS;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	struct event_base *base = rds_loop_base(loop);
	stream->readable = event_new(base, fd, EV_READ, on_readable, stream);
	stream->writable = event_new(base, fd, EV_WRITE, on_writable, stream);
	if (stream->readable == NULL || stream->writable == NULL)
		abort();
	enter(stream, STREAM_OPEN);
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
	if (stream->state != STREAM_OPEN || stream->broken)
		return;
	if (stream->out.len + payload.len > RDS_CONN_QUEUE_MAX_BYTES) {
		stream_die(stream, RDS_WHY_SLOW_READER);
		settle_soon(stream);
		return;
	}
	queue_payload(stream, payload);
	stream->sent_ms = rds_loop_now_ms(stream->loop);
	if (stream->handled)
		return; // all that is said in this turn goes out at its end
	write_out(stream);
	if (stream->out.len > 0 || stream->state != STREAM_OPEN)
		settle_soon(stream);
}

int stream_give_away(struct rds_stream *stream)
{
	int fd = stream->fd;
	(void)event_del(stream->readable);
	(void)event_del(stream->writable);
	stream->fd = -1;
	stream->told = true;
	stream_die(stream, RDS_WHY_NONE);
	return fd;
}

void rds_stream_close(struct rds_stream *stream, enum rds_reason why)
{
	if (stream->state != STREAM_OPEN)
		return;
	stream->why = why;
	stream->more = false; // what came behind its end has no turn
	enter(stream, STREAM_FLUSHING);
	if (stream->ws != NULL)
		rds_ws_close(stream->ws);
	settle_soon(stream);
}

void rds_stream_expect_websocket(struct rds_stream *stream, rds_sha1_fn sha1)
{
	stream->sha1 = sha1;
}

bool rds_stream_open_websocket(struct rds_stream *stream, const char *host, const char *path,
                               const struct rds_ws_hooks *hooks)
{
	char request[RDS_WS_REQUEST_BYTES];
	stream->dial = rds_calloc(1, sizeof *stream->dial);
	stream->dial->hooks = hooks;
	if (!hooks->random(stream->dial->nonce, sizeof stream->dial->nonce) ||
	    !rds_ws_request_write(host, path, stream->dial->nonce, request))
		return false;
	rds_buffer_add(&stream->out, (const uint8_t *)request, strlen(request));
	settle_soon(stream);
	return true;
}

void rds_stream_expect_proxy(struct rds_stream *stream, bool must)
{
	stream->proxy = must ? STREAM_MUST_BE_PROXY : STREAM_MAY_BE_PROXY;
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

void rds_stream_set_idle(struct rds_stream *stream, unsigned idle_ms)
{
	stream->idle_ms = idle_ms;
	if (!stream->handled)
		await(stream);
}

bool rds_stream_keep(struct rds_stream *stream, unsigned keep_alive_sec)
{
	if (stream->state != STREAM_OPEN)
		return false;
	if (stream->keep_alive_ms == 0)
		stream->sent_ms = rds_loop_now_ms(stream->loop);
	stream->keep_alive_ms = keep_alive_sec * 1000;
	if (!stream->handled)
		await(stream);
	return true;
}

uint64_t rds_stream_payloads(const struct rds_stream *stream)
{
	return stream->payloads;
}

bool rds_stream_was_taken(const struct rds_stream *stream)
{
	int left = 0;
	return stream->out.len == 0 && ioctl(stream->fd, SIOCOUTQ, &left) == 0 && left == 0;
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

void rds_stream_set_offered(struct rds_stream *stream, uint32_t key)
{
	stream->offered = key;
}

uint32_t rds_stream_offered(const struct rds_stream *stream)
{
	return stream->offered;
}
