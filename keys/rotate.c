// SPDX-License-Identifier: MIT
#include "keys/rotate.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "core/log.h"
#include "keys/server_conf.h"

#include <stdio.h>
#include <stdlib.h>

static int write_public(const struct rds_datadir *dir, const char *text, struct rds_error *err)
{
	return rds_datadir_write(dir, RDS_PUBLIC_FILE, 0644, RDS_WRITE_REPLACE, rds_view_text(text),
	                         err);
}

// One line, even where a rotation that was interrupted comes by here again.
static int log_change(const struct rds_datadir *dir, const char *by,
                      const struct rds_rotated *rotated, struct rds_error *err)
{
	char prints[2][RDS_FINGERPRINT_TEXT];
	rds_fingerprint(rds_view_text(rotated->old_text), prints[0]);
	rds_fingerprint(rds_view_text(rotated->new_text), prints[1]);
	char *line = rds_asprintf("%s old %s new %s\n", by, prints[0], prints[1]);
	int rc = rds_datadir_append(dir, RDS_KEYGEN_LOG, 0644, rds_view_text(line), err);
	free(line);
	return rc;
}

// The pair is in place: what follows from that. No server depends on server.conf and the log: what
// can't be done there stops nothing.
static int finish(const struct rds_datadir *dir, struct rds_keyring *ring,
                  struct rds_rotated *rotated, struct rds_error *err)
{
	int rc = write_public(dir, rotated->new_text, err);
	if (rc != 0)
		return rc;
	(void)!rds_server_conf_follow(dir, ring, rotated->old_text, rotated->new_text,
	                              &rotated->server_conf_kept, &rotated->server_conf_fault);
	(void)!log_change(dir, ring->pending_by, rotated, &rotated->log_fault);
	struct rds_retired_key *again = rds_keyring_find(ring, rds_view_text(rotated->new_text));
	if (again != NULL)
		rds_keyring_drop(ring, again);
	if (ring->next != NULL &&
	    strcmp(rds_keypair_public_text(ring->next), rotated->new_text) == 0) {
		rds_keypair_free(ring->next);
		ring->next = NULL;
		ring->next_since = 0;
	}
	ring->pending[0] = ring->pending_by[0] = '\0';
	return rds_keyring_save(dir, ring, err);
}

// The secret is the old one still: as if nothing had been begun.
static int undo(const struct rds_datadir *dir, struct rds_keyring *ring, const char *current,
                struct rds_error *err)
{
	struct rds_retired_key *key = rds_keyring_find(ring, rds_view_text(current));
	if (key != NULL) {
		ring->current_since = key->since;
		rds_keyring_drop(ring, key);
	}
	ring->pending[0] = ring->pending_by[0] = '\0';
	return rds_keyring_save(dir, ring, err);
}

// The public text of the secret file, whatever the other one says.
static int read_current(const struct rds_datadir *dir, char text[RDS_PUBLIC_TEXT],
                        struct rds_error *err)
{
	uint8_t secret[1024];
	size_t len = 0;
	struct rds_keypair *pair = NULL;
	int rc = rds_datadir_read(dir, RDS_SECRET_FILE, secret, sizeof secret, &len, NULL, err);
	if (rc == 0)
		rc = rds_keypair_parse(rds_view_of(secret, len), &pair, err);
	rds_wipe(secret, sizeof secret);
	if (rc == 0)
		memcpy(text, rds_keypair_public_text(pair), RDS_PUBLIC_TEXT);
	rds_keypair_free(pair);
	return rc;
}

static void warn_of(const char *what, const struct rds_error *fault)
{
	if (fault->text[0] != '\0')
		rds_log(RDS_LOG_WARN, what, rds_field_text("why", fault->text));
}

static int settle_finished(const struct rds_datadir *dir, struct rds_keyring *ring,
                           const char *current, struct rds_error *err)
{
	struct rds_rotated rotated = {.server_conf_kept = false};
	memcpy(rotated.new_text, current, sizeof rotated.new_text);
	if (ring->n_retired > 0)
		memcpy(rotated.old_text, ring->retired[ring->n_retired - 1].public_text,
		       sizeof rotated.old_text);
	int rc = finish(dir, ring, &rotated, err);
	warn_of(RDS_SERVER_CONF " does not have the new key", &rotated.server_conf_fault);
	warn_of(RDS_KEYGEN_LOG " does not name the new key", &rotated.log_fault);
	return rc;
}

static bool has_public(const struct rds_datadir *dir, const char *text)
{
	uint8_t bytes[RDS_PUBLIC_TEXT];
	size_t len = 0;
	struct rds_error ignored;
	return rds_datadir_read(dir, RDS_PUBLIC_FILE, bytes, sizeof bytes, &len, NULL, &ignored) ==
	               0 &&
	       rds_view_equal(rds_view_of(bytes, len), rds_view_text(text));
}

// Where only the keyring can't be written, on a full disk, the pair is whole, and what has to be
// noted there is known: servers start.
static int settle(const struct rds_datadir *dir, struct rds_keyring *ring, struct rds_error *err)
{
	char current[RDS_PUBLIC_TEXT];
	struct rds_error told_later;
	rds_datadir_sweep(dir, RDS_SECRET_FILE);
	rds_datadir_sweep(dir, RDS_KEYRING_FILE);
	if (ring->pending[0] == '\0' || read_current(dir, current, &told_later) != 0)
		return 0;
	bool passed = strcmp(current, ring->pending) == 0;
	int rc = passed ? settle_finished(dir, ring, current, err) : undo(dir, ring, current, err);
	if (rc != 0 && !has_public(dir, current))
		return rc;
	rds_log(RDS_LOG_WARN, "a key rotation had been interrupted",
	        rds_field_text("directory", rds_datadir_path(dir)),
	        rds_field_text("now", passed ? "finished: the new key is in use"
	                                     : "undone: the old key stays"),
	        rds_field_text("not_noted_because", rc == 0 ? "" : err->text));
	return 0;
}

// What the files say of each other.
static void compare(const struct rds_datadir *dir, struct rds_keys *keys)
{
	struct stat st;
	struct rds_keyring *ring = &keys->ring;
	// Of a pair that hbbs made, the file says since when it is there.
	if (ring->current_since == 0 && rds_datadir_stat(dir, RDS_SECRET_FILE, &st))
		ring->current_since = (int64_t)st.st_mtim.tv_sec;
	// A backup that somebody put back isn't retired any more.
	const char *current = rds_keypair_public_text(keys->files.pair);
	struct rds_retired_key *again = rds_keyring_find(ring, rds_view_text(current));
	if (again != NULL)
		rds_keyring_drop(ring, again);
}

// Between begin and end.
static int load(const struct rds_datadir *dir, enum rds_keys_mode mode, struct rds_keys *out,
                struct rds_error *err)
{
	int rc = rds_keyring_load(dir, &out->ring, err);
	if (rc == 0)
		rc = settle(dir, &out->ring, err);
	if (rc == 0)
		rc = mode == RDS_KEYS_COMPLETE
		             ? rds_keyfiles_load_or_make(dir, &out->files, &out->made, err)
		             : rds_keyfiles_load(dir, &out->files, err);
	if (rc == 0)
		compare(dir, out);
	return rc;
}

int rds_keys_load(const struct rds_datadir *dir, enum rds_keys_mode mode, struct rds_keys *out,
                  struct rds_error *err)
{
	*out = (struct rds_keys){.made = false};
	int rc = rds_datadir_begin(dir, mode != RDS_KEYS_FOLLOW, err);
	if (rc != 0)
		return rc;
	rc = load(dir, mode, out, err);
	rds_datadir_end(dir);
	return rc;
}

void rds_keys_clear(struct rds_keys *keys)
{
	rds_keypair_free(keys->files.pair);
	keys->files.pair = NULL;
	rds_keyring_clear(&keys->ring);
}

int rds_keys_begin(const struct rds_datadir *dir, struct rds_keys *out, struct rds_error *err)
{
	*out = (struct rds_keys){.made = false};
	int rc = rds_keyfiles_check_owner(dir, err);
	if (rc == 0)
		rc = rds_datadir_begin(dir, true, err);
	if (rc != 0)
		return rc;
	rc = load(dir, RDS_KEYS_READ, out, err);
	if (rc == 0)
		return 0;
	rds_datadir_end(dir);
	rds_keys_clear(out);
	return rc != -RDS_ENOENT
	               ? rc
	               : rds_fail(err, RDS_ENOENT,
	                          "%s: there is no key pair to replace: run rdsrv keygen, "
	                          "or start the server",
	                          rds_datadir_path(dir));
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

// Room on the disk for what comes behind the point of no return, so that a full one stops before.
static int reserve_room(const struct rds_datadir *dir, char reserve[RDS_TEMPORARY_NAME],
                        struct rds_error *err)
{
	uint8_t *zeros = rds_calloc(RDS_SMALL_FILE_MAX_BYTES, 1);
	int rc = rds_datadir_stage(dir, RDS_KEYRING_FILE, 0600,
	                           rds_view_of(zeros, RDS_SMALL_FILE_MAX_BYTES), reserve, err);
	free(zeros);
	return rc;
}

static int stage_secret(const struct rds_datadir *dir, const struct rds_keypair *pair,
                        char temporary[RDS_TEMPORARY_NAME], struct rds_error *err)
{
	char text[RDS_SECRET_TEXT];
	rds_keypair_secret_text(pair, text);
	int rc = rds_datadir_stage(dir, RDS_SECRET_FILE, 0600, rds_view_text(text), temporary, err);
	rds_wipe(text, sizeof text);
	return rc;
}

// Up to the point of no return, which is the last step. The old secret is in the ring before.
static int put_in_place(const struct rds_datadir *dir, const struct rds_keyring *ring,
                        const struct rds_keypair *next, struct rds_error *err)
{
	char temporary[RDS_TEMPORARY_NAME];
	char reserve[RDS_TEMPORARY_NAME];
	int rc = stage_secret(dir, next, temporary, err);
	if (rc != 0)
		return rc;
	rc = reserve_room(dir, reserve, err);
	if (rc == 0) {
		rc = rds_keyring_save(dir, ring, err);
		if (rc == 0)
			rc = rds_datadir_commit(dir, temporary, RDS_SECRET_FILE, RDS_WRITE_REPLACE,
			                        err);
		rds_datadir_discard(dir, reserve);
	}
	if (rc != 0)
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

// Putting into place failed. What can't be undone for the same reason is undone by whoever looks
// next.
static int take_back(const struct rds_datadir *dir, struct rds_keyring *ring,
                     const struct rds_rotated *rotated, int rc, struct rds_error *err)
{
	char current[RDS_PUBLIC_TEXT];
	struct rds_error ignored;
	if (read_current(dir, current, &ignored) != 0 || strcmp(current, rotated->old_text) != 0)
		return fail_half_done(err);
	(void)!undo(dir, ring, current, &ignored);
	rds_backups_drop(dir, rotated->backup);
	return rc;
}

static int exchange(const struct rds_datadir *dir, const struct rds_key_change *change,
                    int64_t accepted_until, const struct rds_keypair *next, struct rds_keys *keys,
                    struct rds_rotated *out, struct rds_error *err)
{
	struct rds_keyring *ring = &keys->ring;
	int rc = rds_backups_make(dir, change->day, keys->files.pair, out->backup, err);
	if (rc != 0)
		return rc;
	rds_keyring_retire(ring, keys->files.pair, ring->current_since, change->now,
	                   accepted_until);
	keys->files.pair = NULL;
	ring->current_since = change->now;
	memcpy(ring->pending, out->new_text, sizeof ring->pending);
	(void)snprintf(ring->pending_by, sizeof ring->pending_by, "%s %s", change->time,
	               change->who);
	rc = put_in_place(dir, ring, next, err);
	if (rc != 0)
		return take_back(dir, ring, out, rc, err);
	return finish(dir, ring, out, err) == 0 ? 0 : fail_half_done(err);
}

int rds_rotate(const struct rds_datadir *dir, const struct rds_key_change *change,
               int64_t accepted_until, const struct rds_keypair *pair, struct rds_rotated *out,
               struct rds_error *err)
{
	struct rds_keys keys;
	const struct rds_keypair *next = NULL;
	struct rds_keypair *made = NULL;
	*out = (struct rds_rotated){.server_conf_kept = false};
	int rc = rds_keys_begin(dir, &keys, err);
	if (rc != 0)
		return rc;
	rc = choose_next(&keys.ring, pair, &next, &made, err);
	if (rc == 0) {
		memcpy(out->old_text, rds_keypair_public_text(keys.files.pair), RDS_PUBLIC_TEXT);
		memcpy(out->new_text, rds_keypair_public_text(next), RDS_PUBLIC_TEXT);
		rc = strcmp(out->old_text, out->new_text) != 0
		             ? exchange(dir, change, accepted_until, next, &keys, out, err)
		             : rds_fail(err, RDS_EEXIST,
		                        "%s: that pair is in use already: nothing was changed",
		                        rds_datadir_path(dir));
	}
	rds_datadir_end(dir);
	rds_keypair_free(made);
	rds_keys_clear(&keys);
	return rc;
}
