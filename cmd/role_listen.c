// SPDX-License-Identifier: MIT
#include "cmd/role_private.h"

static void take(struct role *role, const char *name, enum rds_proto proto, role_add_fn add, int fd)
{
	struct rds_addr local = {0};
	(void)rds_local_addr(fd, &local);
	rds_log(RDS_LOG_INFO, "listening", rds_field_text("role", name),
	        rds_field_text("proto", proto == RDS_UDP ? "udp" : "tcp"),
	        rds_field_addr("addr", &local));
	add(role, fd);
}

int role_listen(struct role *role, const char *name, enum rds_proto proto, uint16_t port,
                role_add_fn add, struct rds_error *err)
{
	for (size_t i = 0; i < role->binds.n && port != 0; i++) {
		const struct rds_bind *bind = &role->binds.items[i];
		int fd = -1;
		int rc = rds_listen(proto, bind, port, &fd, err);
		if (rc != 0)
			return rc;
		for (; fd >= 0; fd = rds_listen_inherited(proto, bind, port))
			take(role, name, proto, add, fd);
	}
	return 0;
}

void role_listen_named(struct role *role, const char *name, const char *socket, role_add_fn add)
{
	for (int fd; (fd = rds_listen_named(socket)) >= 0;)
		take(role, name, RDS_TCP, add, fd);
}

int role_read_proxies(struct role *role, struct rds_error *err)
{
	const struct rds_settings *settings = role->settings;
	int rc = rds_value_cidrs(rds_settings_text(settings, RDS_SET_TRUSTED_PROXIES),
	                         &role->trusted, err);
	return rc != 0 ? rc
	               : rds_value_ports(rds_settings_text(settings, RDS_SET_PROXY_PROTOCOL),
	                                 &role->header_ports, err);
}

struct rds_proxies role_proxies(const struct role *role)
{
	return (struct rds_proxies){.trusted = role->trusted.items,
	                            .n_trusted = role->trusted.n,
	                            .header_ports = role->header_ports.items,
	                            .n_header_ports = role->header_ports.n};
}
