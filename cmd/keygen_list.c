// SPDX-License-Identifier: MIT
// keygen's commands that only look.
#include "cmd/keygen.h"

#include "cmd/cmd.h"
#include "cmd/json.h"
#include "cmd/running.h"
#include "core/text.h"
#include "keys/key_use.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int keygen_show(const struct keygen *keygen, bool fingerprint)
{
	struct rds_keyfiles files;
	struct rds_error err = {""};
	char print[RDS_FINGERPRINT_TEXT];
	int rc = rds_keys_load(keygen->dir, &files, NULL, &err);
	if (rc == -RDS_ENOENT)
		(void)rds_fail(&err, RDS_ENOENT, "%s: there is no key pair yet",
		               rds_datadir_path(keygen->dir));
	if (rc != 0)
		return keygen_fail(keygen, &err);
	const char *text = rds_keypair_public_text(files.pair);
	rds_fingerprint(rds_view_text(text), print);
	(void)puts(fingerprint ? print : text);
	rds_keypair_free(files.pair);
	return fflush(stdout) == 0 ? RDS_EXIT_OK : RDS_EXIT_PROBLEM;
}

struct listing {
	cJSON *keys;
	const struct rds_key_use *use;
	int64_t now;
};

static void add_key(const struct listing *listing, const char *text, const char *state,
                    int64_t since, int64_t until)
{
	char time[RDS_TIME_TEXT];
	char print[RDS_FINGERPRINT_TEXT];
	cJSON *item = rds_json_item(listing->keys);
	rds_fingerprint(rds_view_text(text), print);
	rds_json_text(item, "key", text);
	rds_json_text(item, "fingerprint", print);
	rds_json_text(item, "state", state);
	rds_json_text(item, "since", rds_text_time(since, time));
	rds_json_text(item, "accepted_until", rds_text_time(until, time));
	rds_json_text(item, "last_used",
	              rds_text_time(rds_key_use_last(listing->use, text), time));
	rds_json_number(item, "addresses_in_7_days",
	                rds_key_use_sources(listing->use, text, listing->now));
}

static void add_keys(const struct listing *listing, const struct rds_keyfiles *files,
                     const struct rds_keyring *ring)
{
	add_key(listing, rds_keypair_public_text(files->pair), "current", ring->current_since, 0);
	if (ring->next != NULL)
		add_key(listing, rds_keypair_public_text(ring->next), "next", ring->next_since, 0);
	for (size_t i = ring->n_retired; i-- > 0;) {
		const struct rds_retired_key *key = &ring->retired[i];
		add_key(listing, key->public_text,
		        key->accepted_until > listing->now ? "retired, still accepted"
		                                           : "retired, refused",
		        key->since, key->accepted_until);
	}
}

// Has the running servers write down what they know of keys in use; the ID server also knows of
// devices that have shown none.
static void ask_running(const struct keygen *keygen, cJSON *json)
{
	static const char *const members[] = {"peers", "peers_not_seen_using_any_key"};
	struct rds_error err;
	cJSON *answer = NULL;
	(void)!rds_running_ask(keygen->dir, "relay", "key-use", &answer, &err);
	cJSON_Delete(answer);
	answer = NULL;
	if (rds_running_ask(keygen->dir, "id", "key-use", &answer, &err) == 0)
		for (size_t i = 0; i < 2; i++) {
			const cJSON *n = cJSON_GetObjectItemCaseSensitive(answer, members[i]);
			if (cJSON_IsNumber(n))
				rds_json_number(json, members[i], (uint64_t)n->valuedouble);
		}
	cJSON_Delete(answer);
}

static int print(const struct keygen *keygen, const cJSON *json)
{
	char *text = keygen->as_json ? cJSON_Print(json) : NULL;
	if (text != NULL)
		(void)puts(text);
	else
		rds_json_show(json);
	free(text);
	return fflush(stdout) == 0 ? RDS_EXIT_OK : RDS_EXIT_PROBLEM;
}

static int list(const struct keygen *keygen, const struct rds_keyfiles *files,
                const struct rds_keyring *ring)
{
	struct rds_error err = {""};
	struct rds_key_use *use = rds_key_use_new();
	cJSON *json = rds_json_answer(NULL);
	struct listing listing = {
	        .keys = rds_json_array(json, "keys"), .use = use, .now = (int64_t)time(NULL)};
	ask_running(keygen, json);
	int rc = rds_key_use_load(use, keygen->dir, "id", &err);
	if (rc == 0)
		rc = rds_key_use_load(use, keygen->dir, "relay", &err);
	int code = RDS_EXIT_OK;
	if (rc == 0) {
		add_keys(&listing, files, ring);
		code = print(keygen, json);
	} else {
		code = keygen_fail(keygen, &err);
	}
	cJSON_Delete(json);
	rds_key_use_free(use);
	return code;
}

int keygen_list(const struct keygen *keygen)
{
	struct rds_keyfiles files;
	struct rds_keyring ring;
	struct rds_error err = {""};
	int rc = rds_keys_load(keygen->dir, &files, &ring, &err);
	if (rc == -RDS_ENOENT)
		(void)rds_fail(&err, RDS_ENOENT, "%s: there is no key pair yet",
		               rds_datadir_path(keygen->dir));
	int code = rc != 0 ? keygen_fail(keygen, &err) : list(keygen, &files, &ring);
	rds_keypair_free(files.pair);
	rds_keyring_clear(&ring);
	return code;
}

struct verification {
	const struct keygen *keygen;
	cJSON *checks;
	bool all_ok;
};

static void add_check(struct verification *v, const char *name, bool ok, const char *detail,
                      const char *fix)
{
	cJSON *item = rds_json_item(v->checks);
	rds_json_text(item, "name", name);
	rds_json_text(item, "status", ok ? "ok" : "fail");
	rds_json_text(item, "detail", detail);
	rds_json_text(item, "fix", ok ? "" : fix);
	v->all_ok = v->all_ok && ok;
}

// Whether a file's owner is the directory's and its mode shuts out whom it should.
static void verify_file(struct verification *v, const char *name, mode_t mode)
{
	const struct rds_datadir *dir = v->keygen->dir;
	struct stat st;
	char detail[128];
	char fix[4300];
	if (!rds_datadir_stat(dir, name, &st))
		return;
	mode_t extra = st.st_mode & 0777 & ~mode;
	bool owned = st.st_uid == rds_datadir_owner(dir);
	(void)snprintf(detail, sizeof detail, "mode %04o, owner %u", (unsigned)(st.st_mode & 0777),
	               (unsigned)st.st_uid);
	if (!owned)
		(void)snprintf(fix, sizeof fix, "chown %u %s/%s", (unsigned)rds_datadir_owner(dir),
		               rds_datadir_path(dir), name);
	else
		(void)snprintf(fix, sizeof fix, "chmod %04o %s/%s", (unsigned)mode,
		               rds_datadir_path(dir), name);
	add_check(v, name, extra == 0 && owned, detail, fix);
}

static void verify_backup(void *ctx, const char *name)
{
	struct verification *v = ctx;
	uint8_t text[1024];
	size_t len = 0;
	struct rds_error err = {""};
	struct rds_keypair *pair = NULL;
	int rc = rds_datadir_read(v->keygen->dir, name, text, sizeof text, &len, NULL, &err);
	if (rc == 0)
		rc = rds_keypair_parse(rds_view_of(text, len), &pair, &err);
	rds_wipe(text, sizeof text);
	if (rc != 0)
		add_check(v, name, false, err.text, "move it away: it can't be restored");
	else
		verify_file(v, name, 0600);
	rds_keypair_free(pair);
}

// Ends an interrupted rotation, too, as every start does.
static void verify_pair(struct verification *v)
{
	struct rds_keyfiles files;
	struct rds_error err = {""};
	char print[RDS_FINGERPRINT_TEXT] = "";
	int rc = rds_keys_load(v->keygen->dir, &files, NULL, &err);
	if (rc == 0)
		rds_fingerprint(rds_view_text(rds_keypair_public_text(files.pair)), print);
	add_check(v, "pair", rc == 0,
	          rc == 0              ? print
	          : rc == -RDS_ENOENT ? "there is none"
	                               : err.text,
	          rc == -RDS_ENOENT ? "rdsrv keygen, or start the server" : "see there");
	rds_keypair_free(files.pair);
}

int keygen_verify(const struct keygen *keygen)
{
	cJSON *json = rds_json_answer(NULL);
	struct verification v = {
	        .keygen = keygen, .checks = rds_json_array(json, "checks"), .all_ok = true};
	verify_pair(&v);
	verify_file(&v, RDS_SECRET_FILE, 0600);
	verify_file(&v, RDS_PUBLIC_FILE, 0644);
	verify_file(&v, RDS_KEYRING_FILE, 0600);
	rds_keys_each_backup(keygen->dir, verify_backup, &v);
	(void)cJSON_ReplaceItemInObjectCaseSensitive(json, "ok", cJSON_CreateBool(v.all_ok));
	int code = print(keygen, json);
	cJSON_Delete(json);
	return code == RDS_EXIT_OK && !v.all_ok ? RDS_EXIT_PROBLEM : code;
}
