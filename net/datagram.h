// SPDX-License-Identifier: MIT
// Datagrams of a client: one UDP socket towards one server.
#ifndef RDS_NET_DATAGRAM_H
#define RDS_NET_DATAGRAM_H

#include "core/addr.h"
#include "core/error.h"
#include "net/loop.h"

struct rds_datagram;

// None may free it.
struct rds_datagram_callbacks {
	// Viewed for the length of the call.
	void (*on_payload)(void *ctx, struct rds_datagram *datagram, struct rds_view payload);
	// The other host said that nothing can get there; more may be tried. why: in words.
	void (*on_refused)(void *ctx, struct rds_datagram *datagram, const char *why);
};

// callbacks and ctx are borrowed. -RDS_ESYS with *err: there is no way to that address.
int rds_datagram_open(struct rds_loop *loop, const struct rds_addr *to,
                      const struct rds_datagram_callbacks *callbacks, void *ctx,
                      struct rds_datagram **out, struct rds_error *err)
        __attribute__((warn_unused_result));
void rds_datagram_close(struct rds_datagram *datagram);

// Sends one payload; that it can't be sent is told by on_refused, later.
void rds_datagram_send(struct rds_datagram *datagram, struct rds_view payload);

// The local port; 0: not known.
uint16_t rds_datagram_local_port(const struct rds_datagram *datagram);

#endif
