// SPDX-License-Identifier: MIT
// Token buckets by source (IPv4 address, IPv6 /64) in a table of fixed size: what answers to
// unproven addresses may cost, so that forged datagrams make no reflector of this server.
#ifndef RDS_CORE_RATE_H
#define RDS_CORE_RATE_H

#include "core/addr.h"
#include "core/table.h"

struct rds_rate;

// per_second and burst for each source, total_per_second for all together; 0: no limit.
struct rds_rate *rds_rate_new(const struct rds_seed *seed, uint32_t per_second, uint32_t burst,
                              uint32_t total_per_second);
void rds_rate_free(struct rds_rate *rate);

// Takes a token for ip; false: there is none now.
bool rds_rate_pass(struct rds_rate *rate, uint64_t now_ms, const struct rds_ip *ip);

#endif
