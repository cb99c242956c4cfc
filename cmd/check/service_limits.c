// SPDX-License-Identifier: MIT
// service.limits: file descriptors, against what the load needs.
#include "cmd/check/local.h"

#include "core/alloc.h"

#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

// What a role has open before anybody comes: files, sockets, the pipes that sessions borrow.
#define BASE 256
// Below this a handful of sessions, or one impatient client, takes them all.
#define TOO_FEW 256
// A session at the relay: two sockets and two pipes.
#define PER_SESSION 6
// Of all devices, at once in a session.
#define ONE_OF      20
#define RECOMMENDED 65536

// What a busy hour takes: every device may have a connection to the ID server, and one in twenty
// is in a session.
static uint64_t need_of(const struct check_site *site, const struct local_role roles[2],
                        const struct local_role *role)
{
	uint64_t peers = local_status_number(&roles[0], "peers");
	uint64_t sessions = local_status_number(&roles[1], "sessions");
	uint64_t most = peers / ONE_OF > 2 * sessions ? peers / ONE_OF : 2 * sessions;
	bool is_id = role->site == &site->id;
	bool both = roles[0].process.pid == roles[1].process.pid;
	uint64_t need = BASE;
	if (is_id || both)
		need += peers;
	if (!is_id || both)
		need += PER_SESSION * (most < 64 ? 64 : most);
	return need;
}

// Whether we may raise the limit of a process that runs.
static bool may_raise(void)
{
	char text[4096];
	const char *line = NULL;
	if (check_read_file("/proc/self/status", text, sizeof text) <= 0)
		return false;
	line = strstr(text, "\nCapEff:");
	return line != NULL && (strtoull(line + 8, NULL, 16) >> CAP_SYS_RESOURCE & 1) != 0;
}

static void fix(const struct check_site *site, const struct local_role *role, uint64_t need,
                struct check_result *result)
{
	struct local_unit unit;
	struct rlimit ours = {.rlim_max = RLIM_INFINITY};
	unsigned long long want = need > RECOMMENDED ? need : RECOMMENDED;
	int pid = (int)role->process.pid;
	bool can = geteuid() != 0 || may_raise();
	(void)getrlimit(RLIMIT_NOFILE, &ours);
	if (!can && ours.rlim_max < want)
		want = ours.rlim_max; // all that a shell here can give
	if (local_unit_find(role, site->here_ms, &unit))
		check_fix(result,
		          "%sprlimit --pid %d --nofile=%llu:%llu; for good: LimitNOFILE=%llu "
		          "under [Service] by %ssystemctl edit %s",
		          local_sudo(), pid, want, want, want, local_sudo(), unit.id);
	else if (can)
		check_fix(
		        result,
		        "%sprlimit --pid %d --nofile=%llu:%llu; for good: ulimit -n %llu before it "
		        "starts",
		        local_sudo(), pid, want, want, want);
	else
		check_fix(result, "ulimit -n %llu; then start it again from that shell", want);
}

// false: all is well with it, and *said grows.
static bool look_at(const struct check_site *site, const struct local_role roles[2],
                    const struct local_role *role, struct check_result *result, char *said,
                    size_t cap)
{
	uint64_t limit = 0;
	int64_t used = -1;
	char open[48] = "";
	if (!check_process_descriptors(role->process.pid, &limit, &used))
		return false;
	uint64_t need = need_of(site, roles, role);
	if (used >= 0)
		(void)snprintf(open, sizeof open, "%" PRId64 " open, ", used);
	if (limit < TOO_FEW || (used >= 0 && (uint64_t)used >= limit / 10 * 9))
		check_fail(result,
		           "the %s (pid %d): %s%" PRIu64 " file descriptors allowed, which "
		           "is too few: clients will be refused",
		           role->title, (int)role->process.pid, open, limit);
	else if (limit < need)
		check_warn(result,
		           "the %s (pid %d): %s%" PRIu64 " file descriptors allowed; a busy "
		           "hour of these devices takes some %" PRIu64,
		           role->title, (int)role->process.pid, open, limit, need);
	if (limit < need || result->status == CHECK_FAIL) {
		fix(site, role, need, result);
		return true;
	}
	size_t len = strlen(said);
	(void)snprintf(said + len, cap - len, "%sthe %s: %s%" PRIu64 " file descriptors allowed",
	               len > 0 ? "; " : "", role->title, open, limit);
	return false;
}

void check_limits(struct check *check)
{
	struct check_result result;
	struct local_role roles[2];
	char said[400] = "";
	bool bad = false;
	check_begin(&result, "service.limits");
	local_role_find(&check->site, false, &roles[0]);
	local_role_find(&check->site, true, &roles[1]);
	bool same = roles[0].process.pid == roles[1].process.pid;
	for (size_t i = 0; i < 2 && !bad; i++)
		if (roles[i].has_process && (i == 0 || !same))
			bad = look_at(&check->site, roles, &roles[i], &result, said, sizeof said);
	if (!bad && said[0] != '\0')
		check_ok(&result, "%s", said);
	else if (!bad)
		check_skip(&result, "no process of a server here can be seen");
	check_end(check, &result);
}
