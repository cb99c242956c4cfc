// SPDX-License-Identifier: MIT
#include "keys/policy_private.h"

#include "core/alloc.h"

#include <stdlib.h>

static const char *const watched[N_WATCHED] = {RDS_SECRET_FILE, RDS_PUBLIC_FILE, RDS_KEYRING_FILE};

static void clear_keys(struct rds_key_policy *policy)
{
	for (size_t i = 0; i < policy->n; i++) {
		rds_keypair_free(policy->keys[i].pair);
		free(policy->keys[i].text);
	}
	free(policy->keys);
	policy->keys = NULL;
	policy->n = 0;
}

static void look(const struct rds_datadir *dir, struct stat seen[N_WATCHED])
{
	for (size_t i = 0; i < N_WATCHED; i++)
		if (!rds_datadir_stat(dir, watched[i], &seen[i]))
			seen[i] = (struct stat){0};
}

int rds_key_policy_open(const struct rds_datadir *dir, const struct rds_key_request *request,
                        struct rds_key_policy **out, struct rds_error *err)
{
	struct rds_key_policy *policy = rds_calloc(1, sizeof *policy);
	policy->dir = dir;
	policy->option = rds_strdup(request->option);
	policy->request = *request;
	policy->request.option = policy->option;
	// What changes while it is read is read again.
	look(dir, policy->seen);
	int rc = policy_apply(policy, err);
	if (rc != 0) {
		rds_key_policy_free(policy);
		return rc;
	}
	*out = policy;
	return 0;
}

void rds_key_policy_free(struct rds_key_policy *policy)
{
	if (policy == NULL)
		return;
	clear_keys(policy);
	if (policy->option != NULL)
		rds_wipe(policy->option, strlen(policy->option));
	free(policy->option);
	free(policy);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

bool rds_key_policy_is_stale(const struct rds_key_policy *policy)
{
	if (!policy->follows)
		return false;
	struct stat now[N_WATCHED];
	look(policy->dir, now);
	for (size_t i = 0; i < N_WATCHED; i++)
		if (!same_file(&now[i], &policy->seen[i]))
			return true;
	return false;
}

static struct key *find_text(const struct rds_key_policy *policy, struct rds_view text)
{
	for (size_t i = 0; i < policy->n; i++)
		if (rds_view_equal(text, rds_view_text(policy->keys[i].text)))
			return &policy->keys[i];
	return NULL;
}

static struct key *find_handle(const struct rds_key_policy *policy, uint32_t handle)
{
	for (size_t i = 0; i < policy->n; i++)
		if (policy->keys[i].handle == handle)
			return &policy->keys[i];
	return NULL;
}

static bool same_key(const struct key *a, const struct key *b)
{
	return strcmp(a->text, b->text) == 0 && (a->pair == NULL) == (b->pair == NULL) &&
	       a->until == b->until && a->retired_for_good == b->retired_for_good;
}

static enum rds_key_news compare(const struct rds_key_policy *policy,
                                 const struct rds_key_policy *fresh)
{
	if (strcmp(policy->keys[0].text, fresh->keys[0].text) != 0)
		return RDS_KEY_NEWS_CURRENT;
	if (policy->n != fresh->n)
		return RDS_KEY_NEWS_OTHERS;
	for (size_t i = 0; i < policy->n; i++)
		if (!same_key(&policy->keys[i], &fresh->keys[i]))
			return RDS_KEY_NEWS_OTHERS;
	return RDS_KEY_NEWS_NONE;
}

// The fresh one's keys with the handles that they had.
static void take_over(struct rds_key_policy *policy, struct rds_key_policy *fresh)
{
	uint32_t last = policy->last_handle;
	for (size_t i = 0; i < fresh->n; i++) {
		const struct key *old = find_text(policy, rds_view_text(fresh->keys[i].text));
		fresh->keys[i].handle = old != NULL ? old->handle : ++last;
	}
	struct rds_key_policy before = *policy;
	*policy = *fresh;
	policy->last_handle = last;
	*fresh = before;
}

int rds_key_policy_reload(struct rds_key_policy *policy, enum rds_key_news *news,
                          struct rds_error *err)
{
	struct rds_key_policy *fresh = NULL;
	policy->request.again = true;
	int rc = rds_key_policy_open(policy->dir, &policy->request, &fresh, err);
	if (rc != 0)
		return rc;
	// Files that are gone open no door that was shut, and take no signature away.
	if (fresh->n == 0 || (policy->enforces && !fresh->enforces) ||
	    (rds_key_policy_signs(policy) && !rds_datadir_has(policy->dir, RDS_SECRET_FILE)))
		rc = rds_fail(err, RDS_ENOENT, "%s: the key files are gone",
		              rds_datadir_path(policy->dir));
	if (rc == 0) {
		*news = compare(policy, fresh);
		take_over(policy, fresh);
	}
	rds_key_policy_free(fresh);
	return rc;
}

const char *rds_key_policy_enforced(const struct rds_key_policy *policy)
{
	return policy->enforces && policy->n > 0 ? policy->keys[0].text : NULL;
}

const char *rds_key_policy_client_text(const struct rds_key_policy *policy)
{
	return policy->n > 0 ? policy->keys[0].text : NULL;
}

bool rds_key_policy_made(const struct rds_key_policy *policy)
{
	return policy->made;
}

bool rds_key_policy_signs(const struct rds_key_policy *policy)
{
	return policy->n > 0 && policy->keys[0].pair != NULL;
}

static bool is_accepted(const struct key *key, int64_t now)
{
	return !key->retired_for_good && now < key->until;
}

enum rds_key_verdict rds_key_policy_check(const struct rds_key_policy *policy, int64_t now,
                                          struct rds_view licence_key, uint32_t *held)
{
	const struct key *key = find_text(policy, licence_key);
	*held = key == NULL ? RDS_KEY_CURRENT : key->handle;
	if (!policy->enforces || (key != NULL && is_accepted(key, now)))
		return RDS_KEY_OK;
	return licence_key.len == 0 ? RDS_KEY_ABSENT
	       : key != NULL        ? RDS_KEY_RETIRED
	                            : RDS_KEY_WRONG;
}

int64_t rds_key_policy_accepted_until(const struct rds_key_policy *policy,
                                      struct rds_view licence_key)
{
	const struct key *key = find_text(policy, licence_key);
	return key == NULL || key->until == FOREVER ? 0 : key->until;
}

const char *rds_key_policy_text(const struct rds_key_policy *policy, uint32_t held)
{
	const struct key *key = find_handle(policy, held);
	return key == NULL ? NULL : key->text;
}

size_t rds_key_policy_signers(const struct rds_key_policy *policy, int64_t now,
                              uint32_t handles[RDS_OFFERED_KEYS])
{
	size_t n = 0;
	for (size_t i = 0; i < policy->n && n < RDS_OFFERED_KEYS; i++)
		if (policy->keys[i].pair != NULL && is_accepted(&policy->keys[i], now))
			handles[n++] = policy->keys[i].handle;
	return n;
}

bool rds_key_policy_sign(const struct rds_key_policy *policy, uint32_t held, struct rds_view bytes,
                         uint8_t signature[64])
{
	const struct key *key = find_handle(policy, held);
	if (key == NULL || key->pair == NULL)
		key = policy->n > 0 ? &policy->keys[0] : NULL;
	return key != NULL && key->pair != NULL && rds_keypair_sign(key->pair, bytes, signature);
}
