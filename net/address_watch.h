// SPDX-License-Identifier: MIT
// Tells when this host's addresses may have changed (rtnetlink(7)).
#ifndef RDS_NET_ADDRESS_WATCH_H
#define RDS_NET_ADDRESS_WATCH_H

#include "net/loop.h"

struct rds_address_watch;

// Calls fn on the loop after addresses came or went, or an interface was renamed: what there is now
// is for fn to find out. -RDS_ESYS.
int rds_address_watch_new(struct rds_loop *loop, rds_event_fn fn, void *ctx,
                          struct rds_address_watch **out, struct rds_error *err)
        __attribute__((warn_unused_result));
void rds_address_watch_free(struct rds_address_watch *watch);

#endif
