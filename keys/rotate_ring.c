// SPDX-License-Identifier: MIT
// The changes of a keyring that leave the pair in the key files as it is.
#include "keys/rotate.h"

int rds_keys_make_next(const struct rds_datadir *dir, const struct rds_key_change *change,
                       char text[RDS_PUBLIC_TEXT], struct rds_error *err)
{
	struct rds_keys keys;
	int rc = rds_keys_begin(dir, &keys, err);
	if (rc != 0)
		return rc;
	if (keys.ring.next == NULL) {
		rc = rds_keypair_generate(&keys.ring.next, err);
		keys.ring.next_since = change->now;
		if (rc == 0)
			rc = rds_keyring_save(dir, &keys.ring, err);
	}
	rds_datadir_end(dir);
	if (rc == 0)
		memcpy(text, rds_keypair_public_text(keys.ring.next), RDS_PUBLIC_TEXT);
	rds_keys_clear(&keys);
	return rc;
}

static bool is_named(const struct rds_retired_key *key, const char *name)
{
	char print[RDS_FINGERPRINT_TEXT];
	rds_fingerprint(rds_view_text(key->public_text), print);
	return name == NULL || strcmp(name, key->public_text) == 0 || strcmp(name, print) == 0;
}

// What was accepted up to now has ended now; what had ended before keeps its day.
static size_t end_grace(struct rds_keyring *ring, int64_t now, const char *name, size_t *named)
{
	size_t n = 0;
	*named = 0;
	for (size_t i = 0; i < ring->n_retired; i++) {
		struct rds_retired_key *key = &ring->retired[i];
		if (!is_named(key, name))
			continue;
		(*named)++;
		// By another clock one that has ended may still be accepted: its secret says so.
		n += key->accepted_until > now || key->pair != NULL;
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
	struct rds_keys keys;
	*n = 0;
	int rc = rds_keys_begin(dir, &keys, err);
	if (rc != 0)
		return rc;
	size_t named = 0;
	*n = end_grace(&keys.ring, change->now, name, &named);
	if (named > 0)
		rc = rds_keyring_save(dir, &keys.ring, err);
	else if (name != NULL)
		rc = rds_fail(err, RDS_ENOENT,
		              "%s: no retired key of that name: rdsrv keygen --list shows them",
		              rds_datadir_path(dir));
	rds_datadir_end(dir);
	rds_keys_clear(&keys);
	return rc;
}
