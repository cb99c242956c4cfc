// SPDX-License-Identifier: MIT
// Looks names up without holding up the loop.
#ifndef RDS_NET_RESOLVE_H
#define RDS_NET_RESOLVE_H

#include "net/loop.h"

struct rds_resolver;

// why is NULL if the name resolves.
typedef void (*rds_resolve_fn)(void *ctx, const char *name, const char *why);

struct rds_resolver *rds_resolver_new(struct rds_loop *loop, rds_resolve_fn on_result, void *ctx);

// Starts a look-up; copies name.
void rds_resolver_look_up(struct rds_resolver *resolver, const char *name);

// Look-ups that are still under way end without a result. Runs the loop's pending callbacks
// once, so whatever they use must still be there.
void rds_resolver_free(struct rds_resolver *resolver);

#endif
