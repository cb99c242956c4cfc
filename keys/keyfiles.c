// SPDX-License-Identifier: MIT
#include "keys/keyfiles.h"

#include "core/log.h"

#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

// Some hundred bytes, and white space that an editor may have added.
#define FILE_MAX 1024

// The texts of both files; a length of -1: not there.
static int read_file(const struct rds_datadir *dir, const char *name, uint8_t out[FILE_MAX],
                     ssize_t *len, struct stat *st, struct rds_error *err)
{
	size_t n = 0;
	int rc = rds_datadir_read(dir, name, out, FILE_MAX, &n, st, err);
	*len = rc == -RDS_ENOENT ? -1 : (ssize_t)n;
	return rc == -RDS_ENOENT ? 0 : rc;
}

static int parse_pair(const struct rds_datadir *dir, struct rds_view secret,
                      struct rds_keypair **out, struct rds_error *err)
{
	struct rds_error fault;
	int rc = rds_keypair_parse(secret, out, &fault);
	if (rc != 0)
		return rds_fail(err, RDS_EPARSE,
		                "%s/" RDS_SECRET_FILE ": damaged: %s; restore it from a backup "
		                "(a new key would lock out every client)",
		                rds_datadir_path(dir), fault.text);
	return 0;
}

static int compare_public(const struct rds_datadir *dir, const struct rds_keypair *pair,
                          struct rds_view text, struct rds_error *err)
{
	text = rds_view_trim(text);
	if (rds_view_equal(text, rds_view_text(rds_keypair_public_text(pair))))
		return 0;
	return rds_fail(err, RDS_EPARSE,
	                "%s/" RDS_PUBLIC_FILE
	                ": %s; restore the pair from a backup, or if " RDS_SECRET_FILE
	                " is the right one, move " RDS_PUBLIC_FILE " away and it is written again",
	                rds_datadir_path(dir),
	                !rds_text_is_public_key(text) ? "damaged: not base64 of 32 bytes"
	                                              : "does not belong to " RDS_SECRET_FILE);
}

int rds_keyfiles_load(const struct rds_datadir *dir, struct rds_keyfiles *out,
                      struct rds_error *err)
{
	uint8_t secret[FILE_MAX];
	uint8_t public[FILE_MAX];
	ssize_t secret_len = -1;
	ssize_t public_len = -1;
	struct stat st = {0};
	*out = (struct rds_keyfiles){0};
	// The secret file is written first, so whoever sees the public one finds both.
	int rc = read_file(dir, RDS_PUBLIC_FILE, public, &public_len, NULL, err);
	if (rc == 0)
		rc = read_file(dir, RDS_SECRET_FILE, secret, &secret_len, &st, err);
	if (rc == 0 && secret_len < 0 && public_len < 0)
		rc = -RDS_ENOENT;
	else if (rc == 0 && secret_len < 0)
		rc = rds_fail(err, RDS_EPARSE,
		              "%s/" RDS_SECRET_FILE ": missing, though " RDS_PUBLIC_FILE
		              " is there: restore it from a backup, or move " RDS_PUBLIC_FILE
		              " away to start with a new key",
		              rds_datadir_path(dir));
	else if (rc == 0)
		rc = parse_pair(dir, rds_view_of(secret, (size_t)secret_len), &out->pair, err);
	rds_wipe(secret, sizeof secret);
	if (rc == 0 && public_len >= 0)
		rc = compare_public(dir, out->pair, rds_view_of(public, (size_t)public_len), err);
	if (rc != 0) {
		rds_keypair_free(out->pair);
		out->pair = NULL;
		return rc;
	}
	out->exposed = (st.st_mode & 0077) != 0;
	out->public_absent = public_len < 0;
	return 0;
}

static int write_public(const struct rds_datadir *dir, const struct rds_keypair *pair,
                        struct rds_error *err)
{
	return rds_datadir_write(dir, RDS_PUBLIC_FILE, 0644, RDS_WRITE_REPLACE,
	                         rds_view_text(rds_keypair_public_text(pair)), err);
}

// The secret goes first: a crash in between leaves a file from which the other can be made.
static int put(const struct rds_datadir *dir, const struct rds_keypair *pair, struct rds_error *err)
{
	char text[RDS_SECRET_TEXT];
	rds_keypair_secret_text(pair, text);
	int rc = rds_datadir_write(dir, RDS_SECRET_FILE, 0600, RDS_WRITE_NEW, rds_view_text(text),
	                           err);
	rds_wipe(text, sizeof text);
	return rc != 0 ? rc : write_public(dir, pair, err);
}

int rds_keyfiles_put(const struct rds_datadir *dir, const struct rds_keypair *pair,
                     struct rds_error *err)
{
	int rc = rds_datadir_begin(dir, true, err);
	if (rc != 0)
		return rc;
	rc = put(dir, pair, err);
	rds_datadir_end(dir);
	return rc;
}

static int write_new_pair(const struct rds_datadir *dir, struct rds_keypair **out,
                          struct rds_error *err)
{
	struct rds_keypair *pair = NULL;
	int rc = rds_keypair_generate(&pair, err);
	if (rc == 0)
		rc = put(dir, pair, err);
	if (rc != 0) {
		rds_keypair_free(pair);
		return rc;
	}
	*out = pair;
	return 0;
}

int rds_keyfiles_make(const struct rds_datadir *dir, struct rds_keypair **out,
                      struct rds_error *err)
{
	int rc = rds_datadir_begin(dir, true, err);
	if (rc != 0)
		return rc;
	rc = write_new_pair(dir, out, err);
	rds_datadir_end(dir);
	return rc;
}

void rds_keyfiles_warn_exposed(const struct rds_datadir *dir)
{
	char command[4200];
	(void)snprintf(command, sizeof command, "chmod 600 %s/" RDS_SECRET_FILE,
	               rds_datadir_path(dir));
	rds_log(RDS_LOG_WARN, "others can read the secret key", rds_field_text("run", command));
}

// What was loaded, made whole: the public file is written where it is missing.
static int complete(const struct rds_datadir *dir, struct rds_keyfiles *files,
                    struct rds_error *err)
{
	if (files->exposed)
		rds_keyfiles_warn_exposed(dir);
	if (!files->public_absent)
		return 0;
	files->public_absent = false;
	rds_log(RDS_LOG_INFO, "wrote the missing " RDS_PUBLIC_FILE " from the secret key",
	        rds_field_text("directory", rds_datadir_path(dir)));
	return write_public(dir, files->pair, err);
}

int rds_keyfiles_load_or_make(const struct rds_datadir *dir, struct rds_keyfiles *out, bool *made,
                              struct rds_error *err)
{
	*made = false;
	int rc = rds_keyfiles_load(dir, out, err);
	if (rc == -RDS_ENOENT) {
		rc = write_new_pair(dir, &out->pair, err);
		*made = rc == 0;
		if (rc != -RDS_EEXIST)
			return rc;
		// Without locks, another process was quicker: its pair is the pair.
		rc = rds_keyfiles_load(dir, out, err);
	}
	if (rc == 0)
		rc = complete(dir, out, err);
	if (rc != 0) {
		rds_keypair_free(out->pair);
		out->pair = NULL;
	}
	return rc;
}

int rds_keyfiles_check_owner(const struct rds_datadir *dir, struct rds_error *err)
{
	struct stat st;
	if (geteuid() == 0 || !rds_datadir_stat(dir, RDS_SECRET_FILE, &st) ||
	    st.st_uid == geteuid())
		return 0;
	const struct passwd *owner = getpwuid(st.st_uid);
	return rds_fail(err, RDS_ESYS,
	                "%s/" RDS_SECRET_FILE " belongs to user %s: run this as that user or root",
	                rds_datadir_path(dir), owner == NULL ? "(unknown)" : owner->pw_name);
}
