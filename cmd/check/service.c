// SPDX-License-Identifier: MIT
// service.*: whether the roles run, and what stands in their way.
#include "cmd/check/local.h"

#include "core/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- service.id, service.relay

static const char *uptime_text(uint64_t sec, char out[32])
{
	if (sec >= 86400)
		(void)snprintf(out, 32, "%u d %u h", (unsigned)(sec / 86400),
		               (unsigned)(sec % 86400 / 3600));
	else if (sec >= 3600)
		(void)snprintf(out, 32, "%u h %u min", (unsigned)(sec / 3600),
		               (unsigned)(sec % 3600 / 60));
	else if (sec >= 60)
		(void)snprintf(out, 32, "%u min", (unsigned)(sec / 60));
	else
		(void)snprintf(out, 32, "%u s", (unsigned)sec);
	return out;
}

static void tell_running(const struct check_site *site, const struct local_role *role,
                         const struct local_unit *unit, struct check_result *result)
{
	char up[32];
	char load[96];
	const char *version = local_status_text(role, "version");
	bool is_id = role->site == &site->id;
	(void)snprintf(load, sizeof load, is_id ? "%llu peers, %llu online" : "%llu sessions",
	               (unsigned long long)local_status_number(role, is_id ? "peers" : "sessions"),
	               (unsigned long long)local_status_number(role, "online"));
	check_ok(result, "rdsrv %s, process %llu, up %s, %s%s%s%s%s",
	         version == NULL ? "?" : version,
	         role->has_process ? (unsigned long long)role->process.pid
	                           : (unsigned long long)local_status_number(role, "pid"),
	         uptime_text(local_status_number(role, "uptime_seconds"), up), load,
	         unit == NULL ? "" : ", ", unit == NULL ? "" : unit->id, unit == NULL ? "" : " ",
	         unit == NULL ? "" : unit->active);
	if (version != NULL && strcmp(version, RDSRV_VERSION) != 0) {
		char *command = local_start_command(site, role, unit, true);
		check_warn(result, "version %s runs, but what is installed is %s", version,
		           RDSRV_VERSION);
		check_fix(result, "%s", command);
		free(command);
	}
}

static void tell_silent(const struct check_site *site, const struct local_role *role,
                        const struct local_unit *unit, struct check_result *result)
{
	char *command = local_start_command(site, role, unit, true);
	if (role->has_process && role->process.state == 'T') {
		check_fail(result, "process %d (%s) is stopped by a signal (SIGSTOP)",
		           (int)role->process.pid, role->process.name);
		check_fix(result, "%skill -CONT %d", local_sudo(), (int)role->process.pid);
	} else if (role->has_process) {
		check_fail(result, "process %d (%s, state %c) runs but doesn't answer: %s",
		           (int)role->process.pid, role->process.name, role->process.state,
		           role->site->why[0] != '\0' ? role->site->why
		                                      : "it has no control socket");
		check_fix(result, "%s", command);
	} else {
		check_fail(result, "it doesn't answer: %s", role->site->why);
		check_fix(result, "%s", command);
	}
	free(command);
}

static void tell_down(const struct check_site *site, const struct local_role *role,
                      const struct local_unit *unit, struct check_result *result)
{
	char *command = local_start_command(site, role, unit, false);
	char log[480] = "";
	if (unit == NULL) {
		check_fail(result, "the %s doesn't run in %s", role->title, site->data_dir);
	} else {
		(void)local_unit_log(unit->id, site->here_ms, log, sizeof log);
		check_fail(result, "the %s doesn't run: %s is %s (%s, exit status %d)%s%s",
		           role->title, unit->id, unit->active, unit->result, unit->exit_status,
		           log[0] != '\0' ? "; its last words: " : "", log);
	}
	check_fix(result, "%s", command);
	free(command);
}

static void tell_hidden(const struct check_site *site, const struct local_role *role,
                        struct check_result *result)
{
	char user[LOCAL_USER_TEXT] = "its user";
	uid_t uid = 0;
	check_skip(result, "it can't be asked by this user: %s", role->site->why);
	if (local_service_user(site, &uid))
		(void)local_user_name(uid, user);
	check_fix(result,
	          uid == 0 ? "run this as root: sudo rdsrv check"
	                   : "run this as root, or as %s: sudo rdsrv check",
	          user);
}

static void tell_down_or_silent(const struct check_site *site, const struct local_role *role,
                                const struct local_unit *unit, struct check_result *result)
{
	if (role->site->running == SITE_HIDDEN)
		tell_hidden(site, role, result);
	else if (role->site->running == SITE_SILENT || role->held)
		tell_silent(site, role, unit, result);
	else
		tell_down(site, role, unit, result);
}

static void tell_role(struct check *check, const struct local_role *role, const char *name,
                      const char *elsewhere)
{
	struct check_result result;
	struct local_unit unit;
	if (!check_wants(check, name))
		return;
	check_begin(&result, name);
	bool has_unit =
	        check->site.dir != NULL && local_unit_find(role, check->site.here_ms, &unit);
	const struct local_unit *shown = has_unit ? &unit : NULL;
	if (role->site->running == SITE_ANSWERS)
		tell_running(&check->site, role, shown, &result);
	else if (elsewhere != NULL && role->site->running == SITE_NOT_RUNNING && !role->held)
		check_skip(&result, "%s", elsewhere);
	else
		tell_down_or_silent(&check->site, role, shown, &result);
	check_end(check, &result);
}

// Why no relay is expected here; "": one is.
static void no_relay_here(const struct check_site *site, char *why, size_t cap)
{
	const char *relays = rds_settings_text(site->settings, RDS_SET_RELAY_SERVERS);
	why[0] = '\0';
	if (rds_settings_port(site->settings, RDS_SET_RELAY_PORT) == 0)
		(void)snprintf(why, cap, "relay-port is off: none is meant to run here");
	else if (relays[0] != '\0' && site->told.relay_server[0] != '\0' &&
	         !local_names_this_host(site, site->told.relay_server))
		(void)snprintf(why, cap, "clients are sent to %s, so none is needed here",
		               site->told.relay_server);
}

// --- service.self

// What mends a role that doesn't answer.
static void fix_role(const struct check_site *site, const struct local_role *role,
                     struct check_result *result)
{
	struct check_result other = *result;
	struct local_unit unit;
	bool has_unit = site->dir != NULL && local_unit_find(role, site->here_ms, &unit);
	tell_down_or_silent(site, role, has_unit ? &unit : NULL, &other);
	check_fix(result, "%s", other.fix);
}

// What is wrong with a role that holds its lock; "": it answers, or there is none.
static void look_at_self(const struct local_role *role, char *fault, size_t cap)
{
	fault[0] = '\0';
	if (role->site->running == SITE_SILENT ||
	    (role->site->running == SITE_NOT_RUNNING && role->held))
		(void)snprintf(fault, cap, "the %s runs%s but doesn't answer", role->title,
		               role->has_process && role->process.state == 'T' ? " (stopped)" : "");
}

// Nothing is known then, which is no fault, except of a health check: it would pass unseen.
static bool is_hidden(const struct check *check, const struct local_role roles[2],
                      struct check_result *result)
{
	const char *only = check->options.only;
	for (size_t i = 0; i < 2; i++) {
		if (roles[i].site->running != SITE_HIDDEN)
			continue;
		if (only != NULL && strcmp(only, "service.self") == 0) {
			check_fail(result, "the %s can't be asked by this user", roles[i].title);
			check_fix(result, "sudo rdsrv check --only service.self");
		} else {
			check_skip(result,
			           "the %s can't be asked by this user: run sudo rdsrv "
			           "check",
			           roles[i].title);
		}
		return true;
	}
	return false;
}

static void check_self(struct check *check, const struct local_role roles[2])
{
	struct check_result result;
	char faults[2][160];
	size_t n = 0;
	check_begin(&result, "service.self");
	if (is_hidden(check, roles, &result)) {
		check_end(check, &result);
		return;
	}
	for (size_t i = 0; i < 2; i++) {
		look_at_self(&roles[i], faults[i], sizeof faults[i]);
		n += roles[i].site->running == SITE_ANSWERS;
	}
	if (faults[0][0] != '\0' || faults[1][0] != '\0') {
		check_fail(&result, "%s%s%s", faults[0],
		           faults[0][0] != '\0' && faults[1][0] != '\0' ? "; " : "", faults[1]);
		fix_role(&check->site, &roles[faults[0][0] == '\0'], &result);
	} else if (n == 0 && check->site.dir == NULL) {
		check_fail(&result, "no server was found on this host");
		check_fix(&result, "see files.data-dir");
	} else if (n == 0) {
		check_fail(&result, "no server runs in %s", check->site.data_dir);
		fix_role(&check->site, &roles[0], &result);
	} else {
		check_ok(&result, "%s",
		         n == 2 ? "the ID server and the relay answer"
		         : roles[0].site->running == SITE_ANSWERS ? "the ID server answers"
		                                                  : "the relay answers");
	}
	check_end(check, &result);
}

void check_service(struct check *check)
{
	struct local_role roles[2];
	char why[400] = "";
	local_role_find(&check->site, false, &roles[0]);
	local_role_find(&check->site, true, &roles[1]);
	if (check_wants(check, "service.self"))
		check_self(check, roles);
	if (check->site.dir == NULL) {
		const char *names[] = {"service.id", "service.relay", "service.stale"};
		for (size_t i = 0; i < 3; i++)
			check_skipped(check, names[i], local_no_directory(&check->site));
		return;
	}
	tell_role(check, &roles[0], "service.id",
	          check_site_is_relay_only(&check->site)
	                  ? "no ID server was ever started here; the relay runs"
	                  : NULL);
	if (check_wants(check, "service.relay"))
		no_relay_here(&check->site, why, sizeof why);
	tell_role(check, &roles[1], "service.relay", why[0] != '\0' ? why : NULL);
	if (check_wants(check, "service.stale"))
		check_stale(check, roles);
}
