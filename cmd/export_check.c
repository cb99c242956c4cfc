// SPDX-License-Identifier: MIT
// export-conf --check: what a client's configuration holds, and whether it still fits the server.
#include "cmd/cmd.h"
#include "cmd/export_private.h"
#include "core/alloc.h"
#include "core/text.h"
#include "keys/keypair.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

// An installer has its configuration in its name.
static bool is_installer(const char *name)
{
	size_t len = strlen(name);
	return strncmp(name, "rustdesk-", 9) == 0 && strcasecmp(name + len - 4, ".exe") == 0;
}

static int read_it(const char *path, enum rds_form *form, struct rds_client_conf *out,
                   struct rds_error *err)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash == NULL ? path : slash + 1;
	struct rds_error why = {""};
	uint8_t *bytes = NULL;
	size_t len = 0;
	int rc = 0;
	if (is_installer(name)) {
		rc = rds_form_read(rds_view_text(name), form, out, &why);
	} else {
		rc = rds_in_file_read(path, &bytes, &len, err);
		if (rc != 0)
			return rc;
		rc = rds_form_read(rds_view_of(bytes, len), form, out, &why);
		free(bytes);
	}
	return rc == 0 ? 0 : rds_fail(err, RDS_EPARSE, "%s: %s", path, why.text);
}

static void print_day(const char *before, int64_t sec)
{
	char day[32] = "?";
	time_t when = (time_t)sec;
	struct tm tm;
	if (gmtime_r(&when, &tm) != NULL)
		(void)strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%SZ", &tm);
	(void)printf("%s%s", before, day);
}

static void print_key(const struct export_job *job, const char *key,
                      const struct rds_client_fit *fit)
{
	char fingerprint[RDS_FINGERPRINT_TEXT];
	(void)printf("key:           ");
	switch (fit->key) {
	case RDS_FIT_KEY_CURRENT:
		(void)printf("the current key");
		break;
	case RDS_FIT_KEY_NEXT:
		(void)printf("the next key, accepted already");
		break;
	case RDS_FIT_KEY_RETIRED:
		print_day("a retired key, accepted until ", fit->until_sec);
		break;
	case RDS_FIT_KEY_EXPIRED:
		print_day("a retired key, refused since ", fit->until_sec);
		break;
	case RDS_FIT_KEY_FOREIGN:
		(void)printf(key[0] == '\0' ? "there is none" : "a foreign key");
		break;
	}
	rds_fingerprint(rds_view_text(key), fingerprint);
	(void)printf(" (%s)", fingerprint);
	if (fit->key != RDS_FIT_KEY_CURRENT) {
		const char *current = rds_known_keys_text(&job->keys, RDS_KNOWN_CURRENT);
		rds_fingerprint(rds_view_text(current), fingerprint);
		(void)printf("; the server's is %s", fingerprint);
	}
	(void)putchar('\n');
}

static void print_host(const char *what, const char *text, const char *live, enum rds_host_fit fit)
{
	static const char *const verdicts[] = {[RDS_FIT_HOST_SAME] = "as the server's",
	                                       [RDS_FIT_HOST_OTHER] = "another than the server's",
	                                       [RDS_FIT_HOST_UNKNOWN] =
	                                               "can't tell: no setting names the server's"};
	char shown[512];
	(void)rds_text_escape(rds_view_text(text), shown, sizeof shown);
	(void)printf("%-14s %s: %s", what, text[0] == '\0' ? "(none)" : shown, verdicts[fit]);
	if (fit == RDS_FIT_HOST_OTHER)
		(void)printf(" (%s)", live[0] == '\0' ? "it has none" : live);
	(void)putchar('\n');
}

static bool report(const struct export_job *job, enum rds_form form,
                   const struct rds_client_conf *conf)
{
	const struct rds_client_conf *live = &job->conf;
	struct rds_client_fit fit =
	        rds_client_fit(conf, live, job->keys.items, job->keys.n, (int64_t)time(NULL));
	if (rds_form_row(form)->no_api)
		fit.api_server = RDS_FIT_HOST_SAME;
	bool good = rds_client_fit_is_good(&fit);
	(void)printf("form:          %s\n", rds_form_row(form)->name);
	print_key(job, conf->key, &fit);
	print_host("ID server:", conf->id_server, live->id_server, fit.id_server);
	print_host("relay server:", conf->relay_server, live->relay_server, fit.relay_server);
	if (!rds_form_row(form)->no_api)
		print_host("API server:", conf->api_server, live->api_server, fit.api_server);
	(void)puts(good ? "It fits the server." : "It does not fit the server.");
	return good;
}

int export_check(const struct export_job *job)
{
	struct rds_error err = {""};
	struct rds_client_conf conf;
	enum rds_form form;
	if (read_it(job->check, &form, &conf, &err) != 0) {
		export_say("%s", err.text);
		return RDS_EXIT_PROBLEM;
	}
	bool good = report(job, form, &conf);
	rds_client_conf_clear(&conf);
	return good ? RDS_EXIT_OK : RDS_EXIT_PROBLEM;
}
