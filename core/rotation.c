// SPDX-License-Identifier: MIT
#include "core/rotation.h"

#include "core/alloc.h"
#include "core/log.h"

#include <stdio.h>
#include <stdlib.h>

void rds_rotation_clear(struct rds_rotation *rotation)
{
	free(rotation->health);
	*rotation = (struct rds_rotation){0};
}

static const struct rds_relay_health *health_of(const struct rds_rotation *rotation,
                                                struct rds_view name)
{
	for (size_t i = 0; i < rotation->n; i++)
		if (rds_relay_same_name(rotation->relays[i].name, name))
			return &rotation->health[i];
	return NULL;
}

void rds_rotation_set_relays(struct rds_rotation *rotation, const struct rds_relay_names *relays,
                             size_t n)
{
	struct rds_relay_health *health = rds_calloc(n, sizeof *health);
	for (size_t i = 0; i < n; i++) {
		const struct rds_relay_health *known = health_of(rotation, relays[i].name);
		if (known != NULL)
			health[i] = *known;
	}
	free(rotation->health);
	rotation->health = health;
	rotation->relays = relays;
	rotation->n = n;
}

void rds_rotation_probe_every(struct rds_rotation *rotation, unsigned interval_ms)
{
	rotation->interval_ms = interval_ms;
	for (size_t i = 0; i < rotation->n && interval_ms == 0; i++)
		rotation->health[i] = (struct rds_relay_health){0};
}

const struct rds_relay_names *rds_rotation_next(struct rds_rotation *rotation)
{
	if (rotation->n == 0)
		return NULL;
	size_t at = rotation->next % rotation->n;
	// If all are dead this ends where it began.
	for (size_t i = 0; i < rotation->n && rotation->health[at].state == RDS_RELAY_DEAD; i++)
		at = (at + 1) % rotation->n;
	rotation->next = at + 1;
	return &rotation->relays[at];
}

size_t rds_rotation_count(const struct rds_rotation *rotation, enum rds_relay_state state)
{
	size_t count = 0;
	for (size_t i = 0; i < rotation->n; i++)
		count += rotation->health[i].state == state;
	return count;
}

// The relay that has to be probed before all others; n: none has to be.
static size_t find_due(const struct rds_rotation *rotation)
{
	size_t found = rotation->n;
	for (size_t i = 0; i < rotation->n && rotation->interval_ms > 0; i++)
		if (!rotation->health[i].probing &&
		    (found == rotation->n ||
		     rotation->health[i].due_ms < rotation->health[found].due_ms))
			found = i;
	return found;
}

uint64_t rds_rotation_wait_ms(const struct rds_rotation *rotation, uint64_t now_ms)
{
	size_t i = find_due(rotation);
	if (i == rotation->n)
		return UINT64_MAX;
	// At twice the pace that is needed, so that none is late for long.
	uint64_t at_ms = rotation->probed_ms + rotation->interval_ms / (2 * rotation->n);
	if (at_ms < rotation->health[i].due_ms)
		at_ms = rotation->health[i].due_ms;
	return at_ms > now_ms ? at_ms - now_ms : 0;
}

const struct rds_relay_names *rds_rotation_take_due(struct rds_rotation *rotation, uint64_t now_ms)
{
	if (rds_rotation_wait_ms(rotation, now_ms) > 0)
		return NULL;
	const struct rds_relay_names *due = &rotation->relays[find_due(rotation)];
	// A relay may be in the list more than once, to be handed out more often.
	for (size_t i = 0; i < rotation->n; i++) {
		if (!rds_relay_same_name(rotation->relays[i].name, due->name))
			continue;
		rotation->health[i].probing = true;
		rotation->health[i].due_ms = now_ms + rotation->interval_ms;
	}
	rotation->probed_ms = now_ms;
	return due;
}

// Before the next probe: the dead are left alone for longer and longer.
static uint64_t pause_ms(const struct rds_rotation *rotation, unsigned failures)
{
	uint64_t pause = rotation->interval_ms;
	for (unsigned i = RDS_PROBE_FAILURES; i < failures && pause < RDS_PROBE_PAUSE_MAX_MS; i++)
		pause = 2 * pause < RDS_PROBE_PAUSE_MAX_MS ? 2 * pause : RDS_PROBE_PAUSE_MAX_MS;
	return pause;
}

static enum rds_relay_state state_after(struct rds_rotation *rotation,
                                        struct rds_relay_health *health, uint64_t now_ms,
                                        const char *why, unsigned round_trip_ms)
{
	health->why[0] = '\0';
	if (why == NULL) {
		health->failures = 0;
		health->round_trip_ms = round_trip_ms;
		return RDS_RELAY_ALIVE;
	}
	(void)snprintf(health->why, sizeof health->why, "%s", why);
	health->failures++;
	health->due_ms = now_ms + pause_ms(rotation, health->failures);
	return health->failures < RDS_PROBE_FAILURES ? health->state : RDS_RELAY_DEAD;
}

static void log_change(const struct rds_rotation *rotation, struct rds_view name, const char *why,
                       unsigned round_trip_ms)
{
	bool all_dead = rds_rotation_count(rotation, RDS_RELAY_DEAD) == rotation->n;
	if (why == NULL)
		rds_log(RDS_LOG_INFO, "relay is alive", rds_field_bytes("relay", name),
		        rds_field_uint("round_trip_ms", round_trip_ms));
	else
		rds_log(RDS_LOG_WARN, "relay is dead", rds_field_bytes("relay", name),
		        rds_field_text("why", why),
		        rds_field_text("handed_out", all_dead ? "yes: no relay is alive" : "no"));
}

void rds_rotation_probed(struct rds_rotation *rotation, uint64_t now_ms, struct rds_view name,
                         const char *why, unsigned round_trip_ms)
{
	bool changed = false;
	for (size_t i = 0; i < rotation->n && rotation->interval_ms > 0; i++) {
		struct rds_relay_health *health = &rotation->health[i];
		if (!rds_relay_same_name(rotation->relays[i].name, name))
			continue;
		enum rds_relay_state state =
		        state_after(rotation, health, now_ms, why, round_trip_ms);
		changed = changed || state != health->state;
		health->since_ms = state != health->state ? now_ms : health->since_ms;
		health->state = state;
		health->probing = false;
	}
	if (changed)
		log_change(rotation, name, why, round_trip_ms);
}
