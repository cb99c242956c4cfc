// SPDX-License-Identifier: MIT
// The results as people read them, and as scripts do.
#include "cmd/check/check.h"

#include "cmd/json.h"
#include "cmd/out_file.h"
#include "conf/values.h"
#include "core/alloc.h"
#include "core/text.h"
#include "net/interfaces.h"

#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const status_names[] = {"ok", "warn", "fail", "skip"};

static void count(const struct check *check, size_t n[4])
{
	memset(n, 0, 4 * sizeof *n);
	for (size_t i = 0; i < check->n_results; i++)
		n[check->results[i].status]++;
}

// --- JSON

// What the server is called: by whom it is checked.
static const char *title(const struct check *check)
{
	const struct check_site *site = &check->site;
	return site->local && site->told.id_server[0] != '\0' ? site->told.id_server
	                                                      : site->id_host;
}

static cJSON *as_json(const struct check *check)
{
	size_t n[4];
	cJSON *json = cJSON_CreateObject();
	count(check, n);
	rds_json_switch(json, "ok", n[CHECK_FAIL] == 0);
	rds_json_bytes(json, "host", rds_view_text(title(check)));
	cJSON *array = rds_json_array(json, "checks");
	for (size_t i = 0; i < check->n_results; i++) {
		const struct check_result *result = &check->results[i];
		cJSON *item = rds_json_item(array);
		rds_json_text(item, "name", result->name);
		rds_json_text(item, "status", status_names[result->status]);
		rds_json_text(item, "detail", result->detail);
		rds_json_text(item, "fix", result->fix);
		rds_json_number(item, "ms", result->ms);
	}
	return json;
}

// Takes json.
static char *json_text(cJSON *json)
{
	char *text = cJSON_Print(json);
	cJSON_Delete(json);
	if (text == NULL)
		abort(); // out of memory
	return text;
}

static bool is_private(const struct rds_ip *ip)
{
	static const char *const nets[] = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"};
	for (size_t i = 0; i < sizeof nets / sizeof nets[0]; i++) {
		struct rds_cidr net;
		if (rds_cidr_parse(nets[i], &net) == 0 && rds_cidr_holds(&net, ip))
			return true;
	}
	return false;
}

char *check_addresses(void)
{
	struct rds_interfaces all;
	char *text = rds_strdup("");
	rds_interfaces_read(&all);
	for (size_t i = 0; i < all.n; i++) {
		char ip[RDS_IP_TEXT];
		if (!is_private(&all.items[i].ip))
			continue;
		rds_ip_format(&all.items[i].ip, ip);
		char *longer = rds_asprintf("%s%s%s", text, text[0] == '\0' ? "" : ",", ip);
		free(text);
		text = longer;
	}
	rds_interfaces_free(&all);
	return text;
}

static cJSON *as_report(const struct check *check)
{
	struct rds_strings addresses;
	char *here = check_addresses();
	cJSON *json = as_json(check);
	rds_json_number(json, "report", CHECK_REPORT_VERSION);
	cJSON *array = rds_json_array(json, "addresses");
	rds_strings_split(here, &addresses);
	for (size_t i = 0; i < addresses.n; i++)
		rds_json_text_item(array, addresses.items[i]);
	rds_strings_free(&addresses);
	free(here);
	return json;
}

int check_report(const struct check *check, const char *path, struct rds_error *err)
{
	char *text = json_text(as_report(check));
	struct rds_out_options options = {.who = "rdsrv check", .force = true};
	int rc = rds_out_file_write(path, rds_view_text(text), &options, err);
	free(text);
	return rc;
}

// --- for people

static bool has_colour(void)
{
	const char *no = getenv("NO_COLOR");
	const char *term = getenv("TERM");
	return (no == NULL || no[0] == '\0') && isatty(STDOUT_FILENO) &&
	       (term == NULL || strcmp(term, "dumb") != 0);
}

static void print_result(const struct check_result *result, bool colour)
{
	static const char *const words[] = {"ok  ", "WARN", "FAIL", "skip"};
	static const char *const colours[] = {"\033[32m", "\033[33m", "\033[1;31m", "\033[2m"};
	(void)printf("%s%s%s  %-18s %s\n", colour ? colours[result->status] : "",
	             words[result->status], colour ? "\033[0m" : "", result->name, result->detail);
	if (result->fix[0] != '\0')
		(void)printf("      %-18s %s\n", "to do:", result->fix);
}

// The first failure, for there most begins; but who holds the ports of a server that doesn't run is
// why it doesn't.
static const struct check_result *find_cause(const struct check *check)
{
	const struct check_result *first = NULL;
	for (size_t i = 0; i < check->n_results; i++) {
		const struct check_result *result = &check->results[i];
		if (result->status != CHECK_FAIL)
			continue;
		if (first == NULL || (strncmp(first->name, "service.", 8) == 0 &&
		                      strcmp(result->name, "service.stale") == 0))
			first = result;
	}
	return first;
}

// The one line that says it all.
static void print_verdict(const struct check *check, const size_t n[4], uint64_t took_ms)
{
	(void)printf("\n%zu ok, %zu to look at, %zu failed, %zu skipped; %llu.%llu s\n",
	             n[CHECK_OK], n[CHECK_WARN], n[CHECK_FAIL], n[CHECK_SKIP],
	             (unsigned long long)(took_ms / 1000),
	             (unsigned long long)(took_ms % 1000 / 100));
	const struct check_result *cause = find_cause(check);
	if (cause == NULL)
		return;
	(void)printf("Begin with %s: %s\n", cause->name, cause->fix);
	if (n[CHECK_FAIL] > 1)
		(void)puts("Then check again: other failures may only follow from it.");
}

static void print_text(const struct check *check, uint64_t took_ms)
{
	size_t n[4];
	char host[1024];
	bool colour = has_colour();
	count(check, n);
	(void)printf("%s%s%s\n\n",
	             rds_text_printable(rds_view_text(title(check)), host, sizeof host),
	             check->site.local ? ", data directory " : "",
	             check->site.local ? check->site.data_dir : "");
	for (size_t i = 0; i < check->n_results; i++)
		print_result(&check->results[i], colour);
	print_verdict(check, n, took_ms);
}

void check_print(const struct check *check, uint64_t took_ms)
{
	if (check->options.json) {
		char *text = json_text(as_json(check));
		(void)puts(text);
		free(text);
	} else {
		print_text(check, took_ms);
	}
}
