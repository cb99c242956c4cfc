// SPDX-License-Identifier: MIT
// keygen's commands that change which key a directory has.
#include "cmd/keygen.h"

#include "cmd/cmd.h"
#include "cmd/running.h"
#include "core/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define GRACE_SEC (30 * 86400)

// When and by whom a key is changed; texts last as long as it.
struct change {
	struct rds_key_change change;
	char day[16];
	char time[32];
	char who[64];
};

static void format_time(int64_t time, const char *format, char *out, size_t cap)
{
	struct tm tm;
	time_t at = (time_t)time;
	out[0] = '\0';
	if (localtime_r(&at, &tm) != NULL)
		(void)strftime(out, cap, format, &tm);
}

// Behind sudo stands a person.
static void change_now(struct change *out)
{
	const char *person = getenv("SUDO_USER");
	const struct passwd *user = getpwuid(getuid());
	out->change = (struct rds_key_change){
	        .now = (int64_t)time(NULL), .day = out->day, .time = out->time, .who = out->who};
	format_time(out->change.now, "%Y%m%d", out->day, sizeof out->day);
	format_time(out->change.now, "%Y-%m-%dT%H:%M:%S%z", out->time, sizeof out->time);
	const char *name = person != NULL && getuid() == 0 ? person
	                   : user != NULL                  ? user->pw_name
	                                                   : "unknown";
	// One word of the line, whatever the environment says.
	size_t len = strcspn(name, " \t\r\n");
	(void)snprintf(out->who, sizeof out->who, "%.*s(uid %u)", (int)(len < 40 ? len : 40), name,
	               (unsigned)getuid());
}

static const char *member(const cJSON *json, const char *name)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
	return text == NULL ? "" : text;
}

static void tell_one(const struct keygen *keygen, const char *role, const char *text)
{
	struct rds_error err;
	cJSON *answer = NULL;
	// One that can't be asked finds out by itself.
	if (rds_running_ask(keygen->dir, role, "take-keys", &answer, &err) != 0)
		return;
	const char *fault = member(answer, "error");
	const char *key = member(answer, "key");
	const char *name = keygen->cli->name;
	if (fault[0] != '\0')
		(void)fprintf(stderr, "%s: the running %s server has not taken it over: %s\n", name,
		              role, fault);
	else if (strcmp(key, text) != 0)
		(void)fprintf(stderr, "%s: the running %s server goes on with %s, as its -k says\n",
		              name, role, key[0] == '\0' ? "no key" : key);
	else
		(void)fprintf(stderr, "%s: the running %s server has taken it over\n", name, role);
	cJSON_Delete(answer);
}

void keygen_tell_running(const struct keygen *keygen)
{
	struct rds_keys keys;
	struct rds_error err;
	if (rds_keys_load(keygen->dir, RDS_KEYS_READ, &keys, &err) == 0) {
		const char *text = rds_keypair_public_text(keys.files.pair);
		tell_one(keygen, "id", text);
		tell_one(keygen, "relay", text);
	}
	rds_keys_clear(&keys);
}

static void advise(const struct keygen *keygen, const struct rds_rotated *rotated, int64_t until,
                   int64_t now)
{
	const char *name = keygen->cli->name;
	const char *path = rds_datadir_path(keygen->dir);
	char print[RDS_FINGERPRINT_TEXT];
	char text[32];
	rds_fingerprint(rds_view_text(rotated->old_text), print);
	format_time(until, "%Y-%m-%d %H:%M", text, sizeof text);
	(void)fprintf(stderr, "%s: the old pair is kept as %s/%s and its .pub\n", name, path,
	              rotated->backup);
	if (until > now)
		(void)fprintf(stderr,
		              "%s: the old key (%s) works until %s; `rdsrv keygen --list` shows "
		              "who uses it, `--retire all` ends it\n",
		              name, print, text);
	else
		(void)fprintf(stderr, "%s: the old key (%s) is refused from now on\n", name, print);
	if (rotated->server_conf_fault.text[0] != '\0')
		(void)fprintf(stderr, "%s: server.conf does not have the new key: %s\n", name,
		              rotated->server_conf_fault.text);
	else if (rotated->server_conf_kept)
		(void)fprintf(stderr,
		              "%s: %s/server.conf was edited, so it stays; with the new key it is "
		              "server.conf.new\n",
		              name, path);
	if (rotated->log_fault.text[0] != '\0')
		(void)fprintf(stderr, "%s: not written down: %s\n", name, rotated->log_fault.text);
	(void)fprintf(stderr,
	              "%s: give clients the new key: rdsrv export-conf --data-dir %s > "
	              "server.conf\n",
	              name, path);
}

static bool read_grace(const struct keygen *keygen, int64_t *sec)
{
	*sec = GRACE_SEC;
	if (keygen->grace == NULL || rds_value_duration(keygen->grace, sec) == 0)
		return true;
	(void)fprintf(stderr, "%s: --grace takes a time such as 30d, 12h or 0\n",
	              keygen->cli->name);
	return false;
}

int keygen_rotate(const struct keygen *keygen, const struct rds_keypair *pair)
{
	struct rds_error err = {""};
	struct rds_rotated rotated;
	struct change change;
	int64_t grace_sec;
	if (!read_grace(keygen, &grace_sec))
		return RDS_EXIT_USAGE;
	change_now(&change);
	int64_t until = change.change.now + grace_sec;
	if (rds_rotate(keygen->dir, &change.change, until, pair, &rotated, &err) != 0)
		return keygen_fail(keygen, &err);
	keygen_tell_running(keygen);
	advise(keygen, &rotated, until, change.change.now);
	(void)puts(rotated.new_text);
	return RDS_EXIT_OK;
}

// The text of a secret key file, from wherever it is.
static int read_import(const char *file, uint8_t *out, size_t cap, size_t *len,
                       struct rds_error *err)
{
	bool is_stdin = strcmp(file, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : rds_read_to_end(fd, out, cap);
	int error = errno;
	if (fd >= 0 && !is_stdin)
		(void)close(fd);
	if (n < 0)
		return rds_fail(err, RDS_ESYS, "%s: can't read: %s", file, strerror(error));
	*len = (size_t)n;
	return 0;
}

static int use_imported(const struct keygen *keygen, const struct rds_keypair *pair,
                        bool may_rotate)
{
	struct rds_error err = {""};
	const char *path = rds_datadir_path(keygen->dir);
	bool has_pair = rds_datadir_has(keygen->dir, RDS_SECRET_FILE) ||
	                rds_datadir_has(keygen->dir, RDS_PUBLIC_FILE);
	if (has_pair && may_rotate)
		return keygen_rotate(keygen, pair);
	int rc = has_pair ? -RDS_EEXIST : rds_keyfiles_put(keygen->dir, pair, &err);
	if (rc == -RDS_EEXIST)
		(void)rds_fail(&err, RDS_EEXIST,
		               "%s has a key pair already: nothing was changed; with --rotate "
		               "the imported one replaces it",
		               path);
	if (rc != 0)
		return keygen_fail(keygen, &err);
	(void)fprintf(stderr,
	              "%s: imported to %s/" RDS_SECRET_FILE " (0600) and " RDS_PUBLIC_FILE
	              " (0644)\n",
	              keygen->cli->name, path);
	keygen_tell_running(keygen);
	(void)puts(rds_keypair_public_text(pair));
	return RDS_EXIT_OK;
}

int keygen_import(const struct keygen *keygen, const char *file, bool may_rotate)
{
	struct rds_error err = {""};
	struct rds_error fault;
	struct rds_keypair *pair = NULL;
	uint8_t text[1024];
	size_t len = 0;
	int rc = read_import(file, text, sizeof text, &len, &err);
	if (rc == 0 && rds_keypair_parse(rds_view_of(text, len), &pair, &fault) != 0)
		rc = rds_fail(&err, RDS_EPARSE, "%s: no secret key: %s", file, fault.text);
	rds_wipe(text, sizeof text);
	if (rc != 0)
		return keygen_fail(keygen, &err);
	int code = use_imported(keygen, pair, may_rotate);
	rds_keypair_free(pair);
	return code;
}

int keygen_next(const struct keygen *keygen)
{
	struct rds_error err = {""};
	struct change change;
	char text[RDS_PUBLIC_TEXT];
	change_now(&change);
	if (rds_keys_make_next(keygen->dir, &change.change, text, &err) != 0)
		return keygen_fail(keygen, &err);
	keygen_tell_running(keygen);
	(void)fprintf(stderr,
	              "%s: the next key works already, beside the current one; `rdsrv keygen "
	              "--rotate` puts it into use\n"
	              "%s: a relay on another host takes both: rdsrv relay -k CURRENT,%s\n",
	              keygen->cli->name, keygen->cli->name, text);
	(void)puts(text);
	return RDS_EXIT_OK;
}

int keygen_retire(const struct keygen *keygen, const char *name)
{
	struct rds_error err = {""};
	struct change change;
	size_t n = 0;
	change_now(&change);
	const char *one = strcmp(name, "all") == 0 ? NULL : name;
	if (rds_keys_retire(keygen->dir, &change.change, one, &n, &err) != 0)
		return keygen_fail(keygen, &err);
	if (n > 0)
		keygen_tell_running(keygen);
	(void)fprintf(stderr, "%s: retired keys that are refused from now on: %zu\n",
	              keygen->cli->name, n);
	return RDS_EXIT_OK;
}

int keygen_purge(const struct keygen *keygen)
{
	struct rds_error err = {""};
	int64_t age_sec = 0;
	char day[16] = "";
	size_t n = 0;
	if (keygen->older_than != NULL && rds_value_duration(keygen->older_than, &age_sec) != 0) {
		(void)fprintf(stderr, "%s: --older-than takes a time such as 90d\n",
		              keygen->cli->name);
		return RDS_EXIT_USAGE;
	}
	format_time((int64_t)time(NULL) - age_sec, "%Y%m%d", day, sizeof day);
	if (rds_backups_purge(keygen->dir, keygen->older_than == NULL ? NULL : day, &n, &err) != 0)
		return keygen_fail(keygen, &err);
	(void)fprintf(stderr, "%s: backup files overwritten and removed: %zu\n", keygen->cli->name,
	              n);
	return RDS_EXIT_OK;
}
