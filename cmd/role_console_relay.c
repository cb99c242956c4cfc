// SPDX-License-Identifier: MIT
// The commands of hbbr's console. What it shows and changes, the control socket does too.
#include "cmd/role_private.h"

static const struct rds_cidrs *list_of(const struct role *role, const char *file)
{
	return strcmp(file, RDS_BLOCK_FILE) == 0 ? &role->blocked : &role->slow;
}

// Each of "ip|ip|...".
static void change_list(struct role *role, const char *file, char *words, FILE *out,
                        int (*change)(struct role *role, const char *file, const char *net,
                                      struct rds_error *err))
{
	char *rest = NULL;
	for (char *net = strtok_r(words, "| \t", &rest); net != NULL;
	     net = strtok_r(NULL, "| \t", &rest)) {
		struct rds_error err;
		if (change(role, file, net, &err) != 0)
			(void)fprintf(out, "%s: %s\n", net, err.text);
		else
			rds_log(RDS_LOG_INFO, "address list changed", rds_field_text("file", file),
			        rds_field_text("net", net), rds_field_text("from", "console"));
	}
}

static void remove_all(struct role *role, const char *file, FILE *out)
{
	while (list_of(role, file)->n > 0) {
		char net[RDS_CIDR_TEXT];
		rds_cidr_format(&list_of(role, file)->items[0], net);
		size_t before = list_of(role, file)->n;
		change_list(role, file, net, out, role_list_remove);
		if (list_of(role, file)->n == before)
			return; // said already
	}
}

static void remove_from(struct role *role, const char *file, char *words, FILE *out)
{
	if (strcmp(words, "all") == 0)
		remove_all(role, file, out);
	else
		change_list(role, file, words, out, role_list_remove);
}

// The whole list, or whether it holds an address.
static void show_list(const struct role *role, const char *file, const char *words, FILE *out)
{
	const struct rds_cidrs *list = list_of(role, file);
	struct rds_ip ip;
	if (words[0] != '\0' && rds_ip_parse(words, &ip) == 0) {
		(void)fprintf(out, "%s\n",
		              rds_cidrs_hold(list->items, list->n, &ip) ? "true" : "false");
		return;
	}
	for (size_t i = 0; i < list->n; i++) {
		char net[RDS_CIDR_TEXT];
		rds_cidr_format(&list->items[i], net);
		(void)fprintf(out, "%s\n", net);
	}
}

static void slow_add(struct role *role, char *words, FILE *out)
{
	change_list(role, RDS_SLOW_FILE, words, out, role_list_add);
}

static void slow_remove(struct role *role, char *words, FILE *out)
{
	remove_from(role, RDS_SLOW_FILE, words, out);
}

static void slow_show(struct role *role, char *words, FILE *out)
{
	show_list(role, RDS_SLOW_FILE, words, out);
}

static void block_add(struct role *role, char *words, FILE *out)
{
	change_list(role, RDS_BLOCK_FILE, words, out, role_list_add);
}

static void block_remove(struct role *role, char *words, FILE *out)
{
	remove_from(role, RDS_BLOCK_FILE, words, out);
}

static void block_show(struct role *role, char *words, FILE *out)
{
	show_list(role, RDS_BLOCK_FILE, words, out);
}

static void limit(struct role *role, enum rds_setting setting, const char *words, FILE *out)
{
	struct rds_error err;
	if (words[0] != '\0' && role_set_limit(role, setting, words, "console", &err) != 0)
		(void)fprintf(out, "%s\n", err.text);
	else
		(void)fprintf(out, "%s\n", rds_settings_text(role->settings, setting));
}

static void downgrade_threshold(struct role *role, char *words, FILE *out)
{
	limit(role, RDS_SET_DOWNGRADE_THRESHOLD, words, out);
}

static void downgrade_start_check(struct role *role, char *words, FILE *out)
{
	limit(role, RDS_SET_DOWNGRADE_START_CHECK, words, out);
}

static void limit_speed(struct role *role, char *words, FILE *out)
{
	limit(role, RDS_SET_LIMIT_SPEED, words, out);
}

static void total_bandwidth(struct role *role, char *words, FILE *out)
{
	limit(role, RDS_SET_TOTAL_BANDWIDTH, words, out);
}

static void single_bandwidth(struct role *role, char *words, FILE *out)
{
	limit(role, RDS_SET_SINGLE_BANDWIDTH, words, out);
}

// One line a session: address, seconds, MB, highest, average and current kb/s.
static void usage(struct role *role, char *words, FILE *out)
{
	struct rds_relay_session s;
	uint64_t at = 0;
	(void)words;
	while (rds_relay_next_session(role->relay, &at, &s)) {
		char from[RDS_ADDR_TEXT];
		rds_addr_format(&s.remotes[1], from);
		(void)fprintf(out, "%s: %llus %.2fMB %llukb/s %llukb/s %llukb/s\n", from,
		              (unsigned long long)s.lasted_ms / 1000,
		              (double)(s.bytes[0] + s.bytes[1]) / 1048576,
		              (unsigned long long)s.peak * 8 / 1000,
		              (unsigned long long)s.average * 8 / 1000,
		              (unsigned long long)s.current * 8 / 1000);
	}
}

const struct role_console_command role_console_relay[ROLE_CONSOLE_RELAY] = {
        {"blacklist-add", "ba", " ip[|ip]", slow_add},
        {"blacklist-remove", "br", " ip[|ip] or all", slow_remove},
        {"blacklist", "b", " [ip]", slow_show},
        {"blocklist-add", "Ba", " ip[|ip]", block_add},
        {"blocklist-remove", "Br", " ip[|ip] or all", block_remove},
        {"blocklist", "B", " [ip]", block_show},
        {"downgrade-threshold", "dt", " [share]", downgrade_threshold},
        {"downgrade-start-check", "t", " [seconds]", downgrade_start_check},
        {"limit-speed", "ls", " [Mb/s]", limit_speed},
        {"total-bandwidth", "tb", " [Mb/s]", total_bandwidth},
        {"single-bandwidth", "sb", " [Mb/s]", single_bandwidth},
        {"usage", "u", "", usage},
};
