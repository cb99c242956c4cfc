// SPDX-License-Identifier: MIT
// Datagrams in batches. Each path remembers the local socket and address that a datagram came
// to, so that answers and later pushes leave from there: hosts have several addresses.
#ifndef RDS_NET_UDP_H
#define RDS_NET_UDP_H

#include "core/reason.h"
#include "core/registry.h"
#include "net/loop.h"

// Datagrams that are taken, or sent, in one call.
#define RDS_UDP_BATCH 64

struct rds_udp;

struct rds_udp_callbacks {
	void *ctx;
	// Before the datagrams of a batch, at most RDS_UDP_BATCH: what they hold. NULL: of no
	// interest.
	void (*on_batch)(void *ctx, const struct rds_view *payloads, size_t n);
	void (*on_datagram)(void *ctx, const struct rds_path *from, struct rds_view payload);
	// A datagram was dropped: too long to come in, or could not go out.
	void (*on_dropped)(void *ctx, enum rds_reason why);
};

struct rds_udp *rds_udp_new(struct rds_loop *loop, const struct rds_udp_callbacks *callbacks);
void rds_udp_free(struct rds_udp *udp);

// Adds a bound socket; takes fd. receive_bytes: its buffer, 0 for the system's default.
void rds_udp_add(struct rds_udp *udp, int fd, int receive_bytes);

// Closes a socket that was added; another one's fd is left alone. What is sent to paths that came
// in there is dropped, until a socket with its address is added again.
void rds_udp_remove(struct rds_udp *udp, int fd);

// Queues one datagram; it goes out before the loop waits again.
void rds_udp_send(struct rds_udp *udp, const struct rds_path *to, struct rds_view payload);

#endif
