// SPDX-License-Identifier: MIT
// rdsrv check: what is asked for, and the scripts side by side.
#include "cmd/check/check.h"

#include "cmd/act.h"
#include "cmd/cmd.h"
#include "cmd/json.h"
#include "core/alloc.h"
#include "core/text.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NAME    "rdsrv check"
#define STEP_MS 3000
// Clients wait for 18 s; devices are online, and test ids reserved, for longer than this.
#define STEP_SEC_MAX 20

// --- scripts

struct script {
	void (*run)(struct check *check);
	enum check_where where;
	const char *names; // those that it makes, separated by commas
};

static const struct script scripts[] = {
        {check_files, CHECK_HERE, "files.data-dir,files.keys,files.database,files.server-conf"},
        {check_keys, CHECK_HERE, "keys.pair,keys.grace,keys.same"},
        {check_service, CHECK_HERE, "service.self,service.id,service.relay,service.stale"},
        {check_limits, CHECK_HERE, "service.limits"},
        {check_listen, CHECK_HERE, "listen."},
        {check_firewall, CHECK_HERE, "firewall"},
        {check_docker, CHECK_HERE, "docker"},
        {check_tailscale, CHECK_HERE, "tailscale"},
        {check_names, CHECK_ANYWHERE, "dns.id,dns.relay"},
        {check_peer_udp, CHECK_ANYWHERE, "udp.register,online,punch,punch.key,relay.name"},
        {check_peer_tcp, CHECK_ANYWHERE, "tcp.secure,tcp.register"},
        {check_peer_websocket, CHECK_ANYWHERE, "ws.register"},
        {check_nat, CHECK_ANYWHERE, "nat"},
        {check_relay_tcp, CHECK_ANYWHERE, "relay.tcp"},
        {check_relay_websocket, CHECK_ANYWHERE, "relay.ws"},
        {check_relay_mixed, CHECK_ANYWHERE, "relay.mixed"},
        {check_relay_key, CHECK_ANYWHERE, "relay.key"},
        {check_web_name, CHECK_ANYWHERE, "ws.name"},
        {check_http, CHECK_ANYWHERE, "http.21114"},
        {check_conf, CHECK_ANYWHERE, "conf"},
        {check_clock, CHECK_ANYWHERE, "clock"},
};
#define N_SCRIPTS (sizeof scripts / sizeof scripts[0])

static bool is_wanted(const struct check *check, const struct script *script)
{
	struct rds_strings names;
	bool wanted = false;
	if ((script->where & (check->site.local ? CHECK_HERE : CHECK_ELSEWHERE)) == 0)
		return false;
	rds_strings_split(script->names, &names);
	for (size_t i = 0; i < names.n; i++)
		wanted = wanted || check_wants(check, names.items[i]);
	rds_strings_free(&names);
	return wanted;
}

// Whether a client is played: a health check needs no ids.
static bool plays_clients(const struct check *check)
{
	static const struct script all = {
	        NULL, CHECK_ANYWHERE,
	        "udp.register,online,punch,punch.key,relay.name,tcp.register,ws.register,nat,"
	        "relay.tcp,relay.ws,relay.mixed,relay.key"};
	return is_wanted(check, &all);
}

struct running {
	struct check *check;
	const struct script *script;
	pthread_t thread;
	bool started;
};

static void *run_script(void *arg)
{
	const struct running *running = arg;
	running->script->run(running->check);
	return NULL;
}

static void run_scripts(struct check *check)
{
	struct running all[N_SCRIPTS] = {0};
	for (size_t i = 0; i < N_SCRIPTS; i++) {
		all[i] = (struct running){.check = check, .script = &scripts[i]};
		if (!is_wanted(check, &scripts[i]))
			continue;
		all[i].started = pthread_create(&all[i].thread, NULL, run_script, &all[i]) == 0;
		if (!all[i].started)
			(void)run_script(&all[i]); // slower, but all the same
	}
	for (size_t i = 0; i < N_SCRIPTS; i++)
		if (all[i].started)
			(void)pthread_join(all[i].thread, NULL);
}

// --- the command line

enum option {
	HOST,
	KEY,
	CONF,
	JSON,
	ONLY,
	SKIP,
	TIMEOUT,
	VERBOSE,
	REGISTER,
	REPORT,
	COMPARE,
	EXPLAIN,
	LIST,
	OPTIONS
};

static const struct rds_cli_option options[OPTIONS] = {
        [HOST] = {"host", 0, "HOST", "a server elsewhere, as a client would enter it"},
        [KEY] = {"key", 'k', "KEY", "the key that clients have (with --host)"},
        [CONF] = {"conf", 0, "FILE|STRING", "what clients are configured with, any form"},
        [JSON] = {"json", 0, NULL, "the results as JSON"},
        [ONLY] = {"only", 0, "NAME,...", "only these checks, or groups of them"},
        [SKIP] = {"skip", 0, "NAME,...", "all but these"},
        [TIMEOUT] = {"timeout", 0, "SECONDS", "how long each step may take (3)"},
        [VERBOSE] = {"verbose", 'v', NULL, "each message sent and received, on stderr"},
        [REGISTER] = {"register", 0, NULL, "elsewhere: register too; rows stay behind there"},
        [REPORT] = {"report", 0, "FILE", "write the results there, for --compare"},
        [COMPARE] = {"compare", 0, "FILE", "what works at the server, and not here"},
        [EXPLAIN] = {"explain", 0, NULL, "what a client's or server's MESSAGE means"},
        [LIST] = {"list", 0, NULL, "the names of all checks"},
};

static const struct rds_cli cli = {
        .name = NAME,
        .arguments = "[options] | --explain [MESSAGE]",
        .about =
                "Says what is wrong with a server and what to do: looks at this host's, and plays\n"
                "two clients against it; with --host or --conf against one elsewhere.",
        .takes = RDS_FOR_CHECK,
        .options = options,
        .n_options = OPTIONS,
        .after = "Exit code: 0 nothing failed, 1 something did, 2 wrong use.\n"
                 "rdsrv-check(1) lists every check and message.\n",
};

const struct rds_cli *cmd_check_cli(void)
{
	return &cli;
}

static int wrong_use(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int wrong_use(const char *fmt, ...)
{
	char said[1024];
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(said, sizeof said, fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, NAME ": %s\n",
	              rds_text_printable(rds_view_text(said), text, sizeof text));
	return RDS_EXIT_USAGE;
}

// What stands for many is shown in their form.
static const char *shown_name(const char *name)
{
	return name[strlen(name) - 1] == '.' ? "listen.PORT/PROTO" : name;
}

static int list_as_json(void)
{
	cJSON *array = cJSON_CreateArray();
	for (size_t i = 0; i < check_n_rows; i++) {
		cJSON *item = rds_json_item(array);
		rds_json_text(item, "name", shown_name(check_rows[i].name));
		rds_json_text(item, "about", check_rows[i].about);
	}
	char *text = rds_json_print(array);
	(void)puts(text);
	free(text);
	cJSON_Delete(array);
	return RDS_EXIT_OK;
}

static int list_names(void)
{
	for (size_t i = 0; i < check_n_rows; i++)
		(void)printf("%-18s %s\n", shown_name(check_rows[i].name), check_rows[i].about);
	return RDS_EXIT_OK;
}

static int explain(int argc, char **argv, const struct rds_cli_result *result)
{
	char *text = rds_strdup("");
	for (int i = result->first_argument; i < argc; i++) {
		char *longer = rds_asprintf("%s%s%s", text, text[0] == '\0' ? "" : " ", argv[i]);
		free(text);
		text = longer;
	}
	int code = check_explain(text, result->values[JSON] != NULL);
	free(text);
	return code;
}

static bool known_words(const char *option, const char *list)
{
	char *unknown = list == NULL ? NULL : check_unknown_word(list);
	if (unknown != NULL)
		(void)wrong_use("--%s: there is no check \"%s\"; --list shows their names", option,
		                unknown);
	free(unknown);
	return unknown == NULL;
}

static bool read_options(const struct rds_cli_result *result, struct check_options *out)
{
	int64_t sec = STEP_MS / 1000;
	const char *timeout = result->values[TIMEOUT];
	if (timeout != NULL && rds_value_number(timeout, 1, STEP_SEC_MAX, &sec) != 0) {
		(void)wrong_use("--timeout is in seconds, from 1 to %d", STEP_SEC_MAX);
		return false;
	}
	*out = (struct check_options){.json = result->values[JSON] != NULL,
	                              .verbose = result->values[VERBOSE] != NULL,
	                              .may_register = result->values[REGISTER] != NULL,
	                              .timeout_ms = (unsigned)sec * 1000,
	                              .only = result->values[ONLY],
	                              .skip = result->values[SKIP]};
	return known_words("only", out->only) && known_words("skip", out->skip);
}

// --- all of it

static int find_site(struct check *check, struct rds_act *act)
{
	const char *const *values = act->result.values;
	struct rds_error err = {""};
	unsigned here_ms = check->options.timeout_ms / 2;
	bool elsewhere =
	        values[HOST] != NULL ||
	        (values[CONF] != NULL && !rds_settings_is_set(act->settings, RDS_SET_DATA_DIR));
	if (!elsewhere && values[KEY] != NULL)
		return wrong_use("--key goes with --host; here the key is the data directory's");
	if (!elsewhere && check->options.may_register)
		return wrong_use("--register is for a server elsewhere (--host, --conf): here test "
		                 "ids are used, of which nothing stays");
	if (elsewhere) {
		int rc = check_site_elsewhere(&check->site, values[HOST], values[KEY], values[CONF],
		                              &err);
		check->site.here_ms = here_ms;
		if (rc == 0 && plays_clients(check))
			check_site_reserve(&check->site);
		return rc == 0 ? RDS_EXIT_OK : wrong_use("%s", err.text);
	}
	check_site_here(&check->site, act->settings, here_ms);
	act->settings = NULL; // it is the site's
	if (values[CONF] != NULL) {
		check->site.has_conf = true;
		if (check_conf_read(values[CONF], &check->site.given, &err) != 0)
			return wrong_use("%s", err.text);
	}
	if (plays_clients(check))
		check_site_reserve(&check->site);
	return RDS_EXIT_OK;
}

static int finish(struct check *check, const struct rds_cli_result *result, uint64_t took_ms)
{
	struct rds_error err = {""};
	check_sort(check);
	check_print(check, took_ms);
	if (result->values[REPORT] != NULL &&
	    check_report(check, result->values[REPORT], &err) != 0) {
		(void)fprintf(stderr, NAME ": %s\n", err.text);
		return RDS_EXIT_PROBLEM;
	}
	for (size_t i = 0; i < check->n_results; i++)
		if (check->results[i].status == CHECK_FAIL)
			return RDS_EXIT_PROBLEM;
	return RDS_EXIT_OK;
}

// A check that checks nothing is no success. compare.* come without a script.
static bool has_work(const struct check *check)
{
	bool wanted = false;
	for (size_t i = 0; i < N_SCRIPTS; i++)
		wanted = wanted || is_wanted(check, &scripts[i]);
	return wanted;
}

// An earlier report may go; whatever else was there by that name is somebody's.
static bool is_free_for_report(const char *path)
{
	struct stat st;
	struct rds_error err;
	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		return true;
	struct check_compared *report = check_compared_open(path, &err);
	check_compared_free(report);
	return report != NULL;
}

static int run(struct check *check, struct rds_act *act)
{
	uint64_t began_ms = check_now_ms();
	struct rds_error err = {""};
	const char *report = act->result.values[COMPARE];
	if (!read_options(&act->result, &check->options))
		return RDS_EXIT_USAGE;
	const char *to = act->result.values[REPORT];
	if (to != NULL && !is_free_for_report(to))
		return wrong_use("--report: there is a file %s that is no report: name another",
		                 to);
	struct check_compared *compared = report == NULL ? NULL : check_compared_open(report, &err);
	if (report != NULL && compared == NULL)
		return wrong_use("%s", err.text);
	int code = find_site(check, act);
	if (code == RDS_EXIT_OK && compared == NULL && !has_work(check))
		code = wrong_use("--only and --skip leave no check that is made %s",
		                 check->site.local ? "at the server"
		                                   : "against a server elsewhere");
	if (code == RDS_EXIT_OK) {
		run_scripts(check);
		if (compared != NULL)
			check_compare(check, compared);
		code = finish(check, &act->result, check_now_ms() - began_ms);
	}
	check_compared_free(compared);
	return code;
}

int cmd_check(int argc, char **argv)
{
	struct rds_act act;
	struct check check = {0};
	int code = RDS_EXIT_USAGE;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)pthread_mutex_init(&check.lock, NULL);
	if (rds_act_parse(&cli, argc, argv, &act, &code)) {
		if (act.result.values[EXPLAIN] != NULL)
			code = explain(argc, argv, &act.result);
		else if (rds_cli_no_arguments(&cli, argc, argv, &act.result, &code))
			code = act.result.values[LIST] == NULL   ? run(&check, &act)
			       : act.result.values[JSON] != NULL ? list_as_json()
			                                         : list_names();
	}
	check_site_clear(&check.site);
	free(check.results);
	(void)pthread_mutex_destroy(&check.lock);
	rds_act_close(&act);
	return code;
}
