// SPDX-License-Identifier: MIT
// The commands of hbbs's console. What it shows and changes, the control socket does too.
#include "cmd/role_private.h"

#include "core/rendezvous_admin.h"
#include "core/text.h"

// Entries of a list that are shown at once.
#define PAGE 10

static const char no_geo[] = "There is no geo data: relays are handed out in turn, and by network; "
                             "see relay-servers in rdsrv.conf(5).\n";

// Where a list is shown from; false, and a line that says what is taken, if word is no number.
static bool read_start(const char *word, const char *taken, size_t *start, FILE *out)
{
	int64_t n = 0;
	if (word[0] != '\0' && rds_value_number(word, 0, INT32_MAX, &n) != 0) {
		(void)fprintf(out, "Expected %s.\n", taken);
		return false;
	}
	*start = (size_t)n;
	return true;
}

static void relay_servers(struct role *role, char *words, FILE *out)
{
	struct rds_error err;
	if (words[0] != '\0' &&
	    role_set(role, RDS_SET_RELAY_SERVERS, words, "console", &err) != 0) {
		(void)fprintf(out, "%s\n", err.text);
		return;
	}
	for (size_t i = 0; i < role->relays.n; i++)
		(void)fprintf(out, "%.*s\n", (int)role->relays.items[i].name.len,
		              (const char *)role->relays.items[i].name.data);
}

static void geo(struct role *role, char *words, FILE *out)
{
	(void)role;
	(void)words;
	(void)fputs(no_geo, out);
}

static void show_limited(const struct rds_limited *one, FILE *out)
{
	char ip[RDS_IP_TEXT];
	rds_ip_format(&one->ip, ip);
	(void)fprintf(out, "%s %u registrations in a minute, %u ids in a day\n", ip,
	              (unsigned)one->tries, (unsigned)one->ids);
}

static void show_one_limited(struct role *role, const struct rds_ip *ip, bool forget, FILE *out)
{
	struct rds_register_limits *limits = rds_rendezvous_limits(rds_id_service_rules(role->id));
	struct rds_limited one;
	if (!rds_register_limits_look(limits, rds_loop_now_ms(role->loop), ip, &one))
		return;
	show_limited(&one, out);
	if (forget && rds_register_limits_forget(limits, ip))
		rds_log(RDS_LOG_INFO, "an address's limits start anew",
		        rds_field_text("from", "console"));
}

// Who is counted against the limits; all of them may register again when theirs are over.
static void ip_blocker(struct role *role, char *words, FILE *out)
{
	const struct rds_register_limits *limits =
	        rds_rendezvous_limits(rds_id_service_rules(role->id));
	struct rds_limited page[PAGE];
	struct rds_ip ip;
	size_t start = 0;
	const char *first = role_console_word(&words);
	bool forget = strcmp(role_console_word(&words), "-") == 0;
	(void)fprintf(out, "%zu\n", rds_register_limits_sources(limits));
	if (rds_ip_parse(first, &ip) == 0) {
		show_one_limited(role, &ip, forget, out);
	} else if (read_start(first, "an address, or how many entries to leave out", &start, out)) {
		size_t n = rds_register_limits_list(limits, rds_loop_now_ms(role->loop), start,
		                                    page, PAGE);
		for (size_t i = 0; i < n; i++)
			show_limited(&page[i], out);
	}
}

static void ip_changes(struct role *role, char *words, FILE *out)
{
	(void)role;
	(void)words;
	(void)fputs(
	        "Changes of addresses are not kept; `rdsrv ctl id peer ID` shows where an ID is "
	        "now, and its address on file.\n",
	        out);
}

static void show_attempt(const struct role *role, const struct rds_attempt *attempt, FILE *out)
{
	char when[RDS_TIME_TEXT];
	char from[RDS_ADDR_TEXT];
	char id[4 * RDS_ID_MAX_BYTES + 4];
	rds_addr_format(&attempt->from, from);
	(void)fprintf(out, "%s %s -> %s %s: %s\n", role_time(role, attempt->at_ms, when), from,
	              rds_text_escape(rds_view_of(attempt->id, attempt->id_len), id, sizeof id),
	              rds_route_name(attempt->route), rds_attempt_result(attempt));
}

static void punch_requests(struct role *role, char *words, FILE *out)
{
	struct rds_ledger *ledger = rds_rendezvous_ledger(rds_id_service_rules(role->id));
	size_t start = 0;
	const char *first = role_console_word(&words);
	bool clear_all = strcmp(first, "-") == 0;
	bool clear = clear_all || strcmp(role_console_word(&words), "-") == 0;
	if (!read_start(clear_all ? "" : first, "how many entries to leave out, or -", &start, out))
		return;
	(void)fprintf(out, "%zu\n", rds_ledger_count(ledger));
	uint64_t at = start;
	for (size_t i = 0; i < PAGE; i++) {
		const struct rds_attempt *attempt = rds_ledger_next(ledger, &at);
		if (attempt != NULL)
			show_attempt(role, attempt, out);
	}
	if (clear)
		rds_ledger_clear(ledger);
}

static void always_use_relay(struct role *role, char *words, FILE *out)
{
	struct rds_error err;
	if (words[0] != '\0' &&
	    role_set(role, RDS_SET_ALWAYS_USE_RELAY, words, "console", &err) != 0) {
		(void)fprintf(out, "%s\n", err.text);
		return;
	}
	const struct rds_cidrs *nets = &role->always_use_relay.nets;
	(void)fprintf(out, "always-use-relay: %s",
	              nets->n > 0                 ? ""
	              : role->always_use_relay.on ? "Y"
	                                          : "N");
	for (size_t i = 0; i < nets->n; i++) {
		char text[RDS_CIDR_TEXT];
		rds_cidr_format(&nets->items[i], text);
		(void)fprintf(out, "%s%s", i > 0 ? ", " : "", text);
	}
	(void)fputc('\n', out);
}

const struct role_console_command role_console_id[ROLE_CONSOLE_ID] = {
        {"relay-servers", "rs", " [host,...]", relay_servers},
        {"reload-geo", "rg", "", geo},
        {"ip-blocker", "ib", " [ip|number] [-]", ip_blocker},
        {"ip-changes", "ic", " [id|number] [-]", ip_changes},
        {"punch-requests", "pr", " [number] [-]", punch_requests},
        {"always-use-relay", "aur", " [Y|N|network,...]", always_use_relay},
        {"test-geo", "tg", " ip [ip]", geo},
};
