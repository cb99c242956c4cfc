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

// A running server still has what was readable in memory, so a backup that it makes may fail too;
// what was backed up before is the way back.
static void fix_damaged(const char *path, struct check_result *result)
{
	char *word = local_quote(path);
	check_fix(
	        result,
	        "stop the server, then `mv %s %s.damaged` and copy the db_v2.sqlite3 of your last "
	        "backup (rdsrv ctl id backup) there; without one the server starts anew, and "
	        "devices register again by themselves, their keys unchanged",
	        word, word);
	free(word);
}

static void tell(const char *path, struct check_result *result)
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
	} else if (look.foreign) {
		check_fail(result, "%s holds no peers, or another program's", path);
		check_fix(result, "name the right file with the setting db-url, or move this one "
		                  "away: a new one is made");
	} else {
		check_ok(result, "%s: %" PRIu64 " peers, %s%s", path, look.n_peers,
		         look.version < 0 ? "as hbbs left it" : version,
		         look.whole ? "" : "; too large to be looked through in a moment");
	}
}

// A link to a database is one; a link that leads nowhere is not a database yet to be made.
static bool is_no_file(const char *path, struct check_result *result)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		return false;
	bool leads = stat(path, &st) == 0;
	if (leads && S_ISREG(st.st_mode))
		return false;
	char *word = local_quote(path);
	check_fail(result, leads ? "%s is no file" : "%s is a link that leads nowhere", path);
	check_fix(result, "mv %s %s.away; then put the db_v2.sqlite3 of your last backup there",
	          word, word);
	free(word);
	return true;
}

void check_files_database(struct check *check)
{
	const struct check_site *site = &check->site;
	struct check_result result;
	struct stat st;
	check_begin(&result, "files.database");
	char *path = local_database(site);
	if ((path[0] == '/' && local_is_hidden(site, path, &result)) || is_no_file(path, &result)) {
		// said; to open what is no file could take for ever
	} else if (stat(path, &st) == 0) {
		tell(path, &result);
	} else if (site->id.running == SITE_ANSWERS) {
		check_fail(&result,
		           "%s is gone, though the ID server runs: peers that register "
		           "now will be forgotten at its end",
		           path);
		char *dir = local_quote(site->data_dir);
		check_fix(&result,
		          "save what it has with `rdsrv ctl id backup /var/tmp/rdsrv-backup "
		          "--data-dir %s`, restart it, and copy db_v2.sqlite3 from there",
		          dir);
		free(dir);
	} else {
		check_ok(&result, "%s: not there yet, the first start makes it", path);
	}
	free(path);
	check_end(check, &result);
}
