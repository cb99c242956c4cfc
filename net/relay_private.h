// SPDX-License-Identifier: MIT
// Shared by the relay*.c files and nobody else.
#ifndef RDS_NET_RELAY_PRIVATE_H
#define RDS_NET_RELAY_PRIVATE_H

#include "core/checks.h"
#include "core/log.h"
#include "core/pairing.h"
#include "core/rate.h"
#include "core/shares.h"
#include "net/acceptor.h"
#include "net/relay.h"
#include "net/transcode.h"
#include "net/udp.h"

#include <event2/event_struct.h>

// A session uuid's short form, for the log and for people.
#define SHORT_UUID 9

// Whose a session is, as its uuid says.
enum relay_kind { RELAY_CLIENTS, RELAY_PROBE, RELAY_CHECK };

// A connection before it is part of a session.
struct conn {
	struct rds_share share; // among those that wait; first
	struct rds_relay *relay;
	struct conn *next;
	struct conn *previous;
	struct event event; // readable; while it waits: edges only
	int fd;
	uint64_t id;
	uint64_t since_ms;
	struct rds_addr remote;
	enum {
		CONN_PROXY,   // its PROXY header is awaited
		CONN_REQUEST, // its WebSocket's opening request is
		CONN_MESSAGE, // its first message is
		CONN_WAITING, // its other side is
	} stage;
	bool must_proxy;
	bool websocket;
	bool controlling; // its message names whom it controls
	enum relay_kind kind;
	struct rds_transcoder *code; // of a WebSocket's first message
	struct rds_buffer frame;     // what it has made of it so far
	struct rds_buffer early;     // what was read of it and not yet used
	char uuid[SHORT_UUID];
};

// Two that met.
struct relay_session {
	struct rds_crew_task task; // first
	struct relay_session *next;
	struct relay_session *previous;
	uint64_t id;
	uint64_t started_ms;
	struct rds_addr remotes[2];
	bool websocket[2];
	enum relay_kind kind;
	char uuid[SHORT_UUID];
};

// A listening socket.
struct relay_door {
	struct rds_relay *relay;
	struct rds_acceptor *acceptor;
	bool websocket;
	bool proxy_header;
};

struct rds_relay {
	struct rds_loop *loop;
	struct rds_relay_config config;
	struct rds_relay_lists lists;
	struct rds_crew *crew;
	struct rds_pairing *pairing;
	struct rds_shares shares;
	struct rds_table conns_by_id;
	struct rds_table sessions_by_id;
	struct conn *conns;
	struct relay_session *sessions; // newest first
	struct relay_door **doors;
	size_t n_doors;
	struct rds_lines *console; // NULL: there is none
	struct rds_udp *udp;
	struct rds_rate *udp_rate;
	struct rds_timer *tick;
	struct rds_relay_status status;
	struct rds_log_limit refusals;
};

// relay.c: a waited for b; both are gone when this returns.
void relay_start_session(struct rds_relay *relay, struct conn *a, struct conn *b);

// relay_conn.c
void relay_accept(void *ctx, int fd, const struct rds_addr *remote);
void relay_conn_end(struct conn *conn, enum rds_reason why);
void relay_conn_free(struct conn *conn);
// Takes it out of every list and frees it, but for its socket and early bytes, which are the
// caller's.
void relay_conn_release(struct conn *conn);
// Ends those whose time is over.
void relay_conns_tick(struct rds_relay *relay);

// relay_door.c
// Why a connection from there isn't taken; RDS_WHY_NONE: it has its place among those that wait.
enum rds_reason relay_refuse(struct conn *conn);
// Take what comes first off the early bytes, and go on to the next stage. false: more is needed, or
// the connection has ended.
bool relay_take_proxy_header(struct conn *conn);
bool relay_take_opening(struct conn *conn);
// Writes a few bytes; false: it doesn't take them.
bool relay_conn_say(const struct conn *conn, const void *bytes, size_t len);

static inline uint64_t relay_hash(const struct rds_relay *relay, uint64_t id)
{
	return rds_hash(&relay->config.seed, &id, sizeof id);
}

// relay_udp.c
void relay_udp_open(struct rds_relay *relay);
void relay_udp_close(struct rds_relay *relay);

#endif
