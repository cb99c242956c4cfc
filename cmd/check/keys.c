// SPDX-License-Identifier: MIT
// keys.*: the pair that is in use, the ones that were, and whether the roles agree.
#include "cmd/check/files.h"

#include "core/alloc.h"
#include "core/text.h"
#include "keys/key_use.h"
#include "keys/keyfiles.h"
#include "keys/keyring.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY_SEC   86400
#define SOON_DAYS 7

// The key that a running server tells; NULL: none runs.
static const char *running_key(const struct local_role roles[2])
{
	const char *key = local_status_text(&roles[0], "key");
	return key != NULL ? key : local_status_text(&roles[1], "key");
}

// --- keys.pair

// Which half is the wrong one: by the key that the server has had in memory since its start.
static void fix_pair(const struct check_site *site, const char *running, const char *fault,
                     struct check_result *result)
{
	uint8_t text[256];
	size_t len = 0;
	struct rds_error err;
	struct stat st = {0};
	char user[LOCAL_USER_TEXT];
	char *dir = local_quote(site->data_dir);
	const char *semicolon = strchr(fault, ';');
	bool secret_is_bad = strstr(fault, RDS_SECRET_FILE ": ") != NULL;
	int rc = rds_datadir_read(site->dir, RDS_PUBLIC_FILE, text, sizeof text, &len, NULL, &err);
	struct rds_view public = rds_view_trim(rds_view_of(text, rc == 0 ? len : 0));
	bool public_is_live = running != NULL && rds_view_equal(public, rds_view_text(running));
	char *named = rds_strndup(public.data, public.len);
	char *backup = secret_is_bad || public_is_live ? local_key_backup(site, named) : NULL;
	if (backup != NULL) {
		check_fix(result, "%scp -p %s/%s %s/" RDS_SECRET_FILE, local_sudo(), dir, backup,
		          dir);
	} else if (running != NULL && !public_is_live && !secret_is_bad) {
		(void)rds_datadir_stat(site->dir, RDS_SECRET_FILE, &st);
		check_fix(result,
		          "the server runs with the secret's pair: `cd %s && mv " RDS_PUBLIC_FILE
		          " " RDS_PUBLIC_FILE ".wrong && " LOCAL_WRITE_PUBLIC
		          " && chown %s: " RDS_PUBLIC_FILE "`",
		          dir, local_user_name(st.st_uid, user));
	} else {
		check_fix(result, "%s%s",
		          public_is_live ? "the server still runs with the pair of " RDS_PUBLIC_FILE
		                           ", so " RDS_SECRET_FILE " is the wrong one: "
		                         : "",
		          semicolon == NULL ? "restore both files from a backup"
		                            : semicolon + 1 + strspn(semicolon + 1, " "));
	}
	free(backup);
	free(named);
	free(dir);
}

// The pair is whole; whether it is the one that is used.
static void tell_pair(const struct check_site *site, const struct local_role roles[2],
                      const char *text, struct check_result *result)
{
	const char *running = running_key(roles);
	char file_print[RDS_FINGERPRINT_TEXT];
	char live_print[RDS_FINGERPRINT_TEXT];
	const struct local_role *role =
	        local_status_text(&roles[0], "key") != NULL ? &roles[0] : &roles[1];
	rds_fingerprint(rds_view_text(text), file_print);
	if (running == NULL) {
		check_ok(result, "a pair, %s; no server runs with it", file_print);
		return;
	}
	rds_fingerprint(rds_view_text(running), live_print);
	if (strcmp(running, text) == 0) {
		check_ok(result, "a pair, and in use: %s", file_print);
	} else if (strcmp(local_setting_from(site, role, RDS_SET_KEY), "default") != 0) {
		check_ok(result, "in use is %s, given by %s; the files' pair, %s, isn't",
		         running[0] == '\0' ? "no key" : live_print,
		         local_setting_from(site, role, RDS_SET_KEY), file_print);
	} else {
		char *command = local_start_command(site, role, NULL, true);
		check_fail(result, "the files' pair is %s, but the server runs with %s", file_print,
		           live_print);
		check_fix(result,
		          "if the files are right: %s; else restore them from your backup: every "
		          "client that has the other key would be locked out",
		          command);
		free(command);
	}
}

static void check_pair(struct check *check, const struct local_role roles[2])
{
	const struct check_site *site = &check->site;
	struct check_result result;
	struct rds_keyfiles files;
	struct rds_error err = {""};
	const char *running = running_key(roles);
	check_begin(&result, "keys.pair");
	if (local_is_hidden(site, RDS_SECRET_FILE, &result)) {
		check_end(check, &result);
		return;
	}
	if (check_site_is_relay_only(site) && !rds_datadir_has(site->dir, RDS_SECRET_FILE)) {
		check_skip(&result, "the pair is at the ID server's host; a relay's has the public "
		                    "key at most");
		check_end(check, &result);
		return;
	}
	int rc = rds_keyfiles_load(site->dir, &files, &err);
	if (rc == -RDS_ENOENT && running != NULL && running[0] != '\0') {
		check_ok(&result, "no key files; the server runs with a key that was given to it");
	} else if (rc == -RDS_ENOENT) {
		check_skip(&result, "no key files yet");
	} else if (rc != 0) {
		check_fail(&result, "%.*s", (int)strcspn(err.text, ";"), err.text);
		fix_pair(site, running, err.text, &result);
	} else {
		tell_pair(site, roles, rds_keypair_public_text(files.pair), &result);
		rds_keypair_free(files.pair);
	}
	check_end(check, &result);
}

// --- keys.grace

struct grace {
	size_t n;                           // retired keys that are still accepted
	const struct rds_retired_key *next; // of those that are still used, the one that ends first
	uint64_t users;                     // of it
	const struct rds_retired_key *last;
};

static void sum_up(const struct rds_keyring *ring, const struct rds_key_use *use, int64_t now,
                   struct grace *out)
{
	*out = (struct grace){.n = 0};
	for (size_t i = 0; i < ring->n_retired; i++) {
		const struct rds_retired_key *key = &ring->retired[i];
		if (!rds_keyring_accepts(key, now))
			continue;
		uint64_t users = rds_key_use_sources(use, key->public_text, now);
		out->n++;
		out->last = key;
		if (users > 0 &&
		    (out->next == NULL || key->accepted_until < out->next->accepted_until)) {
			out->next = key;
			out->users = users;
		}
	}
}

static void tell_grace(const struct check_site *site, const struct grace *grace, int64_t now,
                       struct check_result *result)
{
	char until[RDS_TIME_TEXT];
	char print[RDS_FINGERPRINT_TEXT];
	if (grace->n == 0) {
		check_ok(result, "no retired key is accepted any more");
		return;
	}
	const struct rds_retired_key *key = grace->next != NULL ? grace->next : grace->last;
	rds_fingerprint(rds_view_text(key->public_text), print);
	(void)rds_text_time(key->accepted_until, until);
	if (grace->next == NULL) {
		check_ok(result, "%zu retired, accepted until %s, used by nobody lately", grace->n,
		         until);
	} else if (key->accepted_until - now > SOON_DAYS * DAY_SEC) {
		check_ok(result,
		         "%s is retired and accepted until %s; %" PRIu64 " %s used it lately",
		         print, until, grace->users, grace->users == 1 ? "address" : "addresses");
	} else {
		char *dir = local_quote(site->data_dir);
		check_warn(result,
		           "%s is accepted until %s only, and %" PRIu64
		           " %s used it in the last days: refused from then on",
		           print, until, grace->users, grace->users == 1 ? "address" : "addresses");
		check_fix(result,
		          "give those clients the new key (%srdsrv export-conf --data-dir %s); "
		          "`rdsrv keygen --list --data-dir %s` shows how many are left",
		          local_sudo(), dir, dir);
		free(dir);
	}
}

static void check_grace(struct check *check)
{
	const struct check_site *site = &check->site;
	struct check_result result;
	struct rds_keyring ring;
	struct rds_error err = {""};
	struct grace grace;
	int64_t now = (int64_t)time(NULL);
	struct rds_key_use *use = rds_key_use_new();
	check_begin(&result, "keys.grace");
	int rc = rds_keyring_load(site->dir, &ring, &err);
	bool hidden = rc != 0 && local_is_hidden(site, RDS_KEYRING_FILE, &result);
	if (rc == 0)
		rc = rds_key_use_load(use, site->dir, "id", &err);
	if (rc == 0)
		rc = rds_key_use_load(use, site->dir, "relay", &err);
	if (rc == 0) {
		sum_up(&ring, use, now, &grace);
		tell_grace(site, &grace, now, &result);
	} else if (!hidden) {
		check_fail(&result, "%.*s", (int)strcspn(err.text, ";"), err.text);
		check_fix(&result, "restore that file from your backup; without keyring.json only "
		                   "the current key is accepted");
	}
	rds_keyring_clear(&ring);
	rds_key_use_free(use);
	check_end(check, &result);
}

// --- keys.same

static bool enforces(const struct local_role *role)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(role->site->status, "enforced"));
}

static void tell_same(const struct check_site *site, const struct local_role roles[2],
                      struct check_result *result)
{
	const char *id_key = local_status_text(&roles[0], "key");
	const char *relay_key = local_status_text(&roles[1], "key");
	const char *from = local_setting_from(site, &roles[1], RDS_SET_KEY);
	bool given = strcmp(from, "default") != 0;
	char *dir = local_quote(site->data_dir);
	bool differ = id_key == NULL || relay_key == NULL || strcmp(id_key, relay_key) != 0;
	if (enforces(&roles[1]) && (!enforces(&roles[0]) || differ)) {
		check_fail(result,
		           "the relay enforces another key than the ID server%s: it refuses "
		           "every session",
		           enforces(&roles[0]) ? "'s" : " has clients show");
		check_fix(
		        result,
		        given ? "start the relay with the key files of this directory: without the "
		                "key of %s, or with -k -"
		              : "start both in the same data directory (%s)",
		        given ? from : dir);
	} else if (enforces(&roles[0]) && !enforces(&roles[1])) {
		check_warn(result, "the ID server enforces a key, the relay doesn't: strangers can "
		                   "use it");
		check_fix(result,
		          "start the relay with -k _ (now %s has it), as in: rdsrv relay "
		          "-k _ --data-dir %s",
		          from, dir);
	} else {
		check_ok(result, enforces(&roles[0]) ? "both enforce the same key"
		                                     : "neither enforces a key");
	}
	free(dir);
}

static void check_same(struct check *check, const struct local_role roles[2])
{
	struct check_result result;
	check_begin(&result, "keys.same");
	if (roles[0].site->running == SITE_ANSWERS && roles[1].site->running == SITE_ANSWERS)
		tell_same(&check->site, roles, &result);
	else
		check_skip(&result, "it takes both roles to run here and answer");
	check_end(check, &result);
}

void check_keys(struct check *check)
{
	struct local_role roles[2];
	local_role_find(&check->site, false, &roles[0]);
	local_role_find(&check->site, true, &roles[1]);
	if (check->site.dir == NULL) {
		static const char *const names[] = {"keys.pair", "keys.grace", "keys.same"};
		for (size_t i = 0; i < 3; i++)
			check_skipped(check, names[i], local_no_directory(&check->site));
		return;
	}
	if (check_wants(check, "keys.pair"))
		check_pair(check, roles);
	if (check_wants(check, "keys.grace"))
		check_grace(check);
	if (check_wants(check, "keys.same"))
		check_same(check, roles);
}
