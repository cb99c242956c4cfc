// SPDX-License-Identifier: MIT
// The session uuids that the ID server has passed on lately, for a relay that pairs no others.
#ifndef RDS_CORE_ISSUED_H
#define RDS_CORE_ISSUED_H

#include "core/table.h"

struct rds_issued;

struct rds_issued *rds_issued_new(const struct rds_seed *seed);
void rds_issued_free(struct rds_issued *issued);

// uuid has been passed on.
void rds_issued_add(struct rds_issued *issued, uint64_t now_ms, struct rds_view uuid);

// Whether it was within the last RDS_ISSUED_MS (and up to twice that). When more have been added
// than are held, the oldest are forgotten first.
bool rds_issued_has(struct rds_issued *issued, uint64_t now_ms, struct rds_view uuid);

#endif
