// SPDX-License-Identifier: MIT
#include "cmd/become.h"

#include "cmd/container.h"
#include "core/alloc.h"
#include "core/log.h"

#include <errno.h>
#include <fts.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void own(const FTSENT *entry, const struct passwd *user)
{
	uid_t was = entry->fts_statp->st_uid;
	if (was == user->pw_uid && entry->fts_statp->st_gid == user->pw_gid)
		return;
	// What may not be changed shows when it is to be used.
	if (lchown(entry->fts_accpath, user->pw_uid, user->pw_gid) != 0)
		rds_log(RDS_LOG_DEBUG, "can't take ownership",
		        rds_field_text("path", entry->fts_path),
		        rds_field_text("why", strerror(errno)));
	else if (entry->fts_level == FTS_ROOTLEVEL)
		rds_log(RDS_LOG_INFO, "took ownership of the data directory",
		        rds_field_text("path", entry->fts_path), rds_field_uint("owner_was", was),
		        rds_field_uint("owner", user->pw_uid));
}

// Never through a symbolic link, nor into what else is mounted there; fts goes from directory to
// directory and sees if one is exchanged meanwhile. Directories come after what they hold: until
// then root, their owner, may look into them even without the right to look into anybody's.
static void own_directory(const char *dir, const struct passwd *user)
{
	char *path = rds_strdup(dir);
	char *const paths[] = {path, NULL};
	FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_XDEV, NULL);
	for (FTSENT *entry; walk != NULL && (entry = fts_read(walk)) != NULL;)
		if (entry->fts_info != FTS_D && entry->fts_info != FTS_NS)
			own(entry, user);
	if (walk != NULL)
		(void)fts_close(walk);
	free(path);
}

// Of what root could do, only the opening of low ports is kept.
static bool keep_low_ports(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2] = {{0}};
	if (syscall(SYS_capget, &header, caps) != 0)
		return false;
	uint32_t kept = caps[0].permitted & (1U << CAP_NET_BIND_SERVICE);
	caps[0] = (struct __user_cap_data_struct){.effective = kept, .permitted = kept};
	caps[1] = (struct __user_cap_data_struct){0};
	return syscall(SYS_capset, &header, caps) == 0;
}

// -RDS_EBUSY: it lacks the rights, and nothing has changed.
static int change_user(const struct passwd *user, struct rds_error *err)
{
	if (setgroups(1, &user->pw_gid) != 0)
		return errno == EPERM ? -RDS_EBUSY
		                      : rds_fail(err, RDS_ESYS, "can't leave root's groups: %s",
		                                 strerror(errno));
	if (prctl(PR_SET_KEEPCAPS, 1) != 0 ||
	    setresgid(user->pw_gid, user->pw_gid, user->pw_gid) != 0 ||
	    setresuid(user->pw_uid, user->pw_uid, user->pw_uid) != 0 || !keep_low_ports())
		return rds_fail(err, RDS_ESYS, "can't become user %s: %s", user->pw_name,
		                strerror(errno));
	return 0;
}

// What of a data directory must be open to whom; what isn't there need not be.
static bool is_usable(const char *dir)
{
	static const struct {
		const char *name;
		int how;
	} needs[] = {{".", R_OK | W_OK | X_OK},          {"id_ed25519", R_OK},
	             {"id_ed25519.pub", R_OK},           {"keyring.json", R_OK},
	             {"db_v2.sqlite3", R_OK | W_OK},     {"db_v2.sqlite3-wal", R_OK | W_OK},
	             {"db_v2.sqlite3-shm", R_OK | W_OK}, {"rdsrv-id.lock", R_OK | W_OK},
	             {"rdsrv-relay.lock", R_OK | W_OK}};
	bool usable = true;
	for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
		char *path = rds_asprintf("%s/%s", dir, needs[i].name);
		usable = usable && (access(path, needs[i].how) == 0 || errno == ENOENT);
		free(path);
	}
	return usable;
}

static int check_usable(const struct rds_settings *settings, const char *dir,
                        const struct passwd *wanted, struct rds_error *err)
{
	bool container = rds_container_is(settings);
	struct stat st;
	if (is_usable(dir) || stat(dir, &st) != 0)
		return 0;
	unsigned uid = wanted != NULL ? wanted->pw_uid : geteuid();
	unsigned gid = wanted != NULL ? wanted->pw_gid : getegid();
	return rds_fail(err, RDS_ESYS,
	                "data directory %s: user %u can't use it, it belongs to user %u; %srun "
	                "chown -R %u:%u %s%s",
	                dir, (unsigned)geteuid(), (unsigned)st.st_uid,
	                container ? "on the host, " : "", uid, gid,
	                container ? "on the directory that is mounted there" : dir,
	                wanted == NULL ? ""
	                               : ", and start the container with that user, or let it "
	                                 "have CHOWN, DAC_OVERRIDE, SETGID and SETUID");
}

int rds_become(const struct rds_settings *settings, const char *dir, bool serves,
               struct rds_error *err)
{
	const char *name = rds_settings_text(settings, RDS_SET_USER);
	bool container = rds_container_is(settings);
	const struct passwd *user = NULL;
	if (geteuid() == 0 && name[0] != '\0' && (serves || container)) {
		user = getpwnam(name);
		if (user == NULL)
			return rds_fail(err, RDS_EINVAL, "%s: there is no user \"%s\"",
			                rds_settings_where(settings, RDS_SET_USER), name);
	}
	if (user == NULL || user->pw_uid == 0)
		return container ? check_usable(settings, dir, NULL, err) : 0;
	if (container && serves)
		own_directory(dir, user);
	int rc = change_user(user, err);
	if (rc == 0)
		return check_usable(settings, dir, NULL, err);
	if (rc != -RDS_EBUSY)
		return rc;
	rc = container ? check_usable(settings, dir, user, err)
	               : rds_fail(err, RDS_ESYS, "can't become user %s: %s", name, strerror(EPERM));
	if (rc == 0 && serves)
		rds_log(RDS_LOG_WARN, "runs as root without capabilities",
		        rds_field_text("because", "it may not change its user"),
		        rds_field_uint("better_start_as_user", user->pw_uid));
	return rc;
}
