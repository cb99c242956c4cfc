// SPDX-License-Identifier: MIT
// The ID server's commands on its control socket.
#include "cmd/json.h"
#include "cmd/role_private.h"

#include "core/alloc.h"
#include "core/rendezvous_admin.h"
#include "core/text.h"
#include "keys/keyfiles.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

static const char *state_name(enum rds_peer_state state)
{
	static const char *const names[] = {"approved", "pending", "banned"};
	return names[state];
}

const char *role_time(const struct role *role, uint64_t ms, char out[RDS_TIME_TEXT])
{
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	int64_t ago_ms = (int64_t)(rds_loop_now_ms(role->loop) - ms);
	int64_t at_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - ago_ms;
	return rds_text_time(ms == 0 ? 0 : at_ms / 1000, out);
}

static void add_time(cJSON *json, const char *name, const struct role *role, uint64_t ms)
{
	char text[RDS_TIME_TEXT];
	rds_json_text(json, name, role_time(role, ms, text));
}

// Of what happened before the start, the day is known at most.
static void add_day(cJSON *json, const char *name, uint16_t day)
{
	char text[RDS_TIME_TEXT] = "";
	struct tm tm;
	time_t at = (time_t)day * 24 * 60 * 60;
	if (day != 0 && gmtime_r(&at, &tm) != NULL)
		(void)strftime(text, sizeof text, "%Y-%m-%d", &tm);
	rds_json_text(json, name, text);
}

struct listing {
	const struct role *role;
	cJSON *array;
	bool online_only;
};

static void add_peer(const struct role *role, cJSON *json, const struct rds_peer_info *info)
{
	char text[RDS_ADDR_TEXT] = "";
	rds_json_bytes(json, "id", info->id);
	rds_json_switch(json, "online", info->online);
	rds_json_text(json, "state", state_name(info->state));
	if (info->seen_ms != 0)
		rds_addr_format(&info->remote, text);
	rds_json_text(json, "address", text);
	rds_json_text(json, "by", info->seen_ms == 0 ? "" : info->by_conn ? "connection" : "udp");
	if (info->seen_ms != 0)
		add_time(json, "seen", role, info->seen_ms);
	else
		add_day(json, "seen", info->seen_day);
	rds_ip_format(&info->ip_on_file, text);
	rds_json_text(json, "ip_on_file", rds_ip_is_none(&info->ip_on_file) ? "" : text);
	rds_json_bytes(json, "version", info->version);
}

static void list_peer(void *ctx, const struct rds_peer_info *info)
{
	struct listing *listing = ctx;
	if (info->online || !listing->online_only)
		add_peer(listing->role, rds_json_item(listing->array), info);
}

static cJSON *peers(struct role *role, const char *words)
{
	if (words[0] != '\0' && strcmp(words, "--online") != 0)
		return rds_json_wrong_use("peers takes --online, or nothing; `peer ID` shows one");
	cJSON *json = rds_json_answer(NULL);
	struct listing listing = {.role = role,
	                          .array = rds_json_array(json, "peers"),
	                          .online_only = strcmp(words, "--online") == 0};
	rds_rendezvous_peers(rds_id_service_rules(role->id), rds_loop_now_ms(role->loop), list_peer,
	                     &listing);
	return json;
}

static cJSON *peer(struct role *role, const char *words)
{
	struct rds_peer_info info;
	if (!rds_rendezvous_peer(rds_id_service_rules(role->id), rds_loop_now_ms(role->loop),
	                         rds_view_text(words), &info))
		return rds_json_answer("there is no such id");
	cJSON *json = rds_json_answer(NULL);
	add_peer(role, json, &info);
	return json;
}

static cJSON *result_of(int rc)
{
	return rds_json_answer(rc == 0             ? NULL
	                       : rc == -RDS_ENOENT ? "there is no such id"
	                                           : "this id is being written to disk: try again");
}

static cJSON *set_state(const struct role *role, const char *id, enum rds_peer_state state)
{
	return result_of(
	        rds_rendezvous_set_state(rds_id_service_rules(role->id), rds_view_text(id), state));
}

static cJSON *approve(struct role *role, const char *words)
{
	return set_state(role, words, RDS_PEER_APPROVED);
}

static cJSON *ban(struct role *role, const char *words)
{
	return set_state(role, words, RDS_PEER_BANNED);
}

static cJSON *forget(struct role *role, const char *words)
{
	return result_of(
	        rds_rendezvous_forget(rds_id_service_rules(role->id), rds_view_text(words)));
}

static void add_refused(const struct role *role, cJSON *json, const struct rds_refused *refused)
{
	char ip[RDS_IP_TEXT];
	rds_ip_format(&refused->ip, ip);
	rds_json_bytes(json, "id", rds_view_of(refused->id, refused->id_len));
	rds_json_text(json, "ip", ip);
	rds_json_text(json, "reason", rds_reason_name(refused->why));
	rds_json_number(json, "times", refused->times);
	add_time(json, "first", role, refused->first_ms);
	add_time(json, "last", role, refused->last_ms);
}

static void list_banned(void *ctx, const struct rds_peer_info *info)
{
	struct listing *listing = ctx;
	if (info->state != RDS_PEER_APPROVED)
		add_peer(listing->role, rds_json_item(listing->array), info);
}

// Who may not be here, and whose registrations were refused lately.
static cJSON *blocked(struct role *role, const char *words)
{
	const struct rds_refused *refused = NULL;
	cJSON *json = rds_json_answer(NULL);
	struct listing listing = {.role = role, .array = rds_json_array(json, "ids")};
	(void)words;
	rds_rendezvous_peers(rds_id_service_rules(role->id), rds_loop_now_ms(role->loop),
	                     list_banned, &listing);
	cJSON *array = rds_json_array(json, "refused_registrations");
	size_t n = rds_rendezvous_refused(rds_id_service_rules(role->id), &refused);
	for (size_t i = 0; i < n; i++)
		add_refused(role, rds_json_item(array), &refused[i]);
	return json;
}

static cJSON *always_use_relay(struct role *role, const char *words)
{
	struct rds_error err;
	int rc =
	        words[0] == '\0' ? 0 : role_set(role, RDS_SET_ALWAYS_USE_RELAY, words, "ctl", &err);
	if (rc != 0)
		return rds_json_refusal(rc, &err);
	cJSON *json = rds_json_answer(NULL);
	rds_json_switch(json, "always_use_relay", role->always_use_relay.on);
	cJSON *nets = rds_json_array(json, "networks");
	for (size_t i = 0; i < role->always_use_relay.nets.n; i++) {
		char text[RDS_CIDR_TEXT];
		rds_cidr_format(&role->always_use_relay.nets.items[i], text);
		rds_json_text_item(nets, text);
	}
	return json;
}

static cJSON *reload(struct role *role, const char *words)
{
	struct rds_error err;
	(void)words;
	return rds_json_answer(role_reload(role, &err) == 0 ? NULL : err.text);
}

static void add_health(const struct role *role, cJSON *json, const struct rds_relay_health *health)
{
	static const char *const states[] = {"not probed yet", "alive", "dead"};
	bool probed = rds_settings_number(role->settings, RDS_SET_RELAY_PROBE) != 0;
	rds_json_text(json, "state", probed ? states[health->state] : "not probed");
	add_time(json, "since", role, health->since_ms);
	rds_json_number(json, "round_trip_ms", health->round_trip_ms);
	rds_json_text(json, "why", health->why);
}

static cJSON *relays(struct role *role, const char *words)
{
	struct rds_error err;
	int rc = words[0] == '\0' ? 0 : role_set(role, RDS_SET_RELAY_SERVERS, words, "ctl", &err);
	if (rc != 0)
		return rds_json_refusal(rc, &err);
	const struct rds_rotation *rotation = rds_rendezvous_relays(rds_id_service_rules(role->id));
	cJSON *json = rds_json_answer(NULL);
	cJSON *array = rds_json_array(json, "relays");
	for (size_t i = 0; i < rotation->n; i++) {
		const struct rds_relay_names *relay = &rotation->relays[i];
		cJSON *item = rds_json_item(array);
		rds_json_bytes(item, "name", relay->name);
		rds_json_number(item, "names_by_network", relay->n_by_net);
		add_health(role, item, &rotation->health[i]);
	}
	if (role->relays.n_unreachable > 0)
		rds_json_text(json, "left_out", "0.0.0.0, or [::]: no client can reach it");
	return json;
}

static void add_accepted_until(const struct role *role, cJSON *json, uint32_t key)
{
	char until[RDS_TIME_TEXT];
	const char *text = rds_key_policy_text(role->key, key);
	if (text != NULL)
		rds_json_text(
		        json, "key_accepted_until",
		        rds_text_time(rds_key_policy_accepted_until(role->key, rds_view_text(text)),
		                      until));
}

// What became of it, in one phrase.
static void add_verdict(const struct role *role, cJSON *json, const struct rds_attempt *attempt)
{
	rds_json_text(json, "verdict", rds_attempt_result(attempt));
	rds_json_text(json, "meaning",
	              attempt->verdict == RDS_VERDICT_REFUSED ? rds_reason_text(attempt->why) : "");
	if (attempt->why == RDS_WHY_KEY_RETIRED)
		add_accepted_until(role, json, attempt->key);
	if (attempt->why == RDS_WHY_ID_OFFLINE)
		add_time(json, "offline_since", role, attempt->seen_ms);
}

static void add_attempt(const struct role *role, cJSON *json, const struct rds_attempt *attempt)
{
	char from[RDS_ADDR_TEXT];
	rds_addr_format(&attempt->from, from);
	add_time(json, "when", role, attempt->at_ms);
	rds_json_text(json, "from", from);
	rds_json_bytes(json, "id", rds_view_of(attempt->id, attempt->id_len));
	rds_json_text(json, "route", rds_route_name(attempt->route));
	rds_json_text(json, "because", rds_relay_why_name(attempt->relay_why));
	rds_json_bytes(json, "session", rds_view_text(attempt->uuid));
	rds_json_switch(json, "check", attempt->check);
	cJSON *steps = rds_json_array(json, "steps");
	for (size_t i = 0; i < attempt->n_steps; i++) {
		char step[64];
		(void)snprintf(step, sizeof step, "%s +%u ms",
		               rds_step_name((enum rds_step)attempt->steps[i].step),
		               (unsigned)attempt->steps[i].after_ms);
		rds_json_text_item(steps, step);
	}
	add_verdict(role, json, attempt);
}

static cJSON *recent(struct role *role, const char *words)
{
	const struct rds_ledger *ledger = rds_rendezvous_ledger(rds_id_service_rules(role->id));
	cJSON *json = rds_json_answer(NULL);
	cJSON *array = rds_json_array(json, "attempts");
	uint64_t at = 0;
	for (const struct rds_attempt *a; (a = rds_ledger_next(ledger, &at)) != NULL;)
		if (words[0] == '\0' ||
		    rds_view_equal(rds_view_of(a->id, a->id_len), rds_view_text(words)))
			add_attempt(role, rds_json_item(array), a);
	return json;
}

// Copies one file of the data directory, its mode kept; one that isn't there is no error.
static int copy_file(const struct role *role, const char *name, mode_t mode,
                     const struct rds_datadir *to, struct rds_error *err)
{
	size_t len = 0;
	uint8_t *bytes = rds_calloc(RDS_LIST_FILE_MAX_BYTES, 1);
	int rc = rds_datadir_read(role->dir, name, bytes, RDS_LIST_FILE_MAX_BYTES, &len, NULL, err);
	if (rc == 0)
		rc = rds_datadir_write(to, name, mode, RDS_WRITE_NEW, rds_view_of(bytes, len), err);
	rds_wipe(bytes, len);
	free(bytes);
	return rc == -RDS_ENOENT ? 0 : rc;
}

static int back_up_into(const struct role *role, const struct rds_datadir *to,
                        struct rds_error *err)
{
	static const struct {
		const char *name;
		mode_t mode;
	} files[] = {{RDS_SECRET_FILE, 0600}, {RDS_PUBLIC_FILE, 0644}, {RDS_KEYRING_FILE, 0600},
	             {RDS_BLOCK_FILE, 0644},  {RDS_SLOW_FILE, 0644},   {"server.conf", 0644}};
	int rc = rds_datadir_begin(role->dir, false, err); // or they may not fit each other
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < sizeof files / sizeof files[0] && rc == 0; i++)
		rc = copy_file(role, files[i].name, files[i].mode, to, err);
	rds_datadir_end(role->dir);
	char *path = rds_asprintf("%s/" RDS_DATABASE_FILE, rds_datadir_path(to));
	if (rc == 0)
		rc = rds_id_service_backup(role->id, path, err);
	free(path);
	return rc;
}

// The settings in the form of a configuration file. A secret key is left out, and *has_secret says
// so: read back, what is shown in its place would be taken for a key.
static int write_settings(const struct role *role, const struct rds_datadir *to, bool *has_secret,
                          struct rds_error *err)
{
	char *text = rds_strdup("# the settings that were in force\n");
	for (int i = 0; i < RDS_SET_COUNT; i++) {
		enum rds_setting setting = (enum rds_setting)i;
		char value[RDS_SETTING_MAX_BYTES + 1];
		if (!rds_settings_is_set(role->settings, setting))
			continue;
		(void)rds_settings_shown(role->settings, setting, value, sizeof value);
		bool secret = strcmp(value, rds_settings_text(role->settings, setting)) != 0;
		*has_secret = *has_secret || secret;
		char *longer = rds_asprintf("%s%s%s = %s\n", text, secret ? "# not in here: " : "",
		                            rds_setting_row(setting)->name, value);
		free(text);
		text = longer;
	}
	int rc = rds_datadir_write(to, "rdsrv.conf", 0600, RDS_WRITE_NEW, rds_view_text(text), err);
	free(text);
	return rc;
}

// It is the server who makes it: as a service, with little that it may write.
static cJSON *no_directory(const struct role *role, const char *path, int error)
{
	struct rds_error err;
	if (error == EEXIST)
		(void)rds_fail(&err, RDS_ESYS,
		               "%s: it is there already, and the backup wants a new directory",
		               path);
	else if (error == EACCES || error == EROFS || error == EPERM)
		(void)rds_fail(&err, RDS_ESYS,
		               "%s: %s: the server itself writes the backup, and can in its data "
		               "directory: back up to %s/backup, and move it from there",
		               path, strerror(error), rds_datadir_path(role->dir));
	else
		(void)rds_fail(&err, RDS_ESYS, "%s: %s", path, strerror(error));
	return rds_json_answer(err.text);
}

// A new directory (0700) that holds all that a server is made of.
static cJSON *backup(struct role *role, const char *words)
{
	struct rds_error err = {"it holds such a file already"};
	struct rds_datadir *to = NULL;
	bool has_secret = false;
	if (words[0] != '/')
		return rds_json_wrong_use("backup takes the absolute path of a new directory");
	if (mkdir(words, 0700) != 0)
		return no_directory(role, words, errno);
	int rc = rds_datadir_open(words, &to, &err);
	if (rc == 0)
		rc = back_up_into(role, to, &err);
	if (rc == 0)
		rc = write_settings(role, to, &has_secret, &err);
	rds_datadir_close(to);
	if (rc != 0)
		return rds_json_answer(err.text);
	rds_log(RDS_LOG_INFO, "backup written", rds_field_text("directory", words));
	cJSON *json = rds_json_answer(NULL);
	rds_json_text(json, "directory", words);
	if (has_secret)
		rds_json_text(json, "warning",
		              "the secret key that was given as a setting is not in it: keep it "
		              "yourself");
	return json;
}

static const struct role_command commands[] = {
        {"peers", peers, ROLE_MAY_WORD},
        {"peer", peer, ROLE_NEEDS_WORD},
        {"approve", approve, ROLE_NEEDS_WORD},
        {"ban", ban, ROLE_NEEDS_WORD},
        {"unban", approve, ROLE_NEEDS_WORD},
        {"forget", forget, ROLE_NEEDS_WORD},
        {"blocked", blocked, ROLE_NO_WORD},
        {"always-use-relay", always_use_relay, ROLE_MAY_WORD},
        {"relays", relays, ROLE_MAY_WORD},
        {"recent", recent, ROLE_MAY_WORD},
        {"backup", backup, ROLE_NEEDS_WORD},
        {"reload", reload, ROLE_NO_WORD},
        {"check-reserve", role_check_reserve, ROLE_NEEDS_WORD},
        {"check-release", role_check_release, ROLE_NEEDS_WORD},
};

const char *role_control_id_word(size_t i)
{
	return i < sizeof commands / sizeof commands[0] ? commands[i].name : NULL;
}

cJSON *role_control_id(struct role *role, const char *command, const char *words)
{
	return role_command_run(commands, sizeof commands / sizeof commands[0], role, command,
	                        words);
}
