// SPDX-License-Identifier: MIT
// What became of the last attempts to connect: a bounded list for whoever asks "why did it fail".
#ifndef RDS_CORE_LEDGER_H
#define RDS_CORE_LEDGER_H

#include "core/addr.h"
#include "core/limits.h"
#include "core/reason.h"

enum rds_route { RDS_ROUTE_NONE, RDS_ROUTE_DIRECT, RDS_ROUTE_LAN, RDS_ROUTE_RELAY };

// Why a session goes by the relay.
enum rds_relay_why {
	RDS_RELAY_NOT,       // it needn't
	RDS_RELAY_ALWAYS,    // the server is told so
	RDS_RELAY_NETWORK,   // and so for a network of one side
	RDS_RELAY_MASK,      // one side is in the local network, the other isn't
	RDS_RELAY_WEBSOCKET, // A can't do otherwise
	RDS_RELAY_ASKED,     // A wants it
};

enum rds_step {
	RDS_STEP_ASKED,      // A asked
	RDS_STEP_PASSED_ON,  // and B was told
	RDS_STEP_HOLE_SENT,  // B has punched
	RDS_STEP_LOCAL_ADDR, // B named its local address
	RDS_STEP_RELAY,      // B goes to the relay
	RDS_STEP_LATE,       // B answered when A was gone
};

enum rds_verdict {
	RDS_VERDICT_OPEN,     // A still waits
	RDS_VERDICT_ANSWERED, // A got B's answer
	RDS_VERDICT_REFUSED,  // `why` says it
	RDS_VERDICT_SILENCE,  // B never answered
	RDS_VERDICT_LATE,     // B answered when A had gone
};

#define RDS_ATTEMPT_STEPS 12

struct rds_attempt {
	uint64_t number; // 1, 2, 3 ...; 0: none
	uint64_t at_ms;
	struct rds_addr from;
	enum rds_route route;
	enum rds_relay_why relay_why;
	enum rds_verdict verdict;
	enum rds_reason why;
	bool check;       // for an id that was reserved for `rdsrv check`
	uint64_t seen_ms; // when the target was last seen; 0: never
	uint32_t key;     // which of the server's keys A showed, where it is one of them
	uint8_t n_steps;
	struct {
		uint8_t step;
		uint32_t after_ms;
	} steps[RDS_ATTEMPT_STEPS];
	uint8_t id_len;
	uint8_t id[RDS_ID_MAX_BYTES];
	char uuid[9]; // short form of the relay session's
};

struct rds_ledger;

struct rds_ledger *rds_ledger_new(void);
void rds_ledger_free(struct rds_ledger *ledger);

// A new attempt; the oldest makes room. Borrowed until the next one.
struct rds_attempt *rds_ledger_add(struct rds_ledger *ledger, uint64_t now_ms,
                                   const struct rds_addr *from, struct rds_view id);

// The attempt of that number, NULL if it has made room.
struct rds_attempt *rds_ledger_find(struct rds_ledger *ledger, uint64_t number);

// The last attempt from that address for that id (empty: any), NULL if there is none.
struct rds_attempt *rds_ledger_last(struct rds_ledger *ledger, const struct rds_addr *from,
                                    struct rds_view id);

// The short form of its relay session's uuid, by which the relay's log names it too.
void rds_attempt_session(struct rds_attempt *attempt, struct rds_view uuid);

// Adds a step, if there is room for one more. attempt may be NULL.
void rds_attempt_step(struct rds_attempt *attempt, uint64_t now_ms, enum rds_step step);

// Walks from the newest to the oldest: *at = 0 to start; NULL ends.
const struct rds_attempt *rds_ledger_next(const struct rds_ledger *ledger, uint64_t *at);

// How many such a walk shows.
size_t rds_ledger_count(const struct rds_ledger *ledger);

// Shows none of what is there any more; who still waits is no concern of it.
void rds_ledger_clear(struct rds_ledger *ledger);

// What became of an attempt, in one phrase.
const char *rds_attempt_result(const struct rds_attempt *attempt);

const char *rds_route_name(enum rds_route route);
const char *rds_relay_why_name(enum rds_relay_why why);
const char *rds_step_name(enum rds_step step);
const char *rds_verdict_name(enum rds_verdict verdict);

#endif
