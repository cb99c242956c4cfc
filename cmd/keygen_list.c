// SPDX-License-Identifier: MIT
// keygen's commands that show keys.
#include "cmd/keygen.h"

#include "cmd/cmd.h"
#include "cmd/json.h"
#include "cmd/running.h"
#include "core/text.h"
#include "keys/key_use.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int keygen_show(const struct keygen *keygen, bool fingerprint)
{
	struct rds_keys keys;
	char print[RDS_FINGERPRINT_TEXT];
	int code = keygen_load(keygen, &keys);
	if (code != RDS_EXIT_OK)
		return code;
	const char *text = rds_keypair_public_text(keys.files.pair);
	rds_fingerprint(rds_view_text(text), print);
	(void)puts(fingerprint ? print : text);
	rds_keys_clear(&keys);
	return code;
}

struct listing {
	cJSON *keys;
	const struct rds_key_use *use;
	int64_t now;
};

static void add_key(const struct listing *listing, const char *text, const char *state,
                    int64_t since, int64_t until)
{
	char time[RDS_TIME_TEXT];
	char print[RDS_FINGERPRINT_TEXT];
	cJSON *item = rds_json_item(listing->keys);
	rds_fingerprint(rds_view_text(text), print);
	rds_json_text(item, "key", text);
	rds_json_text(item, "fingerprint", print);
	rds_json_text(item, "state", state);
	rds_json_text(item, "since", rds_text_time(since, time));
	rds_json_text(item, "accepted_until", rds_text_time(until, time));
	rds_json_text(item, "last_used", rds_text_time(rds_key_use_last(listing->use, text), time));
	rds_json_number(item, "addresses_in_7_days",
	                rds_key_use_sources(listing->use, text, listing->now));
}

static void add_keys(const struct listing *listing, const struct rds_keys *keys)
{
	const struct rds_keyring *ring = &keys->ring;
	add_key(listing, rds_keypair_public_text(keys->files.pair), "current", ring->current_since,
	        0);
	if (ring->next != NULL)
		add_key(listing, rds_keypair_public_text(ring->next), "next", ring->next_since, 0);
	for (size_t i = ring->n_retired; i-- > 0;) {
		const struct rds_retired_key *key = &ring->retired[i];
		add_key(listing, key->public_text,
		        rds_keyring_accepts(key, listing->now) ? "retired, still accepted"
		                                               : "retired, refused",
		        key->since, key->accepted_until);
	}
}

// Has the running servers write down what they know of keys in use; the ID server also knows of
// devices that have shown none.
static void ask_running(const struct keygen *keygen, cJSON *json)
{
	static const char *const members[] = {"peers", "peers_not_seen_using_any_key"};
	struct rds_error err;
	cJSON *answer = NULL;
	(void)!rds_running_ask(keygen->dir, "relay", "key-use", &answer, &err);
	cJSON_Delete(answer);
	answer = NULL;
	if (rds_running_ask(keygen->dir, "id", "key-use", &answer, &err) == 0)
		for (size_t i = 0; i < 2; i++) {
			const cJSON *n = cJSON_GetObjectItemCaseSensitive(answer, members[i]);
			if (cJSON_IsNumber(n))
				rds_json_number(json, members[i], (uint64_t)n->valuedouble);
		}
	cJSON_Delete(answer);
}

void keygen_print(const struct keygen *keygen, const cJSON *json)
{
	char *text = keygen->as_json ? cJSON_Print(json) : NULL;
	if (text != NULL)
		(void)puts(text);
	else
		rds_json_show(json);
	free(text);
}

static int list(const struct keygen *keygen, const struct rds_keys *keys)
{
	struct rds_error err = {""};
	struct rds_key_use *use = rds_key_use_new();
	cJSON *json = rds_json_answer(NULL);
	struct listing listing = {
	        .keys = rds_json_array(json, "keys"), .use = use, .now = (int64_t)time(NULL)};
	ask_running(keygen, json);
	int rc = rds_key_use_load(use, keygen->dir, "id", &err);
	if (rc == 0)
		rc = rds_key_use_load(use, keygen->dir, "relay", &err);
	int code = RDS_EXIT_OK;
	if (rc == 0) {
		add_keys(&listing, keys);
		keygen_print(keygen, json);
	} else {
		code = keygen_fail(keygen, &err);
	}
	cJSON_Delete(json);
	rds_key_use_free(use);
	return code;
}

int keygen_list(const struct keygen *keygen)
{
	struct rds_keys keys;
	int code = keygen_load(keygen, &keys);
	if (code != RDS_EXIT_OK)
		return code;
	code = list(keygen, &keys);
	rds_keys_clear(&keys);
	return code;
}
