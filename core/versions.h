// SPDX-License-Identifier: MIT
// The versions of their clients that peers report. There are few different ones, so each peer holds
// a number, and each text is here once.
#ifndef RDS_CORE_VERSIONS_H
#define RDS_CORE_VERSIONS_H

#include "core/limits.h"
#include "core/view.h"

struct rds_versions {
	struct rds_version {
		uint32_t users; // 0: the place is free
		uint8_t len;
		uint8_t text[RDS_VERSION_MAX_BYTES];
	} * items;
	uint16_t n; // places
};

// Zero it to start.
void rds_versions_clear(struct rds_versions *versions);

// The number of a text, which has one more user from now on. 0: it is empty, no word of plain text,
// over RDS_VERSION_MAX_BYTES, or as many others as there may be have users.
uint16_t rds_versions_take(struct rds_versions *versions, struct rds_view text);

// One user of that number less; 0 is no error.
void rds_versions_release(struct rds_versions *versions, uint16_t number);

// Empty for 0. Borrowed until the next take.
struct rds_view rds_versions_text(const struct rds_versions *versions, uint16_t number);

#endif
