// SPDX-License-Identifier: MIT
// What `bind` stands for.
#include "net/listen.h"

#include "core/alloc.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

static void bind_add(struct rds_binds *binds, const struct rds_bind *bind)
{
	for (size_t i = 0; i < binds->n; i++) {
		struct rds_bind *same = &binds->items[i];
		if (!rds_ip_equal(&same->ip, &bind->ip))
			continue;
		// An address that is named itself stays, whatever becomes of the interface.
		same->of_interface = same->of_interface && bind->of_interface;
		return;
	}
	binds->items = rds_realloc(binds->items, binds->n + 1, sizeof *binds->items);
	binds->items[binds->n++] = *bind;
}

// Adds the addresses of an interface; how many it has.
static size_t add_interface(const struct ifaddrs *all, const char *name, struct rds_binds *out)
{
	size_t found = 0;
	for (const struct ifaddrs *at = all; at != NULL; at = at->ifa_next) {
		if (at->ifa_addr == NULL || strcmp(at->ifa_name, name) != 0 ||
		    (at->ifa_addr->sa_family != AF_INET && at->ifa_addr->sa_family != AF_INET6))
			continue;
		struct sockaddr_storage ss = {0};
		struct rds_addr addr;
		bool six = at->ifa_addr->sa_family == AF_INET6;
		memcpy(&ss, at->ifa_addr,
		       six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
		rds_sockaddr_get(&ss, &addr);
		if (six && addr.ip.b[0] == 0xfe && (addr.ip.b[1] & 0xc0) == 0x80)
			continue;
		struct rds_bind at_ip = {.ip = addr.ip, .of_interface = true};
		bind_add(out, &at_ip);
		found++;
	}
	return found;
}

static void add_item(const struct ifaddrs *all, const char *item, struct rds_binds *out)
{
	struct rds_bind at = {0};
	if (rds_ip_parse(item, &at.ip) == 0) {
		at.any = rds_ip_is_any(&at.ip);
		bind_add(out, &at);
		return;
	}
	out->named = true;
	if (add_interface(all, item, out) > 0)
		return;
	out->awaited = rds_realloc(out->awaited, out->n_awaited + 1, sizeof *out->awaited);
	out->awaited[out->n_awaited++] = item;
}

static bool covers(const struct rds_bind *wide, const struct rds_bind *narrow)
{
	if (!wide->any || wide == narrow)
		return false;
	return rds_ip_is_none(&wide->ip) || rds_ip_is_v4(&narrow->ip);
}

// "All addresses" leaves nothing to the others: the kernel would refuse them.
static void drop_covered(struct rds_binds *binds)
{
	size_t kept = 0;
	for (size_t i = 0; i < binds->n; i++) {
		bool covered = false;
		for (size_t j = 0; j < binds->n; j++)
			covered = covered || covers(&binds->items[j], &binds->items[i]);
		if (!covered)
			binds->items[kept++] = binds->items[i];
	}
	binds->n = kept;
}

int rds_binds_resolve(char *const *items, size_t n, struct rds_binds *out, struct rds_error *err)
{
	struct ifaddrs *all = NULL;
	*out = (struct rds_binds){0};
	if (n == 0) {
		struct rds_bind everywhere = {.any = true};
		bind_add(out, &everywhere);
		return 0;
	}
	if (getifaddrs(&all) != 0)
		return rds_fail(err, RDS_ESYS, "bind: can't list the interfaces: %s",
		                strerror(errno));
	for (size_t i = 0; i < n; i++)
		add_item(all, items[i], out);
	freeifaddrs(all);
	drop_covered(out);
	return 0;
}

void rds_binds_free(struct rds_binds *binds)
{
	free(binds->items);
	free(binds->awaited);
	*binds = (struct rds_binds){0};
}
