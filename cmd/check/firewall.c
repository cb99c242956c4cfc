// SPDX-License-Identifier: MIT
// firewall: which of our ports this host's rules close, and the command that opens them.
#include "cmd/check/firewall.h"

#include "cmd/check/local.h"
#include "cmd/check/tool.h"
#include "core/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// One set of rules, and whose commands change it.
enum front { UFW, FIREWALLD, NFT, IPTABLES, IP6TABLES, IPTABLES_LEGACY, IP6TABLES_LEGACY, FRONTS };

struct rule_set {
	struct firewall rules;
	bool is_there;
	struct local_port closed[LOCAL_PORTS];
	size_t n_closed;
	size_t n_unsure;
	bool vital;
	const struct firewall_chain *by;
};

static const char *const front_names[FRONTS] = {
        "ufw",       "firewalld",       "nftables",        "iptables",
        "ip6tables", "iptables-legacy", "ip6tables-legacy"};

// --- reading

// All of them together have so long.
struct asking {
	uint64_t until_ms;
	const char *hung; // the first that didn't end in time
};

static bool ask(const char *const *argv, struct asking *asking, struct check_tool *tool)
{
	uint64_t now_ms = check_now_ms();
	check_tool_run(argv, now_ms < asking->until_ms ? (unsigned)(asking->until_ms - now_ms) : 0,
	               tool);
	if (tool->end == CHECK_TOOL_HUNG && asking->hung == NULL)
		asking->hung = argv[0];
	return check_tool_is_good(tool);
}

static void read_ufw(struct rule_set *set, struct asking *asking)
{
	static const char *const argv[] = {"ufw", "status", "verbose", NULL};
	struct check_tool tool;
	set->is_there = ask(argv, asking, &tool) && firewall_read_ufw(&set->rules, tool.out);
	check_tool_clear(&tool);
}

// Services that come with firewalld have none of our ports; of others it is asked.
static void read_services(struct rule_set *set, char *names, struct asking *asking)
{
	char *rest = NULL;
	for (char *name = strtok_r(names, " ", &rest); name != NULL;
	     name = strtok_r(NULL, " ", &rest)) {
		char *file = rds_asprintf("/usr/lib/firewalld/services/%s.xml", name);
		char *option = rds_asprintf("--info-service=%s", name);
		const char *const argv[] = {"firewall-cmd", option, NULL};
		struct check_tool tool;
		if (access(file, F_OK) != 0) {
			if (ask(argv, asking, &tool))
				firewall_read_service(&set->rules, tool.out);
			check_tool_clear(&tool);
		}
		free(option);
		free(file);
	}
}

static void read_firewalld(struct rule_set *set, struct asking *asking)
{
	static const char *const argv[] = {"firewall-cmd", "--list-all", NULL};
	char services[256];
	struct check_tool tool;
	set->is_there = ask(argv, asking, &tool) &&
	                firewall_read_firewalld(&set->rules, tool.out, services);
	if (set->is_there)
		read_services(set, services, asking);
	check_tool_clear(&tool);
}

static void read_iptables(struct rule_set *set, const char *program, struct asking *asking)
{
	const char *const argv[] = {program, NULL};
	struct check_tool tool;
	set->is_there = ask(argv, asking, &tool) && firewall_read_iptables(&set->rules, tool.out);
	check_tool_clear(&tool);
}

static void read_nft(struct rule_set sets[FRONTS], struct asking *asking)
{
	static const char *const argv[] = {"nft", "-j", "list", "ruleset", NULL};
	struct check_tool tool;
	sets[NFT].is_there = ask(argv, asking, &tool) &&
	                     firewall_read_nft(&sets[NFT].rules, tool.out, sets[IPTABLES].is_there,
	                                       sets[IP6TABLES].is_there);
	check_tool_clear(&tool);
}

// The kernel's older tables beside nftables' own, which iptables-save doesn't show where it is the
// newer one. The file lists those that are in use.
static void read_legacy(struct rule_set *set, const char *tables, const char *program,
                        struct asking *asking)
{
	if (access(tables, R_OK) == 0)
		read_iptables(set, program, asking);
}

// ufw and firewalld write the kernel's rules; where one of them is at work, it tells of all.
static void read_all(struct rule_set sets[FRONTS], struct asking *asking)
{
	read_ufw(&sets[UFW], asking);
	if (!sets[UFW].is_there)
		read_firewalld(&sets[FIREWALLD], asking);
	if (sets[UFW].is_there || sets[FIREWALLD].is_there)
		return;
	read_iptables(&sets[IPTABLES], "iptables-save", asking);
	read_iptables(&sets[IP6TABLES], "ip6tables-save", asking);
	read_legacy(&sets[IPTABLES_LEGACY], "/proc/net/ip_tables_names", "iptables-legacy-save",
	            asking);
	read_legacy(&sets[IP6TABLES_LEGACY], "/proc/net/ip6_tables_names", "ip6tables-legacy-save",
	            asking);
	read_nft(sets, asking);
}

// --- judging

static void judge(struct rule_set *set, const struct local_port *ports, size_t n)
{
	for (size_t i = 0; i < n && set->is_there; i++) {
		const struct firewall_chain *by = NULL;
		switch (firewall_ask(&set->rules, ports[i].udp, ports[i].port, &by)) {
		case FIREWALL_CLOSED:
			set->closed[set->n_closed++] = ports[i];
			set->vital = set->vital || ports[i].vital;
			set->by = set->by == NULL ? by : set->by;
			break;
		case FIREWALL_CANT_TELL:
			set->n_unsure++;
			break;
		case FIREWALL_OPEN:
			break;
		}
	}
}

static int compare(const void *a, const void *b)
{
	const struct local_port *one = a;
	const struct local_port *other = b;
	return one->port < other->port ? -1 : one->port > other->port;
}

// The closed ports of a protocol as ranges: "21115:21119,21121". "": none. Returns out.
static const char *ranges(const struct rule_set *set, bool udp, char between, char out[200])
{
	size_t len = 0;
	out[0] = '\0';
	for (size_t i = 0; i < set->n_closed; i++) {
		if (set->closed[i].udp != udp)
			continue;
		unsigned from = set->closed[i].port;
		unsigned to = from;
		for (; i + 1 < set->n_closed; i++) {
			if (set->closed[i + 1].udp != udp)
				continue;
			if (set->closed[i + 1].port > to + 1)
				break;
			to = set->closed[i + 1].port;
		}
		(void)snprintf(out + len, 200 - len, from == to ? "%s%u" : "%s%u%c%u",
		               len > 0 ? "," : "", from, between, to);
		len += strlen(out + len);
	}
	return out;
}

// Appends to *text, which grows.
static void add(char **text, const char *between, char *more)
{
	char *longer = rds_asprintf("%s%s%s", *text, (*text)[0] == '\0' ? "" : between, more);
	free(*text);
	free(more);
	*text = longer;
}

static char *open_command(enum front front, const struct rule_set *set, bool udp)
{
	char list[200];
	const char *proto = udp ? "udp" : "tcp";
	const char *sudo = local_sudo();
	(void)ranges(set, udp, front == UFW || front >= IPTABLES ? ':' : '-', list);
	switch (front) {
	case UFW:
		return rds_asprintf("%sufw allow %s/%s", sudo, list, proto);
	case NFT:
		return rds_asprintf("%snft insert rule %s %s %s dport { %s } accept", sudo,
		                    set->by->table, set->by->name, proto, list);
	default:
		return rds_asprintf("%s%s -I INPUT -p %s -m multiport --dports %s -j ACCEPT", sudo,
		                    front_names[front], proto, list);
	}
}

// firewalld takes a port or a range at a time.
static char *firewalld_command(const struct rule_set *set)
{
	char *options = rds_strdup("");
	for (int udp = 0; udp < 2; udp++) {
		char list[200];
		char *rest = NULL;
		(void)ranges(set, udp == 1, '-', list);
		for (char *range = strtok_r(list, ",", &rest); range != NULL;
		     range = strtok_r(NULL, ",", &rest))
			add(&options, "",
			    rds_asprintf(" --add-port=%s/%s", range, udp == 1 ? "udp" : "tcp"));
	}
	char *command =
	        rds_asprintf("%sfirewall-cmd --permanent --zone=%s%s && %sfirewall-cmd --reload",
	                     local_sudo(), set->by->name, options, local_sudo());
	free(options);
	return command;
}

static void add_commands(enum front front, const struct rule_set *set, char **text)
{
	bool has[2] = {false, false};
	for (size_t i = 0; i < set->n_closed; i++)
		has[set->closed[i].udp] = true;
	if (front == FIREWALLD) {
		add(text, " && ", firewalld_command(set));
		return;
	}
	for (int udp = 0; udp < 2; udp++)
		if (has[udp])
			add(text, " && ", open_command(front, set, udp == 1));
}

static void say_closed(enum front front, const struct rule_set *set, char **said)
{
	char tcp[200];
	char udp[200];
	(void)ranges(set, false, '-', tcp);
	(void)ranges(set, true, '-', udp);
	add(said, "; ",
	    rds_asprintf("%s (%s %s) closes %s%s%s%s%s", front_names[front], set->by->table,
	                 set->by->name, tcp, tcp[0] == '\0' ? "" : "/tcp",
	                 tcp[0] != '\0' && udp[0] != '\0' ? ", " : "", udp,
	                 udp[0] == '\0' ? "" : "/udp"));
}

static void tell_closed(struct rule_set sets[FRONTS], struct check_result *result)
{
	char *said = rds_strdup("");
	char *commands = rds_strdup("");
	bool vital = false;
	bool by_hand = false;
	for (int i = 0; i < FRONTS; i++) {
		if (sets[i].n_closed == 0)
			continue;
		say_closed((enum front)i, &sets[i], &said);
		add_commands((enum front)i, &sets[i], &commands);
		vital = vital || sets[i].vital;
		by_hand = by_hand || i >= NFT;
	}
	if (vital)
		check_fail(result, "%s", said);
	else
		check_warn(result, "%s: clients that need these don't come in", said);
	check_fix(result, "`%s`%s", commands,
	          by_hand ? "; and put it where your rules are loaded from at the start" : "");
	free(commands);
	free(said);
}

static void tell(struct rule_set sets[FRONTS], const char *hung, struct check_result *result)
{
	size_t n_closed = 0;
	size_t n_unsure = 0;
	const char *first = NULL;
	for (int i = 0; i < FRONTS; i++) {
		n_closed += sets[i].n_closed;
		n_unsure += sets[i].n_unsure;
		if (sets[i].is_there && first == NULL)
			first = front_names[i];
	}
	if (n_closed > 0)
		tell_closed(sets, result);
	else if (hung != NULL)
		check_skip(result, "%s doesn't answer, so the rules aren't known", hung);
	else if (first == NULL)
		check_skip(result, "no firewall of this host can be asked (ufw, firewalld, "
		                   "nftables, iptables)");
	else if (n_unsure > 0)
		check_ok(result,
		         "%s: no port of ours is plainly closed, but rules by source, "
		         "interface or rate leave it open whether all are let in",
		         first);
	else
		check_ok(result,
		         "%s: nothing in the way of our ports; a router's or provider's "
		         "firewall can't be seen from here",
		         first);
}

// Of roles that run, or of both where none does.
static size_t wanted_ports(const struct check_site *site, struct local_port out[LOCAL_PORTS])
{
	struct local_role roles[2];
	struct local_port all[LOCAL_PORTS];
	size_t n = 0;
	local_role_find(site, false, &roles[0]);
	local_role_find(site, true, &roles[1]);
	size_t n_all = local_ports(site, roles, all);
	bool none = !roles[0].held && !roles[1].held;
	for (size_t i = 0; i < n_all; i++)
		if (none || roles[all[i].of_relay].held)
			out[n++] = all[i];
	qsort(out, n, sizeof *out, compare);
	return n;
}

void check_firewall(struct check *check)
{
	struct check_result result;
	struct local_port ports[LOCAL_PORTS];
	struct asking asking = {.until_ms = check_now_ms() + check->options.timeout_ms};
	check_begin(&result, "firewall");
	if (geteuid() != 0) {
		check_skip(&result,
		           "only root may read the rules: sudo rdsrv check --only firewall");
		check_end(check, &result);
		return;
	}
	struct rule_set *sets = rds_calloc(FRONTS, sizeof *sets);
	size_t n = wanted_ports(&check->site, ports);
	read_all(sets, &asking);
	for (int i = 0; i < FRONTS; i++)
		judge(&sets[i], ports, n);
	tell(sets, asking.hung, &result);
	for (int i = 0; i < FRONTS; i++)
		firewall_clear(&sets[i].rules);
	free(sets);
	check_end(check, &result);
}
