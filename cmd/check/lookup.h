// SPDX-License-Identifier: MIT
// Looking several names up at once, and what their addresses mean for clients.
#ifndef RDS_CMD_CHECK_LOOKUP_H
#define RDS_CMD_CHECK_LOOKUP_H

#include "core/addr.h"
#include "core/limits.h"

#include <stdbool.h>
#include <stddef.h>

struct check_looked_up {
	char host[256]; // a name or an address, without a port; set by the caller
	bool literal;   // it is an address
	bool in_hosts;  // /etc/hosts has it, which only this machine sees
	struct rds_ip ips[RDS_RESOLVE_ADDRS];
	size_t n;
	char why[128]; // it has none
};

// Fills all but host. Takes timeout_ms at most, however many there are.
void check_look_up(struct check_looked_up *names, size_t n, unsigned timeout_ms);

enum check_reach {
	CHECK_REACH_PUBLIC,
	CHECK_REACH_PRIVATE,
	CHECK_REACH_TAILNET,
	CHECK_REACH_LINK, // 169.254.0.0/16, fe80::/10
	CHECK_REACH_LOOPBACK,
	CHECK_REACH_NOWHERE, // 0.0.0.0, ::
};

enum check_reach check_reach_of(const struct rds_ip *ip);

#endif
