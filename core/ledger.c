// SPDX-License-Identifier: MIT
#include "core/ledger.h"

#include "core/alloc.h"

#include <stdlib.h>

struct rds_ledger {
	uint64_t last;                                    // number of the newest
	uint64_t cleared;                                 // number of the last that is not shown
	struct rds_attempt attempts[RDS_LEDGER_ATTEMPTS]; // by number
};

struct rds_ledger *rds_ledger_new(void)
{
	return rds_calloc(1, sizeof(struct rds_ledger));
}

void rds_ledger_free(struct rds_ledger *ledger)
{
	free(ledger);
}

struct rds_attempt *rds_ledger_add(struct rds_ledger *ledger, uint64_t now_ms,
                                   const struct rds_addr *from, struct rds_view id)
{
	uint64_t number = ++ledger->last;
	struct rds_attempt *attempt = &ledger->attempts[number % RDS_LEDGER_ATTEMPTS];
	*attempt = (struct rds_attempt){.number = number, .at_ms = now_ms, .from = *from};
	attempt->id_len = (uint8_t)(id.len < sizeof attempt->id ? id.len : sizeof attempt->id);
	if (id.len > 0)
		memcpy(attempt->id, id.data, attempt->id_len);
	rds_attempt_step(attempt, now_ms, RDS_STEP_ASKED);
	return attempt;
}

struct rds_attempt *rds_ledger_find(struct rds_ledger *ledger, uint64_t number)
{
	struct rds_attempt *attempt = &ledger->attempts[number % RDS_LEDGER_ATTEMPTS];
	return number != 0 && attempt->number == number ? attempt : NULL;
}

struct rds_attempt *rds_ledger_last(struct rds_ledger *ledger, const struct rds_addr *from,
                                    struct rds_view id)
{
	uint64_t at = 0;
	for (const struct rds_attempt *a; (a = rds_ledger_next(ledger, &at)) != NULL;)
		if (rds_addr_equal(&a->from, from) &&
		    (id.len == 0 || rds_view_equal(rds_view_of(a->id, a->id_len), id)))
			return rds_ledger_find(ledger, a->number);
	return NULL;
}

void rds_attempt_step(struct rds_attempt *attempt, uint64_t now_ms, enum rds_step step)
{
	if (attempt == NULL || attempt->n_steps == RDS_ATTEMPT_STEPS)
		return;
	attempt->steps[attempt->n_steps].step = (uint8_t)step;
	attempt->steps[attempt->n_steps++].after_ms = (uint32_t)(now_ms - attempt->at_ms);
}

void rds_attempt_session(struct rds_attempt *attempt, struct rds_view uuid)
{
	if (attempt == NULL || uuid.len == 0)
		return;
	size_t len = uuid.len < sizeof attempt->uuid - 1 ? uuid.len : sizeof attempt->uuid - 1;
	memset(attempt->uuid, 0, sizeof attempt->uuid);
	memcpy(attempt->uuid, uuid.data, len);
}

size_t rds_ledger_count(const struct rds_ledger *ledger)
{
	uint64_t n = ledger->last - ledger->cleared;
	return (size_t)(n < RDS_LEDGER_ATTEMPTS ? n : RDS_LEDGER_ATTEMPTS);
}

void rds_ledger_clear(struct rds_ledger *ledger)
{
	ledger->cleared = ledger->last;
}

const struct rds_attempt *rds_ledger_next(const struct rds_ledger *ledger, uint64_t *at)
{
	uint64_t number = ledger->last - *at;
	if (*at >= rds_ledger_count(ledger))
		return NULL;
	(*at)++;
	return &ledger->attempts[number % RDS_LEDGER_ATTEMPTS];
}

const char *rds_route_name(enum rds_route route)
{
	static const char *const names[] = {"none", "direct", "lan", "relay"};
	return names[route];
}

const char *rds_relay_why_name(enum rds_relay_why why)
{
	static const char *const names[] = {"",
	                                    "always-use-relay",
	                                    "always-use-relay for a network",
	                                    "one side is in mask",
	                                    "websocket",
	                                    "the client wants it"};
	return names[why];
}

const char *rds_step_name(enum rds_step step)
{
	static const char *const names[] = {"asked",      "passed on", "hole sent",
	                                    "local addr", "relay",     "answered too late"};
	return names[step];
}

const char *rds_verdict_name(enum rds_verdict verdict)
{
	static const char *const names[] = {"waiting", "answered", "refused",
	                                    "target never answered", "answer came too late"};
	return names[verdict];
}

const char *rds_attempt_result(const struct rds_attempt *attempt)
{
	return attempt->verdict == RDS_VERDICT_REFUSED ? rds_reason_name(attempt->why)
	                                               : rds_verdict_name(attempt->verdict);
}
