// SPDX-License-Identifier: MIT
#include "net/relay.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/frame.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/message.h"
#include "core/pairing.h"
#include "net/acceptor.h"
#include "net/pump.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

// A connection before it is part of a session.
struct conn {
	struct rds_relay *relay;
	struct conn *next;
	struct conn *previous;
	int fd;
	uint64_t id;
	uint64_t since_ms;
	struct rds_addr remote;
	bool waiting;            // its first message is in: waits for its other side
	struct event *event;     // readable; while it waits: edges only
	struct rds_buffer early; // all that was read of it, from the first message on
	char uuid[16];           // short form, for the log
};

// Two that met.
struct session {
	struct rds_relay *relay;
	struct session *next;
	struct session *previous;
	struct rds_pump *pump;
	struct rds_addr remotes[2];
	char uuid[16];
};

struct rds_relay {
	struct rds_loop *loop;
	struct rds_seed seed;
	struct rds_key_hooks keys;
	struct rds_pairing *pairing;
	struct rds_table conns_by_id;
	struct conn *conns;
	struct session *sessions;
	struct rds_acceptor **acceptors;
	size_t n_acceptors;
	struct rds_timer *tick;
	struct rds_relay_status status;
	struct rds_log_limit refusals;
};

static uint64_t hash_id(const struct rds_relay *relay, uint64_t id)
{
	return rds_hash(&relay->seed, &id, sizeof id);
}

static bool has_id(const void *entry, const void *key)
{
	return ((const struct conn *)entry)->id == *(const uint64_t *)key;
}

// Takes the connection out of every list; its socket and bytes are the caller's.
static void conn_forget(struct conn *conn)
{
	struct rds_relay *relay = conn->relay;
	event_free(conn->event);
	rds_pairing_cancel(relay->pairing, conn->id);
	rds_table_remove(&relay->conns_by_id, hash_id(relay, conn->id), conn);
	*(conn->previous != NULL ? &conn->previous->next : &relay->conns) = conn->next;
	if (conn->next != NULL)
		conn->next->previous = conn->previous;
	if (conn->waiting)
		relay->status.waiting--;
	else
		relay->status.handshakes--;
}

static void conn_free(struct conn *conn)
{
	conn_forget(conn);
	(void)close(conn->fd);
	rds_buffer_clear(&conn->early);
	free(conn);
}

static void conn_end(struct conn *conn, enum rds_reason why)
{
	struct rds_relay *relay = conn->relay;
	uint64_t held_back;
	relay->status.counters.n[why]++;
	if (rds_log_wants(RDS_LOG_INFO) &&
	    rds_log_limit_pass(&relay->refusals, rds_loop_now_ms(relay->loop), &held_back))
		rds_log(RDS_LOG_INFO, "relay connection ended", rds_field_reason(why),
		        rds_field_text("meaning", rds_reason_text(why)),
		        rds_field_addr("from", &conn->remote), rds_field_text("uuid", conn->uuid),
		        rds_field_uint("not_logged_before", held_back));
	conn_free(conn);
}

static const char *end_of(const struct rds_pump_result *result)
{
	return result->ended_by == 0 ? "first" : result->ended_by == 1 ? "second" : "relay";
}

static void session_free(struct session *session)
{
	struct rds_relay *relay = session->relay;
	*(session->previous != NULL ? &session->previous->next : &relay->sessions) = session->next;
	if (session->next != NULL)
		session->next->previous = session->previous;
	relay->status.sessions--;
	free(session);
}

static void on_pump_end(void *ctx, struct rds_pump *pump, const struct rds_pump_result *result)
{
	struct session *session = ctx;
	struct rds_relay *relay = session->relay;
	(void)pump;
	relay->status.sessions_ended++;
	relay->status.bytes += result->bytes[0] + result->bytes[1];
	relay->status.counters.n[result->why]++;
	rds_log(RDS_LOG_INFO, "session ended", rds_field_text("uuid", session->uuid),
	        rds_field_addr("first", &session->remotes[0]),
	        rds_field_addr("second", &session->remotes[1]),
	        rds_field_uint("bytes_from_first", result->bytes[0]),
	        rds_field_uint("bytes_from_second", result->bytes[1]),
	        rds_field_uint("ms", result->lasted_ms), rds_field_text("ended_by", end_of(result)),
	        rds_field_reason(result->why));
	session_free(session);
}

// a waited for b.
static void start_session(struct rds_relay *relay, struct conn *a, struct conn *b)
{
	struct session *session = rds_calloc(1, sizeof *session);
	struct rds_pump_side sides[2] = {{.fd = a->fd, .early = a->early},
	                                 {.fd = b->fd, .early = b->early}};
	session->relay = relay;
	session->remotes[0] = a->remote;
	session->remotes[1] = b->remote;
	memcpy(session->uuid, b->uuid, sizeof session->uuid);
	session->next = relay->sessions;
	if (session->next != NULL)
		session->next->previous = session;
	relay->sessions = session;
	relay->status.sessions++;
	conn_forget(a);
	conn_forget(b);
	rds_log(RDS_LOG_DEBUG, "session started", rds_field_text("uuid", session->uuid),
	        rds_field_addr("first", &a->remote), rds_field_addr("second", &b->remote));
	free(a);
	free(b);
	session->pump = rds_pump_new(relay->loop, sides, on_pump_end, session);
}

// Something has happened to a waiting side. What it sends stays in the kernel; if it has only
// closed its half, that must still reach its other side. An end without a byte, or a reset, frees
// its place.
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
		conn_end(conn, RDS_WHY_RESET);
	else if (n == 0 && conn->early.len == 0)
		conn_end(conn, RDS_WHY_EOF);
}

// Edge-triggered, since what lies unread would be ready for ever.
static void wait_for_other(struct conn *conn)
{
	struct rds_relay *relay = conn->relay;
	conn->waiting = true;
	relay->status.handshakes--;
	relay->status.waiting++;
	event_free(conn->event);
	conn->event = event_new(rds_loop_base(relay->loop), conn->fd,
	                        EV_READ | EV_CLOSED | EV_ET | EV_PERSIST, on_stir, conn);
	if (conn->event == NULL)
		abort();
	(void)event_add(conn->event, NULL);
}

static bool key_fits(struct conn *conn, const rds_RequestRelay *request)
{
	struct rds_relay *relay = conn->relay;
	enum rds_key_verdict verdict = rds_key_judge(&relay->keys, rds_get(request->licence_key),
	                                             rds_get(request->id), &conn->remote);
	if (verdict != RDS_KEY_OK)
		relay->status.counters.n[rds_key_reason(verdict)]++;
	return verdict == RDS_KEY_OK;
}

static void take_request(struct conn *conn, const rds_RequestRelay *request)
{
	struct rds_relay *relay = conn->relay;
	struct rds_view uuid = rds_get(request->uuid);
	uint64_t other_id = 0;
	enum rds_reason why = RDS_WHY_NONE;
	if (!key_fits(conn, request)) {
		conn_free(conn);
		return;
	}
	(void)snprintf(conn->uuid, sizeof conn->uuid, "%.*s", (int)(uuid.len < 8 ? uuid.len : 8),
	               (const char *)uuid.data);
	switch (rds_pairing_offer(relay->pairing, rds_loop_now_ms(relay->loop), conn->id, uuid,
	                          &other_id, &why)) {
	case RDS_PAIRING_WAIT:
		wait_for_other(conn);
		return;
	case RDS_PAIRING_PAIRED:
		start_session(relay,
		              rds_table_find(&relay->conns_by_id, hash_id(relay, other_id), has_id,
		                             &other_id),
		              conn);
		return;
	case RDS_PAIRING_REFUSED:
		conn_end(conn, why);
		return;
	}
}

// The first message is there as soon as its frame is; an empty one is a heartbeat.
static void take_bytes(struct conn *conn)
{
	struct rds_view payload = {0};
	rds_message msg;
	long n = 0;
	while (n == 0 || payload.len == 0) {
		n = rds_frame_decode(rds_buffer_data(&conn->early), conn->early.len,
		                     RDS_RELAY_FRAME_MAX_BYTES, &payload);
		if (n == 0)
			return;
		if (n < 0) {
			conn_end(conn, RDS_WHY_TOO_LONG);
			return;
		}
		if (payload.len == 0)
			rds_buffer_drop(&conn->early, (size_t)n);
	}
	int rc = rds_message_decode(payload, &msg);
	rds_buffer_drop(&conn->early, (size_t)n);
	if (rc == -RDS_EPARSE)
		conn_end(conn, RDS_WHY_MALFORMED);
	else if (rc != 0 || msg.which_member != rds_RendezvousMessage_request_relay_tag)
		conn_end(conn, RDS_WHY_UNKNOWN_MESSAGE);
	else
		take_request(conn, &msg.member.request_relay);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct conn *conn = arg;
	uint8_t *scratch = rds_loop_scratch(conn->relay->loop);
	ssize_t n = recv(fd, scratch, RDS_LOOP_SCRATCH_BYTES, 0);
	if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
		return;
	if (n <= 0) {
		conn_end(conn, n == 0 ? RDS_WHY_EOF : RDS_WHY_RESET);
		return;
	}
	rds_buffer_add(&conn->early, scratch, (size_t)n);
	take_bytes(conn);
}

static void on_accept(void *ctx, int fd, const struct rds_addr *remote)
{
	struct rds_relay *relay = ctx;
	struct conn *conn = rds_calloc(1, sizeof *conn);
	conn->relay = relay;
	conn->fd = fd;
	conn->id = rds_loop_next_id(relay->loop);
	conn->since_ms = rds_loop_now_ms(relay->loop);
	conn->remote = *remote;
	conn->event =
	        event_new(rds_loop_base(relay->loop), fd, EV_READ | EV_PERSIST, on_readable, conn);
	if (conn->event == NULL)
		abort();
	(void)event_add(conn->event, NULL);
	rds_table_insert(&relay->conns_by_id, hash_id(relay, conn->id), conn);
	conn->next = relay->conns;
	if (conn->next != NULL)
		conn->next->previous = conn;
	relay->conns = conn;
	relay->status.handshakes++;
}

// Once a second: whose time is over.
static void on_tick(void *ctx)
{
	struct rds_relay *relay = ctx;
	uint64_t now_ms = rds_loop_now_ms(relay->loop);
	uint64_t id;
	while (rds_pairing_expire(relay->pairing, now_ms, &id)) {
		struct conn *conn =
		        rds_table_find(&relay->conns_by_id, hash_id(relay, id), has_id, &id);
		conn_end(conn, RDS_WHY_PARTNER_MISSING);
	}
	for (struct conn *conn = relay->conns, *next; conn != NULL; conn = next) {
		next = conn->next;
		if (!conn->waiting && now_ms - conn->since_ms >= RDS_RELAY_HANDSHAKE_MS)
			conn_end(conn, RDS_WHY_HANDSHAKE_TIMEOUT);
	}
}

struct rds_relay *rds_relay_new(struct rds_loop *loop, const struct rds_seed *seed,
                                const struct rds_key_hooks *keys)
{
	struct rds_relay *relay = rds_calloc(1, sizeof *relay);
	relay->loop = loop;
	relay->seed = *seed;
	relay->keys = *keys;
	relay->pairing = rds_pairing_new(seed);
	rds_table_init(&relay->conns_by_id);
	relay->tick = rds_timer_every(loop, 1000, on_tick, relay);
	return relay;
}

void rds_relay_free(struct rds_relay *relay)
{
	if (relay == NULL)
		return;
	for (size_t i = 0; i < relay->n_acceptors; i++)
		rds_acceptor_free(relay->acceptors[i]);
	for (struct conn *conn = relay->conns, *next; conn != NULL; conn = next) {
		next = conn->next;
		conn_free(conn);
	}
	for (struct session *session = relay->sessions, *next; session != NULL; session = next) {
		next = session->next;
		rds_pump_free(session->pump);
		session_free(session);
	}
	rds_timer_free(relay->tick);
	rds_pairing_free(relay->pairing);
	rds_table_clear(&relay->conns_by_id);
	free(relay->acceptors);
	free(relay);
}

void rds_relay_add_listener(struct rds_relay *relay, int fd)
{
	relay->acceptors = rds_realloc(relay->acceptors, relay->n_acceptors + 1,
	                               sizeof(struct rds_acceptor *));
	relay->acceptors[relay->n_acceptors++] =
	        rds_acceptor_new(relay->loop, fd, on_accept, relay);
}

void rds_relay_status(const struct rds_relay *relay, struct rds_relay_status *out)
{
	*out = relay->status;
}
