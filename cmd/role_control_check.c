// SPDX-License-Identifier: MIT
// What rdsrv check asks of a running role: ids to play clients with, and a way through its relay.
#include "cmd/json.h"
#include "cmd/role_private.h"

#include "core/checks.h"
#include "core/rendezvous_admin.h"
#include "keys/keypair.h"

#include <stdio.h>

// Nobody guesses one within its minute, and it fits RDS_CHECK_ID_MAX_BYTES.
#define RANDOM_BYTES 8

struct drawn {
	char text[RDS_CHECK_ID_MAX_BYTES + 1];
};

static bool draw(struct drawn *out)
{
	uint8_t random[RANDOM_BYTES];
	int at = snprintf(out->text, sizeof out->text, "%s", RDS_CHECK_PREFIX);
	_Static_assert(sizeof RDS_CHECK_PREFIX - 1 + 2 * RANDOM_BYTES <= RDS_CHECK_ID_MAX_BYTES,
	               "the id is whole");
	if (!rds_random(random, sizeof random))
		return false;
	for (size_t i = 0; i < RANDOM_BYTES; i++)
		at += snprintf(out->text + at, sizeof out->text - (size_t)at, "%02x",
		               (unsigned)random[i]);
	return true;
}

// One that nobody has: another is drawn for as long as the first one is taken.
static int reserve_one(const struct role *role, struct drawn *out)
{
	int rc = 0;
	do {
		if (!draw(out))
			return -RDS_ECRYPTO;
		rc = rds_rendezvous_reserve(rds_id_service_rules(role->id),
		                            rds_loop_now_ms(role->loop), rds_view_text(out->text));
	} while (rc == -RDS_EEXIST);
	return rc;
}

static bool release_one(const struct role *role, struct rds_view id)
{
	return rds_rendezvous_release(rds_id_service_rules(role->id), id);
}

cJSON *role_check_reserve(struct role *role, const char *words)
{
	int64_t wanted = 0;
	int64_t n = 0;
	int rc = 0;
	struct drawn ids[RDS_CHECK_IDS_AT_ONCE];
	_Static_assert(RDS_CHECK_IDS_AT_ONCE == 16, "and so says the refusal");
	if (rds_value_number(words, 1, RDS_CHECK_IDS_AT_ONCE, &wanted) != 0)
		return rds_json_answer("check-reserve takes a number from 1 to 16");
	while (n < wanted && (rc = reserve_one(role, &ids[n])) == 0)
		n++;
	if (rc != 0) {
		while (n > 0)
			(void)release_one(role, rds_view_text(ids[--n].text));
		return rds_json_answer(rc == -RDS_EFULL
		                               ? "too many checks run at once: try again in a "
		                                 "minute, when their ids are free again"
		                               : "no random numbers from OpenSSL");
	}
	cJSON *json = rds_json_answer(NULL);
	cJSON *array = rds_json_array(json, "ids");
	for (int64_t i = 0; i < n; i++)
		rds_json_text_item(array, ids[i].text);
	rds_json_number(json, "seconds", RDS_CHECK_MS / 1000);
	return json;
}

// One whose time was over before is released all the same.
cJSON *role_check_release(struct role *role, const char *words)
{
	uint64_t released = 0;
	while (*words != '\0') {
		size_t len = strcspn(words, " ");
		released += release_one(role, rds_view_of(words, len));
		words += len + strspn(words + len, " ");
	}
	cJSON *json = rds_json_answer(NULL);
	rds_json_number(json, "released", released);
	return json;
}

// A relay that pairs only what was passed on is told of a check's own session.
cJSON *role_check_issue(struct role *role, const char *words)
{
	struct rds_view uuid = rds_view_text(words);
	if (!rds_is_check(uuid) || uuid.len > RDS_RELAY_UUID_MAX_BYTES)
		return rds_json_answer("check-issue takes a session uuid that begins with "
		                       "rdsrv-check-, of 128 bytes at most");
	_Static_assert(RDS_RELAY_UUID_MAX_BYTES == 128, "and so says the refusal");
	if (role->issued != NULL)
		rds_issued_add(role->issued, rds_loop_now_ms(role->loop), uuid);
	cJSON *json = rds_json_answer(NULL);
	rds_json_number(json, "seconds", RDS_ISSUED_MS / 1000);
	return json;
}
