// SPDX-License-Identifier: MIT
#include "core/issued.h"

#include "core/alloc.h"
#include "core/limits.h"

#include <stdlib.h>

// Twice as many slots as entries, and a power of two.
#define SLOTS (2 * RDS_ISSUED_SESSIONS)
_Static_assert((SLOTS & (SLOTS - 1)) == 0, "slots are masked");

// Hashes of uuids (keyed, so nobody aims at one); 0: free.
struct generation {
	size_t n;
	uint64_t slots[SLOTS];
};

struct rds_issued {
	struct rds_seed seed;
	uint64_t since_ms; // of the younger generation
	unsigned young;
	struct generation generations[2];
};

struct rds_issued *rds_issued_new(const struct rds_seed *seed)
{
	struct rds_issued *issued = rds_calloc(1, sizeof *issued);
	issued->seed = *seed;
	return issued;
}

void rds_issued_free(struct rds_issued *issued)
{
	free(issued);
}

static uint64_t hash_of(const struct rds_issued *issued, struct rds_view uuid)
{
	uint64_t hash = rds_hash(&issued->seed, uuid.data, uuid.len);
	return hash == 0 ? 1 : hash;
}

// Where the hash is, or would be.
static uint64_t *slot_of(struct generation *generation, uint64_t hash)
{
	size_t at = hash & (SLOTS - 1);
	while (generation->slots[at] != 0 && generation->slots[at] != hash)
		at = (at + 1) & (SLOTS - 1);
	return &generation->slots[at];
}

static void turn(struct rds_issued *issued, uint64_t now_ms)
{
	issued->young = 1 - issued->young;
	issued->since_ms = now_ms;
	memset(&issued->generations[issued->young], 0, sizeof issued->generations[0]);
}

static void age(struct rds_issued *issued, uint64_t now_ms)
{
	bool very_old = now_ms - issued->since_ms >= 2 * (uint64_t)RDS_ISSUED_MS;
	if (now_ms - issued->since_ms >= RDS_ISSUED_MS)
		turn(issued, now_ms);
	if (very_old)
		turn(issued, now_ms);
}

void rds_issued_add(struct rds_issued *issued, uint64_t now_ms, struct rds_view uuid)
{
	uint64_t hash = hash_of(issued, uuid);
	age(issued, now_ms);
	if (issued->generations[issued->young].n == RDS_ISSUED_SESSIONS)
		turn(issued, now_ms);
	struct generation *young = &issued->generations[issued->young];
	uint64_t *slot = slot_of(young, hash);
	young->n += *slot == 0;
	*slot = hash;
}

bool rds_issued_has(struct rds_issued *issued, uint64_t now_ms, struct rds_view uuid)
{
	uint64_t hash = hash_of(issued, uuid);
	age(issued, now_ms);
	return *slot_of(&issued->generations[0], hash) == hash ||
	       *slot_of(&issued->generations[1], hash) == hash;
}
