// SPDX-License-Identifier: MIT
#include "cmd/known_keys.h"

#include "cmd/running.h"
#include "core/alloc.h"
#include "keys/rotate.h"

#include <stdlib.h>
#include <time.h>

// Takes text.
static void add(struct rds_known_keys *keys, char *text, enum rds_known_key_state state,
                int64_t until_sec)
{
	keys->items = rds_realloc(keys->items, keys->n + 1, sizeof *keys->items);
	keys->items[keys->n++] =
	        (struct rds_known_key){.text = text, .state = state, .until_sec = until_sec};
}

static char *copy_of(const struct rds_keypair *pair)
{
	return rds_strdup(rds_keypair_public_text(pair));
}

// One that was retired before its time is refused from now on at the latest.
static void add_ring(struct rds_known_keys *keys, const struct rds_keyring *ring, int64_t now)
{
	if (ring->next != NULL)
		add(keys, copy_of(ring->next), RDS_KNOWN_NEXT, 0);
	for (size_t i = ring->n_retired; i-- > 0;) {
		const struct rds_retired_key *key = &ring->retired[i];
		bool over = !rds_keyring_accepts(key, now) && key->accepted_until > now;
		add(keys, rds_strdup(key->public_text), RDS_KNOWN_RETIRED,
		    over ? now : key->accepted_until);
	}
}

// A server that runs with a key of its own, given by -k, has that one; the files' keys count
// otherwise.
static int read_beside(const struct rds_datadir *dir, enum rds_keys_mode mode, char *running,
                       struct rds_known_keys *out, struct rds_error *err)
{
	struct rds_keys keys;
	*out = (struct rds_known_keys){0};
	int rc = rds_keys_load(dir, mode, &keys, err);
	if (running != NULL)
		add(out, running, RDS_KNOWN_CURRENT, 0);
	else if (rc == 0)
		add(out, copy_of(keys.files.pair), RDS_KNOWN_CURRENT, 0);
	if (rc == 0)
		add_ring(out, &keys.ring, (int64_t)time(NULL));
	if (rc == -RDS_ENOENT)
		(void)rds_fail(err, RDS_ENOENT,
		               "%s: no key there yet: start the server, or run rdsrv keygen",
		               rds_datadir_path(dir));
	rds_keys_clear(&keys);
	return running != NULL ? 0 : rc;
}

int rds_known_keys_beside(const struct rds_datadir *dir, char *running, struct rds_known_keys *out,
                          struct rds_error *err)
{
	return read_beside(dir, RDS_KEYS_FOLLOW, running, out, err);
}

int rds_known_keys_read(const struct rds_datadir *dir, struct rds_known_keys *out,
                        struct rds_error *err)
{
	return read_beside(dir, RDS_KEYS_READ, rds_running_key(dir), out, err);
}

void rds_known_keys_free(struct rds_known_keys *keys)
{
	for (size_t i = 0; i < keys->n; i++)
		free(keys->items[i].text);
	free(keys->items);
	*keys = (struct rds_known_keys){0};
}

const char *rds_known_keys_text(const struct rds_known_keys *keys, enum rds_known_key_state state)
{
	for (size_t i = 0; i < keys->n; i++)
		if (keys->items[i].state == state)
			return keys->items[i].text;
	return NULL;
}
