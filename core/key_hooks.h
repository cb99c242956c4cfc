// SPDX-License-Identifier: MIT
// What core and net need of the server's key: they reach it only by these callbacks, which cmd/
// wires to keys/.
#ifndef RDS_CORE_KEY_HOOKS_H
#define RDS_CORE_KEY_HOOKS_H

#include "core/addr.h"
#include "core/reason.h"

#define RDS_SIGNATURE_BYTES 64

// What a client's licence_key turned out to be.
enum rds_key_verdict {
	RDS_KEY_OK,
	RDS_KEY_ABSENT,
	RDS_KEY_WRONG,
	RDS_KEY_RETIRED, // one of ours that is no longer accepted
};

// Names whichever of the server's keys is current; other numbers name one of them for as long as
// the process runs.
#define RDS_KEY_CURRENT 0U

struct rds_key_hooks {
	void *ctx;
	// *held: the key that the client holds, where it is one of ours. from: NULL for a check of
	// ours, which is no use of that key to be remembered.
	enum rds_key_verdict (*check)(void *ctx, struct rds_view licence_key,
	                              const struct rds_addr *from, uint32_t *held);
	// Logs a refusal with both fingerprints; id is whom the client asked for, if it said so.
	void (*refused)(void *ctx, enum rds_key_verdict verdict, struct rds_view licence_key,
	                struct rds_view id, const struct rds_addr *from);
	// Signs with the key that the client holds. false: no key to sign with.
	bool (*sign)(void *ctx, uint32_t held, struct rds_view bytes,
	             uint8_t signature[RDS_SIGNATURE_BYTES]);
};

static inline enum rds_reason rds_key_reason(enum rds_key_verdict verdict)
{
	return verdict == RDS_KEY_OK        ? RDS_WHY_NONE
	       : verdict == RDS_KEY_ABSENT  ? RDS_WHY_KEY_ABSENT
	       : verdict == RDS_KEY_RETIRED ? RDS_WHY_KEY_RETIRED
	                                    : RDS_WHY_KEY_WRONG;
}

// The check as every door makes it: white space around the key is forgiven, a refusal is told, but
// for one of a check of ours (from is NULL).
static inline enum rds_key_verdict rds_key_judge(const struct rds_key_hooks *keys,
                                                 struct rds_view licence_key, struct rds_view id,
                                                 const struct rds_addr *from, uint32_t *held)
{
	struct rds_view key = rds_view_trim(licence_key);
	enum rds_key_verdict verdict = keys->check(keys->ctx, key, from, held);
	if (verdict != RDS_KEY_OK && from != NULL)
		keys->refused(keys->ctx, verdict, key, id, from);
	return verdict;
}

#endif
