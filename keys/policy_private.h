// SPDX-License-Identifier: MIT
// Shared by policy.c and policy_open.c and nobody else.
#ifndef RDS_KEYS_POLICY_PRIVATE_H
#define RDS_KEYS_POLICY_PRIVATE_H

#include "keys/policy.h"
#include "keys/rotate.h"

#define FOREVER INT64_MAX

// A client that holds the text may come in until then.
struct key {
	char *text;
	struct rds_keypair *pair; // NULL: can't sign
	uint32_t handle;
	int64_t until;         // of retired ones; FOREVER
	bool retired_for_good; // before its time: refused, whatever the clock says
};

// The files that a policy is made of, and how they were when they were read.
#define N_WATCHED 3

struct rds_key_policy {
	const struct rds_datadir *dir;
	char *option; // of the request; NULL: none
	struct rds_key_request request;
	struct key *keys; // the current one first; empty: none
	size_t n;
	uint32_t last_handle;
	bool enforces; // one of them has to be shown
	bool follows;  // the files; else what -k said is all there is
	bool made;
	struct stat seen[N_WATCHED];
};

// Fills in a policy that knows its directory and request. -RDS_EPARSE and the like with *err.
int policy_apply(struct rds_key_policy *policy, struct rds_error *err)
        __attribute__((warn_unused_result));

#endif
