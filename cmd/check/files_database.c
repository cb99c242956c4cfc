// SPDX-License-Identifier: MIT
// files.database: whether the peers' database opens, is whole, and is one of ours.
#include "cmd/check/files.h"

#include "cmd/instance.h"
#include "core/alloc.h"
#include "core/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// The rest of a large file goes unseen: a check is to be quick.
#define LOOK_MS 1200

char *local_database(const struct check_site *site)
{
	return rds_instance_database(site->settings, site->data_dir);
}

// With the side files, whose changes SQLite would make to the backup.
// A running server still has what was readable in memory, so a backup that it makes may fail too;
// what was backed up before is the way back.
static void fix_damaged(const char *path, struct check_result *result)
{
	char *word = local_quote(path);
	check_fix(
	        result,
	        "stop the server, then `db=%s; for end in '' -wal -shm; do [ ! -e \"$db$end\" ] || "
	        "mv \"$db$end\" \"$db.damaged$end\"; done` and copy the db_v2.sqlite3 of your last "
	        "backup (rdsrv ctl id backup) there; without one the server starts anew, and "
	        "devices register again by themselves, their keys unchanged",
	        word);
	free(word);
}

// It is gone, or has nothing in it.
static void tell_none(const struct check_site *site, const char *path, bool is_there,
                      struct check_result *result)
{
	if (site->id.running != SITE_ANSWERS) {
		check_ok(result,
		         is_there ? "%s: empty, the next start makes its tables"
		                  : "%s: not there yet, the first start makes it",
		         path);
		return;
	}
	check_fail(result,
	           "%s is %s, though the ID server runs: peers that register now will be "
	           "forgotten at its end",
	           path, is_there ? "empty" : "gone");
	char *dir = local_quote(site->data_dir);
	check_fix(result,
	          "save what it has with `rdsrv ctl id backup %s/backup --data-dir %s`, stop it, "
	          "copy db_v2.sqlite3 from there, and start it",
	          dir, dir);
	free(dir);
}

static void tell(const struct check_site *site, const char *path, struct check_result *result)
{
	struct rds_store_look look;
	struct rds_error err = {""};
	char version[48];
	int rc = rds_store_look(path, LOOK_MS, &look, &err);
	(void)snprintf(version, sizeof version, "tables of version %" PRId64, look.version);
	if (rc == -RDS_EPARSE) {
		check_fail(result, "%s", err.text);
		fix_damaged(path, result);
	} else if (rc != 0) {
		check_fail(result, "can't be read: %s", err.text);
		check_fix(result, "see the owner and mode of the file and of its directory, or run "
		                  "this as root: sudo rdsrv check");
	} else if (look.empty) {
		tell_none(site, path, true, result);
	} else if (look.foreign) {
		check_fail(result, "%s is another program's: it has no table of peers", path);
		check_fix(result, "name the right file with the setting db-url, or move this one "
		                  "away: a new one is made");
	} else {
		check_ok(result, "%s: %" PRIu64 " peers, %s%s", path, look.n_peers,
		         look.version < 0 ? "as hbbs left it" : version,
		         look.whole ? "" : "; too large to be looked through in a moment");
	}
}

// A link to a database is one; a link that leads nowhere is not a database yet to be made.
static bool is_no_file(const char *path, const char *then, struct check_result *result)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		return false;
	bool leads = stat(path, &st) == 0;
	if (leads && S_ISREG(st.st_mode))
		return false;
	char *word = local_quote(path);
	check_fail(result, leads ? "%s is no file" : "%s is a link that leads nowhere", path);
	check_fix(result, "mv %s %s.away%s", word, word, then);
	free(word);
	return true;
}

// The database and what SQLite keeps beside it; to open what is no file could take for ever.
static bool has_no_file(const char *path, struct check_result *result)
{
	static const char *const ends[] = {"-journal", "-wal", "-shm"};
	bool has = is_no_file(
	        path, "; then put the db_v2.sqlite3 of your last backup there, and no -wal or -shm",
	        result);
	for (size_t i = 0; i < sizeof ends / sizeof ends[0] && !has; i++) {
		char *side = rds_asprintf("%s%s", path, ends[i]);
		has = is_no_file(side, "", result);
		free(side);
	}
	return has;
}

void check_files_database(struct check *check)
{
	const struct check_site *site = &check->site;
	struct check_result result;
	struct stat st;
	check_begin(&result, "files.database");
	char *path = local_database(site);
	if ((path[0] == '/' && local_is_hidden(site, path, &result)) ||
	    has_no_file(path, &result)) {
		// said
	} else if (stat(path, &st) == 0) {
		tell(site, path, &result);
	} else {
		tell_none(site, path, false, &result);
	}
	free(path);
	check_end(check, &result);
}
