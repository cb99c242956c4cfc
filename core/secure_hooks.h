// SPDX-License-Identifier: MIT
// What net needs of the secure channel (protocol.md section 6): it reaches keys/ only by these
// callbacks, which cmd/ wires in.
#ifndef RDS_CORE_SECURE_HOOKS_H
#define RDS_CORE_SECURE_HOOKS_H

#include "core/addr.h"
#include "core/view.h"

// Bytes by which a sealed payload is longer than a plain one.
#define RDS_SEAL_BYTES 16

// Shorter payloads go through as they are, and don't count.
#define RDS_SEALED_MIN_BYTES 2

// One connection's channel; keys/ knows what is in it.
struct rds_channel;

struct rds_secure_hooks {
	void *ctx;
	// The payload to be sent first; borrowed until the next call. Empty: no channel is offered.
	// *key: the handle of the server's key that signed it.
	struct rds_view (*offer)(void *ctx, uint64_t now_ms, const struct rds_ip *from,
	                         uint32_t *key);
	// Takes the client's answer to an offer. NULL: it doesn't open.
	struct rds_channel *(*accept)(void *ctx, uint64_t now_ms, const struct rds_ip *from,
	                              uint32_t key, struct rds_view payload);
	// The client has read the offer that this key signed, and left without a word.
	void (*refused)(void *ctx, const struct rds_ip *from, uint32_t key);
	// The next payload in, to plain (sealed.len - RDS_SEAL_BYTES); false: not from that client.
	bool (*open)(struct rds_channel *channel, struct rds_view sealed, uint8_t *plain);
	// The next payload out, to sealed (plain.len + RDS_SEAL_BYTES).
	void (*seal)(struct rds_channel *channel, struct rds_view plain, uint8_t *sealed);
	// Wipes and frees; NULL is fine.
	void (*free)(struct rds_channel *channel);
};

#endif
