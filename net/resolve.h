// SPDX-License-Identifier: MIT
// Looks names up without holding up the loop.
#ifndef RDS_NET_RESOLVE_H
#define RDS_NET_RESOLVE_H

#include "core/addr.h"
#include "core/limits.h"
#include "net/loop.h"

struct rds_resolver;
struct rds_look_up;

// The addresses that name stands for, RDS_RESOLVE_ADDRS of them at most; none: why says why.
typedef void (*rds_resolve_fn)(void *ctx, const char *name, const struct rds_ip *ips, size_t n,
                               const char *why);

struct rds_resolver *rds_resolver_new(struct rds_loop *loop);

// Starts a look-up; copies name. NULL: it has ended already, fn was called. What is returned
// lives until fn is called.
struct rds_look_up *rds_resolver_look_up(struct rds_resolver *resolver, const char *name,
                                         rds_resolve_fn fn, void *ctx);

// Ends a look-up without a result: fn isn't called.
void rds_look_up_cancel(struct rds_look_up *look_up);

// Look-ups that are still under way end without a result. Runs the loop's pending callbacks
// once, so whatever they use must still be there.
void rds_resolver_free(struct rds_resolver *resolver);

#endif
