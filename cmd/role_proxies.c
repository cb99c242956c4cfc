// SPDX-License-Identifier: MIT
#include "cmd/role_private.h"

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
