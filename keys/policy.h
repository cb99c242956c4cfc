// SPDX-License-Identifier: MIT
// What -k means (protocol.md section 12): which keys clients must show, and which one signs. Beside
// the current key those of the keyring count: retired ones in their time of grace, and one that was
// made ahead.
#ifndef RDS_KEYS_POLICY_H
#define RDS_KEYS_POLICY_H

#include "core/key_hooks.h"
#include "core/limits.h"
#include "keys/datadir.h"
#include "keys/keypair.h"
#include "keys/keyring.h"

// How a role comes by its key when -k doesn't say.
enum rds_key_default {
	RDS_KEY_FILES,         // the key files, made if they aren't there
	RDS_KEY_FILES_OR_OPEN, // the key files if they are there, else none is enforced (hbbr)
};

struct rds_key_request {
	const char *option; // what -k says; NULL: nothing. Borrowed
	enum rds_key_default otherwise;
	bool signs; // the role signs (id): it wants a pair even where none is enforced
	bool again; // what it logs was logged before
};

struct rds_key_policy;

// Does what the request says, making key files where it says so; logs what follows for clients.
// -RDS_EPARSE and the like with *err. dir is borrowed.
int rds_key_policy_open(const struct rds_datadir *dir, const struct rds_key_request *request,
                        struct rds_key_policy **out, struct rds_error *err)
        __attribute__((warn_unused_result));
void rds_key_policy_free(struct rds_key_policy *policy);

// Whether the files that it read have changed since.
bool rds_key_policy_is_stale(const struct rds_key_policy *policy);

enum rds_key_news {
	RDS_KEY_NEWS_NONE,
	RDS_KEY_NEWS_OTHERS,  // which keys are accepted beside the current one, or until when
	RDS_KEY_NEWS_CURRENT, // clients are told another key
};

// Reads them anew. Keys that stay keep their handles. A failure, with *err, leaves it as it was, as
// does -RDS_EBUSY: another process is at work on the files, try again soon.
int rds_key_policy_reload(struct rds_key_policy *policy, enum rds_key_news *news,
                          struct rds_error *err) __attribute__((warn_unused_result));

// The text that clients must show (the first of several); NULL: none is enforced.
const char *rds_key_policy_enforced(const struct rds_key_policy *policy);

// The text that clients are to be configured with: the enforced one, else that of the pair;
// NULL if there is neither.
const char *rds_key_policy_client_text(const struct rds_key_policy *policy);

// Whether the pair was made just now.
bool rds_key_policy_made(const struct rds_key_policy *policy);

// Whether there is a pair to sign with.
bool rds_key_policy_signs(const struct rds_key_policy *policy);

// now: Unix seconds. *held: the handle of the key that it is, if it is one of ours.
enum rds_key_verdict rds_key_policy_check(const struct rds_key_policy *policy, int64_t now,
                                          struct rds_view licence_key, uint32_t *held);

// Until when a key of ours is, or was, accepted: Unix seconds; 0: it is no retired key.
int64_t rds_key_policy_accepted_until(const struct rds_key_policy *policy,
                                      struct rds_view licence_key);

// The public text of a handle, or NULL.
const char *rds_key_policy_text(const struct rds_key_policy *policy, uint32_t held);

// The handles of the keys that are accepted at now and can sign, the current one first. Returns how
// many, at most RDS_OFFERED_KEYS.
size_t rds_key_policy_signers(const struct rds_key_policy *policy, int64_t now,
                              uint32_t handles[RDS_OFFERED_KEYS]);

// Signs with that key, or with the current one where it can't. false: no pair, or the crypto
// library refused.
bool rds_key_policy_sign(const struct rds_key_policy *policy, uint32_t held, struct rds_view bytes,
                         uint8_t signature[64]);

#endif
