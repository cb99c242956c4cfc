// SPDX-License-Identifier: MIT
#include "core/table.h"

#include "core/alloc.h"

#include <stdlib.h>

static inline uint64_t rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

// Inlined, whatever the compiler thinks of it: the state then stays in registers.
static inline __attribute__((always_inline)) void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

// Little-endian, in a form that compilers know for a single load.
static inline uint64_t load(const uint8_t b[8])
{
	return (uint64_t)b[0] | (uint64_t)b[1] << 8 | (uint64_t)b[2] << 16 | (uint64_t)b[3] << 24 |
	       (uint64_t)b[4] << 32 | (uint64_t)b[5] << 40 | (uint64_t)b[6] << 48 |
	       (uint64_t)b[7] << 56;
}

uint64_t rds_hash(const struct rds_seed *seed, const void *bytes, size_t len)
{
	uint64_t v[4] = {seed->k[0] ^ 0x736f6d6570736575, seed->k[1] ^ 0x646f72616e646f6d,
	                 seed->k[0] ^ 0x6c7967656e657261, seed->k[1] ^ 0x7465646279746573};
	const uint8_t *p = bytes;
	size_t left = len;
	for (; left >= 8; left -= 8, p += 8) {
		uint64_t word = load(p);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	uint64_t last = (uint64_t)len << 56;
	for (size_t i = 0; i < left; i++)
		last |= (uint64_t)p[i] << (8 * i);
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void rds_table_init(struct rds_table *table)
{
	*table = (struct rds_table){0};
}

void rds_table_clear(struct rds_table *table)
{
	free(table->entries);
	free(table->hashes);
	rds_table_init(table);
}

void *rds_table_find(const struct rds_table *table, uint64_t hash, rds_table_match_fn match,
                     const void *key)
{
	if (table->size == 0)
		return NULL;
	size_t mask = table->size - 1;
	for (size_t i = hash & mask; table->entries[i] != NULL; i = (i + 1) & mask)
		if (table->hashes[i] == (uint32_t)hash && match(table->entries[i], key))
			return table->entries[i];
	return NULL;
}

void rds_table_prefetch(const struct rds_table *table, uint64_t hash)
{
	if (table->size == 0)
		return;
	size_t i = hash & (table->size - 1);
	__builtin_prefetch(&table->entries[i]);
	__builtin_prefetch(&table->hashes[i]);
}

const void *rds_table_guess(const struct rds_table *table, uint64_t hash)
{
	return table->size == 0 ? NULL : table->entries[hash & (table->size - 1)];
}

static void place(struct rds_table *table, uint32_t hash, void *entry)
{
	size_t mask = table->size - 1;
	size_t i = hash & mask;
	while (table->entries[i] != NULL)
		i = (i + 1) & mask;
	table->entries[i] = entry;
	table->hashes[i] = hash;
}

// The low 32 bits of a hash choose the slot: enough for four thousand million of them.
static void grow(struct rds_table *table)
{
	struct rds_table old = *table;
	table->size = old.size == 0 ? 16 : old.size * 2;
	table->entries = rds_calloc(table->size, sizeof *table->entries);
	table->hashes = rds_calloc(table->size, sizeof *table->hashes);
	for (size_t i = 0; i < old.size; i++)
		if (old.entries[i] != NULL)
			place(table, old.hashes[i], old.entries[i]);
	rds_table_clear(&old);
}

void rds_table_insert(struct rds_table *table, uint64_t hash, void *entry)
{
	if (table->used >= table->size / 4 * 3)
		grow(table);
	place(table, (uint32_t)hash, entry);
	table->used++;
}

// Closes the gap at i: moves back every later entry of the run that may stand there.
static void close_gap(struct rds_table *table, size_t gap)
{
	size_t mask = table->size - 1;
	for (size_t i = (gap + 1) & mask; table->entries[i] != NULL; i = (i + 1) & mask) {
		size_t home = table->hashes[i] & mask;
		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		table->entries[gap] = table->entries[i];
		table->hashes[gap] = table->hashes[i];
		gap = i;
	}
	table->entries[gap] = NULL;
}

void rds_table_remove(struct rds_table *table, uint64_t hash, const void *entry)
{
	if (table->size == 0)
		return;
	size_t mask = table->size - 1;
	for (size_t i = hash & mask; table->entries[i] != NULL; i = (i + 1) & mask) {
		if (table->entries[i] == entry) {
			close_gap(table, i);
			table->used--;
			return;
		}
	}
}

void *rds_table_next(const struct rds_table *table, size_t *at)
{
	while (*at < table->size) {
		void *entry = table->entries[(*at)++];
		if (entry != NULL)
			return entry;
	}
	return NULL;
}
