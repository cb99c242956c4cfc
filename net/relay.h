// SPDX-License-Identifier: MIT
// The relay (protocol.md section 9): reads each connection's first message, brings the two
// sides of a session together, and hands them to the threads that carry their bytes.
#ifndef RDS_NET_RELAY_H
#define RDS_NET_RELAY_H

#include "core/key_hooks.h"
#include "core/reason.h"
#include "core/table.h"
#include "net/crew.h"
#include "net/lines.h"
#include "net/proxy.h"
#include "net/websocket.h"

struct rds_relay;

// What addresses are listed for, each list as rds_cidrs_sort leaves it; borrows.
struct rds_relay_lists {
	const struct rds_cidr *blocked;
	size_t n_blocked;
	const struct rds_cidr *slow; // on the slow lane
	size_t n_slow;
};

struct rds_relay_config {
	struct rds_seed seed;
	struct rds_key_hooks keys; // its ctx must outlive the relay
	struct rds_proxies proxies;
	rds_sha1_fn sha1;
	unsigned threads;
	// Whether the ID server has passed this session uuid on; NULL: whoever meets is paired.
	bool (*issued)(void *ctx, struct rds_view uuid);
	void *issued_ctx;
};

// Copies config; what it points to stays borrowed. -RDS_ESYS.
int rds_relay_new(struct rds_loop *loop, const struct rds_relay_config *config,
                  struct rds_relay **out, struct rds_error *err)
        __attribute__((warn_unused_result));

// Closes everything at once.
void rds_relay_free(struct rds_relay *relay);

// Adds a listening TCP socket, or a bound UDP one for NAT tests; takes fd.
void rds_relay_add_tcp(struct rds_relay *relay, int fd);
void rds_relay_add_websocket(struct rds_relay *relay, int fd);
void rds_relay_add_udp(struct rds_relay *relay, int fd);

// Closes one of them, which no connection notices; another one's fd is left alone.
void rds_relay_remove(struct rds_relay *relay, int fd);

// As rds_id_service_set_console, at the TCP port.
void rds_relay_set_console(struct rds_relay *relay, struct rds_lines *console);

// Takes a WebSocket connection that came in elsewhere, and early with its first bytes, the opening
// request's first. An rds_hand_over_fn; ctx is the relay.
void rds_relay_take_websocket(void *ctx, int fd, const struct rds_addr *remote,
                              struct rds_buffer *early);

// For all that are there and all that come: those from blocked addresses end.
void rds_relay_set_lists(struct rds_relay *relay, const struct rds_relay_lists *lists);

// As rds_crew_answers.
bool rds_relay_answers(struct rds_relay *relay);

// Of running sessions, too; share is worked out from total.
struct rds_pump_limits *rds_relay_limits(struct rds_relay *relay);

// Takes nobody new any more, and lets those go who wait; running sessions go on.
void rds_relay_drain(struct rds_relay *relay);

struct rds_relay_status {
	size_t handshakes; // first message not in yet
	size_t waiting;    // for their other side
	size_t sessions;
	uint64_t sessions_ended;
	uint64_t bytes;  // of ended sessions
	uint64_t probes; // sessions of ID servers' probes, which are none of those
	uint64_t checks; // nor are those of rdsrv check
	bool draining;
	struct rds_counters counters;
};
void rds_relay_status(const struct rds_relay *relay, struct rds_relay_status *out);

// A running session, as it is shown.
struct rds_relay_session {
	uint64_t id;
	const char *uuid; // its short form
	const char *transport;
	struct rds_addr remotes[2];
	uint64_t bytes[2];
	uint64_t lasted_ms;
	uint64_t idle_ms;
	uint64_t peak; // bytes a second, as the next two
	uint64_t average;
	uint64_t current;
	bool slow;
	bool check; // its uuid is that of a check's
};

// The running sessions one after the other, newest first: *at = 0 to start; false ends.
bool rds_relay_next_session(const struct rds_relay *relay, uint64_t *at,
                            struct rds_relay_session *out);

// Ends a session. false: there is none with that id.
bool rds_relay_kick(struct rds_relay *relay, uint64_t id);

#endif
