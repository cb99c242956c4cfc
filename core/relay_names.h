// SPDX-License-Identifier: MIT
// Relays as clients are told them: each has a name, and may have others for clients in certain
// networks.
#ifndef RDS_CORE_RELAY_NAMES_H
#define RDS_CORE_RELAY_NAMES_H

#include "core/addr.h"

struct rds_relay_name {
	struct rds_cidr net;
	struct rds_view name;
};

// One relay. Everything is borrowed.
struct rds_relay_names {
	struct rds_view name; // for everybody else
	const struct rds_relay_name *by_net;
	size_t n_by_net;
};

// The relay's name for a client at ip: that of the smallest network that holds it.
struct rds_view rds_relay_name_for(const struct rds_relay_names *relay, const struct rds_ip *ip);

// Names are the same whatever the case of their letters.
bool rds_relay_same_name(struct rds_view a, struct rds_view b);

// The relay that has this name, whatever the case of its letters; NULL: none of ours.
const struct rds_relay_names *rds_relay_named(const struct rds_relay_names *relays, size_t n,
                                              struct rds_view name);

#endif
