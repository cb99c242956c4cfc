// SPDX-License-Identifier: MIT
// What the groups of checks that look at this host share: the processes of the roles, their units,
// and the commands that mend things here.
#ifndef RDS_CMD_CHECK_LOCAL_H
#define RDS_CMD_CHECK_LOCAL_H

#include "cmd/check/check.h"
#include "cmd/check/process.h"

// --- a role's process

struct local_role {
	const char *name; // "id", "relay"
	const char *title;
	const struct site_role *site;
	bool held;                    // a process holds the role's lock
	bool has_process;             // and /proc knows it
	struct check_process process; // if has_process
};

void local_role_find(const struct check_site *site, bool is_relay, struct local_role *out);

// A member of what the role told; NULL, 0: it didn't tell.
const char *local_status_text(const struct local_role *role, const char *name);
uint64_t local_status_number(const struct local_role *role, const char *name);

// Settings as that role has them; the caller frees them.
struct rds_settings *local_role_settings(const struct check_site *site,
                                         const struct local_role *role);

// That a role here enforces no key: the setting that says so, if one does, and what to do about it.
void local_fix_open(const struct check_site *site, bool is_relay, struct check_result *result);

// Where it has a setting's value from: "--bind", "/etc/rdsrv/rdsrv.conf:3". Borrowed.
const char *local_setting_from(const struct check_site *site, const struct local_role *role,
                               enum rds_setting setting);

// The user that the service runs as, or would. Of several sources: its process, its unit, the
// owner of the data directory. false: nothing tells.
bool local_service_user(const struct check_site *site, uid_t *uid);

// A user's name, or number. Returns out.
#define LOCAL_USER_TEXT 64
const char *local_user_name(uid_t uid, char out[LOCAL_USER_TEXT]);

// The file of that name in the data directory; fresh memory.
char *local_path(const struct check_site *site, const char *name);

// Whether the file is there, or may be, but isn't for this user to read: then the check is skipped,
// with what to do in its detail.
bool local_is_hidden(const struct check_site *site, const char *name, struct check_result *result);

// Why there is no data directory to look at, and what to do.
const char *local_no_directory(const struct check_site *site);

// Fresh memory with text as one word of a shell's command.
char *local_quote(const char *text);

// "sudo " unless we are root.
const char *local_sudo(void);

// Whether one of the hosts of the list (name, address, with or without a port) is plainly this
// host: its name, the ID server's name, an address of its own.
bool local_names_this_host(const struct check_site *site, const char *list);

// --- ports

struct local_port {
	uint16_t port;
	bool udp;
	bool of_relay;
	bool vital; // no session without it
};

// The ports that the roles listen at, by their settings; at most max, how many.
#define LOCAL_PORTS 32
size_t local_ports(const struct check_site *site, const struct local_role roles[2],
                   struct local_port out[LOCAL_PORTS]);

// Whether a process is one of the roles'.
bool local_is_ours(const struct local_role roles[2], pid_t pid);

// Whether who has it passes on what comes there, to a container.
bool local_passes_on(const struct check_socket *socket);

// "NAME (pid 1, 2)", of who has a socket open; what is known of them else. Returns out.
char *local_holder_text(const struct check_socket *socket, char *out, size_t cap);

// The fix: how to end whoever holds a port, by its unit where it has one.
void local_fix_holder(const struct check_site *site, const struct check_socket *socket,
                      struct check_result *result);

// --- systemd

struct local_unit {
	char id[128];
	char active[32]; // active, failed, inactive, ...
	char sub[32];    // running, dead, auto-restart, ...
	char result[32]; // success, exit-code, ...
	char user[64];   // "": root, or chosen by the system
	char enabled[32];
	int exit_status;
	pid_t main_pid;
	bool is_there;
};

// The unit of the role: of its process, else the one that is there by one of the usual names.
// false: there is none, or no systemd.
bool local_unit_find(const struct local_role *role, unsigned timeout_ms, struct local_unit *out);

// Reads what `systemctl show` said of several units, separated by empty lines; how many of at most
// max.
size_t local_units_parse(const char *text, struct local_unit *out, size_t max);

// Whether that unit's main process is one of these: what else is in its group came by it, as what
// is started in a session of ssh.service.
bool local_unit_is_of(const char *unit, const pid_t *pids, size_t n, unsigned timeout_ms);

// The last lines of its journal, joined; "": there are none for us to see. Returns out.
char *local_unit_log(const char *unit, unsigned timeout_ms, char *out, size_t cap);

// Fresh memory with the command that starts (or restarts) a role here. unit may be NULL.
char *local_start_command(const struct check_site *site, const struct local_role *role,
                          const struct local_unit *unit, bool again);

// stale.c: service.stale.
void check_stale(struct check *check, const struct local_role roles[2]);

#endif
