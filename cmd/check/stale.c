// SPDX-License-Identifier: MIT
// service.stale: what other processes, or dead ones, left or hold where our server is to be.
#include "cmd/check/local.h"

#include "core/alloc.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// A lock file that the service's user can't open, as one that root made once by hand.
static bool look_at_lock(const struct check_site *site, const struct local_role *role,
                         struct check_result *result)
{
	struct stat st;
	uid_t uid = 0;
	char user[LOCAL_USER_TEXT];
	char name[32];
	(void)snprintf(name, sizeof name, "rdsrv-%s.lock", role->name);
	if (!rds_datadir_stat(site->dir, name, &st) || !local_service_user(site, &uid))
		return false;
	char *path = local_path(site, name);
	char *word = local_quote(path);
	bool bad = true;
	if (!S_ISREG(st.st_mode)) {
		check_fail(result, "%s is in the place of the %s's lock, and is no file", path,
		           role->title);
		check_fix(result, "mv %s %s.away", word, word);
	} else if (uid != 0 && st.st_uid != uid && !role->held) {
		check_fail(result, "%s belongs to another user, so %s can't lock it", path,
		           local_user_name(uid, user));
		check_fix(result, "chown %s: %s", local_user_name(uid, user), word);
	} else {
		bad = false;
	}
	free(word);
	free(path);
	return bad;
}

// A file or directory in the control socket's place; a socket without a listener is harmless.
static bool look_at_socket(const struct check_site *site, const struct local_role *role,
                           struct check_result *result, bool *left)
{
	struct stat st;
	char name[32];
	(void)snprintf(name, sizeof name, "%s.sock", role->name);
	if (role->site->running == SITE_ANSWERS || !rds_datadir_stat(site->dir, name, &st))
		return false;
	if (!S_ISDIR(st.st_mode)) {
		*left = *left || role->site->running == SITE_NOT_RUNNING;
		return false;
	}
	char *path = local_path(site, name);
	char *word = local_quote(path);
	check_fail(result, "%s is a directory, so the %s can't make its control socket there", path,
	           role->title);
	check_fix(result, "mv %s %s.away", word, word);
	free(word);
	free(path);
	return true;
}

// hbbs and hbbr, which we take the place of.
static bool is_hbbs(const struct check_process *process)
{
	return strcmp(process->name, "hbbs") == 0 || strcmp(process->name, "hbbr") == 0;
}

static const char *how_to_end(const struct check_site *site, const struct check_socket *socket,
                              const struct check_process *process, char *out, size_t cap)
{
	if (local_unit_is_of(process->unit, socket->pids, socket->n_pids, site->here_ms))
		(void)snprintf(out, cap, "%ssystemctl disable --now %s", local_sudo(),
		               process->unit);
	else
		(void)snprintf(out, cap, "%skill %d", local_sudo(), (int)process->pid);
	return out;
}

void local_fix_holder(const struct check_site *site, const struct check_socket *socket,
                      struct check_result *result)
{
	struct check_process process;
	char end[200];
	if (local_passes_on(socket))
		check_fix(
		        result,
		        "`docker ps --filter publish=%u` (or podman ps) names its container: stop "
		        "that one, or give ours other ports (--port)",
		        (unsigned)socket->at.port);
	else if (socket->n_pids == 0 || !check_process_read(socket->pids[0], &process))
		check_fix(result, "find it with: sudo ss -lnp 'sport = :%u'",
		          (unsigned)socket->at.port);
	else
		check_fix(result, "%s%s", how_to_end(site, socket, &process, end, sizeof end),
		          is_hbbs(&process) ? ", and start rdsrv in its data directory: it "
		                              "goes on with the same key and devices. Or "
		                              "leave it, and check it: rdsrv check --host "
		                              "127.0.0.1"
		                            : ", or give ours other ports (--port)");
}

static bool is_of(const struct check_socket *socket, const struct local_port *port)
{
	return socket->udp == port->udp && socket->at.port == port->port;
}

static bool held_by_ours(const struct local_role roles[2], const struct check_socket *socket)
{
	for (size_t i = 0; i < socket->n_pids; i++)
		if (local_is_ours(roles, socket->pids[i]))
			return true;
	return false;
}

// Ports of a role that doesn't run, which another process has.
static bool look_at_ports(const struct check_site *site, const struct local_role roles[2],
                          struct check_result *result)
{
	struct local_port ports[LOCAL_PORTS];
	uint16_t numbers[LOCAL_PORTS];
	struct check_sockets sockets;
	bool found = false;
	size_t n = local_ports(site, roles, ports);
	for (size_t i = 0; i < n; i++)
		numbers[i] = ports[i].port;
	check_sockets_read(numbers, n, &sockets);
	for (size_t i = 0; i < n && !found; i++)
		for (size_t j = 0; j < sockets.n && !found; j++) {
			const struct check_socket *one = &sockets.items[j];
			const struct local_role *role = &roles[ports[i].of_relay];
			char holder[160];
			char at[RDS_ADDR_TEXT];
			found = role->site->running == SITE_NOT_RUNNING && !role->held &&
			        is_of(one, &ports[i]) && !held_by_ours(roles, one);
			if (!found)
				continue;
			rds_addr_format(&one->at, at);
			check_fail(result, "%s holds %s/%s, which is to be the %s's",
			           local_holder_text(one, holder, sizeof holder), at,
			           one->udp ? "udp" : "tcp", role->title);
			local_fix_holder(site, one, result);
		}
	check_sockets_free(&sockets);
	return found;
}

void check_stale(struct check *check, const struct local_role roles[2])
{
	struct check_result result;
	bool left = false;
	bool bad = false;
	check_begin(&result, "service.stale");
	for (size_t i = 0; i < 2 && !bad; i++)
		bad = look_at_lock(&check->site, &roles[i], &result) ||
		      look_at_socket(&check->site, &roles[i], &result, &left);
	if (!bad && !look_at_ports(&check->site, roles, &result))
		check_ok(&result, left ? "a dead process left its control socket behind: harmless, "
		                         "the next one takes its place"
		                       : "no lock, socket or port of ours is another process's");
	check_end(check, &result);
}
