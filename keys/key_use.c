// SPDX-License-Identifier: MIT
#include "keys/key_use.h"

#include "core/alloc.h"
#include "core/base64.h"
#include "core/limits.h"
#include "core/table.h"

#include <cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define VERSION 1
#define DAY_SEC 86400

// A day's sources as bits, by the hash of their address. How many were set tells how many different
// ones there were (linear counting).
#define BITS  65536
#define BYTES (BITS / 8)

struct day {
	int64_t number; // since 1970
	uint8_t *bits;  // NULL: nobody
};

struct key {
	char text[RDS_PUBLIC_TEXT];
	int64_t last;
	struct day days[RDS_KEY_USE_DAYS]; // by number modulo their count
};

struct rds_key_use {
	struct key keys[RDS_KEYS_USED];
	size_t n;
	bool changed;
};

struct rds_key_use *rds_key_use_new(void)
{
	return rds_calloc(1, sizeof(struct rds_key_use));
}

static void clear_key(struct key *key)
{
	for (size_t i = 0; i < RDS_KEY_USE_DAYS; i++)
		free(key->days[i].bits);
}

void rds_key_use_free(struct rds_key_use *use)
{
	if (use == NULL)
		return;
	for (size_t i = 0; i < use->n; i++)
		clear_key(&use->keys[i]);
	free(use);
}

static const struct key *find(const struct rds_key_use *use, const char *text)
{
	for (size_t i = 0; i < use->n; i++)
		if (strcmp(use->keys[i].text, text) == 0)
			return &use->keys[i];
	return NULL;
}

// The key's entry, made where it is new; then the one that was used longest ago makes room.
static struct key *entry_of(struct rds_key_use *use, const char *text)
{
	struct key *oldest = &use->keys[0];
	for (size_t i = 0; i < use->n; i++) {
		if (strcmp(use->keys[i].text, text) == 0)
			return &use->keys[i];
		if (use->keys[i].last < oldest->last)
			oldest = &use->keys[i];
	}
	struct key *key = use->n < RDS_KEYS_USED ? &use->keys[use->n++] : oldest;
	clear_key(key);
	*key = (struct key){0};
	memcpy(key->text, text, strnlen(text, sizeof key->text - 1));
	return key;
}

// The bits of that day, made where they are new; what was in their place is older.
static uint8_t *bits_of(struct key *key, int64_t number)
{
	struct day *day = &key->days[number % RDS_KEY_USE_DAYS];
	if (day->bits != NULL && day->number == number)
		return day->bits;
	if (day->bits == NULL)
		day->bits = rds_calloc(BYTES, 1);
	memset(day->bits, 0, BYTES);
	day->number = number;
	return day->bits;
}

static bool counts(const struct day *day, int64_t now)
{
	int64_t age = now / DAY_SEC - day->number;
	return day->bits != NULL && age < RDS_KEY_USE_DAYS && age > -RDS_KEY_USE_DAYS;
}

static size_t place_of(const struct rds_ip *from)
{
	static const struct rds_seed seed; // two roles and the list have to agree
	struct rds_ip source = rds_ip_source(from);
	return rds_hash(&seed, source.b, sizeof source.b) % BITS;
}

void rds_key_use_note(struct rds_key_use *use, const char *key, const struct rds_ip *from,
                      int64_t now)
{
	if (now < 0)
		return;
	struct key *entry = entry_of(use, key);
	uint8_t *bits = bits_of(entry, now / DAY_SEC);
	size_t place = place_of(from);
	bits[place / 8] |= (uint8_t)(1U << (place % 8));
	if (now > entry->last)
		entry->last = now;
	use->changed = true;
}

bool rds_key_use_is_changed(const struct rds_key_use *use)
{
	return use->changed;
}

static bool read_day(const cJSON *json, struct key *key)
{
	const cJSON *number = cJSON_GetObjectItemCaseSensitive(json, "day");
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "sources"));
	uint8_t bits[BYTES + 3];
	if (!cJSON_IsNumber(number) || !(number->valuedouble >= 0 && number->valuedouble < 1e9) ||
	    text == NULL || rds_base64_decode(text, strlen(text), bits, sizeof bits) != BYTES)
		return false;
	int64_t day = (int64_t)number->valuedouble;
	const struct day *there = &key->days[day % RDS_KEY_USE_DAYS];
	if (there->bits != NULL && there->number > day)
		return true; // long ago
	uint8_t *into = bits_of(key, day);
	for (size_t i = 0; i < BYTES; i++)
		into[i] |= bits[i];
	return true;
}

static bool read_key(const cJSON *json, struct rds_key_use *use)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "public"));
	const cJSON *last = cJSON_GetObjectItemCaseSensitive(json, "last");
	const cJSON *day = NULL;
	if (text == NULL || strlen(text) >= RDS_PUBLIC_TEXT || !cJSON_IsNumber(last) ||
	    !(last->valuedouble >= 0 && last->valuedouble < 1e15))
		return false;
	struct key *key = entry_of(use, text);
	if ((int64_t)last->valuedouble > key->last)
		key->last = (int64_t)last->valuedouble;
	cJSON_ArrayForEach(day, cJSON_GetObjectItemCaseSensitive(json, "days"))
		if (!read_day(day, key))
			return false;
	return true;
}

static bool read_all(const cJSON *json, struct rds_key_use *use)
{
	const cJSON *keys = cJSON_GetObjectItemCaseSensitive(json, "keys");
	const cJSON *key = NULL;
	if (!cJSON_IsArray(keys))
		return false;
	cJSON_ArrayForEach(key, keys)
		if (!read_key(key, use))
			return false;
	return true;
}

static void name_file(const char *role, char name[32])
{
	(void)snprintf(name, 32, "key-use-%s.json", role);
}

int rds_key_use_load(struct rds_key_use *use, const struct rds_datadir *dir, const char *role,
                     struct rds_error *err)
{
	char name[32];
	size_t len = 0;
	name_file(role, name);
	uint8_t *text = rds_calloc(RDS_LIST_FILE_MAX_BYTES, 1);
	int rc = rds_datadir_read(dir, name, text, RDS_LIST_FILE_MAX_BYTES, &len, NULL, err);
	if (rc == 0) {
		cJSON *json = cJSON_ParseWithLength((const char *)text, len);
		if (!read_all(json, use))
			rc = rds_fail(err, RDS_EPARSE,
			              "%s/%s: damaged; move it away, and counting starts anew",
			              rds_datadir_path(dir), name);
		cJSON_Delete(json);
	}
	free(text);
	return rc == -RDS_ENOENT ? 0 : rc;
}

static void *checked(void *p)
{
	if (p == NULL)
		abort(); // out of memory
	return p;
}

static void put_day(cJSON *days, const struct day *day)
{
	char text[RDS_BASE64_LEN(BYTES) + 1];
	cJSON *item = checked(cJSON_CreateObject());
	rds_base64_encode(day->bits, BYTES, text);
	(void)checked(cJSON_AddNumberToObject(item, "day", (double)day->number));
	(void)checked(cJSON_AddStringToObject(item, "sources", text));
	(void)cJSON_AddItemToArray(days, item);
}

static void put_key(cJSON *keys, const struct key *key, int64_t now)
{
	cJSON *item = checked(cJSON_CreateObject());
	(void)cJSON_AddItemToArray(keys, item);
	(void)checked(cJSON_AddStringToObject(item, "public", key->text));
	(void)checked(cJSON_AddNumberToObject(item, "last", (double)key->last));
	cJSON *days = checked(cJSON_AddArrayToObject(item, "days"));
	for (size_t i = 0; i < RDS_KEY_USE_DAYS; i++)
		if (counts(&key->days[i], now))
			put_day(days, &key->days[i]);
}

int rds_key_use_save(struct rds_key_use *use, const struct rds_datadir *dir, const char *role,
                     int64_t now, struct rds_error *err)
{
	char name[32];
	cJSON *json = checked(cJSON_CreateObject());
	(void)checked(cJSON_AddNumberToObject(json, "version", VERSION));
	cJSON *keys = checked(cJSON_AddArrayToObject(json, "keys"));
	for (size_t i = 0; i < use->n; i++)
		put_key(keys, &use->keys[i], now);
	char *text = checked(cJSON_PrintUnformatted(json));
	name_file(role, name);
	int rc = rds_datadir_write(dir, name, 0600, RDS_WRITE_REPLACE, rds_view_text(text), err);
	cJSON_free(text);
	cJSON_Delete(json);
	if (rc == 0)
		use->changed = false;
	return rc;
}

int64_t rds_key_use_last(const struct rds_key_use *use, const char *key)
{
	const struct key *entry = find(use, key);
	return entry == NULL ? 0 : entry->last;
}

static unsigned count_bits(uint8_t byte)
{
	unsigned n = 0;
	for (; byte != 0; byte &= (uint8_t)(byte - 1))
		n++;
	return n;
}

uint64_t rds_key_use_sources(const struct rds_key_use *use, const char *key, int64_t now)
{
	const struct key *entry = find(use, key);
	unsigned set = 0;
	for (size_t i = 0; entry != NULL && i < BYTES; i++) {
		uint8_t byte = 0;
		for (size_t d = 0; d < RDS_KEY_USE_DAYS; d++)
			if (counts(&entry->days[d], now))
				byte |= entry->days[d].bits[i];
		set += count_bits(byte);
	}
	// All bits set: more than can be told.
	double free_bits = set == BITS ? 0.5 : (double)(BITS - set);
	return (uint64_t)llround(-(double)BITS * log(free_bits / BITS));
}

bool rds_key_use_has_seen(const struct rds_key_use *use, const struct rds_ip *from, int64_t now)
{
	size_t place = place_of(from);
	for (size_t i = 0; i < use->n; i++)
		for (size_t d = 0; d < RDS_KEY_USE_DAYS; d++) {
			const struct day *day = &use->keys[i].days[d];
			if (counts(day, now) && (day->bits[place / 8] & 1U << (place % 8)) != 0)
				return true;
		}
	return false;
}
