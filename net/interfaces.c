// SPDX-License-Identifier: MIT
#include "net/interfaces.h"

#include "core/alloc.h"
#include "net/listen.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static void add(struct rds_interfaces *out, const struct ifaddrs *one)
{
	struct sockaddr_storage ss = {0};
	struct rds_addr addr;
	int family = one->ifa_addr == NULL ? AF_UNSPEC : one->ifa_addr->sa_family;
	if ((one->ifa_flags & IFF_UP) == 0 || (family != AF_INET && family != AF_INET6))
		return;
	memcpy(&ss, one->ifa_addr,
	       family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
	rds_sockaddr_get(&ss, &addr);
	out->items = rds_realloc(out->items, out->n + 1, sizeof *out->items);
	out->items[out->n] = (struct rds_interface){.ip = addr.ip};
	(void)snprintf(out->items[out->n].name, sizeof out->items[out->n].name, "%.15s",
	               one->ifa_name);
	out->n++;
}

void rds_interfaces_read(struct rds_interfaces *out)
{
	struct ifaddrs *all = NULL;
	*out = (struct rds_interfaces){0};
	if (getifaddrs(&all) != 0)
		return;
	for (const struct ifaddrs *one = all; one != NULL; one = one->ifa_next)
		add(out, one);
	freeifaddrs(all);
}

void rds_interfaces_free(struct rds_interfaces *interfaces)
{
	free(interfaces->items);
	*interfaces = (struct rds_interfaces){0};
}

const struct rds_interface *rds_interfaces_find(const struct rds_interfaces *interfaces,
                                                const struct rds_ip *ip)
{
	for (size_t i = 0; i < interfaces->n; i++)
		if (rds_ip_equal(&interfaces->items[i].ip, ip))
			return &interfaces->items[i];
	return NULL;
}
