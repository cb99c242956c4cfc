// SPDX-License-Identifier: MIT
#include "core/registry.h"

#include "core/alloc.h"

#include <stdlib.h>

static uint64_t hash_id(const struct rds_registry *registry, struct rds_view id)
{
	return rds_hash(&registry->seed, id.data, id.len);
}

static bool has_id(const void *entry, const void *key)
{
	return rds_view_equal(rds_peer_id(entry), *(const struct rds_view *)key);
}

void rds_registry_init(struct rds_registry *registry, const struct rds_seed *seed)
{
	rds_table_init(&registry->by_id);
	registry->seed = *seed;
}

void rds_registry_clear(struct rds_registry *registry)
{
	size_t at = 0;
	for (void *peer; (peer = rds_table_next(&registry->by_id, &at)) != NULL;)
		free(peer);
	rds_table_clear(&registry->by_id);
}

struct rds_peer *rds_registry_find(const struct rds_registry *registry, struct rds_view id)
{
	return rds_table_find(&registry->by_id, hash_id(registry, id), has_id, &id);
}

void rds_registry_prefetch(const struct rds_registry *registry, const struct rds_view *ids,
                           size_t n)
{
	uint64_t hashes[RDS_REGISTRY_PREFETCH];
	for (size_t i = 0; i < n; i++) {
		hashes[i] = hash_id(registry, ids[i]);
		rds_table_prefetch(&registry->by_id, hashes[i]);
	}
	for (size_t i = 0; i < n; i++) {
		const struct rds_peer *peer = rds_table_guess(&registry->by_id, hashes[i]);
		if (peer == NULL)
			continue;
		__builtin_prefetch(peer, 1);
		__builtin_prefetch(peer->bytes, 1);
	}
}

static uint8_t *append(uint8_t *to, struct rds_view bytes)
{
	if (bytes.len > 0)
		memcpy(to, bytes.data, bytes.len);
	return to + bytes.len;
}

static struct rds_peer *peer_new(struct rds_view id, struct rds_view uuid, struct rds_view pk)
{
	struct rds_peer *peer = rds_calloc(1, sizeof *peer + id.len + uuid.len + pk.len);
	peer->id_len = (uint8_t)id.len;
	peer->uuid_len = (uint16_t)uuid.len;
	peer->pk_len = (uint16_t)pk.len;
	append(append(append(peer->bytes, id), uuid), pk);
	return peer;
}

struct rds_peer *rds_registry_add(struct rds_registry *registry, struct rds_view id,
                                  struct rds_view uuid, struct rds_view pk)
{
	if (id.len > UINT8_MAX || uuid.len > RDS_PEER_BLOB_MAX || pk.len > RDS_PEER_BLOB_MAX)
		return NULL;
	struct rds_peer *peer = peer_new(id, uuid, pk);
	rds_table_insert(&registry->by_id, hash_id(registry, id), peer);
	return peer;
}

struct rds_peer *rds_registry_set_pk(struct rds_registry *registry, struct rds_peer *peer,
                                     struct rds_view pk)
{
	if (pk.len == peer->pk_len) {
		append(peer->bytes + peer->id_len + peer->uuid_len, pk);
		return peer;
	}
	struct rds_peer *moved = peer_new(rds_peer_id(peer), rds_peer_uuid(peer), pk);
	struct rds_peer head = *peer;
	head.pk_len = moved->pk_len;
	memcpy(moved, &head, offsetof(struct rds_peer, bytes));
	rds_registry_remove(registry, peer);
	rds_table_insert(&registry->by_id, hash_id(registry, rds_peer_id(moved)), moved);
	return moved;
}

void rds_registry_remove(struct rds_registry *registry, struct rds_peer *peer)
{
	rds_table_remove(&registry->by_id, hash_id(registry, rds_peer_id(peer)), peer);
	free(peer);
}

const struct rds_peer *rds_registry_next(const struct rds_registry *registry, size_t *at)
{
	return rds_table_next(&registry->by_id, at);
}

size_t rds_registry_count(const struct rds_registry *registry)
{
	return registry->by_id.used;
}
