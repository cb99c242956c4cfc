// SPDX-License-Identifier: MIT
#include "keys/server_conf.h"

#include "core/alloc.h"
#include "core/limits.h"

#include <stdlib.h>

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

// The text with another value behind "key="; NULL if it has no such line. Fresh memory.
static char *with_key(const char *text, const char *key)
{
	static const char name[] = "key=";
	size_t name_len = sizeof name - 1;
	const char *line = text;
	while (strncmp(line, name, name_len) != 0) {
		line = strchr(line, '\n');
		if (line == NULL)
			return NULL;
		line++;
	}
	size_t before = (size_t)(line - text) + name_len;
	const char *rest = line + strcspn(line, "\r\n");
	return rds_asprintf("%.*s%s%s", (int)before, text, key, rest);
}

static int write_conf(const struct rds_datadir *dir, const char *name, const char *text,
                      struct rds_error *err)
{
	return rds_datadir_write(dir, name, 0644, RDS_WRITE_REPLACE, rds_view_text(text), err);
}

static bool has_hash(const char *text, const char *hash)
{
	char found[65];
	if (text == NULL)
		return false;
	rds_sha256_hex(rds_view_text(text), found);
	return strcmp(found, hash) == 0;
}

// As we wrote it last, or as a rotation left it that was interrupted before it could note that.
static bool is_ours(const struct rds_keyring *ring, const char *text)
{
	const char *old = ring->n_retired == 0
	                          ? NULL
	                          : ring->retired[ring->n_retired - 1].public_text;
	char *before = old == NULL ? NULL : with_key(text, old);
	bool ours = has_hash(text, ring->server_conf_sha256) ||
	            has_hash(before, ring->server_conf_sha256);
	free(before);
	return ours;
}

int rds_server_conf_follow(const struct rds_datadir *dir, struct rds_keyring *ring, const char *key,
                           bool *kept, struct rds_error *err)
{
	char *text = NULL;
	*kept = false;
	int rc = read_conf(dir, &text, err);
	if (rc != 0 || text == NULL)
		return rc;
	char *fresh = with_key(text, key);
	bool ours = is_ours(ring, text);
	if (fresh != NULL && strcmp(fresh, text) != 0) {
		*kept = !ours;
		rc = write_conf(dir, ours ? RDS_SERVER_CONF : RDS_SERVER_CONF_NEW, fresh, err);
	}
	if (rc == 0 && ours && fresh != NULL)
		rds_sha256_hex(rds_view_text(fresh), ring->server_conf_sha256);
	free(fresh);
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

int rds_server_conf_write(const struct rds_datadir *dir, struct rds_view text, bool *written,
                          struct rds_error *err)
{
	*written = false;
	rds_datadir_begin(dir);
	int rc = write_where_none(dir, text, written, err);
	rds_datadir_end(dir);
	return rc;
}
