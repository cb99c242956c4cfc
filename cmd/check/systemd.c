// SPDX-License-Identifier: MIT
// The roles' units: what systemd and its journal say of them.
#include "cmd/check/local.h"

#include "cmd/check/tool.h"
#include "core/alloc.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Names under which packages and guides install these servers; the first that is there counts.
static const char *const id_units[] = {"rdsrv-id.service", "rdsrv.service", "hbbs.service",
                                       "rustdesk-hbbs.service", "rustdesksignal.service"};
static const char *const relay_units[] = {"rdsrv-relay.service", "rdsrv.service", "hbbr.service",
                                          "rustdesk-hbbr.service", "rustdeskrelay.service"};
#define N_UNITS (sizeof id_units / sizeof id_units[0])

#define LOG_LINES "5"

// A manager that hangs is asked once: several checks want to know of it, and all of them are to
// end.
static atomic_bool is_hung;

static void ask(const char *const *argv, unsigned timeout_ms, struct check_tool *out)
{
	check_tool_run(argv, atomic_load(&is_hung) ? 1 : timeout_ms, out);
	if (out->end == CHECK_TOOL_HUNG)
		atomic_store(&is_hung, true);
}

static void take_property(struct local_unit *unit, const char *line, size_t len)
{
	struct {
		const char *name;
		char *to;
		size_t cap;
	} places[] = {{"Id=", unit->id, sizeof unit->id},
	              {"ActiveState=", unit->active, sizeof unit->active},
	              {"SubState=", unit->sub, sizeof unit->sub},
	              {"Result=", unit->result, sizeof unit->result},
	              {"User=", unit->user, sizeof unit->user},
	              {"UnitFileState=", unit->enabled, sizeof unit->enabled}};
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		size_t name_len = strlen(places[i].name);
		if (len >= name_len && strncmp(line, places[i].name, name_len) == 0)
			(void)snprintf(places[i].to, places[i].cap, "%.*s", (int)(len - name_len),
			               line + name_len);
	}
	if (strncmp(line, "LoadState=", 10) == 0)
		unit->is_there = strncmp(line + 10, "not-found", 9) != 0;
	if (strncmp(line, "ExecMainStatus=", 15) == 0)
		unit->exit_status = (int)strtol(line + 15, NULL, 10);
	if (strncmp(line, "MainPID=", 8) == 0)
		unit->main_pid = (pid_t)strtol(line + 8, NULL, 10);
}

size_t local_units_parse(const char *text, struct local_unit *out, size_t max)
{
	size_t n = 0;
	bool fresh = true;
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");
		if (len > 0 && fresh && n == max)
			break;
		if (len > 0 && fresh)
			out[n++] = (struct local_unit){.is_there = false};
		fresh = len == 0;
		if (len > 0)
			take_property(&out[n - 1], text, len);
		text += len + (text[len] == '\n');
	}
	return n;
}

static size_t show(const char *const *names, size_t n_names, unsigned timeout_ms,
                   struct local_unit *out)
{
	static const char properties[] = "Id,LoadState,ActiveState,SubState,Result,User,"
	                                 "UnitFileState,ExecMainStatus,MainPID";
	const char *argv[N_UNITS + 8] = {"systemctl", "show", "--no-pager", "-p", properties, "--"};
	struct check_tool tool;
	for (size_t i = 0; i < n_names; i++)
		argv[6 + i] = names[i];
	ask(argv, timeout_ms, &tool);
	size_t n = check_tool_is_good(&tool) ? local_units_parse(tool.out, out, n_names) : 0;
	check_tool_clear(&tool);
	return n;
}

bool local_unit_find(const struct local_role *role, unsigned timeout_ms, struct local_unit *out)
{
	struct local_unit units[N_UNITS];
	const char *own = role->has_process ? role->process.unit : "";
	bool is_relay = strcmp(role->name, "relay") == 0;
	size_t n = own[0] != '\0' ? show(&own, 1, timeout_ms, units)
	           : role->has_process // started by hand: no unit has to do with it
	                   ? 0
	                   : show(is_relay ? relay_units : id_units, N_UNITS, timeout_ms, units);
	for (size_t i = 0; i < n; i++)
		if (units[i].is_there) {
			*out = units[i];
			return true;
		}
	return false;
}

bool local_unit_is_of(const char *unit, const pid_t *pids, size_t n, unsigned timeout_ms)
{
	struct local_unit found = {.main_pid = 0};
	bool is = false;
	if (unit[0] == '\0' || show(&unit, 1, timeout_ms, &found) != 1)
		return false;
	for (size_t i = 0; i < n; i++)
		is = is || (found.main_pid > 1 && pids[i] == found.main_pid);
	return is;
}

char *local_unit_log(const char *unit, unsigned timeout_ms, char *out, size_t cap)
{
	const char *const argv[] = {"journalctl", "-q",      "--no-pager", "-o", "cat",
	                            "-n",         LOG_LINES, "-u",         unit, NULL};
	struct check_tool tool;
	ask(argv, timeout_ms, &tool);
	size_t len = 0;
	out[0] = '\0';
	for (char *rest = NULL, *line = strtok_r(tool.out, "\n", &rest);
	     check_tool_is_good(&tool) && line != NULL && len + 4 < cap;
	     line = strtok_r(NULL, "\n", &rest)) {
		(void)snprintf(out + len, cap - len, "%s%s", len > 0 ? " | " : "", line);
		len += strlen(out + len);
	}
	check_tool_clear(&tool);
	return out;
}

char *local_start_command(const struct check_site *site, const struct local_role *role,
                          const struct local_unit *unit, bool again)
{
	if (unit != NULL)
		return rds_asprintf("%ssystemctl %s %s", local_sudo(), again ? "restart" : "start",
		                    unit->id);
	const struct site_role *other = role->site == &site->id ? &site->relay : &site->id;
	char *dir = local_quote(site->data_dir);
	struct local_role beside;
	local_role_find(site, other == &site->relay, &beside);
	bool is_both =
	        role->has_process && beside.has_process && beside.process.pid == role->process.pid;
	char *command =
	        again && role->has_process
	                ? rds_asprintf("kill -9 %d, then start it as before "
	                               "(rdsrv %s --data-dir %s)",
	                               (int)role->process.pid, is_both ? "serve" : role->name, dir)
	                : rds_asprintf("rdsrv %s --data-dir %s",
	                               other->running == SITE_NOT_RUNNING ? "serve" : role->name,
	                               dir);
	free(dir);
	return command;
}
