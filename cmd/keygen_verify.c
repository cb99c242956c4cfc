// SPDX-License-Identifier: MIT
// keygen --verify: what is wrong with the key files, and what mends it.
#include "cmd/keygen.h"

#include "cmd/cmd.h"
#include "cmd/json.h"

#include <stdio.h>

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
	mode_t extra = st.st_mode & 0077 & ~mode; // what the owner may is the owner's affair
	bool owned = st.st_uid == rds_datadir_owner(dir);
	(void)snprintf(detail, sizeof detail, "mode %04o, owner %u", (unsigned)(st.st_mode & 0777),
	               (unsigned)st.st_uid);
	if (!owned)
		(void)snprintf(fix, sizeof fix, "chown %u %s/%s", (unsigned)rds_datadir_owner(dir),
		               rds_datadir_path(dir), name);
	else
		(void)snprintf(fix, sizeof fix, "chmod %04o %s/%s",
		               (unsigned)(st.st_mode & 0777 & mode), rds_datadir_path(dir), name);
	add_check(v, strcmp(name, ".") == 0 ? "directory" : name, extra == 0 && owned, detail, fix);
}

// What is wrong with a backup's two halves: 0, or *err says it.
static int check_halves(const struct rds_datadir *dir, const char *secret, const char *public,
                        struct rds_error *err)
{
	uint8_t text[1024];
	size_t len = 0;
	struct rds_keypair *pair = NULL;
	int rc = rds_datadir_read(dir, secret, text, sizeof text, &len, NULL, err);
	if (rc == 0)
		rc = rds_keypair_parse(rds_view_of(text, len), &pair, err);
	rds_wipe(text, sizeof text);
	if (rc == 0)
		rc = rds_datadir_read(dir, public, text, sizeof text, &len, NULL, err);
	if (rc == -RDS_ENOENT)
		(void)rds_fail(err, RDS_ENOENT, "%s is missing", public);
	else if (rc == 0 && !rds_view_equal(rds_view_trim(rds_view_of(text, len)),
	                                    rds_view_text(rds_keypair_public_text(pair))))
		rc = rds_fail(err, RDS_EPARSE, "%s does not belong to it", public);
	rds_keypair_free(pair);
	return rc;
}

static void verify_backup(void *ctx, const char *name)
{
	struct verification *v = ctx;
	struct rds_error err = {""};
	char public[RDS_BACKUP_NAME];
	if (!rds_backups_is_secret(name, public))
		verify_file(v, name, 0644);
	else if (check_halves(v->keygen->dir, name, public, &err) != 0)
		add_check(v, name, false, err.text, "don't count on it: keep another backup");
	else
		verify_file(v, name, 0600);
}

// Ends an interrupted rotation, too, as every start does.
static void verify_pair(struct verification *v)
{
	struct rds_keys keys;
	struct rds_error err = {""};
	char print[RDS_FINGERPRINT_TEXT] = "";
	int rc = rds_keys_load(v->keygen->dir, RDS_KEYS_READ, &keys, &err);
	if (rc == 0)
		rds_fingerprint(rds_view_text(rds_keypair_public_text(keys.files.pair)), print);
	if (rc == -RDS_ENOENT)
		add_check(v, "pair", false, "there is none", "rdsrv keygen, or start the server");
	else if (rc != 0)
		add_check(v, "pair", false, err.text, "as it says there");
	else if (keys.files.public_absent)
		add_check(v, "pair", false, RDS_PUBLIC_FILE " is missing",
		          "start the server, which writes it again");
	else
		add_check(v, "pair", true, print, "");
	rds_keys_clear(&keys);
}

int keygen_verify(const struct keygen *keygen)
{
	cJSON *json = rds_json_answer(NULL);
	struct verification v = {
	        .keygen = keygen, .checks = rds_json_array(json, "checks"), .all_ok = true};
	verify_pair(&v);
	verify_file(&v, ".", 0755);
	verify_file(&v, RDS_SECRET_FILE, 0600);
	verify_file(&v, RDS_PUBLIC_FILE, 0644);
	verify_file(&v, RDS_KEYRING_FILE, 0600);
	rds_backups_each(keygen->dir, verify_backup, &v);
	(void)cJSON_ReplaceItemInObjectCaseSensitive(json, "ok", cJSON_CreateBool(v.all_ok));
	keygen_print(keygen, json);
	cJSON_Delete(json);
	return v.all_ok ? RDS_EXIT_OK : RDS_EXIT_PROBLEM;
}
