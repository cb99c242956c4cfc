// SPDX-License-Identifier: MIT
#include "keys/server_conf.h"

#include "core/alloc.h"
#include "core/limits.h"

#include <stdlib.h>
#include <strings.h>

// The text of the file; NULL: there is none, or it is empty. Fresh memory.
static int read_conf(const struct rds_datadir *dir, char **out, struct rds_error *err)
{
	size_t len = 0;
	char *text = rds_calloc(RDS_SMALL_FILE_MAX_BYTES + 1, 1);
	int rc = rds_datadir_read(dir, RDS_SERVER_CONF, (uint8_t *)text, RDS_SMALL_FILE_MAX_BYTES,
	                          &len, NULL, err);
	*out = rc == 0 && len > 0 ? rds_strdup(text) : NULL;
	free(text);
	return rc == -RDS_ENOENT ? 0 : rc;
}

static const char blanks[] = " \t";

// The value of a line "key = ...", as a person may write it; its length is 0 in other lines.
static struct rds_view value_of(const char *line)
{
	static const char name[] = "key";
	const char *at = line + strspn(line, blanks);
	if (strncasecmp(at, name, sizeof name - 1) != 0)
		return rds_view_of(at, 0);
	at += sizeof name - 1;
	at += strspn(at, blanks);
	if (*at != '=')
		return rds_view_of(at, 0);
	at++;
	return rds_view_trim(rds_view_of(at, strcspn(at, "\r\n")));
}

// The first such value; its length is 0 if there is none.
static struct rds_view find_key(const char *text)
{
	for (const char *line = text;; line++) {
		struct rds_view value = value_of(line);
		if (value.len > 0)
			return value;
		line = strchr(line, '\n');
		if (line == NULL)
			return rds_view_of(text, 0);
	}
}

// The text with another value in the place of that one. Fresh memory.
static char *with_key(const char *text, struct rds_view value, const char *key)
{
	const char *start = (const char *)value.data;
	return rds_asprintf("%.*s%s%s", (int)(start - text), text, key, start + value.len);
}

static int write_conf(const struct rds_datadir *dir, const char *name, const char *text,
                      struct rds_error *err)
{
	return rds_datadir_write(dir, name, 0644, RDS_WRITE_REPLACE, rds_view_text(text), err);
}

static bool is_ours(const struct rds_keyring *ring, const char *text)
{
	char hash[65];
	rds_sha256_hex(rds_view_text(text), hash);
	return strcmp(hash, ring->server_conf_sha256) == 0;
}

// A rotation that was interrupted had written it, but not noted that.
static void note_written(struct rds_keyring *ring, const char *text, struct rds_view value,
                         const char *old_key)
{
	char *before = with_key(text, value, old_key);
	if (is_ours(ring, before))
		rds_sha256_hex(rds_view_text(text), ring->server_conf_sha256);
	free(before);
}

static int replace_key(const struct rds_datadir *dir, struct rds_keyring *ring, const char *text,
                       struct rds_view value, const char *key, bool *kept, struct rds_error *err)
{
	char *fresh = with_key(text, value, key);
	*kept = !is_ours(ring, text);
	int rc = write_conf(dir, *kept ? RDS_SERVER_CONF_NEW : RDS_SERVER_CONF, fresh, err);
	if (rc == 0 && !*kept)
		rds_sha256_hex(rds_view_text(fresh), ring->server_conf_sha256);
	free(fresh);
	return rc;
}

int rds_server_conf_follow(const struct rds_datadir *dir, struct rds_keyring *ring,
                           const char *old_key, const char *key, bool *kept, struct rds_error *err)
{
	char *text = NULL;
	*kept = false;
	int rc = read_conf(dir, &text, err);
	if (rc != 0 || text == NULL)
		return rc;
	struct rds_view value = find_key(text);
	if (rds_view_equal(value, rds_view_text(key)))
		note_written(ring, text, value, old_key);
	else if (rds_view_equal(value, rds_view_text(old_key)))
		rc = replace_key(dir, ring, text, value, key, kept, err);
	free(text);
	return rc;
}

// Between begin and end. The hash goes first: if the file doesn't follow, it is merely not ours.
static int write_where_none(const struct rds_datadir *dir, struct rds_view text, bool *written,
                            struct rds_error *err)
{
	char *there = NULL;
	struct rds_keyring ring;
	int rc = read_conf(dir, &there, err);
	bool none = there == NULL;
	free(there);
	if (rc != 0 || !none)
		return rc;
	rc = rds_keyring_load(dir, &ring, err);
	if (rc == 0) {
		rds_sha256_hex(text, ring.server_conf_sha256);
		rc = rds_keyring_save(dir, &ring, err);
	}
	rds_keyring_clear(&ring);
	if (rc == 0)
		rc = rds_datadir_write(dir, RDS_SERVER_CONF, 0644, RDS_WRITE_REPLACE, text, err);
	*written = rc == 0;
	return rc;
}

int rds_server_conf_write(const struct rds_datadir *dir, struct rds_view text, bool wait,
                          bool *written, struct rds_error *err)
{
	*written = false;
	int rc = rds_datadir_begin(dir, wait, err);
	if (rc != 0)
		return rc;
	rc = write_where_none(dir, text, written, err);
	rds_datadir_end(dir);
	return rc;
}
