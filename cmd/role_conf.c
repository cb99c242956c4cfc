// SPDX-License-Identifier: MIT
// The data directory's server.conf: what the first start leaves for clients.
#include "cmd/role_private.h"

#include "cmd/client_hosts.h"
#include "cmd/container.h"
#include "conf/form.h"
#include "core/alloc.h"
#include "keys/server_conf.h"

#include <stdlib.h>
#include <unistd.h>

// This machine's name, where no setting says what clients call it. A container's own name is the
// engine's: there it is the relay's, which is named for clients and most often beside us.
static char *guess_host(const struct role *role, const char *relay)
{
	char name[256] = "";
	struct rds_host_port host;
	if (rds_container_is(role->settings) && rds_value_host(relay, &host) == 0)
		return rds_asprintf(strchr(host.host, ':') != NULL ? "[%s]" : "%s", host.host);
	(void)gethostname(name, sizeof name - 1);
	return rds_strdup(rds_value_host(name, &host) == 0 ? name : "localhost");
}

static void guess_id_server(const struct role *role, struct rds_client_conf *conf)
{
	int64_t port = rds_settings_number(role->settings, RDS_SET_PORT);
	char *host = guess_host(role, conf->relay_server);
	free(conf->id_server);
	conf->id_server = port == 21116 ? rds_strdup(host) : rds_asprintf("%s:%d", host, (int)port);
	free(host);
}

// Not being able to write it stops nobody from connecting: a warning.
void role_write_server_conf(struct role *role, bool wait)
{
	struct rds_error err;
	struct rds_client_conf conf;
	bool written = false;
	struct rds_bytes text = {0};
	rds_client_hosts(role->settings, rds_key_policy_client_text(role->key), &conf);
	bool guess = conf.id_server[0] == '\0';
	if (guess)
		guess_id_server(role, &conf);
	int rc = rds_form_write(RDS_FORM_SERVER_CONF, &conf,
	                        (struct rds_form_options){.guessed = guess}, &text, &err);
	if (rc == 0)
		rc = rds_server_conf_write(role->dir, rds_bytes_view(&text), wait, &written, &err);
	if (rc == 0 && written)
		rds_log(RDS_LOG_INFO, "wrote " RDS_SERVER_CONF,
		        rds_field_text("id_server", conf.id_server),
		        rds_field_text("guessed", guess ? "yes: see the comment in it" : "no"));
	else if (rc != 0)
		rds_log(RDS_LOG_WARN, "could not write " RDS_SERVER_CONF,
		        rds_field_text("why", err.text));
	rds_bytes_clear(&text);
	rds_client_conf_clear(&conf);
}
