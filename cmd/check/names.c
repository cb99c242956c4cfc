// SPDX-License-Identifier: MIT
// dns.id, dns.relay: what the names that clients are told lead to, and for whom.
#include "cmd/check/local.h"
#include "cmd/check/lookup.h"

#include "core/alloc.h"
#include "net/interfaces.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// Relays, each by network, add up; beyond this, a fleet's operator has other tools.
#define NAMES_MAX 64

struct name_list {
	struct check_looked_up items[NAMES_MAX];
	size_t n;
	const char *setting; // that has them
	const char *from;
	bool local;
	bool relays;
};

static void add_name(struct name_list *list, const char *text)
{
	struct rds_host_port host;
	if (text[0] == '\0' || list->n == NAMES_MAX || rds_value_host(text, &host) != 0)
		return;
	for (size_t i = 0; i < list->n; i++)
		if (strcasecmp(list->items[i].host, host.host) == 0)
			return;
	(void)snprintf(list->items[list->n++].host, sizeof host.host, "%s", host.host);
}

static void add_list(struct name_list *list, const char *text)
{
	struct rds_strings items;
	rds_strings_split(text, &items);
	for (size_t i = 0; i < items.n; i++)
		add_name(list, items.items[i]);
	rds_strings_free(&items);
}

// Each name of the setting relay-servers, with those by network ("NET=NAME" between bars).
static void add_relays(struct name_list *list, const char *text)
{
	char *copy = rds_strdup(text);
	char *rest = NULL;
	for (char *part = strtok_r(copy, ",|", &rest); part != NULL;
	     part = strtok_r(NULL, ",|", &rest)) {
		const char *equals = strchr(part, '=');
		struct rds_view name =
		        rds_view_trim(rds_view_text(equals == NULL ? part : equals + 1));
		char *word = rds_strndup(name.data, name.len);
		add_name(list, word);
		free(word);
	}
	free(copy);
}

// --- what one name leads to

static const char *const reach_words[] = {
        [CHECK_REACH_PUBLIC] = "public",     [CHECK_REACH_PRIVATE] = "private",
        [CHECK_REACH_TAILNET] = "tailnet",   [CHECK_REACH_LINK] = "link-local",
        [CHECK_REACH_LOOPBACK] = "loopback", [CHECK_REACH_NOWHERE] = "no address"};

static void say(char *out, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

// Appends; what doesn't fit ends in dots.
static void say(char *out, size_t cap, const char *fmt, ...)
{
	va_list ap;
	size_t len = strlen(out);
	va_start(ap, fmt);
	int n = vsnprintf(out + len, cap - len, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n >= cap - len && cap > 4)
		(void)snprintf(out + cap - 4, 4, "...");
}

static void say_addresses(const struct check_looked_up *name, const struct rds_interfaces *own,
                          char *out, size_t cap)
{
	say(out, cap, "%s%s", out[0] == '\0' ? "" : "; ", name->host);
	for (size_t i = 0; i < name->n; i++) {
		char ip[RDS_IP_TEXT];
		const struct rds_interface *here = rds_interfaces_find(own, &name->ips[i]);
		rds_ip_format(&name->ips[i], ip);
		say(out, cap, "%s%s (%s%s%s)",
		    i > 0           ? ", "
		    : name->literal ? ""
		                    : " is ",
		    name->literal ? "" : ip, reach_words[check_reach_of(&name->ips[i])],
		    here == NULL || rds_ip_is_loopback(&name->ips[i]) ? "" : ", this host's ",
		    here == NULL || rds_ip_is_loopback(&name->ips[i]) ? "" : here->name);
	}
}

struct verdict {
	enum check_status status; // CHECK_OK, CHECK_WARN, CHECK_FAIL
	char meaning[240];
	char fix[400];
};

static void judge(struct verdict *out, enum check_status status, const char *meaning)
{
	out->status = status;
	(void)snprintf(out->meaning, sizeof out->meaning, "%s", meaning);
}

static size_t count(const struct check_looked_up *name, enum check_reach reach)
{
	size_t n = 0;
	for (size_t i = 0; i < name->n; i++)
		n += check_reach_of(&name->ips[i]) == reach;
	return n;
}

static void judge_reach(const struct name_list *list, const struct check_looked_up *name,
                        struct verdict *out)
{
	size_t private = count(name, CHECK_REACH_PRIVATE);
	size_t tailnet = count(name, CHECK_REACH_TAILNET);
	if (count(name, CHECK_REACH_NOWHERE) > 0)
		judge(out, CHECK_FAIL,
		      "that is where a server listens, never where a client can "
		      "go");
	else if (count(name, CHECK_REACH_LOOPBACK) > 0 && name->in_hosts && list->local)
		judge(out, CHECK_WARN,
		      "this host's /etc/hosts says so; whether others see "
		      "another address can't be told here");
	else if (count(name, CHECK_REACH_LOOPBACK) > 0 && list->local)
		judge(out, CHECK_FAIL, "every client would look for the server on its own machine");
	else if (count(name, CHECK_REACH_LINK) > 0)
		judge(out, CHECK_FAIL, "nobody beyond that cable reaches it");
	else if (private > 0 && count(name, CHECK_REACH_PUBLIC) > 0)
		judge(out, CHECK_WARN, "clients outside may try the private address, and fail");
	else if (private > 0)
		judge(out, CHECK_OK, "clients outside that network don't reach it");
	else if (tailnet > 0 && count(name, CHECK_REACH_PUBLIC) == 0)
		judge(out, CHECK_OK, "only machines of the tailnet reach it");
	else if (list->relays && name->literal && rds_ip_is_v4(&name->ips[0]))
		judge(out, CHECK_OK,
		      "clients with IPv6 only reach a relay by name, not by an "
		      "IPv4 address");
}

static void judge_name(const struct name_list *list, const struct check_looked_up *name,
                       struct verdict *out)
{
	*out = (struct verdict){.status = CHECK_OK};
	if (name->n == 0) {
		out->status = CHECK_FAIL;
		(void)snprintf(out->meaning, sizeof out->meaning, "can't be resolved (%s)",
		               name->why);
		(void)snprintf(out->fix, sizeof out->fix,
		               list->local ? "make a DNS record (A, AAAA) for %s, or correct the "
		                             "setting %s (%s has it) and restart"
		                           : "make a DNS record (A, AAAA) for %s, or correct the "
		                             "name",
		               name->host, list->setting, list->from);
		return;
	}
	judge_reach(list, name, out);
	if (list->local)
		(void)snprintf(out->fix, sizeof out->fix,
		               "set %s to a name, or an address, at which clients reach this host "
		               "(now %s has it), and restart",
		               list->setting, list->from);
	else
		(void)snprintf(out->fix, sizeof out->fix,
		               "correct the DNS records of %s to the server's address", name->host);
}

// --- all of a setting's names

static unsigned weight(enum check_status status)
{
	return status == CHECK_FAIL ? 2 : status == CHECK_WARN ? 1 : 0;
}

static void tell(const struct name_list *list, struct check_result *result)
{
	char said[600] = "";
	struct rds_interfaces own;
	struct verdict worst = {.status = CHECK_OK};
	rds_interfaces_read(&own);
	for (size_t i = 0; i < list->n; i++) {
		struct verdict verdict;
		judge_name(list, &list->items[i], &verdict);
		if (weight(verdict.status) > weight(worst.status))
			worst = verdict;
		say_addresses(&list->items[i], &own, said, sizeof said);
		if (verdict.meaning[0] != '\0')
			say(said, sizeof said, ": %s", verdict.meaning);
	}
	rds_interfaces_free(&own);
	if (worst.status == CHECK_FAIL)
		check_fail(result, "%s", said);
	else if (worst.status == CHECK_WARN)
		check_warn(result, "%s", said);
	else
		check_ok(result, "%s", said);
	if (worst.status != CHECK_OK)
		check_fix(result, "%s", worst.fix);
}

static void check_list(struct check *check, const char *name, struct name_list *list)
{
	struct check_result result;
	check_begin(&result, name);
	if (list->n == 0 && list->relays) {
		check_skip(&result, "no relay is named: clients look for it beside the ID server");
	} else if (list->n == 0 && check_site_is_relay_only(&check->site)) {
		check_skip(&result, "no ID server runs on this relay's host");
	} else if (list->n == 0) {
		check_warn(&result, "no setting says what clients enter as ID server");
		check_fix(&result, "set id-server = NAME in " RDS_SYSTEM_CONFIG
		                   " (or --id-server NAME), and restart");
	} else {
		check_look_up(list->items, list->n, check->options.timeout_ms);
		tell(list, &result);
	}
	check_end(check, &result);
}

static void find_names(const struct check_site *site, struct name_list *ids,
                       struct name_list *relays)
{
	if (!site->local) {
		add_name(ids, site->id_host);
		add_list(ids, site->told.id_server);
		add_list(relays, site->told.relay_server);
		return;
	}
	struct local_role id = {.site = &site->id};
	ids->from = local_setting_from(site, &id, RDS_SET_ID_SERVER);
	relays->from = local_setting_from(site, &id, RDS_SET_RELAY_SERVERS);
	add_list(ids, rds_settings_text(site->settings, RDS_SET_ID_SERVER));
	add_relays(relays, rds_settings_text(site->settings, RDS_SET_RELAY_SERVERS));
}

void check_names(struct check *check)
{
	struct name_list *lists = rds_calloc(2, sizeof *lists);
	struct name_list *ids = &lists[0];
	struct name_list *relays = &lists[1];
	ids->local = relays->local = check->site.local;
	ids->setting = "id-server";
	relays->setting = "relay-servers";
	relays->relays = true;
	ids->from = relays->from = "";
	find_names(&check->site, ids, relays);
	if (check_wants(check, "dns.id"))
		check_list(check, "dns.id", ids);
	if (check_wants(check, "dns.relay"))
		check_list(check, "dns.relay", relays);
	free(lists);
}
