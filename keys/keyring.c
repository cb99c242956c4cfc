// SPDX-License-Identifier: MIT
#include "keys/keyring.h"

#include "core/alloc.h"

#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#define VERSION 1

// Some kilobytes, even with all the retired keys that there may be.
#define FILE_MAX (64 * 1024)

void rds_keyring_clear(struct rds_keyring *ring)
{
	for (size_t i = 0; i < ring->n_retired; i++)
		rds_keypair_free(ring->retired[i].pair);
	rds_keypair_free(ring->next);
	*ring = (struct rds_keyring){0};
}

struct rds_retired_key *rds_keyring_find(struct rds_keyring *ring, struct rds_view public_text)
{
	for (size_t i = 0; i < ring->n_retired; i++)
		if (rds_view_equal(rds_view_text(ring->retired[i].public_text), public_text))
			return &ring->retired[i];
	return NULL;
}

bool rds_keyring_accepts(const struct rds_retired_key *key, int64_t now)
{
	return key->pair != NULL && now < key->accepted_until;
}

void rds_keyring_drop(struct rds_keyring *ring, struct rds_retired_key *key)
{
	size_t at = (size_t)(key - ring->retired);
	rds_keypair_free(key->pair);
	ring->n_retired--;
	memmove(key, key + 1, (ring->n_retired - at) * sizeof *key);
}

static struct rds_retired_key *add(struct rds_keyring *ring)
{
	if (ring->n_retired == RDS_RETIRED_KEYS)
		rds_keyring_drop(ring, &ring->retired[0]);
	struct rds_retired_key *key = &ring->retired[ring->n_retired++];
	*key = (struct rds_retired_key){0};
	return key;
}

void rds_keyring_retire(struct rds_keyring *ring, struct rds_keypair *pair, int64_t since,
                        int64_t now, int64_t accepted_until)
{
	struct rds_retired_key *key =
	        rds_keyring_find(ring, rds_view_text(rds_keypair_public_text(pair)));
	if (key != NULL)
		rds_keyring_drop(ring, key);
	key = add(ring);
	memcpy(key->public_text, rds_keypair_public_text(pair), sizeof key->public_text);
	key->pair = pair;
	key->since = since;
	key->retired = now;
	key->accepted_until = accepted_until;
}

// Reading. A member that is there must be of its kind.

static bool get_time(const cJSON *json, const char *name, int64_t *out)
{
	const cJSON *member = cJSON_GetObjectItemCaseSensitive(json, name);
	*out = 0;
	if (member == NULL)
		return true;
	if (!cJSON_IsNumber(member) || !(member->valuedouble >= 0 && member->valuedouble < 1e15))
		return false;
	*out = (int64_t)member->valuedouble;
	return true;
}

static bool get_text(const cJSON *json, const char *name, char *out, size_t cap)
{
	const cJSON *member = cJSON_GetObjectItemCaseSensitive(json, name);
	out[0] = '\0';
	if (member == NULL)
		return true;
	if (!cJSON_IsString(member) || strlen(member->valuestring) >= cap)
		return false;
	memcpy(out, member->valuestring, strlen(member->valuestring) + 1);
	return true;
}

static bool get_public(const cJSON *json, const char *name, char out[RDS_PUBLIC_TEXT])
{
	return get_text(json, name, out, RDS_PUBLIC_TEXT) &&
	       (out[0] == '\0' || rds_text_is_public_key(rds_view_text(out)));
}

// A pair under "secret"; absent: *out is NULL.
static bool get_pair(const cJSON *json, struct rds_keypair **out)
{
	const cJSON *member = cJSON_GetObjectItemCaseSensitive(json, "secret");
	struct rds_error err;
	*out = NULL;
	return member == NULL ||
	       (cJSON_IsString(member) &&
	        rds_keypair_parse(rds_view_text(member->valuestring), out, &err) == 0);
}

static bool read_retired(const cJSON *json, struct rds_retired_key *key)
{
	return get_public(json, "public", key->public_text) && key->public_text[0] != '\0' &&
	       get_pair(json, &key->pair) &&
	       (key->pair == NULL ||
	        strcmp(rds_keypair_public_text(key->pair), key->public_text) == 0) &&
	       get_time(json, "since", &key->since) && get_time(json, "retired", &key->retired) &&
	       get_time(json, "accepted_until", &key->accepted_until);
}

static const char *read_all(const cJSON *json, struct rds_keyring *ring)
{
	const cJSON *retired = cJSON_GetObjectItemCaseSensitive(json, "retired");
	const cJSON *next = cJSON_GetObjectItemCaseSensitive(json, "next");
	const cJSON *item = NULL;
	if (retired != NULL && !cJSON_IsArray(retired))
		return "retired";
	cJSON_ArrayForEach(item, retired)
		if (ring->n_retired == RDS_RETIRED_KEYS || !read_retired(item, add(ring)))
			return "retired";
	if (next != NULL && (!get_pair(next, &ring->next) || ring->next == NULL ||
	                     !get_time(next, "since", &ring->next_since)))
		return "next";
	return !get_time(json, "current_since", &ring->current_since) ? "current_since"
	       : !get_public(json, "pending", ring->pending)          ? "pending"
	       : !get_text(json, "pending_by", ring->pending_by, sizeof ring->pending_by)
	               ? "pending_by"
	       : !get_text(json, "server_conf_sha256", ring->server_conf_sha256,
	                   sizeof ring->server_conf_sha256)
	               ? "server_conf_sha256"
	               : NULL;
}

static int fail_parse(const struct rds_datadir *dir, const char *what, struct rds_error *err)
{
	return rds_fail(err, RDS_EPARSE,
	                "%s/" RDS_KEYRING_FILE ": %s; restore it from a backup, or move it away: "
	                "retired keys are refused then",
	                rds_datadir_path(dir), what);
}

static int parse(const struct rds_datadir *dir, const cJSON *json, struct rds_keyring *out,
                 struct rds_error *err)
{
	char what[64];
	int64_t version = 0;
	if (!cJSON_IsObject(json) || !get_time(json, "version", &version) || version < 1)
		return fail_parse(dir, "damaged: no keyring", err);
	if (version > VERSION)
		return fail_parse(dir, "made by a newer version of rdsrv", err);
	const char *bad = read_all(json, out);
	if (bad == NULL)
		return 0;
	(void)snprintf(what, sizeof what, "damaged at \"%s\"", bad);
	return fail_parse(dir, what, err);
}

// cJSON leaves what it read, secrets among it, in memory that it frees.
static void wipe_json(cJSON *json) // NOLINT(misc-no-recursion): some levels deep
{
	for (cJSON *item = json == NULL ? NULL : json->child; item != NULL; item = item->next) {
		if (cJSON_IsString(item))
			rds_wipe(item->valuestring, strlen(item->valuestring));
		wipe_json(item);
	}
}

static void delete_json(cJSON *json)
{
	wipe_json(json);
	cJSON_Delete(json);
}

int rds_keyring_load(const struct rds_datadir *dir, struct rds_keyring *out, struct rds_error *err)
{
	size_t len = 0;
	*out = (struct rds_keyring){0};
	char *text = rds_calloc(FILE_MAX + 1, 1);
	int rc =
	        rds_datadir_read(dir, RDS_KEYRING_FILE, (uint8_t *)text, FILE_MAX, &len, NULL, err);
	if (rc == 0) {
		const char *end = text;
		cJSON *json = cJSON_ParseWithLengthOpts(text, len, &end, false);
		struct rds_view rest = rds_view_of(end, (size_t)(text + len - end));
		rc = rds_view_trim(rest).len == 0 ? parse(dir, json, out, err)
		                                  : fail_parse(dir, "damaged", err);
		delete_json(json);
	}
	rds_wipe(text, FILE_MAX);
	free(text);
	return rc == -RDS_ENOENT ? 0 : rc;
}

// Writing. cJSON returns NULL only when it is out of memory.

static void *checked(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

static void put_text(cJSON *json, const char *name, const char *text)
{
	if (text[0] != '\0')
		(void)checked(cJSON_AddStringToObject(json, name, text));
}

static void put_time(cJSON *json, const char *name, int64_t time)
{
	if (time != 0)
		(void)checked(cJSON_AddNumberToObject(json, name, (double)time));
}

static void put_pair(cJSON *json, const struct rds_keypair *pair)
{
	char secret[RDS_SECRET_TEXT];
	put_text(json, "public", rds_keypair_public_text(pair));
	rds_keypair_secret_text(pair, secret);
	put_text(json, "secret", secret);
	rds_wipe(secret, sizeof secret);
}

static void put_retired(cJSON *array, const struct rds_retired_key *key)
{
	cJSON *item = checked(cJSON_CreateObject());
	(void)cJSON_AddItemToArray(array, item);
	if (key->pair != NULL)
		put_pair(item, key->pair);
	else
		put_text(item, "public", key->public_text);
	put_time(item, "since", key->since);
	put_time(item, "retired", key->retired);
	(void)checked(cJSON_AddNumberToObject(item, "accepted_until", (double)key->accepted_until));
}

static cJSON *to_json(const struct rds_keyring *ring)
{
	cJSON *json = checked(cJSON_CreateObject());
	(void)checked(cJSON_AddNumberToObject(json, "version", VERSION));
	put_time(json, "current_since", ring->current_since);
	put_text(json, "pending", ring->pending);
	put_text(json, "pending_by", ring->pending_by);
	put_text(json, "server_conf_sha256", ring->server_conf_sha256);
	if (ring->next != NULL) {
		cJSON *next = checked(cJSON_AddObjectToObject(json, "next"));
		put_pair(next, ring->next);
		put_time(next, "since", ring->next_since);
	}
	cJSON *retired = checked(cJSON_AddArrayToObject(json, "retired"));
	for (size_t i = 0; i < ring->n_retired; i++)
		put_retired(retired, &ring->retired[i]);
	return json;
}

int rds_keyring_save(const struct rds_datadir *dir, const struct rds_keyring *ring,
                     struct rds_error *err)
{
	cJSON *json = to_json(ring);
	char *text = rds_calloc(FILE_MAX, 1);
	if (!cJSON_PrintPreallocated(json, text, FILE_MAX, true))
		abort(); // FILE_MAX is too small for what a keyring can hold
	int rc = rds_datadir_write(dir, RDS_KEYRING_FILE, 0600, RDS_WRITE_REPLACE,
	                           rds_view_text(text), err);
	rds_wipe(text, FILE_MAX);
	free(text);
	delete_json(json);
	return rc;
}
