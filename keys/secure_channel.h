// SPDX-License-Identifier: MIT
// The secure channel on TCP 21116 (protocol.md section 6): the server's offer, a client's
// answer, and sealed payloads. Bytes in, bytes out.
#ifndef RDS_KEYS_SECURE_CHANNEL_H
#define RDS_KEYS_SECURE_CHANNEL_H

#include "core/key_hooks.h"
#include "core/secure_hooks.h"

struct rds_offerer;

// A box key of its own at once, and a new one each hour. sign is called once for each, by each of
// the server's keys that are set. seed: the first box secret, for tests; NULL: random.
struct rds_offerer *rds_offerer_new(const struct rds_key_hooks *keys, const uint8_t seed[32]);
void rds_offerer_free(struct rds_offerer *offerer);

// The server's keys to sign with, by their handles, at most RDS_OFFERED_KEYS; at first it is the
// current one alone.
void rds_offerer_set_keys(struct rds_offerer *offerer, const uint32_t *handles, size_t n);

// The offer signed with that key, or with the first where it isn't set; empty where nothing can be
// signed. Borrowed until the next call.
struct rds_view rds_offerer_offer(struct rds_offerer *offerer, uint64_t now_ms, uint32_t key);

// See struct rds_secure_hooks.
struct rds_channel *rds_offerer_accept(struct rds_offerer *offerer, uint64_t now_ms,
                                       struct rds_view payload) __attribute__((warn_unused_result));

// A channel under a known key, both directions at their start: what the other side makes too.
struct rds_channel *rds_channel_new(const uint8_t key[32]);
void rds_channel_free(struct rds_channel *channel);
bool rds_channel_open(struct rds_channel *channel, struct rds_view sealed, uint8_t *plain);
void rds_channel_seal(struct rds_channel *channel, struct rds_view plain, uint8_t *sealed);

// Of libsodium, as it is in use.
const char *rds_sodium_version(void);

#endif
