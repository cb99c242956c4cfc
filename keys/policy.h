// SPDX-License-Identifier: MIT
// What -k means (protocol.md section 12): which key clients must show, and which one signs.
#ifndef RDS_KEYS_POLICY_H
#define RDS_KEYS_POLICY_H

#include "core/key_hooks.h"
#include "keys/datadir.h"
#include "keys/keypair.h"

// How a role comes by its key when -k doesn't say.
enum rds_key_default {
	RDS_KEY_FILES,         // the key files, made if they aren't there
	RDS_KEY_FILES_OR_OPEN, // the key files if they are there, else none is enforced (hbbr)
};

struct rds_key_request {
	const char *option; // what -k says; NULL: nothing
	enum rds_key_default otherwise;
	bool signs; // the role signs (id): it wants a pair even where none is enforced
};

struct rds_key_policy;

// Does what the request says, making key files where it says so; logs what follows for clients.
// -RDS_EPARSE and the like with *err.
int rds_key_policy_open(const struct rds_datadir *dir, const struct rds_key_request *request,
                        struct rds_key_policy **out, struct rds_error *err)
        __attribute__((warn_unused_result));
void rds_key_policy_free(struct rds_key_policy *policy);

// The text that clients must show; NULL: none is enforced.
const char *rds_key_policy_enforced(const struct rds_key_policy *policy);

// The text that clients are to be configured with: the enforced one, else that of the pair;
// NULL if there is neither.
const char *rds_key_policy_client_text(const struct rds_key_policy *policy);

// Whether the pair was made just now.
bool rds_key_policy_made(const struct rds_key_policy *policy);

// Whether there is a pair to sign with.
bool rds_key_policy_signs(const struct rds_key_policy *policy);

enum rds_key_verdict rds_key_policy_check(const struct rds_key_policy *policy,
                                          struct rds_view licence_key);

// false: no pair, or the crypto library refused.
bool rds_key_policy_sign(const struct rds_key_policy *policy, struct rds_view bytes,
                         uint8_t signature[64]);

#endif
