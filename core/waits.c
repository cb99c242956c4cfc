// SPDX-License-Identifier: MIT
#include "core/waits.h"

#include "core/alloc.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

static_assert(offsetof(struct rds_wait, share) == 0, "enter goes from a share to its wait");
static_assert(RDS_WAITS < UINT16_MAX, "choose_port finds a free port");

static uint64_t hash_conn(const struct rds_waits *waits, uint64_t conn)
{
	return rds_hash(&waits->seed, &conn, sizeof conn);
}

static uint64_t hash_addr(const struct rds_waits *waits, const struct rds_addr *addr)
{
	uint8_t bytes[18];
	memcpy(bytes, addr->ip.b, 16);
	memcpy(bytes + 16, &addr->port, 2);
	return rds_hash(&waits->seed, bytes, sizeof bytes);
}

void rds_waits_init(struct rds_waits *waits, const struct rds_seed *seed)
{
	waits->seed = *seed;
	rds_table_init(&waits->by_conn);
	rds_table_init(&waits->by_addr);
	rds_shares_init(&waits->shares, seed, RDS_WAITS, RDS_WAITS_PER_IP);
}

void rds_waits_clear(struct rds_waits *waits)
{
	size_t at = 0;
	for (void *wait; (wait = rds_table_next(&waits->by_conn, &at)) != NULL;)
		free(wait);
	rds_table_clear(&waits->by_conn);
	rds_table_clear(&waits->by_addr);
	rds_shares_clear(&waits->shares);
}

static bool has_conn(const void *entry, const void *key)
{
	return ((const struct rds_wait *)entry)->conn == *(const uint64_t *)key;
}

struct rds_wait *rds_waits_of_conn(const struct rds_waits *waits, uint64_t conn)
{
	return rds_table_find(&waits->by_conn, hash_conn(waits, conn), has_conn, &conn);
}

static bool waits_at(const void *entry, const void *key)
{
	return rds_addr_equal(&((const struct rds_wait *)entry)->addr, key);
}

// There are more ports than waits, so there is a free one.
static void choose_port(struct rds_waits *waits, struct rds_addr *addr)
{
	do {
		addr->port = ++waits->last_port == 0 ? ++waits->last_port : waits->last_port;
	} while (rds_table_find(&waits->by_addr, hash_addr(waits, addr), waits_at, addr) != NULL);
}

// Whether there is room for one more from ip, made if need be.
static bool enter(struct rds_waits *waits, const struct rds_ip *ip, struct rds_wait *wait)
{
	struct rds_share *victim = NULL;
	enum rds_share_result result = rds_shares_enter(&waits->shares, ip, &wait->share, &victim);
	if (result == RDS_SHARE_EVICT) {
		rds_waits_end(waits, (struct rds_wait *)(void *)victim);
		result = rds_shares_enter(&waits->shares, ip, &wait->share, &victim);
	}
	return result == RDS_SHARE_TAKEN;
}

static struct rds_wait *wait_add(struct rds_waits *waits, uint64_t conn,
                                 const struct rds_addr *addr, enum rds_wait_kind kind,
                                 struct rds_view id)
{
	struct rds_wait *wait = rds_calloc(1, sizeof *wait);
	if (!enter(waits, &addr->ip, wait)) {
		free(wait);
		return NULL;
	}
	wait->conn = conn;
	wait->addr = *addr;
	if (addr->port == 0)
		choose_port(waits, &wait->addr);
	wait->kind = kind;
	wait->asked = 1;
	wait->id_len = (uint8_t)id.len;
	memcpy(wait->id, id.data, id.len);
	rds_table_insert(&waits->by_conn, hash_conn(waits, conn), wait);
	rds_table_insert(&waits->by_addr, hash_addr(waits, &wait->addr), wait);
	return wait;
}

struct rds_wait *rds_waits_start(struct rds_waits *waits, uint64_t conn,
                                 const struct rds_addr *addr, enum rds_wait_kind kind,
                                 struct rds_view id)
{
	assert(id.len <= RDS_ID_MAX_BYTES);
	struct rds_wait *wait = rds_waits_of_conn(waits, conn);
	if (wait != NULL && wait->kind == kind && rds_view_equal(rds_wait_id(wait), id)) {
		wait->asked++;
		return wait;
	}
	if (wait != NULL)
		rds_waits_end(waits, wait);
	return wait_add(waits, conn, addr, kind, id);
}

struct addr_key {
	const struct rds_addr *addr;
	enum rds_wait_kind kind;
	struct rds_view id;
};

static bool waits_for(const void *entry, const void *key)
{
	const struct rds_wait *wait = entry;
	const struct addr_key *wanted = key;
	if (wait->kind != wanted->kind || !rds_addr_equal(&wait->addr, wanted->addr))
		return false;
	return (wanted->id.len == 0 && wait->kind == RDS_WAIT_RELAY) ||
	       rds_view_equal(rds_wait_id(wait), wanted->id);
}

struct rds_wait *rds_waits_find(const struct rds_waits *waits, const struct rds_addr *addr,
                                enum rds_wait_kind kind, struct rds_view id)
{
	struct addr_key key = {.addr = addr, .kind = kind, .id = id};
	return rds_table_find(&waits->by_addr, hash_addr(waits, addr), waits_for, &key);
}

void rds_waits_end(struct rds_waits *waits, struct rds_wait *wait)
{
	rds_shares_leave(&waits->shares, &wait->share);
	rds_table_remove(&waits->by_conn, hash_conn(waits, wait->conn), wait);
	rds_table_remove(&waits->by_addr, hash_addr(waits, &wait->addr), wait);
	free(wait);
}

void rds_waits_end_conn(struct rds_waits *waits, uint64_t conn)
{
	struct rds_wait *wait = rds_waits_of_conn(waits, conn);
	if (wait != NULL)
		rds_waits_end(waits, wait);
}
