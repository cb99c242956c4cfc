// SPDX-License-Identifier: MIT
// Reads what `nft -j list ruleset` prints.
#include "cmd/check/firewall.h"

#include <cJSON.h>
#include <stdio.h>
#include <string.h>

static const cJSON *member(const cJSON *json, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(json, name);
}

static const char *text_of(const cJSON *json, const char *name)
{
	const char *text = cJSON_GetStringValue(member(json, name));
	return text == NULL ? "" : text;
}

// The items of {"set":[...]}, [...], or the one that stands alone.
static const cJSON *items_of(const cJSON *right, bool *single)
{
	const cJSON *set = cJSON_IsObject(right) ? member(right, "set") : NULL;
	const cJSON *list = set != NULL ? set : right;
	*single = !cJSON_IsArray(list);
	return *single ? list : list->child;
}

static void take_port(struct firewall_rule *rule, const cJSON *item)
{
	const cJSON *range = member(item, "range");
	if (cJSON_IsNumber(item) && item->valuedouble >= 0)
		firewall_add_range(rule, (unsigned long)item->valuedouble,
		                   (unsigned long)item->valuedouble);
	else if (cJSON_IsNumber(cJSON_GetArrayItem(range, 0)) &&
	         cJSON_IsNumber(cJSON_GetArrayItem(range, 1)))
		firewall_add_range(rule, (unsigned long)range->child->valuedouble,
		                   (unsigned long)range->child->next->valuedouble);
	else
		rule->maybe = true; // a named set, a map
}

static void take_ports(struct firewall_rule *rule, const cJSON *right)
{
	bool single = false;
	size_t before = rule->n_ranges;
	for (const cJSON *item = items_of(right, &single); item != NULL;
	     item = single ? NULL : item->next)
		take_port(rule, item);
	if (rule->n_ranges == before)
		rule->maybe = true;
}

// Whether one of the items is the word.
static bool has_word(const cJSON *right, const char *word)
{
	bool single = false;
	for (const cJSON *item = items_of(right, &single); item != NULL;
	     item = single ? NULL : item->next)
		if (cJSON_IsString(item) && strcmp(item->valuestring, word) == 0)
			return true;
	return false;
}

static bool is_named_set(const cJSON *right)
{
	return cJSON_IsString(right) && right->valuestring[0] == '@';
}

static void take_proto(struct firewall_rule *rule, const cJSON *right, bool negated)
{
	unsigned protos = (has_word(right, "tcp") ? FIREWALL_TCP : 0) |
	                  (has_word(right, "udp") ? FIREWALL_UDP : 0);
	if (is_named_set(right))
		rule->maybe = true;
	else
		rule->protos &= negated ? ~protos : protos;
}

static void take_state(struct firewall_rule *rule, const cJSON *right, bool negated)
{
	if (is_named_set(right))
		rule->maybe = true;
	else if (has_word(right, "new") == negated)
		rule->never = true;
}

static void take_payload(struct firewall_rule *rule, const cJSON *payload, const cJSON *right,
                         bool negated)
{
	const char *proto = text_of(payload, "protocol");
	const char *field = text_of(payload, "field");
	if (strcmp(proto, "tcp") == 0 || strcmp(proto, "udp") == 0)
		rule->protos &= strcmp(proto, "tcp") == 0 ? FIREWALL_TCP : FIREWALL_UDP;
	else if (strncmp(proto, "icmp", 4) == 0)
		rule->never = true;
	if (strcmp(field, "dport") == 0 && !negated)
		take_ports(rule, right);
	else if (strcmp(field, "saddr") == 0 && !negated)
		rule->some = true;
	else if ((strcmp(field, "protocol") == 0 || strcmp(field, "nexthdr") == 0))
		take_proto(rule, right, negated);
	else if (strncmp(proto, "icmp", 4) != 0)
		rule->maybe = true;
}

// false: it isn't understood.
static bool is_taken(struct firewall_rule *rule, const cJSON *match, bool negated)
{
	const cJSON *left = member(match, "left");
	const cJSON *right = member(match, "right");
	const cJSON *payload = member(left, "payload");
	const char *meta = text_of(member(left, "meta"), "key");
	bool is_interface = strcmp(meta, "iifname") == 0 || strcmp(meta, "iif") == 0;
	if (payload != NULL)
		take_payload(rule, payload, right, negated);
	else if (strcmp(text_of(member(left, "ct"), "key"), "state") == 0)
		take_state(rule, right, negated);
	else if (strcmp(meta, "l4proto") == 0)
		take_proto(rule, right, negated);
	else if (is_interface && cJSON_IsString(right) && has_word(right, "lo"))
		rule->never = rule->never || !negated;
	else
		return false;
	return true;
}

static void take_match(struct firewall_rule *rule, const cJSON *match)
{
	const char *op = text_of(match, "op");
	bool negated = strcmp(op, "!=") == 0;
	bool known = negated || strcmp(op, "==") == 0 || strcmp(op, "in") == 0;
	if (!known || !is_taken(rule, match, negated))
		rule->maybe = true;
}

static void take_verdict(struct firewall_rule *rule, const cJSON *one)
{
	static const struct {
		const char *name;
		enum firewall_verdict verdict;
	} verdicts[] = {{"accept", FIREWALL_ACCEPT}, {"drop", FIREWALL_DROP},
	                {"reject", FIREWALL_DROP},   {"return", FIREWALL_RETURN},
	                {"jump", FIREWALL_JUMP},     {"goto", FIREWALL_GOTO},
	                {"queue", FIREWALL_UNKNOWN}};
	for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
		const cJSON *item = member(one, verdicts[i].name);
		if (item == NULL)
			continue;
		rule->verdict = verdicts[i].verdict;
		(void)snprintf(rule->target, sizeof rule->target, "%s", text_of(item, "target"));
	}
}

// By a connection's state, as usual, for a new one; by anything else it isn't understood.
static void take_map(struct firewall_rule *rule, const cJSON *map)
{
	const cJSON *pair = NULL;
	if (strcmp(text_of(member(member(map, "key"), "ct"), "key"), "state") != 0) {
		rule->verdict = FIREWALL_UNKNOWN;
		return;
	}
	cJSON_ArrayForEach(pair, member(member(map, "data"), "set")) {
		const char *state = cJSON_GetStringValue(cJSON_GetArrayItem(pair, 0));
		if (state != NULL && strcmp(state, "new") == 0)
			take_verdict(rule, cJSON_GetArrayItem(pair, 1));
	}
}

static void take_foreign(struct firewall_rule *rule, const cJSON *xt)
{
	if (strcmp(text_of(xt, "type"), "target") != 0)
		rule->maybe = true;
	else if (strcmp(text_of(xt, "name"), "REJECT") == 0)
		rule->verdict = FIREWALL_DROP;
	else if (strcmp(text_of(xt, "name"), "LOG") != 0)
		rule->verdict = FIREWALL_UNKNOWN;
}

static void take_statement(struct firewall_rule *rule, const cJSON *one)
{
	static const char *const harmless[] = {"counter", "log", "mangle", "notrack", "comment"};
	const cJSON *map = member(one, "vmap");
	enum firewall_verdict before = rule->verdict;
	if (member(one, "match") != NULL)
		take_match(rule, member(one, "match"));
	else if (map != NULL)
		take_map(rule, map);
	else if (member(one, "xt") != NULL)
		take_foreign(rule, member(one, "xt"));
	else
		take_verdict(rule, one);
	bool known = member(one, "match") != NULL || map != NULL || member(one, "xt") != NULL ||
	             rule->verdict != before;
	for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
		known = known || member(one, harmless[i]) != NULL;
	if (!known)
		rule->maybe = true; // limits, sets that grow, ...
}

static bool is_skipped(const char *family, const char *table, bool skip_ip, bool skip_ip6)
{
	static const char *const tables[] = {"filter", "nat", "mangle", "raw", "security"};
	if (!(strcmp(family, "ip") == 0 && skip_ip) && !(strcmp(family, "ip6") == 0 && skip_ip6))
		return false;
	for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
		if (strcmp(table, tables[i]) == 0)
			return true;
	return false;
}

static void take_item(struct firewall *firewall, const cJSON *item, bool skip_ip, bool skip_ip6)
{
	const cJSON *chain = member(item, "chain");
	const cJSON *rule = member(item, "rule");
	const cJSON *one = chain != NULL ? chain : rule;
	const cJSON *statement = NULL;
	char table[80];
	const char *family = text_of(one, "family");
	if (one == NULL ||
	    (strcmp(family, "inet") != 0 && strcmp(family, "ip") != 0 &&
	     strcmp(family, "ip6") != 0) ||
	    is_skipped(family, text_of(one, "table"), skip_ip, skip_ip6))
		return;
	(void)snprintf(table, sizeof table, "%s %s", family, text_of(one, "table"));
	if (chain != NULL) {
		struct firewall_chain *added =
		        firewall_add_chain(firewall, table, text_of(chain, "name"));
		added->is_input = strcmp(text_of(chain, "hook"), "input") == 0;
		if (strcmp(text_of(chain, "policy"), "drop") == 0)
			added->policy = FIREWALL_DROP;
		return;
	}
	struct firewall_chain *to = firewall_find(firewall, table, text_of(rule, "chain"));
	if (to == NULL)
		return;
	struct firewall_rule *added = firewall_add_rule(to);
	cJSON_ArrayForEach(statement, member(rule, "expr"))
		take_statement(added, statement);
}

bool firewall_read_nft(struct firewall *firewall, const char *json, bool skip_ip, bool skip_ip6)
{
	cJSON *all = cJSON_Parse(json);
	const cJSON *list = member(all, "nftables");
	const cJSON *item = NULL;
	bool is_ruleset = cJSON_IsArray(list);
	// Chains come before the rules of all of them, but for a table at a time.
	cJSON_ArrayForEach(item, list)
		take_item(firewall, item, skip_ip, skip_ip6);
	cJSON_Delete(all);
	return is_ruleset;
}
