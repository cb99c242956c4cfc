// SPDX-License-Identifier: MIT
// A relay connection from its acceptance to its meeting its other side.
#include "net/relay_private.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/frame.h"
#include "core/limits.h"
#include "core/message.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLOSING_FRAME (0x80 | RDS_WS_CLOSE) // its first byte

static bool has_id(const void *entry, const void *key)
{
	return ((const struct conn *)entry)->id == *(const uint64_t *)key;
}

static struct conn *find(const struct rds_relay *relay, uint64_t id)
{
	return rds_table_find(&relay->conns_by_id, relay_hash(relay, id), has_id, &id);
}

void relay_conn_release(struct conn *conn)
{
	struct rds_relay *relay = conn->relay;
	(void)event_del(&conn->event);
	rds_shares_leave(&relay->shares, &conn->share);
	rds_pairing_cancel(relay->pairing, conn->id);
	rds_table_remove(&relay->conns_by_id, relay_hash(relay, conn->id), conn);
	*(conn->previous != NULL ? &conn->previous->next : &relay->conns) = conn->next;
	if (conn->next != NULL)
		conn->next->previous = conn->previous;
	if (conn->stage == CONN_WAITING)
		relay->status.waiting--;
	else
		relay->status.handshakes--;
	if (conn->code != NULL)
		rds_transcoder_clear(conn->code);
	free(conn->code);
	rds_buffer_clear(&conn->frame);
	free(conn);
}

void relay_conn_free(struct conn *conn)
{
	struct rds_buffer early = conn->early;
	(void)close(conn->fd);
	relay_conn_release(conn);
	rds_buffer_clear(&early);
}

static const char *side_of(const struct conn *conn)
{
	return conn->stage != CONN_WAITING ? "unknown"
	       : conn->controlling         ? "controlling"
	                                   : "controlled";
}

void relay_conn_end(struct conn *conn, enum rds_reason why)
{
	struct rds_relay *relay = conn->relay;
	uint64_t held_back;
	relay->status.counters.n[why]++;
	if (rds_log_wants(RDS_LOG_INFO) &&
	    rds_log_limit_pass(&relay->refusals, rds_loop_now_ms(relay->loop), &held_back))
		rds_log(RDS_LOG_INFO, "relay connection ended", rds_field_reason(why),
		        rds_field_text("meaning", rds_reason_text(why)),
		        rds_field_addr("from", &conn->remote), rds_field_text("uuid", conn->uuid),
		        rds_field_text("side", side_of(conn)),
		        rds_field_uint("not_logged_before", held_back));
	relay_conn_free(conn);
}

// The first frame in bytes whose payload isn't empty: heartbeats before it are dropped. 1, 0 if it
// isn't there yet, or a negative code.
static int next_frame(struct rds_buffer *bytes, struct rds_buffer *out)
{
	struct rds_view payload = {0};
	while (payload.len == 0) {
		long n = rds_frame_decode(rds_buffer_data(bytes), bytes->len,
		                          RDS_RELAY_FRAME_MAX_BYTES, &payload);
		if (n <= 0)
			return (int)n;
		rds_buffer_add(out, payload.data, payload.len);
		rds_buffer_drop(bytes, (size_t)n);
	}
	return 1;
}

// As next_frame, of a WebSocket's messages.
static int next_message(struct conn *conn, struct rds_buffer *out)
{
	struct rds_transcoder *code = conn->code;
	int rc = 0;
	while (rc == 0 && !code->closed && conn->early.len > 0) {
		long n = rds_transcode(code, rds_buffer_data(&conn->early), conn->early.len,
		                       &conn->frame);
		if (code->answer_len > 0)
			(void)relay_conn_say(conn, code->answer, code->answer_len);
		code->answer_len = 0;
		if (n < 0 || code->message.len > RDS_RELAY_FRAME_MAX_BYTES)
			return n < 0 ? (int)n : -RDS_ETOOBIG;
		rds_buffer_drop(&conn->early, (size_t)n);
		rc = next_frame(&conn->frame, out);
	}
	return rc;
}

// A WebSocket that waits and has sent nothing but its closing frame.
static void take_leave(struct conn *conn)
{
	uint8_t *scratch = rds_loop_scratch(conn->relay->loop);
	ssize_t n = recv(conn->fd, scratch, RDS_RELAY_FIRST_READ_BYTES, MSG_DONTWAIT);
	struct rds_buffer nothing = {0};
	if (n > 0)
		rds_buffer_add(&conn->early, scratch, (size_t)n);
	(void)next_message(conn, &nothing); // answers it
	rds_buffer_clear(&nothing);
	relay_conn_end(conn, RDS_WHY_EOF);
}

// Something has happened to a waiting side. What it sends stays in the kernel; if it has only
// closed its half, that must still reach its other side. An end without a byte before it, or a
// reset, frees its place.
static void on_stir(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct conn *conn = arg;
	uint8_t byte;
	ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	int error = 0;
	socklen_t len = sizeof error;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (n < 0 || error != 0)
		relay_conn_end(conn, RDS_WHY_RESET);
	else if (n == 0 && conn->early.len == 0)
		relay_conn_end(conn, RDS_WHY_EOF);
	else if (n > 0 && conn->early.len == 0 && conn->websocket && byte == CLOSING_FRAME)
		take_leave(conn);
}

static void set_event(struct conn *conn, short what, event_callback_fn fn)
{
	if (event_assign(&conn->event, rds_loop_base(conn->relay->loop), conn->fd, what, fn,
	                 conn) != 0)
		abort();
}

// Edge-triggered, since what lies unread would be ready for ever.
static void wait_for_other(struct conn *conn)
{
	struct rds_relay *relay = conn->relay;
	conn->stage = CONN_WAITING;
	relay->status.handshakes--;
	relay->status.waiting++;
	(void)event_del(&conn->event);
	set_event(conn, EV_READ | EV_CLOSED | EV_ET | EV_PERSIST, on_stir);
	(void)event_add(&conn->event, NULL);
}

static enum relay_kind kind_of(struct rds_view uuid)
{
	static const char prefix[] = RDS_PROBE_UUID_PREFIX;
	if (uuid.len >= sizeof prefix - 1 && memcmp(uuid.data, prefix, sizeof prefix - 1) == 0)
		return RELAY_PROBE;
	return rds_is_check(uuid) ? RELAY_CHECK : RELAY_CLIENTS;
}

// A probe or check that has the key is no client that uses it; one that hasn't is told like
// anybody, since anybody can call himself so.
static bool key_fits(struct conn *conn, const rds_RequestRelay *request)
{
	struct rds_relay *relay = conn->relay;
	struct rds_view key = rds_get(request->licence_key);
	uint32_t held;
	if (kind_of(rds_get(request->uuid)) != RELAY_CLIENTS &&
	    rds_key_judge(&relay->config.keys, key, rds_get(request->id), NULL, &held) ==
	            RDS_KEY_OK)
		return true;
	enum rds_key_verdict verdict =
	        rds_key_judge(&relay->config.keys, key, rds_get(request->id), &conn->remote, &held);
	if (verdict != RDS_KEY_OK)
		relay->status.counters.n[rds_key_reason(verdict)]++;
	return verdict == RDS_KEY_OK;
}

static bool is_issued(const struct rds_relay *relay, struct rds_view uuid)
{
	return relay->config.issued == NULL || relay->config.issued(relay->config.issued_ctx, uuid);
}

// conn and the one that waited for it have met.
static void meet(struct conn *conn, uint64_t other_id, struct rds_view uuid)
{
	struct rds_relay *relay = conn->relay;
	struct conn *other = find(relay, other_id);
	if (is_issued(relay, uuid)) {
		relay_start_session(relay, other, conn);
		return;
	}
	relay_conn_end(other, RDS_WHY_NOT_ISSUED);
	relay_conn_end(conn, RDS_WHY_NOT_ISSUED);
}

static void take_request(struct conn *conn, const rds_RequestRelay *request)
{
	struct rds_relay *relay = conn->relay;
	struct rds_view uuid = rds_get(request->uuid);
	uint64_t other_id = 0;
	enum rds_reason why = RDS_WHY_NONE;
	if (!key_fits(conn, request)) {
		relay_conn_free(conn);
		return;
	}
	(void)snprintf(conn->uuid, sizeof conn->uuid, "%.*s", (int)uuid.len,
	               (const char *)uuid.data);
	conn->controlling = request->id.size > 0;
	conn->kind = kind_of(uuid);
	switch (rds_pairing_offer(relay->pairing, rds_loop_now_ms(relay->loop), conn->id, uuid,
	                          &other_id, &why)) {
	case RDS_PAIRING_WAIT:
		wait_for_other(conn);
		return;
	case RDS_PAIRING_PAIRED:
		meet(conn, other_id, uuid);
		return;
	case RDS_PAIRING_REFUSED:
		relay_conn_end(conn, why);
		return;
	}
}

// payload, which is the first that isn't empty, lies in bytes that are free to go.
static void take_payload(struct conn *conn, struct rds_view payload)
{
	rds_message msg;
	int rc = rds_message_decode(payload, &msg);
	if (rc == -RDS_EPARSE)
		relay_conn_end(conn, RDS_WHY_MALFORMED);
	else if (rc != 0 || msg.which_member != rds_RendezvousMessage_request_relay_tag)
		relay_conn_end(conn, RDS_WHY_UNKNOWN_MESSAGE);
	else
		take_request(conn, &msg.member.request_relay);
}

static void take_message(struct conn *conn)
{
	struct rds_buffer payload = {0};
	int rc =
	        conn->websocket ? next_message(conn, &payload) : next_frame(&conn->early, &payload);
	if (rc > 0)
		take_payload(conn, rds_view_of(rds_buffer_data(&payload), payload.len));
	else if (rc < 0)
		relay_conn_end(conn, rc == -RDS_ETOOBIG ? RDS_WHY_TOO_LONG : RDS_WHY_MALFORMED);
	else if (conn->websocket && conn->code->closed)
		relay_conn_end(conn, RDS_WHY_EOF);
	rds_buffer_clear(&payload);
}

// Uses what has come so far. The connection may be gone afterwards.
static void take_bytes(struct conn *conn)
{
	if (conn->stage == CONN_PROXY && !relay_take_proxy_header(conn))
		return;
	if (conn->stage == CONN_REQUEST && !relay_take_opening(conn))
		return;
	take_message(conn);
}

// The connection may be gone afterwards.
static void read_bytes(struct conn *conn)
{
	uint8_t *scratch = rds_loop_scratch(conn->relay->loop);
	ssize_t n = recv(conn->fd, scratch, RDS_RELAY_FIRST_READ_BYTES, 0);
	if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
		return;
	if (n <= 0) {
		relay_conn_end(conn, n == 0 ? RDS_WHY_EOF : RDS_WHY_RESET);
		return;
	}
	rds_buffer_add(&conn->early, scratch, (size_t)n);
	take_bytes(conn);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	read_bytes(arg);
}

// A first message mostly comes right behind the connection: looking for it costs less than asking
// to be told of it. The connection may be gone afterwards.
static void begin(struct conn *conn)
{
	struct rds_relay *relay = conn->relay;
	uint64_t id = conn->id;
	if (conn->early.len > 0)
		take_bytes(conn);
	else
		read_bytes(conn);
	conn = find(relay, id);
	if (conn != NULL && conn->stage != CONN_WAITING)
		(void)event_add(&conn->event, NULL);
}

// NULL: it was refused.
static struct conn *conn_new(struct rds_relay *relay, int fd, const struct rds_addr *remote)
{
	struct conn *conn = rds_calloc(1, sizeof *conn);
	conn->relay = relay;
	conn->fd = fd;
	conn->id = rds_loop_next_id(relay->loop);
	conn->since_ms = rds_loop_now_ms(relay->loop);
	conn->remote = *remote;
	conn->stage = CONN_MESSAGE;
	set_event(conn, EV_READ | EV_PERSIST, on_readable);
	rds_table_insert(&relay->conns_by_id, relay_hash(relay, conn->id), conn);
	conn->next = relay->conns;
	if (conn->next != NULL)
		conn->next->previous = conn;
	relay->conns = conn;
	relay->status.handshakes++;
	enum rds_reason why = relay_refuse(conn);
	if (why != RDS_WHY_NONE)
		relay_conn_end(conn, why);
	return why == RDS_WHY_NONE ? conn : NULL;
}

// By the true other end, as on the ID server.
static bool is_for_console(const struct relay_door *door, const struct rds_ip *ip)
{
	return door->relay->console != NULL && !door->websocket && !door->proxy_header &&
	       rds_ip_is_loopback(ip);
}

void relay_accept(void *ctx, int fd, const struct rds_addr *remote)
{
	const struct relay_door *door = ctx;
	if (is_for_console(door, &remote->ip)) {
		rds_lines_take(door->relay->console, fd);
		return;
	}
	struct conn *conn = conn_new(door->relay, fd, remote);
	if (conn == NULL)
		return;
	conn->websocket = door->websocket;
	conn->must_proxy = rds_proxies_trust(&door->relay->config.proxies, &remote->ip);
	conn->stage = door->proxy_header ? CONN_PROXY
	              : door->websocket  ? CONN_REQUEST
	                                 : CONN_MESSAGE;
	begin(conn);
}

void rds_relay_take_websocket(void *ctx, int fd, const struct rds_addr *remote,
                              struct rds_buffer *early)
{
	struct rds_relay *relay = ctx;
	struct conn *conn = relay->status.draining ? NULL : conn_new(relay, fd, remote);
	if (conn == NULL) {
		if (relay->status.draining)
			(void)close(fd);
		rds_buffer_clear(early);
		return;
	}
	rds_pump_set_options(fd);
	conn->websocket = true;
	conn->stage = CONN_REQUEST;
	conn->early = *early;
	*early = (struct rds_buffer){0};
	begin(conn);
}

void relay_conns_tick(struct rds_relay *relay)
{
	uint64_t now_ms = rds_loop_now_ms(relay->loop);
	uint64_t id;
	while (rds_pairing_expire(relay->pairing, now_ms, &id))
		relay_conn_end(find(relay, id), RDS_WHY_PARTNER_MISSING);
	for (struct conn *conn = relay->conns, *next; conn != NULL; conn = next) {
		next = conn->next;
		if (conn->stage != CONN_WAITING &&
		    now_ms - conn->since_ms >= RDS_RELAY_HANDSHAKE_MS)
			relay_conn_end(conn, RDS_WHY_HANDSHAKE_TIMEOUT);
	}
}
