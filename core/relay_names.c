// SPDX-License-Identifier: MIT
#include "core/relay_names.h"

#include <strings.h>

struct rds_view rds_relay_name_for(const struct rds_relay_names *relay, const struct rds_ip *ip)
{
	const struct rds_relay_name *best = NULL;
	for (size_t i = 0; i < relay->n_by_net; i++) {
		const struct rds_relay_name *one = &relay->by_net[i];
		if (rds_cidr_holds(&one->net, ip) &&
		    (best == NULL || one->net.bits > best->net.bits))
			best = one;
	}
	return best == NULL ? relay->name : best->name;
}

bool rds_relay_same_name(struct rds_view a, struct rds_view b)
{
	return a.len == b.len &&
	       strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0;
}

static bool has_name(const struct rds_relay_names *relay, struct rds_view name)
{
	bool has = rds_relay_same_name(relay->name, name);
	for (size_t i = 0; i < relay->n_by_net; i++)
		has = has || rds_relay_same_name(relay->by_net[i].name, name);
	return has;
}

const struct rds_relay_names *rds_relay_named(const struct rds_relay_names *relays, size_t n,
                                              struct rds_view name)
{
	for (size_t i = 0; i < n && name.len > 0; i++)
		if (has_name(&relays[i], name))
			return &relays[i];
	return NULL;
}
