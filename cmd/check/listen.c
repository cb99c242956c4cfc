// SPDX-License-Identifier: MIT
// listen.PORT/PROTO: who listens at each of our ports, and on which addresses.
#include "cmd/check/local.h"

#include "net/listen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct listening {
	size_t ours;
	size_t passed_on;
	const struct check_socket *other; // somebody else's
	const struct check_socket *unseen;
	bool only_loopback;
	char where[200]; // the addresses
};

static bool is_ours(const struct local_role roles[2], const struct check_socket *socket)
{
	for (size_t i = 0; i < socket->n_pids; i++)
		if (local_is_ours(roles, socket->pids[i]))
			return true;
	return false;
}

static void note(struct listening *out, const struct local_role roles[2],
                 const struct check_socket *socket)
{
	char ip[RDS_IP_TEXT];
	size_t len = strlen(out->where);
	const struct local_role *role = roles[0].has_process ? &roles[0] : &roles[1];
	if (is_ours(roles, socket))
		out->ours++;
	else if (local_passes_on(socket))
		out->passed_on++;
	else if (socket->n_pids == 0 && (role->has_process ? socket->uid == role->process.uid
	                                                   : role->site->running == SITE_HIDDEN))
		out->unseen = socket; // most likely ours
	else
		out->other = socket;
	if (socket == out->other)
		return;
	rds_ip_format(&socket->at.ip, ip);
	out->only_loopback = out->only_loopback && rds_ip_is_loopback(&socket->at.ip);
	(void)snprintf(out->where + len, sizeof out->where - len, "%s%s", len > 0 ? ", " : "",
	               rds_ip_is_any(&socket->at.ip) && socket->six ? "every address"
	               : rds_ip_is_any(&socket->at.ip)              ? "every IPv4 address"
	                                                            : ip);
}

// Whether that is since interfaces of bind aren't there yet: the server waits, and opens its ports
// by itself then.
static bool waits(const struct check_site *site, const struct local_role *role,
                  struct check_result *result)
{
	struct rds_settings *settings = local_role_settings(site, role);
	struct rds_strings items;
	struct rds_binds binds;
	struct rds_error err;
	rds_strings_split(rds_settings_text(settings, RDS_SET_BIND), &items);
	bool is_read = rds_binds_resolve(items.items, items.n, &binds, &err) == 0;
	bool found = is_read && binds.n_awaited > 0;
	if (found) {
		check_fail(result, "nobody listens: the %s waits for the interface %s of bind",
		           role->title, binds.awaited[0]);
		check_fix(result,
		          "bring %s up, with an address, and the port opens by itself; or correct "
		          "bind (%s has it; `ip -brief address` lists interfaces), and restart",
		          binds.awaited[0], local_setting_from(site, role, RDS_SET_BIND));
	}
	if (is_read)
		rds_binds_free(&binds);
	rds_strings_free(&items);
	rds_settings_free(settings);
	return found;
}

static void tell_nobody(const struct check_site *site, const struct local_role *role,
                        struct check_result *result)
{
	if (role->site->running != SITE_ANSWERS) {
		check_skip(result, "nobody listens; the %s %s, see service.%s", role->title,
		           role->site->running == SITE_NOT_RUNNING
		                   ? "doesn't run"
		                   : "can't be asked which ports it has",
		           role->name);
		return;
	}
	if (waits(site, role, result))
		return;
	check_fail(result, "nobody listens there, though the %s runs", role->title);
	char *command = local_start_command(site, role, NULL, true);
	check_fix(result, "restart it: %s", command);
	free(command);
}

static void tell(const struct check_site *site, const struct local_role *role,
                 const struct listening *seen, struct check_result *result)
{
	char holder[200];
	if (seen->ours + seen->passed_on == 0 && seen->unseen == NULL && seen->other == NULL) {
		tell_nobody(site, role, result);
	} else if (seen->ours + seen->passed_on == 0 && seen->other != NULL) {
		check_fail(result, "%s listens there, not the %s",
		           local_holder_text(seen->other, holder, sizeof holder), role->title);
		local_fix_holder(site, seen->other, result);
	} else if (seen->only_loopback) {
		check_warn(result, "the %s listens on %s only: nobody comes in from outside",
		           role->title, seen->where);
		check_fix(result,
		          "take the setting bind away (%s has it), or add this host's "
		          "address to it, and restart",
		          local_setting_from(site, role, RDS_SET_BIND));
	} else {
		check_ok(result, "%s on %s%s",
		         seen->ours > 0        ? "ours,"
		         : seen->passed_on > 0 ? "passed on to a container,"
		                               : "a process that only root may see,",
		         seen->where,
		         seen->other != NULL ? "; another program has it on another address" : "");
	}
}

static void look_at(struct check *check, const struct local_role roles[2],
                    const struct local_port *port, const struct check_sockets *sockets)
{
	struct check_result result;
	struct listening seen = {.only_loopback = true};
	char name[32];
	(void)snprintf(name, sizeof name, "listen.%u/%s", (unsigned)port->port,
	               port->udp ? "udp" : "tcp");
	check_begin(&result, name);
	for (size_t i = 0; i < sockets->n; i++)
		if (sockets->items[i].udp == port->udp && sockets->items[i].at.port == port->port)
			note(&seen, roles, &sockets->items[i]);
	tell(&check->site, &roles[port->of_relay], &seen, &result);
	check_end(check, &result);
}

void check_listen(struct check *check)
{
	struct local_role roles[2];
	struct local_port ports[LOCAL_PORTS];
	uint16_t numbers[LOCAL_PORTS];
	struct check_sockets sockets;
	local_role_find(&check->site, false, &roles[0]);
	local_role_find(&check->site, true, &roles[1]);
	size_t n = local_ports(&check->site, roles, ports);
	for (size_t i = 0; i < n; i++)
		numbers[i] = ports[i].port;
	check_sockets_read(numbers, n, &sockets);
	for (size_t i = 0; i < n; i++)
		look_at(check, roles, &ports[i], &sockets);
	check_sockets_free(&sockets);
}
