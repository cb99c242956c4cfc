// SPDX-License-Identifier: MIT
// Which two relay connections belong together (protocol.md section 9): the first of a session
// uuid waits, the second meets it and the uuid is free again.
#ifndef RDS_CORE_PAIRING_H
#define RDS_CORE_PAIRING_H

#include "core/addr.h"
#include "core/reason.h"
#include "core/table.h"

// How the session uuids of an ID server's probes begin: relays keep them out of the way of those
// who look for sessions.
#define RDS_PROBE_UUID_PREFIX "rdsrv-probe-"

struct rds_pairing;

struct rds_pairing *rds_pairing_new(const struct rds_seed *seed);
void rds_pairing_free(struct rds_pairing *pairing);

enum rds_pairing_result {
	RDS_PAIRING_WAIT,    // first of its uuid: waits
	RDS_PAIRING_PAIRED,  // *other is its other side
	RDS_PAIRING_REFUSED, // *why says why
};

// conn offers uuid at now_ms.
enum rds_pairing_result rds_pairing_offer(struct rds_pairing *pairing, uint64_t now_ms,
                                          uint64_t conn, struct rds_view uuid, uint64_t *other,
                                          enum rds_reason *why);

// conn waits no more; one that wasn't waiting is no error.
void rds_pairing_cancel(struct rds_pairing *pairing, uint64_t conn);

// Takes out one connection that has waited for RDS_RELAY_WAIT_MS; false if there is none.
bool rds_pairing_expire(struct rds_pairing *pairing, uint64_t now_ms, uint64_t *conn);

size_t rds_pairing_waiting(const struct rds_pairing *pairing);

#endif
