// SPDX-License-Identifier: MIT
#include "cmd/known_keys.h"

#include "cmd/running.h"
#include "core/alloc.h"
#include "keys/keyfiles.h"

#include <stdlib.h>

// Takes text.
static void add(struct rds_known_keys *keys, char *text, enum rds_known_key_state state,
                int64_t until_sec)
{
	keys->items = rds_realloc(keys->items, keys->n + 1, sizeof *keys->items);
	keys->items[keys->n++] = (struct rds_known_key){
	        .text = text, .state = state, .until_sec = until_sec};
}

// The key of the server that runs, else that of the key files.
static int current_key(const struct rds_datadir *dir, char **out, struct rds_error *err)
{
	struct rds_keyfiles files;
	*out = rds_running_key(dir);
	if (*out != NULL)
		return 0;
	int rc = rds_keyfiles_load(dir, &files, err);
	if (rc == -RDS_ENOENT)
		return rds_fail(err, RDS_ENOENT,
		                "%s: no key there yet: start the server, or run rdsrv keygen",
		                rds_datadir_path(dir));
	if (rc != 0)
		return rc;
	*out = rds_strdup(rds_keypair_public_text(files.pair));
	rds_keypair_free(files.pair);
	return 0;
}

int rds_known_keys_read(const struct rds_datadir *dir, struct rds_known_keys *out,
                        struct rds_error *err)
{
	char *current = NULL;
	*out = (struct rds_known_keys){0};
	int rc = current_key(dir, &current, err);
	if (rc == 0)
		add(out, current, RDS_KNOWN_CURRENT, 0);
	return rc;
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
