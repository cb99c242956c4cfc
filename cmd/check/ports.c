// SPDX-License-Identifier: MIT
// The roles' ports, and which names are this host's.
#include "cmd/check/local.h"

#include "net/interfaces.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static void add(struct local_port out[LOCAL_PORTS], size_t *n, struct local_port port)
{
	if (port.port != 0 && *n < LOCAL_PORTS)
		out[(*n)++] = port;
}

static void add_websocket(const struct rds_settings *settings, struct local_port *out, size_t *n)
{
	struct rds_ports ports = {0};
	struct rds_error err;
	uint16_t first = rds_settings_port(settings, RDS_SET_WEBSOCKET_PORT);
	const char *text = rds_settings_text(settings, RDS_SET_WEBSOCKET_PORT);
	add(out, n, (struct local_port){.port = first});
	if (text[0] == '\0' || rds_value_ports(text, &ports, &err) != 0)
		return;
	for (size_t i = 1; i < ports.n; i++)
		add(out, n, (struct local_port){.port = ports.items[i]});
	rds_ports_free(&ports);
}

size_t local_ports(const struct check_site *site, const struct local_role roles[2],
                   struct local_port out[LOCAL_PORTS])
{
	size_t n = 0;
	struct rds_settings *id = local_role_settings(site, &roles[0]);
	struct rds_settings *relay = local_role_settings(site, &roles[1]);
	uint16_t port = rds_settings_port(id, RDS_SET_PORT);
	uint16_t relay_port = rds_settings_port(relay, RDS_SET_RELAY_PORT);
	add(out, &n, (struct local_port){.port = port, .udp = true, .vital = true});
	add(out, &n, (struct local_port){.port = port, .vital = true});
	add(out, &n,
	    (struct local_port){.port = rds_settings_port(id, RDS_SET_NAT_PORT), .vital = true});
	add_websocket(id, out, &n);
	add(out, &n, (struct local_port){.port = relay_port, .of_relay = true, .vital = true});
	add(out, &n, (struct local_port){.port = relay_port, .udp = true, .of_relay = true});
	add(out, &n,
	    (struct local_port){.port = rds_settings_port(relay, RDS_SET_RELAY_WEBSOCKET_PORT),
	                        .of_relay = true});
	rds_settings_free(id);
	rds_settings_free(relay);
	return n;
}

bool local_is_ours(const struct local_role roles[2], pid_t pid)
{
	for (size_t i = 0; i < 2; i++)
		if (roles[i].has_process && roles[i].process.pid == pid)
			return true;
	return false;
}

bool local_passes_on(const struct check_socket *socket)
{
	static const char *const passers[] = {"docker-proxy", "rootlessport", "slirp4netns",
	                                      "pasta", "conmon"};
	struct check_process process;
	for (size_t i = 0; i < socket->n_pids; i++)
		for (size_t j = 0; j < sizeof passers / sizeof passers[0]; j++)
			if (check_process_read(socket->pids[i], &process) &&
			    strcmp(process.name, passers[j]) == 0)
				return true;
	return false;
}

char *local_holder_text(const struct check_socket *socket, char *out, size_t cap)
{
	struct check_process process;
	char user[LOCAL_USER_TEXT];
	size_t len = 0;
	(void)snprintf(out, cap, "a process of user %s, which only root may see",
	               local_user_name(socket->uid, user));
	for (size_t i = 0; i < socket->n_pids && len + 1 < cap; i++) {
		if (!check_process_read(socket->pids[i], &process))
			continue;
		(void)snprintf(out + len, cap - len, "%s%s (pid %d)", len > 0 ? " and " : "",
		               process.name, (int)process.pid);
		len += strlen(out + len);
	}
	return out;
}

static bool is_own(const struct rds_interfaces *own, const struct check_site *site,
                   const char *item)
{
	struct rds_host_port host;
	struct rds_host_port other;
	struct rds_ip ip;
	struct rds_strings ids;
	char name[256] = "";
	bool same = false;
	if (rds_value_host(item, &host) != 0)
		return false;
	(void)gethostname(name, sizeof name - 1);
	rds_strings_split(site->told.id_server, &ids);
	for (size_t i = 0; i < ids.n; i++)
		same = same || (rds_value_host(ids.items[i], &other) == 0 &&
		                strcasecmp(host.host, other.host) == 0);
	rds_strings_free(&ids);
	if (rds_ip_parse(host.host, &ip) == 0)
		return same || rds_ip_is_loopback(&ip) || rds_interfaces_find(own, &ip) != NULL;
	return same || strcasecmp(host.host, name) == 0 || strcasecmp(host.host, "localhost") == 0;
}

bool local_names_this_host(const struct check_site *site, const char *list)
{
	struct rds_interfaces own;
	struct rds_strings items;
	bool found = false;
	rds_interfaces_read(&own);
	rds_strings_split(list, &items);
	for (size_t i = 0; i < items.n && !found; i++)
		found = is_own(&own, site, items.items[i]);
	rds_strings_free(&items);
	rds_interfaces_free(&own);
	return found;
}
