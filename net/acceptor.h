// SPDX-License-Identifier: MIT
// Accepts connections. Near the limit on descriptors newcomers are closed at once, so that those
// who are in go on; out of descriptors it pauses, and tries again when there may be some.
#ifndef RDS_NET_ACCEPTOR_H
#define RDS_NET_ACCEPTOR_H

#include "core/addr.h"
#include "net/loop.h"

struct rds_acceptor;

// Takes fd (nonblocking, close-on-exec).
typedef void (*rds_accept_fn)(void *ctx, int fd, const struct rds_addr *remote);

// Takes the listening fd.
struct rds_acceptor *rds_acceptor_new(struct rds_loop *loop, int fd, rds_accept_fn on_accept,
                                      void *ctx);
int rds_acceptor_fd(const struct rds_acceptor *acceptor);
void rds_acceptor_free(struct rds_acceptor *acceptor);

#endif
