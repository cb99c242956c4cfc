// SPDX-License-Identifier: MIT
#include "core/key_choice.h"

#include "core/alloc.h"
#include "core/limits.h"

#include <stdlib.h>

// One source; those whose hashes fall together push each other out, which costs a client a retry.
struct slot {
	uint32_t tag;     // of the source's hash; 0: free
	uint32_t key;     // to be offered; 0: the first
	bool refused;     // it was, so the next one is due
};

struct rds_key_choice {
	struct rds_seed seed;
	struct slot slots[RDS_KEY_CHOICES];
};

struct rds_key_choice *rds_key_choice_new(const struct rds_seed *seed)
{
	struct rds_key_choice *choice = rds_calloc(1, sizeof *choice);
	choice->seed = *seed;
	return choice;
}

void rds_key_choice_free(struct rds_key_choice *choice)
{
	free(choice);
}

static struct slot *slot_of(struct rds_key_choice *choice, const struct rds_ip *from)
{
	struct rds_ip source = rds_ip_source(from);
	uint64_t hash = rds_hash(&choice->seed, source.b, sizeof source.b);
	struct slot *slot = &choice->slots[hash % RDS_KEY_CHOICES];
	uint32_t tag = (uint32_t)(hash >> 32) | 1U;
	if (slot->tag != tag)
		*slot = (struct slot){.tag = tag};
	return slot;
}

// Where in the list the key is; n if it isn't.
static size_t index_of(uint32_t key, const uint32_t *keys, size_t n)
{
	size_t i = 0;
	while (i < n && keys[i] != key)
		i++;
	return i;
}

uint32_t rds_key_choice_next(struct rds_key_choice *choice, const struct rds_ip *from,
                             const uint32_t *keys, size_t n)
{
	if (n == 1)
		return keys[0];
	struct slot *slot = slot_of(choice, from);
	size_t at = index_of(slot->key, keys, n);
	if (at == n)
		at = 0;
	else if (slot->refused)
		at = (at + 1) % n;
	slot->key = keys[at];
	slot->refused = false;
	return slot->key;
}

void rds_key_choice_opened(struct rds_key_choice *choice, const struct rds_ip *from, uint32_t key)
{
	struct slot *slot = slot_of(choice, from);
	slot->key = key;
	slot->refused = false;
}

void rds_key_choice_refused(struct rds_key_choice *choice, const struct rds_ip *from, uint32_t key)
{
	struct slot *slot = slot_of(choice, from);
	// Else another one is due already.
	if (slot->key == key)
		slot->refused = true;
}
