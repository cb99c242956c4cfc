// SPDX-License-Identifier: MIT
// Where the roles listen: on fixed addresses, and on those that named interfaces have at the time.
#include "cmd/role_private.h"

#include "core/alloc.h"

#include <stdlib.h>

#define LISTEN_AGAIN_MS 2000

static void log_socket(const char *what, const struct role_door *door, int fd)
{
	struct rds_addr local = {0};
	(void)rds_local_addr(fd, &local);
	rds_log(RDS_LOG_INFO, what, rds_field_text("role", door->role),
	        rds_field_text("proto", door->proto == RDS_UDP ? "udp" : "tcp"),
	        rds_field_addr("addr", &local));
}

static int resolve(const struct role *role, struct rds_binds *out, struct rds_error *err)
{
	return rds_binds_resolve(role->bind_items.items, role->bind_items.n, out, err);
}

// Says which interfaces are awaited, where that has changed.
static void tell_awaited(struct role *role)
{
	char *text = rds_strdup("");
	for (size_t i = 0; i < role->binds.n_awaited; i++) {
		char *longer =
		        rds_asprintf("%s%s%s", text, i > 0 ? ", " : "", role->binds.awaited[i]);
		free(text);
		text = longer;
	}
	bool changed = strcmp(text, role->awaited == NULL ? "" : role->awaited) != 0;
	free(role->awaited);
	role->awaited = text;
	if (changed && text[0] != '\0')
		rds_log(RDS_LOG_WARN, "waiting for interfaces of bind to have an address",
		        rds_field_text("interfaces", text),
		        rds_field_text("do", "`ip -brief address` lists those that there are"));
	else if (changed)
		rds_log(RDS_LOG_INFO, "all interfaces of bind have addresses");
}

int role_binds_open(struct role *role, struct rds_error *err)
{
	rds_strings_split(rds_settings_text(role->settings, RDS_SET_BIND), &role->bind_items);
	int rc = resolve(role, &role->binds, err);
	if (rc == 0)
		tell_awaited(role);
	return rc;
}

static void take(struct role *role, const struct role_door *door, const struct rds_bind *bind,
                 int fd)
{
	log_socket("listening", door, fd);
	if (bind->of_interface) {
		role->opens = rds_realloc(role->opens, role->n_opens + 1, sizeof *role->opens);
		role->opens[role->n_opens++] =
		        (struct role_open){.door = door, .ip = bind->ip, .fd = fd};
	}
	door->add(role, fd);
}

static int listen_at(struct role *role, const struct role_door *door, const struct rds_bind *bind,
                     struct rds_error *err)
{
	int fd = -1;
	int rc = rds_listen(door->proto, bind, door->port, &fd, err);
	if (rc != 0)
		return rc;
	for (; fd >= 0; fd = rds_listen_inherited(door->proto, bind, door->port))
		take(role, door, bind, fd);
	return 0;
}

int role_listen(struct role *role, const struct role_door *wanted, struct rds_error *err)
{
	if (wanted->port == 0)
		return 0;
	if (role->n_doors == ROLE_DOORS)
		return rds_fail(err, RDS_EINVAL, "more than %d ports: name fewer", ROLE_DOORS);
	struct role_door *door = &role->doors[role->n_doors++];
	*door = *wanted;
	int rc = 0;
	for (size_t i = 0; i < role->binds.n && rc == 0; i++)
		rc = listen_at(role, door, &role->binds.items[i], err);
	return rc;
}

void role_listen_named(struct role *role, const char *name, const char *socket, role_fd_fn add)
{
	const struct role_door door = {.role = name, .proto = RDS_TCP};
	for (int fd; (fd = rds_listen_named(socket)) >= 0;) {
		log_socket("listening", &door, fd);
		add(role, fd);
	}
}

static bool has_address(const struct role *role, const struct rds_ip *ip)
{
	for (size_t i = 0; i < role->binds.n; i++)
		if (role->binds.items[i].of_interface && rds_ip_equal(&role->binds.items[i].ip, ip))
			return true;
	return false;
}

static void close_gone(struct role *role)
{
	size_t kept = 0;
	for (size_t i = 0; i < role->n_opens; i++) {
		struct role_open *open = &role->opens[i];
		if (has_address(role, &open->ip)) {
			role->opens[kept++] = *open;
			continue;
		}
		log_socket("no longer listening: the address is gone", open->door, open->fd);
		open->door->remove(role, open->fd);
	}
	role->n_opens = kept;
}

static bool is_open(const struct role *role, const struct role_door *door, const struct rds_ip *ip)
{
	for (size_t i = 0; i < role->n_opens; i++)
		if (role->opens[i].door == door && rds_ip_equal(&role->opens[i].ip, ip))
			return true;
	return false;
}

// false: some door could not be opened there.
static bool open_at(struct role *role, const struct rds_bind *bind)
{
	struct rds_error err;
	bool all = true;
	for (size_t i = 0; i < role->n_doors; i++) {
		if (is_open(role, &role->doors[i], &bind->ip) ||
		    listen_at(role, &role->doors[i], bind, &err) == 0)
			continue;
		if (role->listen_again == NULL && all)
			rds_log(RDS_LOG_ERROR, "can't listen yet: trying again",
			        rds_field_text("why", err.text));
		all = false;
	}
	return all;
}

static bool open_new(struct role *role)
{
	bool all = true;
	for (size_t i = 0; i < role->binds.n; i++)
		if (role->binds.items[i].of_interface)
			all = open_at(role, &role->binds.items[i]) && all;
	return all;
}

// What is unaffected stays as it is; connections that came in at an address stay, too: it may be
// back in a moment.
static void on_addresses(void *ctx)
{
	struct role *role = ctx;
	struct rds_binds fresh;
	struct rds_error err;
	bool all = false;
	if (resolve(role, &fresh, &err) == 0) {
		rds_binds_free(&role->binds);
		role->binds = fresh;
		close_gone(role);
		all = open_new(role);
		tell_awaited(role);
		role_service_tell(role);
	}
	if (!all && role->listen_again == NULL) {
		role->listen_again =
		        rds_timer_every(role->loop, LISTEN_AGAIN_MS, on_addresses, role);
	} else if (all) {
		rds_timer_free(role->listen_again);
		role->listen_again = NULL;
	}
}

int role_binds_follow(struct role *role, struct rds_error *err)
{
	if (!role->binds.named)
		return 0;
	int rc = rds_address_watch_new(role->loop, on_addresses, role, &role->addresses, err);
	if (rc == 0)
		on_addresses(role); // since the first look
	return rc;
}

void role_binds_close(struct role *role)
{
	rds_address_watch_free(role->addresses);
	rds_timer_free(role->listen_again);
	rds_binds_free(&role->binds);
	rds_strings_free(&role->bind_items);
	free(role->opens);
	free(role->awaited);
	role->awaited = NULL;
}
