// SPDX-License-Identifier: MIT
// files.*: the key files and server.conf; files_dir.c and files_database.c have the rest.
#include "cmd/check/files.h"

#include "conf/form.h"
#include "core/alloc.h"
#include "core/text.h"
#include "keys/keyfiles.h"
#include "keys/server_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONF_MAX (64 * 1024)

// --- files.keys

struct key_backup {
	const struct check_site *site;
	const char *wanted;
	char *secret;
};

static void look_at_backup(void *ctx, const char *name)
{
	struct key_backup *search = ctx;
	uint8_t text[256];
	size_t len = 0;
	size_t name_len = strlen(name);
	struct rds_error err;
	if (search->secret != NULL || name_len < 5 || strcmp(name + name_len - 4, ".pub") != 0 ||
	    strcmp(name, RDS_PUBLIC_FILE) == 0 ||
	    rds_datadir_read(search->site->dir, name, text, sizeof text, &len, NULL, &err) != 0 ||
	    !rds_view_equal(rds_view_trim(rds_view_of(text, len)), rds_view_text(search->wanted)))
		return;
	char *secret = rds_strndup(name, name_len - 4);
	if (rds_datadir_has(search->site->dir, secret))
		search->secret = secret;
	else
		free(secret);
}

char *local_key_backup(const struct check_site *site, const char *public_text)
{
	struct key_backup search = {.site = site, .wanted = public_text};
	rds_datadir_each(site->dir, RDS_SECRET_FILE, look_at_backup, &search);
	return search.secret;
}

// What to do where a secret file is missing: its backup, if there is one here.
static void fix_no_secret(const struct check_site *site, struct check_result *result)
{
	uint8_t text[256];
	size_t len = 0;
	struct rds_error err;
	char *backup = NULL;
	if (rds_datadir_read(site->dir, RDS_PUBLIC_FILE, text, sizeof text, &len, NULL, &err) ==
	    0) {
		struct rds_view view = rds_view_trim(rds_view_of(text, len));
		char *public = rds_strndup(view.data, view.len);
		backup = local_key_backup(site, public);
		free(public);
	}
	char *dir = local_quote(site->data_dir);
	if (backup != NULL)
		check_fix(result, "%scp -p %s/%s %s/" RDS_SECRET_FILE, local_sudo(), dir, backup,
		          dir);
	else
		check_fix(
		        result,
		        "restore %s/" RDS_SECRET_FILE " (mode 600) from your backup; only if there "
		        "is none, move " RDS_PUBLIC_FILE " away: the server makes a new pair, and "
		        "every client needs the new key",
		        dir);
	free(dir);
	free(backup);
}

// The service's user, who has to be able to read the secret.
static bool owner_is_wrong(const struct check_site *site, const char *name, const struct stat *st,
                           struct check_result *result)
{
	char user[LOCAL_USER_TEXT];
	char owner[LOCAL_USER_TEXT];
	uid_t uid = 0;
	if (!local_service_user(site, &uid) || uid == 0 || st->st_uid == uid)
		return false;
	char *path = local_path(site, name);
	char *word = local_quote(path);
	check_fail(result, "%s belongs to %s, but the service is %s", path,
	           local_user_name(st->st_uid, owner), local_user_name(uid, user));
	check_fix(result, "%schown %s: %s", local_sudo(), user, word);
	free(word);
	free(path);
	return true;
}

static bool mode_is_wrong(const struct check_site *site, const char *name, const struct stat *st,
                          mode_t most, struct check_result *result)
{
	unsigned mode = (unsigned)st->st_mode & 07777;
	if ((mode & ~most & 07077) == 0 && S_ISREG(st->st_mode))
		return false;
	char *path = local_path(site, name);
	char *word = local_quote(path);
	if (!S_ISREG(st->st_mode)) {
		check_fail(result, "%s is no regular file", path);
		check_fix(result, "put the file itself there, not a link to it");
	} else {
		check_fail(result, "%s has mode %04o: others can %s it", path, mode,
		           most == 0600 ? "read" : "change");
		check_fix(result, "%schmod %o %s", local_sudo(), (unsigned)most, word);
	}
	free(word);
	free(path);
	return true;
}

static void fix_no_public(const struct check_site *site, const struct stat *secret,
                          struct check_result *result)
{
	char user[LOCAL_USER_TEXT];
	char *dir = local_quote(site->data_dir);
	(void)local_user_name(secret->st_uid, user);
	check_warn(result, "%s/" RDS_PUBLIC_FILE " is missing", site->data_dir);
	check_fix(result, "cd %s && " LOCAL_WRITE_PUBLIC " && chown %s: " RDS_PUBLIC_FILE, dir,
	          user);
	free(dir);
}

static void check_key_files(struct check *check)
{
	const struct check_site *site = &check->site;
	struct check_result result;
	struct stat secret;
	struct stat public;
	check_begin(&result, "files.keys");
	bool has_secret = rds_datadir_stat(site->dir, RDS_SECRET_FILE, &secret);
	bool has_public = rds_datadir_stat(site->dir, RDS_PUBLIC_FILE, &public);
	if (!has_secret && !has_public) {
		check_skip(&result, "no key files: the first start makes them, unless a key is "
		                    "given by -k");
	} else if (!has_secret && check_site_is_relay_only(site)) {
		check_ok(&result, RDS_PUBLIC_FILE " alone: a relay needs no secret key");
	} else if (!has_secret) {
		check_fail(&result,
		           "%s/" RDS_SECRET_FILE " is missing, though " RDS_PUBLIC_FILE " is there",
		           site->data_dir);
		fix_no_secret(site, &result);
	} else if (mode_is_wrong(site, RDS_SECRET_FILE, &secret, 0600, &result) ||
	           owner_is_wrong(site, RDS_SECRET_FILE, &secret, &result)) {
	} else if (!has_public) {
		fix_no_public(site, &secret, &result);
	} else if (!mode_is_wrong(site, RDS_PUBLIC_FILE, &public, 0644, &result)) {
		check_ok(&result, RDS_SECRET_FILE " %04o, " RDS_PUBLIC_FILE " %04o",
		         (unsigned)secret.st_mode & 07777, (unsigned)public.st_mode & 07777);
	}
	check_end(check, &result);
}

// --- files.server-conf

// The command that writes it anew. What people are told stays, where no setting names it.
static void fix_conf(const struct check_site *site, const struct rds_client_conf *conf,
                     struct rds_view text, struct check_result *result)
{
	char *dir = local_quote(site->data_dir);
	char *named = site->told.id_server[0] != '\0'              ? rds_strdup("")
	              : conf != NULL && conf->id_server[0] != '\0' ? local_quote(conf->id_server)
	                                                           : rds_strdup("HOST");
	check_fix(result, "%srdsrv export-conf --data-dir %s%s%s%s -o %s/" RDS_SERVER_CONF,
	          local_sudo(), dir, named[0] == '\0' ? "" : " --id-server ", named,
	          text.len == 0 || rds_form_is_ours(text) ? "" : " --force", dir);
	free(named);
	free(dir);
}

static void tell_fit(const struct check_site *site, const struct rds_client_conf *conf,
                     struct rds_view text, struct check_result *result)
{
	char until[RDS_TIME_TEXT];
	struct rds_client_fit fit = rds_client_fit(conf, &site->told, site->keys.items,
	                                           site->keys.n, (int64_t)time(NULL));
	(void)rds_text_time(fit.until_sec, until);
	if (site->keys.n == 0)
		check_skip(result, "the server's key isn't known, see keys.pair");
	else if (conf->key[0] == '\0')
		check_fail(result, "no key is in it, but the server has one");
	else if (fit.key == RDS_FIT_KEY_FOREIGN)
		check_fail(result,
		           "the key in it is foreign: who has it is refused (Key mismatch)");
	else if (fit.key == RDS_FIT_KEY_EXPIRED)
		check_fail(result, "the key in it was retired, and is refused since %s", until);
	else if (fit.key == RDS_FIT_KEY_RETIRED)
		check_warn(result, "the key in it is retired, and is accepted until %s only",
		           until);
	else if (fit.id_server == RDS_FIT_HOST_OTHER)
		check_warn(result, "the ID server in it is %s, but the settings say %s",
		           conf->id_server, site->told.id_server);
	else if (fit.relay_server == RDS_FIT_HOST_OTHER)
		check_warn(result, "the relay in it is %s, but the settings say %s",
		           conf->relay_server[0] == '\0' ? "(none)" : conf->relay_server,
		           site->told.relay_server[0] == '\0' ? "(none)" : site->told.relay_server);
	else
		check_ok(result, "%s and the live key",
		         conf->id_server[0] == '\0' ? "(no host)" : conf->id_server);
	fix_conf(site, conf, text, result);
	if (result->status == CHECK_OK || result->status == CHECK_SKIP)
		result->fix[0] = '\0';
}

static void read_conf(const struct check_site *site, struct rds_view text,
                      struct check_result *result)
{
	struct rds_client_conf conf;
	struct rds_error err = {""};
	enum rds_form form;
	if (rds_form_read(text, &form, &conf, &err) != 0) {
		check_fail(result, "%s/" RDS_SERVER_CONF ": %s", site->data_dir, err.text);
		fix_conf(site, NULL, text, result);
		return;
	}
	tell_fit(site, &conf, text, result);
	rds_client_conf_clear(&conf);
}

static void check_server_conf(struct check *check)
{
	const struct check_site *site = &check->site;
	struct check_result result;
	struct rds_error err = {""};
	size_t len = 0;
	uint8_t *text = rds_calloc(CONF_MAX, 1);
	check_begin(&result, "files.server-conf");
	int rc = rds_datadir_read(site->dir, RDS_SERVER_CONF, text, CONF_MAX, &len, NULL, &err);
	if (rc == -RDS_ENOENT && site->keys.n == 0) {
		check_skip(&result, "no " RDS_SERVER_CONF " yet: the first start writes it");
	} else if (rc == -RDS_ENOENT && check_site_is_relay_only(site)) {
		check_skip(&result, "the ID server's host has it to hand out, not a relay's");
	} else if (rc == -RDS_ENOENT) {
		check_warn(&result, "no %s/" RDS_SERVER_CONF " to hand out", site->data_dir);
		fix_conf(site, NULL, rds_view_of(NULL, 0), &result);
	} else if (rc != 0 && local_is_hidden(site, RDS_SERVER_CONF, &result)) {
		// said
	} else if (rc != 0) {
		check_fail(&result, "%s", err.text);
		check_fix(&result, "run this as root, or see the file's owner and mode");
	} else {
		read_conf(site, rds_view_of(text, len), &result);
	}
	free(text);
	check_end(check, &result);
}

void check_files(struct check *check)
{
	static const char *const names[] = {"files.keys", "files.database", "files.server-conf"};
	if (check_wants(check, "files.data-dir"))
		check_files_dir(check);
	if (check->site.dir == NULL) {
		for (size_t i = 0; i < 3; i++)
			check_skipped(check, names[i], local_no_directory(&check->site));
		return;
	}
	if (check_wants(check, names[0]))
		check_key_files(check);
	if (check_wants(check, names[1]))
		check_files_database(check);
	if (check_wants(check, names[2]))
		check_server_conf(check);
}
