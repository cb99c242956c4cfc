// SPDX-License-Identifier: MIT
// The setting relay-servers: relays in turn, each with names by network where it has them:
// relay.example.com | 100.64.0.0/10=relay.tailnet.ts.net | 192.168.0.0/16=192.168.1.5:21117
#ifndef RDS_CONF_RELAYS_H
#define RDS_CONF_RELAYS_H

#include "core/error.h"
#include "core/relay_names.h"

struct rds_relays {
	char *text; // the setting, cut into names
	struct rds_relay_names *items;
	size_t n;
	struct rds_relay_name *by_net; // of all of them
	size_t n_by_net;
	size_t n_unreachable; // left out: 0.0.0.0 and the like, where no client can go
};

// -RDS_EINVAL with what is wrong in *err, as the end of "expected ...".
int rds_relays_parse(const char *text, struct rds_relays *out, struct rds_error *err)
        __attribute__((warn_unused_result));

// Gives every relay another name for clients in these networks: hbbs's LOCAL_IP inside its mask. A
// smaller network's name, or one of the same that was given with the relay, goes before. name is
// borrowed.
void rds_relays_add_local(struct rds_relays *relays, const struct rds_cidr *nets, size_t n,
                          const char *name);

void rds_relays_free(struct rds_relays *relays);

#endif
