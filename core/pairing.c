// SPDX-License-Identifier: MIT
#include "core/pairing.h"

#include "core/alloc.h"
#include "core/limits.h"

#include <stdlib.h>

// One that waits; in the order of arrival, since all wait equally long.
struct waiting {
	uint64_t conn;
	uint64_t since_ms;
	struct waiting *older;
	struct waiting *newer;
	uint8_t uuid_len;
	uint8_t uuid[];
};

struct rds_pairing {
	struct rds_seed seed;
	struct rds_table by_uuid;
	struct rds_table by_conn;
	struct waiting *oldest;
	struct waiting *newest;
};

struct rds_pairing *rds_pairing_new(const struct rds_seed *seed)
{
	struct rds_pairing *pairing = rds_calloc(1, sizeof *pairing);
	pairing->seed = *seed;
	rds_table_init(&pairing->by_uuid);
	rds_table_init(&pairing->by_conn);
	return pairing;
}

static struct rds_view uuid_of(const struct waiting *waiting)
{
	return rds_view_of(waiting->uuid, waiting->uuid_len);
}

static uint64_t hash_uuid(const struct rds_pairing *pairing, struct rds_view uuid)
{
	return rds_hash(&pairing->seed, uuid.data, uuid.len);
}

static uint64_t hash_conn(const struct rds_pairing *pairing, uint64_t conn)
{
	return rds_hash(&pairing->seed, &conn, sizeof conn);
}

static bool has_uuid(const void *entry, const void *key)
{
	return rds_view_equal(uuid_of(entry), *(const struct rds_view *)key);
}

static bool has_conn(const void *entry, const void *key)
{
	return ((const struct waiting *)entry)->conn == *(const uint64_t *)key;
}

static void add(struct rds_pairing *pairing, uint64_t now_ms, uint64_t conn, struct rds_view uuid)
{
	struct waiting *waiting = rds_calloc(1, sizeof *waiting + uuid.len);
	waiting->conn = conn;
	waiting->since_ms = now_ms;
	waiting->uuid_len = (uint8_t)uuid.len;
	memcpy(waiting->uuid, uuid.data, uuid.len);
	waiting->older = pairing->newest;
	*(pairing->newest != NULL ? &pairing->newest->newer : &pairing->oldest) = waiting;
	pairing->newest = waiting;
	rds_table_insert(&pairing->by_uuid, hash_uuid(pairing, uuid), waiting);
	rds_table_insert(&pairing->by_conn, hash_conn(pairing, conn), waiting);
}

static void take_out(struct rds_pairing *pairing, struct waiting *waiting)
{
	*(waiting->older != NULL ? &waiting->older->newer : &pairing->oldest) = waiting->newer;
	*(waiting->newer != NULL ? &waiting->newer->older : &pairing->newest) = waiting->older;
	rds_table_remove(&pairing->by_uuid, hash_uuid(pairing, uuid_of(waiting)), waiting);
	rds_table_remove(&pairing->by_conn, hash_conn(pairing, waiting->conn), waiting);
	free(waiting);
}

void rds_pairing_free(struct rds_pairing *pairing)
{
	if (pairing == NULL)
		return;
	while (pairing->oldest != NULL)
		take_out(pairing, pairing->oldest);
	rds_table_clear(&pairing->by_uuid);
	rds_table_clear(&pairing->by_conn);
	free(pairing);
}

enum rds_pairing_result rds_pairing_offer(struct rds_pairing *pairing, uint64_t now_ms,
                                          uint64_t conn, struct rds_view uuid, uint64_t *other,
                                          enum rds_reason *why)
{
	*why = uuid.len == 0                         ? RDS_WHY_UUID_EMPTY
	       : uuid.len > RDS_RELAY_UUID_MAX_BYTES ? RDS_WHY_UUID_TOO_LONG
	                                             : RDS_WHY_NONE;
	if (*why != RDS_WHY_NONE)
		return RDS_PAIRING_REFUSED;
	struct waiting *waiting =
	        rds_table_find(&pairing->by_uuid, hash_uuid(pairing, uuid), has_uuid, &uuid);
	if (waiting != NULL) {
		*other = waiting->conn;
		take_out(pairing, waiting);
		return RDS_PAIRING_PAIRED;
	}
	if (pairing->by_conn.used >= RDS_RELAY_WAITING) {
		*why = RDS_WHY_RELAY_FULL;
		return RDS_PAIRING_REFUSED;
	}
	add(pairing, now_ms, conn, uuid);
	return RDS_PAIRING_WAIT;
}

void rds_pairing_cancel(struct rds_pairing *pairing, uint64_t conn)
{
	struct waiting *waiting =
	        rds_table_find(&pairing->by_conn, hash_conn(pairing, conn), has_conn, &conn);
	if (waiting != NULL)
		take_out(pairing, waiting);
}

bool rds_pairing_expire(struct rds_pairing *pairing, uint64_t now_ms, uint64_t *conn)
{
	struct waiting *oldest = pairing->oldest;
	if (oldest == NULL || now_ms - oldest->since_ms < RDS_RELAY_WAIT_MS)
		return false;
	*conn = oldest->conn;
	take_out(pairing, oldest);
	return true;
}

size_t rds_pairing_waiting(const struct rds_pairing *pairing)
{
	return pairing->by_conn.used;
}
