// SPDX-License-Identifier: MIT
// The server in this host's data directory.
#include "cmd/check/site.h"

#include "cmd/client_hosts.h"
#include "cmd/instance.h"
#include "cmd/running.h"
#include "conf/relays.h"
#include "core/alloc.h"
#include "net/listen.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *text_of(const cJSON *json, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
}

// --- who runs there

struct asking {
	const struct rds_datadir *dir;
	struct site_role *role;
	const char *name;
	unsigned timeout_ms;
};

static void *ask_role(void *arg)
{
	const struct asking *asking = arg;
	struct site_role *role = asking->role;
	struct rds_error err = {""};
	int rc = rds_running_ask_within(asking->dir, asking->name, "status", asking->timeout_ms,
	                                &role->status, &err);
	if (rc == 0)
		rc = rds_running_ask_within(asking->dir, asking->name, "settings",
		                            asking->timeout_ms, &role->settings, &err);
	int error = errno;
	role->running = rc == 0                                                  ? SITE_ANSWERS
	                : rc == -RDS_ENOENT                                      ? SITE_NOT_RUNNING
	                : rc == -RDS_ESYS && (error == EACCES || error == EPERM) ? SITE_HIDDEN
	                                                                         : SITE_SILENT;
	(void)snprintf(role->why, sizeof role->why, "%s", rc == -RDS_ENOENT ? "" : err.text);
	return NULL;
}

// Side by side: one that hangs takes its time.
static void ask_roles(struct check_site *site)
{
	struct asking id = {site->dir, &site->id, "id", site->here_ms};
	struct asking relay = {site->dir, &site->relay, "relay", site->here_ms};
	pthread_t thread;
	bool started = pthread_create(&thread, NULL, ask_role, &relay) == 0;
	(void)ask_role(&id);
	if (started)
		(void)pthread_join(thread, NULL);
	else
		(void)ask_role(&relay);
}

static bool is_hidden(const char *dir)
{
	return access(dir, R_OK | X_OK) != 0 && errno == EACCES;
}

// What another user has there can't be known: neither that it runs nor that it doesn't.
static void note_hidden(struct check_site *site, const char *named)
{
	const char *dir = named[0] != '\0' ? (is_hidden(named) ? named : NULL)
	                                   : rds_instance_system_dir(is_hidden);
	if (dir == NULL)
		return;
	free(site->data_dir);
	site->data_dir = rds_strdup(dir);
	site->hidden = true;
	site->id.running = SITE_HIDDEN;
	site->relay.running = SITE_HIDDEN;
}

static void find_directory(struct check_site *site)
{
	struct rds_error err = {""};
	const char *why = NULL;
	int rc = rds_instance_find(site->settings, RDS_INSTANCE_ACT, &site->dir, &why, &err);
	if (rc != 0) {
		const char *named = rds_settings_text(site->settings, RDS_SET_DATA_DIR);
		(void)snprintf(site->data_dir_fault, sizeof site->data_dir_fault, "%s", err.text);
		site->data_dir = rds_strdup(named[0] == '\0' ? "(none)" : named);
		note_hidden(site, named);
		return;
	}
	site->data_dir = rds_strdup(rds_datadir_path(site->dir));
}

static void read_keys(struct check_site *site)
{
	struct rds_error err = {""};
	const char *running = text_of(site->id.status, "key");
	if (running == NULL)
		running = text_of(site->relay.status, "key");
	if (running != NULL && running[0] == '\0')
		running = NULL;
	if (rds_known_keys_beside(site->dir, rds_strdup(running), &site->keys, &err) != 0)
		(void)snprintf(site->keys_fault, sizeof site->keys_fault, "%s", err.text);
	const char *current = rds_known_keys_text(&site->keys, RDS_KNOWN_CURRENT);
	(void)snprintf(site->key, sizeof site->key, "%s", current == NULL ? "" : current);
}

// --- where the played clients go

// An address at which a server with that `bind` setting listens.
static void listening_host(const char *bind, char host[256])
{
	struct rds_strings items;
	struct rds_binds binds = {0};
	struct rds_error err;
	rds_strings_split(bind, &items);
	(void)snprintf(host, 256, "127.0.0.1");
	if (rds_binds_resolve(items.items, items.n, &binds, &err) == 0 && binds.n > 0 &&
	    !binds.items[0].any && !rds_ip_is_any(&binds.items[0].ip))
		rds_ip_format(&binds.items[0].ip, host);
	else if (binds.n > 0 && !rds_ip_is_v4(&binds.items[0].ip) && !binds.items[0].any)
		(void)snprintf(host, 256, "::1");
	rds_binds_free(&binds);
	rds_strings_free(&items);
}

// The settings of the process that is the role: its own where it answers.
static struct rds_settings *settings_of(const struct check_site *site, const struct site_role *role)
{
	struct rds_settings *own = rds_settings_new();
	for (int i = 0; i < RDS_SET_COUNT; i++)
		rds_settings_copy(own, site->settings, (enum rds_setting)i);
	rds_running_take(own, role->settings);
	return own;
}

static void go_to_relay(struct check_site *site)
{
	struct rds_settings *own = settings_of(site, &site->relay);
	listening_host(rds_settings_text(own, RDS_SET_BIND), site->relay_host);
	site->relay_port = rds_settings_port(own, RDS_SET_RELAY_PORT);
	site->relay_websocket_port = rds_settings_port(own, RDS_SET_RELAY_WEBSOCKET_PORT);
	rds_settings_free(own);
}

static void go_to_id(struct check_site *site)
{
	const struct rds_settings *settings = site->settings;
	listening_host(rds_settings_text(settings, RDS_SET_BIND), site->id_host);
	site->id_port = rds_settings_port(settings, RDS_SET_PORT);
	site->nat_port = rds_settings_port(settings, RDS_SET_NAT_PORT);
	site->websocket_port = rds_settings_port(settings, RDS_SET_WEBSOCKET_PORT);
	site->api_port = (uint16_t)(site->id_port > 2 ? site->id_port - 2 : 21114);
}

// The relay is another host's where none runs here and clients are told of one.
static void go_to_first_relay(struct check_site *site)
{
	struct rds_relays relays;
	struct rds_host_port host;
	struct rds_error err;
	if (rds_relays_parse(rds_settings_text(site->settings, RDS_SET_RELAY_SERVERS), &relays,
	                     &err) != 0)
		return;
	if (relays.n > 0) {
		char *name = rds_strndup(relays.items[0].name.data, relays.items[0].name.len);
		if (rds_value_host(name, &host) == 0) {
			(void)snprintf(site->relay_host, sizeof site->relay_host, "%s", host.host);
			site->relay_port = host.port == 0 ? 21117 : host.port;
			site->relay_websocket_port = (uint16_t)(site->relay_port + 2);
		}
		free(name);
	}
	rds_relays_free(&relays);
}

void check_site_here(struct check_site *site, struct rds_settings *settings, unsigned here_ms)
{
	*site = (struct check_site){.local = true, .here_ms = here_ms, .settings = settings};
	find_directory(site);
	if (site->dir != NULL) {
		ask_roles(site);
		site->is_ours = site->id.running == SITE_ANSWERS;
		rds_running_take(settings, site->id.settings);
		read_keys(site);
	}
	rds_client_hosts(settings, site->key, &site->told);
	go_to_id(site);
	go_to_relay(site);
	if (site->relay.running == SITE_NOT_RUNNING && site->id.running == SITE_ANSWERS &&
	    rds_settings_text(settings, RDS_SET_RELAY_SERVERS)[0] != '\0')
		go_to_first_relay(site);
}

bool check_site_is_relay_only(const struct check_site *site)
{
	return site->local && site->dir != NULL && site->relay.running == SITE_ANSWERS &&
	       site->id.running == SITE_NOT_RUNNING &&
	       !rds_datadir_has(site->dir, RDS_DATABASE_FILE) &&
	       !rds_datadir_has(site->dir, "rdsrv-id.lock");
}

bool check_site_is_hidden(const struct check_site *site)
{
	return site->local &&
	       (site->id.running == SITE_HIDDEN || site->relay.running == SITE_HIDDEN);
}

// Those that aren't given back end by themselves.
static void release_ids(const struct check_site *site)
{
	char request[32 + SITE_IDS * sizeof site->ids[0]] = "check-release";
	cJSON *answer = NULL;
	struct rds_error err;
	size_t len = strlen(request);
	for (size_t i = 0; i < SITE_IDS; i++)
		len += (size_t)snprintf(request + len, sizeof request - len, " %s", site->ids[i]);
	if (rds_running_ask_within(site->dir, "id", request, site->here_ms, &answer, &err) == 0)
		cJSON_Delete(answer);
}

void check_site_clear(struct check_site *site)
{
	if (site->reserved)
		release_ids(site);
	cJSON_Delete(site->id.status);
	cJSON_Delete(site->id.settings);
	cJSON_Delete(site->relay.status);
	cJSON_Delete(site->relay.settings);
	rds_known_keys_free(&site->keys);
	rds_client_conf_clear(&site->told);
	rds_client_conf_clear(&site->given);
	rds_datadir_close(site->dir);
	rds_settings_free(site->settings);
	free(site->data_dir);
}
