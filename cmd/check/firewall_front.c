// SPDX-License-Identifier: MIT
// Reads what ufw and firewalld say of their rules.
#include "cmd/check/firewall.h"

#include "core/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- ufw status verbose

// "21115:21119/tcp", "21116/udp on eth0", "Anywhere", "192.0.2.1 80/tcp", "OpenSSH"
static void take_to(struct firewall_rule *rule, char *to)
{
	char *rest = NULL;
	for (char *word = strtok_r(to, " ", &rest); word != NULL;
	     word = strtok_r(NULL, " ", &rest)) {
		char *slash = strchr(word, '/');
		if (slash != NULL)
			*slash = '\0';
		bool is_ports = word[strspn(word, "0123456789,:")] == '\0';
		if (is_ports && slash != NULL && strcmp(slash + 1, "tcp") == 0)
			rule->protos &= FIREWALL_TCP;
		else if (is_ports && slash != NULL && strcmp(slash + 1, "udp") == 0)
			rule->protos &= FIREWALL_UDP;
		if (is_ports)
			firewall_add_ranges(rule, word, ':');
		else if (strcmp(word, "Anywhere") != 0)
			rule->maybe = true; // an interface, an address, a name for ports
	}
}

static void take_line(struct firewall_chain *chain, char *line)
{
	static const struct {
		const char *word;
		enum firewall_verdict verdict;
	} actions[] = {{" ALLOW IN ", FIREWALL_ACCEPT},
	               {" LIMIT IN ", FIREWALL_ACCEPT},
	               {" DENY IN ", FIREWALL_DROP},
	               {" REJECT IN ", FIREWALL_DROP}};
	if (strstr(line, "(v6)") != NULL)
		return;
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
		char *action = strstr(line, actions[i].word);
		if (action == NULL)
			continue;
		struct firewall_rule *rule = firewall_add_rule(chain);
		const char *from = action + strlen(actions[i].word);
		from += strspn(from, " ");
		rule->verdict = actions[i].verdict;
		rule->some = strncmp(from, "Anywhere", 8) != 0;
		*action = '\0';
		take_to(rule, line);
		return;
	}
}

bool firewall_read_ufw(struct firewall *firewall, const char *text)
{
	if (strstr(text, "Status: active") == NULL)
		return false;
	struct firewall_chain *chain = firewall_add_chain(firewall, "ufw", "incoming");
	chain->is_input = true;
	chain->policy = strstr(text, "allow (incoming)") != NULL ? FIREWALL_ACCEPT : FIREWALL_DROP;
	char *copy = rds_strdup(text);
	char *rest = NULL;
	for (char *line = strtok_r(copy, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest))
		take_line(chain, line);
	free(copy);
	return true;
}

// --- firewall-cmd --list-all

// "21115-21119/tcp 21116/udp"
static void take_ports(struct firewall_chain *chain, const char *text)
{
	char *copy = rds_strdup(text);
	char *rest = NULL;
	for (char *word = strtok_r(copy, " ", &rest); word != NULL;
	     word = strtok_r(NULL, " ", &rest)) {
		char *slash = strchr(word, '/');
		if (slash == NULL)
			continue;
		*slash = '\0';
		struct firewall_rule *rule = firewall_add_rule(chain);
		rule->verdict = FIREWALL_ACCEPT;
		rule->never = strcmp(slash + 1, "tcp") != 0 && strcmp(slash + 1, "udp") != 0;
		rule->protos = strcmp(slash + 1, "tcp") == 0 ? FIREWALL_TCP : FIREWALL_UDP;
		firewall_add_ranges(rule, word, '-');
	}
	free(copy);
}

static const char *value_of(const char *line, const char *name)
{
	size_t len = strlen(name);
	line += strspn(line, " \t");
	return strncmp(line, name, len) == 0 ? line + len + strspn(line + len, " ") : NULL;
}

static void take_zone(struct firewall_chain *chain, const char *line, char services[256],
                      bool *in_rich)
{
	const char *target = value_of(line, "target:");
	const char *ports = value_of(line, "ports:");
	const char *names = value_of(line, "services:");
	const char *rich = value_of(line, "rich rules:");
	if (target != NULL && strncmp(target, "ACCEPT", 6) == 0)
		chain->policy = FIREWALL_ACCEPT;
	if (ports != NULL)
		take_ports(chain, ports);
	if (names != NULL)
		(void)snprintf(services, 256, "%s", names);
	// Those may be anything, and go first.
	if ((rich != NULL && rich[0] != '\0') || (*in_rich && value_of(line, "rule ") != NULL))
		firewall_add_rule(chain)->verdict = FIREWALL_UNKNOWN;
	*in_rich = rich != NULL || *in_rich;
}

bool firewall_read_firewalld(struct firewall *firewall, const char *text, char services[256])
{
	char *copy = rds_strdup(text);
	char *rest = NULL;
	bool in_rich = false;
	services[0] = '\0';
	char *line = strtok_r(copy, "\n", &rest);
	if (line == NULL || strstr(text, "target:") == NULL) {
		free(copy);
		return false;
	}
	line[strcspn(line, " ")] = '\0';
	struct firewall_chain *chain = firewall_add_chain(firewall, "firewalld", line);
	chain->is_input = true;
	chain->policy = FIREWALL_DROP;
	while ((line = strtok_r(NULL, "\n", &rest)) != NULL)
		take_zone(chain, line, services, &in_rich);
	free(copy);
	return true;
}

void firewall_read_service(struct firewall *firewall, const char *text)
{
	char *copy = rds_strdup(text);
	char *rest = NULL;
	for (char *line = strtok_r(copy, "\n", &rest); line != NULL && firewall->n > 0;
	     line = strtok_r(NULL, "\n", &rest)) {
		const char *ports = value_of(line, "ports:");
		if (ports != NULL)
			take_ports(&firewall->chains[0], ports);
	}
	free(copy);
}
