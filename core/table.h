// SPDX-License-Identifier: MIT
// A hash table of pointers: open addressing, 12 bytes a slot. It owns none of its entries.
// Hashes are keyed (SipHash), so that strangers can't aim at one bucket.
#ifndef RDS_CORE_TABLE_H
#define RDS_CORE_TABLE_H

#include "core/view.h"

struct rds_seed {
	uint64_t k[2];
};

// SipHash-1-3 of len bytes.
uint64_t rds_hash(const struct rds_seed *seed, const void *bytes, size_t len);

typedef bool (*rds_table_match_fn)(const void *entry, const void *key);

struct rds_table {
	void **entries;
	uint32_t *hashes;
	size_t size; // slots: a power of two, or 0
	size_t used;
};

void rds_table_init(struct rds_table *table);

// Frees the slots, not the entries.
void rds_table_clear(struct rds_table *table);

// The first entry with this hash for which match(entry, key) holds, or NULL.
void *rds_table_find(const struct rds_table *table, uint64_t hash, rds_table_match_fn match,
                     const void *key);

// For lookups that come in batches, so that they don't wait for memory one after the other: has the
// slot of hash fetched into the CPU's cache; then tells what is in it, most likely what will be
// found (or NULL), so that it can be fetched too.
void rds_table_prefetch(const struct rds_table *table, uint64_t hash);
const void *rds_table_guess(const struct rds_table *table, uint64_t hash);

// Adds entry; whether there is an equal one is the caller's business.
void rds_table_insert(struct rds_table *table, uint64_t hash, void *entry);

// Takes out this very entry, if it is there.
void rds_table_remove(struct rds_table *table, uint64_t hash, const void *entry);

// Walks over all entries in no order: start with *at = 0; NULL ends. The table must not change
// meanwhile.
void *rds_table_next(const struct rds_table *table, size_t *at);

#endif
