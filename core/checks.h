// SPDX-License-Identifier: MIT
// The ids that `rdsrv check` has reserved to play clients with: a few, for a minute, in memory.
#ifndef RDS_CORE_CHECKS_H
#define RDS_CORE_CHECKS_H

#include "core/limits.h"
#include "core/view.h"

// How these ids begin, and the session uuids of checks: clients draw neither. An id of this form
// that nobody has reserved is an id like any other.
#define RDS_CHECK_PREFIX "rdsrv-check-"

struct rds_check_id {
	uint64_t until_ms;
	uint8_t len;
	uint8_t bytes[RDS_CHECK_ID_MAX_BYTES];
};

// In the order in which they expire. Begins as zeros.
struct rds_checks {
	size_t n;
	struct rds_check_id ids[RDS_CHECK_IDS];
};

bool rds_is_check(struct rds_view id_or_uuid);

// Reserves id for RDS_CHECK_MS; copies. -RDS_EINVAL if it isn't of the form of such ids,
// -RDS_EEXIST, -RDS_EFULL.
int rds_checks_reserve(struct rds_checks *checks, uint64_t now_ms, struct rds_view id)
        __attribute__((warn_unused_result));

bool rds_checks_has(const struct rds_checks *checks, struct rds_view id);

// false: it isn't reserved.
bool rds_checks_release(struct rds_checks *checks, struct rds_view id);

// Takes out one whose time is over; false: there is none.
bool rds_checks_expire(struct rds_checks *checks, uint64_t now_ms, struct rds_check_id *out);

#endif
