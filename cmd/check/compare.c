// SPDX-License-Identifier: MIT
// --compare: reads the report of a run at the server and adds what it says beside this one.
#include "cmd/check/compare.h"

#include "cmd/out_file.h"
#include "conf/values.h"
#include "core/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_BYTES_MAX (4U << 20)

// --- networks

// The machine's own bridges have the same addresses everywhere; so those that are equal say
// nothing.
static bool are_neighbours(const char *one, const char *other)
{
	static const char *const nets[] = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"};
	struct rds_ip a;
	struct rds_ip b;
	if (rds_ip_parse(one, &a) != 0 || rds_ip_parse(other, &b) != 0 || rds_ip_equal(&a, &b))
		return false;
	for (size_t i = 0; i < sizeof nets / sizeof nets[0]; i++) {
		struct rds_cidr net;
		if (rds_cidr_parse(nets[i], &net) == 0 && rds_cidr_holds(&net, &a))
			return memcmp(a.b, b.b, 15) == 0; // one /24
	}
	return false;
}

bool compare_same_network(const char *here, const char *there)
{
	struct rds_strings ours;
	struct rds_strings theirs;
	bool same = false;
	rds_strings_split(here, &ours);
	rds_strings_split(there, &theirs);
	for (size_t i = 0; i < ours.n; i++)
		for (size_t j = 0; j < theirs.n && !same; j++)
			same = are_neighbours(ours.items[i], theirs.items[j]);
	rds_strings_free(&ours);
	rds_strings_free(&theirs);
	return same;
}

// --- the report

struct check_compared {
	struct check_result *results;
	size_t n;
	char *host;
	char *addresses; // separated by commas
};

static const char *text_of(const cJSON *object, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static bool read_result(const cJSON *item, struct check_result *out)
{
	static const char *const names[] = {"ok", "warn", "fail", "skip"};
	const char *name = text_of(item, "name");
	const char *status = text_of(item, "status");
	const char *detail = text_of(item, "detail");
	const char *fix = text_of(item, "fix");
	if (name == NULL || name[0] == '\0' || status == NULL || detail == NULL)
		return false;
	*out = (struct check_result){.status = CHECK_OK};
	(void)snprintf(out->name, sizeof out->name, "%s", name);
	(void)snprintf(out->detail, sizeof out->detail, "%s", detail);
	(void)snprintf(out->fix, sizeof out->fix, "%s", fix == NULL ? "" : fix);
	for (size_t i = 0; i < 4; i++)
		if (strcmp(status, names[i]) == 0) {
			out->status = (enum check_status)i;
			return true;
		}
	return false;
}

static char *read_addresses(const cJSON *json)
{
	const cJSON *item = NULL;
	char *all = rds_strdup("");
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "addresses")) {
		if (!cJSON_IsString(item))
			continue;
		char *longer = rds_asprintf("%s,%s", all, item->valuestring);
		free(all);
		all = longer;
	}
	return all;
}

// Fills *out from a whole report. false: it is none.
static bool read_results(const cJSON *json, struct check_compared *out)
{
	const cJSON *checks = cJSON_GetObjectItemCaseSensitive(json, "checks");
	const cJSON *item = NULL;
	int n = cJSON_GetArraySize(checks);
	if (!cJSON_IsArray(checks) || n == 0)
		return false;
	out->results = rds_calloc((size_t)n, sizeof *out->results);
	cJSON_ArrayForEach(item, checks) {
		if (!read_result(item, &out->results[out->n++]))
			return false;
	}
	return true;
}

static int read_report(const cJSON *json, const char *path, struct check_compared *out,
                       struct rds_error *err)
{
	const cJSON *version = cJSON_GetObjectItemCaseSensitive(json, "report");
	// What --json prints has no number, and is as good.
	if (cJSON_IsObject(json) && version != NULL &&
	    (!cJSON_IsNumber(version) || version->valuedouble != CHECK_REPORT_VERSION))
		return rds_fail(err, RDS_EINVAL,
		                "%s: a report of another version of rdsrv: write it again, with "
		                "rdsrv %s, by rdsrv check --report FILE at the server",
		                path, RDSRV_VERSION);
	if (!read_results(json, out))
		return rds_fail(err, RDS_EPARSE,
		                "%s: no report: --compare wants what rdsrv check --report FILE "
		                "wrote at the server",
		                path);
	const char *host = text_of(json, "host");
	out->host = rds_strdup(host == NULL ? "" : host);
	out->addresses = read_addresses(json);
	return 0;
}

struct check_compared *check_compared_open(const char *path, struct rds_error *err)
{
	uint8_t *bytes = NULL;
	size_t len = 0;
	struct check_compared *out = NULL;
	if (rds_in_file_read_up_to(path, REPORT_BYTES_MAX, "a report", &bytes, &len, err) != 0)
		return NULL;
	out = rds_calloc(1, sizeof *out);
	cJSON *json = cJSON_ParseWithLength((const char *)bytes, len);
	int rc = read_report(json, path, out, err);
	cJSON_Delete(json);
	free(bytes);
	if (rc == 0)
		return out;
	check_compared_free(out);
	return NULL;
}

void check_compared_free(struct check_compared *compared)
{
	if (compared == NULL)
		return;
	free(compared->addresses);
	free(compared->host);
	free(compared->results);
	free(compared);
}

// --- both

void check_compare(struct check *check, const struct check_compared *compared)
{
	const struct check_site *site = &check->site;
	struct check_result found[COMPARE_MAX];
	uint64_t began_ms = check_now_ms();
	char *here = check_addresses();
	struct compare_runs runs = {
	        .inside = compared->results,
	        .n_inside = compared->n,
	        .outside = check->results,
	        .n_outside = check->n_results,
	        .host = site->id_host[0] != '\0' ? site->id_host : compared->host,
	        .id_port = site->id_port,
	        .nat_port = site->nat_port,
	        .relay_port = site->relay_port,
	        .websocket_port = site->websocket_port,
	        .relay_websocket_port = site->relay_websocket_port,
	        .api_port = site->api_port,
	        .same_network = compare_same_network(here, compared->addresses)};
	size_t n = compare_judge(&runs, found);
	for (size_t i = 0; i < n; i++) {
		found[i].began_ms = began_ms;
		check_end(check, &found[i]);
	}
	free(here);
}
