// SPDX-License-Identifier: MIT
// Reads what iptables-save and ip6tables-save print.
#include "cmd/check/firewall.h"

#include "core/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE "filter"
#define WORDS 96

// Cuts a line into words in place, quotes taken off. How many.
static size_t cut(char *line, const char *words[WORDS])
{
	size_t n = 0;
	while (n < WORDS) {
		line += strspn(line, " ");
		if (*line == '\0')
			break;
		bool quoted = *line == '"';
		line += quoted;
		words[n++] = line;
		while (*line != '\0' && *line != (quoted ? '"' : ' '))
			line += *line == '\\' && line[1] != '\0' ? 2 : 1;
		if (*line != '\0')
			*line++ = '\0';
	}
	return n;
}

static bool is(const char *word, const char *a, const char *b)
{
	return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

static void take_proto(struct firewall_rule *rule, const char *value)
{
	if (is(value, "tcp", "6"))
		rule->protos &= FIREWALL_TCP;
	else if (is(value, "udp", "17"))
		rule->protos &= FIREWALL_UDP;
	else if (!is(value, "all", "0"))
		rule->never = true;
}

static void take_module(struct firewall_rule *rule, const char *name)
{
	static const char *const known[] = {"tcp",   "udp",     "multiport", "conntrack",
	                                    "state", "comment", "icmp",      "icmp6"};
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (strcmp(name, known[i]) == 0)
			return;
	rule->maybe = true;
}

// One condition. How many words it takes, its own included.
static size_t take_condition(struct firewall_rule *rule, const char *const *words, size_t n,
                             bool negated)
{
	const char *name = words[0];
	const char *value = n > 1 ? words[1] : "";
	static const char syn[] = "FIN,SYN,RST,ACK";
	if (strcmp(name, "--tcp-flags") == 0) {
		bool begins = n > 2 && strcmp(value, syn) == 0 && strcmp(words[2], "SYN") == 0;
		rule->never = rule->never || (begins && negated);
		rule->maybe = rule->maybe || !begins;
		return 3;
	}
	if (is(name, "-m", "--match"))
		take_module(rule, value);
	else if (strcmp(name, "--comment") == 0)
		return 2;
	else if (is(name, "-i", "--in-interface") && strcmp(value, "lo") == 0)
		rule->never = rule->never || !negated;
	else if (!negated && is(name, "-p", "--protocol"))
		take_proto(rule, value);
	else if (!negated && is(name, "--dport", "--dports"))
		firewall_add_ranges(rule, value, ':');
	else if (!negated && is(name, "--ctstate", "--state"))
		rule->never = rule->never || strstr(value, "NEW") == NULL;
	else if (!negated && is(name, "-s", "--source"))
		rule->some = true;
	else
		rule->maybe = true;
	return 2;
}

static void take_target(struct firewall_rule *rule, const char *name, bool is_goto)
{
	static const struct {
		const char *name;
		enum firewall_verdict verdict;
	} targets[] = {{"ACCEPT", FIREWALL_ACCEPT}, {"DROP", FIREWALL_DROP},
	               {"REJECT", FIREWALL_DROP},   {"RETURN", FIREWALL_RETURN},
	               {"LOG", FIREWALL_NONE},      {"NFLOG", FIREWALL_NONE},
	               {"MARK", FIREWALL_NONE},     {"CONNMARK", FIREWALL_NONE},
	               {"TRACE", FIREWALL_NONE},    {"NFQUEUE", FIREWALL_UNKNOWN}};
	rule->verdict =
	        is_goto ? FIREWALL_GOTO : FIREWALL_JUMP; // a chain of the table, or not known
	(void)snprintf(rule->target, sizeof rule->target, "%s", name);
	for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++)
		if (strcmp(targets[i].name, name) == 0)
			rule->verdict = targets[i].verdict;
}

static void take_rule(struct firewall *firewall, char *line)
{
	const char *words[WORDS];
	size_t n = cut(line, words);
	size_t i = n > 0 && words[0][0] == '[' ? 1 : 0; // counters
	struct firewall_chain *chain = i + 1 < n && strcmp(words[i], "-A") == 0
	                                       ? firewall_find(firewall, TABLE, words[i + 1])
	                                       : NULL;
	if (chain == NULL)
		return;
	struct firewall_rule *rule = firewall_add_rule(chain);
	rule->maybe = n == WORDS;
	for (i += 2; i < n;) {
		bool negated = strcmp(words[i], "!") == 0;
		i += negated;
		if (i + 1 < n && (is(words[i], "-j", "--jump") || is(words[i], "-g", "--goto"))) {
			take_target(rule, words[i + 1], is(words[i], "-g", "--goto"));
			return; // what follows is the target's
		}
		if (i < n)
			i += take_condition(rule, &words[i], n - i, negated);
	}
}

// ":INPUT DROP [0:0]"
static void take_chain(struct firewall *firewall, char *line)
{
	char *space = strchr(line, ' ');
	if (space == NULL)
		return;
	*space = '\0';
	struct firewall_chain *chain = firewall_add_chain(firewall, TABLE, line + 1);
	chain->is_input = strcmp(chain->name, "INPUT") == 0;
	if (strncmp(space + 1, "DROP", 4) == 0)
		chain->policy = FIREWALL_DROP;
}

bool firewall_read_iptables(struct firewall *firewall, const char *text)
{
	char *copy = rds_strdup(text);
	char *rest = NULL;
	bool in_filter = false;
	bool found = false;
	for (char *line = strtok_r(copy, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (line[0] == '*')
			in_filter = strcmp(line, "*filter") == 0;
		found = found || in_filter;
		if (in_filter && line[0] == ':')
			take_chain(firewall, line);
		else if (in_filter && (line[0] == '-' || line[0] == '['))
			take_rule(firewall, line);
	}
	free(copy);
	return found;
}
