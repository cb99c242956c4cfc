// SPDX-License-Identifier: MIT
// What rules do with a packet: each chain's possible ends are gathered, and only if there is one is
// it told.
#include "cmd/check/firewall.h"

#include "core/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 16
// Clusters have thousands of chains that jump into each other.
#define STEPS_MAX  200000
#define MAY_ACCEPT 1U
#define MAY_DROP   2U

struct firewall_chain *firewall_find(const struct firewall *firewall, const char *table,
                                     const char *name)
{
	for (size_t i = 0; i < firewall->n; i++)
		if (strcmp(firewall->chains[i].table, table) == 0 &&
		    strcmp(firewall->chains[i].name, name) == 0)
			return &firewall->chains[i];
	return NULL;
}

struct firewall_chain *firewall_add_chain(struct firewall *firewall, const char *table,
                                          const char *name)
{
	firewall->chains = rds_realloc(firewall->chains, firewall->n + 1, sizeof *firewall->chains);
	struct firewall_chain *chain = &firewall->chains[firewall->n++];
	*chain = (struct firewall_chain){.policy = FIREWALL_ACCEPT};
	(void)snprintf(chain->table, sizeof chain->table, "%s", table);
	(void)snprintf(chain->name, sizeof chain->name, "%s", name);
	return chain;
}

struct firewall_rule *firewall_add_rule(struct firewall_chain *chain)
{
	chain->rules = rds_realloc(chain->rules, chain->n + 1, sizeof *chain->rules);
	chain->rules[chain->n] = (struct firewall_rule){.protos = FIREWALL_TCP | FIREWALL_UDP};
	return &chain->rules[chain->n++];
}

void firewall_add_range(struct firewall_rule *rule, unsigned long from, unsigned long to)
{
	if (rule->n_ranges == FIREWALL_RANGES || from > UINT16_MAX || to > UINT16_MAX) {
		rule->maybe = true;
		return;
	}
	rule->from[rule->n_ranges] = (uint16_t)from;
	rule->to[rule->n_ranges++] = (uint16_t)to;
}

void firewall_add_ranges(struct firewall_rule *rule, const char *text, char between)
{
	while (*text != '\0') {
		char *end = NULL;
		unsigned long from = strtoul(text, &end, 10);
		unsigned long to = from;
		if (end == text) { // a service's name
			rule->maybe = true;
			return;
		}
		if (*end == between)
			to = strtoul(end + 1, &end, 10);
		firewall_add_range(rule, from, to);
		text = end + (*end == ',');
		if (text == end)
			return;
	}
}

void firewall_clear(struct firewall *firewall)
{
	for (size_t i = 0; i < firewall->n; i++)
		free(firewall->chains[i].rules);
	free(firewall->chains);
	*firewall = (struct firewall){0};
}

struct packet {
	unsigned proto;
	uint16_t port;
	unsigned steps; // rules that were looked at
};

static bool may_match(const struct firewall_rule *rule, const struct packet *packet)
{
	if (rule->never || (rule->protos & packet->proto) == 0)
		return false;
	for (size_t i = 0; i < rule->n_ranges; i++)
		if (packet->port >= rule->from[i] && packet->port <= rule->to[i])
			return true;
	return rule->n_ranges == 0;
}

static unsigned walk(const struct firewall *firewall, const struct firewall_chain *chain,
                     struct packet *packet, unsigned depth, bool *falls);

// What one rule that may match can lead to. *ends: nothing behind it is reached; *falls: the chain
// may be left by it.
// NOLINTNEXTLINE(misc-no-recursion): as deep as DEPTH_MAX
static unsigned follow(const struct firewall *firewall, const struct firewall_chain *chain,
                       const struct firewall_rule *rule, struct packet *packet, unsigned depth,
                       bool *ends, bool *falls)
{
	bool sure = !rule->maybe && !rule->some;
	bool comes_back = true;
	unsigned may = 0;
	*ends = sure && rule->verdict != FIREWALL_NONE;
	switch (rule->verdict) {
	case FIREWALL_NONE:
		return 0;
	case FIREWALL_ACCEPT:
		return MAY_ACCEPT;
	case FIREWALL_DROP:
		// Some sources are shut out: others are not.
		return rule->some && !rule->maybe ? 0 : MAY_DROP;
	case FIREWALL_RETURN:
		*falls = true;
		return 0;
	case FIREWALL_UNKNOWN:
		*ends = false;
		return MAY_ACCEPT | MAY_DROP;
	default:
		break;
	}
	const struct firewall_chain *to = firewall_find(firewall, chain->table, rule->target);
	may = to == NULL ? MAY_ACCEPT | MAY_DROP
	                 : walk(firewall, to, packet, depth + 1, &comes_back);
	if (rule->verdict == FIREWALL_GOTO && comes_back)
		*falls = true;
	*ends = *ends && (rule->verdict == FIREWALL_GOTO || !comes_back);
	return may;
}

// NOLINTNEXTLINE(misc-no-recursion)
static unsigned walk(const struct firewall *firewall, const struct firewall_chain *chain,
                     struct packet *packet, unsigned depth, bool *falls)
{
	unsigned may = 0;
	*falls = false;
	if (depth > DEPTH_MAX || packet->steps > STEPS_MAX) {
		*falls = true;
		return MAY_ACCEPT | MAY_DROP;
	}
	for (size_t i = 0; i < chain->n; i++) {
		bool ends = false;
		packet->steps++;
		if (!may_match(&chain->rules[i], packet))
			continue;
		may |= follow(firewall, chain, &chain->rules[i], packet, depth, &ends, falls);
		if (ends)
			return may;
	}
	*falls = true;
	return may;
}

enum firewall_answer firewall_ask(const struct firewall *firewall, bool udp, uint16_t port,
                                  const struct firewall_chain **by)
{
	struct packet packet = {.proto = udp ? FIREWALL_UDP : FIREWALL_TCP, .port = port};
	enum firewall_answer answer = FIREWALL_OPEN;
	for (size_t i = 0; i < firewall->n; i++) {
		const struct firewall_chain *chain = &firewall->chains[i];
		bool falls = false;
		if (!chain->is_input)
			continue;
		unsigned may = walk(firewall, chain, &packet, 0, &falls);
		if (falls)
			may |= chain->policy == FIREWALL_DROP ? MAY_DROP : MAY_ACCEPT;
		if (may == MAY_DROP) {
			*by = chain;
			return FIREWALL_CLOSED;
		}
		if (may != MAY_ACCEPT)
			answer = FIREWALL_CANT_TELL;
	}
	return answer;
}
