// SPDX-License-Identifier: MIT
#include "cmd/check/local.h"

#include "cmd/running.h"
#include "core/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

// --- a role's process

const char *local_status_text(const struct local_role *role, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(role->site->status, name));
}

uint64_t local_status_number(const struct local_role *role, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(role->site->status, name);
	return cJSON_IsNumber(item) && item->valuedouble > 0 ? (uint64_t)item->valuedouble : 0;
}

// Who holds the lock, by the kernel's list ("1: FLOCK ADVISORY WRITE PID MAJ:MIN:INODE 0 EOF"):
// asking with a lock of our own would be in the way of a server that starts in that moment. 0: it
// isn't there.
static pid_t holder_by_list(const struct stat *st)
{
	char line[256];
	char wanted[64];
	pid_t holder = 0;
	FILE *file = fopen("/proc/locks", "re");
	(void)snprintf(wanted, sizeof wanted, "%02x:%02x:%ju", major(st->st_dev), minor(st->st_dev),
	               (uintmax_t)st->st_ino);
	while (file != NULL && holder == 0 && fgets(line, sizeof line, file) != NULL) {
		char *words[6];
		if (check_cut(line, words, 6) == 6 && strcmp(words[1], "FLOCK") == 0 &&
		    strcmp(words[5], wanted) == 0)
			holder = (pid_t)strtol(words[4], NULL, 10);
	}
	if (file != NULL)
		(void)fclose(file);
	return holder;
}

// In another namespace, or on a file system whose device has another number there (btrfs, overlay),
// the list has nothing to tell: then, and only if the process that is named in the file lives, the
// lock itself is tried.
static bool is_locked(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB) != 0)
		return true;
	(void)flock(fd, LOCK_UN);
	return false;
}

static pid_t read_pid(int fd)
{
	char text[16] = "";
	return pread(fd, text, sizeof text - 1, 0) > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

// false: nobody holds it, or it isn't for us to see.
static bool find_holder(const struct check_site *site, const char *name, pid_t *pid)
{
	struct stat st;
	struct check_process process;
	char *file = rds_asprintf("rdsrv-%s.lock", name);
	char *path = local_path(site, file);
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	bool held = false;
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		pid_t named = read_pid(fd);
		*pid = holder_by_list(&st);
		held = *pid > 0;
		if (!held && check_process_read(named, &process) && is_locked(fd)) {
			*pid = named;
			held = true;
		}
	}
	if (fd >= 0)
		(void)close(fd);
	free(path);
	free(file);
	return held;
}

void local_role_find(const struct check_site *site, bool is_relay, struct local_role *out)
{
	pid_t pid = 0;
	*out = (struct local_role){.name = is_relay ? "relay" : "id",
	                           .title = is_relay ? "relay" : "ID server",
	                           .site = is_relay ? &site->relay : &site->id};
	if (site->dir == NULL)
		return;
	out->held = find_holder(site, out->name, &pid);
	// In a container it knows itself by another number than this host does.
	if (out->site->running == SITE_ANSWERS && !out->held) {
		out->held = true;
		pid = (pid_t)local_status_number(out, "pid");
	}
	out->has_process = check_process_read(pid, &out->process);
}

struct rds_settings *local_role_settings(const struct check_site *site,
                                         const struct local_role *role)
{
	struct rds_settings *own = rds_settings_new();
	for (int i = 0; i < RDS_SET_COUNT; i++)
		rds_settings_copy(own, site->settings, (enum rds_setting)i);
	rds_running_take(own, role->site->settings);
	return own;
}

const char *local_setting_from(const struct check_site *site, const struct local_role *role,
                               enum rds_setting setting)
{
	const cJSON *all = cJSON_GetObjectItemCaseSensitive(role->site->settings, "settings");
	const char *from = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(
	        cJSON_GetObjectItemCaseSensitive(all, rds_setting_row(setting)->name), "from"));
	return from != NULL ? from : rds_settings_where(site->settings, setting);
}

void local_fix_open(const struct check_site *site, bool is_relay, struct check_result *result)
{
	struct local_role role;
	local_role_find(site, is_relay, &role);
	const char *from = local_setting_from(site, &role, RDS_SET_KEY);
	if (strcmp(from, "default") != 0)
		check_fix(result,
		          "start the %s with -k _, or the setting key taken away (now %s has it, "
		          "empty): the key of the files is enforced then",
		          role.title, from);
	else
		check_fix(result, is_relay
		                          ? "start the relay with -k _ (hbbr without -k enforces "
		                            "nothing), in the ID server's data directory"
		                          : "start the ID server with -k _, or without -k: its key "
		                            "is enforced then");
}

bool local_service_user(const struct check_site *site, uid_t *uid)
{
	for (int i = 0; i < 2; i++) {
		struct local_role role;
		local_role_find(site, i == 1, &role);
		if (role.has_process) {
			*uid = role.process.uid;
			return true;
		}
	}
	for (int i = 0; i < 2; i++) {
		struct local_role role;
		struct local_unit unit;
		struct passwd entry;
		struct passwd *found = NULL;
		char room[4096];
		local_role_find(site, i == 1, &role);
		if (!local_unit_find(&role, site->here_ms, &unit) || unit.user[0] == '\0')
			continue;
		if (getpwnam_r(unit.user, &entry, room, sizeof room, &found) == 0 &&
		    found != NULL) {
			*uid = found->pw_uid;
			return true;
		}
	}
	if (site->dir != NULL)
		*uid = rds_datadir_owner(site->dir);
	return site->dir != NULL;
}

// --- words of commands

const char *local_user_name(uid_t uid, char out[LOCAL_USER_TEXT])
{
	struct passwd entry;
	struct passwd *found = NULL;
	char room[4096];
	if (getpwuid_r(uid, &entry, room, sizeof room, &found) == 0 && found != NULL)
		(void)snprintf(out, LOCAL_USER_TEXT, "%s", found->pw_name);
	else
		(void)snprintf(out, LOCAL_USER_TEXT, "%lu", (unsigned long)uid);
	return out;
}

char *local_path(const struct check_site *site, const char *name)
{
	return rds_asprintf("%s/%s", site->data_dir, name);
}

bool local_is_hidden(const struct check_site *site, const char *name, struct check_result *result)
{
	char *path = name[0] == '/' ? rds_strdup(name) : local_path(site, name);
	bool hidden = access(path, R_OK) != 0 && errno == EACCES;
	if (hidden)
		check_skip(result, "%s is not for this user to read: run sudo rdsrv check", path);
	free(path);
	return hidden;
}

const char *local_no_directory(const struct check_site *site)
{
	return site->hidden ? "the data directory is not for this user to look at: run sudo rdsrv "
	                      "check"
	                    : "there is no data directory to look at";
}

char *local_quote(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                            "0123456789/._-+=:,@%";
	if (text[0] != '\0' && text[strspn(text, plain)] == '\0')
		return rds_strdup(text);
	char *out = rds_calloc(strlen(text) + 1, 4);
	char *at = out;
	*at++ = '\'';
	for (; *text != '\0'; text++)
		if (*text == '\'')
			at = stpcpy(at, "'\\''");
		else
			*at++ = *text;
	*at = '\'';
	return out;
}

const char *local_sudo(void)
{
	return geteuid() == 0 ? "" : "sudo ";
}
