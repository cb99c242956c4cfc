// SPDX-License-Identifier: MIT
// Probes relays as clients would use them (protocol.md section 9): two connections with one fresh
// session uuid; the relay is alive if bytes that are sent on one arrive on the other. When, and
// what follows, is core/rotation's business.
#ifndef RDS_NET_RELAY_PROBE_H
#define RDS_NET_RELAY_PROBE_H

#include "core/rotation.h"
#include "core/table.h"
#include "net/resolve.h"

// What probes need of conf/ and keys/.
struct rds_relay_probe_hooks {
	void *ctx;
	// A relay's name as host and port.
	void (*split)(void *ctx, struct rds_view name, char host[256], uint16_t *port);
	// A session of this uuid is going to be asked for.
	void (*announce)(void *ctx, struct rds_view uuid);
	// The key that clients show; may be empty. Borrowed for the length of a call.
	struct rds_view (*key)(void *ctx);
};

struct rds_relay_probe;

// seed: random, of nothing else; session uuids are made with it. seed and hooks are copied, all
// else is borrowed.
struct rds_relay_probe *rds_relay_probe_new(struct rds_loop *loop, struct rds_resolver *resolver,
                                            struct rds_rotation *rotation,
                                            const struct rds_seed *seed,
                                            const struct rds_relay_probe_hooks *hooks);
void rds_relay_probe_free(struct rds_relay_probe *probe);

// The rotation's relays have changed, or how often they are probed.
void rds_relay_probe_wake(struct rds_relay_probe *probe);

#endif
