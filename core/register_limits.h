// SPDX-License-Identifier: MIT
// How often one source may register (protocol.md section 4 point 5). Sources are IPv4
// addresses and IPv6 /64s; what is remembered is bounded (RDS_LIMITED_SOURCES).
#ifndef RDS_CORE_REGISTER_LIMITS_H
#define RDS_CORE_REGISTER_LIMITS_H

#include "core/addr.h"
#include "core/reason.h"
#include "core/table.h"

struct rds_register_limits_config {
	uint32_t per_minute;           // RegisterPk in a sliding minute; 0: any number
	uint32_t ids_per_day;          // different ids in a sliding day; 0: any number
	const struct rds_cidr *exempt; // borrows
	size_t n_exempt;
};

struct rds_register_limits;

struct rds_register_limits *rds_register_limits_new(const struct rds_register_limits_config *config,
                                                    const struct rds_seed *seed);
void rds_register_limits_free(struct rds_register_limits *limits);

// Counts one RegisterPk for id from ip at now_ms (never going back). RDS_WHY_NONE, or the limit
// that it is over: RDS_WHY_IP_TOO_FREQUENT, RDS_WHY_IP_TOO_MANY_IDS.
enum rds_reason rds_register_limits_count(struct rds_register_limits *limits, uint64_t now_ms,
                                          const struct rds_ip *ip, struct rds_view id);

// What counts of one source now.
struct rds_limited {
	struct rds_ip ip; // an IPv6 /64's first
	uint32_t tries;   // in the last minute
	uint32_t ids;     // different ones, in the last day
};

// Looks up ip's source; false: nothing of it is remembered.
bool rds_register_limits_look(const struct rds_register_limits *limits, uint64_t now_ms,
                              const struct rds_ip *ip, struct rds_limited *out);

// Fills out with up to max sources, the one seen last first, leaving out the first `skip`. Returns
// how many.
size_t rds_register_limits_list(const struct rds_register_limits *limits, uint64_t now_ms,
                                size_t skip, struct rds_limited *out, size_t max);

// Forgets what counts of ip's source: it starts anew. false: there was nothing.
bool rds_register_limits_forget(struct rds_register_limits *limits, const struct rds_ip *ip);

// Sources remembered now; never over RDS_LIMITED_SOURCES.
size_t rds_register_limits_sources(const struct rds_register_limits *limits);

#endif
