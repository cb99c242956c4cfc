// SPDX-License-Identifier: MIT
#include "cmd/instance.h"

#include "cmd/become.h"
#include "cmd/cmd.h"
#include "cmd/container.h"
#include "core/alloc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// Where packages and guides put the data of RustDesk servers.
static const char *const system_dirs[] = {"/var/lib/rdsrv", "/var/lib/rustdesk-server",
                                          "/var/lib/rustdesk"};
#define N_SYSTEM_DIRS (sizeof system_dirs / sizeof system_dirs[0])

// The system directory that holds a server. -RDS_ENOENT, or -RDS_EINVAL for several.
static int find_system_dir(const char **out, struct rds_error *err)
{
	char found[256] = "";
	size_t n = 0;
	for (size_t i = 0; i < N_SYSTEM_DIRS; i++) {
		if (!rds_holds_server(system_dirs[i]))
			continue;
		size_t len = strlen(found);
		(void)snprintf(found + len, sizeof found - len, "%s%s", n > 0 ? ", " : "",
		               system_dirs[i]);
		*out = system_dirs[i];
		n++;
	}
	if (n > 1)
		return rds_fail(err, RDS_EINVAL,
		                "several directories hold a server: %s; name one with --data-dir",
		                found);
	return n == 1 ? 0 : -RDS_ENOENT;
}

static bool is_hidden(const char *dir)
{
	return access(dir, X_OK) != 0 && errno == EACCES;
}

// What a service's directory is for other users than its own.
static int fail_none(struct rds_error *err)
{
	const char *hidden = rds_instance_system_dir(is_hidden);
	if (hidden != NULL)
		return rds_fail(err, RDS_ENOENT,
		                "%s is not for this user to look at: run this with sudo, or name "
		                "another directory with --data-dir DIR or RDSRV_DATA_DIR",
		                hidden);
	return rds_fail(
	        err, RDS_ENOENT,
	        "no server here, nor in %s, %s or %s: name its directory with --data-dir DIR "
	        "or RDSRV_DATA_DIR",
	        system_dirs[0], system_dirs[1], system_dirs[2]);
}

static int choose(const struct rds_settings *settings, enum rds_instance_use use, const char **dir,
                  const char **why, struct rds_error *err)
{
	const char *named = rds_settings_text(settings, RDS_SET_DATA_DIR);
	const char *where = rds_settings_where(settings, RDS_SET_DATA_DIR);
	bool by_system = rds_settings_origin(settings, RDS_SET_DATA_DIR) == RDS_FROM_SYSTEM_FILE;
	if (named[0] != '\0' && !by_system) {
		*dir = named;
		*why = where;
		return 0;
	}
	if (rds_container_is(settings) && named[0] == '\0') {
		rds_container_choose(settings, dir, why);
		return 0;
	}
	*dir = ".";
	*why = "the working directory";
	if (use == RDS_INSTANCE_SERVE_HERE)
		return 0;
	if (rds_holds_server(".")) {
		*why = "the working directory holds a server";
		return 0;
	}
	if (named[0] != '\0') {
		*dir = named;
		*why = where;
		return 0;
	}
	int rc = find_system_dir(dir, err);
	if (rc == 0)
		*why = "the only system directory that holds a server";
	if (rc != -RDS_ENOENT || use == RDS_INSTANCE_SERVE)
		return rc == -RDS_ENOENT ? 0 : rc;
	return fail_none(err);
}

const char *rds_instance_system_dir(bool (*fits)(const char *dir))
{
	for (size_t i = 0; i < N_SYSTEM_DIRS; i++)
		if (fits(system_dirs[i]))
			return system_dirs[i];
	return NULL;
}

int rds_instance_choose(const struct rds_settings *settings, enum rds_instance_use use, char **dir,
                        const char **why, struct rds_error *err)
{
	const char *chosen = NULL;
	int rc = choose(settings, use, &chosen, why, err);
	if (rc != 0)
		return rc;
	*dir = realpath(chosen, NULL);
	if (*dir == NULL)
		return rds_fail(err, RDS_ESYS, "data directory %s: %s%s", chosen, strerror(errno),
		                errno == ENOENT ? "; make it with mkdir -m 700, or correct the name"
		                                : "");
	return 0;
}

int rds_instance_find(const struct rds_settings *settings, enum rds_instance_use use,
                      struct rds_datadir **out, const char **why, struct rds_error *err)
{
	char *dir = NULL;
	int rc = rds_instance_choose(settings, use, &dir, why, err);
	if (rc == 0)
		rc = rds_become(settings, dir, use != RDS_INSTANCE_ACT, err);
	if (rc == 0)
		rc = rds_datadir_open(dir, out, err);
	free(dir);
	return rc;
}

// hbbs writes paths as they are; both forms of a URL are understood, too.
char *rds_instance_database(const struct rds_settings *settings, const char *dir)
{
	static const char scheme[] = "sqlite:";
	const char *path = rds_settings_text(settings, RDS_SET_DB_URL);
	if (strncmp(path, scheme, sizeof scheme - 1) == 0) {
		path += sizeof scheme - 1;
		if (strncmp(path, "//", 2) == 0)
			path += 2;
	}
	return path[0] != '\0' ? rds_strdup(path) : rds_asprintf("%s/" RDS_DATABASE_FILE, dir);
}

int rds_instance_exit_code(int rc)
{
	return rc == -RDS_EINVAL ? RDS_EXIT_USAGE : RDS_EXIT_PROBLEM;
}
