// SPDX-License-Identifier: MIT
// The addresses of this host.
#ifndef RDS_NET_INTERFACES_H
#define RDS_NET_INTERFACES_H

#include "core/addr.h"

struct rds_interface {
	char name[16];
	struct rds_ip ip;
};

struct rds_interfaces {
	struct rds_interface *items; // one for each address
	size_t n;
};

// Addresses of interfaces that are up. None, if the kernel doesn't tell.
void rds_interfaces_read(struct rds_interfaces *out);
void rds_interfaces_free(struct rds_interfaces *interfaces);

// The one that has the address; NULL: none.
const struct rds_interface *rds_interfaces_find(const struct rds_interfaces *interfaces,
                                                const struct rds_ip *ip);

#endif
