// SPDX-License-Identifier: MIT
// The relay (protocol.md section 9): reads each connection's first message, brings the two
// sides of a session together, and lets the pump carry their bytes.
#ifndef RDS_NET_RELAY_H
#define RDS_NET_RELAY_H

#include "core/key_hooks.h"
#include "core/reason.h"
#include "core/table.h"
#include "net/loop.h"

struct rds_relay;

// keys is copied; its ctx must outlive the relay.
struct rds_relay *rds_relay_new(struct rds_loop *loop, const struct rds_seed *seed,
                                const struct rds_key_hooks *keys);

// Closes everything at once.
void rds_relay_free(struct rds_relay *relay);

// Adds a listening TCP socket; takes fd.
void rds_relay_add_listener(struct rds_relay *relay, int fd);

struct rds_relay_status {
	size_t handshakes; // first message not in yet
	size_t waiting;    // for their other side
	size_t sessions;
	uint64_t sessions_ended;
	uint64_t bytes; // of ended sessions
	struct rds_counters counters;
};
void rds_relay_status(const struct rds_relay *relay, struct rds_relay_status *out);

#endif
