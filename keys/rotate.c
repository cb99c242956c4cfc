// SPDX-License-Identifier: MIT
#include "keys/rotate.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "core/log.h"
#include "keys/server_conf.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// Root may change anybody's keys; others only their own.
static int check_owner(const struct rds_datadir *dir, struct rds_error *err)
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

static int write_public(const struct rds_datadir *dir, const char *name, enum rds_write_mode how,
                        const char *text, struct rds_error *err)
{
	return rds_datadir_write(dir, name, 0644, how, rds_view_text(text), err);
}

static int stage_secret(const struct rds_datadir *dir, const struct rds_keypair *pair,
                        const char *name, char temporary[RDS_TEMPORARY_NAME],
                        struct rds_error *err)
{
	char text[RDS_SECRET_TEXT];
	rds_keypair_secret_text(pair, text);
	int rc = rds_datadir_stage(dir, name, 0600, rds_view_text(text), temporary, err);
	rds_wipe(text, sizeof text);
	return rc;
}

// The n-th backup of the day: both names, or false where one is taken.
static bool name_backup(const struct rds_datadir *dir, const char *day, unsigned n,
                        char secret[RDS_BACKUP_NAME], char public[RDS_BACKUP_NAME])
{
	char suffix[32];
	(void)snprintf(suffix, sizeof suffix, n == 0 ? ".bak.%.8s" : ".bak.%.8s.%u", day, n);
	(void)snprintf(secret, RDS_BACKUP_NAME, RDS_SECRET_FILE "%s", suffix);
	(void)snprintf(public, RDS_BACKUP_NAME, RDS_PUBLIC_FILE "%s", suffix);
	return !rds_datadir_has(dir, secret) && !rds_datadir_has(dir, public);
}

static int back_up(const struct rds_datadir *dir, const char *day, const struct rds_keypair *pair,
                   char backup[RDS_BACKUP_NAME], struct rds_error *err)
{
	char public[RDS_BACKUP_NAME];
	char temporary[RDS_TEMPORARY_NAME];
	unsigned n = 0;
	while (!name_backup(dir, day, n, backup, public))
		n++;
	int rc = stage_secret(dir, pair, backup, temporary, err);
	if (rc == 0)
		rc = rds_datadir_commit(dir, temporary, backup, RDS_WRITE_NEW, err);
	return rc != 0 ? rc
	               : write_public(dir, public, RDS_WRITE_NEW, rds_keypair_public_text(pair),
	                              err);
}

struct purge {
	const struct rds_datadir *dir;
	const char *before_day;
	size_t n;
	int rc;
	struct rds_error *err;
};

// The day in a backup's name stands behind the prefix.
static void purge_one(struct purge *purge, const char *name, const char *prefix)
{
	const char *day = name + strlen(prefix);
	if (purge->rc != 0 || strspn(day, "0123456789") < 8 ||
	    (purge->before_day != NULL && strncmp(day, purge->before_day, 8) >= 0))
		return;
	purge->rc = rds_datadir_wipe(purge->dir, name, purge->err);
	purge->n += purge->rc == 0;
}

static const char secret_backup[] = RDS_SECRET_FILE ".bak.";
static const char public_backup[] = RDS_PUBLIC_FILE ".bak.";

static void purge_secret(void *ctx, const char *name)
{
	purge_one(ctx, name, secret_backup);
}

static void purge_public(void *ctx, const char *name)
{
	purge_one(ctx, name, public_backup);
}

int rds_keys_purge_backups(const struct rds_datadir *dir, const char *before_day, size_t *n,
                           struct rds_error *err)
{
	struct purge purge = {.dir = dir, .before_day = before_day, .err = err};
	int rc = check_owner(dir, err);
	if (rc != 0)
		return rc;
	rds_datadir_begin(dir);
	rds_datadir_each(dir, secret_backup, purge_secret, &purge);
	rds_datadir_each(dir, public_backup, purge_public, &purge);
	rds_datadir_end(dir);
	*n = purge.n;
	return purge.rc;
}

void rds_keys_each_backup(const struct rds_datadir *dir, void (*fn)(void *ctx, const char *name),
                          void *ctx)
{
	rds_datadir_each(dir, secret_backup, fn, ctx);
}

// One line behind those that are there.
static int log_change(const struct rds_datadir *dir, const struct rds_key_change *change,
                      const struct rds_rotated *rotated, struct rds_error *err)
{
	char prints[2][RDS_FINGERPRINT_TEXT];
	size_t len = 0;
	char *text = rds_calloc(RDS_LIST_FILE_MAX_BYTES, 1);
	rds_fingerprint(rds_view_text(rotated->old_text), prints[0]);
	rds_fingerprint(rds_view_text(rotated->new_text), prints[1]);
	int rc = rds_datadir_read(dir, RDS_KEYGEN_LOG, (uint8_t *)text, RDS_LIST_FILE_MAX_BYTES,
	                          &len, NULL, err);
	if (rc == 0 || rc == -RDS_ENOENT) {
		char *longer = rds_asprintf("%.*s%s %s old %s new %s\n", (int)len, text,
		                            change->time, change->who, prints[0], prints[1]);
		rc = rds_datadir_write(dir, RDS_KEYGEN_LOG, 0644, RDS_WRITE_REPLACE,
		                       rds_view_text(longer), err);
		free(longer);
	}
	free(text);
	return rc;
}

// The pair is in place: what follows from that.
static int finish(const struct rds_datadir *dir, struct rds_keyring *ring, const char *text,
                  bool *server_conf_kept, struct rds_error *err)
{
	int rc = write_public(dir, RDS_PUBLIC_FILE, RDS_WRITE_REPLACE, text, err);
	if (rc == 0)
		rc = rds_server_conf_follow(dir, ring, text, server_conf_kept, err);
	if (rc != 0)
		return rc;
	ring->pending[0] = '\0';
	if (ring->next != NULL && strcmp(rds_keypair_public_text(ring->next), text) == 0) {
		rds_keypair_free(ring->next);
		ring->next = NULL;
		ring->next_since = 0;
	}
	return rds_keyring_save(dir, ring, err);
}

// The secret is the old one still: as if nothing had been begun.
static int undo(const struct rds_datadir *dir, struct rds_keyring *ring,
                const struct rds_keypair *current, struct rds_error *err)
{
	struct rds_retired_key *key =
	        rds_keyring_find(ring, rds_view_text(rds_keypair_public_text(current)));
	if (key != NULL) {
		ring->current_since = key->since;
		rds_keyring_drop(ring, key);
	}
	ring->pending[0] = '\0';
	return rds_keyring_save(dir, ring, err);
}

static int read_secret(const struct rds_datadir *dir, struct rds_keypair **out,
                       struct rds_error *err)
{
	uint8_t text[1024];
	size_t len = 0;
	struct rds_error fault;
	int rc = rds_datadir_read(dir, RDS_SECRET_FILE, text, sizeof text, &len, NULL, err);
	if (rc == 0 && rds_keypair_parse(rds_view_of(text, len), out, &fault) != 0)
		rc = -RDS_EPARSE; // told by whoever loads the files next
	rds_wipe(text, sizeof text);
	return rc;
}

static int settle(const struct rds_datadir *dir, struct rds_keyring *ring, struct rds_error *err)
{
	struct rds_keypair *pair = NULL;
	bool kept;
	if (ring->pending[0] == '\0' || read_secret(dir, &pair, err) != 0)
		return 0;
	bool passed = strcmp(rds_keypair_public_text(pair), ring->pending) == 0;
	rds_datadir_sweep(dir, RDS_SECRET_FILE);
	rds_datadir_sweep(dir, RDS_PUBLIC_FILE);
	int rc = passed ? finish(dir, ring, rds_keypair_public_text(pair), &kept, err)
	                : undo(dir, ring, pair, err);
	if (rc == 0)
		rds_log(RDS_LOG_WARN, "a key rotation had been interrupted",
		        rds_field_text("directory", rds_datadir_path(dir)),
		        rds_field_text("now", passed ? "finished: the new key is in use"
		                                     : "undone: the old key stays"));
	rds_keypair_free(pair);
	return rc;
}

// Between begin and end.
static int load(const struct rds_datadir *dir, struct rds_keyfiles *files,
                struct rds_keyring *ring, struct rds_error *err)
{
	*files = (struct rds_keyfiles){0};
	int rc = rds_keyring_load(dir, ring, err);
	struct stat st;
	if (rc == 0)
		rc = settle(dir, ring, err);
	// Of a pair that hbbs made, the file says since when it is there.
	if (ring->current_since == 0 && rds_datadir_stat(dir, RDS_SECRET_FILE, &st))
		ring->current_since = (int64_t)st.st_mtim.tv_sec;
	return rc != 0 ? rc : rds_keyfiles_load(dir, files, err);
}

int rds_keys_load(const struct rds_datadir *dir, struct rds_keyfiles *files,
                  struct rds_keyring *ring, struct rds_error *err)
{
	struct rds_keyring own;
	rds_datadir_begin(dir);
	int rc = load(dir, files, &own, err);
	rds_datadir_end(dir);
	if (ring != NULL)
		*ring = own;
	else
		rds_keyring_clear(&own);
	return rc;
}

// The pair that comes next; *made is set if it is ours to free.
static int choose_next(const struct rds_keyring *ring, const struct rds_keypair *given,
                       const struct rds_keypair **next, struct rds_keypair **made,
                       struct rds_error *err)
{
	*next = given != NULL ? given : ring->next;
	if (*next != NULL)
		return 0;
	int rc = rds_keypair_generate(made, err);
	*next = *made;
	return rc;
}

// Everything up to the point of no return can be left as it is: settle undoes it.
static int put_in_place(const struct rds_datadir *dir, struct rds_keyring *ring,
                        const struct rds_keypair *next, struct rds_error *err)
{
	char temporary[RDS_TEMPORARY_NAME];
	int rc = stage_secret(dir, next, RDS_SECRET_FILE, temporary, err);
	if (rc != 0)
		return rc;
	memcpy(ring->pending, rds_keypair_public_text(next), sizeof ring->pending);
	rc = rds_keyring_save(dir, ring, err);
	if (rc == 0)
		rc = rds_datadir_commit(dir, temporary, RDS_SECRET_FILE, RDS_WRITE_REPLACE, err);
	else
		rds_datadir_discard(dir, temporary);
	return rc;
}

static int fail_half_done(struct rds_error *err)
{
	struct rds_error why = *err;
	return rds_fail(err, RDS_ESYS,
	                "%s (the new key is in use already; the next start, or rdsrv keygen "
	                "--verify, does what is left)",
	                why.text);
}

static int rotate(const struct rds_datadir *dir, const struct rds_key_change *change,
                  int64_t accepted_until, const struct rds_keypair *given,
                  struct rds_keyfiles *files, struct rds_keyring *ring, struct rds_rotated *out,
                  struct rds_error *err)
{
	const struct rds_keypair *next = NULL;
	struct rds_keypair *made = NULL;
	int rc = choose_next(ring, given, &next, &made, err);
	if (rc != 0)
		return rc;
	memcpy(out->old_text, rds_keypair_public_text(files->pair), sizeof out->old_text);
	memcpy(out->new_text, rds_keypair_public_text(next), sizeof out->new_text);
	struct rds_retired_key *again = rds_keyring_find(ring, rds_view_text(out->new_text));
	if (strcmp(out->old_text, out->new_text) == 0)
		rc = rds_fail(err, RDS_EEXIST, "%s: that pair is in use already: nothing changed",
		              rds_datadir_path(dir));
	else
		rc = back_up(dir, change->day, files->pair, out->backup, err);
	if (rc == 0) {
		if (again != NULL)
			rds_keyring_drop(ring, again);
		rds_keyring_retire(ring, files->pair, ring->current_since, change->now,
		                   accepted_until);
		files->pair = NULL;
		ring->current_since = change->now;
		rc = put_in_place(dir, ring, next, err);
	}
	if (rc == 0) {
		rc = finish(dir, ring, out->new_text, &out->server_conf_kept, err);
		if (rc == 0)
			rc = log_change(dir, change, out, err);
		if (rc != 0)
			rc = fail_half_done(err);
	}
	rds_keypair_free(made);
	return rc;
}

static int fail_without_pair(const struct rds_datadir *dir, struct rds_error *err)
{
	return rds_fail(err, RDS_ENOENT,
	                "%s: there is no key pair to rotate: run rdsrv keygen, or start the server",
	                rds_datadir_path(dir));
}

int rds_rotate(const struct rds_datadir *dir, const struct rds_key_change *change,
               int64_t accepted_until, const struct rds_keypair *pair, struct rds_rotated *out,
               struct rds_error *err)
{
	struct rds_keyfiles files;
	struct rds_keyring ring;
	*out = (struct rds_rotated){0};
	int rc = check_owner(dir, err);
	if (rc != 0)
		return rc;
	rds_datadir_begin(dir);
	rc = load(dir, &files, &ring, err);
	if (rc == -RDS_ENOENT)
		rc = fail_without_pair(dir, err);
	if (rc == 0)
		rc = rotate(dir, change, accepted_until, pair, &files, &ring, out, err);
	rds_datadir_end(dir);
	rds_keypair_free(files.pair);
	rds_keyring_clear(&ring);
	return rc;
}

int rds_keys_make_next(const struct rds_datadir *dir, const struct rds_key_change *change,
                       char text[RDS_PUBLIC_TEXT], struct rds_error *err)
{
	struct rds_keyfiles files;
	struct rds_keyring ring;
	int rc = check_owner(dir, err);
	if (rc != 0)
		return rc;
	rds_datadir_begin(dir);
	rc = load(dir, &files, &ring, err);
	if (rc == -RDS_ENOENT)
		rc = fail_without_pair(dir, err);
	if (rc == 0 && ring.next == NULL) {
		rc = rds_keypair_generate(&ring.next, err);
		ring.next_since = change->now;
		if (rc == 0)
			rc = rds_keyring_save(dir, &ring, err);
	}
	rds_datadir_end(dir);
	if (rc == 0)
		memcpy(text, rds_keypair_public_text(ring.next), RDS_PUBLIC_TEXT);
	rds_keypair_free(files.pair);
	rds_keyring_clear(&ring);
	return rc;
}

static bool is_named(const struct rds_retired_key *key, const char *name)
{
	char print[RDS_FINGERPRINT_TEXT];
	rds_fingerprint(rds_view_text(key->public_text), print);
	return name == NULL || strcmp(name, key->public_text) == 0 || strcmp(name, print) == 0;
}

static size_t end_grace(struct rds_keyring *ring, int64_t now, const char *name)
{
	size_t n = 0;
	for (size_t i = 0; i < ring->n_retired; i++) {
		struct rds_retired_key *key = &ring->retired[i];
		if (!is_named(key, name))
			continue;
		n++;
		if (key->accepted_until > now)
			key->accepted_until = now;
		rds_keypair_free(key->pair);
		key->pair = NULL;
	}
	return n;
}

int rds_keys_retire(const struct rds_datadir *dir, const struct rds_key_change *change,
                    const char *name, size_t *n, struct rds_error *err)
{
	struct rds_keyfiles files;
	struct rds_keyring ring;
	*n = 0;
	int rc = check_owner(dir, err);
	if (rc != 0)
		return rc;
	rds_datadir_begin(dir);
	rc = load(dir, &files, &ring, err);
	if (rc == -RDS_ENOENT)
		rc = 0; // only the ring matters
	if (rc == 0)
		*n = end_grace(&ring, change->now, name);
	if (rc == 0 && *n == 0 && name != NULL)
		rc = rds_fail(err, RDS_ENOENT,
		              "%s: no retired key of that name: rdsrv keygen --list shows them",
		              rds_datadir_path(dir));
	if (rc == 0 && *n > 0)
		rc = rds_keyring_save(dir, &ring, err);
	rds_datadir_end(dir);
	rds_keypair_free(files.pair);
	rds_keyring_clear(&ring);
	return rc;
}
